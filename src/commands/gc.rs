//! `gc`: takes down tasks that are over and had no `poststop`, as after a failed start under crun or podman;
//! restores ENIs that nobody told of; writes records again, and installs our nftables rules again, where
//! somebody flushed them.

use crate::{
    commands::{Report, host},
    eni::homecoming::Instance,
    error::{Doing, Result},
    input::config::Config,
    net::link::Link,
    snapshot::ownership::{is_eni, is_over, lease_of, port_of, records_of_ports, strays},
    task::record::Record,
};

/// Does all of it. Each part is tried, whatever becomes of the others.
///
/// # Errors
/// The instance cannot be looked at.
pub fn collect(config: &Config) -> Result<Report> {
    let instance = Instance::open(config)?;
    let mut report = Report::default();
    let mut known = instance.records.all().doing(|| "looking at the records of tasks")?;
    let links = instance.links()?;
    for record in records_of_ports(&links) {
        if !known.iter().any(|other| other.label.eni == record.label.eni) {
            report.add(write_again(&instance, &record));
            known.push(record);
        }
    }
    for record in &known {
        match is_over(record) {
            Ok(true) => {
                let container = &record.label.container;
                let outcome = instance.take_down(record);
                report.add(outcome.map(|what| Some(format!("{what} (of container {container})"))));
            }
            Ok(false) => {}
            Err(error) => report.add(Err(error)),
        }
    }
    for port in links.iter().filter(|port| is_orphan(port, &known)) {
        report.add(delete(&instance, port));
    }
    for (link, label) in strays(&links) {
        if !known.iter().any(|record| is_eni(link, &record.label)) {
            let outcome = instance.restore(link, &label);
            let container = &label.container;
            report.add(outcome.map(|what| Some(format!("{what} (of container {container})"))));
        }
    }
    report.add(instance.forget_neighbours().map(|forgotten| {
        let entries = "neighbour entries of tasks that are gone are deleted";
        (forgotten > 0).then(|| format!("{forgotten} {entries}"))
    }));
    report.add(host::repair(config));
    Ok(report)
}

fn write_again(instance: &Instance<'_>, record: &Record) -> Result<Option<String>> {
    let (eni, container) = (record.label.eni, &record.label.container);
    match instance.records.add(record) {
        Err(error) if error.is_exists() => Ok(None),
        added => {
            added.doing(|| format!("recording that ENI {eni} is container {container}'s"))?;
            Ok(Some(format!("record of ENI {eni} (container {container}) is written again")))
        }
    }
}

/// A port that a hook made and did not live to label, and whose record is gone too.
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
