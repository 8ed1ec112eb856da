//! Whether our rules are there, unchanged: every rule as a whole, and every element of every set. No number, mark
//! or memory stands for them, so whatever somebody did to them is seen. It takes a fifth of a millisecond.

use super::{
    attribute::{attribute, attributes, includes, same, text},
    message::{self, Message},
    rule::{Family, Set, TABLE, Table},
    ruleset::Ruleset,
    socket::Netfilter,
};
use crate::kernel::error::Answer;

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

/// Looks whether exactly these rules are there, in this thread's namespace.
///
/// # Errors
/// The kernel has no nftables, or does not let us ask.
pub fn look(ruleset: &Ruleset) -> Answer<State> {
    let netfilter = Netfilter::open()?;
    let state = look_at_objects(&netfilter, ruleset)?;
    if state != State::Whole {
        return Ok(state);
    }
    for table in &ruleset.tables {
        if !has_rules(&netfilter, table)? {
            return Ok(State::Changed);
        }
        for set in &table.sets {
            if !has_elements(&netfilter, table.family, set)? {
                return Ok(State::Changed);
            }
        }
    }
    Ok(State::Whole)
}

/// Those of these families that a table of ours is there of, in this thread's namespace.
///
/// # Errors
/// The kernel has no nftables, or does not let us ask.
pub fn present(families: &[Family]) -> Answer<Vec<Family>> {
    let requests: Vec<Message> = families.iter().copied().map(message::get_table).collect();
    let there = Netfilter::open()?.get(&requests)?;
    let families = families.iter().zip(there).filter(|(_, there)| there.is_some());
    Ok(families.map(|(family, _)| *family).collect())
}

/// Tables, chains and sets, as far as they can be seen without what is in them.
fn look_at_objects(netfilter: &Netfilter, ruleset: &Ruleset) -> Answer<State> {
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
                    && same(expressions, rule.compile(table.family).bytes())
            });
            if !is_same {
                return Ok(false);
            }
        }
    }
    Ok(there.next().is_none())
}

/// All elements of a set, which the kernel shows in an order of its own.
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
    let mut wanted: Vec<Vec<u8>> = set.elements.iter().map(|element| element.key()).collect();
    there.sort_unstable();
    wanted.sort_unstable();
    Ok(there == wanted)
}
