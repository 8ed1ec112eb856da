//! Frames of another task: to see them, or to keep them from it.

use super::{
    SOON,
    arena::{Arena, BRIDGE, Defence, GATEWAY},
    stopped_by_flags, try_all,
};
use crate::fixtures::{EVERYBODY, Frame, NOBODY, eventually, mac_text};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// While B fetches its credentials, A sends whatever makes the bridge believe that B's MAC address is
/// at A's port. It succeeds if A sees one frame for B, or if B misses an answer.
fn poisoned_with(arena: &Arena, frames: &[Frame]) -> bool {
    const FETCHES: usize = 50;
    let (done, for_b) = (AtomicBool::new(false), arena.b.mac);
    std::thread::scope(|scope| {
        let poison = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for frame in frames {
                    arena.a.wire.send(frame);
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let answered = |_: &usize| arena.credentials_of(&arena.b).as_deref() == Some("credentials");
        let missed = FETCHES - (0..FETCHES).take_while(answered).count();
        done.store(true, Ordering::Relaxed);
        poison.join().expect("poisoned");
        let heard = arena.a.wire.sees(Duration::ZERO, |frame| frame[..6] == for_b);
        heard || missed > 0
    })
}

fn poison_by_udp(arena: &Arena) -> bool {
    let frame = Frame::udp(arena.b.ip, GATEWAY, 9, "B is here").between(arena.b.mac, BRIDGE);
    poisoned_with(arena, &[frame])
}

fn poison_by_arp(arena: &Arena) -> bool {
    let claim = (arena.b.mac, arena.b.ip);
    let arp = |to| Frame::arp(2, claim, GATEWAY, "B is here").between(arena.b.mac, to);
    poisoned_with(arena, &[arp(EVERYBODY), arp(BRIDGE)])
}

/// Kinds of frames that no rule about addresses speaks of.
fn poison_by_others(arena: &Arena) -> bool {
    let from_b = |frame: Frame, to| frame.between(arena.b.mac, to);
    let says = "B is here";
    poisoned_with(
        arena,
        &[
            from_b(Frame::other(0x88b5, says), BRIDGE),
            from_b(Frame::other(0x88b5, says).tagged(0x8100, 5), NOBODY),
            from_b(Frame::other(0x0800, says), BRIDGE),
            // To addresses that a bridge takes for itself (IEEE 802.1D, 7.12.6).
            from_b(Frame::other(0x88cc, says), [1, 0x80, 0xc2, 0, 0, 0x0e]),
            from_b(Frame::other(0x888e, says), [1, 0x80, 0xc2, 0, 0, 3]),
            from_b(Frame::other(38, says), [1, 0x80, 0xc2, 0, 0, 0]),
        ],
    )
}

/// The kernel of a task answers for an address that the task gave itself.
fn steal_the_address(arena: &Arena) -> bool {
    let pose_as = |mac| arena.a.netns.ip(&format!("link set ecs-eth0 address {}", mac_text(mac)));
    arena.a.netns.ip(&format!("addr add {}/22 dev ecs-eth0", arena.b.ip));
    pose_as(arena.b.mac);
    let claim = Frame::arp(1, (arena.b.mac, arena.b.ip), arena.b.ip, "");
    let stolen = poisoned_with(arena, &[claim.between(arena.b.mac, EVERYBODY)]);
    pose_as(arena.a.mac);
    arena.a.netns.ip(&format!("addr del {}/22 dev ecs-eth0", arena.b.ip));
    stolen
}

/// So many MAC addresses that the bridge knows none any more, and floods.
fn flood_the_database(arena: &Arena) -> bool {
    for number in 0..2000_u16 {
        let [high, low] = number.to_be_bytes();
        let frame = Frame::udp(arena.a.ip, GATEWAY, 9, "one more");
        arena.a.wire.send(&frame.between([2, 0, 0, 0, high, low], BRIDGE));
    }
    let entries = arena.instance.netns.run("bridge fdb show br ecs-bridge");
    entries.lines().filter(|line| line.starts_with("02:00:00:00:")).count() > 1000
}

#[test]
fn a_task_receives_no_frame_of_another_task_which_loses_none() {
    try_all(
        &[
            stopped_by_flags("FDB poisoning by IP packets as B", poison_by_udp),
            stopped_by_flags("FDB poisoning by ARP as B", poison_by_arp),
            stopped_by_flags("FDB poisoning by other kinds of frames as B", poison_by_others),
            stopped_by_flags("B's address and MAC address on A's interface", steal_the_address),
            stopped_by_flags("a flood of MAC addresses", flood_the_database),
        ],
        "",
    );
}

#[test]
fn a_task_without_its_interface_hurts_nobody_else() {
    let arena = Arena::new(Defence::Default, "", SOON);
    arena.a.netns.ip("link del ecs-eth0");
    let only_b = || arena.instance.ports().iter().all(|port| *port == arena.b.port);
    eventually("its port gone", only_b);
    assert_eq!(arena.credentials_of(&arena.a), None);
    assert_eq!(arena.credentials_of(&arena.b).as_deref(), Some("credentials"));
    // What it would need for another way in is not its own to make.
    arena.a.netns.ip("link add ecs-eth0 type veth peer name ecs-eth1");
    assert!(only_b());
}
