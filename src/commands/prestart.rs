//! `prestart` and `createRuntime`: gives a container its network.

use crate::{
    apply::transact,
    eni::{custody::Custody, homecoming::take_down, instance::Instance},
    error::{Doing, Result, overtaken, refuse},
    files::pause,
    input::{config::Config, container::Container, request::Request},
    kernel::{
        netns::{self, Netns},
        process,
        sides::{Sides, Space},
    },
    net::process::Process,
    nft::Ruleset,
    plan::{Plan, plan},
    process::{limits::Limits, timings::Timings},
    snapshot::look::{Sight, wait_for_eni},
    task::{Task, label::short_id, names::Names, record::Record},
};
use ipnetwork::IpNetwork;
use std::{collections::BTreeSet, time::Duration};

/// How often another hook may be faster before this one gives up. Each time, another lease is tried.
const MAX_RACES: u32 = 64;

/// How long to wait after the first lost race, and how much longer after each further one.
const BACK_OFF: Duration = Duration::from_micros(200);

/// Gives the container its network.
///
/// # Errors
/// It cannot or must not be done. What was done is undone; only the addresses and routes that a host
/// daemon gave the ENI went with the move.
pub fn set_up(
    container: &Container,
    task: &Task,
    names: &Names,
    config: &Config,
    timings: &mut Timings,
) -> Result<()> {
    let limits = Limits::start(config.deadline(), config.eni.link_up_timeout())?;
    let sides = open(container)?;
    wait_for_others(&sides, &limits)?;
    let id = short_id(&container.id);
    let (netns, credentials) = (sides.task()?.id(), &config.credentials);
    let pause = pause_of(container)?;
    let request = Request { container: &id, netns, pause, task, credentials };
    let ruleset = Ruleset::of_instance(credentials, &config.host);
    timings.lap("open");
    let attached_by = timings.begin() + Duration::from_secs(config.eni.attach_timeout_seconds);
    let (mut races, mut lost) = (0, BTreeSet::new());
    let plan = loop {
        let mut attempt = || {
            let look = wait_for_eni(&request, &ruleset, &sides, &limits, attached_by)?;
            let mut snapshot = match look {
                Sight::Clear(snapshot) => snapshot,
                Sight::Abandoned(record) => return end(&record, config),
            };
            snapshot.taken.extend(&lost);
            timings.lap("look");
            let plan = plan(&request, &ruleset, &snapshot)?;
            timings.lap("plan");
            lost.insert(plan.lease);
            // Not while it is waited for: its last task may still have to bring it home.
            let Some(_custody) = Custody::try_take(task.mac)? else {
                Custody::take(task.mac, &limits)?;
                return overtaken(format!("another call had ENI {} in hand", task.mac));
            };
            transact(&plan.steps, &sides, &limits, timings).map(|()| plan)
        };
        match attempt() {
            Err(error) if error.is_overtaken() && races < MAX_RACES => {
                log::debug!("once more: {}", error.line());
                races += 1;
                limits.check()?;
                if !process::is_alive(pause) {
                    return refuse(format!("the container's process {} is gone", pause.pid));
                }
                std::thread::sleep(BACK_OFF * races);
            }
            Err(error) => return Err(error),
            Ok(plan) => break plan,
        }
    };
    let files = pause::give(container, task, names, &config.dns);
    timings.lap("files");
    let files = files.map(|files| format!(" with {files}")).unwrap_or_default();
    log::info!("{}{files} in {timings}", summary(&container.id, task, &plan));
    Ok(())
}

/// An engine may have registered the hook for both stages, and call them at once. What one of two calls finds done
/// by the other it must not undo, nor rely upon as long as the other may undo it; so they work one after the other,
/// and the second finds all of it done, or nothing.
fn wait_for_others(sides: &Sides, limits: &Limits) -> Result<()> {
    let netns = &sides.task()?.netns;
    limits.wait_until(|| netns.try_lock()).doing(|| {
        "waiting for another call, or another program, to let go of the lock on the network namespace"
    })
}

/// Ends a task that is over, and whose runtime never called `poststop`: it has the ENI or the namespace. Then it is to
/// be looked again.
fn end(record: &Record, config: &Config) -> Result<Plan> {
    let container = &record.label.container;
    let instance = Instance::open(config)?;
    let done = instance
        .custody(record.label.eni)
        .and_then(|custody| take_down(&custody, &instance, record))
        .doing(|| format!("taking down container {container}"))?;
    let done = done.as_deref().unwrap_or(Instance::BY_ANOTHER);
    log::info!("container {container} is over: {done}");
    overtaken(format!("container {container} was in the way"))
}

/// The container's first process, with which the task will be over.
fn pause_of(container: &Container) -> Result<Process> {
    let pid = container.pid.unwrap_or_default();
    process::find(pid).map_or_else(|| refuse(format!("the container's process {pid} is gone")), Ok)
}

/// Opens both namespaces, if the container has one of its own.
fn open(container: &Container) -> Result<Sides> {
    let (instance, task) = (Space::here()?, namespace_of(container)?);
    refuse_shared(&instance.netns, task.inode())?;
    Ok(Sides { instance, task: Some(Space::within(task)?) })
}

fn summary(id: &str, task: &Task, plan: &Plan) -> String {
    let addresses: Vec<String> = task.addresses.iter().map(IpNetwork::to_string).collect();
    format!(
        "container {id}: ENI {} ({} -> {}) has {}, credentials from {}, set up",
        task.mac,
        plan.label.name,
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
