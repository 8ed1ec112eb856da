//! The command line of an OCI runtime, as far as it must be understood to find the bundle.
//!
//! runc parses it with Go's `flag` package, crun with GNU's `argp`; both are understood, without
//! knowing all of their flags. To find the wrong bundle does no harm: one that is not a pause
//! container's is not touched.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The commands of runc 1.3, crun 1.20 and youki 0.5. The first of these words is the command, unless a
/// flag needs it as its value.
const COMMANDS: [&str; 21] = [
    "checkpoint",
    "completion",
    "create",
    "delete",
    "events",
    "exec",
    "features",
    "help",
    "info",
    "init",
    "kill",
    "list",
    "mounts",
    "pause",
    "ps",
    "restore",
    "resume",
    "run",
    "spec",
    "start",
    "state",
];

/// The flags, global ones and those of `create` and `run`, whose value may be the next word; besides those
/// that mean something to us.
const VALUED: [&str; 9] = [
    "cgroup-manager",
    "console-socket",
    "criu",
    "handler",
    "log-level",
    "pid-file",
    "preserve-fds",
    "root",
    "rootless",
];

/// What the configuration is called in a bundle.
const CONFIG: &str = "config.json";

/// What we need to know of a command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// The `config.json` that a `create` or `run` is about; `None` for any other command.
    pub config_json: Option<PathBuf>,
    /// Where the runtime is to log what goes wrong.
    pub log: Option<PathBuf>,
    /// Whether the lines of that log are JSON objects.
    pub log_is_json: bool,
}

impl Arguments {
    /// Finds it in the words of a command line, without the program's name.
    #[must_use]
    pub fn find(words: &[OsString]) -> Self {
        let mut words = words.iter().map(|word| word.as_bytes());
        let mut found = Self::default();
        if let Some(b"create" | b"run") = found.global(&mut words) {
            found.config_json = Some(config_json(words));
        }
        found
    }

    /// Takes the global flags and the command.
    fn global<'a>(&mut self, words: &mut impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
        while let Some(word) = words.next() {
            if COMMANDS.iter().any(|command| command.as_bytes() == word) {
                return Some(word);
            }
            let (flag, attached) = flag(word);
            let mut value = || attached.or_else(|| words.next());
            match flag {
                Flag::Log => self.log = value().map(|path| self::path(path).to_owned()),
                Flag::LogFormat => self.log_is_json = value() == Some(b"json"),
                Flag::Valued => drop(value()),
                Flag::Bundle | Flag::Config | Flag::Other => {}
            }
        }
        None
    }
}

/// The configuration that the words after the command name.
fn config_json<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> PathBuf {
    let (mut bundle, mut config) = (Path::new("."), None);
    while let Some(word) = words.next().filter(|&word| word != b"--") {
        let (flag, attached) = flag(word);
        let mut value = || attached.or_else(|| words.next()).map(path);
        match flag {
            Flag::Bundle => bundle = value().unwrap_or(bundle),
            // Another file instead, of crun's. Under any other name than the usual one it is relative
            // to where we are, not to the bundle.
            Flag::Config => config = value().or(config).filter(|&path| path != Path::new(CONFIG)),
            Flag::Log | Flag::LogFormat | Flag::Valued => drop(value()),
            Flag::Other => {}
        }
    }
    config.map_or_else(|| bundle.join(CONFIG), Path::to_owned)
}

#[derive(Clone, Copy, PartialEq)]
enum Flag {
    Bundle,
    Config,
    Log,
    LogFormat,
    Valued,
    Other,
}

/// What a word is, and the value that is attached to it.
fn flag(word: &[u8]) -> (Flag, Option<&[u8]>) {
    if let Some(name) = word.strip_prefix(b"--") {
        // argp takes the beginning of a name for the whole.
        return named(name, |flag, name| !name.is_empty() && flag.starts_with(name));
    }
    let Some(letters) = word.strip_prefix(b"-") else { return (Flag::Other, None) };
    // Go takes one dash for two.
    match named(letters, |flag, name| flag == name) {
        (Flag::Other, _) => cluster(letters),
        known => known,
    }
}

