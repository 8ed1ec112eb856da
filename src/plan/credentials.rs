//! The credential path's part of a plan: the veth, and what is out of reach.

use super::{address, credential_name, ipv6_option};
use crate::{
    config::Credentials,
    error::Result,
    lease::Lease,
    link::{InterfaceName, Mac},
    snapshot::{OwnVeth, Snapshot},
    step::{Route, Side, Step},
    tag::Tag,
};
use ipnetwork::{IpNetwork, Ipv6Network};
use std::net::IpAddr;

/// The instance's end of the task's veth.
pub(super) fn port(
    credentials: &Credentials,
    lease: Lease,
    tag: &Tag,
    own: Option<&OwnVeth>,
) -> Vec<Step> {
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
pub(super) fn interface(
    credentials: &Credentials,
    lease: Lease,
    bridge_mac: Mac,
    snapshot: &Snapshot,
) -> Result<Vec<Step>> {
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
    for own in credentials.addresses(lease) {
        // Without the route to the subnet: other tasks are nobody to talk to.
        let own = with_subnet(own, credentials);
        steps.extend(address(Side::Task, &link, own, false, snapshot)?);
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
    for (endpoint, gateway) in credentials.endpoints().into_iter().zip(credentials.gateways()) {
        let (destination, link) = (endpoint.into(), link.clone());
        let route = Route::Via { destination, gateway, link, on_link: false };
        steps.push(Step::AddRoute { route });
    }
    Ok(steps)
}

/// An address of the credential path with the prefix of its subnet.
pub(super) fn with_subnet(address: IpAddr, credentials: &Credentials) -> IpNetwork {
    let prefix = match address {
        IpAddr::V4(_) => credentials.subnet.prefix(),
        IpAddr::V6(_) => credentials.ipv6_subnet.map_or(128, |subnet: Ipv6Network| subnet.prefix()),
    };
    IpNetwork::new(address, prefix).unwrap_or_else(|_| address.into())
}
