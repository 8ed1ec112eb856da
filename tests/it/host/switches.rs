//! Each key of `[host]`, and what it makes of the rules.

use super::{chains, ruleset};
use crate::fixtures::{Instance, Pause, Server, hook};

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
