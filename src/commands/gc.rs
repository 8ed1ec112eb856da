//! `gc`: takes down tasks that are over and had no `poststop`, as after a failed start under crun or podman;
//! restores ENIs that nobody told of; writes records again that somebody flushed, and mends what is broken under
//! tasks that run.

use crate::{
    commands::{mend::mend, report::Report, twice::twice},
    eni::{
        custody::Custody,
        homecoming::{restore_stray, take_down},
        instance::Instance,
        neighbours,
    },
    error::{Doing, Result},
    input::config::Config,
    net::link::Link,
    snapshot::ownership::{is_eni, is_over, lease_of, port_of, records_of_ports, strays},
    task::{label::Label, record::Record},
};

/// Does all of it. Each part is tried, whatever becomes of the others.
///
/// # Errors
/// The instance cannot be looked at.
pub fn collect(config: &Config) -> Result<Report> {
    let instance = Instance::open(config)?;
    let mut report = Report::default();
    let mut known = instance.records.all().doing(|| "looking at the records of tasks")?;
    // A task that is being taken down has its port last.
    match twice(|| unrecorded(&instance)) {
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
            Ok(true) => report
                .add(unless_at_it(&record.label, |custody| take_down(custody, &instance, record))),
            Ok(false) => living.push(record),
            Err(error) => report.add(Err(error)),
        }
    }
    // A kernel that keeps no records shows the same of a task that starts just now.
    match twice(|| orphans(&instance)) {
        Ok(ports) => ports.iter().for_each(|port| report.add(delete(&instance, port))),
        Err(error) => report.add(Err(error)),
    }
    // An ENI that is being brought home has its label last but for its record.
    match twice(|| unrecorded_enis(&instance)) {
        Ok(enis) => {
            for (link, label) in enis {
                report.add(unless_at_it(&label, |custody| {
                    restore_stray(custody, &instance, &link, &label)
                }));
            }
        }
        Err(error) => report.add(Err(error)),
    }
    let mended = mend(&instance, config, &living, &mut report);
    report.add(mended.map(|()| None));
    let netlink = &instance.space.netlink;
    let forgotten = twice(|| neighbours::of_nobody(netlink, instance.credentials, None));
    let forgotten = forgotten
        .and_then(|entries| neighbours::forget(netlink, instance.credentials, &entries, None));
    report.add(forgotten.map(|forgotten| {
        let what = "neighbour entries of tasks that are gone are deleted";
        (forgotten > 0).then(|| format!("{forgotten} {what}"))
    }));
    Ok(report)
}

/// Does it, unless another call is at it; says what came of it, and whose it was.
fn unless_at_it(
    label: &Label,
    work: impl FnOnce(&Custody) -> Result<Option<String>>,
) -> Result<Option<String>> {
    let Some(custody) = Custody::try_take(label.eni)? else { return Ok(None) };
    let outcome = work(&custody)?;
    Ok(outcome.map(|what| format!("{what} (of container {})", label.container)))
}

/// What ports say of tasks without a record.
fn unrecorded(instance: &Instance<'_>) -> Result<Vec<Record>> {
    let (links, known) = look(instance)?;
    let mut unrecorded = records_of_ports(&links);
    let is_known = |record: &Record| known.iter().any(|other| other.is_of_task(record));
    unrecorded.retain(|record| !is_known(record));
    Ok(unrecorded)
}

/// The links and, after them, the records: of a task that starts just now there is the record and no port, never the
/// reverse.
fn look(instance: &Instance<'_>) -> Result<(Vec<Link>, Vec<Record>)> {
    let links = instance.links()?;
    Ok((links, instance.records.all().doing(|| "looking at the records of tasks")?))
}

fn write_again(instance: &Instance<'_>, record: &Record) -> Result<Option<String>> {
    let (eni, container) = (record.label.eni, &record.label.container);
    let Some(_custody) = Custody::try_take(eni)? else { return Ok(None) };
    if !instance.stands(record)? {
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

/// The ports that a hook made and did not live to label, and whose record is gone too.
fn orphans(instance: &Instance<'_>) -> Result<Vec<Link>> {
    let (mut links, known) = look(instance)?;
    links.retain(|port| is_orphan(port, &known));
    Ok(links)
}

/// The ENIs at home that have a label, and no record.
fn unrecorded_enis(instance: &Instance<'_>) -> Result<Vec<(Link, Label)>> {
    let (links, known) = look(instance)?;
    let known = [known, records_of_ports(&links)].concat();
    let is_known = |link: &Link| known.iter().any(|record| is_eni(link, &record.label));
    let strays = strays(&links).filter(|(link, _)| !is_known(link));
    Ok(strays.map(|(link, label)| (link.clone(), label)).collect())
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
