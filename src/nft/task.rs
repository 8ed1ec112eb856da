//! A task's rules, in its own namespace: what it must not reach. Pure.
//!
//! A route is no filter: a process that binds its socket to an interface is not asked for one. So the
//! destinations are rejected where packets leave, whoever sends them by whatever kind of socket, and what other
//! namespaces send through this one. Frames that are written by hand (packet sockets) come by there no more;
//! they are stopped at the interface, where the kernel has such a hook (`egress`, Linux 5.16).

use super::rule::{Chain, EtherType, Family, Hook, Part, Rule, Table, Transport};
use crate::net::name::InterfaceName;
use ipnetwork::IpNetwork;

/// Rejects packets to these destinations. After destinations are changed (`dstnat`, -100): a proxy in the task
/// may answer for them.
///
/// TCP by a reset: an ICMP error may come while the kernel is still busy connecting, which then waits for a
/// second (`tcp_v6_err`, `net/ipv6/tcp_ipv6.c`).
pub(super) fn packets(blocked: &[IpNetwork]) -> Vec<Table> {
    let reject = |network: &IpNetwork| {
        let (to, tcp) = (Part::To(*network), Part::Protocol(Transport::Tcp));
        [
            Rule(vec![to.clone(), tcp, Part::Count, Part::Reset]),
            Rule(vec![to, Part::Count, Part::Reject]),
        ]
    };
    let rules = || blocked.iter().flat_map(reject).collect();
    let chains = vec![
        Chain::filter("output", Hook::Output, 0, rules()),
        Chain::filter("forward", Hook::Forward, 0, rules()),
    ];
    table(Family::Inet, chains, blocked)
}

/// Drops frames to these destinations, as they leave by an interface.
///
/// By the frame's own bytes: what the kernel otherwise knows of a frame is what its sender said of it. And
/// what is not readable so, in a VLAN for instance, is dropped: a VPC carries nothing but IP and ARP.
pub(super) fn frames(link: &InterfaceName, blocked: &[IpNetwork]) -> Vec<Table> {
    let mut rules = vec![Rule(vec![Part::FrameType(EtherType::Arp), Part::Accept])];
    for (kind, is_ipv4) in [(EtherType::Ip, true), (EtherType::Ip6, false)] {
        for network in blocked.iter().filter(|network| network.is_ipv4() == is_ipv4) {
            let to = [Part::FrameType(kind), Part::FrameTo(*network), Part::Count, Part::Drop];
            rules.push(Rule(to.to_vec()));
        }
        rules.push(Rule(vec![Part::FrameType(kind), Part::Accept]));
    }
    rules.push(Rule(vec![Part::Count, Part::Drop]));
    table(
        Family::Netdev,
        vec![Chain::filter("egress", Hook::Egress(link.clone()), 0, rules)],
        blocked,
    )
}

fn table(family: Family, chains: Vec<Chain>, blocked: &[IpNetwork]) -> Vec<Table> {
    let wanted = !blocked.is_empty();
    wanted.then(|| Table { family, sets: Vec::new(), chains }).into_iter().collect()
}
