//! Links (network interfaces), as a dump shows them.

use crate::net::{
    device::Device, form::Form, mac::Mac, offloads::Offloads, port::PortForm, rings::Rings,
    vlan::VlanId,
};
use std::net::IpAddr;

/// One link of one namespace, as a dump shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // they are the kernel's flags
pub struct Link {
    /// Its index in its namespace; may change in a move.
    pub index: u32,
    /// Its name, as the kernel has it (perhaps one we would refuse to set).
    pub name: String,
    /// Its other names (`ip link property`), of which a link may have hundreds.
    pub alternative_names: Vec<String>,
    /// Its current MAC address, if it is an Ethernet unicast one.
    pub mac: Option<Mac>,
    /// The address burnt into the device, where the driver reports one (`IFLA_PERM_ADDRESS`).
    pub permanent_mac: Option<Mac>,
    /// Which hardware it is, where the kernel tells (Linux 5.14).
    pub device: Option<Device>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// The least and the largest MTU of its driver in bytes; 0 where there is no limit.
    pub mtu_range: (u32, u32),
    /// Its alias (`ifalias`): where the hook writes its label.
    pub alias: Option<String>,
    /// What kind of virtual link it is (`veth`, `bridge`, …); `None` for hardware.
    pub kind: Option<String>,
    /// Its VLAN, if it is a link of one (802.1Q).
    pub vlan: Option<VlanId>,
    /// The index of the bridge or bond that it belongs to.
    pub controller: Option<u32>,
    /// The index of the link below or beyond it, in that one's namespace: a VLAN's trunk, a veth's
    /// peer.
    pub peer: Option<u32>,
    /// The namespace that the other link is in, if not this one, as this one numbers it.
    pub peer_netns: Option<i32>,
    /// The other end of a tunnel.
    pub tunnel_to: Option<IpAddr>,
    /// Whether, as a bridge port, it is locked; `None` where the kernel does not know the flag.
    pub locked: Option<bool>,
    /// What else it is set to as a port, if it is one of a bridge.
    pub port: Option<PortForm>,
    /// What else it is set to.
    pub form: Form,
    /// The offloads that are wanted of it, where somebody asked for them and the kernel tells.
    pub offloads: Option<Offloads>,
    /// The rings of its hardware, where somebody asked for them and its driver tells.
    pub rings: Option<Rings>,
    /// Whether it carries Ethernet frames (`ARPHRD_ETHER`).
    pub ethernet: bool,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Whether somebody switched it on (`IFF_UP`).
    pub up: bool,
    /// Whether frames flow: it is on, has a carrier, and if it is virtual, is operationally up.
    pub running: bool,
}

impl Link {
    /// Whether this is the interface that the network calls `mac`: by its permanent address where
    /// the driver reports one (a task may have changed the current one), else by its current one.
    #[must_use]
    pub fn is(&self, mac: Mac) -> bool {
        self.permanent_mac.or(self.mac) == Some(mac)
    }

    /// Whether it is called so, by whichever of its names.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.alternative_names.iter().any(|other| other == name)
    }

    /// Whether it is hardware: no kind of virtual link, and its MAC address is burnt in.
    #[must_use]
    pub fn is_hardware(&self) -> bool {
        self.kind.is_none() && self.permanent_mac.is_some() && !self.loopback
    }

    /// Whether it is one end of a veth pair.
    #[must_use]
    pub fn is_veth(&self) -> bool {
        self.kind.as_deref() == Some("veth")
    }

    /// Whether the driver would accept this MTU.
    #[must_use]
    pub fn accepts_mtu(&self, mtu: u32) -> bool {
        let (least, largest) = self.mtu_range;
        mtu >= least && (largest == 0 || mtu <= largest)
    }
}
