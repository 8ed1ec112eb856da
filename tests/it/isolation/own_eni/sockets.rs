//! By sockets that everybody can have, as a user without a single capability.

use super::{Block, LATE, METADATA, METADATA6, OWN, OWN6, ROUTER6, SOON, Subnet};
use nix::{
    libc::{self, c_int},
    sys::socket::{ControlMessage, MsgFlags, SockaddrIn, SockaddrIn6, sendmsg},
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    io::{self, IoSlice},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

/// A way: what it is called, and an attempt, given the ENI's index.
type Way = (&'static str, fn(u32) -> io::Result<()>);

const SAYS: &[u8] = b"who?";

fn to(address: impl Into<std::net::IpAddr>) -> SockAddr {
    SocketAddr::new(address.into(), 80).into()
}

fn datagram(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::DGRAM, None)
}

pub fn on_eni(domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, protocol)?;
    socket.bind_device(Some(b"eth0"))?;
    Ok(socket)
}

fn connect(socket: &Socket, to: &SockAddr) -> io::Result<()> {
    socket.connect_timeout(to, SOON)
}

fn send(socket: &Socket, to: &SockAddr) -> io::Result<()> {
    socket.send_to(SAYS, to).map(|_| ())
}

pub fn set(socket: &Socket, level: c_int, option: c_int, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).expect("short");
    // SAFETY: the value lives until the call returns, and is that long.
    let answer = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), length)
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A ping: an echo request (RFC 792, RFC 4443), of which the kernel makes the rest.
fn ping(domain: Domain, kind: u8, target: &SockAddr) -> io::Result<()> {
    let protocol = if kind == 8 { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let socket = on_eni(domain, Type::DGRAM, Some(protocol))?;
    socket.send_to(&[kind, 0, 0, 0, 0, 1, 0, 1], target).map(|_| ())
}

/// A datagram that says itself by which interface it goes.
fn with_packet_info(index: u32, address: impl Into<std::net::IpAddr>) -> io::Result<()> {
    let index = index.cast_signed();
    let (io, flags) = ([IoSlice::new(SAYS)], MsgFlags::empty());
    match SocketAddr::new(address.into(), 80) {
        SocketAddr::V4(four) => {
            // SAFETY: zeroes are valid numbers.
            let mut info: libc::in_pktinfo = unsafe { std::mem::zeroed() };
            info.ipi_ifindex = index;
            let (socket, address) = (datagram(Domain::IPV4)?, SockaddrIn::from(four));
            let message = [ControlMessage::Ipv4PacketInfo(&info)];
            sendmsg(socket.as_raw_fd(), &io, &message, flags, Some(&address))?;
        }
        SocketAddr::V6(six) => {
            // SAFETY: zeroes are valid numbers.
            let mut info: libc::in6_pktinfo = unsafe { std::mem::zeroed() };
            info.ipi6_ifindex = index.cast_unsigned();
            let (socket, address) = (datagram(Domain::IPV6)?, SockaddrIn6::from(six));
            let message = [ControlMessage::Ipv6PacketInfo(&info)];
            sendmsg(socket.as_raw_fd(), &io, &message, flags, Some(&address))?;
        }
    }
    Ok(())
}

/// To the router, by way of the metadata service: a segment routing header (RFC 8754) of two segments, the last
/// first.
fn segment_routed(_: u32) -> io::Result<()> {
    let socket = on_eni(Domain::IPV6, Type::DGRAM, None)?;
    let header = [&[0, 4, 4, 1, 1, 0, 0, 0][..], &ROUTER6.octets(), &METADATA6.octets()].concat();
    set(&socket, libc::IPPROTO_IPV6, libc::IPV6_RTHDR, &header)?;
    send(&socket, &to(ROUTER6))
}

fn bound_source(from: impl Into<std::net::IpAddr>, target: &SockAddr) -> io::Result<()> {
    let socket = Socket::new(target.domain(), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from.into(), 0).into())?;
    connect(&socket, target)
}

