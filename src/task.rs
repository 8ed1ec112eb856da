//! A task's network as its annotations describe it.

use crate::{
    branch::{Branch, VlanId},
    config::{self, METADATA_V4, METADATA_V6},
    error::{Result, refuse},
    link::{InterfaceName, Mac},
    oci::Annotations,
};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use std::{
    collections::HashSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// What the keys of all annotations about the ENI start with.
pub const PREFIX: &str = "com.amazonaws.ecs.eni.";

/// What the interface to the credentials is called inside every task.
pub const CREDENTIAL_INTERFACE: &str = "ecs-eth0";

const MAC: &str = "mac-address";
const IPV4: &str = "ipv4-addresses";
const IPV6: &str = "ipv6-addresses";
const GATEWAY_V4: &str = "subnet-gateway-ipv4-address";
const GATEWAY_V6: &str = "subnet-gateway-ipv6-address";
const NAME: &str = "interface-name";
const MTU: &str = "mtu";
const BLOCK_METADATA: &str = "block-instance-metadata";
const STAY_DOWN: &str = "stay-down";
const TRUNK: &str = "trunk-mac-address";
const VLAN: &str = "vlan-id";
const KEYS: [&str; 11] =
    [MAC, IPV4, IPV6, GATEWAY_V4, GATEWAY_V6, NAME, MTU, BLOCK_METADATA, STAY_DOWN, TRUNK, VLAN];

/// Where the instance metadata service is.
pub(crate) const METADATA: [IpAddr; 2] = [IpAddr::V4(METADATA_V4), IpAddr::V6(METADATA_V6)];

/// The least MTU that IPv4 works with (RFC 791) and the largest that a frame can have, in bytes.
const MTUS: std::ops::RangeInclusive<u32> = 68..=65535;

/// The least MTU that IPv6 works with, in bytes (RFC 8200, section 5).
pub(crate) const MIN_MTU_V6: u32 = 1280;

/// The network that one task wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Which ENI.
    pub mac: Mac,
    /// Where it is, if it is a branch.
    pub branch: Option<Branch>,
    /// Its addresses with the prefixes of their subnets; the first of a family is primary.
    pub addresses: Vec<IpNetwork>,
    /// Where its default routes lead.
    pub gateways: Vec<Gateway>,
    /// What it is called inside.
    pub interface: InterfaceName,
    /// Its MTU inside in bytes, where not the device's own.
    pub mtu: Option<u32>,
    /// Whether the instance metadata service is out of reach.
    pub block_metadata: bool,
    /// What else is.
    pub block: Vec<IpNetwork>,
    /// Whether it is moved in and left down and unconfigured.
    pub stay_down: bool,
}

/// Where one family's default route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The gateway's address.
    pub address: IpAddr,
    /// Whether no prefix tells the kernel that the gateway is on the link, so that we must.
    pub on_link: bool,
}

impl Task {
    /// Reads the annotations of a task's pause container.
    ///
    /// # Errors
    /// One is missing, unknown, malformed or contradicts another.
    pub fn from_annotations(annotations: &Annotations, eni: &config::Eni) -> Result<Self> {
        let reader = Reader(annotations);
        reader.refuse_unknown_keys()?;
        let v4 = reader.ipv4_addresses()?;
        let v6 = reader.list(IPV6, ipv6_address)?;
        let Some(mac) = reader.value(MAC, str::parse)? else {
            return refuse(format!(
                "annotation {PREFIX}{MAC} is missing: it says which ENI the task gets"
            ));
        };
        let gateways = [reader.ipv4_gateway(&v4)?, reader.ipv6_gateway(&v6)?];
        let addresses: Vec<IpNetwork> =
            v4.into_iter().map(IpNetwork::V4).chain(v6.into_iter().map(IpNetwork::V6)).collect();
        if addresses.is_empty() {
            return refuse(format!(
                "annotations {PREFIX}{IPV4} and {PREFIX}{IPV6} are missing: the task needs an address"
            ));
        }
        let has_v6 = addresses.iter().any(IpNetwork::is_ipv6);
        Ok(Self {
            mac,
            branch: reader.branch(mac)?,
            addresses,
            gateways: gateways.into_iter().flatten().collect(),
            interface: reader
                .value(NAME, interface_name)?
                .unwrap_or_else(|| InterfaceName::known("eth0".to_owned())),
            mtu: reader.value(MTU, |text| mtu(text, has_v6))?,
            block_metadata: reader
                .value(BLOCK_METADATA, boolean)?
                .unwrap_or(eni.block_instance_metadata),
            block: eni.block.clone(),
            stay_down: reader.value(STAY_DOWN, boolean)?.unwrap_or(false),
        })
    }

