//! What the instance finds again after `poststop`, whatever happened in between.

use crate::fixtures::{ENI_MAC, Instance, Pause, eventually, started};
use nix::{
    cmsg_space,
    sys::socket::{ControlMessage, MsgFlags, recvmsg, sendmsg},
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::IoSlice,
    os::{fd::AsRawFd, unix::net::UnixStream},
};

#[test]
fn the_eni_comes_home_as_it_was_and_a_second_call_is_fine() {
    let (instance, pause) = started();
    pause.call("poststop").on(&instance).well();
    instance.assert_home();
    let after = instance.netns.snapshot();
    pause.call("poststop").on(&instance).silently();
    instance.netns.assert_same(&after);
}

#[test]
fn neither_pid_nor_annotations_nor_bundle_are_needed() {
    for pid in [Value::Null, json!(0), json!(1)] {
        let (instance, pause) = started();
        let call = pause.call("poststop").field("pid", pid).field("annotations", Value::Null);
        call.on(&instance).well();
        instance.assert_home();
    }
}

#[test]
fn a_task_with_living_applications_loses_its_eni_with_a_warning() {
    let (instance, mut pause) = started();
    let application = pause.joined_by("application");
    pause.kill();
    let log = pause.call("poststop").on(&instance).well();
    assert!(log.contains(&format!("in its namespace: {}", application.pid())), "{log}");
    instance.assert_home();
    assert_eq!(application.netns().links(), ["lo"]);
}

#[test]
fn a_namespace_that_is_only_mounted_is_found() {
    // The mount is made where only its own process sees it, so the hook must run there too.
    let (instance, mut pause) = started();
    let folder = tempfile::tempdir().expect("a folder");
    let mount = folder.path().join("netns");
    std::fs::write(&mount, "").expect("written");
    let script = format!(
        "mount --bind /proc/{}/ns/net {1} && kill -9 {0} && while [ -e /proc/{0}/ns/net ]; do sleep 0.01; done; exec \"$@\"",
        pause.pid(),
        mount.display()
    )
    .replace("/proc/{}", &format!("/proc/{}", pause.pid()));
    let call = pause.call("poststop").through(&["unshare", "--mount", "sh", "-c", &script, "sh"]);
    let done = call.on(&instance);
    pause.kill();
    assert_eq!(done.well(), "");
    instance.assert_home();
}

#[test]
fn a_task_that_is_dead_already_is_no_error() {
    let (instance, mut pause) = started();
    pause.kill();
    eventually("the veth gone", || instance.ports().is_empty());
    // This ENI is a veth and died with its namespace, as one that was detached meanwhile.
    pause.call("poststop").on(&instance).silently();
    assert_eq!(instance.netns.links(), ["lo", "eth0", "ecs-bridge"]);
    assert_eq!(instance.netns.ip("neigh show nud permanent"), "");
}

#[test]
fn a_task_that_is_dying_is_waited_for() {
    for _ in 0..10 {
        let (instance, mut pause) = started();
        pause.kill();
        pause.call("poststop").on(&instance).well();
        assert!(instance.ports().is_empty());
        assert_eq!(instance.netns.ip("neigh show nud permanent"), "");
    }
}

#[test]
fn an_eni_whose_name_was_taken_comes_home_under_another() {
    let (instance, pause) = started();
    // Both its own name and the one that it has inside are taken.
    instance.attach("eth1", "02:00:00:00:00:09", "other");
    let log = pause.call("poststop").on(&instance).well();
    assert!(log.contains("its own name, eth1, is taken by another interface"), "{log}");
    let links = instance.netns.links();
    let name = links.iter().find(|name| name.starts_with("dev")).expect("a name of the kernel's");
    let eni = instance.netns.link(name).expect("the ENI");
    assert_eq!((&eni["address"], &eni["mtu"]), (&json!(ENI_MAC), &json!(9001)));
    assert!(eni.get("ifalias").is_none());
}

#[test]
fn an_eni_renamed_and_relabelled_inside_comes_home() {
    let (instance, pause) = started();
    let task = pause.netns();
    task.ip("link set eth0 down");
    task.ip("link set eth0 name evil0 mtu 1400 alias awsvpc-container=other");
    pause.call("poststop").on(&instance).well();
    instance.assert_home();
}

#[test]
fn an_eni_that_came_home_by_itself_is_restored_from_its_label() {
    let (instance, mut pause) = started();
    // What the kernel does with a physical interface when its namespace dies.
    pause.netns().ip(&format!("link set eth0 name dev7 netns {}", instance.netns.path().display()));
    pause.kill();
    eventually("the veth gone", || instance.ports().is_empty());
    pause.call("poststop").on(&instance).well();
    instance.assert_home();
}

