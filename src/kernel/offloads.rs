//! The offloads of a link, as `ethtool -k` shows them and `ethtool -K` changes them (Linux 5.8).

use crate::{
    kernel::{
        attributes::attributes,
        error::Answer,
        ethtool::{Ethtool, malformed, nest, number},
        socket::Raw,
    },
    net::offloads::{Features, Offloads},
};
use rtnetlink::packet_core::DefaultNla;

// linux/ethtool_netlink.h and, there since Linux 6.15, linux/ethtool_netlink_generated.h.
const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
const ETHTOOL_FLAG_COMPACT_BITSETS: u32 = 1;
const ETHTOOL_FLAG_OMIT_REPLY: u32 = 2;
const ETHTOOL_A_FEATURES_HW: u16 = 2;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_BITSET_SIZE: u16 = 2;
const ETHTOOL_A_BITSET_VALUE: u16 = 4;
const ETHTOOL_A_BITSET_MASK: u16 = 5;

/// What the kernel tells of a link's offloads.
///
/// # Errors
/// The kernel's; ENODEV where there is no such link, EOPNOTSUPP before Linux 5.8.
pub fn features(ethtool: &Ethtool, index: u32) -> Answer<Features> {
    let answer = ethtool.get(ETHTOOL_MSG_FEATURES_GET, index, ETHTOOL_FLAG_COMPACT_BITSETS)?;
    read(&answer).ok_or_else(malformed)
}

/// Wants those of the masked offloads that are in `wanted`, and not the others of them.
///
/// # Errors
/// The kernel's; EINVAL where it cannot change one of them.
pub fn want(ethtool: &Ethtool, index: u32, wanted: Offloads, mask: Offloads) -> Answer<()> {
    let set = vec![bitset(wanted, mask)];
    ethtool.change(ETHTOOL_MSG_FEATURES_SET, index, ETHTOOL_FLAG_OMIT_REPLY, set)
}

/// No longer than it must be: Linux 5.10 refuses bits that it does not have even where they are not in the mask.
fn bitset(wanted: Offloads, mask: Offloads) -> DefaultNla {
    let size = u128::BITS - mask.0.leading_zeros();
    let bytes = 4 * size.div_ceil(u32::BITS) as usize;
    let words = |kind, offloads| DefaultNla::new(kind, words_of(offloads)[..bytes].to_vec());
    let parts = [
        number(ETHTOOL_A_BITSET_SIZE, size),
        words(ETHTOOL_A_BITSET_VALUE, Offloads(wanted.0 & mask.0)),
        words(ETHTOOL_A_BITSET_MASK, mask),
    ];
    nest(ETHTOOL_A_FEATURES_WANTED, &parts)
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

fn read(answer: &Raw) -> Option<Features> {
    let message = Ethtool::message_of(answer)?;
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
    use rtnetlink::packet_core::Emitable;

    #[test]
    fn a_set_is_what_the_kernel_documents() {
        let sent = |wanted, mask| {
            let set = bitset(Offloads(wanted), Offloads(mask));
            let mut bytes = vec![0; set.buffer_len()];
            set.emit(&mut bytes);
            bytes
        };
        let words = |kind, words: &[u32]| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            attribute(kind, &bytes)
        };
        let size = |bits: u32| attribute(2, &bits.to_ne_bytes());
        let small = [size(3), words(4, &[4]), words(5, &[4])];
        assert_eq!(sent(5, 4), attribute(0x8003, &small.concat()));
        let large = [size(33), words(4, &[0, 1]), words(5, &[4, 1])];
        assert_eq!(sent(0x1_0000_0000, 0x1_0000_0004), attribute(0x8003, &large.concat()));
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
        let answer = |payload: &[u8]| read(&Raw { kind: 20, payload: payload.to_owned() });
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
