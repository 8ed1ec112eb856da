//! Where a task's ENI is, and whether it may be moved.

use crate::{
    error::{Result, refuse},
    net::{link::Link, mac::Mac, netns_id::NetnsId},
    snapshot::{
        ownership::{claimants, has_branches, is_labelled_as},
        view::{InstanceSnapshot, Snapshot},
    },
    task::{Task, branch::Branch, lease::Lease, record::Record},
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
    /// Not attached.
    Absent,
}

/// Where the ENI of the task with this namespace is.
///
/// # Errors
/// It is on the instance, but must not be moved; it is a branch, and must not be created; or
/// several links claim its MAC address.
pub fn locate<'a>(snapshot: &'a Snapshot, task: &Task) -> Result<Whereabouts<'a>> {
    match task.branch {
        Some(branch) => locate_branch(snapshot, task, branch),
        None => locate_interface(snapshot, task.mac),
    }
}

fn locate_interface(snapshot: &Snapshot, mac: Mac) -> Result<Whereabouts<'_>> {
    if let Some(link) = only(&claimants(&snapshot.instance.links, mac), mac)? {
        return check_movable(&snapshot.instance, link, mac).map(|()| Whereabouts::Home(link));
    }
    let inside = claimants(&snapshot.task.links, mac);
    Ok(inside.first().map_or(Whereabouts::Absent, |link| Whereabouts::Inside(link)))
}

fn locate_branch<'a>(
    snapshot: &'a Snapshot,
    task: &Task,
    branch: Branch,
) -> Result<Whereabouts<'a>> {
    let links = &snapshot.instance.links;
    // A VLAN that somebody made on the trunk has the trunk's MAC address, if not another.
    let trunks = claimants(links, branch.trunk).into_iter().filter(|link| link.vlan.is_none());
    let Some(trunk) = only(&trunks.collect::<Vec<_>>(), branch.trunk)? else {
        return Ok(Whereabouts::Absent);
    };
    let is_branch = |link: &&Link| link.vlan == Some(branch.vlan) && link.peer == Some(trunk.index);
    // One without its name and label is a hook's that was killed too early, which is as if it were not
    // there.
    let is_unfinished = |link: &Link| link.name != task.interface.as_str() && link.alias.is_none();
    let inside = snapshot.task.links.iter().find(is_branch);
    if let Some(link) = inside.filter(|link| !is_unfinished(link)) {
        return Ok(Whereabouts::Inside(link));
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
    } else if let Some(other) = instance.links.iter().find(|other| is_on(other, link)) {
        return refuse(format!(
            "{} ({mac}) has {} on it: delete that first",
            link.name, other.name
        ));
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
    let is_branch = |other: &Link| other.vlan.is_some() && is_on(other, link);
    instance.links.iter().any(is_branch) || has_branches(&instance.links, mac)
}

/// Whether a link of the same namespace, such as a VLAN or a macvlan, stands on another one.
fn is_on(link: &Link, lower: &Link) -> bool {
    !link.is_veth() && link.peer_netns.is_none() && link.peer == Some(lower.index)
}

/// The only one of these links, if there is one.
fn only<'a>(links: &[&'a Link], mac: Mac) -> Result<Option<&'a Link>> {
    match *links {
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

/// The message about another task that has the ENI or the namespace.
#[must_use]
pub fn held(mac: Mac, netns: NetnsId, other: &Record) -> String {
    let Record { label, lease, .. } = other;
    let what = if label.eni == mac {
        format!("the ENI {mac} is in use by the task of container {}", label.container)
    } else if label.branch.is_some() {
        format!("the VLAN of ENI {mac} is in use by the task of container {}", label.container)
    } else if label.netns == netns {
        format!(
            "the network namespace already belongs to the task of container {}",
            label.container
        )
    } else {
        format!("the ENI {} of container {} has names of ours", label.eni, label.container)
    };
    format!("{what} (its veth is {}): stop that one first", lease.link_name())
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
