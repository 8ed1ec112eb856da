//! What the network is for: connections, from the first packet on.

use crate::fixtures::{Instance, Netns, Pause, Server, eventually};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    net::{Ipv6Addr, SocketAddrV6},
    time::{Duration, Instant},
};

/// Sends one router advertisement (RFC 4861, section 4.2) with nothing in it but a lifetime.
pub fn advertise_router(router: &Netns, link: &str) {
    const RA: [u8; 16] = [134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    let index =
        u32::try_from(router.link(link).expect(link)["ifindex"].as_u64().expect("a number"));
    let index = index.expect("an index");
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    router.within(|| {
        let socket =
            Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)).expect("a socket");
        socket.set_multicast_if_v6(index).expect("set");
        socket.set_multicast_hops_v6(255).expect("set");
        let to = SockAddr::from(SocketAddrV6::new(all_nodes, 0, 0, index));
        // Fails until the router's own link-local address is no longer tentative.
        socket.send_to(&RA, &to).ok();
    });
}

/// The instance with the agent's credentials endpoint and a web server in the VPC.
fn serving() -> (Instance, [Server; 2]) {
    let instance = Instance::new();
    let credentials = Server::agent(&instance.netns, "credentials");
    let vpc = Server::start(&instance.router, "10.0.0.1:80", "vpc");
    (instance, [credentials, vpc])
}

/// Waits until the router's end of the ENI is up, which in a VPC it always is: here it is the other
/// end of a veth, and drops what it should answer until the kernel gets to it.
fn vpc_is_up(instance: &Instance) {
    eventually("the router's end up", || {
        instance.router.link("eni").is_some_and(|link| link["operstate"] == "UP")
    });
}

/// TCP segments that were sent again in a namespace: `RetransSegs` of `/proc/net/snmp`.
fn sent_again(netns: &Netns) -> u64 {
    let snmp =
        netns.within(|| std::fs::read_to_string("/proc/thread-self/net/snmp").expect("/proc"));
    let mut tcp = snmp.lines().filter(|line| line.starts_with("Tcp:")).map(|line| line.split(' '));
    let (names, values) = (tcp.next().expect("names"), tcp.next().expect("values"));
    let (_, value) = names.zip(values).find(|(name, _)| *name == "RetransSegs").expect("listed");
    value.parse().expect("a number")
}

#[test]
fn first_connections_need_no_second_syn_fifty_starts_in_a_row() {
    let (instance, servers) = serving();
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let pause = Pause::new();
        pause.call("prestart").on(&instance).silently();
        let task = pause.netns();
        for link in ["ecs-eth0", "eth0"] {
            assert_eq!(task.link(link).expect(link)["operstate"], "UP");
        }
        vpc_is_up(&instance);
        let begin = Instant::now();
        assert_eq!(servers[0].ask_from(&task).as_deref(), Some("credentials"));
        assert_eq!(servers[1].ask_from(&task).as_deref(), Some("vpc"));
        slowest = slowest.max(begin.elapsed());
        assert_eq!(sent_again(&task), 0);
        pause.call("poststop").on(&instance).well();
    }
    println!("slowest pair of first answers: {slowest:?}");
}

#[test]
fn the_metadata_service_is_out_of_reach_unless_allowed() {
    let (instance, _servers) = serving();
    instance.router.ip("addr add 169.254.169.254/32 dev lo");
    let metadata = Server::start(&instance.router, "169.254.169.254:80", "metadata");
    let pause = Pause::new();
    pause.call("prestart").on(&instance).silently();
    assert_eq!(metadata.ask_from(&pause.netns()), None);
    pause.call("poststop").on(&instance).well();

    let open = Pause::new();
    open.call("prestart").eni("block-instance-metadata", "false").on(&instance).silently();
    assert_eq!(metadata.ask_from(&open.netns()).as_deref(), Some("metadata"));
}

#[test]
fn an_ipv6_task_reaches_the_vpc_over_ipv6() {
    let (instance, _servers) = serving();
    let vpc = Server::start(&instance.router, "[2001:db8::1]:80", "vpc over IPv6");
    let pause = Pause::new();
    pause
        .call("prestart")
        .eni("ipv4-addresses", serde_json::Value::Null)
        .eni("subnet-gateway-ipv4-address", serde_json::Value::Null)
        .eni("ipv6-addresses", "2001:db8::5")
        .eni("subnet-gateway-ipv6-address", "2001:db8::1")
        .on(&instance)
        .silently();
    vpc_is_up(&instance);
    assert_eq!(vpc.ask_from(&pause.netns()).as_deref(), Some("vpc over IPv6"));
}
