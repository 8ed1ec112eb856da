//! The credential path's part of a plan: the veth.

use crate::{
    error::Result,
    input::config::credentials::CredentialNetwork,
    net::{mac::Mac, name::InterfaceName, route::Route, side::Side},
    plan::step::Step,
    snapshot::{ownership::OwnPort, view::TaskSnapshot},
    task::{
        credential_name,
        label::{Label, port_mac},
        lease::Lease,
    },
};

/// The port: the instance's end of the task's veth.
pub(super) fn port(
    credentials: &CredentialNetwork,
    lease: Lease,
    label: &Label,
    own: Option<&OwnPort>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    if own.is_none() {
        steps.push(Step::CreateVeth {
            lease,
            port_mac: port_mac(&label.container),
            bridge: credentials.bridge.clone(),
            inside: credential_name(),
            mtu: credentials.mtu,
        });
    }
    if own.is_none_or(|port| port.label.as_ref() != Some(label) || !port.up) {
        let isolated = credentials.isolation;
        steps.push(Step::ConfigurePort { lease, label: label.clone(), isolated });
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

/// The waits until frames flow.
pub(super) fn waits(credentials: &CredentialNetwork, lease: Lease) -> Vec<Step> {
    let links = [
        (Side::Instance, lease.link_name()),
        (Side::Instance, credentials.bridge.clone()),
        (Side::Task, credential_name()),
    ];
    links.into_iter().map(|(side, link)| Step::AwaitRunning { side, link }).collect()
}

/// The loopback interface: with IPv6 where the task has an address of it, because the packets to that go by
/// this interface, too. Docker switches IPv6 off there, and the interface outlives a start that fails.
pub(super) fn loopback(has_ipv6: bool, task: &TaskSnapshot) -> Vec<Step> {
    let link = InterfaceName::known("lo".to_owned());
    let mut steps = Vec::from_iter(switch_on(&link, task));
    if has_ipv6 {
        let (side, family, before) = (Side::Task, "ipv6", Some("1"));
        // Its address ::1 comes by itself, in whichever order both are done (`init_loopback`, net/ipv6/addrconf.c).
        let (option, value) = ("disable_ipv6", "0");
        steps.push(Step::SetOption { side, family, link, option, value, before });
    }
    steps
}

/// The task's end of it.
pub(super) fn interface(
    credentials: &CredentialNetwork,
    lease: Lease,
    bridge_mac: Mac,
    task: &TaskSnapshot,
) -> Result<Vec<Step>> {
    let link = credential_name();
    let mut steps = Vec::new();
    if credentials.ipv6_subnet.is_some() {
        steps.push(Step::ipv6_option(&link, "disable_ipv6", "0"));
    }
    for own in credentials.addresses(lease) {
        // Without the route to the subnet: other tasks are nobody to talk to.
        let address = credentials.with_subnet(own);
        let so = task.has_address(&link, address);
        let (side, link) = (Side::Task, link.clone());
        let step = Step::AddAddress { side, link, address, subnet_route: false };
        steps.extend(step.unless(so)?);
    }
    steps.extend(switch_on(&link, task));
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
    for (endpoint, gateway) in credentials.endpoints().into_iter().zip(credentials.gateways()) {
        let (destination, link) = (endpoint.into(), link.clone());
        let route = Route::Via { destination, gateway, link, on_link: false };
        steps.push(Step::AddRoute { route });
    }
    Ok(steps)
}

/// Switching on a link of the task, if it is off.
pub(super) fn switch_on(link: &InterfaceName, task: &TaskSnapshot) -> Option<Step> {
    let is_on = task.link(link.as_str()).is_some_and(|link| link.up);
    (!is_on).then(|| Step::SetUp { side: Side::Task, link: link.clone() })
}
