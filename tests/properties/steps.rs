//! What each step does to a world, and how it is taken back. It follows the words in `step.rs` and
//! the kernel's rules, not the code that talks to the kernel.

use crate::model::{Device, World, link, link_of, switch};
use ipnetwork::IpNetwork;
use oci_awsvpc_hook::testing::{AtHome, Branch, Label, Lease, Link, Mac, Route, Side, Step};
use std::collections::BTreeMap;

/// `IFALIASZ` less the terminator (linux/if.h), in bytes.
pub const MAX_ALIAS: usize = 255;

/// Why the kernel would refuse a step.
pub type Refusal = String;

impl World {
    /// Does a step, and says whether it must be taken back if a later one fails.
    #[allow(clippy::too_many_lines)] // a table
    pub fn apply(&mut self, step: &Step) -> Result<bool, Refusal> {
        let has_ipv6 = self.has_ipv6;
        match step {
            Step::InstallNftables { .. } => {
                self.has_nftables = true;
                Ok(true)
            }
            Step::CreateBridge { bridge, mac, mtu } => {
                self.instance.free(bridge.as_str())?;
                let kind = Some("bridge".to_owned());
                let link = link(self.new_index(), bridge.as_str(), Some(*mac), *mtu);
                let mut device = Device::new(Link { kind, up: true, running: true, ..link });
                device.settings.pinned = true;
                self.instance.add(device);
                Ok(true)
            }
            Step::SetMac { side, link, mac } => {
                let device = self.side(*side).get(link.as_str())?;
                device.link.mac = Some(*mac);
                Ok(!std::mem::replace(&mut device.settings.pinned, true))
            }
            Step::TakeRecord { record } => match &self.record {
                Some(other) if other.label.container != record.label.container => {
                    Err("another task has it".to_owned())
                }
                _ => Ok(self.record.replace(record.clone()).is_none()),
            },
            Step::CheckHost { families, bridge } => {
                let mut devices = self.instance.devices.values();
                let has = |index| devices.any(|device| device.link.index == index);
                let is_there = bridge.is_none_or(has) && (families.is_empty() || self.has_nftables);
                if is_there { Ok(false) } else { Err("gone".to_owned()) }
            }
            Step::Normalise { side, index, .. } => {
                let mut devices = self.side(*side).devices.values_mut();
                let device = devices.find(|device| device.link.index == *index).ok_or("no link")?;
                device.link.form = device.link.form.normal();
                device.link.alternative_names.clear();
                Ok(true)
            }
            Step::SetOffloads { index, offloads, .. } => {
                let mut devices = self.instance.devices.values_mut();
                let device = devices.find(|device| device.link.index == *index).ok_or("no link")?;
                device.link.offloads = Some(*offloads);
                Ok(true)
            }
            Step::CreateVeth { lease, port_mac, bridge, inside, mtu } => self
                .create_veth(*lease, *port_mac, bridge.as_str(), inside.as_str(), *mtu)
                .map(|()| true),
            Step::JoinBridge { .. } => unreachable!("a port is born on its bridge"),
            Step::ConfigurePort { lease, label, isolated } => {
                let port = self.port(*lease)?;
                let before = port.clone();
                port.link.alias = Some(alias(label)?);
                switch(&mut port.link, true);
                port.link.locked = Some(*isolated);
                port.settings.isolated = *isolated;
                Ok(*port != before)
            }
            Step::AddFdbEntry { lease } => {
                let bound = &mut self.port(*lease)?.settings.bound;
                Ok(bound.replace(lease.mac()) != Some(lease.mac()))
            }
            Step::DeletePolicyRule { rule } => {
                let before = self.policy_rules.len();
                self.policy_rules.retain(|other| other != rule);
                Ok(self.policy_rules.len() < before)
            }
            Step::MoveIn { index, label, inside, mtu, .. } => {
                self.move_in(*index, label, inside.as_str(), *mtu).map(|()| true)
            }
            Step::DeleteLeftover { index, .. } => {
                self.instance.devices.retain(|_, device| device.link.index != *index);
                Ok(false)
            }
            Step::CreateBranch { trunk, branch, mac, inside, mtu } => {
                self.create_branch(*trunk, *branch, *mac, inside.as_str(), *mtu).map(|()| true)
            }
            Step::SetLabel { link, label, .. } => {
                let alias = Some(alias(label)?);
                let before = &mut self.task.get(link.as_str())?.link.alias;
                Ok(std::mem::replace(before, alias.clone()) != alias)
            }
            Step::SetOption { side, family, link, option, value, .. } => {
                let device = self.side(*side).get(link.as_str())?;
                if *family == "ipv6" {
                    speaks_ipv6(device, has_ipv6)?;
                }
                let before = device.settings.options.insert(*option, *value);
                Ok(before != Some(*value))
            }
            Step::AddAddress { side, link, address, subnet_route } => {
                let device = self.side(*side).get(link.as_str())?;
                if address.is_ipv6() {
                    speaks_ipv6(device, has_ipv6)?;
                    if device.settings.options.get("disable_ipv6") == Some(&"1") {
                        return Err(format!("IPv6 is switched off on {link}"));
                    }
                }
                add_address(device, *address, *subnet_route)
            }
            Step::DeleteAddress { link, address } => {
                let own = &mut self.task.get(link.as_str())?.addresses;
                let before = own.len();
                own.retain(|(other, _)| other != address);
                Ok(own.len() < before)
            }
            Step::AddRoute { route } => self.add_route(route),
            Step::DeleteRoute { route } => {
                Ok(self.task.routes.remove(&destination(route)).is_some())
            }
            Step::BlockPackets { ruleset } => Ok(self.blocks[0].replace(ruleset.clone()).is_none()),
            Step::BlockFrames { link, ruleset } => {
                self.task.get(link.as_str())?;
                Ok(self.blocks[1].replace(ruleset.clone()).is_none())
            }
            Step::Unblock => {
                let were_there = self.blocks.iter().any(Option::is_some);
                self.blocks = [None, None];
                Ok(were_there)
            }
            Step::AddNeighbour { side, link, address, mac } => {
                let device = self.side(*side).get(link.as_str())?;
                Ok(device.neighbours.insert(*address, *mac).is_none())
            }
            // The kernel does not say whether it was on already, so it will be switched off again.
            Step::SetUp { side, link } => {
                let below = self.side(*side).get(link.as_str())?.link.clone();
                let is_trunk = |other: &Device| Some(other.link.index) == below.peer;
                let trunk = self.instance.devices.values().find(|other| is_trunk(other));
                if below.vlan.is_some() && !trunk.is_some_and(|trunk| trunk.link.up) {
                    return Err(format!("the trunk of {link} is down"));
                }
                switch(&mut self.side(*side).get(link.as_str())?.link, true);
                Ok(true)
            }
            Step::AwaitRunning { side, link } => {
                let running = self.side(*side).get(link.as_str())?.link.running;
                if running { Ok(false) } else { Err(format!("{link} is down")) }
            }
            Step::AwaitAddress { side, address } => {
                let mut devices = self.side(*side).devices.values();
                let has =
                    |device: &Device| device.addresses.iter().any(|(own, _)| own.ip() == *address);
                if devices.any(has) { Ok(false) } else { Err(format!("{address} is nobody's")) }
            }
            Step::AwaitRouter { link, .. } => {
                let device = self.task.get(link.as_str())?;
                match device.settings.options.get("accept_ra") {
                    Some(&"2") if device.link.running => Ok(false),
                    _ => Err(format!("no router will be heard on {link}")),
                }
            }
        }
    }

