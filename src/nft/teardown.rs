//! `host-teardown` against tasks that start: which of the two comes first is decided by the kernel, which makes one
//! transaction after the other.
//!
//! A task that starts makes its record, and looks afterwards whether what it relies on is there still. And what all
//! tasks share is taken away in the order: the rules, if there is no task's record, and in the same transaction a
//! notice comes; the bridge; the notice. So whoever makes a record finds the notice, or that the rules are gone, or
//! keeps the rules and the bridge from being taken away.
//!
//! The notice is an element among the records, whose comment says which process takes the bridge away. One that was
//! killed keeps nobody waiting.

use super::{
    attribute::Attributes,
    look::present,
    message::{self, Message},
    records::{Records, TABLE, commented, creation, deletion, element, get},
    rule::Family,
    ruleset::INSTANCE,
};
use crate::{kernel::error::Answer, net::process::Process};
use nix::errno::Errno;

/// The notice's key, which no interface has for its address.
const NOTICE: [u8; 6] = [0; 6];

/// What the notice begins with.
const WORD: &str = "teardown by ";

/// How often anybody has changed anything about nftables; 0 where there are none.
pub fn generation(records: &Records) -> Answer<u32> {
    let Some(socket) = &records.0 else { return Ok(0) };
    let answers = socket.get(&[message::get_generation()])?;
    let generation = answers.into_iter().flatten().next();
    Ok(generation.as_deref().and_then(message::generation).ok_or(Errno::EPROTO)?)
}

/// Removes the instance's rules and puts the notice there, unless something has changed since `seen`: then
/// false.
pub fn begin(records: &Records, by: Process, seen: u32) -> Answer<bool> {
    let Some(socket) = &records.0 else { return Ok(true) };
    let (rules, _) = present(socket, INSTANCE)?;
    let mut messages = message::replacement(&rules, &[]);
    messages.extend(creation());
    if relied_upon(records, &[])?.0.is_some() {
        messages.push(deletion(NOTICE));
    }
    messages.push(element(NOTICE, &format!("{WORD}{by}")));
    unless_changed(socket.commit(messages, Some(seen)))
}

/// Removes the notice; and where there is no record, all that is left of ours. Unless something has changed
/// since `seen`: then false.
pub fn end(records: &Records, seen: u32) -> Answer<bool> {
    let Some(socket) = &records.0 else { return Ok(true) };
    let messages = if records.all()?.is_empty() {
        let (rules, _) = present(socket, INSTANCE)?;
        let table = Attributes::new().text(message::NFTA_TABLE_NAME, TABLE);
        let deletion = Message::new(message::DELTABLE, 0, Family::Inet, table);
        [message::replacement(&rules, &[]), vec![deletion]].concat()
    } else {
        vec![deletion(NOTICE)]
    };
    match unless_changed(socket.commit(messages, Some(seen))) {
        Err(error) if error.errno == Errno::ENOENT => Ok(true),
        ended => ended,
    }
}

/// What a start relies on: the process that takes the bridge away, if one has left a notice; and whether the
/// instance's tables of these families are there.
pub fn relied_upon(records: &Records, families: &[Family]) -> Answer<(Option<Process>, bool)> {
    let Some(socket) = &records.0 else { return Ok((None, true)) };
    let tables = families.iter().copied().map(message::get_table);
    let requests: Vec<Message> = [get(NOTICE)].into_iter().chain(tables).collect();
    let mut answers = socket.get(&requests)?.into_iter();
    let notice = answers.next().flatten();
    let by = notice.as_deref().and_then(|notice| {
        let (_, text) = commented(notice).find(|(key, _)| *key == NOTICE)?;
        text.strip_prefix(WORD)?.parse().ok()
    });
    Ok((by, answers.all(|table| table.is_some())))
}

/// False: somebody changed something in the meantime.
fn unless_changed(committed: Answer<()>) -> Answer<bool> {
    match committed {
        Err(error) if error.errno == Errno::ERESTART => Ok(false),
        committed => committed.map(|()| true),
    }
}
