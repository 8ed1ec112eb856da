//! Where a task's ENI is, and whether it may be moved.

use crate::{
    error::{Result, refuse},
    net::{link::Link, mac::Mac},
    snapshot::{
        ownership::{has_branches, is_labelled_as, labelled_ports, others_ports},
        view::{InstanceSnapshot, Snapshot},
    },
    task::{Task, branch::Branch, label::Label, lease::Lease},
};

/// Where a task's ENI is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts<'a> {
    /// On the instance, and fit to be moved.
    Home(&'a Link),
    /// To be created on this trunk, for it is a branch.
    Trunk {
        /// Which one.
        branch: Branch,
        /// What it will be created on.
        trunk: &'a Link,
        /// A link of the same VLAN that is ours, and of no use on the instance.
        leftover: Option<&'a Link>,
    },
    /// In the task's namespace, where an earlier call of ours put it.
    Inside(&'a Link),
    /// In the namespace of another task, which this port on the instance belongs to.
    Held(&'a Link, Label),
    /// Not attached.
    Absent,
}

/// Where the ENI of the task with this namespace is.
///
/// # Errors
/// It is on the instance, but must not be moved; it is a branch, and must not be created; or
/// several links claim its MAC address.
pub fn locate<'a>(snapshot: &'a Snapshot, task: &Task, netns: u64) -> Result<Whereabouts<'a>> {
    match task.branch {
        Some(branch) => locate_branch(snapshot, task, branch, netns),
        None => locate_interface(snapshot, task.mac, netns),
    }
}

fn locate_interface(snapshot: &Snapshot, mac: Mac, netns: u64) -> Result<Whereabouts<'_>> {
    let links = &snapshot.instance.links;
    if let Some(link) = only(links.iter().filter(|link| link.is(mac)), mac)? {
        return check_movable(&snapshot.instance, link, mac).map(|()| Whereabouts::Home(link));
    }
    if let Some(link) = snapshot.task.links.iter().find(|link| link.is(mac)) {
        return Ok(Whereabouts::Inside(link));
    }
    Ok(others_ports(links, netns)
        .find(|(_, label)| label.eni == mac)
        .map_or(Whereabouts::Absent, |(port, label)| Whereabouts::Held(port, label)))
}

fn locate_branch<'a>(
    snapshot: &'a Snapshot,
    task: &Task,
    branch: Branch,
    netns: u64,
) -> Result<Whereabouts<'a>> {
    let links = &snapshot.instance.links;
    // A VLAN that somebody made on the trunk has the trunk's MAC address, if not another.
    let trunks = links.iter().filter(|link| link.vlan.is_none());
    let Some(trunk) = only(trunks.filter(|link| link.is(branch.trunk)), branch.trunk)? else {
        return Ok(Whereabouts::Absent);
    };
    let is_branch = |link: &&Link| link.vlan == Some(branch.vlan) && link.peer == Some(trunk.index);
    // Where our label says that it is the task's, one without its name and label is a hook's that
    // was killed too early, which is as if it were not there.
    let is_ours = |label: &Label| label.netns == netns && label.branch == Some(branch);
    let known = labelled_ports(links).any(|(_, _, label)| is_ours(&label));
    let is_unfinished =
        |link: &Link| known && link.name != task.interface.as_str() && link.alias.is_none();
    let inside = snapshot.task.links.iter().find(is_branch);
    if let Some(link) = inside.filter(|link| !is_unfinished(link)) {
        return Ok(Whereabouts::Inside(link));
    }
    let is_held = |label: &Label| label.eni == task.mac || label.branch == Some(branch);
    if let Some((port, label)) = others_ports(links, netns).find(|(_, label)| is_held(label)) {
        return Ok(Whereabouts::Held(port, label));
    }
    let leftover = links.iter().find(is_branch);
    if let Some(link) = leftover.filter(|link| !is_labelled_as(link, branch)) {
        return refuse(format!(
            "{} on the instance has VLAN {} of {} already, and is not ours: delete it, or use \
             another vlan-id",
            link.name, branch.vlan, trunk.name
        ));
    }
    if let Some(link) = links.iter().find(|link| !is_branch(link) && link.is(task.mac)) {
        return refuse(format!(
            "{} on the instance has the branch's MAC address {} already",
            link.name, task.mac
        ));
    }
    Ok(Whereabouts::Trunk { branch, trunk, leftover })
}

fn check_movable(instance: &InstanceSnapshot, link: &Link, mac: Mac) -> Result<()> {
    let is = |kind: &str| link.kind.as_deref() == Some(kind);
    let why = if instance.uplinks.contains(&link.index) {
        "carries the instance's default route: moving it would cut the instance off"
    } else if is_trunk(instance, link, mac) {
        "is a trunk: the branches of other tasks would go with it"
    } else if link.loopback {
        "is the loopback interface"
    } else if !link.ethernet {
        "is not an Ethernet interface"
    } else if link.controller.is_some() {
        "belongs to a bridge or bond"
    } else if is("bridge") {
        "is a bridge"
    } else if is("bond") || is("team") {
        "is a bond"
    } else {
        return Ok(());
    };
    refuse(format!("{} ({mac}) {why}", link.name))
}

/// Whether a link has VLANs on it: on the instance, or as branches in tasks.
fn is_trunk(instance: &InstanceSnapshot, link: &Link, mac: Mac) -> bool {
    let is_on_it = |other: &Link| other.vlan.is_some() && other.peer == Some(link.index);
    instance.links.iter().any(is_on_it) || has_branches(&instance.links, mac)
}

/// The only one of these links, if there is one.
fn only<'a>(links: impl Iterator<Item = &'a Link>, mac: Mac) -> Result<Option<&'a Link>> {
    let links: Vec<&Link> = links.collect();
    match links[..] {
        [] => Ok(None),
        [link] => Ok(Some(link)),
        _ => {
            let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
            refuse(format!(
                "several links on the instance have the MAC address {mac} ({}): which one is \
                 meant cannot be told",
                names.join(", ")
            ))
        }
    }
}

/// The message about an ENI that another task holds.
#[must_use]
pub fn held(mac: Mac, port: &str, label: &Label) -> String {
    format!(
        "the ENI {mac} is in use by the task of container {} (its veth is {port}): stop that one first",
        label.container
    )
}

/// The message about an ENI that is not there.
#[must_use]
pub fn absent(task: &Task, instance: &InstanceSnapshot) -> String {
    let (what, mac) = match task.branch {
        Some(branch) => ("trunk ENI", branch.trunk),
        None => ("ENI", task.mac),
    };
    format!(
        "no {what} {mac} on the instance: present are {}; is it attached to this instance?",
        macs(instance)
    )
}

/// The MAC addresses on the instance, for somebody who looks for one that is not there.
fn macs(instance: &InstanceSnapshot) -> String {
    let present: Vec<String> = instance
        .links
        .iter()
        .filter(|link| link.ethernet && Lease::of_link(&link.name).is_none())
        .filter_map(|link| {
            let mac = link.permanent_mac.or(link.mac)?;
            Some(format!("{mac} ({})", link.name))
        })
        .collect();
    if present.is_empty() { "none".to_owned() } else { present.join(", ") }
}
