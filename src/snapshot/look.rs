//! Looks at the kernel, and waits for an ENI that is not there yet.

use crate::{
    error::{Doing, Result, give_up, refuse},
    input::{config::credentials::CredentialNetwork, request::Request},
    kernel::{
        monitor::Monitor,
        netns,
        sides::{Sides, Space},
        socket::Netlink,
    },
    net::{link::Link, route::Route},
    nft::{self, Ruleset, State},
    process::limits::Limits,
    snapshot::{
        view::{InstanceSnapshot, Snapshot, TaskSnapshot},
        whereabouts::{Whereabouts, absent, held, locate},
    },
    task::{METADATA, Task, lease::Lease},
};
use nix::net::if_::if_nametoindex;
use std::{collections::BTreeSet, path::Path, time::Instant};

/// Where a kernel with IPv6 says so.
const IPV6_PROOF: &str = "/proc/sys/net/ipv6";

/// Looks until the ENI is there: it may not be attached yet, or be on its way home from a namespace
/// that is dying.
///
/// # Errors
/// It is not there in time, or in the hands of a task that lives.
pub fn wait_for_eni(
    request: &Request<'_>,
    ruleset: &Ruleset,
    sides: &Sides,
    limits: &Limits,
    until: Instant,
) -> Result<Snapshot> {
    let snapshot = snapshot(request, ruleset, sides)?;
    if is_here(request, &snapshot)? {
        return Ok(snapshot);
    }
    log::debug!("waiting for ENI {} to be attached", request.task.mac);
    let monitor = Monitor::within(&sides.instance.netns)?;
    loop {
        let snapshot = self::snapshot(request, ruleset, sides)?;
        if is_here(request, &snapshot)? {
            return Ok(snapshot);
        }
        if !limits.wait_for_event(&monitor, until)? {
            return give_up(absent(request.task, &snapshot.instance));
        }
        monitor.drain();
    }
}

/// Whether the ENI is where the plan can reach it. One that a living task holds will not come.
fn is_here(request: &Request, snapshot: &Snapshot) -> Result<bool> {
    match locate(snapshot, request.task, request.netns)? {
        Whereabouts::Home(_) | Whereabouts::Trunk { .. } | Whereabouts::Inside(_) => Ok(true),
        Whereabouts::Held(port, label) if netns::holders()?.contains_key(&label.netns) => {
            refuse(held(request.task.mac, &port.name, &label))
        }
        Whereabouts::Held(..) | Whereabouts::Absent => Ok(false),
    }
}

/// Looks at what this task's plan depends on. Mostly, its ENI is at home and nothing is in its way:
/// then what belongs to the instance's bridges and bonds, which may be a thousand tasks, need not be
/// looked at, but for the ports of this one.
pub fn snapshot(request: &Request<'_>, ruleset: &Ruleset, sides: &Sides) -> Result<Snapshot> {
    let instance = &sides.instance.netlink;
    let links = instance.free_links().doing(|| "looking at the instance")?;
    let mut snapshot = snapshot_with(request, ruleset, sides, links)?;
    for link in snapshot.task.links.iter().filter(|link| link.is_veth()) {
        let Some(index) = link.peer else { continue };
        let port = instance.link_at(index).doing(|| "looking at the instance")?;
        snapshot.instance.links.extend(port.filter(|port| Lease::of_link(&port.name).is_some()));
    }
    if !partial_view_suffices(request.task, &snapshot) {
        return full_snapshot(request, ruleset, sides);
    }
    let CredentialNetwork { subnet, gateway, .. } = *request.credentials;
    let candidates = Lease::candidates(subnet, gateway, request.container);
    // By the way that costs least: with a thousand tasks, there may be hundreds to ask for.
    let is_taken = |lease: &Lease| if_nametoindex(lease.link_name().as_str()).is_ok();
    snapshot.taken = candidates.take_while(is_taken).collect();
    Ok(snapshot)
}

