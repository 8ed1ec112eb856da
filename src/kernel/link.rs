//! Links: dump, create, change, move, delete.

use crate::{
    error::KernelError,
    kernel::{decode::decode, error::Answer, netns::Netns, socket::Netlink},
    net::{link::Link, mac::Mac, name::InterfaceName, port::LINK_LOCAL_GROUPS, vlan::VlanId},
};
use nix::errno::Errno;
use rtnetlink::{
    LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth, LinkVlan,
    packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL},
    packet_route::{
        RouteNetlinkMessage,
        link::{InfoData, InfoVeth, LinkAttribute, LinkExtentMask, LinkMessage},
    },
};
use std::os::fd::AsRawFd;

/// What to change about a link, in one message; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkChange {
    /// Its name; with `%d` in it, the kernel picks the first free number.
    pub name: Option<String>,
    /// Its MTU in bytes.
    pub mtu: Option<u32>,
    /// Its MAC address.
    pub mac: Option<Mac>,
    /// Its alias; the empty one takes it away.
    pub alias: Option<String>,
    /// Whether it is switched on.
    pub up: Option<bool>,
}

impl LinkChange {
    const NONE: Self = Self { name: None, mtu: None, mac: None, alias: None, up: None };
    /// Switched on.
    pub const UP: Self = Self { up: Some(true), ..Self::NONE };
    /// Switched off, which a link must be to be renamed by a kernel before 6.2.
    pub const DOWN: Self = Self { up: Some(false), ..Self::NONE };

    /// Another name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::NONE }
    }
}

/// A veth pair whose far end is born in another namespace. To create it here and move one end
/// would cost 20 ms more.
#[derive(Clone, Copy, Debug)]
pub struct Veth<'a> {
    /// The near end's name.
    pub name: &'a InterfaceName,
    /// The near end's MAC address.
    pub port_mac: Mac,
    /// The bridge that the near end becomes a port of.
    pub bridge: u32,
    /// The far end's namespace.
    pub netns: &'a Netns,
    /// The far end's name.
    pub inside: &'a InterfaceName,
    /// The far end's MAC address.
    pub mac: Mac,
    /// The MTU of both, in bytes.
    pub mtu: u32,
    /// The near end's index and the far end's; `None` leaves them to the kernel. It takes the far end's only
    /// together with the near end's (`veth_newlink`, drivers/net/veth.c).
    pub indexes: Option<[u32; 2]>,
}

/// A VLAN of a trunk, born in another namespace than the trunk's.
#[derive(Clone, Copy, Debug)]
pub struct Vlan<'a> {
    /// The trunk's index.
    pub trunk: u32,
    /// The VLAN's number.
    pub id: VlanId,
    /// The link's namespace.
    pub netns: &'a Netns,
    /// Its MAC address.
    pub mac: Mac,
    /// Its MTU in bytes.
    pub mtu: u32,
}

/// How a bridge port treats its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortFlags {
    /// As the kernel makes them: every port reaches every other.
    Default,
    /// No frame from or to another such port, no learning, no flooding to it, and no frame from it
    /// with a source address that the FDB does not bind to it (`locked`, since Linux 5.18; older
    /// kernels ignore that flag and keep the others). Frames to a bridge's own groups are frames like
    /// any others.
    Isolated,
}

