//! The instance's rules: what a task may reach of it, and how. Pure.
//!
//! Two tables, installed whole in one transaction, with nothing in them that depends on which tasks are
//! there: a task's veth name, MAC and IP address are one fixed mapping, so all that there can be are listed
//! once.

use super::rule::{
    Chain, Element, EtherType, Family, Hook, Interfaces, Kind, Part, Rule, Sender, Set, Table,
    Transport,
};
use crate::{
    input::config::{credentials::CredentialNetwork, host::Host},
    task::lease::Lease,
};
use ipnetwork::IpNetwork;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const LEASES: &str = "leases";
const LEASES6: &str = "leases6";

/// The tables that a configuration asks for.
pub(super) fn tables(credentials: &CredentialNetwork, host: &Host) -> Vec<Table> {
    let mut chains = Vec::new();
    if host.redirect || host.filter || host.source_checks {
        chains.push(guard(credentials));
    }
    if host.redirect {
        chains.push(redirect(credentials, host));
    }
    if host.filter {
        chains.push(input(credentials, host));
        chains.push(forward(credentials, host));
    }
    let mut tables = Vec::new();
    if !chains.is_empty() {
        tables.push(Table { family: Family::Inet, sets: Vec::new(), chains });
    }
    if host.source_checks {
        let chains = vec![source(credentials)];
        tables.push(Table { family: Family::Bridge, sets: leases(credentials), chains });
    }
    tables
}

fn from_bridge(credentials: &CredentialNetwork) -> Part {
    Part::In(Interfaces::Named(credentials.bridge.clone()))
}

/// All that tasks' veths on the instance can be called.
fn ports(credentials: &CredentialNetwork) -> Interfaces {
    Interfaces::BeginningWith(Lease::common_prefix(credentials.subnet))
}

/// What the other chains do not have to think of.
///
/// A packet in a frame to one of a bridge's own groups (01:80:c2:00:00:0e and the like) comes in by
/// the port itself, past the bridge. And the redirect leads to a loopback address, so the bridge must
/// let packets to such in (`route_localnet`): none may come so addressed from a task.
fn guard(credentials: &CredentialNetwork) -> Chain {
    let loopback = || IpNetwork::new(Ipv4Addr::new(127, 0, 0, 0).into(), 8).into_iter();
    let mut rules = vec![Rule(vec![Part::In(ports(credentials)), Part::Count, Part::Drop])];
    for end in loopback().map(Part::To).chain(loopback().map(Part::From)) {
        rules.push(Rule(vec![from_bridge(credentials), end, Part::Count, Part::Drop]));
    }
    Chain::filter("guard", Hook::Prerouting, -300, rules)
}

/// Where tasks find their credentials, and where the agent is that has them: over IPv6 at the bridge's own
/// address, for a redirect from there to `::1` leads nowhere (there is no `route_localnet` for IPv6).
fn redirects(credentials: &CredentialNetwork, host: &Host) -> Vec<(IpAddr, SocketAddr)> {
    let v6 = credentials.ipv6_of(credentials.gateway);
    let v6 = v6.map(|bridge| {
        (credentials.ipv6_endpoint.into(), SocketAddr::new(bridge.into(), host.agent.port()))
    });
    [Some((credentials.endpoint.into(), host.agent.into())), v6].into_iter().flatten().collect()
}

/// Before the chain of iptables (-100), where ecs-init may have put the same.
fn redirect(credentials: &CredentialNetwork, host: &Host) -> Chain {
    let rule = |(endpoint, agent): (IpAddr, _)| {
        Rule(vec![
            from_bridge(credentials),
            Part::To(endpoint.into()),
            Part::Port(Transport::Tcp, 80),
            Part::Redirect(agent),
        ])
    };
    let rules = redirects(credentials, host).into_iter().map(rule).collect();
    let (name, hook) = ("credentials", Hook::Prerouting);
    Chain { name, kind: Kind::Nat, hook, priority: -105, rules }
}

/// What the redirect has made of a question for credentials.
fn redirected(endpoint: IpAddr, agent: SocketAddr) -> Vec<Part> {
    vec![
        Part::To(agent.ip().into()),
        Part::Port(Transport::Tcp, agent.port()),
        Part::RedirectedFrom(endpoint),
    ]
}

