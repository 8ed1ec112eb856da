//! The way in: `prestart` and `createRuntime`.

use crate::{
    config::{Config, Credentials},
    error::{Doing, Error, Result, refuse},
    host,
    kernel::Kernel,
    lease::Lease,
    limits::Limits,
    link::Link,
    netlink::Monitor,
    netns::{self, Netns},
    nft::{self, Ruleset},
    oci::Container,
    plan::{self, Plan, Request},
    snapshot::{Snapshot, Whereabouts},
    step::Route,
    tag::short_id,
    task::{METADATA, Task},
    timings::Timings,
    transact::transact,
};
use ipnetwork::IpNetwork;
use nix::net::if_::if_nametoindex;
use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

/// Where a kernel with IPv6 says so.
const IPV6_PROOF: &str = "/proc/sys/net/ipv6";

/// Gives the container its network.
///
/// # Errors
/// It cannot or must not be done. What was done is undone; only the addresses and routes that a host
/// daemon gave the ENI went with the move.
pub async fn set_up(
    container: &Container,
    task: &Task,
    config: &Config,
    timings: &mut Timings,
) -> Result<()> {
    let limits = Limits::start(config.deadline())?;
    let attached_by = timings.begin() + Duration::from_secs(config.eni.attach_timeout_seconds);
    let kernel = open(container, config)?;
    let id = short_id(&container.id);
    let netns = kernel.task_ns.inode();
    let ruleset = Ruleset::of_instance(&config.credentials, &config.host);
    let credentials = &config.credentials;
    let request = Request { container: &id, netns, task, credentials, ruleset: &ruleset };
    timings.lap("open");
    let plan = loop {
        let snapshot = look_for_eni(&request, &kernel, &limits, attached_by).await?;
        timings.lap("look");
        let plan = plan::plan(&request, &snapshot)?;
        timings.lap("plan");
        match transact(&plan.steps, &kernel, &limits, timings).await {
            Err(error) if error.is_overtaken() => log::debug!("once more: {}", error.line()),
            outcome => {
                outcome?;
                break plan;
            }
        }
    };
    log::info!("{} in {timings}", summary(&container.id, task, &plan));
    Ok(())
}

/// Opens both namespaces, if the container has one of its own.
fn open(container: &Container, config: &Config) -> Result<Kernel> {
    let (instance_ns, task_ns) = (Netns::current()?, namespace_of(container)?);
    refuse_shared(&instance_ns, task_ns.inode())?;
    let link_up_timeout = Duration::from_secs(config.eni.link_up_timeout_seconds);
    Kernel::open(instance_ns, task_ns, link_up_timeout)
}

fn summary(id: &str, task: &Task, plan: &Plan) -> String {
    let addresses: Vec<String> = task.addresses.iter().map(IpNetwork::to_string).collect();
    format!(
        "container {id}: ENI {} ({} -> {}) has {}, credentials from {}, set up",
        task.mac,
        plan.tag.name,
        task.interface,
        addresses.join(" "),
        plan.lease,
    )
}

fn namespace_of(container: &Container) -> Result<Netns> {
    match container.pid {
        Some(pid) if pid > 0 => Netns::of_pid(pid),
        pid => refuse(format!(
            "the container's state has {} at this stage: the runtime must call this hook when the \
             container's process exists (prestart or createRuntime)",
            pid.map_or("no pid".to_owned(), |pid| format!("pid {pid}"))
        )),
    }
}

/// A container without a network namespace of its own has the instance's: its ENI would be
/// configured there.
fn refuse_shared(instance: &Netns, task: u64) -> Result<()> {
    let whose = if instance.inode() == task {
        "this hook's"
    } else if netns::holds_pid_1(task) {
        "the instance's (pid 1's)"
    } else {
        return Ok(());
    };
    refuse(format!(
        "the container's network namespace is {whose} own: start it with a new one (--network none)"
    ))
}

/// Looks at both namespaces, but not at what belongs to the instance's bridges and bonds, which may
/// be a thousand tasks: of those, only at the ports of this one.
///
/// # Errors
/// The kernel's.
pub async fn look(
    kernel: &Kernel,
    credentials: &Credentials,
    ruleset: &Ruleset,
) -> Result<Snapshot> {
    let free = kernel.instance.free_links().await.doing(|| "looking at the instance")?;
    let mut snapshot = look_around(kernel, credentials, ruleset, free).await?;
    for link in snapshot.inside.iter().filter(|link| link.is_veth()) {
        let Some(index) = link.peer else { continue };
        let port = kernel.instance.link_at(index).await.doing(|| "looking at the instance")?;
        snapshot.instance.extend(port.filter(|port| Lease::of_link(&port.name).is_some()));
    }
    Ok(snapshot)
}

/// Looks at all that there is.
async fn look_at_all(kernel: &Kernel, request: &Request<'_>) -> Result<Snapshot> {
    let links = kernel.instance.links().await.doing(|| "looking at the instance")?;
    look_around(kernel, request.credentials, request.ruleset, links).await
}

