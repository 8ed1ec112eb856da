//! What this kernel can do, where only a try tells.

use crate::{
    error::Result,
    kernel::{link::Veth, netns::Netns, socket::Netlink},
    net::{mac::Mac, name::InterfaceName},
};

/// Whether ports of bridges can be locked (Linux 5.18). A kernel that can says of every port whether it is, so one
/// is made where nobody sees it.
pub fn can_lock_ports() -> Result<bool> {
    /// What Ethernet has, in bytes.
    const MTU: u32 = 1500;
    Netns::within_new(|| {
        let [bridge, name, inside] =
            ["bridge", "port", "far"].map(|name| InterfaceName::known(name.to_owned()));
        let (netns, netlink) = (&Netns::current()?, Netlink::here()?);
        let [own, port_mac, mac] = [1, 2, 3].map(Mac::local);
        netlink.add_bridge(&bridge, own, MTU)?;
        let bridge = netlink.index(&bridge)?;
        let (name, inside) = (&name, &inside);
        let (mtu, indexes) = (MTU, None);
        netlink.add_veth(&Veth { name, port_mac, bridge, netns, inside, mac, mtu, indexes })?;
        Ok(netlink.link(name)?.is_some_and(|port| port.locked.is_some()))
    })
}
