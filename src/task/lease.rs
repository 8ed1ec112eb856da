//! A task's link-local address, and the two things that follow from it: the name of the veth on the
//! instance and the MAC address inside.
//!
//! The name *is* the lease. Creating a link whose name exists fails with EEXIST, atomically, and
//! the name is free again the moment the link dies with its task's namespace. So there is no lease
//! database that could leak, go stale or need a lock.

use crate::{
    net::{mac::Mac, name::InterfaceName},
    task::hash::fnv1a,
};
use ipnetwork::Ipv4Network;
use std::{fmt, net::Ipv4Addr};

/// What the name of every task's veth on the instance starts with; the address in hex follows.
const PREFIX: &str = "ecs";

/// One address of the credential subnet, held by one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease(Ipv4Addr);

impl Lease {
    /// The lease on this address.
    #[must_use]
    pub fn on(address: Ipv4Addr) -> Self {
        Self(address)
    }

    /// Reads the lease back from the name of a link; `None` if it is not a task's veth.
    #[must_use]
    pub fn of_link(name: &str) -> Option<Self> {
        let hex = name.strip_prefix(PREFIX)?;
        let address = Self(u32::from_str_radix(hex, 16).ok()?.into());
        (address.link_name().as_str() == name).then_some(address)
    }

    /// The leased address.
    #[must_use]
    pub fn address(self) -> Ipv4Addr {
        self.0
    }

    /// The name of the task's veth on the instance: `169.254.172.12` is `ecsa9feac0c`.
    #[must_use]
    pub fn link_name(self) -> InterfaceName {
        InterfaceName::known(format!("{PREFIX}{:08x}", u32::from(self.0)))
    }

    /// The same name as bytes, and much faster: for a thousand of them.
    #[must_use]
    pub fn link_name_bytes(self) -> [u8; 11] {
        let mut name = *b"ecs00000000";
        let digits = (0..8).rev().map(|digit| u32::from(self.0) >> (4 * digit) & 0xf);
        for (byte, digit) in name[PREFIX.len()..].iter_mut().zip(digits) {
            *byte = b"0123456789abcdef"[digit as usize];
        }
        name
    }

    /// The MAC address of the interface in the task. The same address always has the same MAC, so
    /// a neighbour entry for it can never be stale.
    #[must_use]
    pub fn mac(self) -> Mac {
        Mac::of_address(self.0)
    }

    /// Every address that a task may hold, in the order in which the task `id` should try them: from
    /// a position that follows from the id, in strides that follow from it too. So even where nearly
    /// all are held, fifty tries find a free one; one after the other, it would be five hundred. The
    /// network's own address, its broadcast address and the gateway are never handed out.
    pub fn candidates(
        subnet: Ipv4Network,
        gateway: Ipv4Addr,
        id: &str,
    ) -> impl Iterator<Item = Self> {
        let hash = fnv1a(id);
        Self::once_around(subnet, gateway, hash, hash.rotate_left(32))
    }

    /// Every address that any task may hold.
    pub fn all(subnet: Ipv4Network, gateway: Ipv4Addr) -> impl Iterator<Item = Self> {
        Self::once_around(subnet, gateway, 0, 0)
    }

    /// What the names of all veths of a subnet start with: the hexadecimal digits that all its
    /// addresses have in common.
    #[must_use]
    pub fn common_prefix(subnet: Ipv4Network) -> String {
        let name = Self(subnet.network()).link_name();
        let digits = usize::from(subnet.prefix() / 4);
        name.as_str()[..PREFIX.len() + digits].to_owned()
    }

