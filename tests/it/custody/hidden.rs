//! An ENI that is not where it was: in a namespace that the task made inside its own.

use super::{End, First, Handover, refused};
use crate::fixtures::{ENI_MAC, Frame, Pause, Wire, eventually, hook, mac};
use std::time::Duration;

/// The hostile task has moved its ENI into a namespace of its own making.
fn hidden() -> (Handover, Pause) {
    let handover = Handover::new();
    let child = handover.hostile.child();
    let deeper = child.pid();
    handover.hostile.does(&format!("ip link set eth0 netns {deeper}"));
    (handover, child)
}

/// Something with the ENI's name and MAC address stands where the ENI was.
fn doubled() -> (Handover, Pause) {
    let (handover, child) = hidden();
    handover.hostile.does(&format!(
        "ip link add eth0 address {ENI_MAC} mtu 9001 type veth peer name other netns {}
         ip link set eth0 up",
        child.pid()
    ));
    child.does("ip link set other up");
    (handover, child)
}

/// The ENI has come home, or the call failed with a line and knows of the task as before: when the task
/// gives the ENI back, the same call brings it home.
#[track_caller]
fn comes_home_or_is_not_forgotten(handover: &Handover, child: &Pause) {
    let done = handover.poststop();
    if done.code == Some(0) {
        return;
    }
    refused(Pause::last_line(done));
    refused(Pause::new().call("prestart").on(&handover.instance));
    child.does(&format!("ip link set eth0 netns {}", handover.hostile.pid()));
    handover.poststop().well();
}

#[test]
fn in_a_child_namespace_it_is_brought_home_or_the_record_stays() {
    let (handover, child) = hidden();
    comes_home_or_is_not_forgotten(&handover, &child);
    handover.assert_untouched();
    handover.next();
}

#[test]
fn where_a_veth_with_its_address_took_its_place_the_veth_is_not_taken_for_it() {
    let (handover, child) = doubled();
    let poststop = handover.poststop();
    let next = Pause::new();
    let prestart = next.call("prestart").on(&handover.instance);
    if prestart.code == Some(0) {
        poststop.well();
        handover.assert_reaches_router(&next);
        let ear = Wire::open(&child.netns(), "other");
        let task = Wire::open(&next.netns(), "eth0");
        task.send(&Frame::other(0x88b5, "secret").between(mac(ENI_MAC), [0xff; 6]));
        assert!(!ear.hears("secret", Duration::from_millis(200)));
    } else {
        refused(prestart);
        assert_eq!(poststop.code, Some(1), "{}", poststop.stderr);
        let (own, eni) = (handover.instance.netns.links(), "eth1".to_owned());
        assert!(!own.contains(&eni), "{own:?}");
    }
}
