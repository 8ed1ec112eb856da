//! What the network is for: connections, from the first packet on.

use crate::fixtures::{Instance, Netns, Pause, Router, Server, eventually};
use std::time::{Duration, Instant};

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

/// TCP segments that were sent again in a namespace.
fn sent_again(netns: &Netns) -> u64 {
    let read = || std::fs::read_to_string("/proc/thread-self/net/snmp");
    sent_again_by(&netns.within(read).expect("/proc"))
}

/// The same, as `RetransSegs` of a `/proc/net/snmp` says, which counts both families.
pub fn sent_again_by(snmp: &str) -> u64 {
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

/// Half of them by a router that advertises itself, half by one that an annotation names.
#[test]
fn first_connections_over_ipv6_need_no_second_syn_fifty_starts_in_a_row() {
    let instance = Instance::new();
    instance.router.ip("-6 addr add 2001:db8:1::1/128 dev lo nodad");
    let _router = Router::start(&instance.router, "eni");
    let far = Server::start(&instance.router, "[2001:db8:1::1]:80", "far");
    let mut slowest = Duration::ZERO;
    for start in 0..50 {
        let pause = Pause::new();
        let call = pause.call("prestart").eni("ipv6-addresses", "2001:db8::5,2001:db8::6");
        let named = ["", "2001:db8::1"][start % 2];
        let call =
            if named.is_empty() { call } else { call.eni("subnet-gateway-ipv6-address", named) };
        call.on(&instance).silently();
        let task = pause.netns();
        vpc_is_up(&instance);
        let begin = Instant::now();
        assert_eq!(far.ask_from(&task).as_deref(), Some("far"));
        slowest = slowest.max(begin.elapsed());
        assert_eq!(sent_again(&task), 0);
        pause.call("poststop").on(&instance).well();
    }
    println!("slowest first answer: {slowest:?}");
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