#[test]
fn an_eni_that_came_home_by_itself_can_be_given_to_the_next_task() {
    let (instance, mut pause) = started();
    pause
        .netns()
        .ip(&format!("link set eth0 name dev7 mtu 1400 netns {}", instance.netns.path().display()));
    pause.kill();
    eventually("the veth gone", || instance.ports().is_empty());
    let next = Pause::new();
    next.call("prestart").on(&instance).silently();
    assert_eq!(next.netns().link("eth0").expect("the ENI")["mtu"], 9001);
    // The first task's late poststop must not touch what is the second one's now.
    pause.call("poststop").on(&instance).silently();
    assert_eq!(next.netns().links(), ["lo", "eth0", "ecs-eth0"]);
    next.call("poststop").on(&instance).well();
    instance.assert_home();
}

#[test]
fn addresses_that_a_host_daemon_put_on_the_returning_eni_are_gone() {
    let (instance, pause) = started();
    pause.netns().ip(&format!("link set eth0 name eth1 netns {}", instance.netns.path().display()));
    instance.netns.ip("addr add 10.0.0.77/24 dev eth1");
    instance.netns.ip("link set eth1 up");
    pause.call("poststop").on(&instance).well();
    instance.assert_home();
}

#[test]
fn another_container_is_left_alone() {
    let (instance, pause) = started();
    let before = instance.netns.snapshot();
    let call = || pause.call("poststop").field("annotations", json!({"a": "b"}));
    call().id("other").on(&instance).silently();
    pause.call("poststop").id("other").on(&instance).silently();
    instance.netns.assert_same(&before);
    // Annotations that do not say so, and no bundle to ask: its veth says that it is ours.
    call().on(&instance).well();
    instance.assert_home();
}

#[test]
fn an_eni_in_a_namespace_that_no_veth_tells_of_is_found() {
    let (instance, pause) = started();
    // A task with CAP_NET_ADMIN deletes its end of the veth, and so the instance's.
    pause.netns().ip("link del ecs-eth0");
    eventually("the veth gone", || instance.ports().is_empty());
    pause.call("poststop").field("pid", Value::Null).on(&instance).well();
    instance.assert_home();
}

#[test]
fn an_eni_whose_mac_address_was_changed_inside_gets_its_own_again() {
    let (instance, pause) = started();
    let task = pause.netns();
    task.ip("link set eth0 down");
    task.ip("link set eth0 address 02:00:00:00:66:66 name other");
    pause.call("poststop").on(&instance).well();
    instance.assert_home();
}

#[test]
fn a_pid_that_belongs_to_a_stranger_by_now_does_no_harm() {
    let (instance, pause) = started();
    let stranger = Pause::new();
    let before = stranger.netns().snapshot();
    pause.call("poststop").pid(stranger.pid()).on(&instance).well();
    instance.assert_home();
    stranger.netns().assert_same(&before);
}

#[test]
fn an_eni_that_was_detached_is_gone_and_nothing_poses_as_it() {
    let (instance, pause) = started();
    instance.router.ip("link del eni");
    let log = pause.call("poststop").option("--log-level=info").on(&instance).well();
    assert!(log.contains("ENI 02:5a:a1:1a:43:42 is no longer attached"), "{log}");
    assert_eq!(instance.netns.links(), ["lo", "eth0", "ecs-bridge"]);
}

#[test]
fn a_record_is_kept_until_the_eni_is_home() {
    let (instance, mut pause) = started();
    let folder = tempfile::tempdir().expect("a folder");
    // Nothing but a descriptor on its way through a socket keeps the namespace: nobody finds the way in.
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    let namespace = File::open(format!("/proc/{}/ns/net", pause.pid())).expect("a namespace");
    let descriptors = [namespace.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&descriptors)];
    let bytes = [IoSlice::new(b"x")];
    sendmsg::<()>(near.as_raw_fd(), &bytes, &message, MsgFlags::empty(), None).expect("sent");
    drop(namespace);
    pause.kill();
    let poststop = || pause.call("poststop").config(&folder, "[eni]\nreturn-timeout-seconds = 0\n");
    for _ in 0..2 {
        let line = poststop().on(&instance).badly();
        assert!(line.contains(ENI_MAC) && line.contains("did not come home"), "{line}");
        assert_eq!(instance.ports().len(), 1);
        assert!(instance.netns.run("nft list ruleset").contains(&pause.id));
    }
    // Where a process has it open, there is a way in.
    let mut space = cmsg_space!([std::os::fd::RawFd; 1]);
    let mut buffer = [0; 1];
    let mut bytes = [std::io::IoSliceMut::new(&mut buffer)];
    let received = recvmsg::<()>(far.as_raw_fd(), &mut bytes, Some(&mut space), MsgFlags::empty());
    assert!(received.expect("received").cmsgs().expect("one").next().is_some());
    poststop().on(&instance).well();
    instance.assert_home();
    assert!(!instance.netns.run("nft list ruleset").contains(&pause.id));
}

