//! What the kernel showed at one moment, as data.

use crate::{
    error::{Result, refuse},
    net::{link::Link, mac::Mac, name::InterfaceName, rule::Rule},
    task::{lease::Lease, record::Record},
};
use ipnetwork::IpNetwork;
use std::{borrow::Cow, collections::BTreeSet};

/// Both namespaces.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The instance.
    pub instance: InstanceSnapshot,
    /// The task.
    pub task: TaskSnapshot,
    /// The records that may be about this task: all, or the ENI's alone where the namespace is new.
    pub records: Vec<Record>,
    /// Leases that are taken by what need not be among the links here.
    pub taken: BTreeSet<Lease>,
}

/// The instance's namespace, and what else decides.
#[derive(Clone, Debug)]
pub struct InstanceSnapshot {
    /// Its links. Of those that belong to a bridge or a bond perhaps only the task's own.
    pub links: Vec<Link>,
    /// The indices of those by which it reaches the world.
    pub uplinks: BTreeSet<u32>,
    /// Its policy routing rules.
    pub policy_rules: Vec<Rule>,
    /// The addresses of its links, by index: those of the bridge, and the others only where a rule
    /// could be about one of them.
    pub addresses: Vec<(u32, IpNetwork)>,
    /// Whether its nftables rules are there.
    pub has_nftables: bool,
    /// Whether the kernel has IPv6.
    pub has_ipv6: bool,
}

/// The task's namespace.
#[derive(Clone, Debug)]
pub struct TaskSnapshot {
    /// Its links.
    pub links: Vec<Link>,
    /// Their addresses, by index, in the kernel's order.
    pub addresses: Vec<(u32, IpNetwork)>,
    /// Whether something still keeps it from the metadata service, which it shall now reach.
    pub is_blocked: bool,
}

impl InstanceSnapshot {
    /// A link by name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The same without the alternative names of one ENI, which are taken from it first.
    #[must_use]
    pub fn without_names_of(&self, eni: Mac) -> Cow<'_, Self> {
        let is_named = |link: &Link| link.is(eni) && !link.alternative_names.is_empty();
        if !self.links.iter().any(is_named) {
            return Cow::Borrowed(self);
        }
        let mut other = self.clone();
        for link in other.links.iter_mut().filter(|link| is_named(link)) {
            link.alternative_names.clear();
        }
        Cow::Owned(other)
    }

    /// Whether a link has an address. None has where there is no such link.
    ///
    /// # Errors
    /// It has the address with another prefix.
    pub fn has_address(&self, link: &InterfaceName, address: IpNetwork) -> Result<bool> {
        has_address(self.link(link.as_str()), &self.addresses, address)
    }
}

impl TaskSnapshot {
    /// A link by name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The addresses of a link, in the kernel's order; none where there is no such link.
    #[must_use]
    pub fn addresses_of(&self, link: &InterfaceName) -> Vec<IpNetwork> {
        let index = self.link(link.as_str()).map(|link| link.index);
        let own = self.addresses.iter().filter(|(of, _)| Some(*of) == index);
        own.map(|(_, address)| *address).collect()
    }

    /// Whether a link has an address. None has where there is no such link.
    ///
    /// # Errors
    /// It has the address with another prefix.
    pub fn has_address(&self, link: &InterfaceName, address: IpNetwork) -> Result<bool> {
        has_address(self.link(link.as_str()), &self.addresses, address)
    }
}

fn has_address(
    link: Option<&Link>,
    addresses: &[(u32, IpNetwork)],
    address: IpNetwork,
) -> Result<bool> {
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
