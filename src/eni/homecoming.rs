//! Takes a task down: its ENI home, its port and its record gone. What poststop, gc, release and the next
//! prestart share.

use crate::{
    eni::{
        custody::Custody,
        instance::Instance,
        journey::{find_in, take_out},
        neighbours,
        restore::{AtHome, completed, restore},
        search::{each_namespace, own_namespace},
        stacked,
    },
    error::{Doing, KernelError, Result, give_up},
    kernel::{
        bus,
        holders::{self, Held},
        monitor::{Events, Monitor},
        sides::Space,
    },
    net::{link::Link, mac::Mac},
    snapshot::{
        labels::{label_of, label_of_found},
        ownership::{find, port_of, strays},
    },
    task::{branch::Branch, label::Label, lease::Lease, record::Record},
};
use std::time::{Duration, Instant};

/// How long the kernel usually takes to send an ENI home from a namespace that is dying. After that, it is
/// looked for.
const USUAL: Duration = Duration::from_millis(300);

/// Takes down the task that a record speaks of, and deletes the record when the ENI was seen at home, or
/// is gone for good. Says what came of it; `None`: another call did it.
///
/// # Errors
/// The ENI cannot be brought home, or not be handed on: then the record stays.
pub fn take_down(
    _custody: &Custody,
    instance: &Instance<'_>,
    record: &Record,
) -> Result<Option<String>> {
    if instance.is_anothers(record)? {
        // A port that was left is no reason to touch that one's ENI, or its record.
        let is_left = forget_port(instance, record)?;
        return Ok(is_left.then(|| format!("port {} is deleted", record.lease.link_name())));
    }
    let outcome = bring_back(instance, record)?;
    forget(instance, record)?;
    Ok(Some(outcome))
}

/// Brings the ENI home, and makes it what it was.
fn bring_back(instance: &Instance<'_>, record: &Record) -> Result<String> {
    let label = &record.label;
    Ok(match label.branch {
        Some(branch) => delete_branch(instance, label, branch)?,
        None => match bring_home(instance, record)? {
            Some((link, from)) => {
                let known = completed(record, &instance.space.netlink, &link)?;
                let (outcome, held) = hand_back(instance, &link, &known)?;
                // It is still open, so no other namespace has its inode.
                let holders = from.and_then(|from| held.get(&from.netns.inode()));
                if let Some(holders) = holders.filter(|holders| holders.has_others()) {
                    log::warn!(
                        "ENI {} was taken from processes that are still running in its namespace: {}",
                        label.eni,
                        holders.pids()
                    );
                }
                outcome
            }
            None => format!("ENI {} is no longer attached", label.eni),
        },
    })
}

/// Makes an ENI that is at home and has no record what it was, if nothing of the task's stands on it any more.
/// `None`: another call did it.
///
/// # Errors
/// Something does; or it is what the instance reaches the world by.
pub fn restore_stray(
    _custody: &Custody,
    instance: &Instance<'_>,
    stray: &Link,
    label: &Label,
) -> Result<Option<String>> {
    let eni = label.eni;
    let recorded = instance.record_of(eni)?;
    let links = instance.links()?;
    let is_it = |(link, claim): &(&Link, Label)| link.index == stray.index && claim == label;
    match strays(&links).find(is_it) {
        Some((link, _)) if recorded.is_none() => {
            hand_back(instance, link, label).map(|(outcome, _)| Some(outcome))
        }
        _ => Ok(None),
    }
}

/// Makes an ENI that is at home what it was; also says who holds which namespace.
fn hand_back(instance: &Instance<'_>, link: &Link, label: &Label) -> Result<(String, Held)> {
    let eni = label.eni;
    instance.refuse_uplink(link, eni)?;
    let held = stacked::remove(&instance.space, link, eni)?;
    let outcome = match restore(&instance.space.netlink, link, label, &AtHome::default())? {
        Some(name) => format!("ENI {eni} is home as {name}"),
        None => format!("ENI {eni} is no longer attached"),
    };
    Ok((outcome, held))
}

