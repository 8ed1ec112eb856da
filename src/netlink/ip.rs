//! Addresses and routes.

use super::{Answer, Netlink};
use crate::step::Route;
use ipnetwork::IpNetwork;
use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage},
    route::{
        RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
        RouteType,
    },
};
use rtnetlink::{
    AddressMessageBuilder, RouteMessageBuilder,
    packet_core::{NLM_F_CREATE, NLM_F_EXCL},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Netlink {
    /// Gives a link an address: an IPv6 one without duplicate address detection, so that it is
    /// usable at once.
    ///
    /// # Errors
    /// The kernel's; EEXIST where the link has it.
    pub async fn add_address(
        &self,
        index: u32,
        address: IpNetwork,
        subnet_route: bool,
    ) -> Answer<()> {
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
        self.change(request, NLM_F_CREATE | NLM_F_EXCL).await
    }

    /// Takes an address from a link.
    ///
    /// # Errors
    /// The kernel's; EADDRNOTAVAIL where the link does not have it.
    pub async fn delete_address(&self, index: u32, address: IpNetwork) -> Answer<()> {
        self.change(RouteNetlinkMessage::DelAddress(address_message(index, address)), 0).await
    }

    /// The addresses of a link, each with its index, but for the IPv6 link-local ones, which the
    /// kernel makes itself.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn addresses(&self, index: u32) -> Answer<Vec<(u32, IpNetwork)>> {
        let mut request = AddressMessage::default();
        request.header.index = index;
        let own = self.dump_addresses(request).await?.into_iter();
        Ok(own.filter(|(of, _)| *of == index).collect())
    }

    /// The same of all links.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn all_addresses(&self) -> Answer<Vec<(u32, IpNetwork)>> {
        self.dump_addresses(AddressMessage::default()).await
    }

    async fn dump_addresses(&self, request: AddressMessage) -> Answer<Vec<(u32, IpNetwork)>> {
        let dump = self.dump(RouteNetlinkMessage::GetAddress(request)).await?;
        let address = |message| match message {
            RouteNetlinkMessage::NewAddress(message) => {
                Some((message.header.index, address_of(&message)?))
            }
            _ => None,
        };
        Ok(dump.iter().filter_map(|raw| address(raw.decode()?)).collect())
    }

    /// Adds a route to the main table.
    ///
    /// # Errors
    /// The kernel's; EEXIST where one to the same destination is there.
    pub async fn add_route(&self, route: &Route, index: Option<u32>) -> Answer<()> {
        let request = RouteNetlinkMessage::NewRoute(message_of(route, index));
        self.change(request, NLM_F_CREATE | NLM_F_EXCL).await
    }

    /// Deletes a route from the main table.
    ///
    /// # Errors
    /// The kernel's; ESRCH where it is not there.
    pub async fn delete_route(&self, route: &Route, index: Option<u32>) -> Answer<()> {
        self.change(RouteNetlinkMessage::DelRoute(message_of(route, index)), 0).await
    }

    /// Whether the main table has exactly this route.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn has_route(&self, route: &Route, index: Option<u32>) -> Answer<bool> {
        let wanted = Essence::of(&message_of(route, index));
        let routes = self.main_table(wanted.family).await?;
        Ok(routes.iter().any(|route| Essence::of(route) == wanted))
    }

    /// The indices of the links that carry the best default route of each family.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn uplinks(&self) -> Answer<Vec<u32>> {
        let mut uplinks = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let defaults: Vec<RouteMessage> = self
                .main_table(family)
                .await?
                .into_iter()
                .filter(|route| route.header.destination_prefix_length == 0)
                .filter(|route| route.header.kind == RouteType::Unicast)
                .collect();
            let best = defaults.iter().map(metric).min();
            for route in defaults.iter().filter(|route| Some(metric(route)) == best) {
                uplinks.extend(links_of(route));
            }
        }
        Ok(uplinks)
    }

    /// The routes of one family in the main table; none where the kernel does not know the family.
    async fn main_table(&self, family: AddressFamily) -> Answer<Vec<RouteMessage>> {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        request.header.table = RouteHeader::RT_TABLE_MAIN;
        let dump = match self.dump(RouteNetlinkMessage::GetRoute(request)).await {
            Err(error) if error.is_absent() => Vec::new(), // no such table yet
            dump => dump?,
        };
        let ours = |message| match message {
            RouteNetlinkMessage::NewRoute(route)
                if route.header.table == RouteHeader::RT_TABLE_MAIN
                    && route.header.address_family == family =>
            {
                Some(route)
            }
            _ => None,
        };
        Ok(dump.iter().filter_map(|raw| ours(raw.decode()?)).collect())
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

/// The route as a message. Protocol `boot` is what `ip route add` writes, so `ip route` shows our
/// routes as it shows those that an administrator added.
fn message_of(route: &Route, index: Option<u32>) -> RouteMessage {
    let (destination, kind, scope) = match route {
        Route::Link { destination, .. } => (destination, RouteType::Unicast, RouteScope::Link),
        Route::Via { destination, .. } => (destination, RouteType::Unicast, RouteScope::Universe),
        Route::Blackhole { destination } => {
            (destination, RouteType::BlackHole, RouteScope::Universe)
        }
    };
    let mut message = match *destination {
        IpNetwork::V4(to) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(to.ip(), to.prefix())
            .scope(scope)
            .build(),
        IpNetwork::V6(to) => {
            RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(to.ip(), to.prefix()).build()
        }
    };
    message.header.protocol = RouteProtocol::Boot;
    message.header.kind = kind;
    if let Route::Via { gateway, on_link, .. } = route {
        message.attributes.push(RouteAttribute::Gateway((*gateway).into()));
        if *on_link {
            message.header.flags |= rtnetlink::packet_route::route::RouteFlags::Onlink;
        }
    }
    message.attributes.extend(index.map(RouteAttribute::Oif));
    message
}

/// What makes two routes the same to us.
#[derive(PartialEq, Eq)]
struct Essence {
    family: AddressFamily,
    destination: Option<RouteAddress>,
    prefix: u8,
    kind: RouteType,
    gateway: Option<RouteAddress>,
    link: Option<u32>,
}

impl Essence {
    fn of(message: &RouteMessage) -> Self {
        let RouteHeader { address_family, destination_prefix_length, kind, .. } = message.header;
        let mut essence = Self {
            family: address_family,
            destination: None,
            prefix: destination_prefix_length,
            kind,
            gateway: None,
            link: None,
        };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(to) if essence.prefix > 0 => {
                    essence.destination = Some(to.clone());
                }
                RouteAttribute::Gateway(gateway) => essence.gateway = Some(gateway.clone()),
                // The kernel hangs IPv6 blackholes on the loopback interface.
                RouteAttribute::Oif(index) if kind == RouteType::Unicast => {
                    essence.link = Some(*index);
                }
                _ => {}
            }
        }
        essence
    }
}

fn metric(route: &RouteMessage) -> u32 {
    let priority = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    });
    priority.unwrap_or(0)
}

/// The links that a route leads to: several where it has several next hops.
fn links_of(route: &RouteMessage) -> Vec<u32> {
    route
        .attributes
        .iter()
        .flat_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => vec![*index],
            RouteAttribute::MultiPath(hops) => hops.iter().map(|hop| hop.interface_index).collect(),
            _ => Vec::new(),
        })
        .collect()
}
