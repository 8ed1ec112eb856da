//! Each key of `[host]`, and what it makes of the rules.

use super::{chains, ruleset};
use crate::fixtures::{Instance, Netns, Pause, Server, eventually, hook};
use std::{net::UdpSocket, time::Duration};

const ALL_OFF: &str = "[host]\nredirect = false\nfilter = false\nsource-checks = false\n";

/// `[host]` with nothing but one part on.
fn only(part: &str) -> String {
    ALL_OFF.replace(&format!("{part} = false"), &format!("{part} = true"))
}

fn route_localnet(instance: &Instance) -> String {
    let path = "/proc/sys/net/ipv4/conf/ecs-bridge/route_localnet";
    instance.netns.run(&format!("cat {path}")).trim().to_owned()
}

#[test]
fn each_part_has_a_switch_of_its_own() {
    for (part, expected, localnet) in [
        ("redirect", &["inet guard", "inet credentials"][..], "1"),
        ("filter", &["inet guard", "inet input", "inet forward"], "0"),
        ("source-checks", &["inet guard", "bridge source"], "0"),
    ] {
        let (instance, pause) = (Instance::new(), Pause::new());
        let folder = tempfile::tempdir().expect("a folder");
        pause.call("prestart").config(&folder, &only(part)).on(&instance).silently();
        assert_eq!(chains(&instance.netns), expected, "{part}");
        assert_eq!(route_localnet(&instance), localnet, "{part}");
        let agent = Server::agent(&instance.netns, "credentials");
        let answer = agent.ask_from(&pause.netns());
        assert_eq!(answer.is_some(), part == "redirect", "{part}: {answer:?}");
    }
}

#[test]
fn with_all_of_them_off_there_are_no_rules_and_earlier_ones_go() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    pause.call("prestart").config(&folder, ALL_OFF).on(&instance).silently();
    assert_eq!(ruleset(&instance), "");
    hook("host-setup").on(&instance).report();
    assert_eq!(chains(&instance.netns).len(), 5);
    let report = hook("host-setup").config(&folder, ALL_OFF).on(&instance).report();
    assert_eq!(report, "nftables rules are removed\n");
    assert_eq!(ruleset(&instance), "");
    let report = hook("host-setup").config(&folder, ALL_OFF).on(&instance).report();
    assert_eq!(report, "nothing to do\n");
}

#[test]
fn a_changed_configuration_is_installed_by_the_next_task() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let six = "[credentials]\nipv6-subnet = \"fd00:ec::/64\"\n";
    pause.call("prestart").config(&folder, six).on(&instance).silently();
    let servers =
        ["169.254.172.1:8125", "[fd00:ec::1]:8125", "169.254.172.1:8126", "10.0.9.2:8125"]
            .map(|address| Server::start(&instance.netns, address, "open"));
    let open = || servers.each_ref().map(|server| server.ask_from(&pause.netns()).is_some());
    assert_eq!(open(), [false; 4]);

    let opened = format!("{six}[host]\nopen-tcp-ports = [8125]\n");
    pause.netns().ip("route add 10.0.9.2 via 169.254.172.1 dev ecs-eth0");
    pause.call("prestart").config(&folder, &opened).on(&instance).silently();
    assert_eq!(open(), [true, true, false, false]);
    pause.call("prestart").config(&folder, six).on(&instance).silently();
    assert_eq!(open(), [false; 4]);
}

#[test]
fn the_agent_may_be_elsewhere_on_the_instance() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let config = "[host]\nagent = \"10.0.9.2:4000\"\n";
    pause.call("prestart").config(&folder, config).on(&instance).silently();
    assert_eq!(route_localnet(&instance), "0");
    let agent = Server::start(&instance.netns, "10.0.9.2:4000", "credentials");
    let agent = agent.at("169.254.170.2:80");
    assert_eq!(agent.ask_from(&pause.netns()).as_deref(), Some("credentials"));
}