impl Netlink {
    /// All links of the namespace, without their statistics.
    pub fn links(&self) -> Answer<Vec<Link>> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let dump = self.dump(&RouteNetlinkMessage::GetLink(request))?;
        Ok(dump.iter().filter_map(|raw| decode(&raw.payload)).collect())
    }

    /// The same without what belongs to a bridge or a bond: without the thousand ports of a thousand
    /// tasks, each of which would take the kernel 9 us.
    pub fn free_links(&self) -> Answer<Vec<Link>> {
        /// "No master", since Linux 5.18 (`link_master_filtered`, net/core/rtnetlink.c).
        const NO_MASTER: u32 = u32::MAX;
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        request.attributes.push(LinkAttribute::Controller(NO_MASTER));
        let dump = self.dump(&RouteNetlinkMessage::GetLink(request))?;
        let free: Vec<Link> = dump.iter().filter_map(|raw| decode(&raw.payload)).collect();
        if free.is_empty() {
            // Older kernels take it for a number that no link has. The loopback interface is free.
            let links = self.links()?.into_iter();
            return Ok(links.filter(|link| link.controller.is_none()).collect());
        }
        Ok(free)
    }

    /// The link of this name, if there is one.
    pub fn link(&self, name: &InterfaceName) -> Answer<Option<Link>> {
        self.get_link(LinkUnspec::new_with_name(name.as_str()).build())
    }

    /// The link with this index, if there is one.
    pub fn link_at(&self, index: u32) -> Answer<Option<Link>> {
        self.get_link(LinkUnspec::new_with_index(index).build())
    }

    fn get_link(&self, request: LinkMessage) -> Answer<Option<Link>> {
        match self.get(&RouteNetlinkMessage::GetLink(request)) {
            Ok(raw) => Ok(raw.and_then(|raw| decode(&raw.payload))),
            Err(error) if error.is_no_device() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The index of the link of this name.
    ///
    /// # Errors
    /// The kernel's; ENODEV where there is none.
    pub fn index(&self, name: &InterfaceName) -> Answer<u32> {
        let absent = || KernelError::from(Errno::ENODEV);
        self.link(name)?.map(|link| link.index).ok_or_else(absent)
    }

    /// Creates a bridge that is up and has its MAC address from its first moment on.
    ///
    /// # Errors
    /// The kernel's; EEXIST where the name is taken.
    pub fn add_bridge(&self, name: &InterfaceName, mac: Mac, mtu: u32) -> Answer<()> {
        let bridge = LinkBridge::new(name.as_str())
            .address(mac.bytes().to_vec())
            .mtu(mtu)
            .mcast_snooping(false)
            .up();
        let request = RouteNetlinkMessage::NewLink(bridge.build());
        self.change(&request, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Creates a veth pair. Neither end is up: the far one cannot be yet (ENOTCONN).
    ///
    /// # Errors
    /// The kernel's; EEXIST where either name is taken, or the near end's index; EBUSY where the far end's is.
    pub fn add_veth(&self, veth: &Veth<'_>) -> Answer<()> {
        // Zero is the kernel's choice.
        let [near_index, far_index] = veth.indexes.unwrap_or_default();
        let far = LinkMessageBuilder::<LinkUnspec>::new()
            .index(far_index)
            .name(veth.inside.as_str())
            .address(veth.mac.bytes().to_vec())
            .mtu(veth.mtu)
            .setns_by_fd(veth.netns.as_raw_fd());
        let near = LinkVeth::new(veth.name.as_str(), "")
            .index(near_index)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far.build())))
            .controller(veth.bridge)
            .address(veth.port_mac.bytes().to_vec())
            .mtu(veth.mtu);
        let request = RouteNetlinkMessage::NewLink(near.build());
        self.change(&request, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Creates a link of a VLAN. It is not up. With `%d` in its name, the kernel picks the first number
    /// that is free where the link will be.
    ///
    /// # Errors
    /// The kernel's; EEXIST where the VLAN is taken, or the name, there or here (before Linux 6.15, the
    /// kernel looks for it on both sides). ENODEV where the trunk is gone.
    pub fn add_vlan(&self, vlan: &Vlan<'_>, name: &str) -> Answer<()> {
        let link = LinkVlan::new(name, vlan.trunk, vlan.id.number())
            .address(vlan.mac.bytes().to_vec())
            .mtu(vlan.mtu)
            .setns_by_fd(vlan.netns.as_raw_fd());
        let request = RouteNetlinkMessage::NewLink(link.build());
        self.change(&request, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Labels a bridge port, sets its flags and switches it on, in one message, so that it never
    /// forwards a frame that it should not.
    pub fn configure_port(&self, index: u32, alias: &str, flags: PortFlags) -> Answer<()> {
        let port = LinkBridgePort::new(index).append_extra_attribute(alias_of(alias)).up();
        let port = match flags {
            PortFlags::Default => port,
            PortFlags::Isolated => port
                .isolated(true)
                .learning(false)
                .flood(false)
                .mcast_flood(false)
                .locked(true)
                .group_fwd_mask(LINK_LOCAL_GROUPS),
        };
        // RTM_NEWLINK: RTM_SETLINK does not look at the data of ports.
        self.change(&RouteNetlinkMessage::NewLink(port.build()), 0)
    }

    /// Makes a link a port of a bridge. It is switched off: a port is set as the kernel makes them until it is
    /// configured.
    pub fn join_bridge(&self, index: u32, bridge: u32) -> Answer<()> {
        self.set_link(index, &LinkChange::DOWN)?;
        let message = LinkUnspec::new_with_index(index).controller(bridge).build();
        self.change(&RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Changes properties of a link.
    pub fn set_link(&self, index: u32, change: &LinkChange) -> Answer<()> {
        let message = message_for(index, change).build();
        self.change(&RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Moves a link into another namespace and changes it there, in one message. The kernel does
    /// the move first, and does not take it back if a change fails.
    ///
    /// # Errors
    /// The kernel's; EEXIST where the name is taken there, and then the link may have moved.
    pub fn move_link(&self, index: u32, to: &Netns, change: &LinkChange) -> Answer<()> {
        let message = message_for(index, change).setns_by_fd(to.as_raw_fd()).build();
        self.change(&RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Deletes a link.
    pub fn delete_link(&self, index: u32) -> Answer<()> {
        let message = LinkUnspec::new_with_index(index).build();
        self.change(&RouteNetlinkMessage::DelLink(message), 0)
    }
}

fn message_for(index: u32, change: &LinkChange) -> LinkMessageBuilder<LinkUnspec> {
    let mut link = LinkUnspec::new_with_index(index);
    if let Some(name) = &change.name {
        link = link.name(name);
    }
    if let Some(mtu) = change.mtu {
        link = link.mtu(mtu);
    }
    if let Some(mac) = change.mac {
        link = link.address(mac.bytes().to_vec());
    }
    if let Some(alias) = &change.alias {
        link = link.append_extra_attribute(alias_of(alias));
    }
    match change.up {
        Some(true) => link.up(),
        Some(false) => link.down(),
        None => link,
    }
}

/// An alias without a terminator, which the kernel would count, so that one of 255 bytes would be too long
/// (`dev_set_alias`, net/core/dev.c). The empty one has a terminator: an attribute must not be empty.
fn alias_of(text: &str) -> LinkAttribute {
    const IFLA_IFALIAS: u16 = 20; // linux/if_link.h
    let bytes = if text.is_empty() { vec![0] } else { text.as_bytes().to_owned() };
    LinkAttribute::Other(DefaultNla::new(IFLA_IFALIAS, bytes))
}
