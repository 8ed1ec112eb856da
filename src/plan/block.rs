//! The part of a plan that keeps a task from what it must not reach, the metadata service above all.

use crate::{
    net::{name::InterfaceName, route::Route},
    nft::Ruleset,
    plan::step::Step,
    snapshot::view::Snapshot,
    task::{METADATA, Task},
};
use ipnetwork::IpNetwork;

/// Routes that lead nowhere, which tell a program at once; and rules, which stop those that ask for no route.
pub(super) fn packets(blocked: &[IpNetwork], has_ipv6: bool) -> Vec<Step> {
    if blocked.is_empty() {
        return Vec::new();
    }
    let reachable = blocked.iter().filter(|network| has_ipv6 || network.is_ipv4());
    let mut steps: Vec<Step> =
        reachable.map(|network| Step::AddRoute { route: blackhole(*network) }).collect();
    steps.push(Step::BlockPackets { ruleset: Ruleset::of_task(blocked) });
    steps
}

/// Rules about the frames that leave by the ENI, which must be there, but not up yet.
pub(super) fn frames(eni: &InterfaceName, blocked: &[IpNetwork]) -> Option<Step> {
    let ruleset = Ruleset::of_interface(eni, blocked);
    (!blocked.is_empty()).then(|| Step::BlockFrames { link: eni.clone(), ruleset })
}

/// What an earlier call blocked, and this one shall not: the namespace is a pod's, for instance.
pub(super) fn removal(task: &Task, snapshot: &Snapshot) -> Vec<Step> {
    if task.block_metadata || !snapshot.task.is_blocked {
        return Vec::new();
    }
    let addresses =
        METADATA.iter().filter(|address| snapshot.instance.has_ipv6 || address.is_ipv4());
    let mut steps: Vec<Step> = addresses
        .map(|address| Step::DeleteRoute { route: blackhole((*address).into()) })
        .collect();
    if task.block.is_empty() {
        steps.push(Step::Unblock);
    }
    steps
}

fn blackhole(destination: IpNetwork) -> Route {
    Route::Blackhole { destination }
}
