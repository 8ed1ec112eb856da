//! A task's network, and the names that it knows, as its annotations describe them.

mod names;
mod values;

use crate::{
    error::{Result, refuse},
    input::{config::Eni, container::Annotations},
    net::{mac::Mac, name::InterfaceName, vlan::VlanId},
    task::{
        Gateway, Task,
        branch::Branch,
        names::{HostName, Names, Policy},
    },
};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use std::collections::HashSet;
use values::{
    Address, boolean, interface_name, ipv4_address, ipv4_gateway, ipv6_address, ipv6_gateway, mtu,
};

/// What the keys of all annotations about the ENI start with.
pub const PREFIX: &str = "com.amazonaws.ecs.eni.";

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
const SERVERS: &str = "domain-name-servers";
const SEARCH: &str = "domain-name-search-list";
/// The task's own name.
pub const HOSTNAME: &str = "hostname";
const EXTRA_HOSTS: &str = "extra-hosts";
/// Which files a container gets.
pub const FILES: &str = "dns-files";
const KEYS: [&str; 16] = [
    MAC,
    IPV4,
    IPV6,
    GATEWAY_V4,
    GATEWAY_V6,
    NAME,
    MTU,
    BLOCK_METADATA,
    STAY_DOWN,
    TRUNK,
    VLAN,
    SERVERS,
    SEARCH,
    HOSTNAME,
    EXTRA_HOSTS,
    FILES,
];

/// Reads the annotations of a task's pause container.
///
/// # Errors
/// One is missing, unknown, malformed or contradicts another.
pub fn task_of(annotations: &Annotations, eni: &Eni) -> Result<Task> {
    let reader = Reader(annotations);
    reader.refuse_unknown_keys()?;
    let v4 = reader.ipv4_addresses()?;
    let v6 = reader.ipv6_addresses()?;
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
    Ok(Task {
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
        router: eni.router_patience(),
    })
}

/// Reads what the annotations of a task's pause container say of names.
///
/// # Errors
/// One is malformed, or more than a resolver can use.
pub fn names_of(annotations: &Annotations) -> Result<Names> {
    let reader = Reader(annotations);
    Ok(Names {
        servers: reader.value(SERVERS, names::servers)?.unwrap_or_default(),
        search: reader.value(SEARCH, names::search)?.unwrap_or_default(),
        hostname: reader.value(HOSTNAME, HostName::own)?,
        extra_hosts: reader.value(EXTRA_HOSTS, names::extra_hosts)?.unwrap_or_default(),
        files: policy_of(annotations)?,
    })
}

/// Which files a container gets, if its annotations say so.
///
/// # Errors
/// The annotation is malformed.
pub fn policy_of(annotations: &Annotations) -> Result<Option<Policy>> {
    Reader(annotations).value(FILES, str::parse)
}

/// Whether the container's annotations speak of an ENI at all.
#[must_use]
pub fn is_meant(annotations: &Annotations) -> bool {
    annotations.keys().any(|key| key.starts_with(PREFIX))
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

    /// The addresses; one without a prefix has the one that came with the gateway, or else that of a VPC's
    /// subnets.
    fn ipv6_addresses(&self) -> Result<Vec<Ipv6Network>> {
        let subnet = self.value(GATEWAY_V6, ipv6_gateway)?.and_then(|(_, prefix)| prefix);
        self.list(IPV6, |text| ipv6_address(text, subnet.unwrap_or(64)))
    }

    fn ipv6_gateway(&self, addresses: &[Ipv6Network]) -> Result<Option<Gateway>> {
        let Some((gateway, prefix)) = self.value(GATEWAY_V6, ipv6_gateway)? else {
            return Ok(None);
        };
        let Some(primary) = addresses.first() else {
            return self.bad(GATEWAY_V6, "there are no IPv6 addresses to go with it");
        };
        if addresses.iter().any(|address| address.ip() == gateway) {
            return self.bad(GATEWAY_V6, "that is an address of the ENI itself");
        }
        let claimed = prefix.and_then(|prefix| Ipv6Network::new(gateway, prefix).ok());
        let agree = |address: &Ipv6Network| {
            address.contains(gateway) && claimed.is_none_or(|subnet| subnet.contains(address.ip()))
        };
        if !gateway.is_unicast_link_local() && !addresses.iter().any(agree) {
            return self.bad(
                GATEWAY_V6,
                &format!("that is neither link-local nor inside the subnet of {primary}"),
            );
        }
        Ok(Some(Gateway { address: gateway.into(), on_link: false }))
    }
}

#[cfg(test)]
mod tests;
