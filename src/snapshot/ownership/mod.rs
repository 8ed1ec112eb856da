//! Whose a link is. The one place that decides it.
//!
//! What a task can write is a claim: the MAC address, name and label of its ENI, the name and the namespace
//! of its end of the veth, the inode of its namespace. Believed are the record, which the instance keeps;
//! the label on a port of a bridge, which is on the instance; and of hardware, its address on the bus and
//! the MAC address that is burnt in.

use crate::{
    error::{Result, refuse},
    input::request::Request,
    kernel::{bus, holders, process},
    net::{device::Device, link::Link, mac::Mac, name::InterfaceName},
    snapshot::{
        labels::{label_of, wished_name},
        view::Snapshot,
    },
    task::{
        CREDENTIAL_INTERFACE,
        branch::Branch,
        label::{Label, port_mac},
        lease::Lease,
        record::Record,
    },
};

/// The port on the instance whose far end is in the task's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPort {
    /// The lease that it stands for.
    pub lease: Lease,
    /// What its label says, unless the hook that made it died too early to write one.
    pub label: Option<Label>,
    /// Whether it is switched on.
    pub up: bool,
}

/// The ports of all tasks among these links, each with its label. An ENI that comes home can have any
/// name and any label, but it is no veth on a bridge.
pub fn labelled_ports(links: &[Link]) -> impl Iterator<Item = (&Link, Lease, Label)> {
    links.iter().filter_map(|link| Some((link, lease_of(link)?, label_of(link)?)))
}

/// The lease that a link is the port of.
#[must_use]
pub fn lease_of(link: &Link) -> Option<Lease> {
    let lease = Lease::of_link(&link.name)?;
    (link.is_veth() && link.controller.is_some()).then_some(lease)
}

/// What the ports among these links say of their tasks, as records.
#[must_use]
pub fn records_of_ports(links: &[Link]) -> Vec<Record> {
    let bridge = |port: &Link| {
        let bridge = links.iter().find(|link| Some(link.index) == port.controller)?;
        bridge.name.parse::<InterfaceName>().ok()
    };
    labelled_ports(links)
        .filter_map(|(port, lease, label)| Some(Record::new(label, lease, bridge(port)?)))
        .collect()
}

/// Whether a task is over: its pause process is not there any more, however long its namespace lives.
///
/// # Errors
/// `/proc` cannot be read.
pub fn is_over(record: &Record) -> Result<bool> {
    match record.label.pause {
        Some(pause) => Ok(!process::is_alive(pause)),
        None => Ok(!holders::of_threads_and_mounts()?.contains_key(&record.label.netns.inode)),
    }
}

/// Whether a record is about the task that asks.
#[must_use]
pub fn is_own(record: &Record, request: &Request) -> bool {
    let Label { container, netns, pause, .. } = &record.label;
    container == request.container && *netns == request.netns && *pause == Some(request.pause)
}

/// Another task that has the ENI, or the namespace, or names that ours must have.
#[must_use]
pub fn obstacle(request: &Request, snapshot: &Snapshot) -> Option<Record> {
    let links = &snapshot.instance.links;
    let ports = || records_of_ports(links).into_iter();
    let has_eni = |record: &Record| {
        let Label { eni, branch, .. } = &record.label;
        *eni == request.task.mac || branch.is_some() && *branch == request.task.branch
    };
    let has_namespace = |record: &Record| record.label.netns == request.netns;
    let has_names = |record: &Record| {
        let squatters = links.iter().filter(|link| squats(link, request));
        squatters.into_iter().any(|link| is_eni(link, &record.label))
    };
    let records = snapshot.records.iter().cloned().chain(ports());
    let mut others = records.filter(|record| !is_own(record, request));
    others.find(|record| has_eni(record) || has_namespace(record) || has_names(record))
}

/// Whether a link has an alternative name that a bridge or a port of ours should have: a task may give its ENI
/// hundreds. Those of the ENI that is asked for are taken from it anyway.
#[must_use]
pub fn squats(link: &Link, request: &Request) -> bool {
    let bridge = request.credentials.bridge.as_str();
    let is_ours = |name: &String| name == bridge || Lease::of_link(name).is_some();
    !link.is(request.task.mac) && link.alternative_names.iter().any(is_ours)
}

