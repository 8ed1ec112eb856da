//! The way in: `prestart` and `createRuntime`.

use crate::{
    config::Config,
    error::{Doing, Error, Result, refuse},
    host,
    kernel::Kernel,
    limits::Limits,
    netlink::Monitor,
    netns::{self, Netns},
    oci::Container,
    plan::{self, Plan, Request},
    ruleset::Ruleset,
    snapshot::{Snapshot, Whereabouts},
    tag::short_id,
    task::Task,
    transact::transact,
};
use ipnetwork::IpNetwork;
use std::{
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
pub async fn set_up(container: &Container, task: &Task, config: &Config) -> Result<()> {
    let begin = Instant::now();
    let limits = Limits::start(config.deadline())?;
    let attached_by = begin + Duration::from_secs(config.eni.attach_timeout_seconds);
    let kernel = open(container, config)?;
    let id = short_id(&container.id);
    let netns = kernel.task_ns.inode();
    let ruleset = Ruleset::new(&config.credentials, &config.host);
    let credentials = &config.credentials;
    let request = Request { container: &id, netns, task, credentials, ruleset: &ruleset };
    let (plan, timings) = loop {
        let snapshot = look_for_eni(&request, &kernel, &limits, attached_by).await?;
        let plan = plan::plan(&request, &snapshot)?;
        match transact(&plan.steps, &kernel, &limits).await {
            Err(error) if error.is_overtaken() => log::debug!("once more: {}", error.line()),
            outcome => break (plan, outcome?),
        }
    };
    let took = begin.elapsed().as_secs_f64() * 1e3;
    log::info!("{} in {took:.1} ms ({timings})", summary(&container.id, task, &plan));
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

/// Looks at both namespaces.
///
/// # Errors
/// The kernel's.
pub async fn look(kernel: &Kernel, ruleset: &Ruleset) -> Result<Snapshot> {
    let doing = || "looking at the instance";
    let rules = kernel.instance.rules().await.doing(doing)?;
    // A dump of all addresses for the rare host with rules that could be about one of them.
    let some = rules.iter().any(|rule| rule.from.is_some() || rule.to.is_some());
    let addresses = if some { kernel.instance.all_addresses().await } else { Ok(Vec::new()) };
    Ok(Snapshot {
        instance: kernel.instance.links().await.doing(doing)?,
        uplinks: kernel.instance.uplinks().await.doing(doing)?,
        rules,
        addresses: addresses.doing(doing)?,
        has_rules: host::has_rules(ruleset)?,
        has_ipv6: Path::new(IPV6_PROOF).exists(),
        inside: kernel.task.links().await.doing(|| "looking at the task")?,
    })
}

/// Looks until the ENI is there: it may not be attached yet, or be on its way home from a namespace
/// that is dying.
async fn look_for_eni(
    request: &Request<'_>,
    kernel: &Kernel,
    limits: &Limits,
    until: Instant,
) -> Result<Snapshot> {
    let mut snapshot = look(kernel, request.ruleset).await?;
    if is_here(request, &snapshot)? {
        return Ok(snapshot);
    }
    log::debug!("waiting for ENI {} to be attached", request.task.mac);
    let mut monitor = Monitor::within(&kernel.instance_ns)?;
    loop {
        snapshot = look(kernel, request.ruleset).await?;
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
