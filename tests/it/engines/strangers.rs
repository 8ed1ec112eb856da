//! Containers that have nothing to do with us, under real runc and crun that call the hook for every one: whatever is
//! odd about them and the runtime itself accepts, the hook lets pass without a word.

use crate::fixtures::Machine;
use serde_json::json;
use std::collections::BTreeMap;

/// Calls the hook, and keeps what came of it: crun throws away what hooks say, and runc whether `poststop` failed.
const RECORDER: &str = r#"#!/bin/busybox sh
/usr/libexec/oci/hooks.d/oci-awsvpc-hook "$1" >>/run/said 2>&1
code=$?
echo "$1 $code" >>/run/called
exit $code
"#;

/// What is odd, the container's id, the end of its configuration, and what is done to that in shell.
struct Oddity(&'static str, &'static str, String, &'static str);

/// Not in JSON that `serde_json` would write.
const PLAIN: &str = r#","annotations":{"a":"b"}}"#;

fn oddities() -> Vec<Oddity> {
    let annotated = |what, annotations: &str| {
        Oddity(what, "it", format!(r#","annotations":{annotations}}}"#), "")
    };
    let named = |id| Oddity("an id", id, PLAIN.to_owned(), "");
    let done = |what, shell| Oddity(what, "it", PLAIN.to_owned(), shell);
    vec![
        done("nothing", ""),
        annotated("annotations that are null", "null"),
        annotated("a value that is null", r#"{"a":null}"#),
        annotated("a list", "[]"),
        annotated("a list of texts", r#"["a","b"]"#),
        annotated("twice", r#"{"a":"b"},"annotations":{"c":"d"}"#),
        annotated("a key twice", r#"{"a":"b","a":"c"}"#),
        annotated("half a character", r#"{"a":"\ud800"}"#),
        annotated("half a character in a key", r#"{"\udc00":"a"}"#),
        annotated("a zero", r#"{"a":"\u0000b"}"#),
        annotated("a key without a name", r#"{"":""}"#),
        annotated("an application's", r#"{"com.amazonaws.ecs.container-name":"web"}"#),
        annotated("1.1 MiB", &json!({"a": "v".repeat(1_150_000)}).to_string()),
        Oddity("garbage behind it", "it", format!("{PLAIN}}}}}garbage"), ""),
        Oddity("capitals", "it", PLAIN.replace("annotations", "ANNOTATIONS"), ""),
        done(
            "a value that is not UTF-8",
            r#"LC_ALL=C sed -i "s/\"b\"}/\"$(printf '\377')\"}/" config.json"#,
        ),
        done(
            "a key that is not UTF-8",
            r#"LC_ALL=C sed -i "s/\"a\":/\"$(printf '\377')\":/" config.json"#,
        ),
        done(
            "a link",
            "mv config.json /run/elsewhere.json && ln -s /run/elsewhere.json config.json",
        ),
        done("17 MiB", "head -c 17825792 /dev/zero | tr '\\0' ' ' >>config.json"),
        done(
            "a pipe",
            "mv config.json /run/piped.json && mkfifo config.json && \
             { timeout 10 cp /run/piped.json config.json >/dev/null 2>&1 & }",
        ),
        named("web:1"),
        named("web@1"),
        named("web 1"),
        named("w\u{e9}b"),
        Oddity("a long id", LONG_ID, PLAIN.to_owned(), ""),
    ]
}

const LONG_ID: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// Runs the container by a command, and asserts that the hook let it pass at every stage; false: the runtime refuses it
/// itself.
fn is_let_pass(machine: &Machine, runtime: &str, oddity: &Oddity) -> bool {
    let Oddity(what, id, end, shell) = oddity;
    machine.run("rm -rf /run/bundle /run/said /run/called");
    machine.bundle("/run/bundle", &["/bin/sh", "-c", "exit 5"], |spec| {
        let hook =
            |stage| json!([{"path": "/run/recorder", "args": ["recorder", stage], "timeout": 10}]);
        let stages = ["prestart", "createRuntime", "poststop"];
        spec["hooks"] = stages.into_iter().map(|stage| (stage, hook(stage))).collect();
    });
    let path = "/run/bundle/config.json";
    let spec = machine.read(path);
    machine.write(path, &format!("{}{end}", spec.strip_suffix('}').expect("an object")));
    if !shell.is_empty() {
        machine.run(&format!("cd /run/bundle && {shell}"));
    }
    // crun opens a pipe twice, and waits for ever.
    let line = format!("timeout 5 {runtime} run --bundle /run/bundle '{id}' 2>&1");
    let output = machine.try_run(&line);
    machine.try_run(&format!("{runtime} delete --force '{id}'"));
    let (said, called) = (machine.read("/run/said"), machine.read("/run/called"));
    assert_eq!(said, "", "{what} {id}: {runtime}");
    if output.status.code() != Some(5) {
        assert_eq!(called, "", "{what} {id}: {runtime}: {output:?}");
        return false;
    }
    assert_eq!(called, "prestart 0\ncreateRuntime 0\npoststop 0\n", "{what} {id}: {runtime}");
    assert!(output.stdout.is_empty(), "{what} {id}: {runtime}: {output:?}");
    true
}

#[test]
#[ignore = "needs real root: drives runc and crun"]
fn whatever_is_odd_about_a_container_and_the_runtime_accepts() {
    let machine = Machine::new();
    machine.write("/run/recorder", RECORDER);
    machine.run("chmod 755 /run/recorder");
    let mut accepted: BTreeMap<&str, usize> = BTreeMap::new();
    for oddity in oddities() {
        let is_accepted = |runtime: &&str| {
            let path = machine.run(&format!("command -v {runtime}"));
            let config = format!("[runtime]\npath = \"{path}\"\n");
            machine.write("/etc/oci-awsvpc-hook/config.toml", &config);
            let is_accepted = is_let_pass(&machine, runtime, &oddity);
            // The wrapper makes no difference.
            let wrapped = is_let_pass(&machine, "oci-awsvpc-runtime", &oddity);
            assert_eq!(wrapped, is_accepted, "{}: {runtime}", oddity.0);
            is_accepted
        };
        let by: Vec<&str> = ["runc", "crun"].into_iter().filter(is_accepted).collect();
        println!("{} ({}): accepted by {by:?}", oddity.0, &oddity.1[..oddity.1.len().min(9)]);
        assert!(!by.is_empty(), "no runtime accepts this: {}", oddity.0);
        for runtime in by {
            *accepted.entry(runtime).or_default() += 1;
        }
    }
    assert!(accepted.values().all(|count| *count > 15), "{accepted:?}");
    machine.instance.assert_home();
}
