//! What the kernel showed at one moment, and what follows from it: whose is what, and what we must
//! not touch.

use crate::{
    branch::Branch,
    error::{Result, refuse},
    lease::Lease,
    link::{InterfaceName, Link, Mac},
    rule::Rule,
    step::Side,
    tag::Tag,
    task::{CREDENTIAL_INTERFACE, Task},
};
use ipnetwork::IpNetwork;
use std::collections::BTreeSet;

/// The links of both namespaces, and what else decides.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The instance's links. Of those that belong to a bridge or a bond perhaps only the task's own.
    pub instance: Vec<Link>,
    /// Leases that are taken by links that need not be among these.
    pub taken: BTreeSet<Lease>,
    /// The indices of the instance's links that carry its best default routes.
    pub uplinks: Vec<u32>,
    /// The instance's policy routing rules.
    pub rules: Vec<Rule>,
    /// The addresses of the instance's links, by index: those of the bridge, and the others only
    /// where a rule could be about one of them.
    pub addresses: Vec<(u32, IpNetwork)>,
    /// Whether the instance's nftables rules are there.
    pub has_rules: bool,
    /// Whether something in the task's namespace still keeps it from the metadata service, which it shall now
    /// reach.
    pub is_blocked: bool,
    /// Whether the kernel has IPv6.
    pub has_ipv6: bool,
    /// The task's links.
    pub inside: Vec<Link>,
    /// Their addresses, by index.
    pub inside_addresses: Vec<(u32, IpNetwork)>,
}

