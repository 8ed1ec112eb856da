//! What comes from outside: the container's state, its annotations, the configuration.

use crate::{checks, strategies};
use oci_awsvpc_hook::testing::{Annotations, Config, Eni, PREFIX, task_of};
use proptest::{
    collection::{btree_map, hash_map, vec},
    option,
    prelude::*,
};
use serde_json::{Value, json};

/// Any JSON, with some of the words that a state has.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}|(?s:.{0,20})".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map("(?s:.{0,8})", inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

/// A state as runtimes write it, but any field may hold anything, or be missing.
fn nearly_a_state() -> impl Strategy<Value = Value> {
    let may_be =
        |right: BoxedStrategy<Value>| option::weighted(0.9, prop_oneof![3 => right, 1 => value()]);
    let annotations = hash_map("(?s:.{0,30})", "(?s:.{0,30})", 0..4).prop_map(|map| json!(map));
    let fields = (
        may_be(prop_oneof![strategies::id(), "(?s:.{0,300})"].prop_map(Value::from).boxed()),
        may_be((-1..99_999_i64).prop_map(Value::from).boxed()),
        may_be("(/[a-z.]{0,9}){0,4}".prop_map(Value::from).boxed()),
        may_be("creating|created|running|stopped|odd".prop_map(Value::from).boxed()),
        may_be(annotations.boxed()),
    );
    fields.prop_map(|(id, pid, bundle, status, annotations)| {
        let fields = [
            ("id", id),
            ("pid", pid),
            ("bundle", bundle),
            ("status", status),
            ("annotations", annotations),
        ];
        fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    })
}

/// One of the values that annotations have, whichever they belong to, or any other.
fn annotation() -> impl Strategy<Value = String> {
    prop_oneof![
        "([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}",
        "(10\\.0\\.0\\.[0-9]{1,3}(/(8|24|30|31|32|33|0))?, ?){0,3}10\\.0\\.0\\.[1-9]{1,2}(/24)?",
        "(2001:db8::|fe80::|ff02::|::ffff:|fd00:ec2::)[0-9a-f]{0,4}(/(0|1|64|127|128|129))?",
        "eth[0-9]|lo|ecs-eth0|\\.\\.|all|[!-~]{0,17}",
        "true|false|TRUE|[0-9]{0,6}|[+-][0-9]",
        "\\PC{0,20}|(?s:.{0,20})",
    ]
}

/// What may stand behind an equals sign, and what may not.
fn toml_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "\"[^\"\n]{0,20}\"",
        "\"(10\\.0\\.0\\.[0-9]{1,2}|2001:db8::[0-9a-f]{0,2})(/[0-9]{1,3})?\"",
        "-?[0-9]{0,19}|true|false",
        "[\\[\\]{}=\\PC]{0,9}",
    ]
}

fn annotations() -> impl Strategy<Value = Annotations> {
    let key = prop_oneof![
        8 => "mac-address|(ipv4|ipv6)-addresses|subnet-gateway-(ipv4|ipv6)-address",
        4 => "interface-name|mtu|block-instance-metadata|stay-down|vlan-id|trunk-mac-address",
        1 => "(?s:.{0,20})",
    ];
    let key = key.prop_map(|key| format!("{PREFIX}{key}"));
    hash_map(key, annotation(), 0..7)
}

/// A text in JSON, some of its characters as escapes.
fn quoted(text: &str, which: u64) -> String {
    let written = |(at, character): (usize, char)| {
        if character.is_alphanumeric() && which >> (at % 64) & 1 == 0 {
            return character.to_string();
        }
        let units = character.encode_utf16(&mut [0; 2]).to_vec();
        units.into_iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()
    };
    format!("\"{}\"", text.chars().enumerate().map(written).collect::<String>())
}

