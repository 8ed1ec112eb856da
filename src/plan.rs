//! From what the task wants and what the kernel shows to the list of steps. Pure: nothing here asks
//! the kernel anything, so every decision can be tested without privileges.
//!
//! The order is the design:
//!
//! 1. The instance's rules and the bridge, then the veth: taking the lease is the step that can lose a race, so it comes
//!    before anything that would have to be undone. From here on the instance shows whose the ENI
//!    is, so whatever happens later can be healed from there.
//! 2. The credential path, and the metadata service out of reach, before the ENI can carry a frame.
//! 3. The ENI: moved, its frames filtered, and configured.
//! 4. The waits, at the end: the links came up while we did the rest.
//! 5. What is no longer blocked: after this, nothing can fail that would have to block it again.

mod block;
mod branch;
mod credentials;
mod eni;
mod host;

pub use eni::{absent, held};
pub use host::host;

use crate::{
    config::Credentials,
    error::{Doing, Error, Result, refuse},
    lease::Lease,
    link::InterfaceName,
    nft::Ruleset,
    snapshot::Snapshot,
    step::{Side, Step},
    tag::Tag,
    task::{CREDENTIAL_INTERFACE, MIN_MTU_V6, Task},
};
use ipnetwork::IpNetwork;
use std::collections::BTreeSet;

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The container's id as it stands in tags.
    pub container: &'a str,
    /// The inode of its network namespace.
    pub netns: u64,
    /// The network that it wants.
    pub task: &'a Task,
    /// The host's side of the credential path.
    pub credentials: &'a Credentials,
    /// The instance's nftables rules.
    pub ruleset: &'a Ruleset,
}

/// What will be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The link-local address that the task gets.
    pub lease: Lease,
    /// What the ENI is called on the instance, among others.
    pub tag: Tag,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// Decides what to do.
///
/// # Errors
/// [`Error::Refused`] if it must not or cannot be done; the ENI being elsewhere is such a case.
pub fn plan(request: &Request, snapshot: &Snapshot) -> Result<Plan> {
    let Request { task, container, netns, credentials, ruleset } = *request;
    if task.has_ipv6() && !snapshot.has_ipv6 {
        return refuse("the task has IPv6 addresses, but this kernel has no IPv6");
    }
    if credentials.ipv6_subnet.is_some() && !snapshot.has_ipv6 {
        return refuse("credentials.ipv6-subnet is set, but this kernel has no IPv6");
    }
    check_overlap(task, credentials)?;
    let own = snapshot.own_veth(container, netns)?;
    if let Some(tag) = own.as_ref().and_then(|veth| veth.tag.as_ref())
        && (tag.eni, tag.branch) != (task.mac, task.branch)
    {
        return refuse(format!(
            "the container has the ENI {} already, which is not what the annotations ask for",
            tag.eni
        ));
    }
    let lease = match &own {
        Some(veth) => veth.lease,
        None => free_lease(request, snapshot)?,
    };
    let whereabouts = snapshot.locate(task, netns)?;
    let (tag, arrival) = eni::arrival(request, snapshot, own.as_ref(), &whereabouts)?;
    let speaks_ipv6 = speaks_ipv6(task, snapshot, &tag)?;
    let (bridge_mac, mut steps) = host(ruleset, credentials, snapshot)?;
    steps.extend(credentials::port(credentials, lease, &tag, own.as_ref()));
    steps.extend(credentials::interface(credentials, lease, bridge_mac, snapshot)?);
    steps.extend(block::packets(&task.blocked(), snapshot.has_ipv6));
    steps.extend(arrival);
    steps.extend(block::frames(&task.interface, &task.blocked()));
    if !task.stay_down {
        steps.extend(eni::configuration(task, snapshot, speaks_ipv6)?);
    }
    steps.extend(waits(task, credentials, lease));
    steps.extend(block::removal(task, snapshot));
    Ok(Plan { lease, tag, steps })
}

/// Whether the ENI will have IPv6 inside: a link that is too small for it has not even the options
/// (`addrconf_notify`, net/ipv6/addrconf.c).
fn speaks_ipv6(task: &Task, snapshot: &Snapshot, tag: &Tag) -> Result<bool> {
    let mtu = task.mtu.unwrap_or(tag.mtu);
    let large_enough = mtu >= MIN_MTU_V6;
    if task.has_ipv6() && !large_enough {
        return refuse(format!(
            "the task has IPv6 addresses, but mtu {mtu} is less than IPv6 needs ({MIN_MTU_V6})"
        ));
    }
    Ok(snapshot.has_ipv6 && large_enough)
}

fn check_overlap(task: &Task, credentials: &Credentials) -> Result<()> {
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
    let Credentials { subnet, gateway, .. } = *request.credentials;
    let held: BTreeSet<Lease> = snapshot
        .instance
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

/// The step that gives an address to a link which has not got it.
fn address(
    side: Side,
    link: &InterfaceName,
    address: IpNetwork,
    subnet_route: bool,
    snapshot: &Snapshot,
) -> Result<Option<Step>> {
    let step = Step::AddAddress { side, link: link.clone(), address, subnet_route };
    let there = snapshot.has_address(side, link, address).doing(|| step.to_string())?;
    Ok((!there).then_some(step))
}

/// A first packet sent before its link is up is lost, and costs the application a second.
fn waits(task: &Task, credentials: &Credentials, lease: Lease) -> Vec<Step> {
    let mut links = vec![
        (Side::Instance, lease.link_name()),
        (Side::Instance, credentials.bridge.clone()),
        (Side::Task, credential_name()),
    ];
    if !task.stay_down {
        links.push((Side::Task, task.interface.clone()));
    }
    links.into_iter().map(|(side, link)| Step::AwaitRunning { side, link }).collect()
}

fn ipv6_option(link: &InterfaceName, option: &'static str, value: &'static str) -> Step {
    Step::SetOption { side: Side::Task, family: "ipv6", link: link.clone(), option, value }
}

fn credential_name() -> InterfaceName {
    InterfaceName::known(CREDENTIAL_INTERFACE.to_owned())
}

#[cfg(test)]
mod tests;
