//! The same over IPv6, where the bridge has a subnet of it.

use super::{
    arena::{Arena, BRIDGE, UDP_PORT},
    not_stopped_by_flags, stopped_by_flags, try_all,
};
use crate::fixtures::{Frame, Netns};
use std::net::Ipv6Addr;

const SUBNET: &str = "ipv6-subnet = \"fd00:ec::/64\"";
const GATEWAY: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec, 0, 0, 0, 0, 0, 1);

fn address(netns: &Netns) -> Ipv6Addr {
    let shown = netns.json("ip -j -6 addr show dev ecs-eth0 scope global");
    shown[0]["addr_info"][0]["local"].as_str().expect("text").parse().expect("an address")
}

fn to_b(arena: &Arena) -> bool {
    let [from, to] = [&arena.a, &arena.b].map(|task| address(&task.netns));
    let ear = arena.ear(&arena.b.netns);
    let frame = Frame::udp(from, to, UDP_PORT, "IPv6 to B");
    arena.a.wire.send(&frame.between(arena.a.mac, arena.b.mac));
    ear.hears("IPv6 to B")
}

fn to_the_instance(arena: &Arena) -> bool {
    let ear = arena.ear(&arena.instance.netns);
    let frame = Frame::udp(address(&arena.a.netns), GATEWAY, UDP_PORT, "IPv6 to the instance");
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    ear.hears("IPv6 to the instance")
}

fn as_b(arena: &Arena) -> bool {
    let frame = Frame::udp(address(&arena.b.netns), GATEWAY, UDP_PORT, "IPv6 as B");
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    arena.bridge.hears("IPv6 as B", arena.patience)
}

fn with_a_second_mac(arena: &Arena) -> bool {
    let frame = Frame::udp(address(&arena.a.netns), GATEWAY, UDP_PORT, "IPv6 with a second MAC");
    arena.a.wire.send(&frame.between(arena.b.mac, BRIDGE));
    arena.bridge.hears("IPv6 with a second MAC", arena.patience)
}

/// A neighbour advertisement (RFC 4861, section 4.4): B is A.
fn nd_as_b(arena: &Arena) -> bool {
    let b = address(&arena.b.netns);
    let claim = [&b.octets()[..], &[2, 1], &arena.a.mac, b"ND: A is B"].concat();
    let frame = Frame::icmpv6(b, GATEWAY, 136, [0x20, 0, 0, 0], &claim);
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    arena.bridge.hears("ND: A is B", arena.patience)
}

fn forwarding(arena: &Arena) {
    arena.forward();
}

fn hairpin(arena: &Arena) -> bool {
    let ear = arena.ear(&arena.b.netns);
    let to = address(&arena.b.netns);
    let frame = Frame::udp(address(&arena.a.netns), to, UDP_PORT, "IPv6 by hairpin");
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    ear.hears("IPv6 by hairpin")
}

fn to_the_vpc(arena: &Arena) -> bool {
    arena.instance.router.ip("-6 addr replace fd00:9::1/64 dev own nodad");
    arena.instance.netns.ip("-6 addr replace fd00:9::2/64 dev eth0 nodad");
    let ear = arena.ear(&arena.instance.router);
    let to: Ipv6Addr = "fd00:9::1".parse().expect("an address");
    let frame = Frame::udp(address(&arena.a.netns), to, UDP_PORT, "IPv6 to the VPC");
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    ear.hears("IPv6 to the VPC")
}

#[test]
fn a_subnet_of_ipv6_opens_nothing() {
    let routed = |name, strike| not_stopped_by_flags(name, strike).staged(forwarding);
    try_all(
        &[
            stopped_by_flags("IPv6 to B", to_b),
            not_stopped_by_flags("IPv6 to the instance", to_the_instance),
            not_stopped_by_flags("IPv6 as B", as_b),
            stopped_by_flags("IPv6 with B's MAC address", with_a_second_mac),
            not_stopped_by_flags("ND to the instance: A is B", nd_as_b),
            routed("IPv6 through the instance to B", hairpin),
            routed("IPv6 through the instance to the VPC", to_the_vpc),
        ],
        SUBNET,
    );
}
