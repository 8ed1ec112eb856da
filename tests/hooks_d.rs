//! The registration files, read as podman and CRI-O read them (oci-hooks(5), schema 1.0.0): one
//! malformed file makes them fail every container. So the packages are made only if this holds.

// In a test, a panic is what says that something is wrong.
#![allow(clippy::expect_used)]

use oci_awsvpc_hook::testing::Config;
use regex::Regex;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Stricter than the engines, who ignore keys that they do not know: what is misspelt is a condition
/// less, and the hook is called for every container.
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

/// Every file that is installed, by its name, which must end in what the engines look for.
fn registrations() -> BTreeMap<String, Registration> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks.d");
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_str().expect("text").to_owned();
        assert!(path.extension().is_some_and(|extension| extension == "json"), "{name}");
        let text = fs::read_to_string(path).expect("text");
        let registration = serde_json::from_str(&text);
        (name.clone(), registration.unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    let files = fs::read_dir(folder).expect("a folder");
    let all: BTreeMap<_, _> = files.map(|file| read(file.expect("a file").path())).collect();
    assert!(!all.is_empty());
    all
}

#[test]
fn each_stage_is_registered_for_itself() {
    for (name, Registration { version, hook, stages, .. }) in registrations() {
        assert_eq!(version, "1.0.0", "{name}");
        let [stage] = stages.as_slice() else { panic!("{name}: {stages:?}") };
        assert!(["prestart", "createRuntime", "poststop"].contains(&stage.as_str()), "{name}");
        let is_of_task = name == "oci-awsvpc-hook-application.json" && stage == "prestart";
        assert!(is_of_task || name == format!("oci-awsvpc-hook-{stage}.json"), "{name}");
        assert_eq!(hook.path, "/usr/libexec/oci/hooks.d/oci-awsvpc-hook");
        assert_eq!(hook.args, ["oci-awsvpc-hook", stage]);
        // A killed hook cannot roll back: ours must be the earlier deadline.
        assert!(hook.timeout > Config::default().deadline_seconds, "{name}");
    }
}

#[test]
fn both_ends_of_a_task_are_registered() {
    let stages: Vec<_> = registrations().into_values().flat_map(|one| one.stages).collect();
    assert!(stages.iter().any(|stage| stage == "prestart" || stage == "createRuntime"));
    assert!(stages.iter().any(|stage| stage == "poststop"));
}

#[test]
fn only_containers_of_tasks_match() {
    for (name, registration) in registrations() {
        let annotations = registration.when.annotations;
        assert_eq!(annotations.len(), 1, "{name}");
        let (key, value) = annotations.first_key_value().expect("one");
        let (key, value) = (Regex::new(key).expect("valid"), Regex::new(value).expect("valid"));
        let detect = Config::default().detect;
        assert!(key.is_match(&detect.annotation), "{name}");
        let is_for_pause = !name.contains("application");
        assert_eq!(value.is_match(&detect.value), is_for_pause, "{name}");
        for application in ["web", "Web-1_a", "a"] {
            assert_eq!(value.is_match(application), !is_for_pause, "{name}: {application}");
        }
        for other in [
            "com-amazonaws-ecs-container-name",
            "x.com.amazonaws.ecs.container-name",
            "com.amazonaws.ecs.container-name.x",
        ] {
            assert!(!key.is_match(other), "{name}: {other}");
        }
        for other in ["~internal~ecs~pause2", "my~internal~ecs~pause", "a b", "a/b", "a.b", ""] {
            assert!(!value.is_match(other), "{name}: {other}");
        }
    }
}
