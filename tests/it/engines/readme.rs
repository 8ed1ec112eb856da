//! The commands of the README and of `docs/engines.md`, as they stand there, and the samples in
//! `packaging/engines`.

use super::{containerd, docker};
use crate::fixtures::{ENI_MAC, Machine, annotations, eventually};
use serde_json::Value;
use std::path::Path;

const README: &str = include_str!("../../../README.md");
const ENGINES: &str = include_str!("../../../docs/engines.md");

/// The blocks of one language in a section of a page.
fn blocks(page: &'static str, section: &str, language: &str) -> Vec<&'static str> {
    let begin = page.find(&format!("\n{section}\n")).expect("the section is there");
    let rest = &page[begin + 1 + section.len()..];
    let section = &rest[..rest.find("\n##").expect("it is not the last one")];
    let fence = format!("\n```{language}\n");
    section
        .split(&fence)
        .skip(1)
        .map(|block| block.split_once("\n```").expect("it ends").0)
        .collect()
}

/// The commands of the README: what sets `$task`, and what uses it.
fn readme() -> [&'static str; 2] {
    blocks(README, "## A task under podman", "sh").try_into().expect("two blocks")
}

/// Runs commands one after the other; each of them must succeed.
fn run(machine: &Machine, commands: &[&str]) {
    let shown = machine.run(&format!("set -eu\n{}", commands.join("\n")));
    for part in ["ecs-eth0", "eth0@", ENI_MAC, "inet 10.0.0.5/24"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    eventually("no port", || machine.instance.ports().is_empty());
}

#[test]
#[ignore = "needs real root: drives podman"]
fn the_commands_for_podman() {
    let machine = Machine::new();
    machine.run("tar -C /run/rootfs -c . | podman import - busybox");
    run(&machine, &readme());
}

#[test]
#[ignore = "needs real root: drives runc"]
fn the_commands_for_runc() {
    let machine = Machine::new();
    machine.bundle("/run/pause", &["/bin/sleep", "1000"], |spec| {
        spec["annotations"] = annotations();
    });
    run(&machine, &[blocks(ENGINES, "## runc and crun", "sh")[0]]);
    // And the hooks that it would have been given by hand.
    let given: Value = machine.read("/run/pause/config.json").parse().expect("JSON");
    let by_hand: Value = sample("hooks.json").parse().expect("JSON");
    assert_eq!(given["hooks"], by_hand);
}

#[test]
#[ignore = "needs real root: drives containerd"]
fn the_commands_for_containerd() {
    let machine = Machine::new();
    let _daemon = containerd::start(&machine);
    run(&machine, &[readme()[0], blocks(ENGINES, "## containerd", "sh")[0]]);
}

#[test]
#[ignore = "needs real root: drives Docker"]
fn the_commands_for_docker() {
    let machine = Machine::new();
    let _daemon = docker::start(&machine);
    let docker = blocks(ENGINES, "## Docker", "sh");
    let mut commands = vec![readme()[0], docker[0]];
    if !docker::annotates(&machine) {
        let config = "runtime.annotations-from-environment = true\n";
        machine.write("/etc/oci-awsvpc-hook/config.toml", config);
        commands.insert(1, docker[1]);
    }
    run(&machine, &commands);
}

#[test]
fn the_page_shows_the_sample_for_docker() {
    let [shown] = blocks(ENGINES, "## Docker", "json")[..] else { panic!("one block of JSON") };
    let [shown, shipped] =
        [shown, &sample("daemon.json")].map(|text| text.parse::<Value>().expect("JSON"));
    assert_eq!(shown, shipped);
}

#[test]
#[ignore = "needs real root: drives containerd"]
fn containerd_reads_its_samples() {
    let machine = Machine::new();
    // What jq is to do.
    let mut spec: Value = machine.run("ctr oci spec").parse().expect("JSON");
    spec["hooks"] = sample("hooks.json").parse().expect("JSON");
    machine.write("/etc/containerd/awsvpc.json", &spec.to_string());
    for (name, part) in [
        ("containerd.toml", "BinaryName = \"/usr/bin/oci-awsvpc-runtime\""),
        ("containerd-base-spec.toml", "base_runtime_spec = \"/etc/containerd/awsvpc.json\""),
    ] {
        machine.write("/etc/containerd/config.toml", &sample(name));
        let read = machine.run("containerd config dump");
        let runtime = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.awsvpc]";
        let (_, own) = read.split_once(runtime).expect("the runtime");
        assert!(own.contains(part) && own.contains("com.amazonaws.ecs.*"), "{name}: {own}");
    }
}

#[test]
fn the_other_samples_are_toml() {
    for (name, key) in [("crio.conf", "crio"), ("containerd-nri.toml", "plugins")] {
        let table: toml::Table = sample(name).parse().expect(name);
        assert!(table.contains_key(key), "{name}");
    }
}

/// A file of `packaging/engines`.
fn sample(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/engines");
    std::fs::read_to_string(Path::new(folder).join(name)).expect(name)
}
