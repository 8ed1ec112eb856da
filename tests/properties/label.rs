//! What is written into aliases, and what is read from them.

use crate::{checks, steps::MAX_ALIAS, strategies};
use oci_awsvpc_hook::testing::{Label, short_id};
use proptest::prelude::*;

/// Nearly what we write: each part may be off.
fn nearly_an_alias() -> impl Strategy<Value = String> {
    let parts = (
        "awsvpc|awsvpc|AWSVPC|\\PC{0,3}",
        "container=[a-z0-9~_+.-]{0,9}|container=\\PC{0,9}|id=a",
        "eni=0[0-3]:5[aA]:a1:1a:43:42|eni=[0-9a-f:]{0,18}",
        "name=eth[0-9]|name=[!-~]{0,16}",
        "mtu=[0-9]{0,11}|mtu=[+-]1",
        "netns=[0-9]{0,21}(/[0-9]{0,9})?|netns=0x1",
        " | |  |\n|",
    );
    parts.prop_map(|(magic, id, eni, name, mtu, netns, space)| {
        [magic, id, eni, name, mtu, netns].join(&space)
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_and_fits(label in strategies::label()) {
        let alias = label.to_string();
        prop_assert!(alias.len() <= MAX_ALIAS, "{} bytes", alias.len());
        prop_assert_eq!(Label::parse(&alias), Some(label));
    }

    #[test]
    fn a_short_id_is_kept_and_no_long_one_looks_like_it(id in strategies::id()) {
        let short = short_id(&id);
        prop_assert_eq!(short == id, id.len() <= 32);
        prop_assert_eq!(short.contains('~'), id.len() > 32);
    }

    #[test]
    fn ids_stay_distinct(id in strategies::id(), more in "[a-z0-9]") {
        prop_assert_ne!(short_id(&id), short_id(&(id + &more)));
    }

    #[test]
    fn anything_may_stand_there(alias in "\\PC*") {
        checks::alias(alias.as_bytes());
    }

    #[test]
    fn nearly_right_may_stand_there(alias in nearly_an_alias()) {
        checks::alias(alias.as_bytes());
    }

    #[test]
    fn one_character_may_be_off(label in strategies::label(), at: prop::sample::Index, with: char) {
        let mut alias: Vec<char> = label.to_string().chars().collect();
        let at = at.index(alias.len());
        alias[at] = with;
        checks::alias(alias.into_iter().collect::<String>().as_bytes());
    }
}
