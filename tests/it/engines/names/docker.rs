//! Docker copies the instance's `resolv.conf`, and shares a pause container's files with the applications.

use super::{machine, resolve};
use crate::{
    engines::{Engine, SLEEP, docker::Docker},
    fixtures::annotations,
};
use serde_json::json;

#[test]
#[ignore = "needs real root: drives Docker"]
fn a_task_knows_names_under_docker() {
    resolve(&Docker::on(machine(), "runc"));
}

#[test]
#[ignore = "needs real root: drives Docker"]
fn what_docker_was_told_of_names_stays() {
    let docker = Docker::new("runc");
    let file = docker.machine().read("/etc/resolv.conf");
    let own = file.lines().find_map(|line| line.strip_prefix("nameserver ")).expect("a server");
    let vpcs = "nameserver 169.254.169.253";
    let show = "/bin/cat /etc/resolv.conf";
    for (told, shown) in [
        ("", vpcs),
        ("--dns 10.0.0.2", "nameserver 10.0.0.2"),
        (&format!("--dns {own}"), &format!("nameserver {own}")),
        ("--dns-search db.internal", "search db.internal"),
        ("--add-host db:10.0.0.9", vpcs),
    ] {
        let text = docker.shown(told, &annotations(), show);
        assert!(text.contains(shown), "{told}: {text}");
        assert_eq!(text.contains(vpcs), shown == vpcs, "{told}: {text}");
    }
    let mut named = annotations();
    named["com.amazonaws.ecs.eni.hostname"] = json!("web");
    let text = docker.shown("", &named, "/bin/cat /proc/sys/kernel/hostname /etc/hostname");
    assert_eq!(text, "web\nweb");
    let mut always = annotations();
    always["com.amazonaws.ecs.eni.dns-files"] = json!("always");
    let text = docker.shown("--dns 10.0.0.2", &always, show);
    assert!(text.contains(vpcs) && !text.contains("10.0.0.2"), "{text}");
}

#[test]
#[ignore = "needs real root: drives Docker"]
fn an_application_has_what_docker_was_told_for_its_pause_container() {
    let docker = Docker::new("runc");
    docker.start_with("pause", "--dns 10.0.0.2 --add-host db:10.0.0.9");
    docker.join("app", "pause", SLEEP);
    for id in ["pause", "app"] {
        let text = docker.exec(id, "/bin/cat /etc/resolv.conf /etc/hosts");
        assert!(text.contains("nameserver 10.0.0.2"), "{id}: {text}");
        assert!(text.contains("10.0.0.9 db") && text.contains("10.0.0.5 "), "{id}: {text}");
        assert!(!text.contains("169.254.169.253"), "{id}: {text}");
    }
    docker.remove(&["app", "pause"]);
}
