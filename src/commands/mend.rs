//! Puts back what somebody broke under running tasks: the bridge, the rules, ports, and the tasks' ends of them.

use crate::{
    apply::{
        attempt::Attempt,
        holds::{holds, needed},
        steps::apply,
    },
    commands::{report::Report, twice::A_MOMENT},
    eni::{custody::Custody, instance::Instance, journey::find_in},
    error::{Doing, Result},
    input::config::Config,
    kernel::{
        netns::Netns,
        sides::{Sides, Space},
    },
    net::{link::Link, side::Side},
    nft::Ruleset,
    plan::{
        host::host,
        mend::{is_on, of_inside, of_port, told},
        step::Step,
    },
    snapshot::{
        look::{has_ipv6, instance_snapshot, task_snapshot},
        ownership::is_over,
    },
    task::{blocked, record::Record},
};
use std::thread;

/// Mends what is broken: for the instance, and for each of the tasks, all of which live.
///
/// # Errors
/// The instance's links cannot be listed.
pub fn mend(
    instance: &Instance<'_>,
    config: &Config,
    tasks: &[&Record],
    report: &mut Report,
) -> Result<()> {
    let links = instance.links()?;
    let before = of_instance(instance, config, tasks).map(|broken| broken.steps);
    // Of a thousand tasks, only the steps are kept: not their namespaces, each of which is four descriptors.
    let look =
        |record, side| of_record(instance, config, &links, record, side).map(|broken| broken.steps);
    // Whatever a task has made of its own side, its port is mended.
    let both = [Side::Instance, Side::Task];
    let parts = tasks.iter().flat_map(|record| both.map(|side| (*record, side)));
    let parts = parts.map(|(record, side)| (record, side, look(record, side)));
    let broken: Vec<_> = parts.filter(|(.., steps)| is_some(steps)).collect();
    if !is_some(&before) && broken.is_empty() {
        return Ok(());
    }
    thread::sleep(A_MOMENT);
    let mended = still(before, || of_instance(instance, config, tasks));
    match mended.and_then(|broken| broken.mend(instance)) {
        Ok(done) => report.done.extend(done.into_iter().map(|what| format!("{what} again"))),
        Err(error) => report.failures.push(error),
    }
    let mut without_port = None;
    for (record, side, before) in broken {
        if side == Side::Task && without_port == Some(record) {
            continue; // what it has inside ends at the port
        }
        let of = format!("of container {}", record.label.container);
        let mend = || {
            // A start or an end is at it, or was.
            let Some(_custody) = Custody::try_take(record.label.eni)? else {
                return Ok(Vec::new());
            };
            if !instance.stands(record)? {
                return Ok(Vec::new());
            }
            let links = instance.links()?;
            still(before, || of_record(instance, config, &links, record, side))?.mend(instance)
        };
        match mend() {
            Ok(done) => {
                report.done.extend(done.into_iter().map(|what| format!("{what} again ({of})")));
            }
            Err(error) => {
                without_port = Some(record);
                report.add(Err(error).doing(|| format!("mending the network {of}")));
            }
        }
    }
    Ok(())
}

fn is_some(steps: &Result<Vec<Step>>) -> bool {
    steps.as_ref().map_or(true, |steps| !steps.is_empty())
}

/// What was missing before and is missing now.
fn still(before: Result<Vec<Step>>, look: impl FnOnce() -> Result<Broken>) -> Result<Broken> {
    let (before, mut now) = (before?, look()?);
    now.steps.retain(|step| before.contains(step));
    Ok(now)
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
        || tasks.iter().any(|record| is_on(record, credentials) && lives(instance, record));
    let steps = if is_needed { host(&ruleset, credentials, &snapshot)?.1 } else { Vec::new() };
    Broken::of(instance, sides, steps)
}

/// Whether a task lives still.
fn lives(instance: &Instance<'_>, record: &Record) -> bool {
    is_over(record).is_ok_and(|is_over| !is_over) && instance.stands(record).unwrap_or_default()
}

/// One side of a task: its port, or what is inside. Nothing is missing where it has just ended.
fn of_record(
    instance: &Instance<'_>,
    config: &Config,
    links: &[Link],
    record: &Record,
    side: Side,
) -> Result<Broken> {
    let Record { label, .. } = record;
    let here = Space::here()?;
    let own = label.pause.and_then(|pause| Netns::of_pid(pause.pid).and_then(Space::within).ok());
    let Some(task) = own.filter(|space| space.id() == label.netns) else {
        return Ok(Broken { sides: Sides { instance: here, task: None }, steps: Vec::new() });
    };
    if side == Side::Instance {
        let steps = of_port(&config.credentials, record, links)?;
        return Broken::of(instance, Sides { instance: here, task: Some(task) }, steps);
    }
    let mut blocked = blocked(!label.opens_metadata, &config.eni.block);
    blocked.retain(|network| network.is_ipv4() || has_ipv6());
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
    let steps = of_inside(&config.credentials, record, blocked, links, &inside)?;
    Broken::of(instance, Sides { instance: here, task: Some(task) }, steps)
}
