//! `[credentials]`: the network that leads to the credentials endpoint.

use crate::{
    error::{Result, refuse},
    net::{mac::Mac, name::InterfaceName},
    task::{METADATA_V4, METADATA_V6, lease::Lease, network::NetworkId},
};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `[credentials]`: the bridge that leads to the credentials endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CredentialNetwork {
    /// The bridge on the instance.
    pub bridge: InterfaceName,
    /// The subnet on the bridge: one address a task.
    pub subnet: Ipv4Network,
    /// The bridge's own address.
    pub gateway: Ipv4Addr,
    /// Where the credentials are served.
    pub endpoint: Ipv4Addr,
    /// An IPv6 subnet on the bridge, where wanted.
    pub ipv6_subnet: Option<Ipv6Network>,
    /// Where the credentials are served over IPv6, where there is such a subnet.
    pub ipv6_endpoint: Ipv6Addr,
    /// The MTU of the bridge and of the veths on it, in bytes.
    pub mtu: u32,
    /// Whether tasks are kept apart on the bridge.
    pub isolation: bool,
}

impl Default for CredentialNetwork {
    /// The addresses and names that the ECS agent and its CNI plugins use; the IPv6 endpoint is among
    /// AWS's own addresses on an instance, beside that of the metadata service.
    fn default() -> Self {
        let gateway = Ipv4Addr::new(169, 254, 172, 1);
        Self {
            bridge: InterfaceName::known("ecs-bridge".to_owned()),
            subnet: Ipv4Network::new_checked(Ipv4Addr::new(169, 254, 172, 0), 22)
                .unwrap_or(Ipv4Network::from(gateway)),
            gateway,
            endpoint: Ipv4Addr::new(169, 254, 170, 2),
            ipv6_subnet: None,
            ipv6_endpoint: Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0x170, 2),
            mtu: 1500,
            isolation: true,
        }
    }
}

impl CredentialNetwork {
    /// The bridge's MAC address: the one of its own address, as every task's is of its own. Fixed,
    /// because a bridge that is left to choose takes the lowest of its ports' and changes it with
    /// them, and then every task's neighbour entry for the gateway is wrong.
    #[must_use]
    pub fn bridge_mac(&self) -> Mac {
        Mac::of_address(self.gateway)
    }

    /// The IPv6 address that goes with an IPv4 address of the subnet: as far into its subnet as
    /// that is into its own.
    #[must_use]
    pub fn ipv6_of(&self, address: Ipv4Addr) -> Option<Ipv6Addr> {
        let offset = u32::from(address).checked_sub(self.subnet.network().into())?;
        let base = u128::from(self.ipv6_subnet?.network());
        Some((base + u128::from(offset)).into())
    }

    /// Which network this is, if not the usual one: a task of another one would lose its credentials, or reach
    /// what it must not, where the instance's bridge and rules became this one's.
    #[must_use]
    pub fn id(&self) -> Option<NetworkId> {
        let id = |of: &Self| {
            let Self { bridge, subnet, gateway, endpoint, ipv6_subnet, ipv6_endpoint, .. } = of;
            let v6 = ipv6_subnet.map(|subnet| format!("{subnet} {ipv6_endpoint}"));
            NetworkId::of(&format!("{bridge} {subnet} {gateway} {endpoint} {v6:?}"))
        };
        Some(id(self)).filter(|own| *own != id(&Self::default()))
    }

    /// The bridge's own addresses.
    #[must_use]
    pub fn gateways(&self) -> Vec<IpAddr> {
        let v6 = self.ipv6_of(self.gateway).map(IpAddr::V6);
        [Some(IpAddr::V4(self.gateway)), v6].into_iter().flatten().collect()
    }

    /// Where the credentials are served, for those families that there is a subnet of.
    #[must_use]
    pub fn endpoints(&self) -> Vec<IpAddr> {
        let v6 = self.ipv6_subnet.map(|_| IpAddr::V6(self.ipv6_endpoint));
        [Some(IpAddr::V4(self.endpoint)), v6].into_iter().flatten().collect()
    }

