//! The ENI's part of a plan: how it comes in, and what it is given inside.

use super::{Request, address, branch, ipv6_option};
use crate::{
    error::{Result, refuse},
    link::{InterfaceName, Link, Mac},
    snapshot::{OwnVeth, Snapshot, Whereabouts},
    step::{Route, Side, Step},
    tag::Tag,
    task::Task,
};
use ipnetwork::IpNetwork;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What must be remembered of the ENI, and the steps that bring it in, if it is not in yet.
pub(super) fn arrival(
    request: &Request,
    snapshot: &Snapshot,
    own: Option<&OwnVeth>,
    whereabouts: &Whereabouts,
) -> Result<(Tag, Vec<Step>)> {
    let Request { task, container, netns, .. } = *request;
    let (mac, inside) = (task.mac, &task.interface);
    match whereabouts {
        Whereabouts::Home(link) => {
            refuse_taken_name(inside, snapshot)?;
            let mut steps = leftover_rules(task, link, snapshot);
            let tag = home_of(link, container, netns, mac);
            let mtu = wanted_mtu(task, link, tag.mtu)?;
            let (index, was_up) = (link.index, link.up);
            steps.push(Step::MoveIn {
                index,
                home: tag.clone(),
                was_up,
                inside: inside.clone(),
                mtu,
            });
            steps.extend(own_mac(link, task));
            Ok((tag, steps))
        }
        Whereabouts::Trunk { branch, trunk, leftover } => {
            refuse_taken_name(inside, snapshot)?;
            branch::arrival(request, *branch, trunk, *leftover)
        }
        Whereabouts::Inside(link) => {
            let remembered = own
                .and_then(|veth| veth.tag.clone())
                .or_else(|| Tag::parse(link.alias.as_deref()?).filter(|tag| tag.netns == netns));
            let Some(tag) = remembered.filter(|tag| (tag.eni, tag.branch) == (mac, task.branch))
            else {
                return refuse(format!(
                    "{} ({mac}) is in the network namespace already, but this hook did not put it there",
                    link.name
                ));
            };
            if link.name != inside.as_str() || task.mtu.is_some_and(|mtu| mtu != link.mtu) {
                return refuse(format!(
                    "the ENI {mac} is in the network namespace already, as {} with mtu {}, which \
                     is not what the annotations ask for",
                    link.name, link.mtu
                ));
            }
            let mut steps: Vec<Step> = own_mac(link, task).into_iter().collect();
            if link.alias.as_ref() != Some(&tag.to_string()) {
                steps.push(Step::Label { link: inside.clone(), tag: tag.clone() });
            }
            Ok((tag, steps))
        }
        Whereabouts::Held(veth, tag) => refuse(held(mac, &veth.name, tag)),
        Whereabouts::Absent => refuse(absent(task, snapshot)),
    }
}

fn refuse_taken_name(inside: &InterfaceName, snapshot: &Snapshot) -> Result<()> {
    snapshot.in_task(inside.as_str()).map_or(Ok(()), |stranger| {
        refuse(format!(
            "the network namespace already has an interface called {inside} ({}): choose another \
             interface-name, or start the container without a network of its own",
            stranger.mac.map_or("no MAC address".to_owned(), |mac| mac.to_string())
        ))
    })
}

/// An ENI that is known by its permanent address gets it back if an earlier task changed it.
fn own_mac(link: &Link, task: &Task) -> Option<Step> {
    let (inside, mac) = (task.interface.clone(), task.mac);
    (link.mac != Some(mac)).then_some(Step::SetMac { side: Side::Task, link: inside, mac })
}

/// The message about an ENI that another task holds.
#[must_use]
pub fn held(mac: Mac, veth: &str, tag: &Tag) -> String {
    format!(
        "the ENI {mac} is in use by the task of container {} (its veth is {veth}): stop that one first",
        tag.container
    )
}