/// Where a task's ENI is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts<'a> {
    /// On the instance, and fit to be moved.
    Home(&'a Link),
    /// Nowhere yet, for it is a branch.
    Trunk {
        /// Which one.
        branch: Branch,
        /// What it will be created on.
        trunk: &'a Link,
        /// A link of the same VLAN that is ours, and of no use on the instance.
        leftover: Option<&'a Link>,
    },
    /// In the task's namespace, where an earlier call of ours put it.
    Inside(&'a Link),
    /// In the namespace of another task, which this veth on the instance belongs to.
    Held(&'a Link, Tag),
    /// Nowhere: not attached yet.
    Absent,
}

/// The veth on the instance whose far end is in the task's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnVeth {
    /// The lease that it stands for.
    pub lease: Lease,
    /// What it says of itself, unless the hook that made it died too early.
    pub tag: Option<Tag>,
    /// Whether it is switched on.
    pub up: bool,
}

impl Snapshot {
    /// A link of the instance by name.
    #[must_use]
    pub fn on_instance(&self, name: &str) -> Option<&Link> {
        self.instance.iter().find(|link| link.name == name)
    }

    /// A link of the task by name.
    #[must_use]
    pub fn in_task(&self, name: &str) -> Option<&Link> {
        self.inside.iter().find(|link| link.name == name)
    }

    /// Whether a link has an address. None has where there is no such link.
    ///
    /// # Errors
    /// It has the address with another prefix.
    pub fn has_address(
        &self,
        side: Side,
        link: &InterfaceName,
        address: IpNetwork,
    ) -> Result<bool> {
        let (link, addresses) = match side {
            Side::Instance => (self.on_instance(link.as_str()), &self.addresses),
            Side::Task => (self.in_task(link.as_str()), &self.inside_addresses),
        };
        let Some(link) = link else {
            return Ok(false);
        };
        let mut own = addresses.iter().filter(|(of, _)| *of == link.index);
        match own.find(|(_, other)| other.ip() == address.ip()) {
            None => Ok(false),
            Some((_, other)) if *other == address => Ok(true),
            Some((_, other)) => refuse(format!("{} has it as {other}", link.name)),
        }
    }

    /// The veth that an earlier call for the same container and namespace made.
    ///
    /// # Errors
    /// The namespace belongs to another container, or has a credential interface of somebody else's.
    pub fn own_veth(&self, container: &str, netns: u64) -> Result<Option<OwnVeth>> {
        let tagged = tagged_veths(&self.instance).find(|(_, _, tag)| tag.netns == netns);
        if let Some((link, lease, tag)) = tagged {
            if tag.container != container {
                return refuse(format!(
                    "the network namespace already belongs to the task of container {} \
                     (its veth is {}): stop that one first",
                    tag.container, link.name
                ));
            }
            return Ok(Some(OwnVeth { lease, tag: Some(tag), up: link.up }));
        }
        let Some(inside) = self.in_task(CREDENTIAL_INTERFACE) else {
            return Ok(None);
        };
        let untagged = self.instance.iter().find_map(|link| {
            let lease = Lease::of_link(&link.name)?;
            let joined = link.peer == Some(inside.index) && inside.peer == Some(link.index);
            let fresh = link.alias.is_none() && inside.mac == Some(lease.mac());
            (joined && fresh).then_some(OwnVeth { lease, tag: None, up: link.up })
        });
        match untagged {
            Some(veth) => Ok(Some(veth)),
            None => refuse(format!(
                "the network namespace already has a {CREDENTIAL_INTERFACE} that this hook did \
                 not make: remove it, or use a new namespace"
            )),
        }
    }

    /// Where the ENI of the task with this namespace is.
    ///
    /// # Errors
    /// It is on the instance, but must not be moved; it is a branch, and must not be created; or
    /// several links claim its MAC address.
    pub fn locate(&self, task: &Task, netns: u64) -> Result<Whereabouts<'_>> {
        match task.branch {
            Some(branch) => self.locate_branch(task, branch, netns),
            None => self.locate_interface(task.mac, netns),
        }
    }

    fn locate_interface(&self, mac: Mac, netns: u64) -> Result<Whereabouts<'_>> {
        if let Some(link) = only(self.instance.iter().filter(|link| link.is(mac)), mac)? {
            return self.check_movable(link, mac).map(|()| Whereabouts::Home(link));
        }
        if let Some(link) = self.inside.iter().find(|link| link.is(mac)) {
            return Ok(Whereabouts::Inside(link));
        }
        Ok(tagged_veths(&self.instance)
            .find(|(_, _, tag)| tag.eni == mac && tag.netns != netns)
            .map_or(Whereabouts::Absent, |(link, _, tag)| Whereabouts::Held(link, tag)))
    }

    fn locate_branch(&self, task: &Task, branch: Branch, netns: u64) -> Result<Whereabouts<'_>> {
        let mac = task.mac;
        // A VLAN that somebody made on the trunk has the trunk's MAC address, if not another.
        let trunks = self.instance.iter().filter(|link| link.vlan.is_none());
        let Some(trunk) = only(trunks.filter(|link| link.is(branch.trunk)), branch.trunk)? else {
            return Ok(Whereabouts::Absent);
        };
        let is_branch =
            |link: &&Link| link.vlan == Some(branch.vlan) && link.peer == Some(trunk.index);
        // Where our record says that it is the task's, one without its name and label is a hook's that
        // was killed too early, which is as if it were not there.
        let is_ours = |tag: &Tag| tag.netns == netns && tag.branch == Some(branch);
        let known = tagged_veths(&self.instance).any(|(_, _, tag)| is_ours(&tag));
        let is_unfinished =
            |link: &Link| known && link.name != task.interface.as_str() && link.alias.is_none();
        if let Some(link) = self.inside.iter().find(is_branch).filter(|link| !is_unfinished(link)) {
            return Ok(Whereabouts::Inside(link));
        }
        let held = |tag: &Tag| tag.eni == mac || tag.branch == Some(branch);
        let mut others = tagged_veths(&self.instance).filter(|(_, _, tag)| tag.netns != netns);
        if let Some((veth, _, tag)) = others.find(|(_, _, tag)| held(tag)) {
            return Ok(Whereabouts::Held(veth, tag));
        }
        let leftover = self.instance.iter().find(is_branch);
        let is_ours = |link: &Link| {
            let tag = link.alias.as_deref().and_then(Tag::parse);
            tag.is_some_and(|tag| tag.branch == Some(branch))
        };
        if let Some(link) = leftover.filter(|link| !is_ours(link)) {
            return refuse(format!(
                "{} on the instance has VLAN {} of {} already, and is not ours: delete it, or use \
                 another vlan-id",
                link.name, branch.vlan, trunk.name
            ));
        }
        if let Some(link) = self.instance.iter().find(|link| !is_branch(link) && link.is(mac)) {
            return refuse(format!(
                "{} on the instance has the branch's MAC address {mac} already",
                link.name
            ));
        }
        Ok(Whereabouts::Trunk { branch, trunk, leftover })
    }

    fn check_movable(&self, link: &Link, mac: Mac) -> Result<()> {
        let is = |kind: &str| link.kind.as_deref() == Some(kind);
        let why = if self.uplinks.contains(&link.index) {
            "carries the instance's default route: moving it would cut the instance off"
        } else if self.is_trunk(link, mac) {
            "is a trunk: the branches of other tasks would go with it"
        } else if link.loopback {
            "is the loopback interface"
        } else if !link.ethernet {
            "is not an Ethernet interface"
        } else if link.controller.is_some() {
            "belongs to a bridge or bond"
        } else if is("bridge") {
            "is a bridge"
        } else if is("bond") || is("team") {
            "is a bond"
        } else {
            return Ok(());
        };
        refuse(format!("{} ({mac}) {why}", link.name))
    }

    /// Whether a link has VLANs on it: on the instance, or as branches in tasks.
    fn is_trunk(&self, link: &Link, mac: Mac) -> bool {
        let below = |other: &Link| other.vlan.is_some() && other.peer == Some(link.index);
        let branches = |tag: &Tag| tag.branch.is_some_and(|branch| branch.trunk == mac);
        self.instance.iter().any(below)
            || tagged_veths(&self.instance).any(|(_, _, tag)| branches(&tag))
    }

    /// The MAC addresses on the instance, for somebody who looks for one that is not there.
    #[must_use]
    pub fn macs(&self) -> String {
        let present: Vec<String> = self
            .instance
            .iter()
            .filter(|link| link.ethernet && Lease::of_link(&link.name).is_none())
            .filter_map(|link| {
                let mac = link.permanent_mac.or(link.mac)?;
                Some(format!("{mac} ({})", link.name))
            })
            .collect();
        if present.is_empty() { "none".to_owned() } else { present.join(", ") }
    }
}

/// The only one of these links, if there is one.
fn only<'a>(links: impl Iterator<Item = &'a Link>, mac: Mac) -> Result<Option<&'a Link>> {
    let links: Vec<&Link> = links.collect();
    match links[..] {
        [] => Ok(None),
        [link] => Ok(Some(link)),
        _ => {
            let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
            refuse(format!(
                "several links on the instance have the MAC address {mac} ({}): which one is \
                 meant cannot be told",
                names.join(", ")
            ))
        }
    }
}

/// The veths of all tasks among these links, each with what it says of itself. An ENI that comes
/// home can have any name and any label, but it is no veth on a bridge.
pub fn tagged_veths(links: &[Link]) -> impl Iterator<Item = (&Link, Lease, Tag)> {
    links.iter().filter_map(|link| {
        let lease = Lease::of_link(&link.name)?;
        (link.is_veth() && link.controller.is_some()).then_some(())?;
        Some((link, lease, Tag::parse(link.alias.as_deref()?)?))
    })
}
