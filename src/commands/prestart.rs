//! `prestart` and `createRuntime`: gives a container its network.

use crate::{
    apply::transact,
    error::{Result, refuse},
    input::{config::Config, container::Container, request::Request},
    kernel::{
        netns::{self, Netns},
        sides::{Sides, Space},
    },
    nft::Ruleset,
    plan::{Plan, plan},
    process::{limits::Limits, timings::Timings},
    snapshot::look::wait_for_eni,
    task::{Task, label::short_id},
};
use ipnetwork::IpNetwork;
use std::time::Duration;

/// Gives the container its network.
///
/// # Errors
/// It cannot or must not be done. What was done is undone; only the addresses and routes that a host
/// daemon gave the ENI went with the move.
pub fn set_up(
    container: &Container,
    task: &Task,
    config: &Config,
    timings: &mut Timings,
) -> Result<()> {
    let limits = Limits::start(config.deadline(), config.eni.link_up_timeout())?;
    let attached_by = timings.begin() + Duration::from_secs(config.eni.attach_timeout_seconds);
    let sides = open(container)?;
    let id = short_id(&container.id);
    let (netns, credentials) = (sides.task()?.netns.inode(), &config.credentials);
    let request = Request { container: &id, netns, task, credentials };
    let ruleset = Ruleset::of_instance(credentials, &config.host);
    timings.lap("open");
    let plan = loop {
        let snapshot = wait_for_eni(&request, &ruleset, &sides, &limits, attached_by)?;
        timings.lap("look");
        let plan = plan(&request, &ruleset, &snapshot)?;
        timings.lap("plan");
        match transact(&plan.steps, &sides, &limits, timings) {
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
fn open(container: &Container) -> Result<Sides> {
    let (instance, task) = (Netns::current()?, namespace_of(container)?);
    refuse_shared(&instance, task.inode())?;
    Ok(Sides { instance: Space::here()?, task: Some(Space::within(task)?) })
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
