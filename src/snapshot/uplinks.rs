//! The interfaces that the instance itself uses to reach the world: never to be touched.

use crate::{
    error::{Doing, Result},
    kernel::socket::Netlink,
    net::link::Link,
    task::METADATA,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Addresses in both halves of the world, for somebody who has routes to halves instead of a default one
/// (RFC 6598, RFC 5737, RFC 5180 and RFC 9637 keep these from being anybody's).
const WORLD: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 127, 255, 254)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 1)),
];

/// The indices of these interfaces: those by which the kernel would send packets to the world and to the
/// metadata service, those of the best default routes, and all that is below them.
pub fn uplinks(netlink: &Netlink, links: &[Link]) -> Result<BTreeSet<u32>> {
    let doing = || "asking for the instance's routes";
    let mut uplinks = BTreeSet::new();
    let mut next = netlink.default_links().doing(doing)?;
    for address in WORLD.into_iter().chain(METADATA) {
        next.extend(netlink.links_towards(address).doing(doing)?);
    }
    while let Some(index) = next.pop() {
        if !uplinks.insert(index) {
            continue;
        }
        let Some(link) = links.iter().find(|link| link.index == index) else { continue };
        next.extend(below(link, links));
        if let Some(far) = link.tunnel_to {
            next.extend(netlink.links_towards(far).doing(doing)?);
        }
    }
    Ok(uplinks)
}

/// What a VLAN, macvlan or tunnel stands on, and what belongs to a bridge or bond.
fn below<'a>(link: &'a Link, links: &'a [Link]) -> impl Iterator<Item = u32> {
    let is_on = !link.is_veth() && link.peer_netns.is_none();
    let lower = link.peer.filter(|lower| is_on && *lower != 0);
    let members = links.iter().filter(|other| other.controller == Some(link.index));
    lower.into_iter().chain(members.map(|other| other.index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::link;

    #[test]
    fn what_is_below_is_found() {
        let eth0 = link(2, "eth0");
        let member = Link { controller: Some(5), ..link(3, "eth1") };
        let vlan = Link { kind: Some("vlan".to_owned()), peer: Some(2), ..link(4, "eth0.7") };
        let bridge = Link { kind: Some("bridge".to_owned()), ..link(5, "br0") };
        let veth = Link { kind: Some("veth".to_owned()), peer: Some(2), ..link(6, "veth0") };
        let elsewhere = Link { peer_netns: Some(1), ..Link { index: 7, ..vlan.clone() } };
        let links = [eth0, member, vlan, bridge, veth, elsewhere];
        let indices = |index| -> Vec<u32> {
            let link = links.iter().find(|link| link.index == index).expect("a link");
            below(link, &links).collect()
        };
        assert_eq!(indices(4), [2]);
        assert_eq!(indices(5), [3]);
        for other in [2, 3, 6, 7] {
            assert!(indices(other).is_empty());
        }
    }
}