    /// Takes back a step that did something. What is gone already is fine.
    #[allow(clippy::too_many_lines)] // a table
    pub fn revert(&mut self, step: &Step) {
        match step {
            Step::TakeRecord { .. } => self.record = None,
            Step::Normalise { side, index, alternative_names, .. } => {
                let mut devices = self.side(*side).devices.values_mut();
                let device = devices.find(|device| device.link.index == *index);
                device.expect("it is there").link.alternative_names.clone_from(alternative_names);
            }
            Step::CreateVeth { lease, inside, .. } => {
                self.instance.take(lease.link_name().as_str());
                self.task.take(inside.as_str());
            }
            Step::DeletePolicyRule { rule } => self.policy_rules.push(rule.clone()),
            Step::MoveIn { label, at_home, .. } => {
                let found = self.task.devices.values().find(|device| device.link.is(label.eni));
                if let Some(name) = found.map(|device| device.link.name.clone()) {
                    let mut eni = self.task.take(&name).expect("it was found");
                    restore(&mut eni, label, at_home);
                    self.instance.add(eni);
                }
            }
            Step::CreateBranch { inside, .. } => {
                self.task.take(inside.as_str());
            }
            Step::AddAddress { side: Side::Task, link, address, .. } => {
                let device = self.task.get(link.as_str());
                device.expect("its link is there").addresses.retain(|(own, _)| own != address);
            }
            Step::DeleteAddress { link, address } => {
                let device = self.task.get(link.as_str()).expect("its link is there");
                add_address(device, *address, true).expect("it was there");
            }
            Step::SetOption { link, option, before: Some(before), .. } => {
                let device = self.task.get(link.as_str()).expect("its link is there");
                device.settings.options.insert(*option, *before);
            }
            Step::AddRoute { route } => {
                self.task.routes.remove(&destination(route));
            }
            Step::DeleteRoute { route } => {
                self.task.routes.insert(destination(route), route.clone());
            }
            Step::BlockPackets { .. } => self.blocks[0] = None,
            Step::BlockFrames { .. } => self.blocks[1] = None,
            Step::AddNeighbour { side, link, address, .. } => {
                let device = self.side(*side).get(link.as_str());
                device.expect("its link is there").neighbours.remove(address);
            }
            Step::SetLabel { link, before, .. } => {
                let device = self.task.get(link.as_str());
                device.expect("its link is there").link.alias.clone_from(before);
            }
            Step::SetUp { side: Side::Task, link } => {
                let device = self.task.get(link.as_str());
                switch(&mut device.expect("its link is there").link, false);
            }
            // Never undone, gone with its link, or the last step.
            Step::InstallNftables { .. }
            | Step::CheckHost { .. }
            | Step::CreateBridge { .. }
            | Step::SetMac { .. }
            | Step::SetOffloads { .. }
            | Step::AddAddress { side: Side::Instance, .. }
            | Step::SetUp { side: Side::Instance, .. }
            | Step::JoinBridge { .. }
            | Step::ConfigurePort { .. }
            | Step::AddFdbEntry { .. }
            | Step::DeleteLeftover { .. }
            | Step::SetOption { before: None, .. }
            | Step::AwaitRunning { .. }
            | Step::AwaitAddress { .. }
            | Step::AwaitRouter { .. }
            | Step::Unblock => {}
        }
    }

