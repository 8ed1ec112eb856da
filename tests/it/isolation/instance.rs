//! At the instance itself.

use super::{
    SOON,
    arena::{Arena, BRIDGE, Defence, GATEWAY, INSTANCE, ROUTER, UDP_PORT},
    not_stopped_by_flags, try_all,
};
use crate::fixtures::{Frame, link_local};
use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream},
    time::{Duration, Instant},
};

/// Sends a datagram to where the instance listens.
fn hears(arena: &Arena, to: impl Into<IpAddr>, on_the_wire: [u8; 6], says: &str) -> bool {
    let ear = arena.ear(&arena.instance.netns);
    let frame = Frame::udp(arena.a.ip, to, UDP_PORT, says);
    arena.a.wire.send(&frame.between(arena.a.mac, on_the_wire));
    ear.hears(says)
}

fn connects(arena: &Arena, to: Ipv4Addr, port: u16) -> bool {
    let other = to != GATEWAY;
    if other {
        arena.a.netns.ip(&format!("route add {to} via {GATEWAY} dev ecs-eth0"));
    }
    let patience = arena.patience.min(Duration::from_secs(1));
    let connect = || TcpStream::connect_timeout(&(to, port).into(), patience).is_ok();
    let connected = arena.soon(|| arena.a.netns.within(connect));
    if other {
        arena.a.netns.ip(&format!("route del {to} dev ecs-eth0"));
    }
    connected
}

fn udp(arena: &Arena) -> bool {
    hears(arena, GATEWAY, BRIDGE, "to the bridge's address")
}

fn udp_to_another_address(arena: &Arena) -> bool {
    hears(arena, INSTANCE, BRIDGE, "to eth0's address")
}

/// As ecs-init sets it, for the agent's sake.
fn route_localnet(arena: &Arena) {
    arena.instance.netns.run("echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet");
}

/// With which the kernel takes packets from an address of its own.
fn accept_local(arena: &Arena) {
    route_localnet(arena);
    arena.instance.netns.run("echo 1 >/proc/sys/net/ipv4/conf/all/accept_local");
}

fn udp_to_loopback(arena: &Arena) -> bool {
    hears(arena, Ipv4Addr::LOCALHOST, BRIDGE, "to 127.0.0.1")
}

fn udp_as_loopback(arena: &Arena) -> bool {
    let ear = arena.ear(&arena.instance.netns);
    let frame = Frame::udp(Ipv4Addr::LOCALHOST, GATEWAY, UDP_PORT, "from 127.0.0.1");
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    ear.hears("from 127.0.0.1")
}

/// Frames to a bridge's own groups come in by the port itself, past the bridge.
fn past_the_bridge(arena: &Arena) -> bool {
    [0x00, 0x02, 0x03, 0x0e]
        .into_iter()
        .any(|group| hears(arena, INSTANCE, [1, 0x80, 0xc2, 0, 0, group], "past the bridge"))
}

fn broadcast(arena: &Arena) -> bool {
    hears(arena, Ipv4Addr::BROADCAST, crate::fixtures::EVERYBODY, "to everybody")
}

fn ping(arena: &Arena) -> bool {
    let frame = Frame::ping(arena.a.ip, GATEWAY, "are you there?");
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    arena.a.wire.hears("are you there?", arena.patience)
}

fn ssh(arena: &Arena) -> bool {
    connects(arena, GATEWAY, 22)
}

fn introspection(arena: &Arena) -> bool {
    connects(arena, GATEWAY, 51678)
}

fn ssh_of_another_address(arena: &Arena) -> bool {
    connects(arena, INSTANCE, 22)
}

/// What the instance itself talks to in the VPC cannot be reached, says A, who is not asked.
fn icmp_error(arena: &Arena) -> bool {
    let (asking, port) = arena.conversation(ROUTER, 5353);
    let about = Frame::answer(INSTANCE, port, ROUTER, 5353, "who?");
    let frame = Frame::unreachable(arena.a.ip, INSTANCE, &about);
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    asking.recv(&mut [0; 8]).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn link_local_udp(arena: &Arena) -> bool {
    let to = link_local(&arena.instance.netns, "ecs-bridge");
    let from = link_local(&arena.a.netns, "ecs-eth0");
    let ear = arena.ear(&arena.instance.netns);
    let frame = Frame::udp(from, to, UDP_PORT, "IPv6 link-local");
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    ear.hears("IPv6 link-local")
}

fn link_local_tcp(arena: &Arena) -> bool {
    let to = link_local(&arena.instance.netns, "ecs-bridge");
    let link = arena.a.netns.link("ecs-eth0").expect("the interface")["ifindex"].as_u64();
    let link = u32::try_from(link.expect("an index")).expect("an index");
    let to = std::net::SocketAddrV6::new(to, 51678, 0, link).into();
    let patience = arena.patience.min(Duration::from_secs(1));
    let connect = || TcpStream::connect_timeout(&to, patience).is_ok();
    // The task's own address is not usable at once.
    let until = Instant::now() + arena.patience;
    while Instant::now() < until {
        if arena.a.netns.within(connect) {
            return true;
        }
    }
    false
}

fn multicast_v6(arena: &Arena) -> bool {
    let ear = arena.ear(&arena.instance.netns);
    let from = link_local(&arena.a.netns, "ecs-eth0");
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let frame = Frame::udp(from, all_nodes, UDP_PORT, "to all nodes");
    arena.a.wire.send(&frame.between(arena.a.mac, [0x33, 0x33, 0, 0, 0, 1]));
    ear.hears("to all nodes")
}

#[test]
fn a_task_reaches_nothing_of_the_instance() {
    try_all(
        &[
            not_stopped_by_flags("UDP to the bridge's address", udp),
            not_stopped_by_flags("UDP to the address of eth0", udp_to_another_address),
            not_stopped_by_flags("UDP to 127.0.0.1", udp_to_loopback).staged(route_localnet),
            not_stopped_by_flags("UDP from 127.0.0.1", udp_as_loopback).staged(accept_local),
            not_stopped_by_flags("broadcast to the instance", broadcast),
            not_stopped_by_flags("ping", ping),
            not_stopped_by_flags("TCP to ssh", ssh),
            not_stopped_by_flags("TCP to ssh at the address of eth0", ssh_of_another_address),
            not_stopped_by_flags("the agent's introspection port, 51678", introspection),
            not_stopped_by_flags(
                "a forged ICMP error about the instance's own traffic",
                icmp_error,
            ),
            not_stopped_by_flags("UDP past the bridge, to its own groups", past_the_bridge),
        ],
        "",
    );
}

#[test]
fn nor_by_ipv6_link_local() {
    try_all(
        &[
            not_stopped_by_flags("IPv6 link-local UDP", link_local_udp),
            not_stopped_by_flags("IPv6 link-local TCP to 51678", link_local_tcp),
            not_stopped_by_flags("IPv6 multicast", multicast_v6),
        ],
        "",
    );
}

/// Ports that hand frames past the bridge are a defect, and rules stand behind it.
#[test]
fn what_comes_past_the_bridge_is_dropped_by_rule() {
    let arena = Arena::new(Defence::Default, "", SOON);
    arena
        .instance
        .netns
        .ip(&format!("link set {} type bridge_slave group_fwd_mask 0", arena.a.port));
    assert!(!past_the_bridge(&arena));
    arena.instance.netns.run("nft delete table inet oci_awsvpc");
    assert!(past_the_bridge(&arena));
}