    /// All that is out of reach.
    #[must_use]
    pub fn blocked(&self) -> Vec<IpNetwork> {
        let metadata = METADATA.map(IpNetwork::from);
        let metadata = if self.block_metadata { &metadata[..] } else { &[] };
        [metadata, &self.block].concat()
    }

    /// Which ENI the annotations speak of, whatever else they say.
    #[must_use]
    pub fn mac_of(annotations: &Annotations) -> Option<Mac> {
        annotations.get(&format!("{PREFIX}{MAC}"))?.parse().ok()
    }

    /// Whether the container's annotations speak of an ENI at all.
    #[must_use]
    pub fn is_meant(annotations: &Annotations) -> bool {
        annotations.keys().any(|key| key.starts_with(PREFIX))
    }

    /// Whether any address is an IPv6 one.
    #[must_use]
    pub fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(IpNetwork::is_ipv6)
    }

    /// Whether IPv6 routers announce themselves: there are addresses, but no gateway.
    #[must_use]
    pub fn wants_router_advertisements(&self) -> bool {
        self.has_ipv6() && !self.gateways.iter().any(|gateway| gateway.address.is_ipv6())
    }
}

/// Reads values and, where one is bad, says which annotation it was and what it held.
struct Reader<'a>(&'a Annotations);

impl Reader<'_> {
    fn refuse_unknown_keys(&self) -> Result<()> {
        let mut unknown: Vec<&String> = self
            .0
            .keys()
            .filter(|key| key.strip_prefix(PREFIX).is_some_and(|key| !KEYS.contains(&key)))
            .collect();
        unknown.sort();
        match unknown.first() {
            Some(key) => refuse(format!(
                "annotation {} is not known: known are {PREFIX}{{{}}}",
                key.escape_debug(),
                KEYS.join(",")
            )),
            None => Ok(()),
        }
    }

    fn value<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>> {
        let Some(text) = self.0.get(&format!("{PREFIX}{key}")) else {
            return Ok(None);
        };
        match parse(text) {
            Ok(value) => Ok(Some(value)),
            Err(why) => self.bad(key, &why),
        }
    }

    /// A comma-separated list without duplicates; empty where there is no annotation.
    fn list<T: Address>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>> {
        let list = self.value(key, |text| {
            let mut seen = HashSet::new();
            text.split(',')
                .map(|item| {
                    let address = parse(item.trim()).map_err(|why| format!("{item:?}: {why}"))?;
                    let new = seen.insert(address.ip());
                    if new { Ok(address) } else { Err(format!("{item:?} is there twice")) }
                })
                .collect()
        })?;
        Ok(list.unwrap_or_default())
    }

    fn bad<T>(&self, key: &str, why: &str) -> Result<T> {
        let value: String = self.0[&format!("{PREFIX}{key}")].chars().take(256).collect();
        refuse(format!("annotation {PREFIX}{key} is {value:?}: {why}"))
    }

    fn branch(&self, mac: Mac) -> Result<Option<Branch>> {
        let trunk = self.value(TRUNK, |text| match text.parse() {
            Ok(trunk) if trunk == mac => Err("that is the task's own ENI".to_owned()),
            parsed => parsed,
        })?;
        match (trunk, self.value(VLAN, str::parse::<VlanId>)?) {
            (Some(trunk), Some(vlan)) => Ok(Some(Branch { trunk, vlan })),
            (None, None) => Ok(None),
            (Some(_), None) => self.bad(TRUNK, &format!("it needs {PREFIX}{VLAN} to go with it")),
            (None, Some(_)) => self.bad(VLAN, &format!("it needs {PREFIX}{TRUNK} to go with it")),
        }
    }

    /// The addresses; one without a prefix has the one that came with the gateway, or stands alone.
    fn ipv4_addresses(&self) -> Result<Vec<Ipv4Network>> {
        let subnet = self.value(GATEWAY_V4, ipv4_gateway)?.and_then(|(_, prefix)| prefix);
        self.list(IPV4, |text| ipv4_address(text, subnet.unwrap_or(32)))
    }

    fn ipv4_gateway(&self, addresses: &[Ipv4Network]) -> Result<Option<Gateway>> {
        let Some((gateway, prefix)) = self.value(GATEWAY_V4, ipv4_gateway)? else {
            return Ok(None);
        };
        let Some(primary) = addresses.first() else {
            return self.bad(GATEWAY_V4, "there are no IPv4 addresses to go with it");
        };
        if addresses.iter().any(|address| address.ip() == gateway) {
            return self.bad(GATEWAY_V4, "that is an address of the ENI itself");
        }
        let on_link = prefix.is_none() && primary.prefix() == 32;
        let claimed = Ipv4Network::new(gateway, prefix.unwrap_or(primary.prefix()));
        let agree = primary.contains(gateway)
            && claimed.is_ok_and(|subnet| subnet.contains(Ipv4Network::ip(*primary)));
        // The kernel would say so only after the move (fib_check_nh).
        if primary.prefix() < 31 && gateway == primary.broadcast() {
            return self.bad(GATEWAY_V4, &format!("that is the broadcast address of {primary}"));
        }
        if !on_link && !agree {
            return self.bad(GATEWAY_V4, &format!("that is outside the subnet of {primary}"));
        }
        Ok(Some(Gateway { address: gateway.into(), on_link }))
    }

    fn ipv6_gateway(&self, addresses: &[Ipv6Network]) -> Result<Option<Gateway>> {
        let Some(gateway) = self.value(GATEWAY_V6, ipv6_gateway)? else {
            return Ok(None);
        };
        let Some(primary) = addresses.first() else {
            return self.bad(GATEWAY_V6, "there are no IPv6 addresses to go with it");
        };
        if addresses.iter().any(|address| address.ip() == gateway) {
            return self.bad(GATEWAY_V6, "that is an address of the ENI itself");
        }
        let link_local = gateway.is_unicast_link_local();
        if !link_local && !addresses.iter().any(|address| address.contains(gateway)) {
            return self.bad(
                GATEWAY_V6,
                &format!("that is neither link-local nor inside the subnet of {primary}"),
            );
        }
        Ok(Some(Gateway { address: gateway.into(), on_link: false }))
    }
}

