//! From what the task wants and what the kernel shows to the list of steps. Pure: nothing here asks
//! the kernel anything, so every decision can be tested without privileges.
//!
//! The order is the design:
//!
//! 1. The bridge, then the veth: taking the lease is the step that can lose a race, so it comes
//!    before anything that would have to be undone. From here on the instance shows whose the ENI
//!    is, so whatever happens later can be healed from there.
//! 2. The credential path, and the metadata service out of reach, before the ENI can carry a frame.
//! 3. The ENI: moved and configured.
//! 4. The waits, all at the end: the links came up while we did the rest.

use crate::{
    config::Credentials,
    error::{Error, Result, refuse},
    lease::Lease,
    link::{InterfaceName, Link, Mac},
    snapshot::{OwnVeth, Snapshot, Whereabouts},
    step::{Route, Side, Step},
    tag::Tag,
    task::{CREDENTIAL_INTERFACE, Task},
};
use ipnetwork::{IpNetwork, Ipv6Network};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The instance metadata service.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

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
    let Request { task, container, netns, credentials } = *request;
    if task.has_ipv6() && !snapshot.has_ipv6 {
        return refuse("the task has IPv6 addresses, but this kernel has no IPv6");
    }
    check_overlap(task, credentials)?;
    let own = snapshot.own_veth(container, netns)?;
    if let Some(tag) = own.as_ref().and_then(|veth| veth.tag.as_ref())
        && tag.eni != task.mac
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
    let whereabouts = snapshot.locate(task.mac, netns)?;
    let (tag, arrival) = eni_arrival(request, snapshot, own.as_ref(), &whereabouts)?;
    let (bridge_mac, bridge) = bridge(credentials, snapshot)?;

    let mut steps = bridge;
    steps.extend(port(credentials, lease, &tag, own.as_ref()));
    steps.extend(credential_interface(credentials, lease, bridge_mac, snapshot));
    if task.block_metadata {
        steps.extend(blackholes(snapshot.has_ipv6));
    }
    steps.extend(arrival);
    if !task.stay_down {
        steps.extend(eni_configuration(task, snapshot));
    }
    steps.extend(waits(task, credentials, lease));
    Ok(Plan { lease, tag, steps })
}

fn check_overlap(task: &Task, credentials: &Credentials) -> Result<()> {
    let subnet = credentials.subnet;
    let overlap = task
        .addresses
        .iter()
        .find(|address| matches!(address, IpNetwork::V4(four) if four.overlaps(subnet)));
    overlap.map_or(Ok(()), |address| {
        refuse(format!("the ENI's subnet {address} overlaps the credential subnet {subnet}"))
    })
}