    fn port(&mut self, lease: Lease) -> Result<&mut Device, Refusal> {
        let port = self.instance.get(lease.link_name().as_str())?;
        if port.link.controller.is_some() { Ok(port) } else { Err(format!("{lease}: no port")) }
    }

    fn create_veth(
        &mut self,
        lease: Lease,
        port_mac: Mac,
        bridge: &str,
        inside: &str,
        mtu: u32,
    ) -> Result<(), Refusal> {
        let (name, index) = (lease.link_name(), self.new_index());
        self.instance.free(name.as_str())?;
        self.task.free(inside)?;
        let controller = Some(self.instance.get(bridge)?.link.index);
        let kind = Some("veth".to_owned());
        let near = link(index, name.as_str(), Some(port_mac), mtu);
        let near = Link { kind: kind.clone(), controller, peer: Some(index + 1), ..near };
        let far = link(index + 1, inside, Some(lease.mac()), mtu);
        self.instance.add(Device::new(near));
        self.arrive(Link { kind, peer: Some(index), ..far });
        Ok(())
    }

    fn create_branch(
        &mut self,
        trunk: u32,
        branch: Branch,
        mac: Mac,
        inside: &str,
        mtu: u32,
    ) -> Result<(), Refusal> {
        self.task.free(inside)?;
        let below = self.instance.devices.values().find(|device| device.link.index == trunk);
        let below = &below.ok_or("there is no such trunk")?.link;
        let everywhere = self.instance.devices.values().chain(self.task.devices.values());
        let same = |link: &Link| link.vlan == Some(branch.vlan) && link.peer == Some(trunk);
        if everywhere.map(|device| &device.link).any(same) {
            return Err(format!("{branch} is there"));
        }
        if mtu > below.mtu || !below.is(branch.trunk) || below.vlan.is_some() {
            return Err(format!("{} cannot carry {branch} with mtu {mtu}", below.name));
        }
        let link = link(self.new_index(), inside, Some(mac), mtu);
        let (kind, vlan) = (Some("vlan".to_owned()), Some(branch.vlan));
        self.arrive(Link { kind, vlan, peer: Some(trunk), ..link });
        Ok(())
    }

