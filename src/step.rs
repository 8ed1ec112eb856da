//! The vocabulary of a plan: every change that the hook can make, each one small and reversible.
//!
//! A step is data. What it *is* stands here, in words; [`crate::transact`] makes it happen and
//! undoes it. Its text is at once the line in the debug log and the beginning of the error message.

use crate::{
    branch::Branch,
    lease::Lease,
    link::{InterfaceName, Mac},
    nft::Ruleset,
    rule::Rule,
    tag::Tag,
};
use ipnetwork::IpNetwork;
use std::{fmt, net::IpAddr};

/// Which namespace a step works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The instance's own namespace.
    Instance,
    /// The task's namespace.
    Task,
}

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

/// One change. See [`crate::plan`] for the order in which they are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Install the instance's nftables rules. Never undone: they are for all tasks.
    InstallRules {
        /// The rules.
        ruleset: Ruleset,
    },
    /// Create the bridge, up, with its MAC address from the start. Never undone: it belongs to the
    /// instance, and another task may have joined it in the meantime.
    CreateBridge {
        /// Its name.
        bridge: InterfaceName,
        /// Its MAC address.
        mac: Mac,
        /// Its MTU in bytes.
        mtu: u32,
    },
    /// Set the MAC address of a link. To the one that it has: so that an adopted bridge no longer
    /// changes it when ports come and go. To its own: where an earlier task changed the ENI's.
    /// Never undone.
    SetMac {
        /// Where.
        side: Side,
        /// The link.
        link: InterfaceName,
        /// The MAC address.
        mac: Mac,
    },
    /// Create the task's veth, its far end directly in the task's namespace. This takes the lease.
    CreateVeth {
        /// The lease, and so the name and the MAC address.
        lease: Lease,
        /// The bridge that it is a port of.
        bridge: InterfaceName,
        /// What it is called in the task.
        inside: InterfaceName,
        /// Its MTU in bytes.
        mtu: u32,
    },
    /// Label the veth with whose it is, set its port's flags, and switch it on.
    ConfigurePort {
        /// The lease.
        lease: Lease,
        /// Whose it is.
        tag: Tag,
        /// Whether the port is kept apart from the others.
        isolated: bool,
    },
    /// Tell the bridge which MAC address is behind a port that does not learn.
    AddFdbEntry {
        /// The lease.
        lease: Lease,
    },
    /// Delete a policy routing rule that a host daemon made for the ENI.
    DeleteRule {
        /// The rule.
        rule: Rule,
    },
    /// Move the ENI into the task's namespace under its name there, with a label that says what it
    /// is called here.
    MoveIn {
        /// Its index on the instance.
        index: u32,
        /// The label: its name and MTU on the instance, among others.
        home: Tag,
        /// Whether it was up there.
        was_up: bool,
        /// What it is called inside.
        inside: InterfaceName,
        /// Its MTU inside in bytes, if it shall change.
        mtu: Option<u32>,
    },
    /// Delete what is left of a branch on the instance, where it is of no use. Never undone.
    DeleteLeftover {
        /// Its index.
        index: u32,
        /// Which branch.
        branch: Branch,
    },
    /// Create a branch ENI directly in the task's namespace.
    CreateBranch {
        /// The trunk's index on the instance.
        trunk: u32,
        /// Which VLAN of which trunk.
        branch: Branch,
        /// Its MAC address.
        mac: Mac,
        /// What it is called inside.
        inside: InterfaceName,
        /// Its MTU in bytes.
        mtu: u32,
    },
    /// Label an interface of the task with whose it is. Goes away with the interface.
    Label {
        /// The interface.
        link: InterfaceName,
        /// The label.
        tag: Tag,
    },
    /// Set an option of an interface. Goes away with the interface, so there is nothing to undo.
    SetOption {
        /// Where.
        side: Side,
        /// `ipv4` or `ipv6`.
        family: &'static str,
        /// The interface.
        link: InterfaceName,
        /// The file below `/proc/sys/net/<family>/conf/<link>/`.
        option: &'static str,
        /// What it shall hold.
        value: &'static str,
    },
    /// Give an address to a link; an IPv6 one without duplicate address detection.
    AddAddress {
        /// Where.
        side: Side,
        /// The link.
        link: InterfaceName,
        /// The address.
        address: IpNetwork,
        /// Whether the kernel shall add the route to the address's subnet.
        subnet_route: bool,
    },
    /// Add a route to the task's namespace.
    AddRoute {
        /// The route.
        route: Route,
    },
    /// Delete a route from the task's namespace.
    DeleteRoute {
        /// The route.
        route: Route,
    },
    /// Reject packets to what the task must not reach, whoever sends them.
    BlockPackets {
        /// The rules.
        ruleset: Ruleset,
    },
    /// Drop frames to there, however they were made, as they leave by the ENI; where the kernel can. Goes away
    /// with the ENI.
    BlockFrames {
        /// What the ENI is called.
        link: InterfaceName,
        /// The rules.
        ruleset: Ruleset,
    },
    /// Remove both. Never undone, for it comes last.
    Unblock,
    /// Add a permanent neighbour: an address whose MAC address need not be asked for.
    AddNeighbour {
        /// Where.
        side: Side,
        /// The link.
        link: InterfaceName,
        /// The neighbour's address.
        address: IpAddr,
        /// The neighbour's MAC address.
        mac: Mac,
    },
    /// Switch a link on.
    SetUp {
        /// Where.
        side: Side,
        /// The link.
        link: InterfaceName,
    },
    /// Wait until frames flow over a link.
    AwaitRunning {
        /// Where.
        side: Side,
        /// The link.
        link: InterfaceName,
    },
}

