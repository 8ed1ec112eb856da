//! Rules as data: tables, chains, sets, and what stands in a rule. Pure.
//!
//! Only what our rules need of what nftables can do. [`super::text`] writes it for people, in nft's
//! language; [`super::compile`] for the kernel.

use crate::{
    net::{mac::Mac, name::InterfaceName},
    task::lease::Lease,
};
use ipnetwork::IpNetwork;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What all our tables are called.
pub const TABLE: &str = "oci_awsvpc";

/// The families of our tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4 and IPv6: what enters a namespace, leaves it, and what is routed.
    Inet,
    /// Ethernet frames on bridges.
    Bridge,
    /// Ethernet frames of one interface.
    Netdev,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Table {
    /// Its family.
    pub family: Family,
    /// Its sets.
    pub sets: Vec<Set>,
    /// Its chains, in the order in which they are made.
    pub chains: Vec<Chain>,
}

/// One chain. What it does not decide, it accepts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub kind: Kind,
    /// Where the packets come by.
    pub hook: Hook,
    /// Who is first at the same hook: the lower number.
    pub priority: i32,
    /// The rules, in order.
    pub rules: Vec<Rule>,
}

/// What a chain is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// To let through or not.
    Filter,
    /// To change addresses; it sees the first packet of a connection.
    Nat,
}

/// Where a chain is hooked in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// Whatever comes in.
    Prerouting,
    /// What is for the namespace itself.
    Input,
    /// What is routed through it.
    Forward,
    /// What it sends itself.
    Output,
    /// What leaves by one interface, after everything else.
    Egress(InterfaceName),
}

/// A set of leases: port, MAC address, IP address of one family.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// Whether its IP addresses are of IPv4.
    pub is_ipv4: bool,
    /// What is in it.
    pub elements: Vec<Element>,
}

/// A lease and one of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Element {
    /// The lease, and so the port and the MAC address.
    pub lease: Lease,
    /// The IP address.
    pub address: IpAddr,
}

/// One rule: what a packet must be, and what becomes of it then.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule(pub Vec<Part>);

/// What a rule is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// It came in by such an interface.
    In(Interfaces),
    /// It came in by another one.
    NotIn(Interfaces),
    /// It goes out by such an interface.
    Out(Interfaces),
    /// Its frame is of this kind; where the rule is about a bridge's frames.
    EtherType(EtherType),
    /// The same about a frame on its way out, whatever else is known of it: by the frame's own bytes.
    FrameType(EtherType),
    /// The frame carries a packet to there; after [`Part::FrameType`], and again by its bytes.
    FrameTo(IpNetwork),
    /// The packet comes from there.
    From(IpNetwork),
    /// The packet goes there.
    To(IpNetwork),
    /// It is of this protocol.
    Protocol(Transport),
    /// It goes to this port.
    Port(Transport, u16),
    /// It answers what the namespace itself began.
    Answer,
    /// It went to this address before it was redirected.
    RedirectedFrom(IpAddr),
    /// ARP that asks for, or speaks to, this address.
    ArpTo(Ipv4Addr),
    /// Port, MAC address and IP address are a lease's.
    Sender(Sender, &'static str),
    /// Count it.
    Count,
    /// Let it through; other tables' rules still apply.
    Accept,
    /// Drop it.
    Drop,
    /// Drop it and tell the sender by an ICMP error.
    Reject,
    /// Drop it, and reset the TCP connection that it belongs to.
    Reset,
    /// Send it there instead.
    Redirect(SocketAddr),
}

/// One interface or several.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Interfaces {
    /// The one of this name.
    Named(InterfaceName),
    /// All whose names begin so.
    BeginningWith(String),
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EtherType {
    /// IPv4.
    Ip,
    /// ARP.
    Arp,
    /// IPv6.
    Ip6,
}

impl EtherType {
    /// `ETH_P_IP` and others, `linux/if_ether.h`.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Ip => 0x0800,
            Self::Arp => 0x0806,
            Self::Ip6 => 0x86dd,
        }
    }
}

/// Protocols that have ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Which of a frame's fields name its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// Those of the frame and of an IPv4 packet.
    Ip,
    /// Those of the frame and of an IPv6 packet.
    Ip6,
    /// Those of the frame and the IP address in the ARP message.
    Arp,
    /// Both addresses in the ARP message.
    ArpAlone,
}

impl Element {
    /// The MAC address that goes with it.
    #[must_use]
    pub fn mac(self) -> Mac {
        self.lease.mac()
    }
}

impl Chain {
    /// A chain that lets through or not.
    #[must_use]
    pub fn filter(name: &'static str, hook: Hook, priority: i32, rules: Vec<Rule>) -> Self {
        Self { name, kind: Kind::Filter, hook, priority, rules }
    }
}
