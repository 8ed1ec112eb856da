//! Links (network interfaces), as a dump shows them.

use crate::net::{mac::Mac, vlan::VlanId};

/// One link of one namespace, as a dump shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // they are the kernel's flags
pub struct Link {
    /// Its index in its namespace; may change in a move.
    pub index: u32,
    /// Its name, as the kernel has it (perhaps one we would refuse to set).
    pub name: String,
    /// Its current MAC address, if it is an Ethernet unicast one.
    pub mac: Option<Mac>,
    /// The address burnt into the device, where the driver reports one (`IFLA_PERM_ADDRESS`).
    pub permanent_mac: Option<Mac>,
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
    /// Whether, as a bridge port, it is locked; `None` where the kernel does not know the flag.
    pub locked: Option<bool>,
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