async fn look_around(
    kernel: &Kernel,
    credentials: &Credentials,
    ruleset: &Ruleset,
    links: Vec<Link>,
) -> Result<Snapshot> {
    let (instance, doing) = (&kernel.instance, || "looking at the instance");
    let rules = instance.rules().await.doing(doing)?;
    let bridge = links.iter().find(|link| link.name == credentials.bridge.as_str());
    // A dump of all addresses for the rare host with rules that could be about one of them.
    let some = rules.iter().any(|rule| rule.from.is_some() || rule.to.is_some());
    let addresses = match bridge {
        _ if some => instance.all_addresses().await.doing(doing)?,
        Some(bridge) => instance.addresses(bridge.index).await.doing(doing)?,
        None => Vec::new(),
    };
    let inside = kernel.task.links().await.doing(|| "looking at the task")?;
    let is_fresh = inside.iter().all(|link| link.loopback);
    let inside_addresses =
        if is_fresh { Ok(Vec::new()) } else { kernel.task.all_addresses().await };
    Ok(Snapshot {
        uplinks: instance.uplinks().await.doing(doing)?,
        instance: links,
        taken: BTreeSet::new(),
        rules,
        addresses,
        has_rules: host::has_rules(ruleset)?,
        is_blocked: false,
        has_ipv6: Path::new(IPV6_PROOF).exists(),
        inside,
        inside_addresses: inside_addresses.doing(|| "looking at the task")?,
    })
}

/// Looks at what this task's plan depends on: mostly, its ENI is at home and nothing is in its way.
async fn look_for(request: &Request<'_>, kernel: &Kernel) -> Result<Snapshot> {
    let mut snapshot = look(kernel, request.credentials, request.ruleset).await?;
    if !settles(request.task, &snapshot) {
        snapshot = look_at_all(kernel, request).await?;
        snapshot.is_blocked = is_blocked(request.task, kernel).await?;
        return Ok(snapshot);
    }
    snapshot.is_blocked = is_blocked(request.task, kernel).await?;
    let Credentials { subnet, gateway, .. } = *request.credentials;
    let candidates = Lease::candidates(subnet, gateway, request.container);
    // By the way that costs least: with a thousand tasks, there may be hundreds to ask for.
    let is_taken = |lease: &Lease| if_nametoindex(lease.link_name().as_str()).is_ok();
    snapshot.taken = candidates.take_while(is_taken).collect();
    Ok(snapshot)
}

/// Whether something keeps a task from the metadata service that it shall reach.
async fn is_blocked(task: &Task, kernel: &Kernel) -> Result<bool> {
    if task.block_metadata {
        return Ok(false);
    }
    // Where we cannot ask, there are none.
    let has_tables = || Ok(nft::has_any(nft::TASK).unwrap_or(false));
    let mut is_blocked = kernel.task_ns.within(has_tables)?;
    for address in METADATA {
        let route = Route::Blackhole { destination: address.into() };
        let has_route = kernel.task.has_route(&route, None).await;
        is_blocked |= has_route.doing(|| "looking at the task")?;
    }
    Ok(is_blocked)
}

/// Whether what belongs to bridges and bonds does not matter: the ENI is not in another task's hands,
/// nor enslaved, and cannot be the trunk of other tasks' branches, which would be up.
fn settles(task: &Task, snapshot: &Snapshot) -> bool {
    let home = snapshot.instance.iter().find(|link| link.is(task.mac));
    let inside = || snapshot.inside.iter().any(|link| link.is(task.mac));
    task.branch.is_none() && home.map_or_else(inside, |link| !link.up)
}

/// Looks until the ENI is there: it may not be attached yet, or be on its way home from a namespace
/// that is dying.
async fn look_for_eni(
    request: &Request<'_>,
    kernel: &Kernel,
    limits: &Limits,
    until: Instant,
) -> Result<Snapshot> {
    let mut snapshot = look_for(request, kernel).await?;
    if is_here(request, &snapshot)? {
        return Ok(snapshot);
    }
    log::debug!("waiting for ENI {} to be attached", request.task.mac);
    let mut monitor = Monitor::within(&kernel.instance_ns)?;
    loop {
        snapshot = look_for(request, kernel).await?;
        if is_here(request, &snapshot)? {
            return Ok(snapshot);
        }
        if !limits.change(&mut monitor, until).await? {
            return Err(Error::Refused(plan::absent(request.task, &snapshot)));
        }
    }
}

/// Whether the ENI is where the plan can reach it. One that a living task holds will not come.
fn is_here(request: &Request, snapshot: &Snapshot) -> Result<bool> {
    match snapshot.locate(request.task, request.netns)? {
        Whereabouts::Home(_) | Whereabouts::Trunk { .. } | Whereabouts::Inside(_) => Ok(true),
        Whereabouts::Held(veth, tag) if netns::kept()?.contains_key(&tag.netns) => {
            refuse(plan::held(request.task.mac, &veth.name, &tag))
        }
        Whereabouts::Held(..) | Whereabouts::Absent => Ok(false),
    }
}
