//! The rows: what is known of runc, crun, podman on runc, and podman on crun.

use super::{Container, POSTSTOP, SETUP, row};
use nix::sys::signal::Signal;
use serde_json::{Map, Value};
use std::time::Instant;

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn the_state_at_setup() {
    row(
        |machine, caller| {
            let container = Container::start(machine, caller, &[SETUP]);
            let state = container.state("setup");
            let keys: Vec<&str> =
                state.as_object().expect("an object").keys().map(String::as_str).collect();
            let own = if state["pid"] == container.pid() { "its" } else { "another" };
            container.remove();
            format!("{}, {own} pid, with {}", state["status"], keys.join(" "))
        },
        [
            r#""creating", its pid, with annotations bundle id ociVersion pid status"#,
            r#""created", its pid, with annotations bundle id ociVersion pid root status"#,
            r#""creating", its pid, with annotations bundle id ociVersion pid status"#,
            r#""created", its pid, with annotations bundle id ociVersion pid root status"#,
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn the_state_at_poststop() {
    row(
        |machine, caller| {
            let container = Container::start(machine, caller, &[SETUP, POSTSTOP]);
            container.remove();
            let (before, state) = (container.state("setup"), container.state("poststop"));
            let count = |state: &Value| state["annotations"].as_object().map_or(0, Map::len);
            let ours = state["annotations"]["a"] == "1" && state["annotations"]["b"] == "2";
            let fewer = if count(&state) < count(&before) { "fewer" } else { "all" };
            let ours = if ours { "with ours" } else { "without ours" };
            format!("{}, pid {}, {fewer} annotations, {ours}", state["status"], state["pid"])
        },
        [
            r#""stopped", pid null, all annotations, with ours"#,
            r#""stopped", pid 0, all annotations, with ours"#,
            r#""stopped", pid null, fewer annotations, with ours"#,
            r#""stopped", pid null, fewer annotations, with ours"#,
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn poststop_after_a_failed_setup() {
    row(
        |machine, caller| {
            let hooks = [SETUP, ("prestart", "second fail"), POSTSTOP];
            let container = Container::start(machine, caller, &hooks);
            assert!(container.shown.is_err());
            container.remove();
            container.calls()
        },
        ["setup, second, poststop", "setup, second", "setup, second", "setup, second"],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn a_poststop_that_fails() {
    row(
        |machine, caller| {
            let hooks = [("poststop", "first fail"), POSTSTOP];
            let container = Container::start(machine, caller, &hooks);
            let removed = if container.remove() { "removed" } else { "not removed" };
            container.remove();
            format!("{}; {removed}", container.calls())
        },
        [
            "first; removed",
            "first, poststop; removed",
            "first, poststop; removed",
            "first, poststop; removed",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn the_environment() {
    row(
        |machine, caller| {
            let hooks = [SETUP, POSTSTOP];
            let container = Container::start_with(machine, caller, &hooks, "MARK=1", |_| ());
            container.remove();
            ["setup", "poststop"]
                .map(|hook| {
                    let environ = container.record(hook, "environ");
                    let has = |name: &str| environ.lines().any(|line| line.starts_with(name));
                    let kind = match (has("MARK="), has("PATH="), environ.is_empty()) {
                        (true, true, _) => "the caller's",
                        (_, _, true) => "empty",
                        (_, true, _) => "another with PATH",
                        _ => "another without PATH",
                    };
                    format!("{hook}: {kind}")
                })
                .join(", ")
        },
        [
            "setup: the caller's, poststop: the caller's",
            "setup: the caller's, poststop: the caller's",
            "setup: another with PATH, poststop: empty | setup: the caller's, poststop: empty",
            "setup: another with PATH, poststop: empty | setup: the caller's, poststop: empty",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn the_working_directory() {
    row(
        |machine, caller| {
            let container = Container::start(machine, caller, &[SETUP, POSTSTOP]);
            container.remove();
            let bundle = container.state("setup")["bundle"].as_str().expect("a bundle").to_owned();
            ["setup", "poststop"]
                .map(|hook| match container.record(hook, "cwd") {
                    cwd if cwd == bundle => format!("{hook}: bundle"),
                    cwd if cwd == "/run" => format!("{hook}: caller's"),
                    cwd => format!("{hook}: {cwd}"),
                })
                .join(", ")
        },
        [
            "setup: bundle, poststop: caller's",
            "setup: bundle, poststop: bundle",
            "setup: bundle, poststop: caller's | setup: bundle, poststop: bundle",
            "setup: bundle, poststop: caller's | setup: bundle, poststop: bundle",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn what_becomes_of_what_the_hook_says() {
    row(
        |machine, caller| {
            let container = Container::start(machine, caller, &[("prestart", "setup fail")]);
            let shown = container.shown.as_ref().expect_err("it fails");
            let shown = if shown.contains("words of the hook") { "shown" } else { "not shown" };
            container.remove();
            let fds = container.record("setup", "fds");
            let kinds: Vec<&str> =
                fds.split_whitespace().filter_map(|fd| fd.split(':').next()).collect();
            format!("{}; {shown}", kinds.join(" "))
        },
        [
            "1=pipe 2=pipe; shown",
            "1=/dev/null 2=/dev/null; not shown",
            "1=pipe 2=pipe; shown",
            "1=/dev/null 2=/dev/null; not shown",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn a_hook_that_takes_too_long() {
    row(
        |machine, caller| {
            // Its child holds its stdout and stderr for 5 s; its time is up after 2.
            let begin = Instant::now();
            let container = Container::start(machine, caller, &[("prestart", "setup hang")]);
            let seconds = begin.elapsed().as_secs();
            let shown = if container.shown.is_err() { "fails" } else { "starts" };
            container.remove();
            let when = if seconds < 4 { "at once" } else { "when its child ends" };
            format!("{shown}, {when}")
        },
        [
            "fails, when its child ends",
            "fails, at once",
            "fails, when its child ends",
            "fails, at once",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn whether_sigterm_is_blocked() {
    row(
        |machine, caller| {
            let container = Container::start(machine, caller, &[SETUP, POSTSTOP]);
            container.remove();
            ["setup", "poststop"]
                .map(|hook| {
                    let signals = container.record(hook, "signals");
                    let blocked = signals.lines().find_map(|line| line.strip_prefix("SigBlk:"));
                    let bits = u64::from_str_radix(blocked.expect("a mask").trim(), 16);
                    let term = 1 << (Signal::SIGTERM as u32 - 1);
                    let kind =
                        if bits.expect("hexadecimal") & term == 0 { "free" } else { "blocked" };
                    format!("{hook}: {kind}")
                })
                .join(", ")
        },
        [
            "setup: free, poststop: free",
            "setup: blocked, poststop: free",
            "setup: free, poststop: free",
            "setup: blocked, poststop: free",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn both_names_of_the_stage() {
    row(
        |machine, caller| {
            let hooks = [("createRuntime", "createRuntime"), ("prestart", "prestart")];
            let container = Container::start(machine, caller, &hooks);
            container.remove();
            container.calls()
        },
        [
            "prestart, createRuntime",
            "prestart, createRuntime",
            "prestart, createRuntime | createRuntime, prestart",
            "prestart, createRuntime | createRuntime, prestart",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn when_sysctls_are_set() {
    row(
        |machine, caller| {
            let container = Container::start(machine, caller, &[SETUP]);
            let forward = container.record("setup", "forward");
            container.remove();
            if forward == "0" { "after setup" } else { "before setup" }.to_owned()
        },
        ["after setup", "before setup", "after setup", "before setup"],
    );
}
