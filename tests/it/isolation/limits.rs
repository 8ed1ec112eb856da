//! What is not stopped, because a hook cannot: docs/security.md says so, and here is the proof.

use super::{
    LATE,
    arena::{Arena, Defence},
};
use crate::fixtures::{Frame, Instance, Pause, Server, Wire, mac};
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

/// The block is a route of the task. A frame that a raw socket sends over the task's own ENI asks no
/// route, and the VPC answers it.
#[test]
fn a_raw_socket_reaches_the_metadata_service_by_the_tasks_own_eni() {
    let arena = Arena::new(Defence::Default, "", LATE);
    let (router, metadata) = (&arena.instance.router, "169.254.169.254");
    router.ip("addr add 169.254.169.254/32 dev lo");
    let server = Server::start(router, "169.254.169.254:80", "metadata");
    assert_eq!(server.ask_from(&arena.a.netns), None);

    let link = |netns: &crate::fixtures::Netns, name: &str| {
        mac(netns.link(name).expect(name)["address"].as_str().expect("text"))
    };
    let (own, gateway) = (link(&arena.a.netns, "eth0"), link(router, "eni"));
    let metadata = metadata.parse().expect("an address");
    let syn = Frame::syn([10, 0, 0, 5].into(), 4711, metadata, 80, "").between(own, gateway);
    let wire = Wire::open(&arena.a.netns, "eth0");
    wire.send(&syn);
    assert!(wire.sees(LATE, |frame| frame.len() > 47
        && frame[26..30] == metadata.octets()
        && frame[47] == 0x12));
}
