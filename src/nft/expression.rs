//! What the kernel evaluates: the few kinds of expressions that our rules are made of, as attributes.
//!
//! Constants are those of `linux/netfilter/nf_tables.h`, `linux/netfilter.h` and `nf_nat.h` beside it. Each
//! expression has all the attributes that the kernel shows of it, in its order, so that what is there can
//! be compared with what should be.

use super::attribute::Attributes;

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFT_REG_VERDICT: u32 = 0;

/// Where a packet's fields are counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// The frame.
    Link = 0, // NFT_PAYLOAD_LL_HEADER
    /// The IP packet, or the ARP message.
    Network = 1, // NFT_PAYLOAD_NETWORK_HEADER
    /// The TCP or UDP header.
    Transport = 2, // NFT_PAYLOAD_TRANSPORT_HEADER
}

/// What the kernel knows of a packet besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meta {
    InputName = 6,  // NFT_META_IIFNAME
    OutputName = 7, // NFT_META_OIFNAME
    Family = 15,    // NFT_META_NFPROTO
    Protocol = 16,  // NFT_META_L4PROTO
}

/// What the kernel knows of a packet's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    State = 0,           // NFT_CT_STATE
    Direction = 1,       // NFT_CT_DIRECTION
    Status = 2,          // NFT_CT_STATUS
    Destination = 20,    // NFT_CT_DST_IP
    DestinationIp6 = 22, // NFT_CT_DST_IP6
}

/// How a register is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal = 0,    // NFT_CMP_EQ
    NotEqual = 1, // NFT_CMP_NEQ
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Drop = 0,   // NF_DROP
    Accept = 1, // NF_ACCEPT
}

/// How a sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreachable {
    /// `ICMP_PORT_UNREACH`, linux/icmp.h.
    Ip = 3,
    /// `ICMPV6_PORT_UNREACH`, linux/icmpv6.h.
    Ip6 = 4,
}

/// One expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// Loads what the kernel knows into a register.
    LoadMeta(Meta, u32),
    /// Loads bytes of the packet into a register.
    LoadPayload { base: Base, offset: u32, length: u32, register: u32 },
    /// Loads what the kernel knows of the connection into the first register.
    LoadConnection(Connection),
    /// Masks the first register.
    Mask(Vec<u8>),
    /// Goes on with the rule only if the first register compares so.
    Compare(Comparison, Vec<u8>),
    /// Goes on only if what begins at the first register is in the set.
    Lookup(&'static str),
    /// Loads a value into a register.
    Load(u32, Vec<u8>),
    /// Ends the chain.
    Verdict(Verdict),
    /// Counts.
    Count,
    /// Ends it with an ICMP error.
    Reject(Unreachable),
    /// Ends it, and a TCP connection.
    Reset,
    /// Sends to the address in the first register and the port in the second.
    Redirect { family: u32 },
}

/// The first register, and the one behind it: 16 bytes each (`NFT_REG_1`, `NFT_REG_2`).
pub(super) const FIRST: u32 = 1;
pub(super) const SECOND: u32 = 2;

impl Expression {
    /// An element of a list of expressions.
    pub(super) fn append_to(&self, list: Attributes) -> Attributes {
        let (name, data) = self.data();
        let own = Attributes::new().text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, &data);
        list.nest(NFTA_LIST_ELEM, &own)
    }

    fn data(&self) -> (&'static str, Attributes) {
        let new = Attributes::new;
        match self {
            // NFTA_META_DREG, _KEY
            Self::LoadMeta(key, register) => {
                ("meta", new().number(1, *register).number(2, *key as u32))
            }
            // NFTA_PAYLOAD_DREG, _BASE, _OFFSET, _LEN
            Self::LoadPayload { base, offset, length, register } => (
                "payload",
                new()
                    .number(1, *register)
                    .number(2, *base as u32)
                    .number(3, *offset)
                    .number(4, *length),
            ),
            Self::LoadConnection(key) => ("ct", connection(*key)),
            Self::Mask(mask) => ("bitwise", bitwise(mask)),
            // NFTA_CMP_SREG, _OP, _DATA
            Self::Compare(how, with) => {
                ("cmp", new().number(1, FIRST).number(2, *how as u32).nest(3, &value(with)))
            }
            // NFTA_LOOKUP_SET, _SREG, _FLAGS
            Self::Lookup(set) => ("lookup", new().text(1, set).number(2, FIRST).number(5, 0)),
            // NFTA_IMMEDIATE_DREG, _DATA
            Self::Load(register, bytes) => {
                ("immediate", new().number(1, *register).nest(2, &value(bytes)))
            }
            Self::Verdict(verdict) => {
                let code = new().number(NFTA_VERDICT_CODE, *verdict as u32);
                let data = new().nest(NFTA_DATA_VERDICT, &code);
                ("immediate", new().number(1, NFT_REG_VERDICT).nest(2, &data))
            }
            // Without numbers: from zero. And whatever it has counted is no difference.
            Self::Count => ("counter", new()),
            Self::Reject(how) => ("reject", reject(*how)),
            // NFTA_REJECT_TYPE: NFT_REJECT_TCP_RST
            Self::Reset => ("reject", new().number(1, 1)),
            Self::Redirect { family } => ("nat", nat(*family)),
        }
    }
}

fn value(bytes: &[u8]) -> Attributes {
    Attributes::new().put(NFTA_DATA_VALUE, bytes)
}

/// `NFTA_CT_DREG`, `_KEY`, and where there are two of it, `_DIRECTION`: `IP_CT_DIR_ORIGINAL`.
fn connection(key: Connection) -> Attributes {
    let load = Attributes::new().number(1, FIRST).number(2, key as u32);
    match key {
        Connection::Destination | Connection::DestinationIp6 => load.byte(3, 0),
        _ => load,
    }
}

/// `NFTA_BITWISE_SREG`, `_DREG`, `_LEN`, `_MASK`, `_XOR` (with nothing), `_OP` (`NFT_BITWISE_BOOL`; since
/// Linux 5.6).
fn bitwise(mask: &[u8]) -> Attributes {
    let length = u32::try_from(mask.len()).unwrap_or(u32::MAX);
    let registers = Attributes::new().number(1, FIRST).number(2, FIRST).number(3, length);
    registers.number(6, 0).nest(4, &value(mask)).nest(5, &value(&vec![0; mask.len()]))
}

/// `NFTA_REJECT_TYPE` (`NFT_REJECT_ICMP_UNREACH`), `_ICMP_CODE`.
fn reject(how: Unreachable) -> Attributes {
    Attributes::new().number(1, 0).byte(2, how as u8)
}

/// `NFTA_NAT_TYPE` (`NFT_NAT_DNAT`), `_FAMILY`, `_REG_ADDR_MIN`, `_MAX`, `_REG_PROTO_MIN`, `_MAX`, `_FLAGS`
/// (`NF_NAT_RANGE_MAP_IPS`, `_PROTO_SPECIFIED`).
fn nat(family: u32) -> Attributes {
    let range = Attributes::new().number(1, 1).number(2, family).number(3, FIRST).number(4, FIRST);
    range.number(5, SECOND).number(6, SECOND).number(7, 1 | 2)
}
