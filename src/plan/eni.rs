//! The ENI's part of a plan: how it comes in, and what it is given inside.

use crate::{
    eni::restore::AtHome,
    error::{Doing, Result, refuse},
    input::request::Request,
    net::{link::Link, name::InterfaceName, route::Route, side::Side},
    plan::{branch, credentials::switch_on, step::Step},
    snapshot::{
        labels::{label_at_home, label_of, label_of_adopted, looks_own},
        ownership::{OwnPort, is_own},
        view::Snapshot,
        whereabouts::{Whereabouts, absent},
    },
    task::{
        Task,
        label::{Label, MAX_LEN},
    },
};
use ipnetwork::IpNetwork;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What must be remembered of the ENI, and the steps that bring it in, if it is not in yet.
pub(super) fn arrival(
    request: &Request,
    snapshot: &Snapshot,
    own: Option<&OwnPort>,
    whereabouts: &Whereabouts,
) -> Result<(Label, Vec<Step>)> {
    let (task, inside) = (request.task, &request.task.interface);
    match whereabouts {
        Whereabouts::Home(link) => {
            refuse_taken_name(inside, snapshot)?;
            let mut steps = leftover_rules(task, link, snapshot);
            let label = label_at_home(link, request);
            let mtu = wanted_mtu(task, link, label.mtu)?;
            steps.extend(own_offloads(link, &label));
            steps.push(Step::MoveIn {
                index: link.index,
                label: label.clone(),
                at_home: AtHome::of(link),
                inside: inside.clone(),
                mtu,
            });
            steps.extend(own_mac(link, task));
            Ok((label, steps))
        }
        Whereabouts::Trunk { branch, trunk, leftover } => {
            refuse_taken_name(inside, snapshot)?;
            branch::arrival(request, *branch, trunk, *leftover)
        }
        Whereabouts::Inside(link) => stay(request, snapshot, own, link),
        Whereabouts::Absent => refuse(absent(task, &snapshot.instance)),
    }
}

/// The ENI is in the task already: an earlier call put it there, or an OCI runtime did (`netDevices`).
fn stay(
    request: &Request,
    snapshot: &Snapshot,
    own: Option<&OwnPort>,
    link: &Link,
) -> Result<(Label, Vec<Step>)> {
    let (task, inside) = (request.task, &request.task.interface);
    if link.name != inside.as_str() || task.mtu.is_some_and(|mtu| mtu != link.mtu) {
        return refuse(format!(
            "the ENI {} is in the network namespace already, as {} with mtu {}, which is not what the \
             annotations ask for: let interface-name and mtu say so, or whoever moved it there",
            task.mac, link.name, link.mtu
        ));
    }
    let of_record = || {
        let mut records = snapshot.records.iter().filter(|record| is_own(record, request));
        records.find(|record| record.label.eni == task.mac).map(|record| record.label.clone())
    };
    let known = own.and_then(|port| port.label.clone()).or_else(of_record);
    let known = known.filter(|label| (label.eni, label.branch) == (task.mac, task.branch));
    let mut steps = Vec::new();
    if known.is_none() && task.branch.is_some() {
        return refuse(format!(
            "{} ({}) is in the network namespace already, but this hook did not put it there",
            link.name, task.mac
        ));
    }
    let label = known.unwrap_or_else(|| label_of_adopted(link, request, snapshot));
    let label =
        Label { opens_metadata: !task.block_metadata, network: request.credentials.id(), ..label };
    let label = label.within(MAX_LEN);
    steps.extend(own_mac(link, task));
    if link.alias.as_ref() != Some(&label.to_string()) {
        let before = link.alias.clone();
        steps.push(Step::SetLabel { link: inside.clone(), label: label.clone(), before });
    }
    Ok((label, steps))
}

/// What an earlier task made of the ENI is not handed on.
pub(super) fn normalisation(whereabouts: &Whereabouts, task: &Task) -> Option<Step> {
    let (link, side) = match whereabouts {
        Whereabouts::Home(link) => (link, Side::Instance),
        // One that an OCI runtime moved in is as it was; a branch is made by us.
        Whereabouts::Inside(link) if task.branch.is_none() && label_of(link).is_none() => {
            (link, Side::Task)
        }
        _ => return None,
    };
    let is_normal = link.form.oddities().is_empty() && link.alternative_names.is_empty();
    (!is_normal).then(|| Step::Normalise {
        side,
        index: link.index,
        mac: task.mac,
        form: link.form,
        alternative_names: link.alternative_names.clone(),
    })
}

