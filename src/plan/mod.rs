//! From what the task wants and what the kernel shows to the list of steps. Pure: nothing here asks
//! the kernel anything, so every decision can be tested without privileges.
//!
//! The order is the design:
//!
//! 1. The ENI's normal form: names that an earlier task gave it may be in the way of what follows. Then the
//!    record, which is the lock on the ENI, and keeps `host-teardown` away; then the instance's rules and the
//!    bridge, and the veth, which takes the lease: these can lose a race, so they come before anything that would
//!    have to be undone. From here on the instance keeps whose the ENI is, so whatever happens later can be healed
//!    from there.
//! 2. The credential path, and the metadata service out of reach, before the ENI can carry a frame.
//! 3. The ENI: moved, its frames filtered, and configured.
//! 4. The waits, at the end: the links came up while we did the rest.
//! 5. What is no longer blocked: after this, nothing can fail that would have to block it again.

mod block;
mod branch;
mod credentials;
mod eni;
pub mod host;
pub mod mend;
pub mod step;
pub mod text;

use crate::{
    error::{Error, Result, refuse},
    input::{config::credentials::CredentialNetwork, request::Request},
    net::side::Side,
    nft::Ruleset,
    snapshot::{
        ownership::{OwnPort, obstacle, own_port},
        view::Snapshot,
        whereabouts::{held, locate},
    },
    task::{MIN_MTU_V6, Task, label::Label, lease::Lease, record::Record},
};
use host::host;
use ipnetwork::IpNetwork;
use std::collections::BTreeSet;
use step::Step;

/// What will be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The link-local address that the task gets.
    pub lease: Lease,
    /// What the ENI is called on the instance, among others.
    pub label: Label,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// Decides what to do.
///
/// # Errors
/// [`Error::Refused`] if it must not or cannot be done; the ENI being elsewhere is such a case.
pub fn plan(request: &Request, ruleset: &Ruleset, snapshot: &Snapshot) -> Result<Plan> {
    let Request { task, credentials, .. } = *request;
    let Snapshot { instance, .. } = snapshot;
    if task.has_ipv6() && !instance.has_ipv6 {
        return refuse("the task has IPv6 addresses, but this kernel has no IPv6");
    }
    if credentials.ipv6_subnet.is_some() && !instance.has_ipv6 {
        return refuse("credentials.ipv6-subnet is set, but this kernel has no IPv6");
    }
    check_overlap(task, credentials)?;
    if let Some(other) = obstacle(request, snapshot) {
        return refuse(held(task.mac, request.netns, &other));
    }
    let own = own_port(snapshot, request)?;
    refuse_another_eni(task, own.as_ref())?;
    let lease = match &own {
        Some(port) => port.lease,
        None => free_lease(request, snapshot)?,
    };
    let whereabouts = locate(snapshot, task)?;
    let (label, arrival) = eni::arrival(request, snapshot, own.as_ref(), &whereabouts)?;
    let speaks_ipv6 = speaks_ipv6(task, snapshot, &label)?;
    let mut steps = Vec::from_iter(eni::normalisation(&whereabouts, task));
    let record = Record::new(label.clone(), lease, credentials.bridge.clone());
    if !snapshot.records.contains(&record) {
        steps.push(Step::TakeRecord { record });
    }
    let host_only = instance.without_names_of(task.mac);
    steps.push(host::check(ruleset, credentials, &host_only));
    let (bridge_mac, of_host) = host(ruleset, credentials, &host_only)?;
    steps.extend(of_host);
    steps.extend(credentials::port(credentials, lease, &label, own.as_ref()));
    let has_ipv6 = task.has_ipv6() || credentials.ipv6_subnet.is_some();
    steps.extend(credentials::loopback(has_ipv6, &snapshot.task));
    steps.extend(credentials::interface(credentials, lease, bridge_mac, &snapshot.task)?);
    steps.extend(block::packets(&task.blocked(), instance.has_ipv6));
    steps.extend(arrival);
    steps.extend(block::frames(&task.interface, &task.blocked()));
    if !task.stay_down {
        steps.extend(eni::configuration(task, snapshot, speaks_ipv6)?);
    }
    steps.extend(waits(task, credentials, lease));
    steps.extend(block::removal(task, snapshot));
    Ok(Plan { lease, label, steps })
}