proptest! {
    #[test]
    fn annotations_may_be_written_with_escapes(
        annotations in annotations(),
        value in prop_oneof![Just("~internal~ecs~pause".to_owned()), annotation()],
        which in any::<u64>(),
    ) {
        let mut annotations = annotations;
        annotations.insert("com.amazonaws.ecs.container-name".to_owned(), value);
        let member = |(key, value): (&String, &String)| {
            format!("{}:{}", quoted(key, which), quoted(value, which))
        };
        let text = format!("{{{}}}", annotations.iter().map(member).collect::<Vec<_>>().join(","));
        prop_assert_eq!(serde_json::from_str::<Annotations>(&text).expect("JSON"), annotations);
        checks::annotations(text.as_bytes());
    }

    #[test]
    fn any_bytes_may_come_as_the_state(bytes in vec(any::<u8>(), 0..200)) {
        checks::state(&bytes);
    }

    #[test]
    fn any_json_may_come_as_the_state(value in value()) {
        checks::state(value.to_string().as_bytes());
    }

    #[test]
    fn nearly_a_state_may_come(state in nearly_a_state()) {
        checks::state(state.to_string().as_bytes());
    }

    #[test]
    fn any_annotations_may_come(annotations in annotations()) {
        checks::annotations(json!(annotations).to_string().as_bytes());
    }

    #[test]
    fn one_annotation_may_be_off(
        task in strategies::task(),
        at: prop::sample::Index,
        with in option::of(annotation()),
    ) {
        let mut annotations = checks::annotations_of(&task);
        let mut keys: Vec<String> = annotations.keys().cloned().collect();
        keys.sort();
        let key = keys.swap_remove(at.index(keys.len()));
        match with {
            Some(value) => annotations.insert(key, value),
            None => annotations.remove(&key),
        };
        checks::annotations(json!(annotations).to_string().as_bytes());
    }

    #[test]
    fn every_task_can_be_asked_for(task in strategies::task()) {
        checks::sound(&task);
        let read = task_of(&checks::annotations_of(&task), &Eni::default());
        prop_assert_eq!(read.map_err(|error| error.line()), Ok(task));
    }

    #[test]
    fn any_text_may_be_the_configuration(text in "(?s:.{0,200})") {
        checks::config(text.as_bytes());
    }

    #[test]
    fn any_values_may_be_in_the_configuration(
        (table, key) in prop::sample::select(KEYS),
        value in toml_value(),
    ) {
        checks::config(format!("{table}\n{key} = {value}\n").as_bytes());
    }

    #[test]
    fn what_can_be_chosen_is_accepted(credentials in strategies::credentials()) {
        let v6 = credentials.ipv6_subnet.map(|subnet| format!("ipv6-subnet = \"{subnet}\"\n"));
        let text = format!(
            "[credentials]\nsubnet = \"{}\"\ngateway = \"{}\"\nmtu = {}\nisolation = {}\n{}",
            credentials.subnet,
            credentials.gateway,
            credentials.mtu,
            credentials.isolation,
            v6.unwrap_or_default()
        );
        checks::config(text.as_bytes());
        let read = Config::parse(&text).map(|config| config.credentials);
        prop_assert_eq!(read.map_err(|error| error.line()), Ok(credentials));
    }
}

/// Every key, with the table that it is in.
const KEYS: &[(&str, &str)] = &[
    ("", "deadline-seconds"),
    ("[detect]", "annotation"),
    ("[detect]", "value"),
    ("[eni]", "attach-timeout-seconds"),
    ("[eni]", "link-up-timeout-seconds"),
    ("[eni]", "return-timeout-seconds"),
    ("[eni]", "router-timeout-seconds"),
    ("[eni]", "router-required"),
    ("[eni]", "block-instance-metadata"),
    ("[credentials]", "bridge"),
    ("[credentials]", "subnet"),
    ("[credentials]", "gateway"),
    ("[credentials]", "endpoint"),
    ("[credentials]", "ipv6-subnet"),
    ("[credentials]", "mtu"),
    ("[credentials]", "isolation"),
    ("[host]", "redirect"),
    ("[host]", "agent"),
    ("[host]", "filter"),
    ("[host]", "open-tcp-ports"),
    ("[host]", "source-checks"),
    ("[dns]", "servers"),
    ("[dns]", "search"),
    ("[dns]", "options"),
    ("[dns]", "files"),
    ("[log]", "target"),
    ("[log]", "level"),
];
