//! Rootless runc and crun: they run as root of a user namespace, and so does the hook, on the instance's network.

use crate::fixtures::{Machine, annotations};
use serde_json::{Value, json};

/// Calls the hook, and keeps what it says: crun throws that away.
const RECORDER: &str = r#"#!/bin/busybox sh
/usr/libexec/oci/hooks.d/oci-awsvpc-hook "$1" 2>>/run/said
"#;

/// A bundle as `runc spec --rootless` makes it, for a user namespace that is there already.
fn bundle(machine: &Machine, annotations: &Value) {
    machine.bundle("/run/bundle", &["/bin/sh", "-c", "exit 5"], |spec| {
        let linux = spec["linux"].as_object_mut().expect("an object");
        linux.remove("resources");
        let namespaces = linux["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
        let mounts = spec["mounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| mount["destination"] == "/proc");
        spec["annotations"] = annotations.clone();
        let hook = |stage| json!([{"path": "/run/recorder", "args": ["recorder", stage]}]);
        spec["hooks"] = json!({"createRuntime": hook("createRuntime")});
    });
}

#[test]
#[ignore = "needs real root: drives runc and crun"]
fn a_task_is_told_what_is_needed_and_others_start() {
    let machine = Machine::new();
    machine.write("/run/recorder", RECORDER);
    machine.run("chmod 755 /run/recorder");
    for runtime in
        ["runc --root /run/rootless", "crun --root /run/rootless --cgroup-manager disabled"]
    {
        let run = format!(
            "rm -f /run/said; unshare --user --map-root-user --mount {runtime} run --bundle /run/bundle it"
        );
        bundle(&machine, &json!({"a": "b"}));
        let output = machine.try_run(&run);
        assert_eq!(output.status.code(), Some(5), "{runtime}: {output:?}");
        assert_eq!(machine.read("/run/said"), "", "{runtime}");
        bundle(&machine, &annotations());
        machine.fail(&run);
        let said = machine.read("/run/said");
        assert_eq!(said.lines().count(), 1, "{runtime}: {said}");
        for part in ["createRuntime: container it: ", "the way back", "a rootless engine"] {
            assert!(said.contains(part), "{runtime}: {part}: {said}");
        }
        machine.instance.assert_home();
    }
}
