//! What a task with IPv6 addresses is given beyond those.

use super::*;
use crate::task::Gateway;
use std::time::Duration;

const GATEWAY: &str = "2001:db8::1";

fn address(text: &str) -> IpNetwork {
    text.parse().expect("an address")
}

/// A task with three IPv6 addresses, perhaps with a gateway.
fn six(gateway: Option<&str>) -> Task {
    let gateways =
        gateway.map(|text| Gateway { address: text.parse().expect("an address"), on_link: false });
    Task {
        addresses: ["10.0.0.5/24", "2001:db8::5/64", "2001:db8::6/64", "2001:db8::7/64"]
            .map(address)
            .into(),
        gateways: gateways.into_iter().collect(),
        ..task()
    }
}

/// The steps about the ENI's addresses, where it has these already, in the kernel's order.
fn about_addresses(task: &Task, there: &[&str]) -> Vec<String> {
    let first = plan_for(task, &fresh()).expect("a plan");
    let mut snapshot = done(&first);
    snapshot.task.addresses.extend(there.iter().map(|text| (3, address(text))));
    let plan = plan_for(task, &snapshot).expect("a plan");
    let is_about_it = |step: &&Step| match step {
        Step::AddAddress { link, .. } | Step::DeleteAddress { link, .. } => *link == task.interface,
        _ => false,
    };
    plan.steps.iter().filter(is_about_it).map(ToString::to_string).collect()
}

#[test]
fn of_ipv6_addresses_the_first_is_added_last() {
    let added = about_addresses(&six(None), &[]);
    let wanted = ["10.0.0.5/24", "2001:db8::7/64", "2001:db8::6/64", "2001:db8::5/64"];
    assert_eq!(added, wanted.map(|own| format!("adding {own} to eth0 in the task")));
}

#[test]
fn an_address_that_shall_be_before_a_new_one_is_added_again() {
    let all = ["2001:db8::5/64", "2001:db8::6/64", "2001:db8::7/64", "10.0.0.5/24"];
    assert!(about_addresses(&six(None), &all).is_empty());
    let add = |n| format!("adding 2001:db8::{n}/64 to eth0 in the task");
    let take =
        |n| format!("taking 2001:db8::{n}/64 from eth0 in the task, to add it before others");
    // Cut off after the first one was added.
    assert_eq!(about_addresses(&six(None), &all[2..]), [add(6), add(5)]);
    // One is gone.
    assert_eq!(about_addresses(&six(None), &[all[0], all[2], all[3]]), [add(6), take(5), add(5)]);
    // Somebody added the first one first.
    assert_eq!(about_addresses(&six(None), &[all[1], all[2], all[0], all[3]]), [take(5), add(5)]);
}

#[test]
fn a_task_without_ipv6_gateway_waits_for_a_router_after_its_links_are_up() {
    let last = |task: &Task| plan_for(task, &fresh()).expect("a plan").steps.pop();
    let patience = RouterPatience { timeout: Duration::from_secs(3), required: true };
    let link = "eth0".parse().expect("a name");
    let impatient = Task { router: patience, ..six(None) };
    assert_eq!(last(&impatient), Some(Step::AwaitRouter { link, patience }));
    for task in [task(), six(Some(GATEWAY)), Task { stay_down: true, ..six(None) }] {
        let last = last(&task);
        assert!(!matches!(last, Some(Step::AwaitRouter { .. })), "{task:?}: {last:?}");
    }
}

#[test]
fn every_ipv6_address_is_waited_for() {
    let all = steps(&plan_for(&six(Some(GATEWAY)), &fresh()).expect("a plan"));
    let wait = |n| format!("waiting for the kernel to answer at 2001:db8::{n} in the task");
    assert_eq!(all[all.len() - 3..], [wait(5), wait(6), wait(7)]);
    let down = Task { stay_down: true, ..six(None) };
    let all = steps(&plan_for(&down, &fresh()).expect("a plan"));
    assert!(!all.iter().any(|step| step.contains("to answer")), "{all:#?}");
}

#[test]
fn the_loopback_interface_has_ipv6_where_the_task_has() {
    let is_about_it = |step: &String| step.contains("disable_ipv6 of lo in the task to 0");
    let steps_of = |task: &Task| steps(&plan_for(task, &fresh()).expect("a plan"));
    assert!(steps_of(&six(None)).iter().any(is_about_it));
    assert!(!steps_of(&task()).iter().any(is_about_it));
}
