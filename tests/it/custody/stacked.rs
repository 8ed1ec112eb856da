//! What a task has built on its ENI is not there when the ENI is another's.

use super::{End, First, Handover, refused};
use crate::fixtures::{ENI_MAC, EVERYBODY, Frame, Netns, Pause, Wire, mac};
use std::{net::Ipv4Addr, time::Duration};

/// How long frames that shall not come are waited for; those on a veth come at once.
const SOON: Duration = Duration::from_millis(200);

/// Ends the task, starts the next one, and asserts that the old task's interface neither hears it nor
/// speaks for it; or that the next one is refused with a line that names the ENI, what is on it and who
/// keeps that.
#[track_caller]
fn is_cut_off(handover: &mut Handover, end: End, spy: (&Netns, &str), pid: u32) {
    let wire = Wire::open(spy.0, spy.1);
    let done = match end {
        End::Poststop => handover.poststop(),
        End::Home(First::Gc) => {
            handover.kernel_sends_home("eth0");
            handover.command("gc")
        }
        End::Home(First::Next) => {
            handover.kernel_sends_home("eth0");
            handover.command("host-setup --print")
        }
        other => panic!("not staged: {other:?}"),
    };
    let before_next = done.code;
    let next = Pause::new();
    let prestart = handover.call(&next, "prestart").on(&handover.instance);
    if prestart.code != Some(0) {
        let line = refused(prestart);
        assert!(line.contains(spy.1) && line.contains(&pid.to_string()), "{line}");
        return;
    }
    assert_eq!(before_next, Some(0), "{}", done.stderr);
    let (task, router) =
        (Wire::open(&next.netns(), "eth0"), Wire::open(&handover.instance.router, "eni"));
    // What the task's own rules let pass.
    let (from, to) = (Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 0, 0, 1));
    let frame = |says: &str| Frame::udp(from, to, 9, says).between(mac(ENI_MAC), EVERYBODY);
    task.send(&frame("the next task's"));
    assert!(router.hears("the next task's", SOON), "this would be heard");
    assert!(!wire.hears("the next task's", SOON), "the old task hears the next one");
    router.send(&frame("for the next task"));
    assert!(!wire.hears("for the next task", SOON), "the old task hears what is for the next one");
    wire.try_send(&frame("in its name"));
    assert!(!router.hears("in its name", SOON), "the old task speaks for the next one");
    handover.assert_works(&next);
    next.call("poststop").on(&handover.instance).well();
    handover.assert_untouched();
}

const ENDS: [End; 3] = [End::Poststop, End::Home(First::Gc), End::Home(First::Next)];

/// In which mode a macvlan is made; each hears something else.
const MODES: [&str; 4] = ["passthru", "bridge", "private", "vepa"];
#[test]
fn a_macvlan_that_a_living_program_has() {
    for mode in MODES {
        println!("{mode}");
        let mut handover = Handover::new();
        let program = handover.hostile.joined_by("program");
        handover.hostile.does(&format!(
            "ip link add link eth0 name mv0 type macvlan mode {mode} && ip link set mv0 up"
        ));
        let (task, pid) = (program.netns(), program.pid());
        is_cut_off(&mut handover, End::Poststop, (&task, "mv0"), pid);
    }
}

#[test]
fn a_macvlan_in_a_child_namespace() {
    for end in ENDS {
        println!("{end:?}");
        let mut handover = Handover::new();
        let child = handover.hostile.child();
        handover.hostile.does(&format!(
            "ip link add link eth0 name mv0 netns {} type macvlan mode passthru",
            child.pid()
        ));
        child.does("ip link set mv0 up");
        is_cut_off(&mut handover, end, (&child.netns(), "mv0"), child.pid());
    }
}

#[test]
fn a_macvlan_in_a_namespace_that_a_descriptor_keeps() {
    for end in ENDS {
        println!("{end:?}");
        let mut handover = Handover::new();
        let mut child = handover.hostile.child();
        handover.hostile.does(&format!(
            "ip link add link eth0 name mv0 netns {} type macvlan mode passthru",
            child.pid()
        ));
        child.does("ip link set mv0 up");
        let open = child.netns();
        child.kill();
        is_cut_off(&mut handover, end, (&open, "mv0"), std::process::id());
    }
}

#[test]
fn a_vxlan() {
    let mut handover = Handover::new();
    let child = handover.hostile.child();
    handover.hostile.does(&format!(
        "ip link add vx0 netns {} type vxlan id 7 dstport 4789 remote 10.0.0.1 dev eth0",
        child.pid()
    ));
    child.does("ip link set vx0 up");
    is_cut_off(&mut handover, End::Poststop, (&child.netns(), "vx0"), child.pid());
}

#[test]
fn a_bridge_that_it_is_a_port_of() {
    for end in [End::Poststop, End::Survived(First::Poststop)] {
        let mut handover = Handover::new();
        handover.hostile.does("ip link add br0 type bridge && ip link set eth0 master br0");
        handover.end(end);
        handover.assert_untouched();
        handover.next();
    }
}

#[test]
fn a_raw_socket_on_it() {
    let mut handover = Handover::new();
    let (task, pid) = (handover.hostile.netns(), handover.hostile.pid());
    is_cut_off(&mut handover, End::Poststop, (&task, "eth0"), pid);
}

/// One that asks for everything leaves the ENI promiscuous, and nobody sees who asked.
#[test]
fn a_raw_socket_that_asked_for_everything() {
    let mut handover = Handover::new();
    let task = handover.hostile.netns();
    let wire = Wire::open(&task, "eth0");
    wire.ask_for_everything(&task, "eth0");
    assert_eq!(task.link("eth0").expect("the ENI")["promiscuity"], 1);
    handover.end(End::Poststop);
    handover.next();
    drop(wire);
    drop(task);
}
