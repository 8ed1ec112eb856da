//! The records of tasks: elements of a set in a table of their own, so that installing rules anew leaves
//! them alone. `nft list table inet oci_awsvpc_tasks` shows them, each in a comment.
//!
//! Making one whose key is there fails, so a record is also the lock on its ENI. `nft flush ruleset` deletes
//! them; then the labels on tasks' ports say the same, and `gc` writes the records again.
//!
//! All of this works in the thread's own namespace, which is the instance's.

use super::{
    attribute::{Attributes, attribute, attributes},
    install::is_unsupported,
    message::{self, Message},
    rule::Family,
    socket::Netfilter,
};
use crate::{
    kernel::error::Answer,
    net::mac::Mac,
    task::record::{MAX_LEN, Record},
};
use nix::errno::Errno;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};

pub(super) const TABLE: &str = "oci_awsvpc_tasks";
const SET: &str = "tasks";

/// The type of keys, in the numbering of the program `nft` (`TYPE_ETHERADDR`, datatype.h).
const TYPE_ETHERADDR: u32 = 9;

/// What nft shows as a comment (`NFTNL_UDATA_SET_ELEM_COMMENT`, libnftnl/udata.h).
const COMMENT: u8 = 0;

const NFTA_SET_ELEM_USERDATA: u16 = 6;

/// The records, by one socket. The kernel makes whoever closes it wait until what was deleted is really gone
/// (`nft_rcv_nl_event`, `net/netfilter/nf_tables_api.c`: 20 ms): so it is closed at the end, when other deletions
/// have taken that long.
///
/// A kernel without `nf_tables` keeps none: then the labels on tasks' ports are all there is.
#[derive(Debug)]
pub struct Records(pub(super) Option<Netfilter>);

impl Records {
    /// Opens them.
    pub fn open() -> Answer<Self> {
        match Netfilter::open() {
            Err(error) if is_unsupported(&error) => Ok(Self(None)),
            opened => opened.map(|socket| Self(Some(socket))),
        }
    }

    /// Whether the kernel keeps any.
    pub fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Makes the record of an ENI.
    ///
    /// # Errors
    /// EEXIST where there is one; EMSGSIZE where it is too long.
    pub fn add(&self, record: &Record) -> Answer<()> {
        self.put(record, creation())
    }

    /// Makes a record in the place of the one that is there, so that at no moment there is none.
    ///
    /// # Errors
    /// ENOENT where there is none; EMSGSIZE where it is too long.
    pub fn replace(&self, record: &Record) -> Answer<()> {
        self.put(record, vec![deletion(record.label.eni.bytes())])
    }

    fn put(&self, record: &Record, before: Vec<Message>) -> Answer<()> {
        if record.to_string().len() > MAX_LEN {
            return Err(Errno::EMSGSIZE.into());
        }
        let messages = [before, vec![addition(record)]].concat();
        self.0.as_ref().map_or(Ok(()), |socket| socket.commit(messages, None))
    }

    /// The record of an ENI.
    pub fn of(&self, eni: Mac) -> Answer<Option<Record>> {
        let Some(socket) = &self.0 else { return Ok(None) };
        let found = socket.get(&[get(eni.bytes())])?;
        Ok(found.into_iter().flatten().flat_map(|list| records(&list)).next())
    }

    /// All records.
    pub fn all(&self) -> Answer<Vec<Record>> {
        let Some(socket) = &self.0 else { return Ok(Vec::new()) };
        let request = Message::new(message::GETSETELEM, NLM_F_DUMP, Family::Inet, place());
        match socket.dump(&request) {
            Err(error) if error.errno == Errno::ENOENT => Ok(Vec::new()),
            dump => Ok(dump?.iter().flat_map(|list| records(list)).collect()),
        }
    }

    /// Deletes the record of an ENI, if there is one.
    pub fn delete(&self, eni: Mac) -> Answer<()> {
        let Some(socket) = &self.0 else { return Ok(()) };
        match socket.commit(vec![deletion(eni.bytes())], None) {
            Err(error) if error.errno == Errno::ENOENT => Ok(()),
            deleted => deleted,
        }
    }
}

