//! Straight at another task, over the bridge.

use super::{
    arena::{Arena, GATEWAY, Task, UDP_PORT},
    stopped_by_flags, try_all,
};
use crate::fixtures::{EVERYBODY, Frame, NOBODY, Server, link_local, mac_text};
use std::{
    net::{Ipv4Addr, TcpStream, UdpSocket},
    time::Duration,
};

const ALL_NODES: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Makes a task believe that another is on its link, and where.
fn forge_route(from: &Task, to: &Task) {
    let mac = mac_text(to.mac);
    from.netns.ip(&format!("route replace {} dev ecs-eth0", to.ip));
    from.netns.ip(&format!("neigh replace {} lladdr {mac} dev ecs-eth0 nud permanent", to.ip));
}

/// Sends a frame from A to B, as who they are; whether B sees it.
fn reaches(arena: &Arena, frame: Frame, says: &str) -> bool {
    arena.a.wire.send(&frame.between(arena.a.mac, arena.b.mac));
    arena.b.wire.hears(says, arena.patience)
}

fn tcp(arena: &Arena) -> bool {
    forge_route(&arena.a, &arena.b);
    let to = (arena.b.ip, 80).into();
    arena.a.netns.within(|| TcpStream::connect_timeout(&to, Duration::from_millis(50)).ok());
    let (from, protocol) = (6..12, 23);
    arena.b.wire.sees(arena.patience, |frame| {
        frame.get(from.clone()) == Some(&arena.a.mac) && frame.get(protocol) == Some(&6)
    })
}

fn udp(arena: &Arena) -> bool {
    forge_route(&arena.a, &arena.b);
    let ear = arena.ear(&arena.b.netns);
    arena.a.netns.within(|| {
        let socket = UdpSocket::bind((arena.a.ip, 0)).expect("bound");
        socket.send_to(b"by forged route", (arena.b.ip, UDP_PORT)).expect("sent");
    });
    ear.hears("by forged route")
}

fn collusion(arena: &Arena) -> bool {
    forge_route(&arena.a, &arena.b);
    forge_route(&arena.b, &arena.a);
    let shop = Server::start(&arena.b.netns, &format!("{}:8080", arena.b.ip), "contraband");
    let open = arena.soon(|| shop.ask_from(&arena.a.netns).is_some());
    arena.b.netns.ip(&format!("neigh del {} dev ecs-eth0", arena.a.ip));
    open
}

fn ping(arena: &Arena) -> bool {
    reaches(arena, Frame::ping(arena.a.ip, arena.b.ip, "an echo request"), "an echo request")
}

fn arp_gateway(arena: &Arena) -> bool {
    let claim = (arena.a.mac, GATEWAY);
    reaches(arena, Frame::arp(2, claim, arena.b.ip, "A is the gateway"), "A is the gateway")
}

fn arp_everybody(arena: &Arena) -> bool {
    let frame = Frame::arp(1, (arena.a.mac, GATEWAY), GATEWAY, "to all: A is the gateway");
    arena.a.wire.send(&frame.between(arena.a.mac, EVERYBODY));
    arena.b.wire.hears("to all: A is the gateway", arena.patience)
}

/// A neighbour advertisement (RFC 4861, section 4.4) that overrides: the gateway is A.
fn nd_gateway(arena: &Arena) -> bool {
    let gateway = link_local(&arena.instance.netns, "ecs-bridge");
    let claim = [&gateway.octets()[..], &[2, 1], &arena.a.mac, b"A is the IPv6 gateway"].concat();
    let to = link_local(&arena.b.netns, "ecs-eth0");
    let frame = Frame::icmpv6(gateway, to, 136, [0x20, 0, 0, 0], &claim);
    reaches(arena, frame, "A is the IPv6 gateway")
}

/// A router advertisement: B's way to all of IPv6 leads through A.
fn ra(arena: &Arena) -> bool {
    let from = link_local(&arena.a.netns, "ecs-eth0");
    // Hop limit 64, a lifetime of 1800 s; no times.
    let frame = Frame::icmpv6(from, ALL_NODES, 134, [64, 0, 7, 8], &[0; 8]);
    let all_nodes = [0x33, 0x33, 0, 0, 0, 1];
    arena.soon(|| {
        arena.a.wire.send(&frame.clone().between(arena.a.mac, all_nodes));
        arena.b.netns.ip("-6 route show default").contains("ecs-eth0")
    })
}