/// Brings the ENI home: it is there, or in a namespace that somebody holds, or the kernel sends it.
/// Also gives the namespace that it was taken from. `None`: it is not attached any more.
fn bring_home(instance: &Instance<'_>, record: &Record) -> Result<Option<(Link, Option<Space>)>> {
    let label = &record.label;
    let hardware = label.device.as_ref().filter(|device| device.is_hardware());
    let monitor = Monitor::within(&instance.space.netns, Events::Links)?;
    let begin = Instant::now();
    let (mut is_asked_for, mut is_searched, mut from) = (false, false, None);
    loop {
        let links = instance.links()?;
        if let Some(link) = find(&links, label) {
            return Ok(Some((link.clone(), from)));
        }
        if hardware.is_some_and(|device| !bus::has(device)) {
            return Ok(None);
        }
        if !is_asked_for {
            is_asked_for = true;
            if let Some(own) = own_namespace(&instance.space, label)?
                && take_out(&own, &instance.space, label)?
            {
                from = Some(own);
                continue;
            }
        }
        // When a namespace dies, the kernel sends physical interfaces home before it deletes virtual ones:
        // once the port is gone, an ENI that is not home was hidden, or is not coming.
        let has_port = port_of(&links, record).is_some();
        let waited = begin.elapsed();
        let is_overdue = waited >= USUAL.min(instance.patience);
        if !is_searched && (!has_port || is_overdue) {
            is_searched = true;
            from = fetch_from_anywhere(instance, label)?;
            if from.is_some() {
                continue;
            }
        }
        if hardware.is_none()
            && is_searched
            && (!has_port || own_namespace(&instance.space, label)?.is_some())
        {
            return Ok(None);
        }
        let until =
            begin + if is_overdue { instance.patience } else { USUAL.min(instance.patience) };
        if !instance.limits.wait_for_event(&monitor, until)? && waited >= instance.patience {
            return give_up(format!(
                "ENI {} did not come home: its namespace (inode {}) is gone or has no process and no \
                 mount, but something keeps the ENI; release {} tries again",
                label.eni, label.netns.inode, label.eni
            ));
        }
        monitor.drain();
    }
}

/// Takes the ENI out of whichever namespace it is in that somebody holds. `None`: it is in none of them.
fn fetch_from_anywhere(instance: &Instance<'_>, label: &Label) -> Result<Option<Space>> {
    each_namespace(&instance.space, &holders::of_everything()?, |space, _| {
        let is_there = find_in(&space, &instance.space, label)?.is_some();
        Ok((is_there && take_out(&space, &instance.space, label)?).then_some(space))
    })
}

/// The pids of those who hold the namespace that the ENI is in; empty where that is the instance's.
pub fn holders_of(instance: &Instance<'_>, label: &Label) -> Result<String> {
    let held = holders::of_everything()?;
    let found = each_namespace(&instance.space, &held, |space, holders| {
        Ok(find_in(&space, &instance.space, label)?.map(|_| holders.pids()))
    });
    Ok(found?.unwrap_or_default())
}

/// Takes hardware home that no record speaks of, from whatever namespace has it. What it was called is not
/// known. `None`: it is in none that can be reached.
pub fn fetch_hardware(
    _custody: &Custody,
    instance: &Instance<'_>,
    eni: Mac,
) -> Result<Option<String>> {
    let held = holders::of_everything()?;
    let found = each_namespace(&instance.space, &held, |space, holders| {
        let links = space.netlink.links()?;
        let is_it = |link: &&Link| link.is_hardware() && link.permanent_mac == Some(eni);
        let Some(link) = links.iter().find(is_it) else { return Ok(None) };
        let label = label_of_found(link, eni);
        take_out(&space, &instance.space, &label)?;
        Ok(Some((label, holders.pids())))
    })?;
    let Some((label, pids)) = found else { return Ok(None) };
    let links = instance.links()?;
    match find(&links, &label) {
        Some(link) => {
            let (outcome, _) = hand_back(instance, link, &label)?;
            Ok(Some(format!("{outcome} (taken from pids {pids})")))
        }
        None => Ok(None),
    }
}

