//! What is not stopped, because a hook cannot: docs/security.md says so, and here is the proof.

use crate::fixtures::{Instance, Pause, Server};
use std::process::{Command, Output};

/// A macvlan, in the task, on the instance's own `eth0`: to be what the instance is in the VPC. The
/// kernel gives every veth the number of its peer's namespace (`link-netnsid`), by which a process
/// can name that namespace, if it has `CAP_NET_ADMIN` in the user namespace that owns it.
fn borrow_the_instances_interface(instance: &Instance, pause: &Pause, enter: &[&str]) -> Output {
    let index = instance.netns.link("eth0").expect("eth0")["ifindex"].clone();
    let veth = pause.netns().link("ecs-eth0").expect("the credential interface");
    let number = veth["link_netnsid"].as_u64().unwrap_or_default();
    let pid = pause.pid().to_string();
    let line = format!(
        "ip link add link if{index} link-netnsid {number} name stolen type macvlan mode bridge"
    );
    Command::new("nsenter")
        .args(enter)
        .args(["--target", &pid, "sh", "-c", &line])
        .output()
        .expect("nsenter")
}

#[test]
fn cap_net_admin_is_the_instances_unless_the_task_has_a_user_namespace() {
    let into_both = ["--net", "--user", "--preserve-credentials"];
    for (pause, enter, succeeds) in [
        (Pause::new(), &into_both[..1], true),
        (Pause::in_a_user_namespace(), &into_both[..], false),
    ] {
        let instance = Instance::new();
        pause.call("prestart").on(&instance).silently();
        let output = borrow_the_instances_interface(&instance, &pause, enter);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), succeeds, "{said}");
        assert!(succeeds || said.contains("Operation not permitted"), "{said}");
        assert_eq!(pause.netns().links().contains(&"stolen".to_owned()), succeeds);
    }
}

/// The block is the task's own rules and routes, which its root can delete who has `CAP_NET_ADMIN`.
#[test]
fn cap_net_admin_in_the_task_opens_the_way_to_the_metadata_service() {
    let (instance, pause) = (Instance::new(), Pause::new());
    instance.router.ip("addr add 169.254.169.254/32 dev lo");
    let server = Server::start(&instance.router, "169.254.169.254:80", "metadata");
    pause.call("prestart").on(&instance).silently();
    assert_eq!(server.ask_from(&pause.netns()), None);
    pause.netns().run("nft flush ruleset && ip route del blackhole 169.254.169.254");
    assert_eq!(server.ask_from(&pause.netns()).as_deref(), Some("metadata"));
}