    /// The addresses that a lease stands for.
    #[must_use]
    pub fn addresses(&self, lease: Lease) -> Vec<IpAddr> {
        let v6 = self.ipv6_of(lease.address()).map(IpAddr::V6);
        [Some(IpAddr::V4(lease.address())), v6].into_iter().flatten().collect()
    }

    /// The lease that stands for an address of one of the subnets.
    #[must_use]
    pub fn lease_of(&self, address: IpAddr) -> Option<Lease> {
        let subnet = self.subnet;
        let address = match address {
            IpAddr::V4(four) => four,
            IpAddr::V6(six) => {
                let offset = u128::from(six).checked_sub(self.ipv6_subnet?.network().into())?;
                u32::from(subnet.network()).checked_add(u32::try_from(offset).ok()?)?.into()
            }
        };
        subnet.contains(address).then(|| Lease::on(address))
    }

    /// An address of one of the subnets with that one's prefix.
    #[must_use]
    pub fn with_subnet(&self, address: IpAddr) -> IpNetwork {
        let prefix = match address {
            IpAddr::V4(_) => self.subnet.prefix(),
            IpAddr::V6(_) => self.ipv6_subnet.map_or(128, |subnet| subnet.prefix()),
        };
        IpNetwork::new(address, prefix).unwrap_or_else(|_| address.into())
    }

    pub(super) fn check(&self) -> Result<()> {
        let subnet = self.subnet;
        if !(8..=30).contains(&subnet.prefix()) || subnet.ip() != subnet.network() {
            return refuse(format!(
                "credentials.subnet {subnet}: must be a network of /8 to /30, such as 169.254.172.0/22"
            ));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !self.bridge.as_str().bytes().all(plain) {
            return refuse(format!(
                "credentials.bridge {}: must be letters, digits, or characters of _.-",
                self.bridge
            ));
        }
        let gateway = self.gateway;
        if !subnet.contains(gateway) || [subnet.network(), subnet.broadcast()].contains(&gateway) {
            return refuse(format!(
                "credentials.gateway {gateway}: must be a host address of credentials.subnet {subnet}"
            ));
        }
        if subnet.contains(METADATA_V4) || self.endpoint == METADATA_V4 {
            return refuse(format!(
                "credentials.subnet {subnet} and credentials.endpoint {}: must keep clear of the \
                 metadata service, {METADATA_V4}",
                self.endpoint
            ));
        }
        if subnet.contains(self.endpoint) {
            return refuse(format!(
                "credentials.endpoint {}: must lie outside credentials.subnet {subnet}",
                self.endpoint
            ));
        }
        self.check_ipv6_endpoint()?;
        match self.ipv6_subnet {
            Some(six) if six.ip() != six.network() || 128 - six.prefix() < 32 - subnet.prefix() => {
                refuse(format!(
                    "credentials.ipv6-subnet {six}: must be a network at least as large as \
                     credentials.subnet {subnet}"
                ))
            }
            _ if !(1280..=65535).contains(&self.mtu) => {
                refuse(format!("credentials.mtu {}: must be 1280 to 65535 bytes", self.mtu))
            }
            _ => Ok(()),
        }
    }

    fn check_ipv6_endpoint(&self) -> Result<()> {
        let six = self.ipv6_endpoint;
        let local = six.is_loopback() || six.is_unspecified() || six.is_unicast_link_local();
        let why = if local || six.is_multicast() || six.to_ipv4_mapped().is_some() {
            "must be an address that can be routed to"
        } else if six == METADATA_V6 {
            "must keep clear of the metadata service"
        } else if self.ipv6_subnet.is_some_and(|subnet| subnet.contains(six)) {
            "must lie outside credentials.ipv6-subnet"
        } else {
            return Ok(());
        };
        refuse(format!("credentials.ipv6-endpoint {six}: {why}"))
    }
}
