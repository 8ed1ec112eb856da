//! What the instance knows of a task: from the first moment, and until the ENI was seen at home.

use super::{EVERY_END, End, First, Handover, NEIGHBOUR_MAC, after_each, refused};
use crate::{
    fixtures::{ENI_MAC, Instance, Netns, Pause, Server, hook},
    kills::kill_at_request,
};
use serde_json::json;
use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// The pause container is the task. Its namespace may live for ever.
#[test]
fn a_task_whose_programs_live_on_is_over() {
    after_each(&[End::Survived(First::Gc), End::Survived(First::Next)], |_| ());
}

/// Its ENI is nobody else's.
#[test]
fn a_record_stays_while_the_pause_container_lives() {
    let handover = Handover::new();
    let task = handover.hostile.netns().snapshot();
    assert_eq!(handover.command("gc").report(), "nothing to do\n");
    handover.hostile.netns().assert_same(&task);
    let next = Pause::new();
    refused(handover.call(&next, "prestart").on(&handover.instance));
    handover.hostile.netns().assert_same(&task);
}

/// Kills a start before each of its requests in turn. The container is gone then, and its namespace
/// lives on: in a pod, by name, or under an engine that forgets to destroy it. `then` gets what is
/// left: the instance, the dead container, and what keeps the namespace.
fn killed_at_every_request(then: impl Fn(&Instance, &Pause, &Pause)) {
    for number in 1.. {
        let (instance, mut pause) = (Instance::new(), Pause::new());
        let keeper = pause.joined_by("keeper");
        let was_killed = kill_at_request(pause.call("prestart"), &instance, number);
        if !was_killed {
            assert!(number > 10, "{number}");
            break;
        }
        println!("killed before request {number}");
        pause.kill();
        then(&instance, &pause, &keeper);
    }
}

/// Asserts that a container gets the ENI and works, stops, and leaves nothing.
#[track_caller]
fn recovers(instance: &Instance, next: &Pause) {
    next.call("prestart").on(instance).silently();
    assert_eq!(next.netns().links(), ["lo", "eth0", "ecs-eth0"]);
    next.netns().run("busybox ping -c 1 -W 2 10.0.0.1");
    next.call("poststop").on(instance).well();
    instance.assert_home();
}

#[test]
fn a_killed_start_in_a_namespace_that_lives_on_keeps_nothing_from_another_task() {
    killed_at_every_request(|instance, _, _| {
        hook("gc").on(instance).report();
        instance.assert_home();
        recovers(instance, &Pause::new());
    });
}

#[test]
fn a_killed_start_in_a_namespace_that_lives_on_keeps_nothing_from_a_task_there() {
    killed_at_every_request(|instance, _, keeper| {
        hook("gc").on(instance).report();
        let next = keeper.joined_by("next");
        recovers(instance, &next);
    });
}

#[test]
fn a_killed_start_in_a_namespace_that_lives_on_leaves_nothing_after_poststop() {
    killed_at_every_request(|instance, pause, keeper| {
        let poststop = hook("poststop").id(&pause.id).field("pid", json!(0));
        poststop.on(instance).well();
        instance.assert_home();
        assert_eq!(keeper.netns().links(), ["lo"]);
    });
}

/// A port says whose it is from its first moment, for nobody can ask its namespace.
#[test]
fn a_killed_start_in_a_namespace_that_nobody_is_in_leaves_no_port() {
    for number in 1.. {
        let (instance, mut pause) = (Instance::new(), Pause::new());
        let kept = pause.netns();
        if !kill_at_request(pause.call("prestart"), &instance, number)
            || instance.netns.link("eth1").is_none()
        {
            assert!(number > 5, "{number}");
            break;
        }
        println!("killed before request {number}");
        pause.kill();
        hook("poststop").id(&pause.id).on(&instance).well();
        hook("gc").on(&instance).report();
        instance.assert_home();
        drop(kept);
    }
}

/// A start is killed in a namespace that is kept, and tried again elsewhere.
#[test]
fn two_records_of_one_container() {
    killed_at_every_request(|instance, pause, keeper| {
        let mut again = Pause::new();
        again.id.clone_from(&pause.id);
        let done = again.call("prestart").on(instance);
        if done.code != Some(0) {
            refused(done);
        }
        again.call("poststop").on(instance).well();
        instance.assert_home();
        for task in [&again, keeper] {
            assert_eq!(task.netns().links(), ["lo"]);
        }
    });
}

