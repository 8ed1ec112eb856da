//! Looks at the kernel, and waits for an ENI that is not there yet.

use crate::{
    error::{Doing, Error, Result, give_up, refuse},
    input::{config::credentials::CredentialNetwork, request::Request},
    kernel::{
        bus,
        error::Answer,
        ethtool::Ethtool,
        monitor::{Events, Monitor},
        offloads, rings,
        sides::{Sides, Space},
        socket::Netlink,
    },
    net::{link::Link, route::Route},
    nft::{self, Leases, Ruleset, State, records::Records},
    process::limits::Limits,
    snapshot::{
        ownership::{is_over, obstacle, squats},
        uplinks::uplinks,
        view::{InstanceSnapshot, Snapshot, TaskSnapshot},
        whereabouts::{Whereabouts, absent, held, locate},
    },
    task::{METADATA, lease::Lease, record::Record},
};
use nix::net::if_::if_nametoindex;
use std::{collections::BTreeSet, path::Path, time::Instant};

/// Where a kernel with IPv6 says so.
const IPV6_PROOF: &str = "/proc/sys/net/ipv6";

/// What a look at both namespaces led to.
#[derive(Debug)]
pub enum Sight {
    /// The ENI is where the plan can reach it.
    Clear(Box<Snapshot>),
    /// A task that is over has it, or the namespace, and must be taken down first.
    Abandoned(Box<Record>),
}

/// Looks until the ENI is there, or a task that is over is found to have it: it may not be attached yet.
///
/// # Errors
/// It is not there in time, or in the hands of a task that lives.
pub fn wait_for_eni(
    request: &Request<'_>,
    ruleset: &Ruleset,
    sides: &Sides,
    limits: &Limits,
    until: Instant,
) -> Result<Sight> {
    let mut monitor = None;
    loop {
        let snapshot = snapshot(request, ruleset, sides)?;
        if let Some(other) = obstacle(request, &snapshot) {
            if is_over(&other)? {
                return Ok(Sight::Abandoned(Box::new(other)));
            }
            return refuse(held(request.task.mac, request.netns, &other));
        }
        if !matches!(locate(&snapshot, request.task)?, Whereabouts::Absent) {
            return Ok(Sight::Clear(Box::new(snapshot)));
        }
        // Only from the second look on, nothing can come between it and the wait.
        let Some(monitor) = &monitor else {
            log::debug!("waiting for ENI {} to be attached", request.task.mac);
            monitor = Some(Monitor::within(&sides.instance.netns, Events::Links)?);
            continue;
        };
        if !limits.wait_for_event(monitor, until)? {
            return give_up(absent(request.task, &snapshot.instance));
        }
        monitor.drain();
    }
}

/// Looks at what this task's plan depends on. Mostly, its ENI is at home and nothing is in its way:
/// then what belongs to the instance's bridges and bonds, which may be a thousand tasks, need not be
/// looked at, but for the ports of this one.
pub fn snapshot(request: &Request<'_>, ruleset: &Ruleset, sides: &Sides) -> Result<Snapshot> {
    let instance = &sides.instance.netlink;
    let links = instance.free_links().doing(|| "looking at the instance")?;
    // Where the bridge must be made, it matters who relied on another one.
    if !links.iter().any(|link| link.name == request.credentials.bridge.as_str()) {
        return full_snapshot(request, ruleset, sides);
    }
    let mut snapshot = snapshot_with(request, ruleset, sides, links)?;
    for link in snapshot.task.links.iter().filter(|link| link.is_veth()) {
        let Some(index) = link.peer else { continue };
        let port = instance.link_at(index).doing(|| "looking at the instance")?;
        snapshot.instance.links.extend(port.filter(|port| Lease::of_link(&port.name).is_some()));
    }
    if !partial_view_suffices(request, &snapshot) {
        return full_snapshot(request, ruleset, sides);
    }
    Ok(snapshot)
}

/// The leases that the task would try first, but that are taken: by another link's name, or by somebody who
/// has the address on a bridge that we did not make.
fn taken(request: &Request<'_>, instance: &Netlink, links: &[Link]) -> Result<BTreeSet<Lease>> {
    let CredentialNetwork { subnet, gateway, bridge, .. } = request.credentials;
    let bridge = links.iter().find(|link| link.name == bridge.as_str());
    let has_stranger = |lease: Lease| -> Result<bool> {
        Ok(match bridge {
            Some(bridge) => {
                let address = lease.address().into();
                let neighbour = instance.neighbour(bridge.index, address);
                let doing = || "looking at what the bridge knows";
                neighbour.doing(doing)?.is_some_and(|mac| mac != lease.mac())
                    || instance.has_fdb_entry(bridge.index, lease.mac()).doing(doing)?
            }
            None => false,
        })
    };
    // The names that the task's own ENI has are taken from it.
    let is_own =
        |index: u32| links.iter().any(|link| link.index == index && link.is(request.task.mac));
    let is_taken = |lease: &Lease| {
        let name = lease.link_name();
        // By the way that costs least: with a thousand tasks, there may be hundreds to ask for.
        if_nametoindex(name.as_str()).is_ok_and(|index| !is_own(index))
    };
    let mut taken = BTreeSet::new();
    for lease in Lease::candidates(*subnet, *gateway, request.container) {
        if !is_taken(&lease) && !has_stranger(lease)? {
            break;
        }
        taken.insert(lease);
    }
    Ok(taken)
}

