//! The values of single annotations: addresses, gateways, names, numbers.

use crate::{
    net::name::InterfaceName,
    task::{CREDENTIAL_INTERFACE, MIN_MTU_V6},
};
use ipnetwork::{Ipv4Network, Ipv6Network};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// The least MTU that IPv4 works with (RFC 791) and the largest that a frame can have, in bytes.
const MTUS: std::ops::RangeInclusive<u32> = 68..=65535;

/// What the duplicate check needs of an address with its prefix.
pub(super) trait Address {
    fn ip(&self) -> IpAddr;
}

impl Address for Ipv4Network {
    fn ip(&self) -> IpAddr {
        Self::ip(*self).into()
    }
}

impl Address for Ipv6Network {
    fn ip(&self) -> IpAddr {
        Self::ip(self).into()
    }
}

fn network<A: FromStr, N: FromStr>(
    text: &str,
    alone: impl FnOnce(A) -> Result<N, String>,
    what: &str,
) -> Result<N, String> {
    let parsed = if text.contains('/') {
        text.parse().ok()
    } else {
        text.parse().ok().map(alone).transpose()?
    };
    parsed.ok_or_else(|| format!("not an {what} address, with or without /prefix"))
}

pub(super) fn ipv4_address(text: &str, prefix: u8) -> Result<Ipv4Network, String> {
    let network = network(text, |ip| Ipv4Network::new(ip, prefix).map_err(text_of), "IPv4")?;
    let ip = network.ip();
    let edge = network.prefix() < 31 && [network.network(), network.broadcast()].contains(&ip);
    if network.prefix() == 0 || edge || !is_host_v4(ip) {
        return Err("not the address of a host in a subnet".to_owned());
    }
    Ok(network)
}

pub(super) fn ipv6_address(text: &str, prefix: u8) -> Result<Ipv6Network, String> {
    let network = network(text, |ip| Ipv6Network::new(ip, prefix).map_err(text_of), "IPv6")?;
    let ip = network.ip();
    if network.prefix() == 0 || !is_host_v6(ip) || ip.is_unicast_link_local() {
        return Err("not the address of a host in a subnet".to_owned());
    }
    Ok(network)
}

/// The gateway and, where it came with one, the prefix length of its subnet.
pub(super) fn ipv4_gateway(text: &str) -> Result<(Ipv4Addr, Option<u8>), String> {
    let network = ipv4_address(text, 32)?;
    Ok((network.ip(), text.contains('/').then_some(network.prefix())))
}

/// The same for IPv6. A link-local gateway, too, has the prefix length of the subnet that it is the gateway of;
/// that of all link-local addresses would be a mistake (RFC 4291, section 2.4).
pub(super) fn ipv6_gateway(text: &str) -> Result<(Ipv6Addr, Option<u8>), String> {
    let network: Ipv6Network =
        network(text, |ip| Ipv6Network::new(ip, 128).map_err(text_of), "IPv6")?;
    let (ip, prefix) = (network.ip(), network.prefix());
    if !is_host_v6(ip) {
        return Err("not the address of a router".to_owned());
    }
    if prefix == 0 || (ip.is_unicast_link_local() && prefix <= 10) {
        return Err(format!("/{prefix} is not the prefix of a subnet"));
    }
    Ok((ip, text.contains('/').then_some(prefix)))
}

/// Whether a VPC could give this address to a host: not link-local, where the credentials and the
/// metadata service are, nor reserved.
fn is_host_v4(ip: Ipv4Addr) -> bool {
    !(ip.octets()[0] == 0
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast())
}

fn is_host_v6(ip: Ipv6Addr) -> bool {
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.to_ipv4_mapped().is_some())
}

pub(super) fn interface_name(text: &str) -> Result<InterfaceName, String> {
    if text == CREDENTIAL_INTERFACE || text == "lo" {
        return Err("that name is taken in every task".to_owned());
    }
    text.parse()
}

pub(super) fn mtu(text: &str, has_v6: bool) -> Result<u32, String> {
    let least = if has_v6 { MIN_MTU_V6 } else { *MTUS.start() };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mtu = digits.then(|| text.parse().ok()).flatten();
    mtu.filter(|mtu| (least..=*MTUS.end()).contains(mtu))
        .ok_or_else(|| format!("must be a number of {least} to {}", MTUS.end()))
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

fn text_of(error: impl fmt::Display) -> String {
    error.to_string()
}
