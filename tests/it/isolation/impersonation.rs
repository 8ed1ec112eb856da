//! As somebody else, towards the instance.

use super::{
    arena::{Arena, BRIDGE, ENDPOINT, GATEWAY, INSTANCE, ROUTER, UDP_PORT},
    not_stopped_by_flags, stopped_by_flags, try_all,
};
use crate::fixtures::{EVERYBODY, Frame, NOBODY, link_local};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A lease that nobody holds, or one of the two tasks' by the chance of one in five hundred.
const NEXT: Ipv4Addr = Ipv4Addr::new(169, 254, 172, 77);

/// Whether a frame of A's comes as far as the instance's interface on the bridge.
fn enters(arena: &Arena, frame: &Frame, says: &str) -> bool {
    arena.a.wire.send(frame);
    arena.bridge.hears(says, arena.patience)
}

fn as_b(arena: &Arena) -> bool {
    let frame = Frame::udp(arena.b.ip, GATEWAY, UDP_PORT, "A as B");
    enters(arena, &frame.between(arena.b.mac, BRIDGE), "A as B")
}

fn with_the_mac_of_b(arena: &Arena) -> bool {
    let frame = Frame::udp(arena.a.ip, GATEWAY, UDP_PORT, "A with B's MAC");
    enters(arena, &frame.between(arena.b.mac, BRIDGE), "A with B's MAC")
}

fn with_the_address_of_b(arena: &Arena) -> bool {
    let frame = Frame::syn(arena.b.ip, 4000, ENDPOINT, 80, "A with B's address");
    enters(arena, &frame.between(arena.a.mac, BRIDGE), "A with B's address")
}

fn with_a_second_mac(arena: &Arena) -> bool {
    let frame = Frame::udp(arena.a.ip, GATEWAY, UDP_PORT, "a second MAC");
    enters(arena, &frame.between(NOBODY, BRIDGE), "a second MAC")
}

fn with_a_second_address(arena: &Arena) -> bool {
    let frame = Frame::udp(NEXT, GATEWAY, UDP_PORT, "a second address");
    enters(arena, &frame.between(arena.a.mac, BRIDGE), "a second address")
}

fn as_the_bridge(arena: &Arena) -> bool {
    let frame = Frame::udp(GATEWAY, arena.b.ip, UDP_PORT, "as the bridge");
    enters(arena, &frame.between(arena.a.mac, EVERYBODY), "as the bridge")
}

/// An answer to a question that the instance asked the VPC.
fn as_a_name_server(arena: &Arena) -> bool {
    let (asking, port) = arena.conversation(ROUTER, 5353);
    let frame = Frame::answer(ROUTER, 5353, INSTANCE, port, "a lie");
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    let mut answer = [0; 512];
    asking.recv(&mut answer).is_ok_and(|length| &answer[..length] == b"a lie")
}

fn arp_as_b(arena: &Arena) -> bool {
    let frame = Frame::arp(2, (arena.a.mac, arena.b.ip), GATEWAY, "A is B");
    enters(arena, &frame.between(arena.a.mac, BRIDGE), "A is B")
}

fn arp_as_gateway(arena: &Arena) -> bool {
    let frame = Frame::arp(2, (arena.a.mac, GATEWAY), GATEWAY, "A is the gateway");
    enters(arena, &frame.between(arena.a.mac, EVERYBODY), "A is the gateway")
}

fn knows(arena: &Arena, link: &str, address: &str) -> bool {
    arena.soon(|| {
        let known = arena.instance.netns.ip(&format!("neigh show {address} dev {link}"));
        known.contains("lladdr")
    })
}

/// Who asks is remembered: the lease of a task to come.
fn arp_as_the_next_task(arena: &Arena) -> bool {
    let frame = Frame::arp(1, (arena.a.mac, NEXT), GATEWAY, "");
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    knows(arena, "ecs-bridge", "169.254.172.77")
}

/// The same by a frame that a bridge takes for itself, which the port hands up.
fn arp_past_the_bridge(arena: &Arena) -> bool {
    let frame = Frame::arp(1, (arena.a.mac, NEXT), GATEWAY, "");
    arena.a.wire.send(&frame.between(arena.a.mac, [1, 0x80, 0xc2, 0, 0, 0x0e]));
    knows(arena, &arena.a.port, "169.254.172.77")
}

/// Which of the instance's addresses exist, in a VPC that the task is not part of.
fn arp_scan(arena: &Arena) -> bool {
    let frame = Frame::arp(1, (arena.a.mac, arena.a.ip), INSTANCE, "");
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    let answer = [&[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &BRIDGE[..], &INSTANCE.octets()].concat();
    arena.a.wire.sees(arena.patience, |frame| frame[12..].starts_with(&answer))
}

/// A neighbour solicitation (RFC 4861, section 4.3) by nobody's address.
fn ns_as_the_next_task(arena: &Arena) -> bool {
    let to = link_local(&arena.instance.netns, "ecs-bridge");
    let from: Ipv6Addr = "fe80::77".parse().expect("an address");
    let question = [&to.octets()[..], &[1, 1], &arena.a.mac].concat();
    let frame = Frame::icmpv6(from, to, 135, [0; 4], &question);
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    knows(arena, "ecs-bridge", "fe80::77")
}

/// A router advertisement: the instance's way to all of IPv6 leads through A.
fn ra(arena: &Arena) -> bool {
    let from = link_local(&arena.a.netns, "ecs-eth0");
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let frame = Frame::icmpv6(from, all_nodes, 134, [64, 0, 7, 8], &[0; 8]);
    arena.soon(|| {
        arena.a.wire.send(&frame.clone().between(arena.a.mac, [0x33, 0x33, 0, 0, 0, 1]));
        arena.instance.netns.ip("-6 route show default").contains("ecs-bridge")
    })
}

#[test]
fn a_task_speaks_for_nobody_but_itself() {
    try_all(
        &[
            stopped_by_flags("UDP as B", as_b),
            stopped_by_flags("UDP with B's MAC address", with_the_mac_of_b),
            not_stopped_by_flags("SYN with B's IP address", with_the_address_of_b),
            stopped_by_flags("UDP with a second MAC address", with_a_second_mac),
            not_stopped_by_flags("UDP with a second IP address", with_a_second_address),
            not_stopped_by_flags("UDP as the bridge", as_the_bridge),
            not_stopped_by_flags("an answer as the VPC's name server", as_a_name_server),
        ],
        "",
    );
}

#[test]
fn the_instance_believes_no_task_about_others() {
    try_all(
        &[
            not_stopped_by_flags("ARP to the instance: A is B", arp_as_b),
            not_stopped_by_flags("ARP to the instance: A is the gateway", arp_as_gateway),
            not_stopped_by_flags("ARP to the instance: A is the next task", arp_as_the_next_task),
            stopped_by_flags("the same to the port itself", arp_past_the_bridge),
            not_stopped_by_flags("ARP scan of the instance's addresses", arp_scan),
            not_stopped_by_flags("ND to the instance: A is the next task", ns_as_the_next_task),
            not_stopped_by_flags("RA to the instance: A is the router", ra),
        ],
        "",
    );
}
