//! `gc`: takes down tasks that are over and had no `poststop`, as after a failed start under crun or podman;
//! restores ENIs that nobody told of; writes records again that somebody flushed, and mends what is broken under
//! tasks that run.

use crate::{
    commands::{
        mend::{A_MOMENT, mend},
        report::Report,
    },
    eni::{homecoming::Instance, neighbours},
    error::{Doing, Result},
    input::config::Config,
    net::link::Link,
    snapshot::ownership::{is_eni, is_over, lease_of, port_of, records_of_ports, strays},
    task::record::Record,
};
use std::thread;

/// Does all of it. Each part is tried, whatever becomes of the others.
///
/// # Errors
/// The instance cannot be looked at.
pub fn collect(config: &Config) -> Result<Report> {
    let instance = Instance::open(config)?;
    let mut report = Report::default();
    let links = instance.links()?;
    // After the links: of a task that starts just now there is the record and no port, never the reverse.
    let mut known = instance.records.all().doing(|| "looking at the records of tasks")?;
    match unrecorded(&instance, &links, &known) {
        Ok(records) => {
            for record in records {
                if instance.records.are_kept() {
                    report.add(write_again(&instance, &record));
                }
                known.push(record);
            }
        }
        Err(error) => report.add(Err(error)),
    }
    let mut living = Vec::new();
    for record in &known {
        match is_over(record) {
            Ok(true) => {
                let container = &record.label.container;
                let outcome = instance.take_down(record);
                report.add(outcome.map(|what| Some(format!("{what} (of container {container})"))));
            }
            Ok(false) => living.push(record),
            Err(error) => report.add(Err(error)),
        }
    }
    match orphans(&instance, &links, &known) {
        Ok(ports) => ports.iter().for_each(|port| report.add(delete(&instance, port))),
        Err(error) => report.add(Err(error)),
    }
    for (link, label) in strays(&links) {
        if !known.iter().any(|record| is_eni(link, &record.label)) {
            let outcome = instance.restore(link, &label);
            let container = &label.container;
            report.add(outcome.map(|what| Some(format!("{what} (of container {container})"))));
        }
    }
    let mended = mend(&instance, config, &living, &mut report);
    report.add(mended.map(|()| None));
    report.add(neighbours::forget(&instance.space.netlink, instance.credentials, None).map(
        |forgotten| {
            let entries = "neighbour entries of tasks that are gone are deleted";
            (forgotten > 0).then(|| format!("{forgotten} {entries}"))
        },
    ));
    Ok(report)
}

/// What ports say of tasks without a record. A task that is being taken down has its port last.
fn unrecorded(instance: &Instance<'_>, links: &[Link], known: &[Record]) -> Result<Vec<Record>> {
    let is_known = |record: &Record, known: &[Record]| {
        known.iter().any(|other| other.label.eni == record.label.eni)
    };
    let mut unrecorded = records_of_ports(links);
    unrecorded.retain(|record| !is_known(record, known));
    if instance.records.are_kept() && !unrecorded.is_empty() {
        thread::sleep(A_MOMENT);
        let now = records_of_ports(&instance.links()?);
        let known = instance.records.all().doing(|| "looking at the records of tasks")?;
        unrecorded.retain(|record| now.contains(record) && !is_known(record, &known));
    }
    Ok(unrecorded)
}

fn write_again(instance: &Instance<'_>, record: &Record) -> Result<Option<String>> {
    let (eni, container) = (record.label.eni, &record.label.container);
    let name = record.lease.link_name();
    if instance.space.netlink.link(&name).doing(|| format!("looking for {name}"))?.is_none() {
        return Ok(None); // it ended just now
    }
    match instance.records.add(record) {
        Err(error) if error.is_exists() => Ok(None),
        added => {
            added.doing(|| format!("recording that ENI {eni} is container {container}'s"))?;
            Ok(Some(format!("record of ENI {eni} (container {container}) is written again")))
        }
    }
}

/// The ports that a hook made and did not live to label, and whose record is gone too. A kernel that keeps no
/// records shows the same of a task that starts just now, but not for long.
fn orphans<'a>(
    instance: &Instance<'_>,
    links: &'a [Link],
    known: &[Record],
) -> Result<Vec<&'a Link>> {
    let mut orphans: Vec<&Link> = links.iter().filter(|port| is_orphan(port, known)).collect();
    if !orphans.is_empty() {
        thread::sleep(A_MOMENT);
        let now = instance.links()?;
        orphans.retain(|port| {
            now.iter().any(|link| link.index == port.index && is_orphan(link, known))
        });
    }
    Ok(orphans)
}

fn is_orphan(port: &Link, known: &[Record]) -> bool {
    let is_recorded = |record: &Record| {
        port_of(std::slice::from_ref(port), record).is_some()
            || Some(record.lease) == lease_of(port)
    };
    lease_of(port).is_some() && port.alias.is_none() && !known.iter().any(is_recorded)
}

fn delete(instance: &Instance<'_>, port: &Link) -> Result<Option<String>> {
    match instance.space.netlink.delete_link(port.index) {
        Err(error) if error.is_no_device() => Ok(None),
        deleted => {
            deleted.doing(|| format!("deleting {}", port.name))?;
            Ok(Some(format!("port {} without a task is deleted", port.name)))
        }
    }
}
