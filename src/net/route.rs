//! Routes, as far as the hook makes them.

use crate::net::name::InterfaceName;
use ipnetwork::IpNetwork;
use std::{fmt, net::IpAddr};

/// A route in the main table of the task's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `destination dev link scope link`.
    Link {
        /// What is on the link.
        destination: IpNetwork,
        /// The link.
        link: InterfaceName,
    },
    /// `destination via gateway dev link`.
    Via {
        /// What is behind the gateway.
        destination: IpNetwork,
        /// The gateway.
        gateway: IpAddr,
        /// The link that it is on.
        link: InterfaceName,
        /// Whether the kernel shall believe that without an address that says so.
        on_link: bool,
    },
    /// `blackhole destination`: packets are dropped, silently.
    Blackhole {
        /// What is out of reach.
        destination: IpNetwork,
    },
}

impl fmt::Display for Route {
    /// As `ip route` writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |destination: &IpNetwork| match destination.prefix() {
            0 => "default".to_owned(),
            32 if destination.is_ipv4() => destination.ip().to_string(),
            128 => destination.ip().to_string(),
            _ => destination.to_string(),
        };
        match self {
            Self::Link { destination, link } => {
                write!(f, "{} dev {link} scope link", named(destination))
            }
            Self::Via { destination, gateway, link, .. } => {
                write!(f, "{} via {gateway} dev {link}", named(destination))
            }
            Self::Blackhole { destination } => write!(f, "blackhole {}", named(destination)),
        }
    }
}
