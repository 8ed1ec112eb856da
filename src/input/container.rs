//! What the runtime tells the hook: the container's state on stdin, and its bundle.

use crate::error::{Doing, Result, refuse};
use nix::fcntl::OFlag;
use oci_spec::runtime::State;
use serde::Deserialize;
use std::{
    collections::HashMap,
    fs::OpenOptions,
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A container's annotations.
pub type Annotations = HashMap<String, String>;

/// The largest state that we parse, in bytes. Real ones have a few thousand.
pub const MAX_STATE: usize = 1 << 20;

/// The largest `config.json` that we parse, in bytes.
const MAX_CONFIG: u64 = 16 << 20;

/// The longest container id: what fits into a file name, which is what runtimes make of it.
const MAX_ID: usize = 255;

/// The container that the runtime calls us for.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its id: letters, digits and `_+.-` only.
    pub id: String,
    /// Its first process as the instance sees it; absent or stale at poststop.
    pub pid: Option<i32>,
    bundle: Option<PathBuf>,
    annotations: Annotations,
}

impl Container {
    /// Parses the state that the runtime writes to a hook's stdin.
    ///
    /// # Errors
    /// It is no JSON object, or has a field of the wrong type or a bad id.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let mut state: serde_json::Value =
            serde_json::from_slice(text).doing(|| "not a JSON object")?;
        let Some(fields) = state.as_object_mut() else {
            return refuse("not a JSON object");
        };
        // The stage is in our argv: runtimes differ in what they call the status, and a word that
        // oci-spec does not know must not fail a container.
        fields.remove("status");
        // Every field of oci-spec's State has a default, the id included.
        if !fields.contains_key("id") {
            return refuse("it has no id");
        }
        let state: State = deserialize(state)?;
        check_id(state.id())?;
        Ok(Self {
            id: state.id().clone(),
            pid: *state.pid(),
            bundle: Some(state.bundle().clone()).filter(|path| path.is_absolute()),
            annotations: state.annotations().clone().unwrap_or_default(),
        })
    }

    /// Where its bundle is, if that is known.
    #[must_use]
    pub fn bundle(&self) -> Option<&Path> {
        self.bundle.as_deref()
    }

    /// The annotations: the state's if `key` is among them, else also those of
    /// `<bundle>/config.json`. Docker passes none in the state, podman fewer at poststop.
    ///
    /// # Errors
    /// There is a `config.json`, but it cannot be read or parsed.
    pub fn annotations(&self, key: &str) -> Result<Known> {
        let from_bundle = match &self.bundle {
            Some(bundle) if !self.annotations.contains_key(key) => of_bundle(bundle)?,
            _ => None,
        };
        let complete = from_bundle.is_some() || self.annotations.contains_key(key);
        let mut annotations = from_bundle.unwrap_or_default();
        annotations.extend(self.annotations.clone());
        Ok(Known { annotations, complete })
    }
}

/// What is known of a container's annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Those that could be found.
    pub annotations: Annotations,
    /// Whether these are all. False: the bundle, which may have more, is gone.
    pub complete: bool,
}

fn deserialize<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T> {
    serde_path_to_error::deserialize(value).or_else(|error| {
        let path = error.path().to_string();
        Err(error.into_inner()).doing(|| path)
    })
}

/// The part of a bundle's `config.json` that we need: to parse no more means to fail on no more.
#[derive(Default, Deserialize)]
struct Spec {
    annotations: Option<Annotations>,
}

/// `None`: there is no `config.json`.
fn of_bundle(bundle: &Path) -> Result<Option<Annotations>> {
    let Some(text) = read_config(bundle)? else { return Ok(None) };
    let doing = || format!("reading {}", bundle.join("config.json").display());
    let spec: Spec = serde_json::from_slice(&text).doing(doing)?;
    Ok(Some(spec.annotations.unwrap_or_default()))
}