/// Deletes a branch, wherever it is.
fn delete_branch(instance: &Instance<'_>, label: &Label, branch: Branch) -> Result<String> {
    let done = format!("branch ENI {}, {branch}, is deleted", label.eni);
    let doing = || format!("deleting branch ENI {}, {branch}", label.eni);
    let links = instance.links()?;
    let Some(trunk) = links.iter().find(|link| link.is(branch.trunk) && link.vlan.is_none()) else {
        return Ok(done); // it went with its trunk
    };
    let is_it = |link: &&Link, number: Option<i32>| {
        link.vlan == Some(branch.vlan)
            && link.peer == Some(trunk.index)
            && link.peer_netns == number
    };
    if let Some(link) = links.iter().find(|link| is_it(link, None)) {
        gone(instance.space.netlink.delete_link(link.index)).doing(doing)?;
        return Ok(done);
    }
    let delete_in = |held: &Held| {
        each_namespace(&instance.space, held, |space, _| {
            let links = space.netlink.links()?;
            let number = space.netlink.number_of(&instance.space.netns)?;
            let found = links.iter().find(|link| number.is_some() && is_it(link, number));
            found.map(|link| gone(space.netlink.delete_link(link.index)).doing(doing)).transpose()
        })
    };
    if delete_in(&holders::of_threads_and_mounts()?)?.is_none() {
        delete_in(&holders::of_everything()?)?;
    }
    Ok(done)
}

/// Deletes all that the instance has of a task but its ENI. At every moment, what is left tells of the rest:
/// the record, or the label on the port. The port goes last, which takes the kernel as long as it takes to
/// forget the record.
fn forget(instance: &Instance<'_>, record: &Record) -> Result<()> {
    let port = end_of(instance, record)?.map(|port| (record.lease, port.index));
    forget_neighbours(instance, port)?;
    let eni = record.label.eni;
    instance.records.delete(eni).doing(|| format!("deleting the record of ENI {eni}"))?;
    delete_port(instance, port)
}

/// Deletes the port of this very task, and nothing else that the next task of the container or of the ENI may have.
/// Says whether there was one.
fn forget_port(instance: &Instance<'_>, record: &Record) -> Result<bool> {
    let port = end_of(instance, record)?;
    let is_own =
        |port: &Link| label_of(port).is_some_and(|label| label.pause == record.label.pause);
    let port = port.filter(is_own).map(|port| (record.lease, port.index));
    forget_neighbours(instance, port)?;
    delete_port(instance, port).map(|()| port.is_some())
}

/// The task's port, if there is one.
fn end_of(instance: &Instance<'_>, record: &Record) -> Result<Option<Link>> {
    let name = record.lease.link_name();
    let port = instance.space.netlink.link(&name).doing(|| format!("looking for {name}"))?;
    Ok(port.filter(|port| port_of(std::slice::from_ref(port), record).is_some()))
}

fn forget_neighbours(instance: &Instance<'_>, port: Option<(Lease, u32)>) -> Result<()> {
    let (netlink, credentials) = (&instance.space.netlink, instance.credentials);
    let entries = neighbours::of_nobody(netlink, credentials, port)?;
    neighbours::forget(netlink, credentials, &entries, port).map(|_| ())
}

fn delete_port(instance: &Instance<'_>, port: Option<(Lease, u32)>) -> Result<()> {
    let Some((lease, index)) = port else { return Ok(()) };
    gone(instance.space.netlink.delete_link(index))
        .doing(|| format!("deleting {}", lease.link_name()))
}

/// The removal of something that may be gone already.
fn gone(answer: Result<(), KernelError>) -> Result<(), KernelError> {
    match answer {
        Err(error) if error.is_no_device() => Ok(()),
        answer => answer,
    }
}
