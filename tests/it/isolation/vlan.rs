//! Behind VLAN tags, where rules may not look.

use super::{
    Attack,
    arena::{Arena, BRIDGE, GATEWAY, UDP_PORT},
    nothing, try_all,
};
use crate::fixtures::Frame;

fn to_b(arena: &Arena, tag: impl Fn(Frame) -> Frame, says: &str) -> bool {
    let frame = tag(Frame::udp(arena.a.ip, arena.b.ip, UDP_PORT, says));
    arena.a.wire.send(&frame.between(arena.a.mac, arena.b.mac));
    arena.b.wire.hears(says, arena.patience)
}

/// As B, so that it is not let through as A's own.
fn to_the_instance(arena: &Arena, tag: impl Fn(Frame) -> Frame, says: &str) -> bool {
    let frame = tag(Frame::udp(arena.b.ip, GATEWAY, UDP_PORT, says));
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    arena.bridge.hears(says, arena.patience)
}

fn tagged_to_b(arena: &Arena) -> bool {
    to_b(arena, |frame| frame.tagged(0x8100, 5), "one tag")
}

fn twice_tagged_to_b(arena: &Arena) -> bool {
    to_b(arena, |frame| frame.tagged(0x88a8, 5).tagged(0x8100, 6), "two tags")
}

fn tagged(arena: &Arena) -> bool {
    to_the_instance(arena, |frame| frame.tagged(0x8100, 5), "one tag, as B")
}

fn twice_tagged(arena: &Arena) -> bool {
    let tag = |frame: Frame| frame.tagged(0x88a8, 5).tagged(0x8100, 6);
    to_the_instance(arena, tag, "two tags, as B")
}

fn twice_tagged_the_same(arena: &Arena) -> bool {
    let tag = |frame: Frame| frame.tagged(0x8100, 5).tagged(0x8100, 6);
    to_the_instance(arena, tag, "two equal tags, as B")
}

/// VLAN 0 is none: the kernel takes the tag off and goes on (`__netif_receive_skb_core`, net/core/dev.c).
fn priority(arena: &Arena) -> bool {
    let ear = arena.ear(&arena.instance.netns);
    let frame = Frame::udp(arena.b.ip, GATEWAY, UDP_PORT, "VLAN 0, as B").tagged(0x8100, 0);
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    ear.hears("VLAN 0, as B")
}

fn priority_twice(arena: &Arena) -> bool {
    let ear = arena.ear(&arena.instance.netns);
    let frame = Frame::udp(arena.a.ip, GATEWAY, UDP_PORT, "VLAN 0 twice");
    let frame = frame.tagged(0x88a8, 0).tagged(0x8100, 0);
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    ear.hears("VLAN 0 twice")
}

const fn attack(name: &'static str, flags_stop_it: bool, strike: fn(&Arena) -> bool) -> Attack {
    Attack { name, flags_stop_it, stage: nothing, strike }
}

#[test]
fn no_tag_leads_past_the_rules() {
    try_all(
        &[
            attack("VLAN-tagged UDP to B", true, tagged_to_b),
            attack("double-tagged UDP to B", true, twice_tagged_to_b),
            attack("VLAN-tagged UDP to the instance, as B", false, tagged),
            attack("double-tagged UDP to the instance, as B", false, twice_tagged),
            attack("the same with equal tags", false, twice_tagged_the_same),
            attack("VLAN 0 to the instance, as B", false, priority),
            attack("VLAN 0 twice to the instance", false, priority_twice),
        ],
        "",
    );
}
