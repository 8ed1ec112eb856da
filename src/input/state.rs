//! A container's state as the runtime writes it to the hook's stdin, before it is parsed.

use crate::{
    error::{Doing, Result, give_up, refuse},
    input::{
        config::Detect,
        container::{Container, MAX_STATE},
        mention::{CHUNK, MAX_SEARCHED, Mention},
    },
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::read,
};
use serde::{
    Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;
use std::{
    fmt,
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Whether a container has anything to do with us. Until this is known, nothing about it is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// It speaks of an ENI.
    OfAnEni,
    /// It does not: a stranger.
    OfOtherThings,
    /// Its state does not, and its bundle is gone, or has no `config.json` that could be read.
    Unknown,
}

/// What came on stdin.
#[derive(Debug)]
pub struct State {
    text: Vec<u8>,
    outcome: Result<()>,
    /// Whether the container speaks of an ENI.
    pub speech: Speech,
    /// Whether it may be another container of a task.
    pub is_named: bool,
}

impl State {
    /// Reads it for no longer than `until`, and asks it, and then its bundle, whether they speak of an ENI. Whatever
    /// is wrong with it is said by [`State::container`].
    #[must_use]
    pub fn read(stdin: impl AsFd, until: Instant, detect: &Detect) -> Self {
        let (mut mention, mut text) = (Mention::new(detect), Vec::new());
        let outcome = read_all(stdin, until, |bytes| {
            mention.search(bytes);
            let room = (MAX_STATE + 1).saturating_sub(text.len());
            text.extend_from_slice(&bytes[..room.min(bytes.len())]);
        });
        let searched = !mention.is_found()
            && bundle_of(&text)
                .is_some_and(|bundle| mention.search_file(&bundle.join("config.json")));
        let speech = match (mention.is_found(), searched) {
            (true, _) => Speech::OfAnEni,
            (false, true) => Speech::OfOtherThings,
            (false, false) => Speech::Unknown,
        };
        Self { text, outcome, speech, is_named: mention.is_named() }
    }

    /// The container, parsed strictly.
    ///
    /// # Errors
    /// The state could not be read, is larger than 1 MiB, no JSON object, or has a field of the wrong type or a bad id.
    pub fn container(self) -> Result<Container> {
        self.outcome.doing(|| "reading the container's state on stdin")?;
        if self.text.len() > MAX_STATE {
            return refuse("the container's state on stdin has more than 1 MiB");
        }
        Container::parse(&self.text).doing(|| "parsing the container's state on stdin")
    }
}

/// Reads what there is, whatever it comes from. A writer that neither writes nor closes its end makes nobody wait
/// for ever.
fn read_all(stdin: impl AsFd, until: Instant, mut take: impl FnMut(&[u8])) -> Result<()> {
    let (mut chunk, mut left) = ([0; CHUNK], MAX_SEARCHED);
    while left > 0 {
        let time = until.saturating_duration_since(Instant::now());
        // Rounded up: not to ask again and again in the last millisecond.
        let timeout = PollTimeout::try_from(time + Duration::from_millis(1));
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout.unwrap_or(PollTimeout::MAX)) {
            Ok(0) if time.is_zero() => {
                return give_up(
                    "it does not end, and time is up (deadline-seconds in config.toml)",
                );
            }
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        match read(&stdin, &mut chunk) {
            Ok(0) => break,
            Ok(length) => {
                take(&chunk[..length]);
                left = left.saturating_sub(length as u64);
            }
            // Somebody else who has the same pipe was faster.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Where the bundle is, from a state that may be odd in any other way, or cut: the last one that comes before the
/// first thing that is no JSON.
fn bundle_of(state: &[u8]) -> Option<PathBuf> {
    struct Bundle<'a>(&'a mut Option<PathBuf>);
    impl<'de> Visitor<'de> for Bundle<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a state")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
            while let Some(key) = fields.next_key::<String>()? {
                if key == "bundle" {
                    let value: Value = fields.next_value()?;
                    *self.0 = value.as_str().map(PathBuf::from);
                } else {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
            Ok(())
        }
    }
    let mut bundle = None;
    let mut state = serde_json::Deserializer::from_slice(state);
    // What is wrong with it is nobody's business yet.
    drop(state.deserialize_map(Bundle(&mut bundle)));
    bundle.filter(|bundle| Path::is_absolute(bundle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, File},
        io::{PipeWriter, Write, pipe},
    };

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn read_from(stdin: impl AsFd) -> State {
        State::read(stdin, soon(), &Detect::default())
    }

    fn state(text: &[u8]) -> State {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text).expect("written");
        std::io::Seek::rewind(&mut file).expect("rewound");
        read_from(file)
    }

    #[test]
    fn a_state_that_is_none_is_an_error_only_if_it_speaks_of_an_eni() {
        let huge = format!(r#"{{"id":"a","x":"{}"}}"#, "x".repeat(1 << 20));
        for (text, why) in [
            ("", "not a JSON object"),
            (r#"{"id":"a""#, "not a JSON object"),
            ("[]", "not a JSON object"),
            (r#"{"id":"web:1"}"#, "id \"web:1\""),
            (&huge, "more than 1 MiB"),
        ] {
            let other = state(text.as_bytes());
            assert_eq!(other.speech, Speech::Unknown, "{text}");
            let text = [text.as_bytes(), b" \"com.amazonaws.ecs.eni.\xff"].concat();
            let ours = state(&text);
            assert_eq!(ours.speech, Speech::OfAnEni);
            let line = ours.container().expect_err(why).line();
            let says = [why, "not a JSON object"].iter().any(|why| line.contains(why));
            assert!(says && line.contains("state on stdin"), "{line}");
        }
    }

    #[test]
    fn the_bundle_is_asked_wherever_the_state_names_it() {
        let bundle = tempfile::tempdir().expect("a folder");
        let path = bundle.path().display();
        let ask = |text: String| state(text.as_bytes()).speech;
        let states = || {
            [
                format!(r#"{{"id":"a","bundle":"{path}"}}"#),
                format!(
                    r#"{{"bundle":"/","id":["\ud800"],"bundle":"{path}","annotations":[null]}}"#
                ),
                format!(r#"{{"bundle":"{path}","annotations":{{"a":"{}"}}}}"#, "x".repeat(2 << 20)),
                format!(r#"{{"bundle":"{path}","annotations":{{"a"#),
            ]
        };
        for text in states() {
            assert_eq!(ask(text), Speech::Unknown);
        }
        fs::write(bundle.path().join("config.json"), "{").expect("written");
        for text in states() {
            assert_eq!(ask(text), Speech::OfOtherThings);
        }
        fs::write(bundle.path().join("config.json"), "com.amazonaws.ecs.eni.").expect("written");
        for text in states() {
            assert_eq!(ask(text), Speech::OfAnEni);
        }
        for bundle in ["7", "null", "\"relative\"", "\"\"", "\"/nonexistent\""] {
            assert_eq!(ask(format!(r#"{{"id":"a","bundle":{bundle}}}"#)), Speech::Unknown);
        }
    }

    /// What is read of a pipe whose other end is kept, and for how long.
    fn of_pipe(write: impl FnOnce(&mut PipeWriter), milliseconds: u64) -> (State, Duration) {
        let (reader, mut writer) = pipe().expect("a pipe");
        write(&mut writer);
        let begin = Instant::now();
        let until = begin + Duration::from_millis(milliseconds);
        (State::read(reader, until, &Detect::default()), begin.elapsed())
    }

    #[test]
    fn a_stdin_that_does_not_end_is_read_for_no_longer_than_the_deadline() {
        for text in ["", "com.amazonaws.ecs.eni."] {
            let write =
                |writer: &mut PipeWriter| writer.write_all(text.as_bytes()).expect("written");
            let (state, took) = of_pipe(write, 50);
            assert!((50..5000).contains(&took.as_millis()), "{took:?}");
            let speech = if text.is_empty() { Speech::Unknown } else { Speech::OfAnEni };
            assert_eq!(state.speech, speech);
            assert!(state.container().expect_err("late").line().contains("deadline-seconds"));
        }
    }

    #[test]
    fn a_stdin_that_is_no_pipe_says_nothing() {
        for path in ["/", "/dev/null"] {
            let state = read_from(File::open(path).expect(path));
            assert_eq!(state.speech, Speech::Unknown, "{path}");
            assert!(state.container().is_err());
        }
        // One that has no end, and no limit but ours.
        let state = read_from(File::open("/dev/zero").expect("a device"));
        assert_eq!(state.speech, Speech::Unknown);
        assert!(state.container().expect_err("huge").line().contains("more than 1 MiB"));
    }
}
