//! Containers that have nothing to do with us, where an engine calls the hook for every one: whatever is odd about
//! them, the hook succeeds, without a word, and touches nothing.

use crate::fixtures::{Call, Instance, Pause, Snapshot, hook};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{Write, pipe},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const STAGES: [&str; 3] = ["prestart", "createRuntime", "poststop"];

/// What is made of an empty bundle, in shell, when its `config.json` is to be odd.
const BUNDLES: [&str; 18] = [
    "true",
    "echo '{' >config.json",
    "echo '[]' >config.json",
    ": >config.json",
    "echo '{\"annotations\": null}' >config.json",
    "echo '{\"annotations\": {\"a\": null}}' >config.json",
    "echo '{\"annotations\": [\"a\"]}' >config.json",
    "echo '{\"annotations\": {}, \"annotations\": {\"a\": 1}}' >config.json",
    "echo '{\"annotations\": {\"a\": \"\\ud800\", \"\\udc00\": \"\\u0000\"}}' >config.json",
    "printf '{\"annotations\": {\"\\377\": \"\\355\\260\\200\"}}' >config.json",
    "printf '\\357\\273\\277{}\\000' >config.json",
    "echo '{\"annotations\": {\"com.amazonaws.ecs.container-name\": null}}' >config.json",
    "truncate --size 17M config.json",
    "truncate --size 1T config.json",
    "echo '{' >other && ln -s other config.json",
    "ln -s config.json config.json",
    "mkdir config.json",
    "mknod config.json c 1 5 || mkfifo config.json",
];

/// An instance, a container, and what they were like.
struct Untouched {
    instance: Instance,
    pause: Pause,
    before: (Snapshot, Snapshot),
}

impl Untouched {
    fn new() -> Self {
        let (instance, pause) = (Instance::new(), Pause::new());
        let before = (instance.netns.snapshot(), pause.netns().snapshot());
        Self { instance, pause, before }
    }

    /// Asserts that the call succeeds without a word, at once.
    #[track_caller]
    fn is_let_pass(&self, call: &Call, what: &str) {
        let begin = Instant::now();
        let done = call.on(&self.instance);
        assert_eq!(
            (done.code, done.stderr.as_str(), done.stdout.as_str()),
            (Some(0), "", ""),
            "{what}"
        );
        assert!(begin.elapsed() < Duration::from_secs(5), "{what}: {:?}", begin.elapsed());
    }

    /// A call for the container without annotations in the state.
    fn call(&self, stage: &str, bundle: &Path) -> Call {
        let bundle = json!(bundle.to_str().expect("text"));
        self.pause.call(stage).field("annotations", Value::Null).field("bundle", bundle)
    }
}

impl Drop for Untouched {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.instance.netns.assert_same(&self.before.0);
            self.pause.netns().assert_same(&self.before.1);
        }
    }
}

fn shell(folder: &Path, line: &str) {
    let status = Command::new("sh").args(["-ec", line]).current_dir(folder).status();
    assert!(status.expect("a shell").success(), "{line}");
}

#[test]
fn whatever_is_odd_about_its_bundle() {
    let stranger = Untouched::new();
    for make in BUNDLES {
        let bundle = TempDir::new().expect("a folder");
        shell(bundle.path(), make);
        for stage in STAGES {
            stranger.is_let_pass(&stranger.call(stage, bundle.path()), &format!("{stage}: {make}"));
        }
    }
    for bundle in ["", ".", "relative", "/nonexistent", "/dev/null", "/proc/self/fd/0", "/\u{0}x"] {
        for stage in STAGES {
            stranger.is_let_pass(&stranger.call(stage, Path::new(bundle)), bundle);
        }
    }
}

