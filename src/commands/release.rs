//! `release`: takes an ENI home by force from whatever namespace holds it, for the operator whose engine never
//! called `poststop`.

use crate::{
    commands::report::Report,
    eni::{
        homecoming::{fetch_hardware, holders_of, restore_stray, take_down},
        instance::Instance,
    },
    error::{Doing, Result, refuse},
    input::config::Config,
    net::{link::Link, mac::Mac},
    snapshot::ownership::{claimants, records_of_ports, strays},
};

/// Takes it home, whether its task lives or not. An ENI that is at home and has neither a record nor
/// a label is left as it is.
///
/// # Errors
/// It cannot be brought home, or is not attached.
pub fn release(config: &Config, eni: Mac) -> Result<Report> {
    let instance = Instance::open(config)?;
    let custody = instance.custody(eni)?;
    let mut report = Report::default();
    let links = instance.links()?;
    let recorded =
        instance.records.of(eni).doing(|| format!("looking for the record of ENI {eni}"))?;
    let by_port = || records_of_ports(&links).into_iter().find(|record| record.label.eni == eni);
    if let Some(record) = recorded.or_else(by_port) {
        let holders = holders_of(&instance, &record.label)?;
        let from = if holders.is_empty() { String::new() } else { format!(", pids {holders}") };
        let Some(outcome) = take_down(&custody, &instance, &record)? else { return Ok(report) };
        let container = &record.label.container;
        report.add(Ok(Some(format!("{outcome} (taken from container {container}{from})"))));
        return Ok(report);
    }
    let at_home: Vec<&Link> = claimants(&links, eni);
    if let Some(link) = at_home.first() {
        instance.refuse_uplink(link, eni)?;
        // Its label says that it came home and nobody told of it.
        let stray = strays(&links).find(|(stray, _)| stray.index == link.index);
        if let Some((link, label)) = stray {
            report.add(Ok(restore_stray(&custody, &instance, link, &label)?));
        }
        return Ok(report);
    }
    match fetch_hardware(&custody, &instance, eni)? {
        Some(what) => report.add(Ok(Some(what))),
        None => {
            return refuse(format!(
                "no ENI {eni} on the instance, nor in any namespace that is held"
            ));
        }
    }
    Ok(report)
}