/// What the duplicate check needs of an address with its prefix.
trait Address {
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

fn ipv4_address(text: &str, prefix: u8) -> Result<Ipv4Network, String> {
    let network = network(text, |ip| Ipv4Network::new(ip, prefix).map_err(text_of), "IPv4")?;
    let ip = network.ip();
    let edge = network.prefix() < 31 && [network.network(), network.broadcast()].contains(&ip);
    if network.prefix() == 0 || edge || !is_host_v4(ip) {
        return Err("not the address of a host in a subnet".to_owned());
    }
    Ok(network)
}

fn ipv6_address(text: &str) -> Result<Ipv6Network, String> {
    let network = network(text, |ip| Ipv6Network::new(ip, 64).map_err(text_of), "IPv6")?;
    let ip = network.ip();
    if network.prefix() == 0 || !is_host_v6(ip) || ip.is_unicast_link_local() {
        return Err("not the address of a host in a subnet".to_owned());
    }
    Ok(network)
}

/// The gateway and, where it came with one, the prefix length of its subnet.
fn ipv4_gateway(text: &str) -> Result<(Ipv4Addr, Option<u8>), String> {
    let network = ipv4_address(text, 32)?;
    Ok((network.ip(), text.contains('/').then_some(network.prefix())))
}

fn ipv6_gateway(text: &str) -> Result<Ipv6Addr, String> {
    let network: Ipv6Network =
        network(text, |ip| Ipv6Network::new(ip, 128).map_err(text_of), "IPv6")?;
    if is_host_v6(network.ip()) {
        Ok(network.ip())
    } else {
        Err("not the address of a router".to_owned())
    }
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

fn interface_name(text: &str) -> Result<InterfaceName, String> {
    if text == CREDENTIAL_INTERFACE || text == "lo" {
        return Err("that name is taken in every task".to_owned());
    }
    text.parse()
}

fn mtu(text: &str, has_v6: bool) -> Result<u32, String> {
    let least = if has_v6 { MIN_MTU_V6 } else { *MTUS.start() };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mtu = digits.then(|| text.parse().ok()).flatten();
    mtu.filter(|mtu| (least..=*MTUS.end()).contains(mtu))
        .ok_or_else(|| format!("must be a number of {least} to {}", MTUS.end()))
}

fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

fn text_of(error: impl fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests;
