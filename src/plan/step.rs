//! The vocabulary of a plan: every change that the hook can make, each one small and reversible.
//!
//! A step is data. What it *is* stands here, in words; [`crate::apply`] makes it happen and
//! undoes it.

use crate::{
    eni::restore::AtHome,
    error::{Doing, Result},
    net::{
        form::Form, mac::Mac, name::InterfaceName, offloads::Offloads, route::Route, rule::Rule,
        side::Side,
    },
    nft::{Family, Ruleset},
    task::{RouterPatience, branch::Branch, label::Label, lease::Lease, record::Record},
};
use ipnetwork::IpNetwork;
use std::net::IpAddr;

/// One change. See [`crate::plan`] for the order in which they are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Install the instance's nftables rules. Never undone: they are for all tasks.
    InstallNftables {
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
    /// Make the instance's record of the task, which is also the lock on its ENI.
    TakeRecord {
        /// What is recorded.
        record: Record,
    },
    /// Make sure that the bridge and the rules that the plan relies on are there still. From the record on,
    /// `host-teardown` leaves them alone.
    CheckHost {
        /// The families of which there are rules.
        families: Vec<Family>,
        /// The bridge's index.
        bridge: Option<u32>,
    },
    /// Give the ENI the form that an interface is born with, whatever an earlier task or an administrator
    /// made of it. Only its other names come back, if the start fails.
    Normalise {
        /// Where it is.
        side: Side,
        /// Its index there.
        index: u32,
        /// Its MAC address.
        mac: Mac,
        /// What is set otherwise.
        form: Form,
        /// Its alternative names.
        alternative_names: Vec<String>,
    },
    /// Put the offloads of the ENI back that its label says it had. Never undone.
    SetOffloads {
        /// Its index on the instance.
        index: u32,
        /// Its MAC address.
        mac: Mac,
        /// Which are wanted.
        offloads: Offloads,
    },
    /// Create the task's veth, its far end directly in the task's namespace. This takes the lease.
    CreateVeth {
        /// The lease, and so the name and the MAC address inside.
        lease: Lease,
        /// The MAC address of the port.
        port_mac: Mac,
        /// The bridge that it is a port of.
        bridge: InterfaceName,
        /// What it is called in the task.
        inside: InterfaceName,
        /// Its MTU in bytes.
        mtu: u32,
    },
    /// Make the instance's end of the task's veth a port of the bridge again, which it is born as.
    JoinBridge {
        /// The lease.
        lease: Lease,
        /// The bridge.
        bridge: InterfaceName,
    },
    /// Label the veth with whose it is, set its port's flags, and switch it on.
    ConfigurePort {
        /// The lease.
        lease: Lease,
        /// Whose it is.
        label: Label,
        /// Whether the port is kept apart from the others.
        isolated: bool,
    },
    /// Tell the bridge which MAC address is behind a port that does not learn.
    AddFdbEntry {
        /// The lease.
        lease: Lease,
    },
    /// Delete a policy routing rule that a host daemon made for the ENI.
    DeletePolicyRule {
        /// The rule.
        rule: Rule,
    },
    /// Move the ENI into the task's namespace under its name there, with a label that says what it
    /// is called here.
    MoveIn {
        /// Its index on the instance.
        index: u32,
        /// The label: its name and MTU on the instance, among others.
        label: Label,
        /// What it had there besides.
        at_home: AtHome,
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
    /// Label an interface of the task with whose it is.
    SetLabel {
        /// The interface.
        link: InterfaceName,
        /// The label.
        label: Label,
        /// What its alias was before.
        before: Option<String>,
    },
    /// Set an option of an interface. It goes away with the interface, so there is nothing to undo, unless
    /// the interface stays.
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
        /// What it held if it has to be changed, where the interface outlives a start that fails.
        before: Option<&'static str>,
    },
    /// Give an address to a link; an IPv6 one without duplicate address detection. Before the others of its
    /// family and scope if it is an IPv6 one, else behind them.
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
    /// Take an address from the ENI, which it gets again in another place.
    DeleteAddress {
        /// What the ENI is called.
        link: InterfaceName,
        /// The address.
        address: IpNetwork,
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
    /// Drop frames to there, however they were made, as they leave by the ENI; where the kernel can. Goes
    /// away with the ENI.
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
    /// Wait until the kernel takes packets to an IPv6 address that it was given.
    AwaitAddress {
        /// Where.
        side: Side,
        /// The address.
        address: IpAddr,
    },
    /// Wait for an IPv6 default route of a router that advertises itself, which is asked to.
    AwaitRouter {
        /// The link of the task that the router is on.
        link: InterfaceName,
        /// For how long, and whether the start fails if none comes.
        patience: RouterPatience,
    },
}

impl Step {
    /// Setting an IPv6 option of an interface of the task.
    pub(super) fn ipv6_option(
        link: &InterfaceName,
        option: &'static str,
        value: &'static str,
    ) -> Self {
        let (side, family, link) = (Side::Task, "ipv6", link.clone());
        Self::SetOption { side, family, link, option, value, before: None }
    }

    /// The step, unless it is so already.
    pub(super) fn unless(self, so: Result<bool>) -> Result<Option<Self>> {
        let so = so.doing(|| self.to_string())?;
        Ok((!so).then_some(self))
    }
}