fn refuse_another_eni(task: &Task, own: Option<&OwnPort>) -> Result<()> {
    match own.and_then(|port| port.label.as_ref()) {
        Some(label) if (label.eni, label.branch) != (task.mac, task.branch) => refuse(format!(
            "the container has the ENI {} already, which is not what the annotations ask for",
            label.eni
        )),
        _ => Ok(()),
    }
}

/// Whether the ENI will have IPv6 inside: a link that is too small for it has not even the options
/// (`addrconf_notify`, net/ipv6/addrconf.c).
fn speaks_ipv6(task: &Task, snapshot: &Snapshot, label: &Label) -> Result<bool> {
    let mtu = task.mtu.unwrap_or(label.mtu);
    let large_enough = mtu >= MIN_MTU_V6;
    if task.has_ipv6() && !large_enough {
        return refuse(format!(
            "the task has IPv6 addresses, but mtu {mtu} is less than IPv6 needs ({MIN_MTU_V6})"
        ));
    }
    Ok(snapshot.instance.has_ipv6 && large_enough)
}

fn check_overlap(task: &Task, credentials: &CredentialNetwork) -> Result<()> {
    let overlap = |address: &&IpNetwork| match address {
        IpNetwork::V4(four) => four.overlaps(credentials.subnet),
        IpNetwork::V6(six) => credentials.ipv6_subnet.is_some_and(|subnet| six.overlaps(subnet)),
    };
    task.addresses.iter().find(overlap).map_or(Ok(()), |address| {
        refuse(format!(
            "the ENI's subnet {address} overlaps the credential subnet: choose another \
             credentials.subnet or credentials.ipv6-subnet"
        ))
    })
}

fn free_lease(request: &Request, snapshot: &Snapshot) -> Result<Lease> {
    let CredentialNetwork { subnet, gateway, .. } = *request.credentials;
    let held: BTreeSet<Lease> = snapshot
        .instance
        .links
        .iter()
        .filter_map(|link| Lease::of_link(&link.name))
        .chain(snapshot.taken.iter().copied())
        .filter(|lease| subnet.contains(lease.address()))
        .collect();
    Lease::candidates(subnet, gateway, request.container)
        .find(|lease| !held.contains(lease))
        .ok_or_else(|| {
            Error::Refused(format!(
                "no free address in {subnet} ({} tasks hold it): stop a task, or give \
                 credentials.subnet more room",
                held.len()
            ))
        })
}

/// A first packet sent before its link is up is lost, and costs the application a second; so does the answer to
/// one that is sent before the kernel knows its own address; and one that is sent before there is a route to its
/// destination is an error.
fn waits(task: &Task, credentials: &CredentialNetwork, lease: Lease) -> Vec<Step> {
    let mut steps = credentials::waits(credentials, lease);
    if !task.stay_down {
        steps.push(Step::AwaitRunning { side: Side::Task, link: task.interface.clone() });
    }
    let of_instance = credentials.gateways().into_iter().map(|own| (Side::Instance, own));
    let of_task = credentials.addresses(lease).into_iter().map(|own| (Side::Task, own));
    let of_eni = task.addresses.iter().filter(|_| !task.stay_down);
    let of_eni = of_eni.map(|own| (Side::Task, own.ip()));
    let v6 = of_instance.chain(of_task).chain(of_eni).filter(|(_, address)| address.is_ipv6());
    steps.extend(v6.map(|(side, address)| Step::AwaitAddress { side, address }));
    if task.wants_router_advertisements() && !task.stay_down {
        steps.push(Step::AwaitRouter { link: task.interface.clone(), patience: task.router });
    }
    steps
}

#[cfg(test)]
mod tests;
