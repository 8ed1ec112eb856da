//! Routes.

use crate::{
    kernel::{error::Answer, socket::Netlink},
    net::route::Route,
};
use ipnetwork::IpNetwork;
use nix::errno::Errno;
use rtnetlink::{
    RouteMessageBuilder,
    packet_core::{NLM_F_CREATE, NLM_F_EXCL},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        route::{
            RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol,
            RouteScope, RouteType,
        },
    },
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Netlink {
    /// Adds a route to the main table.
    ///
    /// # Errors
    /// The kernel's; EEXIST where one to the same destination is there.
    pub fn add_route(&self, route: &Route, index: Option<u32>) -> Answer<()> {
        let request = RouteNetlinkMessage::NewRoute(message_of(route, index));
        self.change(&request, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Deletes a route from the main table.
    ///
    /// # Errors
    /// The kernel's; ESRCH where it is not there.
    pub fn delete_route(&self, route: &Route, index: Option<u32>) -> Answer<()> {
        self.change(&RouteNetlinkMessage::DelRoute(message_of(route, index)), 0)
    }

    /// Whether the main table has exactly this route.
    pub fn has_route(&self, route: &Route, index: Option<u32>) -> Answer<bool> {
        let wanted = RouteKey::of(&message_of(route, index));
        let routes = self.main_table(wanted.family)?;
        Ok(routes.iter().any(|route| RouteKey::of(route) == wanted))
    }

    /// The indices of the links by which packets to an address would leave, as the kernel would route
    /// them now, whatever rules and tables that takes; none where it would not.
    pub fn links_towards(&self, address: IpAddr) -> Answer<Vec<u32>> {
        Ok(self.route_towards(address)?.as_ref().map(links_of).unwrap_or_default())
    }

    /// Whether the kernel would take packets to an address for its own.
    pub fn is_local(&self, address: IpAddr) -> Answer<bool> {
        let route = self.route_towards(address)?;
        Ok(route.is_some_and(|route| route.header.kind == RouteType::Local))
    }

    /// The route that the kernel would choose for packets to an address; none where it would not send them.
    fn route_towards(&self, address: IpAddr) -> Answer<Option<RouteMessage>> {
        use Errno::{EACCES, EAFNOSUPPORT, EHOSTUNREACH, EINVAL, ENETUNREACH, EOPNOTSUPP, ESRCH};
        let mut request = RouteMessage::default();
        request.header.address_family = match address {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        };
        request.header.destination_prefix_length = if address.is_ipv4() { 32 } else { 128 };
        // The whole route: of one with several next hops, all of them.
        request.header.flags = RouteFlags::FibMatch;
        request.attributes.push(RouteAttribute::Destination(address.into()));
        match self.get(&RouteNetlinkMessage::GetRoute(request)) {
            Ok(answer) => match answer.and_then(|raw| raw.decode()) {
                Some(RouteNetlinkMessage::NewRoute(route)) => Ok(Some(route)),
                _ => Ok(None),
            },
            // Unreachable, prohibited, a blackhole, or a kernel without the family.
            Err(error)
                if [EACCES, EAFNOSUPPORT, EHOSTUNREACH, EINVAL, ENETUNREACH, EOPNOTSUPP, ESRCH]
                    .contains(&error.errno) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The indices of the links that carry the best default route of each family in the main table.
    pub fn default_links(&self) -> Answer<Vec<u32>> {
        let mut uplinks = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let defaults: Vec<RouteMessage> =
                self.main_table(family)?.into_iter().filter(is_default).collect();
            let best = defaults.iter().map(metric).min();
            for route in defaults.iter().filter(|route| Some(metric(route)) == best) {
                uplinks.extend(links_of(route));
            }
        }
        Ok(uplinks)
    }

    /// Whether the main table has an IPv6 default route by a link.
    pub fn has_ipv6_default(&self, index: u32) -> Answer<bool> {
        let routes = self.main_table(AddressFamily::Inet6)?;
        Ok(routes.iter().any(|route| is_default(route) && links_of(route).contains(&index)))
    }

    /// The routes of one family in the main table; none where the kernel does not know the family.
    fn main_table(&self, family: AddressFamily) -> Answer<Vec<RouteMessage>> {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        request.header.table = RouteHeader::RT_TABLE_MAIN;
        let dump = match self.dump(&RouteNetlinkMessage::GetRoute(request)) {
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
            message.header.flags |= RouteFlags::Onlink;
        }
    }
    message.attributes.extend(index.map(RouteAttribute::Oif));
    message
}

/// What makes two routes the same to us.
#[derive(PartialEq, Eq)]
struct RouteKey {
    family: AddressFamily,
    destination: Option<RouteAddress>,
    prefix: u8,
    kind: RouteType,
    gateway: Option<RouteAddress>,
    link: Option<u32>,
}

impl RouteKey {
    fn of(message: &RouteMessage) -> Self {
        let RouteHeader { address_family, destination_prefix_length, kind, .. } = message.header;
        let mut key = Self {
            family: address_family,
            destination: None,
            prefix: destination_prefix_length,
            kind,
            gateway: None,
            link: None,
        };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(to) if key.prefix > 0 => {
                    key.destination = Some(to.clone());
                }
                RouteAttribute::Gateway(gateway) => key.gateway = Some(gateway.clone()),
                // The kernel hangs IPv6 blackholes on the loopback interface.
                RouteAttribute::Oif(index) if kind == RouteType::Unicast => {
                    key.link = Some(*index);
                }
                _ => {}
            }
        }
        key
    }
}

fn is_default(route: &RouteMessage) -> bool {
    route.header.destination_prefix_length == 0 && route.header.kind == RouteType::Unicast
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