#[test]
fn whatever_is_odd_about_its_state() {
    let stranger = Untouched::new();
    let bundle = TempDir::new().expect("a folder");
    fs::write(bundle.path().join("config.json"), "{}").expect("written");
    let (there, pid) = (bundle.path().display(), stranger.pause.pid());
    let text = "v".repeat(1_150_000);
    for bundle in [there.to_string().as_str(), "/nonexistent"] {
        let state = |fields: &str| {
            let id = if fields.contains("\"id\"") { "" } else { "\"id\":\"a\"," };
            format!(r#"{{{id}"pid":{pid},"bundle":"{bundle}",{fields}}}"#).into_bytes()
        };
        let good = state(r#""status":"creating""#);
        for text in [
            Vec::new(),
            good[..good.len() - 1].to_vec(),
            [&good[..], b"}"].concat(),
            [b"\xef\xbb\xbf", &good[..]].concat(),
            [b"\0\x01\xff", &good[..]].concat(),
            b"[1]".to_vec(),
            b"null".to_vec(),
            br#"{"pid":1}"#.to_vec(),
            state(r#""id":"web:1""#),
            state(r#""id":"web@1""#),
            state(r#""id":"web 1""#),
            state(r#""id":"../../x""#),
            state(r#""id":["a"]"#),
            state(r#""id":"""#),
            state(r#""status":"exploded","ociVersion":"one""#),
            state(r#""status":7,"ociVersion":null"#),
            state(r#""pid":"1""#),
            state(r#""pid":99999999999"#),
            state(r#""annotations":null"#),
            state(r#""annotations":[]"#),
            state(r#""annotations":{"a":null}"#),
            state(r#""annotations":{"a":"b","a":"c"},"annotations":{}"#),
            state(r#""annotations":{"a":"\ud800","\udc00":""}"#),
            state(r#""annotations":{"com.amazonaws.ecs.container-name":"web","a":7}"#),
            [&good[..good.len() - 1], b",\"annotations\":{\"a\xed\xb0\x80\":\"\xff\"}}"].concat(),
            state(&format!(r#""annotations":{{"a":"{text}"}}"#)),
        ] {
            let what = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
            for stage in STAGES {
                stranger.is_let_pass(&hook(stage).stdin(text.clone()), &format!("{stage}: {what}"));
            }
        }
    }
}

#[test]
fn whatever_its_stdin_is() {
    let stranger = Untouched::new();
    let huge = TempDir::new().expect("a folder");
    shell(huge.path(), "truncate --size 1T huge");
    let from = |path: &Path| {
        let file = File::open(path).expect("opened");
        hook("prestart").adjust(move |command| {
            command.stdin(file.try_clone().expect("a descriptor"));
        })
    };
    for path in ["/", "/dev/null", "/dev/zero"] {
        stranger.is_let_pass(&from(Path::new(path)), path);
    }
    stranger.is_let_pass(&from(&huge.path().join("huge")), "a terabyte");
    let closed = hook("prestart").adjust(|command| {
        // SAFETY: close is a system call, which is all that happens between fork and exec.
        unsafe { command.pre_exec(|| Ok(nix::unistd::close(0)?)) };
    });
    stranger.is_let_pass(&closed, "closed");
}

/// A terminal at which nobody types, and a pipe whose writer neither writes nor closes its end.
#[test]
fn a_stdin_that_says_nothing_ends_with_the_deadline() {
    let (stranger, folder) = (Untouched::new(), TempDir::new().expect("a folder"));
    let (reader, mut writer) = pipe().expect("a pipe");
    let terminal = File::options().read(true).write(true).open("/dev/ptmx").expect("a terminal");
    for stage in STAGES {
        for stdin in
            [reader.try_clone().expect("one").into(), terminal.try_clone().expect("one").into()]
        {
            let stdin: std::os::fd::OwnedFd = stdin;
            let call =
                hook(stage).config(&folder, "deadline-seconds = 1\n").adjust(move |command| {
                    command.stdin(Stdio::from(stdin.try_clone().expect("a descriptor")));
                });
            let begin = Instant::now();
            stranger.is_let_pass(&call, stage);
            assert!(begin.elapsed() >= Duration::from_millis(900), "{:?}", begin.elapsed());
        }
    }
    // It began to speak of an ENI.
    writer.write_all(br#"{"id":"a","annotations":{"com.amazonaws.ecs.eni.mtu":"#).expect("written");
    let call = hook("prestart").config(&folder, "deadline-seconds = 1\n").adjust(move |command| {
        command.stdin(Stdio::from(reader.try_clone().expect("a descriptor")));
    });
    let line = call.on(&stranger.instance).badly();
    assert!(line.contains("stdin") && line.contains("deadline-seconds"), "{line}");
}

#[test]
fn what_is_written_to_a_pipe_in_its_bundle_is_for_the_runtime() {
    let (stranger, bundle) = (Untouched::new(), TempDir::new().expect("a folder"));
    shell(bundle.path(), "mkfifo config.json");
    let write = "echo com.amazonaws.ecs.eni. >config.json";
    let mut writer = Command::new("sh")
        .args(["-ec", write])
        .current_dir(bundle.path())
        .spawn()
        .expect("a shell");
    for stage in STAGES {
        stranger.is_let_pass(&stranger.call(stage, bundle.path()), stage);
    }
    assert!(writer.try_wait().expect("asked").is_none(), "somebody opened the pipe");
    let read = fs::read_to_string(bundle.path().join("config.json")).expect("read");
    assert_eq!(read, "com.amazonaws.ecs.eni.\n");
    assert!(writer.wait().expect("ended").success());
}

#[test]
fn a_configuration_that_cannot_be_read_fails_only_who_speaks_of_an_eni() {
    let (stranger, folder) = (Untouched::new(), TempDir::new().expect("a folder"));
    let bundle = TempDir::new().expect("a folder");
    for text in ["typo = 1\n", "[eni", "deadline-seconds = 7200\n"] {
        for stage in STAGES {
            fs::write(bundle.path().join("config.json"), "{").expect("written");
            let call = stranger.call(stage, bundle.path()).config(&folder, text);
            stranger.is_let_pass(&call, text);
            stranger.is_let_pass(&call.field("id", json!("web:1")), text);
            let config = r#"{"annotations": {"\u0063om.amazonaws.ecs.eni.mtu": 1500}}"#;
            fs::write(bundle.path().join("config.json"), config).expect("written");
            let call = stranger.call(stage, bundle.path()).config(&folder, text);
            let line = call.on(&stranger.instance).badly();
            assert!(line.contains("config.toml"), "{line}");
        }
    }
}

/// As at `poststop` under Docker before 24, whose bundle may be gone: only the kernel could tell.
#[test]
fn a_stop_of_which_nothing_is_known_fails_for_nobody() {
    let stranger = Untouched::new();
    let call = stranger.call("poststop", Path::new("/nonexistent"));
    let powerless = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"];
    stranger.is_let_pass(&call.through(&powerless), "it may ask the kernel nothing");
    // Nor may it look into this bundle.
    let bundle = TempDir::new().expect("a folder");
    shell(bundle.path(), "echo '{' >config.json; chmod 700 .; chown 65534 . || chmod 0 .");
    for stage in STAGES {
        let call = stranger.call(stage, bundle.path()).through(&powerless);
        stranger.is_let_pass(&call, stage);
    }
}

#[test]
fn a_key_that_is_written_with_escapes_is_ours_all_the_same() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let state = |text: Value| {
        let text = json!({"id": pause.id, "pid": pause.pid(), "annotations": text}).to_string();
        text.replace("com.amazonaws.ecs.", "\\u0063om.\\u0061mazonaws.ecs\\u002E")
            .replace('~', "\\u007e")
    };
    let text = state(crate::fixtures::annotations());
    assert!(!text.contains("com.amazonaws") && !text.contains("~internal"), "{text}");
    hook("prestart").stdin(text.clone()).on(&instance).silently();
    assert_eq!(pause.netns().links(), ["lo", "eth0", "ecs-eth0"]);
    hook("poststop").stdin(text).on(&instance).well();
    instance.assert_home();
    let mut wrong = crate::fixtures::annotations();
    wrong["com.amazonaws.ecs.eni.mtu"] = json!(7);
    let line = hook("prestart").stdin(state(wrong)).on(&instance).badly();
    assert!(line.contains("eni.mtu: invalid type"), "{line}");
}