    /// A link that moves loses all that is on it, and is switched off.
    fn move_in(
        &mut self,
        index: u32,
        home: &Label,
        inside: &str,
        mtu: Option<u32>,
    ) -> Result<(), Refusal> {
        self.task.free(inside)?;
        let found = self.instance.devices.values().find(|device| device.link.index == index);
        let link = found.ok_or("there is no such link")?.link.clone();
        let mtu = mtu.unwrap_or(link.mtu);
        if index == self.uplink || link.controller.is_some() || !link.is(home.eni) {
            return Err(format!("{} is not the ENI, or not to be moved", link.name));
        }
        if !link.accepts_mtu(mtu) {
            return Err(format!("its driver does not take mtu {mtu}"));
        }
        let (name, alias) = (inside.to_owned(), Some(alias(home)?));
        self.instance.take(&link.name);
        self.arrive(Link { name, alias, mtu, up: false, running: false, ..link });
        Ok(())
    }

    fn add_route(&mut self, route: &Route) -> Result<bool, Refusal> {
        if destination(route).is_ipv6() && !self.has_ipv6 {
            return Err("this kernel has no IPv6".to_owned());
        }
        if let Some(link) = link_of(route)
            && !self.task.get(link)?.link.up
        {
            return Err(format!("{link} is down"));
        }
        if let Route::Via { gateway, link, on_link: false, .. } = route
            && !self.task.reaches(*gateway, link.as_str())?
        {
            return Err(format!("{gateway} is not on {link}"));
        }
        ensure(&mut self.task.routes, destination(route), route.clone())
    }
}

/// Makes the ENI on the instance what it was: an ENI that had nothing of ours or of others on it
/// is exactly that again.
pub fn restore(eni: &mut Device, home: &Label, at_home: &AtHome) {
    let link = Link {
        name: home.name.to_string(),
        mac: Some(home.eni),
        mtu: if eni.link.accepts_mtu(home.mtu) { home.mtu } else { eni.link.mtu },
        alias: at_home.alias.clone(),
        up: at_home.up,
        running: at_home.up,
        ..eni.link.clone()
    };
    *eni = Device::new(link);
}

/// What is not there is added; what is there must be the same.
fn ensure<K: Ord, V: PartialEq>(
    map: &mut BTreeMap<K, V>,
    key: K,
    value: V,
) -> Result<bool, Refusal> {
    match map.get(&key) {
        None => Ok(map.insert(key, value).is_none()),
        Some(other) if *other == value => Ok(false),
        Some(_) => Err("another one is there".to_owned()),
    }
}

/// An IPv6 address comes before the others, an IPv4 one behind them.
fn add_address(
    device: &mut Device,
    address: IpNetwork,
    subnet_route: bool,
) -> Result<bool, Refusal> {
    let own = &mut device.addresses;
    match own.iter().find(|(other, _)| other.ip() == address.ip()) {
        Some(other) if *other == (address, subnet_route) => return Ok(false),
        Some(_) => return Err("another one is there".to_owned()),
        None if address.is_ipv6() => own.insert(0, (address, subnet_route)),
        None => own.push((address, subnet_route)),
    }
    Ok(true)
}

fn alias(label: &Label) -> Result<String, Refusal> {
    let alias = label.to_string();
    if alias.len() <= MAX_ALIAS { Ok(alias) } else { Err("too long".to_owned()) }
}

/// A link too small for IPv6 has none, nor the folder with its options (`addrconf_notify` in
/// net/ipv6/addrconf.c).
fn speaks_ipv6(device: &Device, has_ipv6: bool) -> Result<(), Refusal> {
    if has_ipv6 && device.link.mtu >= 1280 {
        Ok(())
    } else {
        Err(format!("{} (mtu {}) has no IPv6", device.link.name, device.link.mtu))
    }
}

fn destination(route: &Route) -> IpNetwork {
    match route {
        Route::Link { destination, .. }
        | Route::Via { destination, .. }
        | Route::Blackhole { destination } => *destination,
    }
}
