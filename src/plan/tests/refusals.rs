//! What is asked for and cannot be done.

use super::*;

#[test]
fn a_kernel_without_ipv6_serves_ipv4_tasks_and_refuses_others() {
    let mut snapshot = fresh();
    snapshot.instance.has_ipv6 = false;
    let plan = plan_for(&task(), &snapshot).expect("a plan");
    let v6 = |step: &String| step.contains("fd00:") || step.contains("accept_ra");
    assert!(!steps(&plan).iter().any(v6), "{:#?}", steps(&plan));
    let mut dual = task();
    dual.addresses.push("2001:db8::5/64".parse().expect("an address"));
    let error = plan_for(&dual, &snapshot).expect_err("no IPv6");
    assert!(error.line().contains("this kernel has no IPv6"), "{}", error.line());
}

#[test]
fn an_mtu_beyond_the_driver_is_refused() {
    let big = Task { mtu: Some(9217), ..task() };
    let error = plan_for(&big, &fresh()).expect_err("too big");
    assert!(error.line().contains("mtu 9217 is not possible on eth1"), "{}", error.line());
}

#[test]
fn links_that_are_no_eni_are_refused() {
    type Spoil = fn(&mut Snapshot);
    let cases: [(Spoil, &str); 6] = [
        (|snapshot| snapshot.instance.uplinks.extend([3]), "default route"),
        (|snapshot| snapshot.instance.links[2].controller = Some(9), "belongs to a bridge or bond"),
        (|snapshot| snapshot.instance.links[2].kind = Some("bridge".to_owned()), "is a bridge"),
        (|snapshot| snapshot.instance.links[2].kind = Some("bond".to_owned()), "is a bond"),
        (|snapshot| snapshot.instance.links[2].ethernet = false, "not an Ethernet"),
        (|snapshot| snapshot.instance.links.push(link(8, "vlan7", ENI)), "eth1, vlan7"),
    ];
    for (spoil, named) in cases {
        let mut snapshot = fresh();
        spoil(&mut snapshot);
        let error = plan_for(&task(), &snapshot).expect_err(named);
        assert!(error.line().contains(named), "{}", error.line());
    }
}
