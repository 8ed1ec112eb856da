//! Links: dump, create, change, move, delete.

use super::{Answer, Netlink};
use crate::{
    link::{InterfaceName, Link, Mac},
    netns::Netns,
};
use futures_util::TryStreamExt;
use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{
        InfoData, InfoVeth, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkLayerType,
        LinkMessage,
    },
};
use rtnetlink::{LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth};
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

/// A veth pair whose far end is born in another namespace. To create it here and move one end
/// would cost 20 ms more.
#[derive(Clone, Copy, Debug)]
pub struct Veth<'a> {
    /// The near end's name.
    pub name: &'a InterfaceName,
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
}

/// How a bridge port treats its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortFlags {
    /// As the kernel makes them: every port reaches every other.
    Default,
    /// No frame from or to another such port, no learning, no flooding to it, and no frame from it
    /// with a source address that the FDB does not bind to it (`locked`, since Linux 5.18; older
    /// kernels ignore that flag and keep the others).
    Isolated,
}

impl Netlink {
    /// All links of the namespace, without their statistics.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn links(&self) -> Answer<Vec<Link>> {
        let request = self
            .handle
            .link()
            .get()
            .set_filter_mask(AddressFamily::Unspec, vec![LinkExtentMask::SkipStats])
            .message_mut()
            .clone();
        let dump = self.dump(RouteNetlinkMessage::GetLink(request)).await?;
        Ok(dump
            .into_iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewLink(link) => Some(Link::from(&link)),
                _ => None,
            })
            .collect())
    }

    /// The link of this name, if there is one.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn link(&self, name: &InterfaceName) -> Answer<Option<Link>> {
        let request = self.handle.link().get().match_name(name.as_str());
        match request.execute().try_next().await.map_err(super::KernelError::from) {
            Ok(message) => Ok(message.as_ref().map(Link::from)),
            Err(error) if error.is_no_device() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The index of the link of this name.
    ///
    /// # Errors
    /// The kernel's; ENODEV where there is none.
    pub async fn index(&self, name: &InterfaceName) -> Answer<u32> {
        let absent = super::KernelError { errno: nix::errno::Errno::ENODEV, sentence: None };
        self.link(name).await?.map(|link| link.index).ok_or(absent)
    }

    /// Creates a bridge that is up and has its MAC address from its first moment on.
    ///
    /// # Errors
    /// The kernel's; EEXIST where the name is taken.
    pub async fn add_bridge(&self, name: &InterfaceName, mac: Mac, mtu: u32) -> Answer<()> {
        let bridge = LinkBridge::new(name.as_str())
            .address(mac.bytes().to_vec())
            .mtu(mtu)
            .mcast_snooping(false)
            .up();
        Ok(self.handle.link().add(bridge.build()).execute().await?)
    }

    /// Creates a veth pair. Neither end is up: the far one cannot be yet (ENOTCONN).
    ///
    /// # Errors
    /// The kernel's; EEXIST where either name is taken.
    pub async fn add_veth(&self, veth: &Veth<'_>) -> Answer<()> {
        let far = LinkMessageBuilder::<LinkUnspec>::new()
            .name(veth.inside.as_str())
            .address(veth.mac.bytes().to_vec())
            .mtu(veth.mtu)
            .setns_by_fd(veth.netns.as_raw_fd());
        let near = LinkVeth::new(veth.name.as_str(), "")
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far.build())))
            .controller(veth.bridge)
            .mtu(veth.mtu);
        Ok(self.handle.link().add(near.build()).execute().await?)
    }

    /// Labels a bridge port, sets its flags and switches it on, in one message, so that it never
    /// forwards a frame that it should not.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn configure_port(&self, index: u32, alias: &str, flags: PortFlags) -> Answer<()> {
        let port = LinkBridgePort::new(index).alias(alias).up();
        let port = match flags {
            PortFlags::Default => port,
            PortFlags::Isolated => {
                port.isolated(true).learning(false).flood(false).mcast_flood(false).locked(true)
            }
        };
        Ok(self.handle.link().set_port(port.build()).execute().await?)
    }

    /// Changes a link.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn change_link(&self, index: u32, change: &LinkChange) -> Answer<()> {
        let message = changed(index, change).build();
        Ok(self.handle.link().set(message).execute().await?)
    }

    /// Moves a link into another namespace and changes it there, in one message. The kernel does
    /// the move first, and does not take it back if a change fails.
    ///
    /// # Errors
    /// The kernel's; EEXIST where the name is taken there, and then the link may have moved.
    pub async fn move_link(&self, index: u32, to: &Netns, change: &LinkChange) -> Answer<()> {
        let message = changed(index, change).setns_by_fd(to.as_raw_fd()).build();
        Ok(self.handle.link().set(message).execute().await?)
    }

    /// Deletes a link.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn delete_link(&self, index: u32) -> Answer<()> {
        Ok(self.handle.link().del(index).execute().await?)
    }
}

fn changed(index: u32, change: &LinkChange) -> LinkMessageBuilder<LinkUnspec> {
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
        link = link.alias(alias);
    }
    match change.up {
        Some(true) => link.up(),
        Some(false) => link.down(),
        None => link,
    }
}

impl From<&LinkMessage> for Link {
    fn from(message: &LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            mac: None,
            permanent_mac: None,
            mtu: 0,
            mtu_range: (0, 0),
            alias: None,
            kind: None,
            controller: None,
            peer: None,
            ethernet: message.header.link_layer_type == LinkLayerType::Ether,
            loopback: flags.contains(LinkFlags::Loopback),
            up: flags.contains(LinkFlags::Up),
            running: flags.contains(LinkFlags::Up | LinkFlags::Running),
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Address(bytes) => link.mac = Mac::from_bytes(bytes),
                LinkAttribute::PermAddress(bytes) => link.permanent_mac = Mac::from_bytes(bytes),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::MinMtu(mtu) => link.mtu_range.0 = *mtu,
                LinkAttribute::MaxMtu(mtu) => link.mtu_range.1 = *mtu,
                LinkAttribute::IfAlias(alias) => link.alias = Some(alias.clone()),
                LinkAttribute::Controller(index) => link.controller = Some(*index),
                LinkAttribute::Link(index) => link.peer = Some(*index),
                LinkAttribute::LinkInfo(infos) => link.kind = kind(infos),
                _ => {}
            }
        }
        link
    }
}

fn kind(infos: &[LinkInfo]) -> Option<String> {
    infos.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    })
}
