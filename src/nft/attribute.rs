//! Netlink attributes, as nftables has them: numbers in network byte order, text with its NUL.

use rtnetlink::packet_core::{NLA_F_NESTED, NLA_TYPE_MASK, NlasIterator};

/// A row of attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// One more. Whoever makes more than 65,531 bytes of one must cut it before.
    pub(super) fn put(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.put(kind, &value.to_be_bytes())
    }

    pub(super) fn byte(self, kind: u16, value: u8) -> Self {
        self.put(kind, &[value])
    }

    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        self.put(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// One in another in another: a whole row for each would take most of the time where there are a thousand.
    /// The value's length is a multiple of four.
    pub(super) fn nested(mut self, kinds: &[u16], value: &[u8]) -> Self {
        for (depth, kind) in (1..).zip(kinds) {
            let inner = kinds.len() - depth;
            let length = u16::try_from(4 * (1 + inner) + value.len()).unwrap_or(u16::MAX);
            let mark = if inner > 0 { NLA_F_NESTED } else { 0 };
            self.0.extend(length.to_ne_bytes());
            self.0.extend((kind | mark).to_ne_bytes());
        }
        self.0.extend(value);
        self
    }

    pub(super) fn nest(self, kind: u16, inner: &Self) -> Self {
        self.put(kind | NLA_F_NESTED, &inner.0)
    }
}

/// The attributes in a message: kind, whether it says that there are others in it, and value, as far as
/// they can be made out.
fn read(bytes: &[u8]) -> impl Iterator<Item = (u16, bool, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).filter_map(|nla| {
        let kind = u16::from_ne_bytes(nla.into_inner().get(2..4)?.try_into().ok()?);
        let value = nla.into_inner().get(4..usize::from(nla.length()))?;
        Some((kind & NLA_TYPE_MASK, kind & NLA_F_NESTED != 0, value))
    })
}

/// The attributes in a message, each with its kind.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    read(bytes).map(|(kind, _, value)| (kind, value))
}

/// The value of the first attribute of a kind.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(other, _)| *other == kind).map(|(_, value)| value)
}

/// An attribute that is text, without its NUL.
pub(super) fn text(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attribute(bytes, kind)?.strip_suffix(&[0])
}

/// Whether the kernel's attributes say all that ours do, in any order. It may say more: handles, how often an
/// object is used.
pub(super) fn includes(theirs: &[u8], ours: &[u8]) -> bool {
    read(ours).all(|(kind, is_nest, value)| {
        attribute(theirs, kind)
            .is_some_and(|their| if is_nest { includes(their, value) } else { their == value })
    })
}

/// Whether the kernel's attributes are ours: those of one kind in the same order, as in a list. What we leave
/// empty may be anything. And it may say more only by kinds beyond all that we know of, as later kernels do.
pub(super) fn same(theirs: &[u8], ours: &[u8]) -> bool {
    let mut matched = 0_u64;
    let mut last = 0;
    for (kind, is_nest, value) in read(ours) {
        let mut candidates = (0..u64::BITS).zip(attributes(theirs));
        let is_next = |number: u32, other| !is_set(matched, number) && other == kind;
        let Some((number, (_, their))) =
            candidates.find(|(number, (other, _))| is_next(*number, *other))
        else {
            return false;
        };
        let is_same = if is_nest { value.is_empty() || same(their, value) } else { their == value };
        if !is_same {
            return false;
        }
        matched |= 1 << number;
        last = last.max(kind);
    }
    // In a list, all are of one kind: one more is no addition, but a difference.
    let others = (0..).zip(attributes(theirs)).filter(|(number, _)| !is_set(matched, *number));
    others.into_iter().all(|(_, (kind, _))| kind > last)
}

fn is_set(bits: u64, number: u32) -> bool {
    bits.checked_shr(number).is_some_and(|bits| bits & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel writes it: without the mark on what has others in it.
    fn kernels(inner: &Attributes) -> Attributes {
        Attributes::new().put(1, inner.bytes()).number(2, 7)
    }

    #[test]
    fn the_same_is_the_same_with_and_without_the_mark_of_a_nest() {
        let ours = |inner: &Attributes| Attributes::new().nest(1, inner).number(2, 7);
        let (one, other) = (Attributes::new().number(1, 5), Attributes::new().number(1, 6));
        assert!(same(kernels(&one).bytes(), ours(&one).bytes()));
        assert!(!same(kernels(&other).bytes(), ours(&one).bytes()));
        let turned = Attributes::new().number(2, 7).put(1, one.bytes());
        assert!(same(turned.bytes(), ours(&one).bytes()), "in any order");
        assert!(same(kernels(&other).bytes(), ours(&Attributes::new()).bytes()), "anything");
    }

    #[test]
    fn more_is_allowed_only_after_the_last_that_is_known() {
        let ours = Attributes::new().number(1, 5).number(3, 7);
        let later = ours.clone().number(4, 9);
        let between = Attributes::new().number(1, 5).number(2, 9).number(3, 7);
        assert!(same(later.bytes(), ours.bytes()));
        assert!(!same(between.bytes(), ours.bytes()));
        assert!(!same(ours.bytes(), later.bytes()), "less is not the same");
        assert!(includes(between.bytes(), ours.bytes()) && !includes(ours.bytes(), later.bytes()));
        let list = Attributes::new().number(1, 5);
        assert!(!same(list.clone().number(1, 5).bytes(), list.bytes()), "an element more");
        let (up, down) = (list.clone().number(1, 6), Attributes::new().number(1, 6).number(1, 5));
        assert!(!same(up.bytes(), down.bytes()), "a list has an order");
    }

    #[test]
    fn a_nest_can_be_made_in_one_go() {
        let value = Attributes::new().put(3, b"1234");
        let nest = Attributes::new().nest(1, &Attributes::new().nest(2, &value));
        assert_eq!(Attributes::new().nested(&[1, 2, 3], b"1234"), nest);
    }

    #[test]
    fn torn_attributes_are_no_attributes() {
        let whole = Attributes::new().text(3, "input");
        assert_eq!(text(whole.bytes(), 3), Some(&b"input"[..]));
        assert_eq!(text(&whole.bytes()[..6], 3), None);
        assert_eq!(attributes(&[200, 0, 1, 0, 65]).count(), 0);
    }
}