fn named(text: &[u8], means: impl Fn(&[u8], &[u8]) -> bool) -> (Flag, Option<&[u8]>) {
    let mut parts = text.splitn(2, |&byte| byte == b'=');
    let (name, value) = (parts.next().unwrap_or_default(), parts.next());
    let flag = match name {
        b"log" => Flag::Log,
        b"log-format" => Flag::LogFormat,
        _ if VALUED.iter().any(|flag| flag.as_bytes() == name) => Flag::Valued,
        _ if means(b"bundle", name) => Flag::Bundle,
        _ if means(b"config", name) => Flag::Config,
        _ => Flag::Other,
    };
    (flag, value)
}

/// Letters behind one dash, the last of them with a value perhaps: `-b X`, `-b=X`, `-bX`, `-dbX`.
fn cluster(letters: &[u8]) -> (Flag, Option<&[u8]>) {
    let Some(at) = letters.iter().position(|&letter| letter != b'd') else {
        return (Flag::Other, None);
    };
    let value = Some(&letters[at + 1..]).filter(|value| !value.is_empty());
    let value = value.map(|value| value.strip_prefix(b"=").unwrap_or(value));
    match letters[at] {
        b'b' => (Flag::Bundle, value),
        b'f' => (Flag::Config, value),
        _ => (Flag::Other, None),
    }
}

fn path(value: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Arguments::find(&words).config_json.map(|path| path.display().to_string())
    }

    #[test]
    fn every_way_to_name_the_bundle_is_understood() {
        for line in [
            "create --bundle /b id",
            "create --bundle=/b id",
            "create -bundle /b id",
            "create -bundle=/b id",
            "create -b /b id",
            "create -b=/b id",
            "create -b/b id",
            "create --bun /b id",
            "create --bun=/b id",
            "run -db /b id",
            "run -d -b/b id",
            "run id -b /b",
            "run -b /a -b /b id",
            "run --pid-file -b --bundle /b --console-socket /s id",
            "run --preserve-fds=3 --bundle /b id",
            "--root /r --log /l --log-format json create --bundle /b --pid-file /p id",
            "--root create --log=run --debug --systemd-cgroup create --bundle /b id",
            "-root run run -b /b id",
            "--rootless auto --unknown value run -b /b -- -b",
        ] {
            assert_eq!(found(line).as_deref(), Some("/b/config.json"), "{line}");
        }
    }

    #[test]
    fn without_a_bundle_it_is_the_current_directory() {
        for line in ["run id", "create --no-pivot id", "run -d -- --bundle=/b", "run -b"] {
            assert_eq!(found(line).as_deref(), Some("./config.json"), "{line}");
        }
    }

    #[test]
    fn another_configuration_of_cruns_is_found() {
        for line in [
            "run --config /c/x.json -b /b id",
            "run --conf=/c/x.json id",
            "create -f /c/x.json id",
            "run -df/c/x.json id",
        ] {
            assert_eq!(found(line).as_deref(), Some("/c/x.json"), "{line}");
        }
        assert_eq!(found("run -f config.json -b /b id").as_deref(), Some("/b/config.json"));
    }

    #[test]
    fn other_commands_have_no_bundle() {
        for line in [
            "",
            "--version",
            "features",
            "start run",
            "delete --force create",
            "--root create delete --force run",
            "--log-format json state create",
            "exec --process /p run create",
            "spec --bundle /b",
            "--systemd-cgroup --root=/r kill run KILL",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
    }

    #[test]
    fn the_log_is_found() {
        for (line, log, json) in [
            ("--log /l --log-format json create id", Some("/l"), true),
            ("--log-format=text --root --log --log=/l delete id", Some("/l"), false),
            ("--log-format json create --log /l id", None, true),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let found = Arguments::find(&words);
            assert_eq!(
                (found.log.as_deref(), found.log_is_json),
                (log.map(Path::new), json),
                "{line}"
            );
        }
    }
}