fn free_lease(request: &Request, snapshot: &Snapshot) -> Result<Lease> {
    let Credentials { subnet, gateway, .. } = *request.credentials;
    let held: BTreeSet<Lease> = snapshot
        .instance
        .iter()
        .filter_map(|link| Lease::of_link(&link.name))
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

/// What must be remembered of the ENI, and the steps that bring it in, if it is not in yet.
fn eni_arrival(
    request: &Request,
    snapshot: &Snapshot,
    own: Option<&OwnVeth>,
    whereabouts: &Whereabouts,
) -> Result<(Tag, Vec<Step>)> {
    let Request { task, container, netns, .. } = *request;
    let (mac, inside) = (task.mac, &task.interface);
    match whereabouts {
        Whereabouts::Home(link) => {
            if let Some(stranger) = snapshot.in_task(inside.as_str()) {
                return refuse(format!(
                    "the network namespace already has an interface called {inside} ({}): choose \
                     another interface-name, or start the container without a network of its own",
                    stranger.mac.map_or("no MAC address".to_owned(), |mac| mac.to_string())
                ));
            }
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
            Ok((tag, steps))
        }
        Whereabouts::Inside(link) => {
            let remembered = own
                .and_then(|veth| veth.tag.clone())
                .or_else(|| Tag::parse(link.alias.as_deref()?).filter(|tag| tag.netns == netns));
            let Some(tag) = remembered.filter(|tag| tag.eni == mac) else {
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
            Ok((tag, Vec::new()))
        }
        Whereabouts::Held(veth, tag) => refuse(held(mac, &veth.name, tag)),
        Whereabouts::Absent => refuse(absent(mac, snapshot)),
    }
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
pub fn absent(mac: Mac, snapshot: &Snapshot) -> String {
    format!(
        "no ENI {mac} on the instance: present are {}; is it attached to this instance?",
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
    let earlier = earlier.filter(|tag| tag.eni == mac && link.accepts_mtu(tag.mtu));
    let (name, mtu) = match earlier {
        Some(tag) => (tag.name, tag.mtu),
        None => (own_name(link), link.mtu),
    };
    Tag { container: container.to_owned(), eni: mac, name, mtu, netns }
}

/// What an ENI is called: its name, unless an earlier task left it one that cannot be noted.
fn own_name(link: &Link) -> InterfaceName {
    let name = link.name.parse().ok();
    name.filter(|_| Lease::of_link(&link.name).is_none())
        .unwrap_or_else(|| InterfaceName::known("eni0".to_owned()))
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

/// The bridge's MAC address, and the steps that make it what it must be.
fn bridge(credentials: &Credentials, snapshot: &Snapshot) -> Result<(Mac, Vec<Step>)> {
    let name = &credentials.bridge;
    let own = credentials.bridge_mac();
    let mut steps = Vec::new();
    let mac = match snapshot.on_instance(name.as_str()) {
        None => {
            steps.push(Step::CreateBridge { bridge: name.clone(), mac: own, mtu: credentials.mtu });
            own
        }
        Some(link) if link.kind.as_deref() != Some("bridge") => {
            return refuse(format!(
                "{name} on the instance is not a bridge but {}: rename it, or set credentials.bridge",
                link.kind.as_deref().unwrap_or("a network device")
            ));
        }
        Some(link) => {
            let mac = link.mac.unwrap_or(own);
            if mac != own {
                steps.push(Step::PinBridgeMac { bridge: name.clone(), mac });
            }
            if !link.up {
                steps.push(Step::SetUp { side: Side::Instance, link: name.clone() });
            }
            mac
        }
    };
    for gateway in credentials.gateways() {
        steps.push(Step::AddAddress {
            side: Side::Instance,
            link: name.clone(),
            address: with_subnet(gateway, credentials),
            subnet_route: true,
        });
    }
    Ok((mac, steps))
}

/// The instance's end of the task's veth.
fn port(credentials: &Credentials, lease: Lease, tag: &Tag, own: Option<&OwnVeth>) -> Vec<Step> {
    let mut steps = Vec::new();
    if own.is_none() {
        steps.push(Step::CreateVeth {
            lease,
            bridge: credentials.bridge.clone(),
            inside: credential_name(),
            mtu: credentials.mtu,
        });
    }
    if own.is_none_or(|veth| veth.tag.as_ref() != Some(tag) || !veth.up) {
        let isolated = credentials.isolation;
        steps.push(Step::ConfigurePort { lease, tag: tag.clone(), isolated });
    }
    if credentials.isolation {
        steps.push(Step::AddFdbEntry { lease });
    }
    for address in credentials.addresses(lease) {
        steps.push(Step::AddNeighbour {
            side: Side::Instance,
            link: credentials.bridge.clone(),
            address,
            mac: lease.mac(),
        });
    }
    steps
}

/// The task's end of it, and the loopback interface.
fn credential_interface(
    credentials: &Credentials,
    lease: Lease,
    bridge_mac: Mac,
    snapshot: &Snapshot,
) -> Vec<Step> {
    let link = credential_name();
    let mut steps = Vec::new();
    let switch_on = |name: InterfaceName, steps: &mut Vec<Step>| {
        if !snapshot.in_task(name.as_str()).is_some_and(|link| link.up) {
            steps.push(Step::SetUp { side: Side::Task, link: name });
        }
    };
    switch_on(InterfaceName::known("lo".to_owned()), &mut steps);
    if credentials.ipv6_subnet.is_some() {
        steps.push(ipv6_option(&link, "disable_ipv6", "0"));
    }
    for address in credentials.addresses(lease) {
        // Without the route to the subnet: other tasks are nobody to talk to.
        steps.push(Step::AddAddress {
            side: Side::Task,
            link: link.clone(),
            address: with_subnet(address, credentials),
            subnet_route: false,
        });
    }
    switch_on(link.clone(), &mut steps);
    for gateway in credentials.gateways() {
        let route = Route::Link { destination: gateway.into(), link: link.clone() };
        steps.push(Step::AddRoute { route });
        steps.push(Step::AddNeighbour {
            side: Side::Task,
            link: link.clone(),
            address: gateway,
            mac: bridge_mac,
        });
    }
    steps.push(Step::AddRoute {
        route: Route::Via {
            destination: IpAddr::V4(credentials.endpoint).into(),
            gateway: credentials.gateway.into(),
            link,
            on_link: false,
        },
    });
    steps
}

fn blackholes(has_ipv6: bool) -> Vec<Step> {
    let v6 = has_ipv6.then_some(IpAddr::V6(METADATA_V6));
    [Some(IpAddr::V4(METADATA_V4)), v6]
        .into_iter()
        .flatten()
        .map(|address| Step::AddRoute { route: Route::Blackhole { destination: address.into() } })
        .collect()
}

/// Addresses and routes of the ENI inside.
fn eni_configuration(task: &Task, snapshot: &Snapshot) -> Vec<Step> {
    let link = &task.interface;
    let mut steps = Vec::new();
    if task.has_ipv6() {
        // Docker and others switch IPv6 off in new namespaces; these addresses were asked for.
        steps.push(ipv6_option(link, "disable_ipv6", "0"));
        // The VPC gives each address to one ENI: nothing to detect, and nothing to wait for.
        steps.push(ipv6_option(link, "accept_dad", "0"));
        steps.push(ipv6_option(link, "autoconf", "0"));
    }
    if snapshot.has_ipv6 {
        // 2: also where the task forwards packets (Documentation/networking/ip-sysctl.rst).
        let accept = if task.wants_router_advertisements() { "2" } else { "0" };
        steps.push(ipv6_option(link, "accept_ra", accept));
    }
    for &address in &task.addresses {
        let link = link.clone();
        steps.push(Step::AddAddress { side: Side::Task, link, address, subnet_route: true });
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
    steps
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
    Step::SetIpv6Option { link: link.clone(), option, value }
}

fn credential_name() -> InterfaceName {
    InterfaceName::known(CREDENTIAL_INTERFACE.to_owned())
}

/// An address of the credential path with the prefix of its subnet.
fn with_subnet(address: IpAddr, credentials: &Credentials) -> IpNetwork {
    let prefix = match address {
        IpAddr::V4(_) => credentials.subnet.prefix(),
        IpAddr::V6(_) => credentials.ipv6_subnet.map_or(128, |subnet: Ipv6Network| subnet.prefix()),
    };
    IpNetwork::new(address, prefix).unwrap_or_else(|_| address.into())
}

/// The destination of a default route.
fn everything_like(address: IpAddr) -> IpNetwork {
    let nowhere: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    IpNetwork::new(nowhere, 0).unwrap_or_else(|_| nowhere.into())
}

#[cfg(test)]
mod tests;
