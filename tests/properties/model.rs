//! Two network namespaces without a kernel: as much of them as the steps of a plan are about.
//!
//! Unlike in a kernel, an index is never that of another link in the other namespace, so a link
//! keeps it when it moves, and two worlds can be compared.

use crate::steps::Refusal;
use ipnetwork::IpNetwork;
use oci_awsvpc_hook::testing::{
    self, InstanceSnapshot, Link, METADATA, Mac, Record, Route, Rule, Ruleset, Side, Snapshot,
    TaskSnapshot,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// A link, and what is on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    pub link: Link,
    /// In the order in which the kernel would choose a source from them, and whether there is a route to the subnet.
    pub addresses: Vec<(IpNetwork, bool)>,
    pub neighbours: BTreeMap<IpAddr, Mac>,
    pub settings: Settings,
}

/// What goes away with the link, so that no step takes it back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    pub options: BTreeMap<&'static str, &'static str>,
    pub isolated: bool,
    pub bound: Option<Mac>,
    pub pinned: bool,
}

/// One namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space {
    pub devices: BTreeMap<String, Device>,
    pub routes: BTreeMap<IpNetwork, Route>,
}

/// Both of them.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    pub instance: Space,
    pub policy_rules: Vec<Rule>,
    pub has_nftables: bool,
    /// What the instance keeps of the task.
    pub record: Option<Record>,
    /// The task's rules about packets, and about frames.
    pub blocks: [Option<Ruleset>; 2],
    pub task: Space,
    pub uplink: u32,
    pub has_ipv6: bool,
    /// Whether IPv6 is off on whatever comes into the task: so Docker makes its namespaces.
    pub ipv6_is_off: bool,
}

impl Device {
    pub fn new(link: Link) -> Self {
        Self {
            link,
            addresses: Vec::new(),
            neighbours: BTreeMap::new(),
            settings: Settings::default(),
        }
    }
}

impl Space {
    pub fn add(&mut self, device: Device) {
        let taken = self.devices.insert(device.link.name.clone(), device);
        assert!(taken.is_none(), "two links of one name: {taken:?}");
    }

    pub fn get(&mut self, name: impl AsRef<str>) -> Result<&mut Device, Refusal> {
        let name = name.as_ref();
        self.devices.get_mut(name).ok_or_else(|| format!("there is no {name}"))
    }

    pub fn take(&mut self, name: &str) -> Option<Device> {
        let device = self.devices.remove(name)?;
        self.routes.retain(|_, route| link_of(route) != Some(name));
        Some(device)
    }

    pub fn free(&self, name: &str) -> Result<(), Refusal> {
        if self.devices.contains_key(name) { Err(format!("{name} is taken")) } else { Ok(()) }
    }

    fn links(&self) -> Vec<Link> {
        let mut links: Vec<Link> =
            self.devices.values().map(|device| device.link.clone()).collect();
        links.sort_by_key(|link| link.index);
        links
    }

    /// Whether an address on the link, or a route to it, says where the gateway is.
    pub fn reaches(&self, gateway: IpAddr, link: &str) -> Result<bool, Refusal> {
        let device = self.devices.get(link).ok_or("no link")?;
        let addresses = || device.addresses.iter().filter(|(_, subnet_route)| *subnet_route);
        if addresses()
            .any(|(own, _)| own.is_ipv4() && own.broadcast() == gateway && own.prefix() < 31)
        {
            return Err(format!("{gateway} is a broadcast address"));
        }
        let link_local = matches!(gateway, IpAddr::V6(six) if six.is_unicast_link_local());
        let on_link = |route: &Route| match route {
            Route::Link { destination, link: over } => {
                over.as_str() == link && destination.contains(gateway)
            }
            _ => false,
        };
        Ok(link_local
            || addresses().any(|(own, _)| own.contains(gateway))
            || self.routes.values().any(on_link))
    }
}

impl World {
    /// What a look at it shows.
    pub fn snapshot(&self) -> Snapshot {
        let addresses = |space: &Space| {
            let on = |device: &Device| {
                let index = device.link.index;
                let own = device.addresses.iter().map(move |(address, _)| (index, *address));
                own.collect::<Vec<_>>()
            };
            space.devices.values().flat_map(on).collect()
        };
        Snapshot {
            instance: InstanceSnapshot {
                links: self.instance.links(),
                uplinks: [self.uplink].into(),
                policy_rules: self.policy_rules.clone(),
                addresses: addresses(&self.instance),
                has_nftables: self.has_nftables,
                has_ipv6: self.has_ipv6,
            },
            task: TaskSnapshot {
                links: self.task.links(),
                addresses: addresses(&self.task),
                is_blocked: self.is_blocked(),
            },
            records: self.record.iter().cloned().collect(),
            taken: BTreeSet::new(),
        }
    }

    /// Whether rules or routes keep the task from the metadata service.
    fn is_blocked(&self) -> bool {
        let is_metadata = |route: &Route| match route {
            Route::Blackhole { destination } => METADATA.contains(&destination.ip()),
            _ => false,
        };
        self.blocks.iter().any(Option::is_some) || self.task.routes.values().any(is_metadata)
    }

    pub fn side(&mut self, side: Side) -> &mut Space {
        match side {
            Side::Instance => &mut self.instance,
            Side::Task => &mut self.task,
        }
    }

    /// A link comes into the task.
    pub fn arrive(&mut self, link: Link) {
        let mut device = Device::new(link);
        if self.ipv6_is_off {
            device.settings.options.insert("disable_ipv6", "1");
        }
        self.task.add(device);
    }

    pub fn new_index(&self) -> u32 {
        let devices = self.instance.devices.values().chain(self.task.devices.values());
        1 + devices.map(|device| device.link.index).max().unwrap_or_default()
    }
}

/// An Ethernet link that is switched off and has no label.
pub fn link(index: u32, name: &str, mac: Option<Mac>, mtu: u32) -> Link {
    Link { mac, mtu, ..testing::link(index, name) }
}

/// Switches a link on or off; every link has a carrier.
pub fn switch(link: &mut Link, up: bool) {
    (link.up, link.running) = (up, up);
}

pub fn link_of(route: &Route) -> Option<&str> {
    match route {
        Route::Link { link, .. } | Route::Via { link, .. } => Some(link.as_str()),
        Route::Blackhole { .. } => None,
    }
}
