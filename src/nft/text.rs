//! Rules in nft's language, for people. `nft -f` makes of it what [`install`](mod@super::install) installs.

use super::rule::{
    Chain, Element, EtherType, Family, Hook, Interfaces, Kind, Part, Rule, Sender, Set, TABLE,
    Table, Transport,
};
use ipnetwork::IpNetwork;
use std::{fmt, net::IpAddr};

/// Byte offsets in an Ethernet frame, whose header is 14 bytes long: see [`super::compile`].
use super::compile::{FRAME_TO_IP, FRAME_TO_IP6, FRAME_TYPE};

/// What was there of ours goes, and these tables come, in one transaction.
#[must_use]
pub fn script(families: &[Family], tables: &[Table]) -> String {
    let removed = families
        .iter()
        .map(|family| format!("table {family} {TABLE}\ndelete table {family} {TABLE}\n"));
    removed.chain(tables.iter().map(Table::to_string)).collect()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table {} {TABLE} {{", self.family)?;
        self.sets.iter().try_for_each(|set| set.fmt(f))?;
        self.chains.iter().try_for_each(|chain| chain.fmt(f))?;
        f.write_str("}\n")
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inet => "inet",
            Self::Bridge => "bridge",
            Self::Netdev => "netdev",
        })
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_ipv4 { "ipv4_addr" } else { "ipv6_addr" };
        let name = self.name;
        writeln!(
            f,
            "\tset {name} {{\n\t\ttype ifname . ether_addr . {kind}\n\t\tsize {}\n\t\telements = {{",
            self.elements.len()
        )?;
        self.elements.iter().try_for_each(|element| writeln!(f, "\t\t\t{element},"))?;
        f.write_str("\t\t}\n\t}\n")
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} . {} . {}", self.lease.link_name(), self.mac(), self.address)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Filter => "filter",
            Kind::Nat => "nat",
        };
        let Self { name, hook, priority, .. } = self;
        writeln!(f, "\tchain {name} {{")?;
        writeln!(f, "\t\ttype {kind} hook {hook} priority {priority}; policy accept;")?;
        self.rules.iter().try_for_each(|rule| writeln!(f, "\t\t{rule}"))?;
        f.write_str("\t}\n")
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prerouting => f.write_str("prerouting"),
            Self::Input => f.write_str("input"),
            Self::Forward => f.write_str("forward"),
            Self::Output => f.write_str("output"),
            Self::Egress(link) => write!(f, "egress device \"{link}\""),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(Part::to_string).collect();
        f.write_str(&parts.join(" "))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(interfaces) => write!(f, "iifname {interfaces}"),
            Self::NotIn(interfaces) => write!(f, "iifname != {interfaces}"),
            Self::Out(interfaces) => write!(f, "oifname {interfaces}"),
            Self::EtherType(kind) => write!(f, "ether type {kind}"),
            Self::FrameType(kind) => {
                write!(f, "@ll,{},16 0x{:04x}", FRAME_TYPE * 8, kind.number())
            }
            Self::FrameTo(network) => frame_to(f, *network),
            Self::From(network) => write!(f, "{} saddr {}", ip(network.ip()), plain(*network)),
            Self::To(network) => write!(f, "{} daddr {}", ip(network.ip()), plain(*network)),
            Self::Protocol(transport) => write!(f, "meta l4proto {transport}"),
            Self::Port(transport, port) => write!(f, "{transport} dport {port}"),
            Self::Answer => f.write_str("ct direction reply ct state established"),
            Self::RedirectedFrom(address) => {
                write!(f, "ct status dnat ct original {} daddr {address}", ip(*address))
            }
            Self::ArpTo(address) => write!(f, "arp daddr ip {address}"),
            Self::Sender(sender, set) => write!(f, "{sender} @{set}"),
            Self::Count => f.write_str("counter"),
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Reject => f.write_str("reject"),
            Self::Reset => f.write_str("reject with tcp reset"),
            Self::Redirect(to) => write!(f, "dnat {} to {to}", ip(to.ip())),
        }
    }
}

impl fmt::Display for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "\"{name}\""),
            Self::BeginningWith(start) => write!(f, "\"{start}*\""),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip => "ip",
            Self::Arp => "arp",
            Self::Ip6 => "ip6",
        })
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip => "iifname . ether saddr . ip saddr",
            Self::Ip6 => "iifname . ether saddr . ip6 saddr",
            Self::Arp => "iifname . ether saddr . arp saddr ip",
            Self::ArpAlone => "iifname . arp saddr ether . arp saddr ip",
        })
    }
}

fn ip(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}

/// A network; without its prefix, where it is a single address.
fn plain(network: IpNetwork) -> String {
    let whole = if network.is_ipv4() { 32 } else { 128 };
    if network.prefix() == whole { network.ip().to_string() } else { network.to_string() }
}

/// The destination of the packet in a frame, in numbers: nft's own words for it trust what the sender
/// says of the frame.
fn frame_to(f: &mut fmt::Formatter<'_>, network: IpNetwork) -> fmt::Result {
    let hex = |address: IpAddr, bytes: usize| match address {
        IpAddr::V4(four) => hex(&four.octets()[..bytes]),
        IpAddr::V6(six) => hex(&six.octets()[..bytes]),
    };
    let (offset, whole) = if network.is_ipv4() { (FRAME_TO_IP, 4) } else { (FRAME_TO_IP6, 16) };
    let (offset, prefix) = (offset * 8, network.prefix());
    if prefix % 8 == 0 {
        let value = hex(network.network(), usize::from(prefix / 8));
        return write!(f, "@ll,{offset},{prefix} 0x{value}");
    }
    let (mask, value) = (hex(network.mask(), whole), hex(network.network(), whole));
    write!(f, "@ll,{offset},{} & 0x{mask} == 0x{value}", whole * 8)
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}