/// A container behind a bridge, as Docker makes it: what is for the agent is routed to it, and nothing else.
#[test]
fn the_agent_may_be_in_a_container() {
    let (instance, pause, container) = (Instance::new(), Pause::new(), Netns::new());
    let host = &instance.netns;
    host.ip("link add docker0 type bridge");
    host.ip("addr add 172.17.0.1/16 dev docker0");
    host.ip("link set docker0 up");
    let path = container.path().display().to_string();
    host.ip(&format!("link add port0 master docker0 type veth peer name eth0 netns {path}"));
    host.ip("link set port0 up");
    container.ip("addr add 172.17.0.2/16 dev eth0");
    container.ip("link set eth0 up");
    container.ip("route add default via 172.17.0.1");
    // As Docker does; but not for the bridge that is to come.
    host.run(
        "cd /proc/sys/net/ipv4/conf && echo 1 >docker0/forwarding && echo 0 >default/forwarding",
    );

    let folder = tempfile::tempdir().expect("a folder");
    let config = "[host]\nagent = \"172.17.0.2:4000\"\n";
    pause.call("prestart").config(&folder, config).on(&instance).silently();
    let agent = Server::start(&container, "172.17.0.2:4000", "credentials");
    let other = Server::start(&container, "172.17.0.2:4001", "other");
    let task = pause.netns();
    eventually("credentials", || Server::ask_at("169.254.170.2:80", &task).is_some());
    assert_eq!(agent.at("169.254.170.2:80").ask_from(&task).as_deref(), Some("credentials"));
    // Not by its own address, nor anything else there, nor the other way round.
    task.ip("route add 172.17.0.0/16 via 169.254.172.1 dev ecs-eth0");
    let inside = Server::start(&task, "0.0.0.0:22", "task");
    let own = task.json("ip -j -4 addr show dev ecs-eth0")[0]["addr_info"][0]["local"].clone();
    assert_eq!(Server::ask_at("172.17.0.2:4000", &task), None);
    assert_eq!(other.ask_from(&task), None);
    let own = own.as_str().expect("an address");
    assert_eq!(inside.at(&format!("{own}:22")).ask_from(&container), None);
}

#[test]
fn udp_ports_can_be_opened_too() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let config = "[credentials]\nipv6-subnet = \"fd00:ec::/64\"\n[host]\nopen-udp-ports = [8125]\n";
    pause.call("prestart").config(&folder, config).on(&instance).silently();
    let hears = |address: &str| {
        let socket = instance.netns.within(|| UdpSocket::bind(address)).expect("bound");
        socket.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
        pause.netns().within(|| {
            let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
            let sender = UdpSocket::bind(any).expect("bound");
            sender.send_to(b"count:1", address).expect("sent");
        });
        socket.recv(&mut [0; 16]).is_ok()
    };
    for address in ["169.254.172.1:8125", "[fd00:ec::1]:8125"] {
        assert!(hears(address), "{address}");
    }
    for address in ["169.254.172.1:8126", "[fd00:ec::1]:8126"] {
        assert!(!hears(address), "{address}");
    }
    let tcp = Server::start(&instance.netns, "169.254.172.1:8125", "tcp");
    assert_eq!(tcp.ask_from(&pause.netns()), None);
}

#[test]
fn credentials_over_ipv6_are_at_the_bridges_own_address() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let config = "[credentials]\nipv6-subnet = \"fd00:ec::/64\"\n";
    pause.call("prestart").config(&folder, config).on(&instance).silently();
    let (task, host) = (pause.netns(), &instance.netns);
    let agents = ["127.0.0.1:51679", "[fd00:ec::1]:51679"];
    let _agents = agents.map(|at| Server::start(host, at, "credentials"));
    for endpoint in ["169.254.170.2:80", "[fd00:ec2::170:2]:80"] {
        assert_eq!(Server::ask_at(endpoint, &task).as_deref(), Some("credentials"), "{endpoint}");
    }
    assert_eq!(Server::ask_at("[fd00:ec::1]:51679", &task), None, "not past the redirect");
    let route = "fd00:ec2::170:2 via fd00:ec::1 dev ecs-eth0 metric 1024";
    assert!(task.routes("6").contains(&route.to_owned()), "{:?}", task.routes("6"));
    // And where it is configured.
    let config = format!("{config}ipv6-endpoint = \"fd00:cc::7\"\n");
    let next = Pause::new();
    pause.call("poststop").on(&instance).well();
    instance.attach_if_gone();
    next.call("prestart").config(&folder, &config).on(&instance).silently();
    assert_eq!(Server::ask_at("[fd00:cc::7]:80", &next.netns()).as_deref(), Some("credentials"));
}
