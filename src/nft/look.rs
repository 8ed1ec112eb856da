//! Whether our rules are there, unchanged: every rule as a whole, and every element of every set. Whatever somebody
//! did to them is seen. Only a task that starts looks for no other elements than its own: half a millisecond for
//! all thousand would be lost at each start, and without the others' no task has more than it should.

use super::{
    attribute::{attribute, attributes, includes, same, text},
    compile::{append_key, compile},
    message::{self, Message},
    rule::{Element, Family, Set, TABLE, Table},
    ruleset::Ruleset,
    socket::Netfilter,
};
use crate::{kernel::error::Answer, task::lease::Lease};
use nix::errno::Errno;
use std::collections::BTreeSet;

/// What is there of a ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All of it, and nothing else in our tables.
    Whole,
    /// Tables of ours, but not as they should be.
    Changed,
    /// No table of ours.
    Absent,
}

/// Which elements of sets are looked for.
#[derive(Clone, Copy, Debug)]
pub enum Leases<'a> {
    /// All, and that there are no others.
    All,
    /// Those of these leases.
    These(&'a BTreeSet<Lease>),
}

/// Looks whether exactly these rules are there, in this thread's namespace.
///
/// # Errors
/// The kernel has no nftables, or does not let us ask.
pub fn look(ruleset: &Ruleset, leases: Leases<'_>) -> Answer<State> {
    look_over(&Netfilter::open()?, ruleset, leases)
}

/// The same, over a socket.
pub(super) fn look_over(
    netfilter: &Netfilter,
    ruleset: &Ruleset,
    leases: Leases<'_>,
) -> Answer<State> {
    let state = look_at_objects(netfilter, ruleset, leases)?;
    if state != State::Whole {
        return Ok(state);
    }
    for table in &ruleset.tables {
        if !has_rules(netfilter, table)? {
            return Ok(State::Changed);
        }
        for set in table.sets.iter().filter(|_| matches!(leases, Leases::All)) {
            if !has_elements(netfilter, table.family, set)? {
                return Ok(State::Changed);
            }
        }
    }
    Ok(State::Whole)
}

/// Whether any table of ours is there, of one of these families, in this thread's namespace.
///
/// # Errors
/// The kernel has no nftables, or does not let us ask.
pub fn has_any(families: &[Family]) -> Answer<bool> {
    let (present, _) = present(&Netfilter::open()?, families)?;
    Ok(!present.is_empty())
}

/// Those of these families that a table of ours is there of; and in which generation.
pub(super) fn present(netfilter: &Netfilter, families: &[Family]) -> Answer<(Vec<Family>, u32)> {
    let tables = families.iter().copied().map(message::get_table);
    let requests: Vec<Message> = [message::get_generation()].into_iter().chain(tables).collect();
    let mut answers = netfilter.get(&requests)?.into_iter();
    let generation = answers.next().flatten().as_deref().and_then(message::generation);
    let families = families.iter().zip(answers).filter(|(_, there)| there.is_some());
    Ok((families.map(|(family, _)| *family).collect(), generation.ok_or(Errno::EPROTO)?))
}

/// Tables, chains and sets, as far as they can be seen without what is in them, and the elements of some leases.
fn look_at_objects(netfilter: &Netfilter, ruleset: &Ruleset, leases: Leases<'_>) -> Answer<State> {
    let (mut requests, mut expected) = (Vec::new(), Vec::new());
    for family in ruleset.families {
        let wanted = ruleset.tables.iter().any(|table| table.family == *family);
        requests.push(message::get_table(*family));
        expected.push(wanted.then(message::table));
    }
    for Table { family, sets, chains } in &ruleset.tables {
        requests.extend(chains.iter().map(|chain| message::get_chain(*family, chain)));
        expected.extend(chains.iter().map(|chain| Some(message::chain(chain))));
        requests.extend(sets.iter().map(|set| message::get_set(*family, set)));
        expected.extend(sets.iter().map(|set| Some(message::set(set))));
        let Leases::These(leases) = leases else { continue };
        for set in sets {
            let some = set.elements.iter().filter(|element| leases.contains(&element.lease));
            for element in some {
                requests.push(message::get_element(*family, set, element));
                expected.push(Some(message::elements_of(set)));
            }
        }
    }
    let answers = netfilter.get(&requests)?;
    let is_whole = answers.iter().zip(&expected).all(|pair| match pair {
        (Some(there), Some(wanted)) => includes(there, wanted.bytes()),
        (None, None) => true,
        _ => false,
    });
    Ok(match is_whole {
        true => State::Whole,
        false if answers.iter().any(Option::is_some) => State::Changed,
        false => State::Absent,
    })
}

/// All rules of a table: in the chains that they should be in, in order, and no others.
fn has_rules(netfilter: &Netfilter, table: &Table) -> Answer<bool> {
    let there = netfilter.dump(&message::get_rules(table.family))?;
    // Kernels before 4.10 show other tables' too.
    let of_ours = |rule: &&Vec<u8>| text(rule, message::NFTA_RULE_TABLE) == Some(TABLE.as_bytes());
    let mut there = there.iter().filter(of_ours);
    for chain in &table.chains {
        for rule in &chain.rules {
            let is_same = there.next().is_some_and(|there| {
                let expressions =
                    attribute(there, message::NFTA_RULE_EXPRESSIONS).unwrap_or_default();
                text(there, message::NFTA_RULE_CHAIN) == Some(chain.name.as_bytes())
                    && same(expressions, compile(rule, table.family).bytes())
            });
            if !is_same {
                return Ok(false);
            }
        }
    }
    Ok(there.next().is_none())
}

/// All elements of a set, which the kernel shows in an order of its own, and we have in that of their ports' names.
fn has_elements(netfilter: &Netfilter, family: Family, set: &Set) -> Answer<bool> {
    let dump = netfilter.dump(&message::get_elements(family, set))?;
    let lists =
        dump.iter().filter_map(|part| attribute(part, message::NFTA_SET_ELEM_LIST_ELEMENTS));
    let key = |element| {
        let key = attribute(element, message::NFTA_SET_ELEM_KEY)?;
        attribute(key, message::NFTA_DATA_VALUE)
    };
    let there = lists.flat_map(attributes).map(|(_, element)| key(element).unwrap_or_default());
    let mut there: Vec<&[u8]> = there.collect();
    there.sort_unstable_by_key(|key| port(key));
    let mut wanted = Vec::new();
    let is_same = |(there, element): (&&[u8], &Element)| {
        wanted.clear();
        append_key(*element, &mut wanted);
        **there == wanted
    };
    Ok(there.len() == set.elements.len() && there.iter().zip(&set.elements).all(is_same))
}

/// Of a port's name, the eight digits in which it differs from others: as one number, which sorts fast.
fn port(key: &[u8]) -> u64 {
    let digits = key.get(3..11).and_then(|digits| digits.try_into().ok());
    digits.map_or(0, u64::from_be_bytes)
}