/// The text of a bundle's `config.json`. `None`: there is none.
pub(super) fn read_config(bundle: &Path) -> Result<Option<Vec<u8>>> {
    let path = bundle.join("config.json");
    let doing = || format!("reading {}", path.display());
    // Not through a link out of the bundle, and never waiting for the other end of a pipe.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&path);
    let file = match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.doing(doing)?,
    };
    let metadata = file.metadata().doing(doing)?;
    if !metadata.is_file() {
        return refuse("not a file").doing(doing);
    }
    // With room for all of it and for the end to be seen: two reads, and no more.
    let room = usize::try_from(metadata.len().min(MAX_CONFIG) + 1).unwrap_or_default();
    let mut text = Vec::with_capacity(room);
    file.take(MAX_CONFIG + 1).read_to_end(&mut text).doing(doing)?;
    if text.len() as u64 > MAX_CONFIG {
        return refuse("it has more than 16 MiB").doing(doing);
    }
    Ok(Some(text))
}

/// The ids that runc accepts (`validateID` in libcontainer): nothing that could be a path.
fn check_id(id: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_+.-".contains(&b);
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(plain) || matches!(id, "." | "..") {
        let shown: String = id.escape_default().take(64).collect();
        return refuse(format!(
            "id \"{shown}\": must be 1 to {MAX_ID} letters, digits, or characters of _+.-"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Container> {
        Container::parse(text.as_bytes())
    }

    #[test]
    fn every_runtimes_state_is_read() {
        for (state, pid) in [
            (
                r#"{"ociVersion":"1.0.2-dev","id":"a","status":"creating","pid":7,"bundle":"/b"}"#,
                Some(7),
            ),
            (
                r#"{"ociVersion":"1.0","id":"a","pid":0,"root":"/r","bundle":"/b","status":"stopped"}"#,
                Some(0),
            ),
            (
                r#"{"ociVersion":"1.0.2-dev","id":"a","status":"exited","bundle":"","annotations":null}"#,
                None,
            ),
        ] {
            assert_eq!(parse(state).expect(state).pid, pid);
        }
    }

    #[test]
    fn a_state_that_is_none_says_why() {
        for (state, why) in [
            ("", "not a JSON object"),
            (r#"{"id":"a""#, "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{}", "no id"),
            (r#"{"id":7}"#, "id: invalid type"),
            (r#"{"id":"a","pid":"7"}"#, "pid: invalid type"),
            (r#"{"id":"a","pid":99999999999}"#, "pid: invalid value"),
            (r#"{"id":"a","annotations":{"k":1}}"#, "annotations.k: invalid type"),
            (r#"{"id":"../../x"}"#, "id \"../../x\""),
            (r#"{"id":".."}"#, "id \"..\""),
            (r#"{"id":""}"#, "id \"\""),
            (r#"{"id":"a\nb"}"#, "id \"a\\nb\""),
        ] {
            let line = parse(state).expect_err(state).line();
            assert!(line.contains(why), "{state}: {line}");
            assert!(!line.contains('\n'));
        }
    }

    #[test]
    fn the_bundle_is_asked_where_the_state_is_silent() {
        let bundle = tempfile::tempdir().expect("a folder");
        let config = bundle.path().join("config.json");
        std::fs::write(&config, r#"{"ociVersion":"9","annotations":{"k":"bundle","l":"m"}}"#)
            .expect("written");
        let state = |annotations: &str| {
            let bundle = bundle.path().display();
            parse(&format!(r#"{{"id":"a","bundle":"{bundle}","annotations":{annotations}}}"#))
                .expect("valid")
        };
        let known = |annotations| state(annotations).annotations("k").expect("read");
        assert_eq!(known("null").annotations["k"], "bundle");
        let both = known(r#"{"l":"state"}"#);
        assert_eq!(
            both.annotations,
            Annotations::from([
                ("k".to_owned(), "bundle".to_owned()),
                ("l".to_owned(), "state".to_owned()),
            ])
        );
        assert!(both.complete);
        assert_eq!(known(r#"{"k":"state"}"#).annotations.len(), 1);

        std::fs::write(&config, "{").expect("written");
        assert!(state("null").annotations("k").is_err());
        assert!(state(r#"{"k":"state"}"#).annotations("k").is_ok());
        std::fs::remove_file(&config).expect("removed");
        assert_eq!(state("null").annotations("k").expect("read"), Known::default());
        std::os::unix::fs::symlink("/etc/hostname", &config).expect("linked");
        assert!(state("null").annotations("k").is_err());
    }
}