/// The table and the set, if they are not there.
pub(super) fn creation() -> Vec<Message> {
    let table = Attributes::new().text(message::NFTA_TABLE_NAME, TABLE);
    let set = Attributes::new()
        .text(message::NFTA_SET_TABLE, TABLE)
        .text(message::NFTA_SET_NAME, SET)
        .number(message::NFTA_SET_KEY_TYPE, TYPE_ETHERADDR)
        .number(message::NFTA_SET_KEY_LEN, 6)
        .number(message::NFTA_SET_ID, 1);
    let create = |kind, attributes| Message::new(kind, NLM_F_CREATE, Family::Inet, attributes);
    vec![create(message::NEWTABLE, table), create(message::NEWSET, set)]
}

fn addition(record: &Record) -> Message {
    element(record.label.eni.bytes(), &record.to_string())
}

/// A new element with a comment.
pub(super) fn element(mac: [u8; 6], text: &str) -> Message {
    let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
    let comment = [&[COMMENT, length][..], text.as_bytes(), &[0]].concat();
    let element = key(mac).put(NFTA_SET_ELEM_USERDATA, &comment);
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    Message::new(message::NEWSETELEM, flags, Family::Inet, list(&element))
}

/// Asks for an element.
pub(super) fn get(mac: [u8; 6]) -> Message {
    Message::new(message::GETSETELEM, 0, Family::Inet, list(&key(mac)))
}

/// Deletes an element.
pub(super) fn deletion(mac: [u8; 6]) -> Message {
    Message::new(message::DELSETELEM, 0, Family::Inet, list(&key(mac)))
}

fn place() -> Attributes {
    Attributes::new()
        .text(message::NFTA_SET_ELEM_LIST_TABLE, TABLE)
        .text(message::NFTA_SET_ELEM_LIST_SET, SET)
}

fn list(element: &Attributes) -> Attributes {
    let list = Attributes::new().nest(message::NFTA_LIST_ELEM, element);
    place().nest(message::NFTA_SET_ELEM_LIST_ELEMENTS, &list)
}

fn key(mac: [u8; 6]) -> Attributes {
    let value = Attributes::new().put(message::NFTA_DATA_VALUE, &mac);
    Attributes::new().nest(message::NFTA_SET_ELEM_KEY, &value)
}

/// The records in a list of elements. What somebody else put there is passed over.
fn records(list: &[u8]) -> Vec<Record> {
    commented(list).filter_map(|(key, text)| record(key, text)).collect()
}

fn record(key: &[u8], text: &str) -> Option<Record> {
    let (eni, record) = (Mac::from_bytes(key)?, Record::parse(text)?);
    (record.label.eni == eni).then_some(record)
}

/// The elements in a list that have a comment: their keys and that.
pub(super) fn commented(list: &[u8]) -> impl Iterator<Item = (&[u8], &str)> {
    let elements = attribute(list, message::NFTA_SET_ELEM_LIST_ELEMENTS).unwrap_or_default();
    attributes(elements).filter_map(|(_, element)| {
        let key = attribute(element, message::NFTA_SET_ELEM_KEY)?;
        let comment = attribute(element, NFTA_SET_ELEM_USERDATA)?;
        let text = comment.strip_prefix(&[COMMENT])?.get(1..)?.strip_suffix(&[0])?;
        Some((attribute(key, message::NFTA_DATA_VALUE)?, std::str::from_utf8(text).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_from_what_is_sent_and_from_nothing_else() {
        let text = "awsvpc container=c eni=02:5a:a1:1a:43:42 name=eth1 mtu=9001 netns=1 port=ecsa9feac0c \
                    bridge=ecs-bridge";
        let record = Record::parse(text).expect("a record");
        let sent = addition(&record);
        assert_eq!(records(sent.bytes_of_attributes()), [record]);
        let other: Mac = "02:5a:a1:1a:43:43".parse().expect("a MAC");
        assert_eq!(records(list(&key(other.bytes())).bytes()), []);
    }
}