/// The ENI comes home from a hostile task: with this name, and with this alias for its own.
fn come_home_as(
    instance: &Instance,
    pause: &mut Pause,
    name: &str,
    change: impl Fn(&str) -> String,
) {
    let task = pause.netns();
    let label = task.link("eth0").expect("the ENI")["ifalias"].as_str().expect("text").to_owned();
    task.ip(&format!("link set eth0 down alias \"{}\"", change(&label)));
    task.ip(&format!("link set eth0 name {name} netns {}", instance.netns.path().display()));
    drop(task);
    pause.kill();
    eventually("the veth gone", || instance.ports().is_empty());
}

#[test]
fn a_label_that_speaks_of_another_interface_harms_nobody() {
    for victim in ["02:00:00:00:00:01", "0a:58:a9:fe:ac:01"] {
        let (instance, mut pause) = started();
        let victims = || {
            ["eth0", "ecs-bridge"].map(|name| {
                let link = instance.netns.link(name).expect(name);
                let up = link["flags"].as_array().expect("a list").contains(&json!("UP"));
                let address = link["addr_info"][0]["local"].clone();
                (link["address"].clone(), link["mtu"].clone(), address, up)
            })
        };
        come_home_as(&instance, &mut pause, "eth1", |label| label.replace(ENI_MAC, victim));
        let before = victims();
        pause.call("poststop").on(&instance).well();
        assert_eq!(victims(), before);
    }
}

#[test]
fn an_eni_that_poses_as_the_veth_of_another_task_harms_nobody() {
    let (instance, mut hostile) = started();
    instance.attach("eth2", "02:00:00:00:00:02", "second");
    let victim = Pause::new();
    victim.call("prestart").eni("mac-address", "02:00:00:00:00:02").on(&instance).silently();
    let inode = victim.netns();
    let inode = std::fs::metadata(inode.path()).map(|m| std::os::unix::fs::MetadataExt::ino(&m));
    let inode = inode.expect("an inode");
    let task = hostile.netns();
    let alias = format!(
        "awsvpc container={} eni=02:00:00:00:00:02 name=x mtu=1500 netns={inode}",
        hostile.id
    );
    task.ip(&format!("link set eth0 down alias \"{alias}\""));
    task.ip(&format!("link set eth0 name ecsa9feacff netns {}", instance.netns.path().display()));
    drop(task);
    hostile.kill();
    eventually("its veth gone", || instance.ports().len() == 1);
    let before = victim.netns().snapshot();
    hostile.call("poststop").on(&instance).well();
    victim.netns().assert_same(&before);
    // And the ENI itself is not lost to the next task.
    let next = Pause::new();
    next.call("prestart").on(&instance).silently();
    assert_eq!(next.netns().links(), ["lo", "eth0", "ecs-eth0"]);
    next.call("poststop").on(&instance).well();
    assert_eq!(instance.netns.link("eth1").expect("the ENI")["address"], ENI_MAC);
}

#[test]
fn an_eni_with_a_name_and_a_label_that_are_no_text_is_seen() {
    let (instance, pause) = started();
    let task = pause.netns();
    task.run("ip link set eth0 down");
    task.run("ip link set eth0 name $(printf 'e\\377') alias $(printf '\\377\\376')");
    pause.call("poststop").on(&instance).well();
    instance.assert_home();
}

#[test]
fn a_label_that_is_no_text_hides_nothing_from_the_next_call() {
    let (instance, pause) = started();
    pause.netns().run("ip link set eth0 alias $(printf '\\377')");
    pause.call("prestart").on(&instance).silently();
    instance.netns.run("ip link set eth0 alias $(printf '\\377')");
    pause.call("poststop").on(&instance).well();
    instance.assert_home();
}

#[test]
fn a_namespace_that_may_not_be_entered_is_no_obstacle_to_the_search() {
    // The hook in a user namespace of its own, next to a process that is in a network namespace of
    // the one outside.
    let mut pause = Pause::new();
    pause.kill();
    let script = "sleep 10 & unshare --net \"$@\"; code=$?; kill $!; exit $code";
    let user = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"];
    let call = pause.call("poststop").through(&user);
    call.within(&crate::fixtures::Netns::new()).silently();
}
