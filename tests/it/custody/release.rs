//! `release`: an operator takes an ENI home by force, where no engine calls `poststop`.

use super::Handover;
use crate::fixtures::{ENI_MAC, Instance, Pause, hook};

/// Releases the ENI, and asserts that it says from whom; and that there is nothing to do after that.
#[track_caller]
fn released(handover: &Handover, pids: &[u32]) {
    let command = format!("release {ENI_MAC}");
    let report = handover.command(&command).report();
    assert!(report.contains(ENI_MAC), "{report}");
    for pid in pids {
        let mut words = report.split(|character: char| !character.is_ascii_digit());
        assert!(words.any(|word| word == pid.to_string()), "{pid} is not in: {report}");
    }
    handover.assert_untouched();
    assert_eq!(handover.command(&command).report(), "nothing to do\n");
    handover.assert_untouched();
}

/// The task's engine calls `poststop` after all, when the ENI is another's.
#[track_caller]
fn the_next_one_works(handover: &Handover) {
    let next = handover.next();
    handover.poststop().well();
    handover.assert_works(&next);
}

#[test]
fn from_a_task_that_lives() {
    let handover = Handover::new();
    released(&handover, &[handover.hostile.pid()]);
    assert_eq!(handover.hostile.netns().links(), ["lo"]);
    the_next_one_works(&handover);
}

#[test]
fn from_a_program_that_lives_on() {
    let mut handover = Handover::new();
    let program = handover.hostile.joined_by("program");
    handover.hostile.kill();
    released(&handover, &[program.pid()]);
    the_next_one_works(&handover);
}

#[test]
fn from_a_child_namespace() {
    let handover = Handover::new();
    let child = handover.hostile.child();
    handover.hostile.does(&format!("ip link set eth0 netns {}", child.pid()));
    child.does("ip link set eth0 down && ip link set eth0 name other alias ''");
    released(&handover, &[child.pid()]);
    the_next_one_works(&handover);
}

#[test]
fn with_something_on_it() {
    let handover = Handover::new();
    let child = handover.hostile.child();
    handover.hostile.does(&format!(
        "ip link add link eth0 name mv0 netns {} type macvlan mode passthru",
        child.pid()
    ));
    released(&handover, &[handover.hostile.pid()]);
    assert_eq!(child.netns().links(), ["lo"]);
    the_next_one_works(&handover);
}

#[test]
fn with_what_the_task_set_on_it() {
    let handover = Handover::new();
    handover.hostile.does(
        "ip link set eth0 arp off promisc on mode dormant
         ip link property add dev eth0 altname ecs-bridge",
    );
    released(&handover, &[handover.hostile.pid()]);
    the_next_one_works(&handover);
}

/// Only hardware is known for what it is where no record speaks of it: the guest topic takes that home.
#[test]
fn a_strangers_link_with_its_mac_address_is_left_alone() {
    let (instance, stranger) = (Instance::new(), Pause::new());
    instance.netns.ip(&format!("link set eth1 netns {} name net0", stranger.pid()));
    let before = stranger.netns().snapshot();
    let line = hook("release").option(ENI_MAC).on(&instance).badly();
    assert!(line.contains(ENI_MAC), "{line}");
    stranger.netns().assert_same(&before);
}

/// One that came home by itself, and is not what it was.
#[test]
fn of_one_that_is_at_home_in_disorder() {
    let mut handover = Handover::new();
    handover.hostile.does("ip link set eth0 arp off txqueuelen 1");
    handover.kernel_sends_home("eth0");
    let report = handover.command(&format!("release {ENI_MAC}")).report();
    assert!(report.contains(ENI_MAC), "{report}");
    handover.assert_untouched();
}

#[test]
fn the_instances_own_interface_is_refused() {
    let instance = Instance::new();
    let before = instance.netns.snapshot();
    let own = "02:00:00:00:00:01";
    let line = hook("release").option(own).on(&instance).badly();
    assert!(line.contains(own) && line.contains("eth0"), "{line}");
    instance.netns.assert_same(&before);
}

#[test]
fn one_that_is_nowhere_is_an_error() {
    let instance = Instance::new();
    let before = instance.netns.snapshot();
    let line = hook("release").option("02:00:00:00:00:77").on(&instance).badly();
    assert!(line.contains("02:00:00:00:00:77"), "{line}");
    instance.netns.assert_same(&before);
}

#[test]
fn what_is_no_mac_address_is_a_usage_error() {
    let instance = Instance::new();
    for word in ["eth1", "02:5a:a1:1a:43", "01:00:5e:00:00:01", "--all"] {
        let done = hook("release").option(word).on(&instance);
        assert_eq!(done.code, Some(2), "{word}: {}", done.stderr);
    }
}
