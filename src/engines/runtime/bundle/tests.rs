use super::*;
use serde_json::Value;

const PAUSE: &str = r#""com.amazonaws.ecs.container-name": "~internal~ecs~pause""#;
const HOOK: &str = "/usr/libexec/oci/hooks.d/oci-awsvpc-hook";

fn changed(text: &str) -> Option<String> {
    registered(text, &Config::default()).expect(text)
}

fn hooks(text: &str) -> Value {
    let spec: Value = changed(text).expect(text).parse().expect(text);
    spec["hooks"].clone()
}

fn ours(stage: &str) -> Value {
    json!({"path": HOOK, "args": ["oci-awsvpc-hook", stage], "timeout": 60})
}

#[test]
fn only_containers_of_tasks_get_the_hook() {
    for text in [
        "{}",
        r#"{"annotations": null}"#,
        r#"{"annotations": {"com.amazonaws.ecs.container-name": "a b"}}"#,
        r#"{"annotations": {"com.amazonaws.ecs.container-name": null}}"#,
        r#"{"annotations": {"a": "~internal~ecs~pause"}}"#,
        r#"{"process": {"env": ["com.amazonaws.ecs.container-name=~internal~ecs~pause"]}}"#,
    ] {
        assert_eq!(changed(text), None, "{text}");
    }
    let text = format!(r#"{{"annotations": {{{PAUSE}}}}}"#);
    let expected = json!({"prestart": [ours("prestart")], "poststop": [ours("poststop")]});
    assert_eq!(hooks(&text), expected);
    let application = r#"{"annotations": {"com.amazonaws.ecs.container-name": "web"}}"#;
    assert_eq!(hooks(application), json!({"prestart": [ours("prestart")]}));
}

#[test]
fn a_second_time_changes_nothing() {
    let text = format!(r#"{{"annotations": {{{PAUSE}}}}}"#);
    let once = changed(&text).expect("changed");
    assert_eq!(changed(&once), None);
    let newer = once.replacen("\"prestart\":", "\"createRuntime\":", 1);
    assert_eq!(changed(&newer), None);
}

#[test]
fn half_a_registration_is_completed() {
    let text = format!(
        r#"{{"annotations": {{{PAUSE}}}, "hooks": {{"createRuntime": [{{"path": "{HOOK}"}}]}}}}"#
    );
    let expected = json!({"createRuntime": [{"path": HOOK}], "poststop": [ours("poststop")]});
    assert_eq!(hooks(&text), expected);
}

#[test]
fn other_hooks_stay_and_come_first() {
    let text = format!(
        r#"{{"hooks": {{"prestart": [{{"path": "/a"}}], "poststop": [], "startContainer": null}},
            "annotations": {{{PAUSE}}}}}"#
    );
    let expected = json!({
        "prestart": [{"path": "/a"}, ours("prestart")],
        "poststop": [ours("poststop")],
        "startContainer": null,
    });
    assert_eq!(hooks(&text), expected);
    for none in ["null", "{}", r#"{"prestart": null}"#] {
        let text = format!(r#"{{"annotations": {{{PAUSE}}}, "hooks": {none}}}"#);
        assert_eq!(hooks(&text)["prestart"], json!([ours("prestart")]), "{none}");
    }
}

#[test]
fn every_other_byte_stays() {
    let head = format!(
        "{{\n\t\"ociVersion\" : \"1.0.2\", \"x-unknown\": {{\"b\":1.50e400,\"a\":\"\\u003c\\/\\ud800\"}},\n\
         \"annotations\":{{ {PAUSE} ,\"z\":\"1\"}},\"huge\":123456789012345678901234567890"
    );
    let tail = ",\"linux\":{\"b\":[ ],\"a\":-0} }\n";
    let text = format!("{head},\"hooks\" : {{\"poststop\":[ {{\"path\":\"/a\"}} ]}}{tail}");
    let new = changed(&text).expect("changed");
    let (before, after) = (format!("{head},\"hooks\" : "), tail);
    assert!(new.starts_with(&before) && new.ends_with(after), "{new}");
    assert!(new.contains(r#""poststop":[ {"path":"/a"} ,{"args""#), "{new}");
    let without = changed(&format!("{head}{tail}")).expect("changed");
    assert!(without.starts_with(r#"{"hooks":{"#), "{without}");
    assert!(without.ends_with(&format!(",{}{tail}", &head[1..])), "{without}");
}

#[test]
fn the_environment_counts_only_where_it_is_configured() {
    let text = r#"{"process": {"env": ["PATH=/bin", "com.amazonaws.ecs.eni.mtu=9001=x",
        "com.amazonaws.ecs.container-name=~internal~ecs~pause", "com.amazonaws.ecs.a=environment"]},
        "annotations": {"com.amazonaws.ecs.a": "annotation"}}"#;
    assert_eq!(changed(text), None);
    let config = Config::parse("[runtime]\nannotations-from-environment = true\n").expect("valid");
    let new: Value = registered(text, &config).expect("fine").expect("ours").parse().expect("JSON");
    let old: Value = text.parse().expect("JSON");
    assert_eq!(new["process"], old["process"]);
    let expected = json!({
        "com.amazonaws.ecs.container-name": "~internal~ecs~pause",
        "com.amazonaws.ecs.eni.mtu": "9001=x",
        "com.amazonaws.ecs.a": "annotation",
    });
    assert_eq!(new["annotations"], expected);
    assert_eq!(new["hooks"]["poststop"], json!([ours("poststop")]));
    for text in ["{}", r#"{"process": null}"#, r#"{"process": {"env": null}}"#] {
        assert_eq!(registered(text, &config).expect("fine"), None);
    }
}

#[test]
fn a_file_is_replaced_in_one_moment_with_its_mode() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, shared) = (folder.path().join("config.json"), folder.path().join("shared"));
    let text = format!(r#"{{"annotations": {{{PAUSE}}}}}"#);
    fs::write(&shared, &text).expect("written");
    fs::set_permissions(&shared, Permissions::from_mode(0o640)).expect("set");
    std::os::unix::fs::symlink("shared", &path).expect("linked");
    register(&path, &Config::default()).expect("registered");
    assert_eq!(fs::read_to_string(&shared).expect("read"), text);
    let file = fs::symlink_metadata(&path).expect("there");
    assert_eq!((file.is_file(), file.mode() & 0o7777), (true, 0o640));
    register(&path, &Config::default()).expect("registered");
    let again = fs::symlink_metadata(&path).expect("there");
    assert_eq!((again.ino(), again.mtime_nsec()), (file.ino(), file.mtime_nsec()));
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
}

#[test]
fn what_cannot_be_understood_is_refused_only_if_it_speaks_of_us() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.json");
    let config = Config::default();
    assert!(register(&path, &config).is_ok());
    for text in ["", "{", "[]", "{\"annotations\": {\"a\": 1}}"] {
        fs::write(&path, text).expect("written");
        assert!(register(&path, &config).is_ok(), "{text}");
    }
    for text in [
        format!(r#"{{"annotations": {{{PAUSE}, "a": 1}}}}"#),
        format!(r#"{{"annotations": {{{PAUSE}}}"#),
        format!(r#"{{"annotations": {{{PAUSE}}}, "hooks": 7}}"#),
        format!(r#"{{"annotations": {{{PAUSE}}}, "hooks": {{"prestart": {{}}}}}}"#),
    ] {
        fs::write(&path, &text).expect("written");
        let line = register(&path, &config).expect_err(&text).line();
        assert!(line.starts_with("registering the hook in /"), "{line}");
        assert_eq!(fs::read_to_string(&path).expect("read"), text);
    }
    fs::write(&path, [PAUSE.as_bytes(), b"\xff"].concat()).expect("written");
    assert!(register(&path, &config).expect_err("not text").line().contains("not UTF-8"));
}

#[test]
fn what_is_odd_about_others_is_the_real_runtimes_business() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.json");
    for text in [
        b"\"com.amazonaws.ecs.container-name\": \"web\", \xff".to_vec(),
        b"{\"annotations\": {\"a\": null, \"a\": \"\\ud800\"}, \"annotations\": []".to_vec(),
        vec![b'x'; 17 << 20],
    ] {
        fs::write(&path, &text).expect("written");
        register(&path, &Config::default()).expect("left alone");
        assert!(fs::read(&path).expect("read") == text);
    }
    // A folder, and a pipe that nobody writes to.
    register(folder.path(), &Config::default()).expect("left alone");
    fs::remove_file(&path).expect("removed");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    register(&path, &Config::default()).expect("left alone");
}

#[test]
fn a_key_that_is_written_with_escapes_is_the_same_key() {
    let text =
        r#"{"annotations": {"\u0063om.amazonaws.ecs.container-name": "\u007einternal~ecs~pause"}}"#;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.json");
    fs::write(&path, text).expect("written");
    register(&path, &Config::default()).expect("registered");
    let new: Value = fs::read_to_string(&path).expect("read").parse().expect("JSON");
    assert_eq!(new["hooks"]["poststop"], json!([ours("poststop")]));
}

#[test]
fn a_pause_container_has_the_name_that_its_annotations_give_it() {
    let text = |hostname: &str, more: &str| {
        format!(
            r#"{{{hostname}"annotations": {{{PAUSE}, "com.amazonaws.ecs.eni.hostname": "web"{more}}}}}"#
        )
    };
    let never = r#", "com.amazonaws.ecs.eni.dns-files": "never""#;
    for (hostname, more, name) in [
        (r#""hostname": "7d7b7fbc30b9", "#, "", Some("web")),
        (r#""hostname": "web", "#, "", Some("web")),
        (r#""hostname": "7d7b7fbc30b9", "#, never, Some("7d7b7fbc30b9")),
        (r#""hostname": "", "#, "", Some("")),
        ("", "", None),
    ] {
        let new = changed(&text(hostname, more)).expect("registered");
        let value: Value = new.parse().expect("JSON");
        assert_eq!(value.get("hostname").and_then(Value::as_str), name, "{new}");
        assert_eq!(changed(&new), None);
    }
    let application = r#"{"hostname": "a", "annotations": {
        "com.amazonaws.ecs.container-name": "app", "com.amazonaws.ecs.eni.hostname": "web"}}"#;
    assert!(changed(application).expect("registered").contains(r#""hostname": "a""#));
}
