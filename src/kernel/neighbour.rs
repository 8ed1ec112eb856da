//! Neighbours, and the forwarding database of bridges, which the kernel keeps under the same name.

use crate::{
    kernel::{error::Answer, socket::Netlink},
    net::mac::Mac,
};
use nix::errno::Errno;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
    },
};
use std::net::IpAddr;

impl Netlink {
    /// Adds a permanent neighbour, or makes the one that is there this one.
    ///
    /// # Errors
    /// The kernel's; EEXIST where there is one and `replace` is not set.
    pub fn add_neighbour(
        &self,
        index: u32,
        address: IpAddr,
        mac: Mac,
        replace: bool,
    ) -> Answer<()> {
        let mut message = neighbour(index, address);
        message.header.state = NeighbourState::Permanent;
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.bytes().to_vec()));
        self.change(&RouteNetlinkMessage::NewNeighbour(message), creating(replace))
    }

    /// Deletes a neighbour.
    ///
    /// # Errors
    /// The kernel's; ENOENT where it is not there.
    pub fn delete_neighbour(&self, index: u32, address: IpAddr) -> Answer<()> {
        self.change(&RouteNetlinkMessage::DelNeighbour(neighbour(index, address)), 0)
    }

    /// The MAC address that a link's neighbour of this address has; `None` if it has none.
    pub fn neighbour(&self, index: u32, address: IpAddr) -> Answer<Option<Mac>> {
        let found = self.neighbour_entry(index, address)?;
        Ok(found.and_then(|found| found.attributes.iter().find_map(mac_of)))
    }

    /// Whether a link has this neighbour, for good.
    pub fn has_neighbour(&self, index: u32, address: IpAddr, mac: Mac) -> Answer<bool> {
        let found = self.neighbour_entry(index, address)?;
        Ok(found.is_some_and(|found| {
            found.header.state == NeighbourState::Permanent
                && found.attributes.iter().find_map(mac_of) == Some(mac)
        }))
    }

    fn neighbour_entry(&self, index: u32, address: IpAddr) -> Answer<Option<NeighbourMessage>> {
        let request = RouteNetlinkMessage::GetNeighbour(neighbour(index, address));
        let found = match self.get(&request) {
            Err(error) if error.is_absent() => None,
            found => found?,
        };
        Ok(match found.and_then(|raw| raw.decode()) {
            Some(RouteNetlinkMessage::NewNeighbour(found)) => Some(found),
            _ => None,
        })
    }

    /// The addresses of a link's permanent IPv4 and IPv6 neighbours, with their MAC addresses.
    pub fn permanent_neighbours(&self, index: u32) -> Answer<Vec<(IpAddr, Option<Mac>)>> {
        let mut request = NeighbourMessage::default();
        request.attributes.push(NeighbourAttribute::IfIndex(index));
        let dump = self.dump(&RouteNetlinkMessage::GetNeighbour(request))?;
        let permanent = |message| match message {
            RouteNetlinkMessage::NewNeighbour(message)
                if message.header.ifindex == index
                    && message.header.state == NeighbourState::Permanent =>
            {
                let address = message.attributes.iter().find_map(address_of)?;
                Some((address, message.attributes.iter().find_map(mac_of)))
            }
            _ => None,
        };
        Ok(dump.iter().filter_map(|raw| permanent(raw.decode()?)).collect())
    }

    /// Whether a MAC address is bound to a port of a bridge, or was learned there.
    pub fn has_fdb_entry(&self, bridge: u32, mac: Mac) -> Answer<bool> {
        Ok(self.fdb_entry(bridge, mac)?.is_some())
    }

    /// Whether it is bound to this port, for good.
    pub fn is_bound(&self, bridge: u32, port: u32, mac: Mac) -> Answer<bool> {
        let entry = self.fdb_entry(bridge, mac)?.map(|entry| entry.header);
        Ok(entry.is_some_and(|it| it.ifindex == port && it.state == NeighbourState::Noarp))
    }

    /// The bridge's entry for a MAC address. (Before Linux 5.1 the kernel cannot be asked.)
    fn fdb_entry(&self, bridge: u32, mac: Mac) -> Answer<Option<NeighbourMessage>> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Bridge;
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.bytes().to_vec()));
        message.attributes.push(NeighbourAttribute::Controller(bridge));
        match self.get(&RouteNetlinkMessage::GetNeighbour(message)) {
            Err(error) if error.is_absent() || error.errno == Errno::EOPNOTSUPP => Ok(None),
            found => Ok(match found?.and_then(|raw| raw.decode()) {
                Some(RouteNetlinkMessage::NewNeighbour(entry)) => Some(entry),
                _ => None,
            }),
        }
    }

    /// Binds a MAC address to a bridge port, from whatever port it is bound to now: a static entry,
    /// which neither ages nor moves.
    ///
    /// # Errors
    /// The kernel's; EEXIST where the address is bound and `replace` is not set.
    pub fn add_fdb_entry(&self, port: u32, mac: Mac, replace: bool) -> Answer<()> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Bridge;
        message.header.ifindex = port;
        message.header.state = NeighbourState::Noarp;
        message.header.flags = NeighbourFlags::Controller;
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.bytes().to_vec()));
        self.change(&RouteNetlinkMessage::NewNeighbour(message), creating(replace))
    }
}

fn creating(replace: bool) -> u16 {
    NLM_F_CREATE | if replace { NLM_F_REPLACE } else { NLM_F_EXCL }
}

fn neighbour(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    let (family, address) = match address {
        IpAddr::V4(four) => (AddressFamily::Inet, NeighbourAddress::Inet(four)),
        IpAddr::V6(six) => (AddressFamily::Inet6, NeighbourAddress::Inet6(six)),
    };
    message.header.ifindex = index;
    message.header.family = family;
    message.attributes.push(NeighbourAttribute::Destination(address));
    message
}

fn mac_of(attribute: &NeighbourAttribute) -> Option<Mac> {
    match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => Mac::from_bytes(bytes),
        _ => None,
    }
}

fn address_of(attribute: &NeighbourAttribute) -> Option<IpAddr> {
    match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(four)) => Some(IpAddr::V4(*four)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(six)) => Some(IpAddr::V6(*six)),
        _ => None,
    }
}