/// `IP_UNICAST_IF` (linux/in.h) and `IPV6_UNICAST_IF` (linux/in6.h), which take an index in network byte order.
fn by_unicast_interface(index: u32, target: &SockAddr) -> io::Result<()> {
    const IP_UNICAST_IF: c_int = 50;
    const IPV6_UNICAST_IF: c_int = 76;
    let socket = datagram(target.domain())?;
    let (level, option) = if target.is_ipv4() {
        (libc::IPPROTO_IP, IP_UNICAST_IF)
    } else {
        (libc::IPPROTO_IPV6, IPV6_UNICAST_IF)
    };
    set(&socket, level, option, &index.to_be_bytes())?;
    send(&socket, target)
}

const WAYS: &[Way] = &[
    ("TCP", |_| connect(&Socket::new(Domain::IPV4, Type::STREAM, None)?, &to(METADATA))),
    ("TCP over IPv6", |_| connect(&Socket::new(Domain::IPV6, Type::STREAM, None)?, &to(METADATA6))),
    ("UDP", |_| send(&datagram(Domain::IPV4)?, &to(METADATA))),
    ("UDP over IPv6", |_| send(&datagram(Domain::IPV6)?, &to(METADATA6))),
    ("a bound source", |_| bound_source(OWN, &to(METADATA))),
    ("a bound source over IPv6", |_| bound_source(OWN6, &to(METADATA6))),
    ("SO_BINDTODEVICE", |_| connect(&on_eni(Domain::IPV4, Type::STREAM, None)?, &to(METADATA))),
    ("SO_BINDTODEVICE over IPv6", |_| {
        connect(&on_eni(Domain::IPV6, Type::STREAM, None)?, &to(METADATA6))
    }),
    ("SO_BINDTODEVICE, UDP", |_| send(&on_eni(Domain::IPV4, Type::DGRAM, None)?, &to(METADATA))),
    ("SO_BINDTODEVICE, UDP over IPv6", |_| {
        send(&on_eni(Domain::IPV6, Type::DGRAM, None)?, &to(METADATA6))
    }),
    ("SO_DONTROUTE", |_| {
        let socket = on_eni(Domain::IPV4, Type::DGRAM, None)?;
        set(&socket, libc::SOL_SOCKET, libc::SO_DONTROUTE, &1_i32.to_ne_bytes())?;
        send(&socket, &to(METADATA))
    }),
    ("IP_UNICAST_IF", |index| by_unicast_interface(index, &to(METADATA))),
    ("IPV6_UNICAST_IF", |index| by_unicast_interface(index, &to(METADATA6))),
    ("IP_PKTINFO", |index| with_packet_info(index, METADATA)),
    ("IPV6_PKTINFO", |index| with_packet_info(index, METADATA6)),
    ("a scope id", |index| {
        send(&datagram(Domain::IPV6)?, &SocketAddrV6::new(METADATA6, 80, 0, index).into())
    }),
    ("a v4-mapped address", |_| {
        let socket = on_eni(Domain::IPV6, Type::STREAM, None)?;
        socket.set_only_v6(false)?;
        connect(&socket, &to(METADATA.to_ipv6_mapped()))
    }),
    ("ping", |_| ping(Domain::IPV4, 8, &to(METADATA))),
    ("ping over IPv6", |_| ping(Domain::IPV6, 128, &to(METADATA6))),
    ("fragments", |_| {
        let socket = on_eni(Domain::IPV4, Type::DGRAM, None)?;
        socket.send_to(&[b'x'; 20_000], &to(METADATA)).map(|_| ())
    }),
    ("a segment route", segment_routed),
];

/// Tries all ways; gives those that are not as expected.
fn surprises(block: Block, expected: bool) -> Vec<String> {
    let subnet = Subnet::new(block);
    let index = subnet.index();
    let patience = if expected { LATE } else { SOON };
    let surprising = WAYS.iter().filter_map(|(name, attempt)| {
        while subnet.wire.next(Duration::ZERO).is_some() {}
        let outcome = subnet.task.within_as_nobody(|| attempt(index));
        let reached = subnet.sees_a_packet(patience);
        (reached != expected).then(|| format!("{block:?}: {name}: {reached}, {outcome:?}"))
    });
    surprising.collect()
}

