//! IPv6 as good as IPv4: the own addresses, the source of connections, and routers that advertise themselves.

use super::addresses;
use crate::{
    fixtures::{Call, Instance, Netns, Pause, Router, Server, eventually, started},
    rollback::sides,
};
use ipnetwork::IpNetwork;
use oci_awsvpc_hook::testing::{Limits, Side, Step, Timings, transact};
use std::{
    net::{IpAddr, TcpListener, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

const ADDRESSES: &str = "2001:db8::5,2001:db8::6,2001:db8::7";
/// The router's, behind its default route.
const FAR: &str = "[2001:db8:1::1]:80";

/// An instance whose router has an address that is only to be reached by a default route.
fn instance() -> Instance {
    let instance = Instance::new();
    instance.router.ip("-6 addr add 2001:db8:1::1/128 dev lo nodad");
    instance
}

/// A call that says nothing about an IPv6 gateway.
fn call(pause: &Pause, stage: &str) -> Call {
    pause.call(stage).eni("ipv6-addresses", ADDRESSES)
}

/// Switches IPv6 off, as Docker does in namespaces that have no network.
fn as_docker_does(task: &Netns) {
    for link in ["all", "default", "lo"] {
        let path = format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6");
        task.within(|| std::fs::write(path, "1")).expect("written");
    }
}

fn default_route(task: &Netns) -> Option<String> {
    task.routes("6").into_iter().find(|route| route.starts_with("default via fe80::1 dev eth0"))
}

#[test]
fn a_task_reaches_itself_over_ipv6_where_docker_switched_that_off() {
    let (instance, pause) = (instance(), Pause::new());
    let task = pause.netns();
    as_docker_does(&task);
    assert_eq!(addresses(&task.link("lo").expect("lo")), ["127.0.0.1/8"]);
    let both = |stage| call(&pause, stage).eni("subnet-gateway-ipv6-address", "fe80::1");
    both("prestart").on(&instance).silently();
    for own in ["[::1]:80", "[2001:db8::5]:80", "[2001:db8::7]:80"] {
        let server = Server::start(&task, own, "itself");
        assert_eq!(server.ask_from(&task).as_deref(), Some("itself"), "{own}");
    }
    let before = task.snapshot();
    both("createRuntime").on(&instance).silently();
    task.assert_same(&before);
}

#[test]
fn a_task_without_ipv6_addresses_gets_none_on_its_loopback_interface() {
    let (instance, pause) = (instance(), Pause::new());
    as_docker_does(&pause.netns());
    pause.call("prestart").on(&instance).silently();
    assert_eq!(addresses(&pause.netns().link("lo").expect("lo")), ["127.0.0.1/8"]);
}

/// The kernel takes packets to an IPv6 address only when a queue of its own has got to it.
#[test]
fn an_address_that_was_waited_for_answers_though_the_kernel_is_busy() {
    let (instance, pause) = started();
    let elsewhere = Pause::new();
    // Each holds the lock that all changes of links and addresses need, most of the time.
    let busy = "while :; do ip link add NAMEa type veth peer name NAMEb && ip link del NAMEa; done";
    let _others = ["p", "q", "r"].map(|name| elsewhere.starts(&busy.replace("NAME", name)));
    for n in 5..105 {
        let own: IpNetwork = format!("2001:db8::{n:x}/64").parse().expect("an address");
        let (side, link) = (Side::Task, "eth0".parse().expect("a name"));
        let steps = [
            Step::AddAddress { side, link, address: own, subnet_route: true },
            Step::AwaitAddress { side, address: own.ip() },
        ];
        instance.netns.within(|| {
            let limits = Limits::start(Duration::from_secs(30), Duration::from_secs(5));
            let (sides, limits) = (sides(&pause), limits.expect("limits"));
            transact(&steps, &sides, &limits, &mut Timings::start()).expect("done");
        });
        let heard = pause.netns().within(|| {
            let socket = UdpSocket::bind((own.ip(), 7)).expect("bound");
            socket.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
            socket.send_to(b"itself", (own.ip(), 7)).expect("sent");
            socket.recv(&mut [0; 8]).ok()
        });
        assert_eq!(heard, Some(6), "{own}");
    }
}

#[test]
fn the_first_address_of_each_family_is_the_source_of_connections() {
    let (instance, pause) = (instance(), Pause::new());
    let both = |stage| {
        call(&pause, stage)
            .eni("ipv4-addresses", "10.0.0.5,10.0.0.6,10.0.0.7")
            .eni("subnet-gateway-ipv6-address", "2001:db8::1")
    };
    both("prestart").on(&instance).silently();
    let task = pause.netns();
    let first: [IpAddr; 2] = ["10.0.0.5", "2001:db8::5"].map(|text| text.parse().expect("one"));
    let sources = || {
        ["10.0.0.1:80", "[2001:db8::1]:80", FAR].map(|far| {
            let listener = instance.router.within(|| TcpListener::bind(far)).expect("bound");
            let _client = task.within(|| TcpStream::connect(far)).expect("connected");
            let (_, source) = listener.accept().expect("accepted");
            source.ip()
        })
    };
    eventually("the router's end up", || {
        instance.router.link("eni").is_some_and(|link| link["operstate"] == "UP")
    });
    assert_eq!(sources(), [first[0], first[1], first[1]]);
    // And so it is again when an address has gone and a second call has put it back.
    for gone in ["2001:db8::5", "2001:db8::6", "2001:db8::7"] {
        task.ip(&format!("-6 addr del {gone}/64 dev eth0"));
        both("createRuntime").on(&instance).silently();
        assert_eq!(sources(), [first[0], first[1], first[1]], "{gone}");
    }
}

#[test]
fn a_start_returns_with_the_default_route_of_a_router_that_is_asked() {
    let (instance, pause) = (instance(), Pause::new());
    let router = Router::start(&instance.router, "eni");
    let far = Server::start(&instance.router, FAR, "far");
    call(&pause, "prestart").on(&instance).silently();
    let task = pause.netns();
    let route = default_route(&task).expect("a default route");
    assert!(route.contains("proto ra"), "{route}");
    assert_eq!(far.ask_from(&task).as_deref(), Some("far"));
    let asked = router.heard();
    assert!(asked.iter().all(|at| *at < 0.9), "again, though it has answered: {asked:?}");
    // Nothing was made of the advertisement but the route.
    let own = addresses(&task.link("eth0").expect("the ENI"));
    assert_eq!(own[1..], ["2001:db8::5/64", "2001:db8::6/64", "2001:db8::7/64"]);
    // Once there, it is not asked for.
    call(&pause, "createRuntime").on(&instance).silently();
    assert_eq!(router.heard(), asked);
}

#[test]
fn a_router_is_asked_again_after_one_two_and_four_seconds() {
    let (instance, pause) = (instance(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let router = Router::deaf(&instance.router, "eni", Duration::from_mins(1));
    call(&pause, "prestart")
        .config(&folder, "eni.router-timeout-seconds = 5\n")
        .on(&instance)
        .well();
    let heard = router.heard();
    for due in [0.0, 1.0, 2.0, 4.0] {
        assert!(heard.iter().any(|at| (due - 0.1..due + 0.9).contains(at)), "{due}: {heard:?}");
    }
}

#[test]
fn a_router_that_does_not_hear_at_first_costs_no_more_than_the_next_question() {
    let (instance, pause) = (instance(), Pause::new());
    let router = Router::deaf(&instance.router, "eni", Duration::from_millis(1500));
    call(&pause, "prestart").on(&instance).silently();
    let last = router.heard().pop().expect("it was asked");
    assert!((1.9..3.0).contains(&last), "{:?}", router.heard());
    assert!(default_route(&pause.netns()).is_some());
}

#[test]
fn without_a_router_a_start_goes_on_with_a_warning() {
    let (instance, pause) = (instance(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let begin = Instant::now();
    let call = call(&pause, "prestart").config(&folder, "eni.router-timeout-seconds = 1\n");
    let warning = call.on(&instance).well();
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert_eq!(warning.lines().count(), 1, "{warning}");
    assert!(
        warning.contains("eth0 has no IPv6 default route: no annotation names a gateway"),
        "{warning}"
    );
    assert!(warning.contains("within 1s (router-timeout-seconds in config.toml)"), "{warning}");
    assert_eq!(default_route(&pause.netns()), None);
}

#[test]
fn an_ipv4_task_and_one_that_stays_down_wait_for_no_router() {
    let instance = instance();
    for call in [
        Pause::new().call("prestart"),
        Pause::new().call("prestart").eni("ipv6-addresses", ADDRESSES).eni("stay-down", "true"),
    ] {
        let pause = Pause::new();
        let begin = Instant::now();
        call.id(&pause.id).pid(pause.pid()).on(&instance).silently();
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
        pause.call("poststop").on(&instance).well();
    }
}