    fn once_around(
        subnet: Ipv4Network,
        gateway: Ipv4Addr,
        start: u64,
        stride: u64,
    ) -> impl Iterator<Item = Self> {
        let (first, last) = (u32::from(subnet.network()), u32::from(subnet.broadcast()));
        let hosts = u64::from(last - first).saturating_sub(1).max(1);
        let start = start % hosts;
        // A stride that has no divisor in common with their number comes by all of them.
        let mut strides = 1 + stride % hosts..=hosts + 1;
        let stride = strides.find(|stride| gcd(*stride, hosts) == 1).unwrap_or(1);
        (0..hosts)
            .map(move |step| (start + step * stride) % hosts)
            .map(move |place| first + 1 + u32::try_from(place).unwrap_or(0))
            .map(|address| Self(address.into()))
            .filter(move |lease| lease.0 != gateway && u32::from(lease.0) != last)
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn all(subnet: &str, gateway: &str, id: &str) -> Vec<String> {
        let (subnet, gateway) = (subnet.parse().expect("a"), gateway.parse().expect("b"));
        Lease::candidates(subnet, gateway, id).map(|lease| lease.to_string()).collect()
    }

    #[test]
    fn name_and_mac_follow_from_the_address() {
        let lease = Lease::on("169.254.172.12".parse().expect("an address"));
        assert_eq!(lease.link_name().as_str(), "ecsa9feac0c");
        assert_eq!(lease.link_name_bytes(), *b"ecsa9feac0c");
        assert_eq!(lease.mac().to_string(), "0a:58:a9:fe:ac:0c");
        assert_eq!(Lease::of_link("ecsa9feac0c"), Some(lease));
        for other in ["ecs-bridge", "ecs-eth0", "ecsA9FEAC0C", "ecs+9feac0c", "eth0", "ecs1"] {
            assert_eq!(Lease::of_link(other), None, "{other}");
        }
    }

    #[test]
    fn a_small_subnet_is_handed_out_whole_but_for_three() {
        let mut got = all("10.9.9.0/29", "10.9.9.1", "abc");
        got.sort();
        assert_eq!(got, ["10.9.9.2", "10.9.9.3", "10.9.9.4", "10.9.9.5", "10.9.9.6"]);
        assert_eq!(all("10.9.9.0/30", "10.9.9.2", "abc"), ["10.9.9.1"]);
    }

    #[test]
    fn the_default_subnet_has_1021_and_the_same_id_starts_at_the_same_one() {
        let got = all("169.254.172.0/22", "169.254.172.1", "abc");
        assert_eq!(got.iter().collect::<HashSet<_>>().len(), 1021);
        assert_eq!(got, all("169.254.172.0/22", "169.254.172.1", "abc"));
        assert_ne!(got[0], all("169.254.172.0/22", "169.254.172.1", "abd")[0]);
    }

    #[test]
    fn a_nearly_full_subnet_needs_few_tries() {
        let subnet: Ipv4Network = "169.254.172.0/22".parse().expect("a subnet");
        let gateway = "169.254.172.1".parse().expect("an address");
        let mut held = HashSet::new();
        let mut tries = Vec::new();
        for task in 0..1000 {
            let id = format!("task-{task}");
            let candidates = Lease::candidates(subnet, gateway, &id);
            tries.push(1 + candidates.take_while(|lease| !held.insert(lease.0)).count());
        }
        let last: usize = tries[900..].iter().sum::<usize>() / 100;
        assert!(last < 40, "{last} tries a task for the last hundred of a thousand");
    }

    #[test]
    fn the_names_of_a_subnet_have_a_beginning_in_common() {
        for (subnet, prefix) in [
            ("169.254.172.0/22", "ecsa9fea"),
            ("10.0.0.0/8", "ecs0a"),
            ("10.128.0.0/9", "ecs0a"),
            ("10.9.9.8/30", "ecs0a09090"),
        ] {
            let subnet: Ipv4Network = subnet.parse().expect("a subnet");
            assert_eq!(Lease::common_prefix(subnet), prefix);
        }
        let subnet = "10.9.9.0/29".parse().expect("a subnet");
        let all: Vec<_> = Lease::all(subnet, "10.9.9.1".parse().expect("one")).collect();
        assert_eq!(all.len(), 5);
    }
}