fn as_the_gateway(arena: &Arena) -> bool {
    let frame = Frame::udp(GATEWAY, arena.b.ip, UDP_PORT, "from the gateway");
    let ear = arena.ear(&arena.b.netns);
    arena.a.wire.send(&frame.between(super::arena::BRIDGE, arena.b.mac));
    ear.hears("from the gateway")
}

/// What ends B's connection to the agent, if its numbers are guessed.
fn as_the_agent(arena: &Arena) -> bool {
    let agent = super::arena::ENDPOINT;
    let frame = Frame::answer(agent, 80, arena.b.ip, UDP_PORT, "from the agent");
    arena.a.wire.send(&frame.between(arena.a.mac, arena.b.mac));
    arena.b.wire.hears("from the agent", arena.patience)
}

fn unknown_unicast(arena: &Arena) -> bool {
    let frame = Frame::udp(arena.a.ip, arena.b.ip, UDP_PORT, "to nobody known");
    arena.a.wire.send(&frame.between(arena.a.mac, NOBODY));
    arena.b.wire.hears("to nobody known", arena.patience)
}

fn broadcast(arena: &Arena) -> bool {
    let frame = Frame::udp(arena.a.ip, Ipv4Addr::BROADCAST, UDP_PORT, "to everybody");
    arena.a.wire.send(&frame.between(arena.a.mac, EVERYBODY));
    arena.b.wire.hears("to everybody", arena.patience)
}

fn multicast(arena: &Arena) -> bool {
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let frame = Frame::udp(arena.a.ip, group, 5353, "to a group");
    arena.a.wire.send(&frame.between(arena.a.mac, [1, 0, 0x5e, 0, 0, 251]));
    arena.b.wire.hears("to a group", arena.patience)
}

fn bpdu(arena: &Arena) -> bool {
    let frame = Frame::other(38, "spanning tree");
    arena.a.wire.send(&frame.between(arena.a.mac, [1, 0x80, 0xc2, 0, 0, 0]));
    arena.b.wire.hears("spanning tree", arena.patience)
}

fn link_local_udp(arena: &Arena) -> bool {
    let [from, to] = [&arena.a, &arena.b].map(|task| link_local(&task.netns, "ecs-eth0"));
    let ear = arena.ear(&arena.b.netns);
    let frame = Frame::udp(from, to, UDP_PORT, "link-local");
    arena.a.wire.send(&frame.between(arena.a.mac, arena.b.mac));
    ear.hears("link-local")
}

fn group_v6(arena: &Arena) -> bool {
    let from = link_local(&arena.a.netns, "ecs-eth0");
    let frame = Frame::udp(from, ALL_NODES, UDP_PORT, "to all IPv6 nodes");
    arena.a.wire.send(&frame.between(arena.a.mac, [0x33, 0x33, 0, 0, 0, 1]));
    arena.b.wire.hears("to all IPv6 nodes", arena.patience)
}

#[test]
fn a_task_does_not_reach_another_task() {
    try_all(
        &[
            stopped_by_flags("TCP to B by forged route and neighbour entry", tcp),
            stopped_by_flags("UDP to B by forged route and neighbour entry", udp),
            stopped_by_flags("A and B together, against the rules", collusion),
            stopped_by_flags("ping to B", ping),
            stopped_by_flags("UDP to B as the gateway", as_the_gateway),
            stopped_by_flags("packet to B as the agent", as_the_agent),
            stopped_by_flags("unknown unicast, flooded to B", unknown_unicast),
            stopped_by_flags("broadcast to B", broadcast),
            stopped_by_flags("multicast to B", multicast),
            stopped_by_flags("spanning tree to B", bpdu),
        ],
        "",
    );
}

#[test]
fn a_task_does_not_pose_as_the_gateway_to_another_task() {
    try_all(
        &[
            stopped_by_flags("ARP to B: A is the gateway", arp_gateway),
            stopped_by_flags("ARP to all: A is the gateway", arp_everybody),
            stopped_by_flags("ND to B: A is the gateway", nd_gateway),
            stopped_by_flags("RA to B: A is the router", ra),
            stopped_by_flags("IPv6 link-local UDP to B", link_local_udp),
            stopped_by_flags("IPv6 multicast to B", group_v6),
        ],
        "",
    );
}