/// The leases that the task can have: those that are taken, of which one may be its own, and the next.
fn tried(request: &Request<'_>, taken: &BTreeSet<Lease>) -> BTreeSet<Lease> {
    let CredentialNetwork { subnet, gateway, .. } = *request.credentials;
    let mut candidates = Lease::candidates(subnet, gateway, request.container);
    taken.iter().copied().chain(candidates.find(|lease| !taken.contains(lease))).collect()
}

/// The records that may be in the task's way. A namespace that is new is no other task's.
fn records(request: &Request<'_>, task: &TaskSnapshot, links: &[Link]) -> Result<Vec<Record>> {
    let is_new = task.links.iter().all(|link| link.loopback);
    let squats = links.iter().any(|link| squats(link, request));
    let found = Records::open().and_then(|records| {
        if is_new && request.task.branch.is_none() && !squats {
            records.of(request.task.mac).map(Vec::from_iter)
        } else {
            records.all()
        }
    });
    found.doing(|| "looking at the records of tasks")
}

/// Whether what belongs to bridges and bonds does not matter: the ENI is not in another task's hands,
/// nor enslaved, and cannot be the trunk of other tasks' branches, which would be up.
fn partial_view_suffices(request: &Request<'_>, snapshot: &Snapshot) -> bool {
    let (task, instance) = (request.task, &snapshot.instance);
    // Where the rules must be made, it matters who relies on them as they were.
    if !instance.has_nftables {
        return false;
    }
    let home = instance.links.iter().find(|link| link.is(task.mac));
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
    mut links: Vec<Link>,
) -> Result<Snapshot> {
    let (instance, name) = (&sides.instance.netlink, request.credentials.bridge.as_str());
    let bridge = links.iter().find(|link| link.name == name).map(|bridge| bridge.index);
    let looked = || {
        let mut task = task_snapshot(sides.task()?)?;
        task.is_blocked = !request.task.block_metadata && is_blocked(sides.task()?)?;
        let taken = taken(request, instance, &links)?;
        let has_nftables = has_nftables(ruleset, Leases::These(&tried(request, &taken)))?;
        for link in links.iter_mut().filter(|link| link.is(request.task.mac)) {
            link.device = bus::device_of(link);
            if let Err(error) = ask_driver(link) {
                log::debug!("looking at the offloads and rings of {}: {error}", link.name);
            }
        }
        let records = records(request, &task, &links)?;
        let instance = instance_with(request.credentials, has_nftables, instance, links)?;
        Ok(Snapshot { instance, task, records, taken })
    };
    looked().or_else(|error| match bridge {
        // The kernel refuses questions about a link that has left by different errors.
        Some(index) if instance.link_at(index)?.is_none() => {
            Err(Error::Overtaken("the bridge has just left".to_owned()))
        }
        _ => Err(error),
    })
}

/// Notes what the driver of a link of the instance tells.
fn ask_driver(link: &mut Link) -> Answer<()> {
    let ethtool = Ethtool::here()?;
    link.offloads = Some(offloads::features(&ethtool, link.index)?.wanted);
    if link.is_hardware() {
        link.rings = rings::of(&ethtool, link.index)?;
    }
    Ok(())
}

/// Looks at the instance.
pub fn instance_snapshot(
    credentials: &CredentialNetwork,
    ruleset: &Ruleset,
    instance: &Netlink,
) -> Result<InstanceSnapshot> {
    let links = instance.links().doing(|| "looking at the instance")?;
    instance_with(credentials, has_nftables(ruleset, Leases::All)?, instance, links)
}

fn instance_with(
    credentials: &CredentialNetwork,
    has_nftables: bool,
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
        uplinks: uplinks(instance, &links)?,
        links,
        policy_rules,
        addresses,
        has_nftables,
        has_ipv6: has_ipv6(),
    })
}

/// Whether the kernel has IPv6.
#[must_use]
pub fn has_ipv6() -> bool {
    Path::new(IPV6_PROOF).exists()
}

/// Looks at a task's namespace; not whether it is kept from the metadata service.
pub fn task_snapshot(space: &Space) -> Result<TaskSnapshot> {
    let doing = || "looking at the task";
    let links = space.netlink.links().doing(doing)?;
    let is_fresh = links.iter().all(|link| link.loopback);
    let addresses =
        if is_fresh { Vec::new() } else { space.netlink.all_addresses().doing(doing)? };
    Ok(TaskSnapshot { links, addresses, is_blocked: false })
}

/// Whether something in the namespace keeps a task from the metadata service.
fn is_blocked(space: &Space) -> Result<bool> {
    // Where we cannot ask, there are no rules.
    let has_tables = || Ok(nft::has_any(nft::TASK).unwrap_or(false));
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
pub fn has_nftables(ruleset: &Ruleset, leases: Leases<'_>) -> Result<bool> {
    if ruleset.is_empty() {
        return Ok(true);
    }
    match nft::look(ruleset, leases).map(|state| state == State::Whole) {
        Err(error) if !error.is_denied() => {
            log::debug!("looking for nftables rules: {error}");
            Ok(false)
        }
        answer => answer.doing(|| "looking for nftables rules on the instance"),
    }
}
