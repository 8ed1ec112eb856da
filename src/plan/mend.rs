//! What a running task, and the instance for it, should still be: those steps of a start that can be made at any
//! later time. The ENI's own configuration is not among them: that is the task's. Nor are waits, which a task could make
//! endless.

use super::{
    block,
    credentials::{interface, loopback, port},
    step::Step,
};
use crate::{
    error::{Result, refuse},
    input::config::credentials::CredentialNetwork,
    net::{link::Link, name::InterfaceName, side::Side},
    snapshot::{
        ownership::{OwnPort, is_end_of},
        view::TaskSnapshot,
    },
    task::record::Record,
};
use ipnetwork::IpNetwork;
use std::{fmt::Display, net::IpAddr};

/// The steps about a task's port, whichever bridge it is on. Nothing that the task can write is asked.
///
/// # Errors
/// Something else has the port's name.
pub fn of_port(
    configured: &CredentialNetwork,
    record: &Record,
    links: &[Link],
) -> Result<Vec<Step>> {
    let Record { label, lease, bridge } = record;
    let is_configured = is_on(record, configured);
    let credentials = network_of(record, configured);
    let holder = named(links, lease.link_name().as_str());
    if let Some(other) = holder.filter(|link| !is_end_of(link, record)) {
        return refuse(format!("{} is not the task's port any more", other.name));
    }
    let mut steps = Vec::new();
    if !is_configured && named(links, bridge.as_str()).is_some_and(|link| !link.up) {
        steps.push(Step::SetUp { side: Side::Instance, link: bridge.clone() });
    }
    let own = holder.map(|_| OwnPort { lease: *lease, label: None, up: false });
    if own.is_some() {
        steps.push(Step::JoinBridge { lease: *lease, bridge: bridge.clone() });
    }
    steps.extend(port(&credentials, *lease, label, own.as_ref()));
    Ok(steps)
}

/// The steps inside a task. `eni` is what its ENI is called there, and `blocked` of families that the kernel has.
///
/// # Errors
/// The task has made something else of what is ours.
pub fn of_inside(
    configured: &CredentialNetwork,
    record: &Record,
    (eni, blocked): (Option<&InterfaceName>, &[IpNetwork]),
    links: &[Link],
    task: &TaskSnapshot,
) -> Result<Vec<Step>> {
    let Record { lease, bridge, .. } = record;
    let credentials = network_of(record, configured);
    let mut steps = block::packets(blocked, true);
    steps.extend(eni.and_then(|eni| block::frames(eni, blocked)));
    if is_on(record, configured) {
        let mac = named(links, bridge.as_str())
            .and_then(|link| link.mac)
            .unwrap_or(credentials.bridge_mac());
        let has_ipv6 = task.addresses.iter().any(|(_, address)| is_ipv6(address.ip()));
        steps.extend(loopback(has_ipv6, task));
        steps.extend(interface(&credentials, *lease, mac, task)?);
    }
    Ok(steps)
}

/// The network that a task is in, as far as it is known.
fn network_of(record: &Record, configured: &CredentialNetwork) -> CredentialNetwork {
    let mut credentials = configured.clone();
    if !is_on(record, configured) {
        credentials.bridge = record.bridge.clone();
        credentials.ipv6_subnet = None;
    }
    credentials
}

fn named<'a>(links: &'a [Link], name: &str) -> Option<&'a Link> {
    links.iter().find(|link| link.name == name)
}

/// Whether it is an address of IPv6 that a task asked for: the others, the kernel gives to every link.
fn is_ipv6(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(six) if !six.is_unicast_link_local() && !six.is_loopback())
}

/// Whether a task is in the network that is configured now.
#[must_use]
pub fn is_on(record: &Record, credentials: &CredentialNetwork) -> bool {
    record.label.network == credentials.id() && record.bridge == credentials.bridge
}

/// What these steps have done, a line each. What comes with a new bridge is not told.
#[must_use]
pub fn told(steps: &[Step]) -> Vec<String> {
    let made = steps.iter().find_map(|step| match step {
        Step::CreateBridge { bridge, .. } => Some(bridge),
        _ => None,
    });
    steps.iter().filter(|step| !is_of(step, made)).map(done).collect()
}

fn is_of(step: &Step, made: Option<&InterfaceName>) -> bool {
    match step {
        Step::AddAddress { side: Side::Instance, link, .. }
        | Step::SetOption { side: Side::Instance, link, .. } => made == Some(link),
        _ => false,
    }
}

/// What a step has done.
fn done(step: &Step) -> String {
    let in_task = |side: &Side| if *side == Side::Task { " in the task" } else { "" };
    let of =
        |side, link: &dyn Display, what: &dyn Display| format!("{link}{} {what}", in_task(side));
    match step {
        Step::InstallNftables { .. } => "nftables rules are installed".to_owned(),
        Step::CreateBridge { bridge, .. } => format!("bridge {bridge} is created"),
        Step::CreateVeth { lease, .. } => format!("veth {} is created", lease.link_name()),
        Step::JoinBridge { lease, bridge } => {
            format!("{} is a port of {bridge}", lease.link_name())
        }
        Step::ConfigurePort { lease, .. } => format!("port {} is set up", lease.link_name()),
        Step::AddFdbEntry { lease } => {
            format!("{} is bound to port {}", lease.mac(), lease.link_name())
        }
        Step::AddNeighbour { side, link, address, mac } => {
            of(side, link, &format!("has neighbour {address} at {mac}"))
        }
        Step::AddAddress { side, link, address, .. } => of(side, link, &format!("has {address}")),
        Step::SetUp { side, link } => of(side, link, &"is switched on"),
        Step::SetOption { side, link, option, value, .. } => {
            of(side, link, &format!("has {option} {value}"))
        }
        Step::AddRoute { route } => format!("route {route} is there in the task"),
        Step::BlockPackets { .. } => "rules that block packets are there in the task".to_owned(),
        Step::BlockFrames { link, .. } => of(&Side::Task, link, &"has rules that block frames"),
        other => format!("{other}: done"),
    }
}
