//! From rules as they are written to expressions as the kernel evaluates them: the same ones that `nft` makes
//! of the same text (`nft --debug=netlink` shows them).

use super::{
    attribute::Attributes,
    expression::{
        Base, Comparison, Connection, Expression, FIRST, Meta, SECOND, Unreachable, Verdict,
    },
    rule::{Element, Family, Interfaces, Part, Rule, Sender, Transport},
};
use ipnetwork::IpNetwork;
use std::net::IpAddr;

/// Where an Ethernet frame says what it carries, in bytes (IEEE 802.3).
pub(super) const FRAME_TYPE: u32 = 12;
/// Where a frame's IPv4 packet has its destination.
pub(super) const FRAME_TO_IP: u32 = ETHERNET + IP_TO;
/// Where a frame's IPv6 packet has its destination.
pub(super) const FRAME_TO_IP6: u32 = ETHERNET + IP6_TO;

const ETHERNET: u32 = 14;
const ETHERNET_FROM: u32 = 6;
// RFC 791, section 3.1; RFC 8200, section 3; RFC 826.
const IP_FROM: u32 = 12;
const IP_TO: u32 = 16;
const IP6_FROM: u32 = 8;
const IP6_TO: u32 = 24;
const ARP_FROM_MAC: u32 = 8;
const ARP_FROM: u32 = 14;
const ARP_TO: u32 = 24;
/// Where TCP and UDP have their destination port.
const PORT_TO: u32 = 2;

/// An interface's name in a register: `IFNAMSIZ`, linux/if.h.
const NAME: usize = 16;
/// The 32 bits behind a name and a MAC address: `NFT_REG32_06`.
const AFTER_MAC: u32 = 14;

// linux/netfilter.h
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
// linux/in.h
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
// NF_CT_STATE_BIT(IP_CT_ESTABLISHED), IPS_DST_NAT, IP_CT_DIR_REPLY: linux/netfilter/nf_conntrack_common.h
const ESTABLISHED: u32 = 2;
const REDIRECTED: u32 = 1 << 5;
const REPLY: u8 = 1;

/// Appends an element as it is in a set: each part filled up to a whole number of 32 bits.
pub(super) fn append_key(element: Element, bytes: &mut Vec<u8>) {
    bytes.extend(element.lease.link_name_bytes());
    bytes.extend([0; NAME - 11]);
    bytes.extend(element.mac().bytes());
    bytes.extend([0; 2]);
    match element.address {
        IpAddr::V4(four) => bytes.extend(four.octets()),
        IpAddr::V6(six) => bytes.extend(six.octets()),
    }
}

/// A rule as a list of expressions.
pub(super) fn compile(rule: &Rule, family: Family) -> Attributes {
    let mut compiler = Compiler { expressions: Vec::new(), family, version: None };
    rule.0.iter().for_each(|part| compiler.part(part));
    let append = |list, expression: &Expression| expression.append_to(list);
    compiler.expressions.iter().fold(Attributes::new(), append)
}

struct Compiler {
    expressions: Vec<Expression>,
    family: Family,
    /// The version of IP that the packet is known to be of.
    version: Option<u8>,
}

impl Compiler {
    fn push(&mut self, expression: Expression) {
        self.expressions.push(expression);
    }

    fn equal(&mut self, value: &[u8]) {
        self.push(Expression::Compare(Comparison::Equal, value.to_vec()));
    }

