//! Tables as netlink messages: requests to make them, and to ask for them.
//!
//! Constants are those of `linux/netfilter/nfnetlink.h` and `nf_tables.h` beside it.

use super::{
    attribute::{Attributes, attribute},
    compile::{append_key, compile},
    rule::{Chain, Element, Family, Hook, Kind, Set, TABLE, Table},
};
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST};

const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
const NFNL_BATCH_GENID: u16 = 1;

pub(super) const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
pub(super) const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const GETCHAIN: u16 = 4;
const NEWRULE: u16 = 6;
const GETRULE: u16 = 7;
pub(super) const NEWSET: u16 = 9;
const GETSET: u16 = 10;
pub(super) const NEWSETELEM: u16 = 12;
pub(super) const GETSETELEM: u16 = 13;
pub(super) const DELSETELEM: u16 = 14;
const GETGEN: u16 = 16;

const NFTA_GEN_ID: u16 = 1;

pub(super) const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_HOOK_DEV: u16 = 3;
pub(super) const NFTA_RULE_TABLE: u16 = 1;
pub(super) const NFTA_RULE_CHAIN: u16 = 2;
pub(super) const NFTA_RULE_EXPRESSIONS: u16 = 4;
pub(super) const NFTA_SET_TABLE: u16 = 1;
pub(super) const NFTA_SET_NAME: u16 = 2;
pub(super) const NFTA_SET_KEY_TYPE: u16 = 4;
pub(super) const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DESC: u16 = 9;
const NFTA_SET_DESC_SIZE: u16 = 1;
pub(super) const NFTA_SET_ID: u16 = 10;
pub(super) const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
pub(super) const NFTA_SET_ELEM_LIST_SET: u16 = 2;
pub(super) const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
pub(super) const NFTA_LIST_ELEM: u16 = 1;
pub(super) const NFTA_SET_ELEM_KEY: u16 = 1;
pub(super) const NFTA_DATA_VALUE: u16 = 1;
const NF_ACCEPT: u32 = 1;

/// How many elements go into one message: all of their bytes must be less than 65,531.
const ELEMENTS: usize = 1000;

/// A request, or the beginning or end of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    kind: u16,
    flags: u16,
    family: u8,
    resource: u16,
    attributes: Attributes,
}

impl Message {
    pub(super) fn new(kind: u16, flags: u16, family: Family, attributes: Attributes) -> Self {
        let kind = NFNL_SUBSYS_NFTABLES << 8 | kind;
        Self { kind, flags, family: number(family), resource: 0, attributes }
    }

    #[cfg(test)]
    pub(super) fn bytes_of_attributes(&self) -> &[u8] {
        self.attributes.bytes()
    }

    /// The beginning or end of a transaction.
    fn bracket(kind: u16, attributes: Attributes) -> Self {
        let resource = NFNL_SUBSYS_NFTABLES;
        Self { kind, flags: 0, family: 0, resource, attributes }
    }

    /// The message with its headers: `struct nlmsghdr`, linux/netlink.h, and `struct nfgenmsg`.
    pub(super) fn append_to(&self, bytes: &mut Vec<u8>) {
        let attributes = self.attributes.bytes();
        bytes.extend(u32::try_from(20 + attributes.len()).unwrap_or(u32::MAX).to_ne_bytes());
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend((NLM_F_REQUEST | self.flags).to_ne_bytes());
        bytes.extend([0; 8]); // sequence number and port
        bytes.extend([self.family, 0]); // NFNETLINK_V0
        bytes.extend(self.resource.to_be_bytes());
        bytes.extend(attributes);
    }
}

/// Our tables of these families go, and these come.
pub(super) fn replacement(old: &[Family], tables: &[Table]) -> Vec<Message> {
    let mut messages: Vec<Message> =
        old.iter().map(|family| Message::new(DELTABLE, 0, *family, table_name())).collect();
    messages.extend(tables.iter().flat_map(creation));
    messages
}

/// Messages as one transaction, with one answer for all of them, if they are all right. If something has
/// changed since the generation that was seen, ERESTART.
pub(super) fn transaction(mut messages: Vec<Message>, seen: Option<u32>) -> Vec<Message> {
    if let Some(last) = messages.last_mut() {
        last.flags |= NLM_F_ACK;
    }
    let begin = Attributes::new();
    let begin = seen.map_or(begin.clone(), |seen| begin.number(NFNL_BATCH_GENID, seen));
    messages.insert(0, Message::bracket(NFNL_MSG_BATCH_BEGIN, begin));
    messages.push(Message::bracket(NFNL_MSG_BATCH_END, Attributes::new()));
    messages
}

fn creation(table: &Table) -> Vec<Message> {
    let family = table.family;
    let create = |kind, attributes| Message::new(kind, NLM_F_CREATE, family, attributes);
    let mut messages = vec![create(NEWTABLE, self::table())];
    for (number, set) in (1..).zip(&table.sets) {
        messages.push(create(NEWSET, self::set(set).number(NFTA_SET_ID, number)));
        let some = set.elements.chunks(ELEMENTS);
        messages.extend(some.map(|some| create(NEWSETELEM, elements(set, some))));
    }
    messages.extend(table.chains.iter().map(|chain| create(NEWCHAIN, self::chain(chain))));
    for chain in &table.chains {
        messages.extend(chain.rules.iter().map(|rule| {
            let place =
                Attributes::new().text(NFTA_RULE_TABLE, TABLE).text(NFTA_RULE_CHAIN, chain.name);
            let rule = place.nest(NFTA_RULE_EXPRESSIONS, &compile(rule, family));
            Message::new(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, family, rule)
        }));
    }
    messages
}