#[test]
fn no_socket_without_a_capability_reaches_the_metadata_service() {
    for (block, expected) in
        [(Block::Off, true), (Block::Default, false), (Block::WithoutRoutes, false)]
    {
        let surprises = surprises(block, expected);
        assert!(surprises.is_empty(), "{surprises:#?}");
    }
}

/// A program that asks, without tricks, is not left waiting.
#[test]
fn who_asks_for_metadata_is_told_at_once() {
    for block in [Block::Default, Block::WithoutRoutes] {
        let subnet = Subnet::new(block);
        for address in [METADATA.into(), METADATA6.into()] {
            let begin = Instant::now();
            let asks = || TcpStream::connect_timeout(&SocketAddr::new(address, 80), LATE);
            let error = subnet.task.within_as_nobody(asks).expect_err("blocked");
            let took = begin.elapsed();
            assert!(took < Duration::from_millis(500), "{block:?}: {address}: {took:?}: {error}");
            if block == Block::WithoutRoutes {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
            }
        }
    }
}

/// What would lead around rules needs a capability.
#[test]
fn nobody_may_mark_packets_or_send_frames() {
    let subnet = Subnet::new(Block::Off);
    subnet.task.within_as_nobody(|| {
        let socket = datagram(Domain::IPV4).expect("a socket");
        for error in [
            socket.set_mark(1).expect_err("a mark"),
            socket.set_ip_transparent_v4(true).expect_err("somebody else's address"),
            Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)).expect_err("a raw socket"),
            Socket::new(Domain::PACKET, Type::RAW, None).expect_err("a packet socket"),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        }
    });
}

/// Root of a user namespace is nobody in the task's network namespace.
#[test]
fn a_user_namespace_in_the_task_leads_nowhere() {
    let curl = "unshare --user --keep-caps \
        curl --silent --max-time 2 --interface eth0 http://169.254.169.254/";
    for (block, said) in [(Block::Off, "metadata"), (Block::Default, "")] {
        let subnet = Subnet::new(block);
        // Threads cannot have a user namespace of their own: a process.
        let enter = format!("exec setpriv --bounding-set=-all --inh-caps=-all {curl}");
        let output = subnet.task.try_run(&enter);
        assert_eq!(String::from_utf8_lossy(&output.stdout), said, "{block:?}: {output:?}");
    }
}

/// What else is configured is blocked alike, and nothing else is.
#[test]
fn more_destinations_can_be_blocked() {
    let clock = Ipv4Addr::new(169, 254, 169, 123);
    let other = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x123);
    for blocks in [false, true] {
        let subnet = Subnet::new(Block::Off);
        let router = &subnet.instance.router;
        router.ip("addr add 169.254.169.123/32 dev lo");
        router.ip("addr add 169.254.169.124/32 dev lo");
        router.ip("-6 addr add fd00:ec2::123/128 dev lo nodad");
        if blocks {
            let config = "eni.block = [\"169.254.169.122/31\", \"fd00:ec2::120/123\"]\n";
            let call = subnet.call("prestart").eni("block-instance-metadata", "false");
            call.config(&subnet.folder, config).on(&subnet.instance).silently();
            subnet.task.ip("route del blackhole 169.254.169.122/31");
            subnet.task.ip("-6 route del blackhole fd00:ec2::120/123");
        }
        let sees = |target: SockAddr| {
            while subnet.wire.next(Duration::ZERO).is_some() {}
            subnet.task.within_as_nobody(|| {
                send(&on_eni(target.domain(), Type::DGRAM, None).expect("a socket"), &target).ok()
            });
            let patience = if blocks { SOON } else { LATE };
            subnet.wire.hears("who?", patience)
        };
        assert_eq!(
            [clock.into(), other.into()].map(|ip: std::net::IpAddr| sees(to(ip))),
            [!blocks; 2]
        );
        assert!(sees(to(Ipv4Addr::new(169, 254, 169, 124))), "its neighbour");
        assert!(sees(to(METADATA)), "which it may reach");
    }
}
