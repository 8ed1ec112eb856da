//! The program `nft`: missing, failing, hanging.

use super::{chains, ruleset};
use crate::fixtures::{Call, Instance, Pause, hook};
use std::time::{Duration, Instant};

/// Runs a call where each folder that has `nft` is empty, or has `script` for it.
fn with_nft(call: Call, script: Option<&str>) -> Call {
    let replace = script.map_or(String::new(), |script| {
        format!("printf '#!/bin/sh\\n{script}\\n' >$place && chmod 755 $place || exit 99; ")
    });
    let hide = format!(
        "for place in /usr/sbin/nft /sbin/nft /usr/bin/nft /usr/local/sbin/nft; do \
             [ -x $place ] || continue; mount -t tmpfs none ${{place%/*}} || exit 99; {replace} \
         done; exec \"$@\""
    );
    call.through(&["unshare", "--mount", "sh", "-c", &hide, "sh"])
}

const ALL_OFF: &str = "[host]\nredirect = false\nfilter = false\nsource-checks = false\n";

/// Asserts that a task cannot start and that nothing has changed; gives the error.
fn refused(script: Option<&str>) -> String {
    let (instance, pause) = (Instance::new(), Pause::new());
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    let line = with_nft(pause.call("prestart"), script).on(&instance).badly();
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
    assert_eq!(ruleset(&instance), "");
    line
}

#[test]
fn without_nft_the_error_says_what_to_do() {
    let line = refused(None);
    let part = "installing nftables rules on the instance: there is no /usr/sbin/nft: install the nftables \
                package, or switch off redirect, filter and source-checks in [host] of config.toml";
    assert!(line.contains(part), "{line}");
}

#[test]
fn without_nft_all_works_where_no_rules_are_wanted() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let call = |call: Call| with_nft(call.config(&folder, ALL_OFF), None);
    let report = call(hook("host-setup")).on(&instance).report();
    assert_eq!(report, "bridge ecs-bridge is created\n");
    call(pause.call("prestart")).on(&instance).silently();
    assert_eq!(call(hook("gc")).on(&instance).report(), "nothing to do\n");
    call(pause.call("poststop")).on(&instance).well();
    let report = call(hook("host-teardown")).on(&instance).report();
    assert_eq!(report, "bridge ecs-bridge is deleted\n");
}

#[test]
fn without_nft_all_works_where_the_rules_are_there() {
    let (instance, pause) = (Instance::new(), Pause::new());
    hook("host-setup").on(&instance).report();
    with_nft(pause.call("prestart"), None).on(&instance).silently();
    with_nft(pause.call("poststop"), None).on(&instance).well();
    assert_eq!(chains(&instance.netns).len(), 6);
}

#[test]
fn what_nft_says_is_in_the_error() {
    let line = refused(Some("echo Error: not today >&2; echo more >&2; exit 1"));
    assert!(line.trim_end().ends_with("/usr/sbin/nft: Error: not today"), "{line}");
    let line = refused(Some("kill -9 $$"));
    assert!(line.contains("/usr/sbin/nft: signal: 9 (SIGKILL)"), "{line}");
}

#[test]
fn an_nft_that_hangs_is_given_up() {
    let begin = Instant::now();
    let line = refused(Some("cat >/dev/null; exec sleep 60"));
    assert!(line.contains("/usr/sbin/nft did not end in 10 s"), "{line}");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}