/// Asks for the number of the last transaction.
pub(super) fn get_generation() -> Message {
    Message::new(GETGEN, 0, Family::Inet, Attributes::new())
}

/// The number in the kernel's answer.
pub(super) fn generation(answer: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(attribute(answer, NFTA_GEN_ID)?.try_into().ok()?))
}

/// Asks for the table of a family.
pub(super) fn get_table(family: Family) -> Message {
    Message::new(GETTABLE, 0, family, table_name())
}

/// Asks for a chain.
pub(super) fn get_chain(family: Family, chain: &Chain) -> Message {
    let name = Attributes::new().text(NFTA_CHAIN_TABLE, TABLE).text(NFTA_CHAIN_NAME, chain.name);
    Message::new(GETCHAIN, 0, family, name)
}

/// Asks for a set, without what is in it.
pub(super) fn get_set(family: Family, set: &Set) -> Message {
    let name = Attributes::new().text(NFTA_SET_TABLE, TABLE).text(NFTA_SET_NAME, set.name);
    Message::new(GETSET, 0, family, name)
}

/// Asks for all rules of a family's table.
pub(super) fn get_rules(family: Family) -> Message {
    Message::new(GETRULE, NLM_F_DUMP, family, Attributes::new().text(NFTA_RULE_TABLE, TABLE))
}

/// Asks for what is in a set.
pub(super) fn get_elements(family: Family, set: &Set) -> Message {
    Message::new(GETSETELEM, NLM_F_DUMP, family, elements_of(set))
}

/// Asks for one element of a set.
pub(super) fn get_element(family: Family, set: &Set, element: &Element) -> Message {
    Message::new(GETSETELEM, 0, family, elements(set, std::slice::from_ref(element)))
}

fn table_name() -> Attributes {
    Attributes::new().text(NFTA_TABLE_NAME, TABLE)
}

/// A table, and what is to be seen of it. It is not `NFT_TABLE_F_DORMANT`.
pub(super) fn table() -> Attributes {
    table_name().number(NFTA_TABLE_FLAGS, 0)
}

/// A chain, and what is to be seen of it.
pub(super) fn chain(chain: &Chain) -> Attributes {
    let (kind, hook) = (
        match chain.kind {
            Kind::Filter => "filter",
            Kind::Nat => "nat",
        },
        &chain.hook,
    );
    // NF_INET_PRE_ROUTING (and NF_BR_), _LOCAL_IN, _FORWARD, _LOCAL_OUT; NF_NETDEV_EGRESS.
    let number = match hook {
        Hook::Prerouting => 0,
        Hook::Input | Hook::Egress(_) => 1,
        Hook::Forward => 2,
        Hook::Output => 3,
    };
    let mut place = Attributes::new()
        .number(NFTA_HOOK_HOOKNUM, number)
        .put(NFTA_HOOK_PRIORITY, &chain.priority.to_be_bytes());
    if let Hook::Egress(link) = hook {
        place = place.text(NFTA_HOOK_DEV, link.as_str());
    }
    Attributes::new()
        .text(NFTA_CHAIN_TABLE, TABLE)
        .text(NFTA_CHAIN_NAME, chain.name)
        .nest(NFTA_CHAIN_HOOK, &place)
        .number(NFTA_CHAIN_POLICY, NF_ACCEPT)
        .text(NFTA_CHAIN_TYPE, kind)
}

/// A set, and what is to be seen of it. The type is for people only: six bits for each part, as nft numbers
/// them (`enum datatypes`, include/datatype.h in nftables).
pub(super) fn set(set: &Set) -> Attributes {
    const IPADDR: u32 = 7;
    const IP6ADDR: u32 = 8;
    const ETHERADDR: u32 = 9;
    const IFNAME: u32 = 41;
    let size = u32::try_from(set.elements.len()).unwrap_or(u32::MAX);
    let (address, length) = if set.is_ipv4 { (IPADDR, 4) } else { (IP6ADDR, 16) };
    Attributes::new()
        .text(NFTA_SET_TABLE, TABLE)
        .text(NFTA_SET_NAME, set.name)
        .number(NFTA_SET_KEY_TYPE, IFNAME << 12 | ETHERADDR << 6 | address)
        .number(NFTA_SET_KEY_LEN, 16 + 8 + length)
        .nest(NFTA_SET_DESC, &Attributes::new().number(NFTA_SET_DESC_SIZE, size))
}

/// What is to be seen of all elements of a set.
pub(super) fn elements_of(set: &Set) -> Attributes {
    Attributes::new().text(NFTA_SET_ELEM_LIST_TABLE, TABLE).text(NFTA_SET_ELEM_LIST_SET, set.name)
}

fn elements(set: &Set, some: &[Element]) -> Attributes {
    let mut key = Vec::new();
    let list = some.iter().fold(Attributes::new(), |list, element| {
        key.clear();
        append_key(*element, &mut key);
        list.nested(&[NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE], &key)
    });
    elements_of(set).nest(NFTA_SET_ELEM_LIST_ELEMENTS, &list)
}

/// linux/netfilter.h
fn number(family: Family) -> u8 {
    match family {
        Family::Inet => 1,   // NFPROTO_INET
        Family::Netdev => 5, // NFPROTO_NETDEV
        Family::Bridge => 7, // NFPROTO_BRIDGE
    }
}
