//! Behind VLAN tags, where rules may not look.

use super::{
    arena::{Arena, BRIDGE, GATEWAY, UDP_PORT},
    not_stopped_by_flags, stopped_by_flags, try_all,
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

#[test]
fn no_tag_leads_past_the_rules() {
    try_all(
        &[
            stopped_by_flags("VLAN-tagged UDP to B", tagged_to_b),
            stopped_by_flags("double-tagged UDP to B", twice_tagged_to_b),
            not_stopped_by_flags("VLAN-tagged UDP to the instance, as B", tagged),
            not_stopped_by_flags("double-tagged UDP to the instance, as B", twice_tagged),
            not_stopped_by_flags("the same with equal tags", twice_tagged_the_same),
            not_stopped_by_flags("VLAN 0 to the instance, as B", priority),
            not_stopped_by_flags("VLAN 0 twice to the instance", priority_twice),
        ],
        "",
    );
}
