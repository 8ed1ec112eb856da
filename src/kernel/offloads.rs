//! The offloads of a link, as `ethtool -k` shows them and `ethtool -K` changes them: by generic netlink
//! (Linux 5.8). <https://docs.kernel.org/networking/ethtool-netlink.html>

use crate::{
    error::KernelError,
    kernel::{
        attributes::attributes,
        error::Answer,
        socket::{Netlink, Raw},
    },
    net::offloads::{Features, Offloads},
};
use netlink_packet_generic::{
    GenlFamily, GenlHeader, GenlMessage,
    ctrl::{GenlCtrl, GenlCtrlCmd, nlas::GenlCtrlAttrs},
};
use nix::errno::Errno;
use rtnetlink::{
    packet_core::{DefaultNla, Emitable, NLA_F_NESTED, ParseableParametrized},
    sys::protocols::NETLINK_GENERIC,
};

// linux/ethtool_netlink.h and, there since Linux 6.15, linux/ethtool_netlink_generated.h.
const ETHTOOL_GENL_NAME: &str = "ethtool";
const ETHTOOL_GENL_VERSION: u8 = 1;
const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_A_HEADER_FLAGS: u16 = 3;
const ETHTOOL_FLAG_COMPACT_BITSETS: u32 = 1;
const ETHTOOL_FLAG_OMIT_REPLY: u32 = 2;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_HW: u16 = 2;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_BITSET_SIZE: u16 = 2;
const ETHTOOL_A_BITSET_VALUE: u16 = 4;
const ETHTOOL_A_BITSET_MASK: u16 = 5;

/// `struct genlmsghdr` (linux/genetlink.h), in bytes.
const GENERAL: usize = 4;

/// A socket for the links of one namespace.
#[derive(Debug)]
pub struct Ethtool {
    socket: Netlink,
    family: u16,
}

impl Ethtool {
    /// Opens one in this thread's own namespace.
    ///
    /// # Errors
    /// The kernel's; ENOENT where it has no such family.
    pub fn here() -> Answer<Self> {
        let socket = Netlink::of(NETLINK_GENERIC)?;
        let name = GenlCtrlAttrs::FamilyName(ETHTOOL_GENL_NAME.to_owned());
        let request = GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![name] };
        let answer = socket.get(&GenlMessage::from_payload(request))?;
        let family = answer.as_ref().and_then(family).ok_or_else(malformed)?;
        Ok(Self { socket, family })
    }

    /// What the kernel tells of a link's offloads.
    ///
    /// # Errors
    /// The kernel's; ENODEV where there is no such link, EOPNOTSUPP before Linux 5.8.
    pub fn features(&self, index: u32) -> Answer<Features> {
        let attributes = vec![header(index, ETHTOOL_FLAG_COMPACT_BITSETS)];
        let answer = self.socket.get(&self.message(ETHTOOL_MSG_FEATURES_GET, attributes))?;
        answer.as_ref().and_then(features).ok_or_else(malformed)
    }

    /// Wants those of the masked offloads that are in `wanted`, and not the others of them.
    ///
    /// # Errors
    /// The kernel's; EINVAL where it cannot change one of them.
    pub fn want(&self, index: u32, wanted: Offloads, mask: Offloads) -> Answer<()> {
        let attributes = vec![header(index, ETHTOOL_FLAG_OMIT_REPLY), bitset(wanted, mask)];
        self.socket.change(&self.message(ETHTOOL_MSG_FEATURES_SET, attributes), 0)
    }

    fn message(&self, command: u8, attributes: Vec<DefaultNla>) -> GenlMessage<Request> {
        let mut message = GenlMessage::from_payload(Request { command, attributes });
        message.set_resolved_family_id(self.family);
        message
    }
}

/// The offloads that are wanted of a link of this thread's own namespace, where the kernel tells.
#[must_use]
pub fn wanted(index: u32) -> Option<Offloads> {
    match Ethtool::here().and_then(|ethtool| ethtool.features(index)) {
        Ok(features) => Some(features.wanted),
        Err(error) => {
            log::debug!("looking at the offloads of link {index}: {error}");
            None
        }
    }
}

/// A request of the ethtool family.
#[derive(Debug)]
struct Request {
    command: u8,
    attributes: Vec<DefaultNla>,
}

impl GenlFamily for Request {
    fn family_name() -> &'static str {
        ETHTOOL_GENL_NAME
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        ETHTOOL_GENL_VERSION
    }
}

