//! The task's rules come, change, come back, and go with the ENI.

use super::{Block, LATE, METADATA, OWN, ROUTER, SOON, Subnet};
use crate::{
    fixtures::{Frame, Pause, Server, Wire, eventually, hook},
    host::chains,
};

const BLOCK: [&str; 3] = ["inet output", "inet forward", "netdev egress"];

fn ruleset(subnet: &Subnet) -> String {
    // Not as a whole: whichever table was made last comes last.
    let list = |family| format!("nft --stateless list table {family} oci_awsvpc 2>&1 || true");
    subnet.task.run(&["inet", "netdev"].map(list).join("; "))
}

fn blackholes(subnet: &Subnet) -> usize {
    let routes = [subnet.task.routes("4"), subnet.task.routes("6")].concat();
    routes.iter().filter(|route| route.starts_with("blackhole")).count()
}

#[test]
fn rules_and_routes_are_there_together_or_not_at_all() {
    let subnet = Subnet::new(Block::Default);
    assert_eq!(chains(&subnet.task), BLOCK);
    assert_eq!(blackholes(&subnet), 2);
    let subnet = Subnet::new(Block::Off);
    assert_eq!((chains(&subnet.task), blackholes(&subnet)), (Vec::new(), 0));
}

/// A pod's namespace may have been a task's that was blocked.
#[test]
fn a_block_that_is_no_longer_wanted_goes() {
    let subnet = Subnet::new(Block::Default);
    let call = || subnet.call("prestart").eni("block-instance-metadata", "false");
    call().on(&subnet.instance).silently();
    assert_eq!((subnet.task.run("nft list tables").as_str(), blackholes(&subnet)), ("", 0));
    for address in ["169.254.169.254:80", "[fd00:ec2::254]:80"] {
        assert_eq!(Server::ask_at(address, &subnet.task).as_deref(), Some("metadata"), "{address}");
    }
    // Routes that an earlier release left, without rules.
    subnet.task.ip("route add blackhole 169.254.169.254");
    call().on(&subnet.instance).silently();
    assert_eq!(blackholes(&subnet), 0);
    subnet.call("prestart").on(&subnet.instance).silently();
    assert_eq!(blackholes(&subnet), 2);
}

#[test]
fn what_a_task_does_to_its_rules_is_mended_by_the_next_call() {
    let subnet = Subnet::new(Block::Default);
    let whole = ruleset(&subnet);
    let with_handles = || subnet.task.run("nft --handle --stateless list ruleset");
    let untouched = with_handles();
    subnet.call("prestart").on(&subnet.instance).silently();
    assert_eq!(with_handles(), untouched, "what is there is left alone");
    for damage in [
        "nft flush ruleset",
        "nft flush chain inet oci_awsvpc output",
        "nft delete table netdev oci_awsvpc",
        "nft insert rule inet oci_awsvpc output accept",
        "nft insert rule netdev oci_awsvpc egress accept",
        "nft add table netdev oci_awsvpc '{ flags dormant; }'",
    ] {
        let instances = subnet.instance.netns.run("nft --handle --stateless list ruleset");
        subnet.task.run(damage);
        assert_ne!(ruleset(&subnet), whole, "{damage}");
        subnet.call("prestart").on(&subnet.instance).silently();
        assert_eq!(ruleset(&subnet), whole, "{damage}");
        assert_eq!(
            subnet.instance.netns.run("nft --handle --stateless list ruleset"),
            instances,
            "{damage}"
        );
    }
}

#[test]
fn gc_puts_the_rules_of_a_living_task_back() {
    let subnet = Subnet::new(Block::Default);
    let whole = ruleset(&subnet);
    assert_eq!(hook("gc").on(&subnet.instance).report(), "nothing to do\n");
    let instances = subnet.instance.netns.run("nft --handle --stateless list ruleset");
    subnet.task.run("nft flush ruleset");
    let report = hook("gc").on(&subnet.instance).report();
    assert!(
        report.contains("rules that block packets are there in the task again")
            && report.contains(&subnet.pause.id),
        "{report}"
    );
    assert_eq!(ruleset(&subnet), whole);
    assert_eq!(subnet.instance.netns.run("nft --handle --stateless list ruleset"), instances);
    assert_eq!(hook("gc").on(&subnet.instance).report(), "nothing to do\n");
    // What the task may reach, it still may.
    let subnet = Subnet::new(Block::Off);
    assert_eq!(hook("gc").on(&subnet.instance).report(), "nothing to do\n");
    assert_eq!(subnet.task.run("nft list tables"), "");
}

/// Where the interface left, the kernel may have kept the chain without it, or deleted it.
#[test]
fn an_eni_that_comes_back_into_its_namespace_is_filtered_again() {
    let subnet = Subnet::new(Block::Default);
    subnet.call("poststop").on(&subnet.instance).well();
    subnet.call("prestart").on(&subnet.instance).silently();
    assert_eq!(chains(&subnet.task), BLOCK);
    let send = |to, says| {
        let wire = Wire::open(&subnet.task, "eth0");
        wire.try_send(&subnet.between(Frame::udp(OWN, to, 80, says)));
    };
    send(METADATA, "blocked");
    assert!(!subnet.wire.hears("blocked", SOON));
    send(ROUTER, "allowed");
    assert!(subnet.wire.hears("allowed", LATE));
}

/// The rules about frames are the task's, and stay there.
#[test]
fn an_eni_that_is_home_again_is_nobodys_to_filter() {
    let subnet = Subnet::new(Block::Default);
    subnet.call("poststop").on(&subnet.instance).well();
    let host = &subnet.instance.netns;
    assert_eq!(host.run("nft list tables netdev"), "");
    subnet.instance.assert_home();
    host.ip("link set eth1 up");
    eventually("eth1 up", || host.link("eth1").is_some_and(|link| link["operstate"] == "UP"));
    Wire::open(host, "eth1").send(&Frame::udp(OWN, METADATA, 80, "from home"));
    assert!(subnet.wire.hears("from home", LATE));
    // And it can be a task's again.
    let next = Pause::new();
    next.call("prestart").on(&subnet.instance).silently();
    assert_eq!(chains(&next.netns()), BLOCK);
    assert_eq!(hook("gc").on(&subnet.instance).report(), "nothing to do\n");
}
