//! A task that does not keep still while it is taken down.

use super::{Handover, refused};
use crate::fixtures::{Pause, eventually};
use std::time::{Duration, Instant};

/// Takes the task down while this program of its runs: within reasonable time, the ENI is home and nothing
/// is left on it in that namespace, or one line says why not. Then the program ends, and the same call
/// brings it home.
#[track_caller]
fn taken_down_during(handover: &Handover, program: Pause) {
    // The program may end when it finds the ENI gone.
    let task = program.netns();
    std::thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    let done = handover.poststop();
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    if done.code == Some(0) {
        let left = task.links();
        assert!(!left.iter().any(|link| link.starts_with("mv")), "{left:?}");
        // Whatever it does to what it has left does not reach the next one.
        let next = handover.next();
        std::thread::sleep(Duration::from_millis(100));
        handover.assert_works(&next);
        next.call("poststop").on(&handover.instance).well();
        drop(program);
    } else {
        refused(done);
        let next = Pause::new();
        refused(handover.call(&next, "prestart").on(&handover.instance));
        drop((program, task));
        // What it had begun is over.
        std::thread::sleep(Duration::from_millis(200));
        handover.poststop().well();
    }
    handover.assert_untouched();
}

/// The kernel says of its answers that they were interrupted, for as long as it pleases the task.
#[test]
fn links_that_come_and_go() {
    let handover = Handover::new();
    let program = handover
        .hostile
        .starts("while :; do ip link add x0 type veth peer name x1; ip link del x0; done");
    taken_down_during(&handover, program);
}

#[test]
fn names_that_change() {
    let handover = Handover::new();
    let program = handover
        .hostile
        .starts("while ip link set eth0 name other; do ip link set other name eth0; done");
    taken_down_during(&handover, program);
}

#[test]
fn alternative_names_that_come_again() {
    let handover = Handover::new();
    let program = handover
        .hostile
        .starts("while :; do ip link property add dev eth0 altname ecs-bridge altname eth2; done");
    taken_down_during(&handover, program);
}

#[test]
fn an_eni_that_is_moved_to_and_fro() {
    let handover = Handover::new();
    let (task, child) = (handover.hostile.pid(), handover.hostile.child());
    let program = handover.hostile.starts(&format!(
        "while ip link set eth0 netns {0}; do
             nsenter --target {0} --net -- ip link set eth0 netns {task}
         done",
        child.pid()
    ));
    taken_down_during(&handover, program);
}

/// A macvlan that is made on another one stands on the ENI itself, also when that is at home.
#[test]
fn macvlans_that_beget_macvlans() {
    let handover = Handover::new();
    let child = handover.hostile.child();
    handover.hostile.does(&format!(
        "ip link add link eth0 name mv0 netns {} type macvlan mode bridge",
        child.pid()
    ));
    let program = child.starts(
        "number=0
         while :; do
             for link in $(ip -o link | sed -n 's/^[0-9]*: \\(mv[0-9]*\\)@.*/\\1/p'); do
                 number=$((number + 1))
                 ip link add link $link name mv$number type macvlan mode bridge
                 [ $number -gt 20 ] && ip link del mv$((number - 20))
             done
         done",
    );
    eventually("a second one", || child.netns().links().len() > 2);
    taken_down_during(&handover, program);
}