impl Step {
    /// One word for the list of timings.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::InstallRules { .. } => "rules",
            Self::CreateBridge { .. } => "bridge",
            Self::SetMac { .. } => "mac",
            Self::CreateVeth { .. } => "veth",
            Self::ConfigurePort { .. } => "port",
            Self::AddFdbEntry { .. } => "fdb",
            Self::DeleteRule { .. } => "rule",
            Self::MoveIn { .. } => "move",
            Self::DeleteLeftover { .. } => "leftover",
            Self::CreateBranch { .. } => "branch",
            Self::Label { .. } => "label",
            Self::SetOption { option, .. } => option,
            Self::AddAddress { .. } => "address",
            Self::AddRoute { .. } | Self::DeleteRoute { .. } => "route",
            Self::BlockPackets { .. } | Self::BlockFrames { .. } | Self::Unblock => "block",
            Self::AddNeighbour { .. } => "neighbour",
            Self::SetUp { .. } => "up",
            Self::AwaitRunning { .. } => "running",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InstallRules { .. } => f.write_str("installing nftables rules on the instance"),
            Self::CreateBridge { bridge, mac, mtu } => {
                write!(f, "creating bridge {bridge} with {mac}, mtu {mtu}")
            }
            Self::SetMac { side, link, mac } => write!(f, "setting {mac} on {link} {side}"),
            Self::CreateVeth { lease, bridge, inside, mtu } => write!(
                f,
                "creating veth {} on {bridge} with {inside} ({}, mtu {mtu}) in the task",
                lease.link_name(),
                lease.mac()
            ),
            Self::ConfigurePort { lease, isolated, .. } => write!(
                f,
                "switching on port {}{}",
                lease.link_name(),
                if *isolated { ", isolated" } else { "" }
            ),
            Self::AddFdbEntry { lease } => {
                write!(f, "binding {} to port {}", lease.mac(), lease.link_name())
            }
            Self::DeleteRule { rule } => write!(f, "deleting rule {rule} on the instance"),
            Self::MoveIn { home, inside, mtu, .. } => {
                write!(f, "moving ENI {} ({}) into the task as {inside}", home.eni, home.name)?;
                mtu.map_or(Ok(()), |mtu| write!(f, ", mtu {mtu}"))
            }
            Self::DeleteLeftover { branch, .. } => {
                write!(f, "deleting what was left of {branch} on the instance")
            }
            Self::CreateBranch { branch, mac, inside, mtu, .. } => {
                write!(f, "creating branch ENI {mac}, {branch}, in the task as {inside}, mtu {mtu}")
            }
            Self::Label { link, .. } => write!(f, "labelling {link} in the task"),
            Self::SetOption { side, link, option, value, .. } => {
                write!(f, "setting {option} of {link} {side} to {value}")
            }
            Self::AddAddress { side, link, address, .. } => {
                write!(f, "adding {address} to {link} {side}")
            }
            Self::AddRoute { route } => write!(f, "adding route {route} in the task"),
            Self::DeleteRoute { route } => write!(f, "deleting route {route} in the task"),
            Self::BlockPackets { .. } => {
                f.write_str("installing nftables rules that block packets in the task")
            }
            Self::BlockFrames { link, .. } => {
                write!(f, "installing nftables rules that block frames on {link} in the task")
            }
            Self::Unblock => f.write_str("removing nftables rules in the task"),
            Self::AddNeighbour { side, link, address, mac } => {
                write!(f, "adding neighbour {address} at {mac} to {link} {side}")
            }
            Self::SetUp { side, link } => write!(f, "switching on {link} {side}"),
            Self::AwaitRunning { side, link } => {
                write!(f, "waiting for {link} {side} to be operationally up")
            }
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instance => "on the instance",
            Self::Task => "in the task",
        })
    }
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