    fn part(&mut self, part: &Part) {
        match part {
            Part::In(interfaces) => self.name(Meta::InputName, Comparison::Equal, interfaces),
            Part::NotIn(interfaces) => self.name(Meta::InputName, Comparison::NotEqual, interfaces),
            Part::Out(interfaces) => self.name(Meta::OutputName, Comparison::Equal, interfaces),
            Part::EtherType(kind) | Part::FrameType(kind) => {
                self.payload(Base::Link, FRAME_TYPE, 2, FIRST);
                self.equal(&kind.number().to_be_bytes());
            }
            Part::FrameTo(network) => self.network(Base::Link, FRAME_TO_IP, FRAME_TO_IP6, *network),
            Part::From(network) => {
                self.version(network.ip());
                self.network(Base::Network, IP_FROM, IP6_FROM, *network);
            }
            Part::To(network) => {
                self.version(network.ip());
                self.network(Base::Network, IP_TO, IP6_TO, *network);
            }
            Part::Protocol(transport) => self.transport(*transport),
            Part::Port(transport, number) => self.port(*transport, *number),
            Part::Answer => {
                self.push(Expression::LoadConnection(Connection::Direction));
                self.equal(&[REPLY]);
                self.any_of(Connection::State, ESTABLISHED);
            }
            Part::RedirectedFrom(address) => self.redirected_from(*address),
            Part::ArpTo(address) => {
                self.payload(Base::Network, ARP_TO, 4, FIRST);
                self.equal(&address.octets());
            }
            Part::Sender(sender, set) => self.sender(*sender, set),
            Part::Count => self.push(Expression::Count),
            Part::Accept => self.push(Expression::Verdict(Verdict::Accept)),
            Part::Drop => self.push(Expression::Verdict(Verdict::Drop)),
            Part::Reject => self.push(Expression::Reject(match self.version {
                Some(NFPROTO_IPV6) => Unreachable::Ip6,
                _ => Unreachable::Ip,
            })),
            Part::Reset => self.push(Expression::Reset),
            Part::Redirect(to) => {
                self.push(Expression::Load(FIRST, octets(to.ip())));
                self.push(Expression::Load(SECOND, to.port().to_be_bytes().to_vec()));
                self.push(Expression::Redirect { family: protocol(to.ip()).into() });
            }
        }
    }

    fn name(&mut self, which: Meta, how: Comparison, interfaces: &Interfaces) {
        self.push(Expression::LoadMeta(which, FIRST));
        let value = match interfaces {
            Interfaces::Named(name) => register(name.as_str()),
            Interfaces::BeginningWith(start) => start.as_bytes().to_vec(),
        };
        self.push(Expression::Compare(how, value));
    }

    fn payload(&mut self, base: Base, offset: u32, length: u32, register: u32) {
        self.push(Expression::LoadPayload { base, offset, length, register });
    }

    /// Where a rule is about both versions of IP: that it is this one.
    fn version(&mut self, address: IpAddr) {
        let version = protocol(address);
        if self.family == Family::Inet && self.version != Some(version) {
            self.push(Expression::LoadMeta(Meta::Family, FIRST));
            self.equal(&[version]);
            self.version = Some(version);
        }
    }

    /// Compares as many whole bytes as the prefix has, or all under a mask.
    fn network(&mut self, base: Base, ip: u32, ip6: u32, network: IpNetwork) {
        let (value, mask) = (octets(network.network()), octets(network.mask()));
        let offset = if network.is_ipv4() { ip } else { ip6 };
        let prefix = u32::from(network.prefix());
        let whole = if network.is_ipv4() { 4 } else { 16 };
        if prefix % 8 == 0 {
            self.payload(base, offset, prefix / 8, FIRST);
            let bytes = usize::from(network.prefix() / 8);
            self.equal(&value[..bytes]);
        } else {
            self.payload(base, offset, whole, FIRST);
            self.push(Expression::Mask(mask));
            self.equal(&value);
        }
    }

    fn transport(&mut self, transport: Transport) {
        self.push(Expression::LoadMeta(Meta::Protocol, FIRST));
        self.equal(&[match transport {
            Transport::Tcp => IPPROTO_TCP,
            Transport::Udp => IPPROTO_UDP,
        }]);
    }

    fn port(&mut self, transport: Transport, port: u16) {
        self.transport(transport);
        self.payload(Base::Transport, PORT_TO, 2, FIRST);
        self.equal(&port.to_be_bytes());
    }