/// The message about an ENI that is not there.
#[must_use]
pub fn absent(task: &Task, snapshot: &Snapshot) -> String {
    let (what, mac) = match task.branch {
        Some(branch) => ("trunk ENI", branch.trunk),
        None => ("ENI", task.mac),
    };
    format!(
        "no {what} {mac} on the instance: present are {}; is it attached to this instance?",
        snapshot.macs()
    )
}

/// The rules that a host daemon made for the ENI. Its addresses and routes go away with it, in
/// whatever table they are; rules would stay.
fn leftover_rules(task: &Task, link: &Link, snapshot: &Snapshot) -> Vec<Step> {
    let of_link = snapshot.addresses.iter().filter(|(index, _)| *index == link.index);
    let addresses: Vec<IpAddr> =
        of_link.map(|(_, address)| address).chain(&task.addresses).map(IpNetwork::ip).collect();
    let own = snapshot.rules.iter().filter(|rule| rule.is_about(&link.name, &addresses));
    own.map(|rule| Step::DeleteRule { rule: rule.clone() }).collect()
}

/// What the ENI is called at home: what it says itself if it came home without us, else what it is
/// called now.
fn home_of(link: &Link, container: &str, netns: u64, mac: Mac) -> Tag {
    let earlier = link.alias.as_deref().and_then(Tag::parse);
    let earlier =
        earlier.filter(|tag| tag.eni == mac && tag.describes(link) && link.accepts_mtu(tag.mtu));
    match earlier {
        Some(tag) => Tag { container: container.to_owned(), netns, ..tag },
        None => Tag::of_unlabelled(link, mac, container, netns),
    }
}

/// The MTU to set in the move, if it is not what the link has.
fn wanted_mtu(task: &Task, link: &Link, home: u32) -> Result<Option<u32>> {
    let wanted = task.mtu.unwrap_or(home);
    if link.accepts_mtu(wanted) {
        return Ok((wanted != link.mtu).then_some(wanted));
    }
    let (least, largest) = link.mtu_range;
    refuse(format!(
        "mtu {wanted} is not possible on {} ({}): its driver allows {least} to {largest}",
        link.name, task.mac
    ))
}

/// Addresses and routes of the ENI inside.
pub(super) fn configuration(
    task: &Task,
    snapshot: &Snapshot,
    speaks_ipv6: bool,
) -> Result<Vec<Step>> {
    let link = &task.interface;
    let mut steps = Vec::new();
    if task.has_ipv6() {
        // Docker and others switch IPv6 off in new namespaces; these addresses were asked for.
        steps.push(ipv6_option(link, "disable_ipv6", "0"));
        // The VPC gives each address to one ENI: nothing to detect, and nothing to wait for.
        steps.push(ipv6_option(link, "accept_dad", "0"));
        steps.push(ipv6_option(link, "autoconf", "0"));
    }
    if speaks_ipv6 {
        // 2: also where the task forwards packets (Documentation/networking/ip-sysctl.rst).
        let accept = if task.wants_router_advertisements() { "2" } else { "0" };
        steps.push(ipv6_option(link, "accept_ra", accept));
    }
    for &own in &task.addresses {
        steps.extend(address(Side::Task, link, own, true, snapshot)?);
    }
    if !snapshot.in_task(link.as_str()).is_some_and(|link| link.up) {
        steps.push(Step::SetUp { side: Side::Task, link: link.clone() });
    }
    for gateway in &task.gateways {
        let route = Route::Via {
            destination: everything_like(gateway.address),
            gateway: gateway.address,
            link: link.clone(),
            on_link: gateway.on_link,
        };
        steps.push(Step::AddRoute { route });
    }
    Ok(steps)
}

/// The destination of a default route.
fn everything_like(address: IpAddr) -> IpNetwork {
    let nowhere: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    IpNetwork::new(nowhere, 0).unwrap_or_else(|_| nowhere.into())
}
