//! Every port of the instance, at every address that it has.

use super::{
    SOON,
    arena::{Arena, BRIDGE, Defence, ENDPOINT, GATEWAY, INSTANCE},
};
use crate::fixtures::Frame;
use std::{collections::BTreeSet, net::Ipv4Addr, time::Duration};

const SYN_AND_ACK: u8 = 0x12;

/// Who answers, and whether with a connection.
type Found = BTreeSet<(Ipv4Addr, u16, bool)>;

/// A SYN from A to each port; what comes back. The instance takes packets to loopback addresses from
/// all its interfaces, as ecs-init has it.
fn scan(arena: &Arena) -> Found {
    arena.instance.netns.run("echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet");
    let mut found = Found::new();
    for address in [GATEWAY, INSTANCE, Ipv4Addr::LOCALHOST, ENDPOINT] {
        for port in 1..=u16::MAX {
            let syn = Frame::syn(arena.a.ip, 4711, address, port, "");
            arena.a.wire.send(&syn.between(arena.a.mac, BRIDGE));
            // Before more come than there is room for.
            if port.is_multiple_of(64) {
                collect(arena, Duration::ZERO, &mut found);
            }
        }
    }
    collect(arena, SOON, &mut found);
    found
}

fn collect(arena: &Arena, patience: Duration, found: &mut Found) {
    while let Some(frame) = arena.a.wire.next(patience) {
        // IPv4 without options, TCP, to the port that the scan came from.
        let is_answer = frame.len() >= 54
            && frame[12..15] == [8, 0, 0x45]
            && frame[23] == 6
            && frame[36..38] == 4711_u16.to_be_bytes();
        if is_answer {
            let from = [frame[26], frame[27], frame[28], frame[29]].into();
            let port = u16::from_be_bytes([frame[34], frame[35]]);
            found.insert((from, port, frame[47] == SYN_AND_ACK));
        }
    }
}

#[test]
fn a_scan_sees_the_credentials_endpoint_and_nothing_else() {
    let found = scan(&Arena::new(Defence::None, "", SOON));
    let open = |address, port| found.contains(&(address, port, true));
    assert!(open(GATEWAY, 22) && open(GATEWAY, 51678), "{found:?}");
    assert!(open(INSTANCE, 22) && open(INSTANCE, 51678));
    assert!(open(Ipv4Addr::LOCALHOST, 22) && open(Ipv4Addr::LOCALHOST, 51679));
    assert!(open(ENDPOINT, 80));
    assert!(found.len() > 3 * 65_000, "closed ports say so: {}", found.len());

    let arena = Arena::new(Defence::Default, "", SOON);
    assert_eq!(scan(&arena), Found::from([(ENDPOINT, 80, true)]));
    arena.assert_all_works("a scan");
}
