//! By root of the task, who may open raw and packet sockets (`CAP_NET_RAW`).

use super::{
    Block, Frame, LATE, METADATA, METADATA6, OWN, OWN6, ROUTER, SOON, Subnet,
    sockets::{on_eni, set},
};
use nix::libc;
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    time::Duration,
};

const SAYS: &str = "frame";
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;

/// A way: what it is called, and an attempt.
type Way = (&'static str, fn(&Subnet));

/// How frames get to the interface.
#[derive(Clone, Copy)]
struct Path {
    /// Past the queueing layer, and what looks at frames there (`PACKET_QDISC_BYPASS`).
    bypass: bool,
    /// Whether the kernel writes the Ethernet header.
    cooked: bool,
    /// What the kernel is told that the frame carries.
    kind: u16,
}

const PLAIN: Path = Path { bypass: false, cooked: false, kind: 3 }; // ETH_P_ALL

fn datagram(subnet: &Subnet, from: impl Into<IpAddr>, to: impl Into<IpAddr>) -> Frame {
    subnet.between(Frame::udp(from, to, 80, SAYS))
}

fn send(subnet: &Subnet, path: Path, frame: &Frame) {
    let bytes = frame.bytes();
    let kind = if path.cooked { Type::DGRAM } else { Type::RAW };
    let address = address(subnet.index(), path.kind, &bytes[..6]);
    subnet.task.within(|| {
        let socket = Socket::new(Domain::PACKET, kind, Some(Protocol::from(0))).expect("a socket");
        if path.bypass {
            bypass(&socket);
        }
        let bytes = if path.cooked { &bytes[14..] } else { &bytes };
        // Where it is blocked, it may say so.
        socket.send_to(bytes, &address).ok();
    });
}

/// `PACKET_QDISC_BYPASS`, `linux/if_packet.h`.
fn bypass(socket: &Socket) {
    const PACKET_QDISC_BYPASS: i32 = 20;
    let yes: i32 = 1;
    // SAFETY: the option takes an int, which lives until the call returns.
    let answer = unsafe {
        let value = (&raw const yes).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, PACKET_QDISC_BYPASS, value, 4)
    };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
}

fn address(index: u32, kind: u16, to: &[u8]) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: a sockaddr_ll is one of the addresses that a sockaddr_storage has room for.
    let link = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    link.sll_family = u16::try_from(libc::AF_PACKET).expect("a family");
    link.sll_protocol = kind.to_be();
    link.sll_ifindex = index.cast_signed();
    link.sll_halen = 6;
    link.sll_addr[..6].copy_from_slice(to);
    let length = u32::try_from(size_of::<libc::sockaddr_ll>()).expect("short");
    // SAFETY: it has just been written, and is that long.
    unsafe { SockAddr::new(storage, length) }
}

/// A raw IP socket, whose packets are made whole by hand (`IPPROTO_RAW`).
fn raw(subnet: &Subnet) {
    let packet = datagram(subnet, OWN, METADATA).bytes().split_off(14);
    subnet.task.within(|| {
        let raw = Some(Protocol::from(libc::IPPROTO_RAW));
        let socket = Socket::new(Domain::IPV4, Type::RAW, raw).expect("a socket");
        socket.bind_device(Some(b"eth0")).expect("bound");
        socket.send_to(&packet, &SocketAddr::new(METADATA.into(), 0).into()).ok();
    });
}

/// A raw IP socket that says that its packet goes to the router.
fn raw_to_another(subnet: &Subnet) {
    let packet = datagram(subnet, OWN, METADATA).bytes().split_off(14);
    subnet.task.within(|| {
        let raw = Some(Protocol::from(libc::IPPROTO_RAW));
        let socket = Socket::new(Domain::IPV4, Type::RAW, raw).expect("a socket");
        socket.send_to(&packet, &SocketAddr::new(ROUTER.into(), 0).into()).ok();
    });
}