/// The port that an earlier call for the same task made.
///
/// # Errors
/// The namespace has a credential interface of somebody else's.
pub fn own_port(snapshot: &Snapshot, request: &Request) -> Result<Option<OwnPort>> {
    let links = &snapshot.instance.links;
    let is_own =
        |label: &Label| label.container == request.container && label.netns == request.netns;
    let labelled = labelled_ports(links).find(|(_, _, label)| is_own(label));
    if let Some((link, lease, label)) = labelled {
        return Ok(Some(OwnPort { lease, label: Some(label), up: link.up }));
    }
    let Some(inside) = snapshot.task.link(CREDENTIAL_INTERFACE) else {
        return Ok(None);
    };
    let mac = port_mac(request.container);
    let unlabelled = links.iter().find_map(|link| {
        let lease = lease_of(link)?;
        let joined = link.peer == Some(inside.index) && inside.peer == Some(link.index);
        let fresh = link.alias.is_none() && link.mac == Some(mac);
        (joined && fresh).then_some(OwnPort { lease, label: None, up: link.up })
    });
    match unlabelled {
        Some(port) => Ok(Some(port)),
        None => refuse(format!(
            "the network namespace already has a {CREDENTIAL_INTERFACE} that this hook did \
             not make: remove it, or use a new namespace"
        )),
    }
}

/// The port that a record speaks of, among these links: by its label, or where the hook that made it died
/// too early to write one, by the MAC address that it was born with.
#[must_use]
pub fn port_of<'a>(links: &'a [Link], record: &Record) -> Option<&'a Link> {
    links.iter().find(|link| lease_of(link) == Some(record.lease) && is_end_of(link, record))
}

/// The same of a link that is no port any more, because somebody took it off its bridge.
#[must_use]
pub fn is_end_of(link: &Link, record: &Record) -> bool {
    let own = match label_of(link) {
        Some(label) => {
            label.container == record.label.container && label.netns == record.label.netns
        }
        None => link.mac == Some(port_mac(&record.label.container)),
    };
    link.is_veth() && Lease::of_link(&link.name) == Some(record.lease) && own
}

/// Whether this link of the instance is the ENI that a label of ours describes: the same hardware.
#[must_use]
pub fn is_eni(link: &Link, label: &Label) -> bool {
    let peer = label.device.as_ref().and_then(Device::veth_peer);
    is_eni_away(link, label, peer.map(|(_, netns)| netns))
}

/// The same of a link in another namespace. A veth, which plays an ENI in tests, is known by its peer, which is
/// in a third one: that namespace knows it by the number `peer_netns`.
#[must_use]
pub fn is_eni_away(link: &Link, label: &Label, peer_netns: Option<i32>) -> bool {
    if label.branch.is_some() || link.controller.is_some() && lease_of(link).is_some() {
        return false;
    }
    let burnt_in = || link.is_hardware() && link.permanent_mac == Some(label.eni);
    let Some(device) = &label.device else {
        return burnt_in()
            || link.permanent_mac.is_none() && link.vlan.is_none() && link.is(label.eni);
    };
    if let Some((peer, _)) = device.veth_peer() {
        let is_same = peer_netns.is_some() && link.peer_netns == peer_netns;
        return link.is_veth() && link.peer == Some(peer) && is_same;
    }
    match &link.device {
        Some(own) => link.kind.is_none() && own == device,
        None => burnt_in(),
    }
}

/// The ENI among the links of the instance.
#[must_use]
pub fn find<'a>(links: &'a [Link], label: &Label) -> Option<&'a Link> {
    links.iter().find(|link| is_eni(link, label))
}

/// The links that claim to be the ENI with this MAC address: hardware where there is any, since a MAC
/// address that is burnt in is no claim.
#[must_use]
pub fn claimants(links: &[Link], mac: Mac) -> Vec<&Link> {
    let is_it = |link: &&Link| link.is(mac) && lease_of(link).is_none();
    let hardware: Vec<&Link> =
        links.iter().filter(is_it).filter(|link| link.is_hardware()).collect();
    if hardware.is_empty() { links.iter().filter(is_it).collect() } else { hardware }
}

/// The ENIs among these links that have a label, which the move into a task puts on, but no record: they
/// came home when `nft flush ruleset` had deleted it. The label may be a task's own writing: it is no more
/// than a wish for a name and an MTU, and only where it speaks of the link that carries it.
pub fn strays(links: &[Link]) -> impl Iterator<Item = (&Link, Label)> {
    links.iter().filter_map(|link| {
        let label = label_of(link)?;
        let believed = label.describes(link) && link.is(label.eni) && link.controller.is_none();
        let device = bus::device_of(link);
        believed.then(|| (link, Label { name: wished_name(link, &label), device, ..label }))
    })
}

/// Whether a link says of itself that it is this branch.
#[must_use]
pub fn is_labelled_as(link: &Link, branch: Branch) -> bool {
    label_of(link).is_some_and(|label| label.branch == Some(branch))
}

/// Whether any task has a branch of the trunk with this MAC address.
#[must_use]
pub fn has_branches(links: &[Link], trunk: Mac) -> bool {
    let is_on = |label: &Label| label.branch.is_some_and(|branch| branch.trunk == trunk);
    labelled_ports(links).any(|(_, _, label)| is_on(&label))
}

#[cfg(test)]
mod tests;
