//! The registration files, read as podman and CRI-O read them (oci-hooks(5), schema 1.0.0): one
//! malformed file makes them fail every container.

use oci_awsvpc_hook::config::Config;
use regex::Regex;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    version: String,
    hook: Hook,
    when: When,
    stages: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hook {
    path: String,
    args: Vec<String>,
    timeout: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    annotations: BTreeMap<String, String>,
}

fn registration(stage: &str) -> Registration {
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/hooks.d/oci-awsvpc-hook-{stage}.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("there")).expect("valid")
}

#[test]
fn each_stage_is_registered_for_itself() {
    for stage in ["prestart", "poststop"] {
        let Registration { version, hook, stages, .. } = registration(stage);
        assert_eq!(version, "1.0.0");
        assert_eq!(hook.path, "/usr/libexec/oci/hooks.d/oci-awsvpc-hook");
        assert_eq!(hook.args, ["oci-awsvpc-hook", stage]);
        assert_eq!(stages, [stage]);
        // A killed hook cannot roll back: ours must be the earlier deadline.
        assert!(hook.timeout > Config::default().deadline_seconds);
    }
}

#[test]
fn only_pause_containers_match() {
    for stage in ["prestart", "poststop"] {
        let annotations = registration(stage).when.annotations;
        let (key, value) = annotations.first_key_value().expect("one");
        let (key, value) = (Regex::new(key).expect("valid"), Regex::new(value).expect("valid"));
        let detect = Config::default().detect;
        assert!(
            annotations.len() == 1
                && key.is_match(&detect.annotation)
                && value.is_match(&detect.value)
        );
        for other in [
            "com-amazonaws-ecs-container-name",
            "x.com.amazonaws.ecs.container-name",
            "com.amazonaws.ecs.container-name.x",
        ] {
            assert!(!key.is_match(other), "{other}");
        }
        for other in ["~internal~ecs~pause2", "my~internal~ecs~pause", "web", ""] {
            assert!(!value.is_match(other), "{other}");
        }
    }
}
