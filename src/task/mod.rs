//! One task as data: the network and the names that it wants, its lease, its label, and its branch.

pub mod branch;
pub mod hash;
pub mod label;
pub mod lease;
pub mod names;
pub mod network;
pub mod record;

use crate::{
    net::{mac::Mac, name::InterfaceName},
    task::branch::Branch,
};
use ipnetwork::IpNetwork;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// What the interface to the credentials is called inside every task.
pub const CREDENTIAL_INTERFACE: &str = "ecs-eth0";

/// Its index inside. Many programs take the first address that they are shown for their own, so the ENI must come
/// before this interface. The kernel shows interfaces by their index; older ones (6.1, not 6.12) by its last eight
/// bits first, and of those with the same bits the newest first (`NETDEV_HASHENTRIES`, include/linux/netdevice.h).
/// So it is higher than any that a kernel will have counted up to, and ends in eight ones. Not the highest of all:
/// who asks for what comes behind that one would leave the range of an `int`.
pub const CREDENTIAL_INDEX: u32 = 0x7fff_feff;

/// The least MTU that IPv6 works with, in bytes (RFC 8200, section 5).
pub const MIN_MTU_V6: u32 = 1280;

/// The instance metadata service.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>
pub const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The same over IPv6.
pub const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The instance metadata service, by both.
pub const METADATA: [IpAddr; 2] = [IpAddr::V4(METADATA_V4), IpAddr::V6(METADATA_V6)];

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
    /// How to wait for an IPv6 router that advertises itself, where there is no IPv6 gateway.
    pub router: RouterPatience,
}

/// How to wait for a router that advertises itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterPatience {
    /// For how long.
    pub timeout: Duration,
    /// Whether the task must not start without one.
    pub required: bool,
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
    /// All that is out of reach.
    #[must_use]
    pub fn blocked(&self) -> Vec<IpNetwork> {
        blocked(self.block_metadata, &self.block)
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

/// [`CREDENTIAL_INTERFACE`] as a name.
#[must_use]
pub fn credential_name() -> InterfaceName {
    InterfaceName::known(CREDENTIAL_INTERFACE.to_owned())
}

/// All that is out of a task's reach.
#[must_use]
pub fn blocked(block_metadata: bool, block: &[IpNetwork]) -> Vec<IpNetwork> {
    let metadata = METADATA.map(IpNetwork::from);
    let metadata = if block_metadata { &metadata[..] } else { &[] };
    [metadata, block].concat()
}
