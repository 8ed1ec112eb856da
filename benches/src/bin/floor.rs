//! The least that gives a task its network: the requests that the hook makes, one after the other on
//! a blocking socket, and nothing else. No look at what is there, no checks, no undoing, no log.
//!
//!   floor PID ENI-INDEX BRIDGE-INDEX LEASE CONTAINER
//!
//! in the instance's namespace, where the bridge is.

use nix::sched::{CloneFlags, setns};
use rtnetlink::{
    AddressMessageBuilder, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth,
    RouteMessageBuilder,
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    },
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        address::{AddressAttribute, AddressFlags},
        link::{InfoData, InfoVeth, LinkFlags},
        neighbour::{
            NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
        },
        route::{RouteScope, RouteType},
    },
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};
use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 172, 1);

fn open() -> Socket {
    let mut socket = Socket::new(NETLINK_ROUTE).expect("a socket");
    socket.bind_auto().expect("bound");
    socket
}

/// One request and its answer.
fn ask(socket: &Socket, request: RouteNetlinkMessage, flags: u16) -> Option<RouteNetlinkMessage> {
    let mut message = NetlinkMessage::from(request);
    message.header.flags = NLM_F_REQUEST | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0).expect("sent");
    let mut answer = Vec::with_capacity(8192);
    socket.recv(&mut answer, 0).expect("answered");
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).expect("decoded").payload {
        NetlinkPayload::InnerMessage(answer) => Some(answer),
        NetlinkPayload::Error(error) if error.code.is_some() => panic!("{error:?}"),
        _ => None,
    }
}

fn change(socket: &Socket, request: RouteNetlinkMessage) {
    ask(socket, request, NLM_F_ACK);
}

fn add(socket: &Socket, request: RouteNetlinkMessage) {
    ask(socket, request, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
}

/// The index of a link, and whether frames flow.
fn link(socket: &Socket, name: &str) -> (u32, bool) {
    let request = RouteNetlinkMessage::GetLink(LinkUnspec::new_with_name(name).build());
    match ask(socket, request, 0) {
        Some(RouteNetlinkMessage::NewLink(link)) => {
            (link.header.index, link.header.flags.contains(LinkFlags::Running))
        }
        other => panic!("{name}: {other:?}"),
    }
}

fn up(socket: &Socket, index: u32) {
    let link = LinkUnspec::new_with_index(index).up().build();
    change(socket, RouteNetlinkMessage::SetLink(link));
}

fn address(socket: &Socket, index: u32, address: Ipv4Addr, prefix: u8, flags: AddressFlags) {
    let mut message =
        AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address, prefix).build();
    message.attributes.push(AddressAttribute::Flags(flags));
    add(socket, RouteNetlinkMessage::NewAddress(message));
}

fn neighbour(socket: &Socket, index: u32, address: Option<Ipv4Addr>, mac: [u8; 6]) {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
    match address {
        Some(address) => {
            message.header.family = AddressFamily::Inet;
            let address = NeighbourAddress::from(IpAddr::V4(address));
            message.attributes.push(NeighbourAttribute::Destination(address));
        }
        None => {
            message.header.family = AddressFamily::Bridge;
            message.header.state = NeighbourState::Noarp;
            message.header.flags = NeighbourFlags::Controller;
        }
    }
    add(socket, RouteNetlinkMessage::NewNeighbour(message));
}

fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x0a, 0x58, a, b, c, d]
}

fn route(socket: &Socket, builder: RouteMessageBuilder<Ipv4Addr>) {
    add(socket, RouteNetlinkMessage::NewRoute(builder.build()));
}

fn credentials(instance: &Socket, task: &Socket, bridge: u32, lease: Ipv4Addr) {
    let inside = link(task, "ecs-eth0").0;
    neighbour(instance, bridge, Some(lease), mac_of(lease));
    up(task, 1);
    address(task, inside, lease, 22, AddressFlags::Noprefixroute);
    up(task, inside);
    let to = || RouteMessageBuilder::<Ipv4Addr>::new();
    let local = to().destination_prefix(GATEWAY, 32).output_interface(inside);
    route(task, local.scope(RouteScope::Link));
    neighbour(task, inside, Some(GATEWAY), mac_of(GATEWAY));
    let endpoint = to().destination_prefix(Ipv4Addr::new(169, 254, 170, 2), 32);
    route(task, endpoint.gateway(GATEWAY).output_interface(inside));
    let metadata = to().destination_prefix(Ipv4Addr::new(169, 254, 169, 254), 32);
    route(task, metadata.kind(RouteType::BlackHole));
    let metadata = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    let metadata = RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(metadata, 128);
    add(task, RouteNetlinkMessage::NewRoute(metadata.kind(RouteType::BlackHole).build()));
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let number = |at: usize| words[at].parse::<u32>().expect("a number");
    let (pid, eni, bridge, container) = (&words[1], number(2), number(3), &words[5]);
    let lease: Ipv4Addr = words[4].parse().expect("an address");
    let open_netns = |path: String| File::open(path).expect("a namespace");
    let home = open_netns("/proc/self/ns/net".to_owned());
    let netns = open_netns(format!("/proc/{pid}/ns/net"));
    let instance = open();
    setns(&netns, CloneFlags::CLONE_NEWNET).expect("entered");
    let task = open();
    setns(&home, CloneFlags::CLONE_NEWNET).expect("back");

    let name = format!("ecs{:08x}", u32::from(lease));
    let inode = netns.metadata().expect("an inode").ino();
    let label = format!(
        "awsvpc container={container} eni=02:5a:a1:1a:43:42 name=eth1 mtu=9001 netns={inode}"
    );
    let far = LinkMessageBuilder::<LinkUnspec>::new()
        .name("ecs-eth0")
        .address(mac_of(lease).to_vec())
        .mtu(1500)
        .setns_by_fd(netns.as_raw_fd());
    let near = LinkVeth::new(&name, "")
        .set_info_data(InfoData::Veth(InfoVeth::Peer(far.build())))
        .controller(bridge)
        .mtu(1500);
    add(&instance, RouteNetlinkMessage::NewLink(near.build()));
    let port = link(&instance, &name).0;
    let flags = LinkBridgePort::new(port).alias(&label).up();
    let flags = flags.isolated(true).learning(false).flood(false).mcast_flood(false).locked(true);
    change(&instance, RouteNetlinkMessage::NewLink(flags.build()));
    neighbour(&instance, port, None, mac_of(lease));
    credentials(&instance, &task, bridge, lease);

    let moved = LinkUnspec::new_with_index(eni).name("eth0").alias(&label);
    let moved = moved.setns_by_fd(netns.as_raw_fd()).build();
    change(&instance, RouteNetlinkMessage::SetLink(moved));
    let inside = link(&task, "eth0").0;
    setns(&netns, CloneFlags::CLONE_NEWNET).expect("entered");
    std::fs::write("/proc/sys/net/ipv6/conf/eth0/accept_ra", "0").expect("written");
    setns(&home, CloneFlags::CLONE_NEWNET).expect("back");
    address(&task, inside, Ipv4Addr::new(10, 0, 0, 5), 24, AddressFlags::empty());
    up(&task, inside);
    let default = RouteMessageBuilder::<Ipv4Addr>::new().output_interface(inside);
    route(&task, default.gateway(Ipv4Addr::new(10, 0, 0, 1)));
    for (socket, name) in [(&instance, &name[..]), (&instance, "ecs-bridge"), (&task, "eth0")] {
        while !link(socket, name).1 {
            std::thread::yield_now();
        }
    }
    while !link(&task, "ecs-eth0").1 {
        std::thread::yield_now();
    }
}