/// Whether what belongs to bridges and bonds does not matter: the ENI is not in another task's hands,
/// nor enslaved, and cannot be the trunk of other tasks' branches, which would be up.
fn partial_view_suffices(task: &Task, snapshot: &Snapshot) -> bool {
    let home = snapshot.instance.links.iter().find(|link| link.is(task.mac));
    let inside = || snapshot.task.links.iter().any(|link| link.is(task.mac));
    task.branch.is_none() && home.map_or_else(inside, |link| !link.up)
}

/// Looks at all that there is.
fn full_snapshot(request: &Request<'_>, ruleset: &Ruleset, sides: &Sides) -> Result<Snapshot> {
    let links = sides.instance.netlink.links().doing(|| "looking at the instance")?;
    snapshot_with(request, ruleset, sides, links)
}

fn snapshot_with(
    request: &Request<'_>,
    ruleset: &Ruleset,
    sides: &Sides,
    links: Vec<Link>,
) -> Result<Snapshot> {
    Ok(Snapshot {
        instance: instance_with(request.credentials, ruleset, &sides.instance.netlink, links)?,
        task: task_snapshot(request.task, sides.task()?)?,
        taken: BTreeSet::new(),
    })
}

/// Looks at the instance, but not at what belongs to its bridges and bonds.
pub fn instance_snapshot(
    credentials: &CredentialNetwork,
    ruleset: &Ruleset,
    instance: &Netlink,
) -> Result<InstanceSnapshot> {
    let links = instance.free_links().doing(|| "looking at the instance")?;
    instance_with(credentials, ruleset, instance, links)
}

fn instance_with(
    credentials: &CredentialNetwork,
    ruleset: &Ruleset,
    instance: &Netlink,
    links: Vec<Link>,
) -> Result<InstanceSnapshot> {
    let doing = || "looking at the instance";
    let policy_rules = instance.rules().doing(doing)?;
    let bridge = links.iter().find(|link| link.name == credentials.bridge.as_str());
    // A dump of all addresses for the rare host with rules that could be about one of them.
    let rules_name_addresses =
        policy_rules.iter().any(|rule| rule.from.is_some() || rule.to.is_some());
    let addresses = match bridge {
        _ if rules_name_addresses => instance.all_addresses().doing(doing)?,
        Some(bridge) => instance.addresses(bridge.index).doing(doing)?,
        None => Vec::new(),
    };
    Ok(InstanceSnapshot {
        uplinks: instance.uplinks().doing(doing)?,
        links,
        policy_rules,
        addresses,
        has_nftables: has_nftables(ruleset)?,
        has_ipv6: Path::new(IPV6_PROOF).exists(),
    })
}

fn task_snapshot(task: &Task, space: &Space) -> Result<TaskSnapshot> {
    let doing = || "looking at the task";
    let links = space.netlink.links().doing(doing)?;
    let is_fresh = links.iter().all(|link| link.loopback);
    let addresses =
        if is_fresh { Vec::new() } else { space.netlink.all_addresses().doing(doing)? };
    let is_blocked = !task.block_metadata && is_blocked(space)?;
    Ok(TaskSnapshot { links, addresses, is_blocked })
}

/// Whether something in the namespace keeps a task from the metadata service.
fn is_blocked(space: &Space) -> Result<bool> {
    // Where we cannot ask, there are no rules.
    let has_tables = || Ok(nft::present(nft::TASK).is_ok_and(|tables| !tables.is_empty()));
    let mut is_blocked = space.netns.within(has_tables)?;
    for address in METADATA {
        let route = Route::Blackhole { destination: address.into() };
        is_blocked |= space.netlink.has_route(&route, None).doing(|| "looking at the task")?;
    }
    Ok(is_blocked)
}

/// Whether the instance's rules are there. A kernel that has no nftables has none.
///
/// # Errors
/// We may not ask.
pub fn has_nftables(ruleset: &Ruleset) -> Result<bool> {
    if ruleset.is_empty() {
        return Ok(true);
    }
    match nft::look(ruleset).map(|state| state == State::Whole) {
        Err(error) if !error.is_denied() => {
            log::debug!("looking for nftables rules: {error}");
            Ok(false)
        }
        answer => answer.doing(|| "looking for nftables rules on the instance"),
    }
}