/// What enters the instance. `accept` ends only this chain: other tables' rules still apply.
fn input(credentials: &CredentialNetwork, host: &Host) -> Chain {
    let bridge = Interfaces::Named(credentials.bridge.clone());
    let mut rules = vec![Rule(vec![Part::NotIn(bridge), Part::Accept])];
    let subnets = [Some(credentials.subnet.into()), credentials.ipv6_subnet.map(IpNetwork::V6)];
    for subnet in subnets.into_iter().flatten() {
        // Not what is related, too: any task may send an ICMP error about anybody's connection.
        rules.push(Rule(vec![Part::From(subnet), Part::Answer, Part::Accept]));
    }
    for (endpoint, agent) in redirects(credentials, host) {
        rules.push(Rule([redirected(endpoint, agent), vec![Part::Accept]].concat()));
    }
    let tcp = host.open_tcp_ports.iter().map(|port| (Transport::Tcp, *port));
    let udp = host.open_udp_ports.iter().map(|port| (Transport::Udp, *port));
    for (transport, port) in tcp.chain(udp) {
        for gateway in credentials.gateways() {
            let to = [Part::To(gateway.into()), Part::Port(transport, port), Part::Accept];
            rules.push(Rule(to.to_vec()));
        }
    }
    rules.push(Rule(vec![Part::Count, Part::Drop]));
    Chain::filter("input", Hook::Input, -5, rules)
}

/// What is routed from and to tasks: nothing, but to the agent where that is not on the instance itself.
/// Frames between ports come by here too where the instance filters bridged frames
/// (`bridge-nf-call-iptables`), and without isolation those may pass.
fn forward(credentials: &CredentialNetwork, host: &Host) -> Chain {
    let to_bridge = || Part::Out(Interfaces::Named(credentials.bridge.clone()));
    let mut rules = Vec::new();
    if !credentials.isolation {
        rules.push(Rule(vec![from_bridge(credentials), to_bridge(), Part::Accept]));
    }
    if host.may_be_elsewhere() {
        let question = redirected(credentials.endpoint.into(), host.agent.into());
        let answer =
            vec![to_bridge(), Part::From(IpAddr::V4(*host.agent.ip()).into()), Part::Answer];
        for mut way in [[vec![from_bridge(credentials)], question].concat(), answer] {
            way.push(Part::Accept);
            rules.push(Rule(way));
        }
    }
    rules.push(Rule(vec![from_bridge(credentials), Part::Count, Part::Drop]));
    rules.push(Rule(vec![to_bridge(), Part::Count, Part::Drop]));
    Chain::filter("forward", Hook::Forward, -5, rules)
}

/// What a task's port takes. `ether type` looks at the frame, so a VLAN tag is neither of these. Where
/// tasks are kept apart, there is nobody but the gateway to ask for: not which other addresses the
/// instance has.
fn source(credentials: &CredentialNetwork) -> Chain {
    let lease = |kind, sender, set| vec![Part::EtherType(kind), Part::Sender(sender, set)];
    let accepted = |mut parts: Vec<Part>| {
        parts.push(Part::Accept);
        Rule(parts)
    };
    let mut arp = lease(EtherType::Arp, Sender::Arp, LEASES);
    arp.push(Part::Sender(Sender::ArpAlone, LEASES));
    if credentials.isolation {
        arp.push(Part::ArpTo(credentials.gateway));
    }
    let mut rules = vec![
        accepted(vec![Part::NotIn(ports(credentials))]),
        accepted(lease(EtherType::Ip, Sender::Ip, LEASES)),
        accepted(arp),
    ];
    if credentials.ipv6_subnet.is_some() {
        rules.push(accepted(lease(EtherType::Ip6, Sender::Ip6, LEASES6)));
    }
    rules.push(Rule(vec![Part::Count, Part::Drop]));
    Chain::filter("source", Hook::Prerouting, -300, rules)
}

/// Every lease that there can be.
fn leases(credentials: &CredentialNetwork) -> Vec<Set> {
    let elements = |is_ipv4| {
        let leases = Lease::all(credentials.subnet, credentials.gateway);
        leases.filter_map(move |lease| {
            let v6 = || credentials.ipv6_of(lease.address()).map(IpAddr::V6);
            let address = if is_ipv4 { Some(IpAddr::V4(lease.address())) } else { v6() };
            Some(Element { lease, address: address? })
        })
    };
    let mut sets = vec![Set { name: LEASES, is_ipv4: true, elements: elements(true).collect() }];
    if credentials.ipv6_subnet.is_some() {
        sets.push(Set { name: LEASES6, is_ipv4: false, elements: elements(false).collect() });
    }
    sets
}
