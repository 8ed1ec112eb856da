//! `poststop`: takes a container's network down.
//!
//! It acts on the container's own records and on nothing else: at this stage the pid is absent, zero or
//! stale, annotations may be missing and the bundle gone; and a container whose start was refused has no
//! record, so nothing is touched. Where `nft flush ruleset` deleted the records, the labels on the ports of
//! the bridge say the same.

use crate::{
    eni::{
        homecoming::{restore_stray, take_down},
        instance::Instance,
    },
    error::{Doing, Result},
    input::{config::Config, container::Container},
    kernel::process,
    net::link::Link,
    process::timings::Timings,
    snapshot::ownership::{records_of_ports, strays},
    task::{
        label::{Label, short_id},
        record::Record,
    },
};

/// What the runtime told us about the container at `poststop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// That it is ours.
    Ours,
    /// Nothing. If the kernel shows nothing of it either, there is nothing to report.
    Nothing,
}

/// What the kernel shows of a container.
pub struct Traces<'a> {
    instance: Instance<'a>,
    records: Vec<Record>,
    /// Where there is neither a record nor a port: its own label may still tell of the ENI.
    strays: Vec<(Link, Label)>,
}

/// Looks for what there is of the container.
pub fn look<'a>(
    container: &Container,
    config: &'a Config,
    timings: &mut Timings,
) -> Result<Traces<'a>> {
    let instance = Instance::open(config)?;
    timings.lap("open");
    let id = short_id(&container.id);
    let mut records = records_of(&instance, &id)?;
    // An engine that starts the container once more does not wait for a call that is late.
    let own = process::find(std::process::id().cast_signed());
    let is_next = |record: &Record| {
        record.label.pause.zip(own).is_some_and(|(pause, own)| pause.started > own.started)
    };
    records.retain(|record| !is_next(record));
    let links = if records.is_empty() { instance.free_links()? } else { Vec::new() };
    let strays = strays(&links).filter(|(_, label)| label.container == id);
    let strays = strays.map(|(link, label)| (link.clone(), label)).collect();
    timings.lap("look");
    Ok(Traces { instance, records, strays })
}

impl Traces<'_> {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.strays.is_empty()
    }

    /// Takes the container's network down and brings its ENI home.
    ///
    /// # Errors
    /// Something could not be taken down. What could be, was.
    pub fn take_down(
        &self,
        container: &Container,
        told: Told,
        timings: &mut Timings,
    ) -> Result<()> {
        let mut outcomes = Vec::new();
        for record in &self.records {
            let custody = self.instance.custody(record.label.eni);
            outcomes.push(custody.and_then(|custody| take_down(&custody, &self.instance, record)));
            timings.lap("task");
        }
        for (link, label) in &self.strays {
            let custody = self.instance.custody(label.eni);
            outcomes.push(
                custody.and_then(|custody| restore_stray(&custody, &self.instance, link, label)),
            );
        }
        report(container, told, outcomes, timings)
    }
}

/// The container's records, and what its ports say where there is no record.
fn records_of(instance: &Instance<'_>, id: &str) -> Result<Vec<Record>> {
    let recorded = instance.records.all().doing(|| "looking at the records of tasks")?;
    let mut own: Vec<Record> =
        recorded.into_iter().filter(|record| record.label.container == id).collect();
    if own.is_empty() {
        own = records_of_ports(&instance.links()?);
        own.retain(|record| record.label.container == id);
    }
    Ok(own)
}

/// One line about all that was done, and the first failure; the others go to the log.
fn report(
    container: &Container,
    told: Told,
    outcomes: Vec<Result<Option<String>>>,
    timings: &Timings,
) -> Result<()> {
    let (mut done, mut failures) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(what) => done.push(what.unwrap_or_else(|| Instance::BY_ANOTHER.to_owned())),
            Err(error) => failures.push(error),
        }
    }
    if !done.is_empty() {
        log::info!("container {}: {}, taken down in {timings}", container.id, done.join(", "));
    } else if failures.is_empty() && told != Told::Nothing {
        log::info!("container {}: nothing to take down", container.id);
    }
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else {
        return Ok(());
    };
    for other in failures {
        log::error!("container {}: {}", container.id, other.line());
    }
    Err(first)
}