/// Nothing is left to be done, whatever comes first.
#[test]
fn a_record_is_deleted_when_the_eni_is_home() {
    for end in EVERY_END {
        let mut handover = Handover::new();
        if let Some(next) = handover.end(end) {
            next.call("poststop").on(&handover.instance).well();
        }
        assert_eq!(handover.command("gc").report(), "nothing to do\n", "{end:?}");
    }
}

/// Whether a task gets its credentials, and nothing else of the instance.
#[track_caller]
fn assert_guarded(instance: &Instance, task: &Netns, gateway: &str) {
    let agent = Server::agent(&instance.netns, "credentials");
    assert_eq!(agent.ask_from(task).as_deref(), Some("credentials"));
    let services = ["0.0.0.0:22", "127.0.0.1:51678"];
    let _services = services.map(|at| Server::start(&instance.netns, at, "service"));
    for port in [22, 51678] {
        let at: SocketAddr = format!("{gateway}:{port}").parse().expect("an address");
        let answer = task.within(|| TcpStream::connect_timeout(&at, Duration::from_millis(500)));
        assert!(answer.is_err(), "{at} answers");
    }
}

#[test]
fn a_bridge_or_subnet_that_is_changed_while_a_task_runs() {
    let changes = [
        ("bridge = \"ecs-two\"", "169.254.172.1"),
        ("bridge = \"ecs-two\"\nsubnet = \"10.99.0.0/24\"\ngateway = \"10.99.0.1\"", "10.99.0.1"),
        ("subnet = \"10.99.0.0/24\"\ngateway = \"10.99.0.1\"", "10.99.0.1"),
        ("endpoint = \"169.254.170.23\"", "169.254.172.1"),
    ];
    for (change, gateway) in changes {
        println!("{change}");
        let (instance, old, new) = (Instance::new(), Pause::new(), Pause::new());
        let folder = tempfile::tempdir().expect("a folder");
        instance.attach("eth2", NEIGHBOUR_MAC, "eni2");
        old.call("prestart").on(&instance).silently();
        let call = new.call("prestart").config(&folder, &format!("[credentials]\n{change}\n"));
        let done = call.eni("mac-address", NEIGHBOUR_MAC).on(&instance);
        if done.code == Some(0) {
            let new = new.netns();
            if !change.contains("endpoint") {
                assert_guarded(&instance, &new, gateway);
            }
        } else {
            let line = done.badly();
            assert!(line.contains("ecs-bridge") || line.contains(&old.id), "{line}");
        }
        assert_guarded(&instance, &old.netns(), "169.254.172.1");
        old.call("poststop").on(&instance).well();
    }
}

/// OCI 1.3: the runtime moves the NIC and renames it before it calls the hook.
#[test]
fn a_runtime_that_has_moved_the_nic_in_itself() {
    for address in ["", "10.0.0.5/24"] {
        let (instance, pause) = (Instance::new(), Pause::new());
        let bundle = tempfile::tempdir().expect("a folder");
        let config = json!({
            "ociVersion": "1.3.0",
            "linux": { "netDevices": { "eth1": { "name": "eth0" } } },
        });
        std::fs::write(bundle.path().join("config.json"), config.to_string()).expect("written");
        instance.netns.ip(&format!("link set eth1 netns {} name eth0", pause.pid()));
        if !address.is_empty() {
            pause.netns().ip(&format!("addr add {address} dev eth0 && ip link set eth0 up"));
        }
        let before = (instance.netns.snapshot(), pause.netns().snapshot());
        let call = |stage| pause.call(stage).field("bundle", json!(bundle.path()));
        let done = call("prestart").on(&instance);
        if done.code == Some(0) {
            assert_eq!(pause.netns().links(), ["lo", "eth0", "ecs-eth0"]);
            pause.netns().run("busybox ping -c 1 -W 2 10.0.0.1");
            call("poststop").on(&instance).well();
            instance.assert_home();
        } else {
            let line = done.badly();
            assert!(line.contains(ENI_MAC) && line.contains("netDevices"), "{line}");
            call("poststop").on(&instance).silently();
            instance.netns.assert_same(&before.0);
            pause.netns().assert_same(&before.1);
        }
    }
}
