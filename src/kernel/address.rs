//! Addresses.

use crate::kernel::{error::Answer, socket::Netlink};
use ipnetwork::IpNetwork;
use rtnetlink::{
    AddressMessageBuilder,
    packet_core::{NLM_F_CREATE, NLM_F_EXCL},
    packet_route::{
        RouteNetlinkMessage,
        address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage},
    },
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Netlink {
    /// Gives a link an address: an IPv6 one without duplicate address detection, so that it is
    /// usable at once.
    ///
    /// # Errors
    /// The kernel's; EEXIST where the link has it.
    pub fn add_address(&self, index: u32, address: IpNetwork, subnet_route: bool) -> Answer<()> {
        let mut message = address_message(index, address);
        let mut flags = AddressFlags::empty();
        if address.is_ipv6() {
            message.header.flags |= AddressHeaderFlags::Nodad;
            flags |= AddressFlags::Nodad;
        }
        if !subnet_route {
            flags |= AddressFlags::Noprefixroute;
        }
        message.attributes.push(AddressAttribute::Flags(flags));
        let request = RouteNetlinkMessage::NewAddress(message);
        self.change(&request, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Takes an address from a link.
    ///
    /// # Errors
    /// The kernel's; EADDRNOTAVAIL where the link does not have it.
    pub fn delete_address(&self, index: u32, address: IpNetwork) -> Answer<()> {
        self.change(&RouteNetlinkMessage::DelAddress(address_message(index, address)), 0)
    }

    /// The addresses of a link, each with its index, but for the IPv6 link-local ones, which the
    /// kernel makes itself.
    pub fn addresses(&self, index: u32) -> Answer<Vec<(u32, IpNetwork)>> {
        let mut request = AddressMessage::default();
        request.header.index = index;
        let own = self.dump_addresses(request)?.into_iter();
        Ok(own.filter(|(of, _)| *of == index).collect())
    }

    /// The same of all links.
    pub fn all_addresses(&self) -> Answer<Vec<(u32, IpNetwork)>> {
        self.dump_addresses(AddressMessage::default())
    }

    fn dump_addresses(&self, request: AddressMessage) -> Answer<Vec<(u32, IpNetwork)>> {
        let dump = self.dump(&RouteNetlinkMessage::GetAddress(request))?;
        let address = |message| match message {
            RouteNetlinkMessage::NewAddress(message) => {
                Some((message.header.index, address_of(&message)?))
            }
            _ => None,
        };
        Ok(dump.iter().filter_map(|raw| address(raw.decode()?)).collect())
    }
}

fn address_message(index: u32, address: IpNetwork) -> AddressMessage {
    match address {
        IpNetwork::V4(four) => AddressMessageBuilder::<Ipv4Addr>::new()
            .index(index)
            .address(four.ip(), four.prefix())
            .build(),
        IpNetwork::V6(six) => AddressMessageBuilder::<Ipv6Addr>::new()
            .index(index)
            .address(six.ip(), six.prefix())
            .build(),
    }
}

fn address_of(message: &AddressMessage) -> Option<IpNetwork> {
    let find = |local: bool| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(ip) if local => Some(*ip),
            AddressAttribute::Address(ip) if !local => Some(*ip),
            _ => None,
        })
    };
    let ip = find(true).or_else(|| find(false))?;
    let link_local = matches!(ip, IpAddr::V6(six) if six.is_unicast_link_local());
    let address = IpNetwork::new(ip, message.header.prefix_len).ok()?;
    (!link_local).then_some(address)
}