/// To the router, by way of the metadata service: a loose source route (RFC 791), which some kernels let
/// everybody ask for.
fn source_routed(subnet: &Subnet) {
    let option = [&[1, 131, 7, 4][..], &METADATA.octets()].concat();
    subnet.task.within(|| {
        let socket = on_eni(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        set(&socket, libc::IPPROTO_IP, libc::IP_OPTIONS, &option).expect("set");
        socket.send_to(SAYS.as_bytes(), &SocketAddr::new(ROUTER.into(), 80).into()).ok();
    });
}

const WAYS: &[Way] = &[
    ("a source route", source_routed),
    ("a raw socket", raw),
    ("a raw socket to another", raw_to_another),
    ("a frame", |subnet| send(subnet, PLAIN, &datagram(subnet, OWN, METADATA))),
    ("a frame of IPv6", |subnet| send(subnet, PLAIN, &datagram(subnet, OWN6, METADATA6))),
    ("a frame past the queue", |subnet| {
        send(subnet, Path { bypass: true, ..PLAIN }, &datagram(subnet, OWN, METADATA));
    }),
    ("a frame past the queue, of IPv6", |subnet| {
        send(subnet, Path { bypass: true, ..PLAIN }, &datagram(subnet, OWN6, METADATA6));
    }),
    ("a frame that is said to be another", |subnet| {
        send(subnet, Path { kind: ARP, ..PLAIN }, &datagram(subnet, OWN, METADATA));
    }),
    ("a frame that is said to be nothing", |subnet| {
        send(subnet, Path { kind: 0, ..PLAIN }, &datagram(subnet, OWN, METADATA));
    }),
    ("a frame past the queue that is said to be of IPv6", |subnet| {
        let path = Path { bypass: true, kind: IPV6, ..PLAIN };
        send(subnet, path, &datagram(subnet, OWN, METADATA));
    }),
    ("a cooked packet socket", |subnet| {
        let path = Path { cooked: true, kind: IPV4, ..PLAIN };
        send(subnet, path, &datagram(subnet, OWN, METADATA));
    }),
    ("a frame with IP options", |subnet| {
        let routed = Frame::udp(OWN, ROUTER, 80, SAYS).source_routed(METADATA);
        send(subnet, PLAIN, &subnet.between(routed));
    }),
    ("a VLAN", |subnet| {
        send(subnet, PLAIN, &datagram(subnet, OWN, METADATA).tagged(0x8100, 1));
    }),
    ("VLAN 0", |subnet| {
        let path = Path { bypass: true, ..PLAIN };
        send(subnet, path, &datagram(subnet, OWN6, METADATA6).tagged(0x8100, 0));
    }),
    ("a VLAN in a VLAN", |subnet| {
        let frame = datagram(subnet, OWN, METADATA).tagged(0x88a8, 0).tagged(0x8100, 0);
        send(subnet, PLAIN, &frame);
    }),
    ("a protocol that carries others", |subnet| {
        send(subnet, PLAIN, &subnet.between(Frame::other(0x8847, SAYS)));
    }),
];

fn surprises(block: Block, expected: bool) -> Vec<&'static str> {
    let subnet = Subnet::new(block);
    let patience = if expected { LATE } else { SOON };
    let surprising = WAYS.iter().filter(|(_, attempt)| {
        while subnet.wire.next(Duration::ZERO).is_some() {}
        attempt(&subnet);
        subnet.wire.hears(SAYS, patience) != expected
    });
    surprising.map(|(name, _)| *name).collect()
}

/// Where the kernel has an egress hook (Linux 5.16); where it has none, all of these lead there.
#[test]
fn no_frame_of_a_tasks_root_reaches_the_metadata_service() {
    for (block, expected) in
        [(Block::Off, true), (Block::Default, false), (Block::WithoutRoutes, false)]
    {
        assert_eq!(surprises(block, expected), Vec::<&str>::new(), "{block:?}: not {expected}");
    }
}

#[test]
fn all_other_frames_leave() {
    let subnet = Subnet::new(Block::Default);
    let arp = Frame::arp(1, ([2; 6], OWN), METADATA, SAYS);
    for frame in [datagram(&subnet, OWN, ROUTER), datagram(&subnet, OWN6, super::ROUTER6), arp] {
        send(&subnet, PLAIN, &frame);
        assert!(subnet.wire.hears(SAYS, LATE));
    }
}
