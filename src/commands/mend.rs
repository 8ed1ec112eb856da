//! Puts back what somebody broke under running tasks: the bridge, the rules, ports, and the tasks' ends of them.

use crate::{
    apply::{
        attempt::Attempt,
        holds::{holds, needed},
        steps::apply,
    },
    commands::report::Report,
    eni::{homecoming::Instance, journey::find_in},
    error::{Doing, Result},
    input::config::Config,
    kernel::{
        netns::Netns,
        sides::{Sides, Space},
    },
    nft::Ruleset,
    plan::{
        host::host,
        mend::{is_on, of_task, told},
        step::Step,
    },
    snapshot::look::{has_ipv6, instance_snapshot, task_snapshot},
    task::{blocked, record::Record},
};
use std::{thread, time::Duration};

/// For how long something must be missing: what a start or a stop is about to make or take away is not broken.
pub const A_MOMENT: Duration = Duration::from_secs(1);

/// Mends what is broken: for the instance, and for each of the tasks, all of which live.
pub fn mend(instance: &Instance<'_>, config: &Config, tasks: &[&Record], report: &mut Report) {
    let parts: Vec<Option<&Record>> =
        [None].into_iter().chain(tasks.iter().copied().map(Some)).collect();
    let look = |part: Option<&Record>| match part {
        None => of_instance(instance, config, tasks),
        Some(record) => of_record(instance, config, record),
    };
    let before: Vec<Result<Broken>> = parts.iter().copied().map(look).collect();
    if before.iter().all(|broken| broken.as_ref().is_ok_and(|broken| broken.steps.is_empty())) {
        return;
    }
    thread::sleep(A_MOMENT);
    for (part, before) in parts.iter().zip(before) {
        let container = part.map(|record| format!(" (of container {})", record.label.container));
        let suffix = container.unwrap_or_default();
        let mended = look(*part).and_then(|mut now| {
            let before = before?.steps;
            now.steps.retain(|step| before.contains(step));
            now.mend(instance)
        });
        match mended {
            Ok(lines) => {
                report.done.extend(lines.into_iter().map(|line| format!("{line} again{suffix}")));
            }
            Err(error) => report.add(Err(error).doing(|| format!("mending{suffix}"))),
        }
    }
}

/// What is missing, and where.
struct Broken {
    sides: Sides,
    steps: Vec<Step>,
}

impl Broken {
    /// Of these steps, those that are needed.
    fn of(instance: &Instance<'_>, sides: Sides, steps: Vec<Step>) -> Result<Self> {
        let steps = needed(&Attempt::new(&sides, &instance.limits), steps)?;
        Ok(Self { sides, steps })
    }

    /// Makes them; gives a line for each.
    fn mend(self, instance: &Instance<'_>) -> Result<Vec<String>> {
        let attempt = Attempt::new(&self.sides, &instance.limits);
        for step in &self.steps {
            apply(&attempt, step).doing(|| step.to_string())?;
        }
        let mut done = self.steps;
        // Where the kernel cannot filter frames (Linux 5.16), nothing was done.
        done.retain(|step| !is_filter(step) || holds(&attempt, step).unwrap_or_default());
        Ok(told(&done))
    }
}

fn is_filter(step: &Step) -> bool {
    matches!(step, Step::BlockFrames { .. })
}

/// The instance's side, if there is a bridge or a task that needs one.
fn of_instance(instance: &Instance<'_>, config: &Config, tasks: &[&Record]) -> Result<Broken> {
    let credentials = &config.credentials;
    let sides = Sides { instance: Space::here()?, task: None };
    let ruleset = Ruleset::of_instance(credentials, &config.host);
    let snapshot = instance_snapshot(credentials, &ruleset, &sides.instance.netlink)?;
    let is_needed = snapshot.link(credentials.bridge.as_str()).is_some()
        || tasks.iter().any(|record| is_on(record, credentials));
    let steps = if is_needed { host(&ruleset, credentials, &snapshot)?.1 } else { Vec::new() };
    Broken::of(instance, sides, steps)
}

/// One task, and its port. Nothing is missing where it has just ended.
fn of_record(instance: &Instance<'_>, config: &Config, record: &Record) -> Result<Broken> {
    let Record { label, .. } = record;
    let here = Space::here()?;
    let own = label.pause.and_then(|pause| Netns::of_pid(pause.pid).and_then(Space::within).ok());
    let Some(task) = own.filter(|space| space.id() == label.netns) else {
        return Ok(Broken { sides: Sides { instance: here, task: None }, steps: Vec::new() });
    };
    let mut blocked = blocked(!label.opens_metadata, &config.eni.block);
    blocked.retain(|network| network.is_ipv4() || has_ipv6());
    let links = here.netlink.links().doing(|| "listing the instance's links")?;
    let inside = task_snapshot(&task)?;
    // It may be on its way in, or have been moved on by the task.
    let eni = match label.branch {
        Some(_) => inside
            .links
            .iter()
            .find(|link| label.describes(link) && link.peer_netns.is_some())
            .cloned(),
        None => find_in(&task, &here, label)?,
    };
    let eni = eni.and_then(|link| link.name.parse().ok());
    let blocked = (eni.as_ref(), &blocked[..]);
    let steps = of_task(&config.credentials, record, blocked, &links, &inside)?;
    Broken::of(instance, Sides { instance: here, task: Some(task) }, steps)
}