fn refuse_taken_name(inside: &InterfaceName, snapshot: &Snapshot) -> Result<()> {
    snapshot.task.link(inside.as_str()).map_or(Ok(()), |stranger| {
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

/// The offloads that the ENI had, if an earlier task changed them and nobody put them back.
fn own_offloads(link: &Link, label: &Label) -> Option<Step> {
    let (index, mac) = (link.index, label.eni);
    let offloads =
        label.offloads.filter(|offloads| link.offloads.is_some_and(|own| own != *offloads));
    offloads.map(|offloads| Step::SetOffloads { index, mac, offloads })
}

/// The rules that a host daemon made for the ENI. Its addresses and routes go away with it, in
/// whatever table they are; rules would stay.
fn leftover_rules(task: &Task, link: &Link, snapshot: &Snapshot) -> Vec<Step> {
    // A name that only a task can have given it is the name of something else.
    let name = Some(link.name.as_str()).filter(|name| looks_own(name));
    let of_link = snapshot.instance.addresses.iter().filter(|(index, _)| *index == link.index);
    let addresses: Vec<IpAddr> =
        of_link.map(|(_, address)| address).chain(&task.addresses).map(IpNetwork::ip).collect();
    let own = snapshot.instance.policy_rules.iter().filter(|rule| rule.is_about(name, &addresses));
    own.map(|rule| Step::DeletePolicyRule { rule: rule.clone() }).collect()
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
        steps.push(Step::ipv6_option(link, "disable_ipv6", "0"));
        // The VPC gives each address to one ENI: nothing to detect, and nothing to wait for.
        steps.push(Step::ipv6_option(link, "accept_dad", "0"));
        steps.push(Step::ipv6_option(link, "autoconf", "0"));
    }
    if speaks_ipv6 {
        // 2: also where the task forwards packets (Documentation/networking/ip-sysctl.rst).
        let accept = if task.wants_router_advertisements() { "2" } else { "0" };
        steps.push(Step::ipv6_option(link, "accept_ra", accept));
    }
    steps.extend(addresses(task, snapshot)?);
    steps.extend(switch_on(link, &snapshot.task));
    for gateway in &task.gateways {
        let route = Route::Via {
            destination: default_destination(gateway.address),
            gateway: gateway.address,
            link: link.clone(),
            on_link: gateway.on_link,
        };
        steps.push(Step::AddRoute { route });
    }
    Ok(steps)
}

/// The ENI's addresses, so that the first of each family is the source of new connections. Of IPv4 addresses
/// it is the one that was there first. Of IPv6 addresses that are equal otherwise (RFC 6724) it is the one that came last,
/// because the kernel puts it before the others (`ipv6_link_dev_addr`, net/ipv6/addrconf.c): so the first is added
/// last, and what is there already is added again if it shall be before one that is new, or that it is behind.
fn addresses(task: &Task, snapshot: &Snapshot) -> Result<Vec<Step>> {
    let link = &task.interface;
    let add = |address| Step::AddAddress {
        side: Side::Task,
        link: link.clone(),
        address,
        subnet_route: true,
    };
    let (v4, v6): (Vec<IpNetwork>, Vec<IpNetwork>) =
        task.addresses.iter().copied().partition(IpNetwork::is_ipv4);
    let mut steps = Vec::new();
    for own in v4 {
        steps.extend(add(own).unless(snapshot.task.has_address(link, own))?);
    }
    let there = snapshot.task.addresses_of(link);
    let mut next = there.len(); // what comes now must be before this one
    for own in v6.into_iter().rev() {
        let step = add(own);
        snapshot.task.has_address(link, own).doing(|| step.to_string())?;
        let place = there.iter().position(|address| *address == own);
        match place {
            Some(place) if place < next => {
                next = place;
                continue;
            }
            Some(_) => steps.push(Step::DeleteAddress { link: link.clone(), address: own }),
            None => {}
        }
        steps.push(step);
        next = 0;
    }
    Ok(steps)
}

/// The destination of a default route.
fn default_destination(address: IpAddr) -> IpNetwork {
    let nowhere: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    IpNetwork::new(nowhere, 0).unwrap_or_else(|_| nowhere.into())
}