impl Emitable for Request {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

fn malformed() -> KernelError {
    Errno::EBADMSG.into()
}

fn header(index: u32, flags: u32) -> DefaultNla {
    let parts = [number(ETHTOOL_A_HEADER_DEV_INDEX, index), number(ETHTOOL_A_HEADER_FLAGS, flags)];
    nest(ETHTOOL_A_FEATURES_HEADER, &parts)
}

/// Bits that the kernel does not have are no error where they are not in the mask.
fn bitset(wanted: Offloads, mask: Offloads) -> DefaultNla {
    let parts = [
        number(ETHTOOL_A_BITSET_SIZE, u128::BITS),
        DefaultNla::new(ETHTOOL_A_BITSET_VALUE, words_of(Offloads(wanted.0 & mask.0))),
        DefaultNla::new(ETHTOOL_A_BITSET_MASK, words_of(mask)),
    ];
    nest(ETHTOOL_A_FEATURES_WANTED, &parts)
}

fn number(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

fn nest(kind: u16, parts: &[DefaultNla]) -> DefaultNla {
    let mut value = vec![0; parts.buffer_len()];
    parts.emit(&mut value);
    DefaultNla::new(kind | NLA_F_NESTED, value)
}

/// Words of 32 bits in the machine's own byte order, the lowest first.
fn words_of(offloads: Offloads) -> Vec<u8> {
    let words = offloads.0.to_le_bytes();
    let word = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).unwrap_or_default();
    words.chunks(4).flat_map(|bytes| word(bytes).to_ne_bytes()).collect()
}

/// The other way round. Linux 6.18 has 64 features; of more than fit, the first are kept.
fn offloads_of(words: &[u8]) -> Offloads {
    let numbers =
        words.chunks_exact(4).filter_map(|bytes| bytes.try_into().map(u32::from_ne_bytes).ok());
    let mut bits = 0;
    for (at, word) in numbers.enumerate() {
        match u128::from(word).checked_shl(u32::try_from(32 * at).unwrap_or(u32::MAX)) {
            Some(shifted) => bits |= shifted,
            None if word != 0 => log::debug!("the kernel has more than {} features", u128::BITS),
            None => {}
        }
    }
    Offloads(bits)
}

/// The number of the family in the controller's answer.
fn family(answer: &Raw) -> Option<u16> {
    let header = GenlHeader::parse(&answer.payload).ok()?;
    let payload = answer.payload.get(GENERAL..)?;
    let nlas = GenlCtrl::parse_with_param(payload, header).ok()?.nlas;
    nlas.into_iter().find_map(|nla| match nla {
        GenlCtrlAttrs::FamilyId(id) => Some(id),
        _ => None,
    })
}

fn features(answer: &Raw) -> Option<Features> {
    let message = answer.payload.get(GENERAL..)?;
    // "Can be changed" is a value, and its mask is all that there is (`features_fill_reply`,
    // net/ethtool/features.c); the others have no mask.
    let value = |kind: u16| {
        let set = attributes(message).find(|(of, _)| *of == kind)?.1;
        Some(offloads_of(attributes(set).find(|(of, _)| *of == ETHTOOL_A_BITSET_VALUE)?.1))
    };
    Some(Features {
        changeable: value(ETHTOOL_A_FEATURES_HW)?,
        wanted: value(ETHTOOL_A_FEATURES_WANTED)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attributes::attribute;
    use rtnetlink::packet_core::NetlinkSerializable;

    #[test]
    fn a_request_is_what_the_kernel_documents() {
        let attributes = vec![header(7, ETHTOOL_FLAG_OMIT_REPLY), bitset(Offloads(5), Offloads(4))];
        let request = Request { command: ETHTOOL_MSG_FEATURES_SET, attributes };
        let message = GenlMessage::from_payload(request);
        let mut bytes = vec![0; NetlinkSerializable::buffer_len(&message)];
        message.serialize(&mut bytes);
        let number = |kind, value: u32| attribute(kind, &value.to_ne_bytes());
        let words =
            |kind, low: u32| attribute(kind, &[low, 0, 0, 0].map(u32::to_ne_bytes).concat());
        let set = [number(2, 128), words(4, 4), words(5, 4)].concat();
        let expected = [
            vec![12, 1, 0, 0],
            attribute(0x8001, &[number(1, 7), number(3, 2)].concat()),
            attribute(0x8003, &set),
        ];
        assert_eq!(bytes, expected.concat());
    }

    #[test]
    fn an_answer_is_read_whatever_else_is_in_it() {
        let set = |kind: u16, words: &[u32]| {
            let value: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            let size = attribute(ETHTOOL_A_BITSET_SIZE, &64_u32.to_ne_bytes());
            attribute(kind, &[size, attribute(ETHTOOL_A_BITSET_VALUE, &value)].concat())
        };
        let parts = [set(0x8004, &[9, 9]), set(0x8002, &[3, 1]), set(0x8003, &[1, 0x8000_0000])];
        let payload = [vec![11, 1, 0, 0], parts.concat()].concat();
        let changeable = Offloads(0x1_0000_0003);
        let wanted = Offloads(0x8000_0000_0000_0001);
        let answer = |payload: &[u8]| features(&Raw { kind: 20, payload: payload.to_owned() });
        assert_eq!(answer(&payload), Some(Features { changeable, wanted }));
        for length in 0..payload.len() - 20 {
            assert_eq!(answer(&payload[..length]), None, "{length}");
        }
    }

    #[test]
    fn words_and_offloads_are_the_same() {
        for bits in [0, 1, 0x1234_5678_9abc_def0_1234_5678_9abc_def0, u128::MAX] {
            assert_eq!(offloads_of(&words_of(Offloads(bits))), Offloads(bits));
        }
        let more = [words_of(Offloads(6)), vec![1; 4]].concat();
        assert_eq!(offloads_of(&more), Offloads(6), "what fits");
    }
}