    /// The flags of connections are in the machine's own byte order.
    fn any_of(&mut self, which: Connection, flags: u32) {
        self.push(Expression::LoadConnection(which));
        self.push(Expression::Mask(flags.to_ne_bytes().to_vec()));
        self.push(Expression::Compare(Comparison::NotEqual, vec![0; 4]));
    }

    fn redirected_from(&mut self, address: IpAddr) {
        self.any_of(Connection::Status, REDIRECTED);
        self.push(Expression::LoadConnection(match address {
            IpAddr::V4(_) => Connection::Destination,
            IpAddr::V6(_) => Connection::DestinationIp6,
        }));
        self.equal(&octets(address));
    }

    fn sender(&mut self, sender: Sender, set: &'static str) {
        let (mac_base, mac, ip, length) = match sender {
            Sender::Ip => (Base::Link, ETHERNET_FROM, IP_FROM, 4),
            Sender::Ip6 => (Base::Link, ETHERNET_FROM, IP6_FROM, 16),
            Sender::Arp => (Base::Link, ETHERNET_FROM, ARP_FROM, 4),
            Sender::ArpAlone => (Base::Network, ARP_FROM_MAC, ARP_FROM, 4),
        };
        self.push(Expression::LoadMeta(Meta::InputName, FIRST));
        self.payload(mac_base, mac, 6, SECOND);
        self.payload(Base::Network, ip, length, AFTER_MAC);
        self.push(Expression::Lookup(set));
    }
}

fn register(name: &str) -> Vec<u8> {
    let mut register = name.as_bytes().to_vec();
    register.resize(NAME, 0);
    register
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    }
}

fn protocol(address: IpAddr) -> u8 {
    if address.is_ipv4() { NFPROTO_IPV4 } else { NFPROTO_IPV6 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expressions(parts: &[Part]) -> Vec<Expression> {
        let mut compiler =
            Compiler { expressions: Vec::new(), family: Family::Inet, version: None };
        for part in parts {
            compiler.part(part);
        }
        compiler.expressions
    }

    #[test]
    fn a_network_is_compared_by_whole_bytes_where_it_ends_with_one() {
        let to = |network: &str| vec![Part::To(network.parse().expect("a network"))];
        let whole = expressions(&to("10.1.0.0/16"));
        let length = |expression: &Expression| match expression {
            Expression::LoadPayload { length, .. } => Some(*length),
            _ => None,
        };
        assert_eq!(whole.iter().find_map(length), Some(2));
        assert_eq!(whole.last(), Some(&Expression::Compare(Comparison::Equal, vec![10, 1])));
        let masked = expressions(&to("10.1.4.0/22"));
        assert!(masked.contains(&Expression::Mask(vec![255, 255, 252, 0])));
        let value = Expression::Compare(Comparison::Equal, vec![10, 1, 4, 0]);
        assert_eq!(masked.last(), Some(&value));
    }

    #[test]
    fn the_version_is_asked_for_once() {
        let network = |text: &str| text.parse().expect("a network");
        let rule =
            vec![Part::From(network("fd00::/64")), Part::To(network("fd00::1/128")), Part::Reject];
        let rule = expressions(&rule);
        let asks = |expression: &&Expression| matches!(expression, Expression::LoadMeta(..));
        assert_eq!(rule.iter().filter(asks).count(), 1);
        assert_eq!(rule.last(), Some(&Expression::Reject(Unreachable::Ip6)));
    }

    #[test]
    fn a_key_is_what_the_kernel_puts_together() {
        let lease = crate::task::lease::Lease::on([169, 254, 172, 2].into());
        let element = Element { lease, address: "169.254.172.2".parse().expect("an address") };
        let expected = [
            &b"ecsa9feac02\0\0\0\0\0"[..],
            &[0x0a, 0x58, 169, 254, 172, 2, 0, 0],
            &[169, 254, 172, 2],
        ];
        let mut key = Vec::new();
        append_key(element, &mut key);
        assert_eq!(key, expected.concat());
    }
}
