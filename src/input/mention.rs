//! Whether a container speaks of an ENI: what is asked of every container first, of the bytes of its state and of
//! its `config.json`, before any of it is parsed.
//!
//! Most containers have nothing to do with us, and nothing that is odd about them may be an error: not a text that
//! is cut, larger than we would parse, not UTF-8, or no JSON at all. All of these can be searched.
//!
//! What counts is what the text *means*: JSON can write each character as an escape, and to a runtime
//! `\u0063om.amazonaws.ecs.eni.mtu` is the same key as `com.amazonaws.ecs.eni.mtu`. So escapes are undone before
//! the search, wherever they stand. A text that only quotes a key, in a value or in the environment, is found too:
//! then parsing tells, strictly, what the annotations are.

use crate::input::{annotations::PREFIX, config::Detect};
use memchr::{memchr, memmem};
use nix::fcntl::OFlag;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// How much is read at once, in bytes.
pub const CHUNK: usize = 64 << 10;

/// How much of a text is searched, in bytes: less than a tenth of a second's work, and far more than runtimes are
/// given to read into memory.
pub const MAX_SEARCHED: u64 = 64 << 20;

/// A search for what a container of ours must have in one of its texts.
#[derive(Debug)]
pub struct Mention<'a> {
    /// What is searched for, and whether it was found.
    words: [(&'a [u8], bool); 3],
    /// What was not searched yet: at most the beginning of an escape.
    raw: Vec<u8>,
    /// What was searched last, without escapes; at the end, as much as the beginning of a word.
    text: Vec<u8>,
}

impl<'a> Mention<'a> {
    /// A container speaks of an ENI if it has an annotation about one, or if it has both the key and the value that
    /// make a pause container. The key alone does not: ECS gives it to every container of every task.
    #[must_use]
    pub fn new(detect: &'a Detect) -> Self {
        let words = [PREFIX, &detect.annotation, &detect.value];
        Self {
            words: words.map(|word| (word.as_bytes(), false)),
            raw: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Whether there was one in what was searched.
    #[must_use]
    pub fn is_found(&self) -> bool {
        let [(_, prefix), (_, key), (_, value)] = self.words;
        prefix || (key && value)
    }

    /// Searches the next bytes of a text.
    pub fn search(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        let done = unescape(&self.raw, &mut self.text);
        self.raw.drain(..done);
        for (word, is_found) in &mut self.words {
            *is_found = *is_found || memmem::find(&self.text, word).is_some();
        }
        let longest = self.words.iter().map(|(word, _)| word.len()).max().unwrap_or_default();
        self.text.drain(..self.text.len().saturating_sub(longest));
    }

    /// Searches a file. False: there is none that could be read to its end. What is no regular file is not opened:
    /// to open a pipe would take it from whoever is to read it, and reading could wait for ever.
    pub fn search_file(&mut self, path: &Path) -> bool {
        self.next_text();
        let Ok(file) = open(path) else { return false };
        let (mut file, mut chunk) = (file.take(MAX_SEARCHED), vec![0; CHUNK]);
        while !self.is_found() {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => self.search(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// What follows is another text: nothing of it belongs to the end of the last one.
    fn next_text(&mut self) {
        self.raw.clear();
        self.text.clear();
    }
}

/// Opens a regular file, also through a link, as runtimes do.
fn open(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    // Whoever put something else in its place in this instant does not make us wait for it.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    Ok(file)
}

/// Appends a text without its escapes; gives how much of it that was. The rest is an escape that is cut at the end.
fn unescape(raw: &[u8], text: &mut Vec<u8>) -> usize {
    let mut done = 0;
    while let Some(plain) = memchr(b'\\', &raw[done..]) {
        text.extend_from_slice(&raw[done..done + plain]);
        done += plain;
        let escape = &raw[done..];
        let Some((character, length)) = character(escape) else { return done };
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        done += length;
    }
    text.extend_from_slice(&raw[done..]);
    raw.len()
}

/// The character that an escape at the beginning of `raw` stands for, and the escape's length. `None`: it is cut.
fn character(raw: &[u8]) -> Option<(char, usize)> {
    let named = |character| Some((character, 2));
    match raw.get(1)? {
        b'u' => {}
        b'b' => return named('\u{8}'),
        b'f' => return named('\u{c}'),
        b'n' => return named('\n'),
        b'r' => return named('\r'),
        b't' => return named('\t'),
        other if other.is_ascii() => return named(char::from(*other)),
        // No escape: the backslash alone.
        _ => return Some(('\\', 1)),
    }
    if is_cut(raw) {
        return None;
    }
    let Some(first) = unit(raw) else { return named('u') };
    let is_high = (0xd800..0xdc00).contains(&first);
    if is_high && is_cut(&raw[6..]) {
        return None;
    }
    let second = if is_high { unit(&raw[6..]) } else { None };
    match char::decode_utf16([first].into_iter().chain(second)).next() {
        Some(Ok(character)) => Some((character, 6 * character.len_utf16())),
        // Half a character, which some runtimes let pass.
        _ => Some((char::REPLACEMENT_CHARACTER, 6)),
    }
}

/// The unit of UTF-16 that an escape `\uXXXX` at the beginning of `raw` stands for.
fn unit(raw: &[u8]) -> Option<u16> {
    let digits = raw.strip_prefix(b"\\u")?.get(..4)?;
    // Not with a sign, as from_str_radix has them.
    let digits = Some(digits).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Whether all there is may be the beginning of an escape `\uXXXX`.
fn is_cut(raw: &[u8]) -> bool {
    let is_right = |(at, byte): (usize, &u8)| match at {
        0 => *byte == b'\\',
        1 => *byte == b'u',
        _ => byte.is_ascii_hexdigit(),
    };
    raw.len() < 6 && raw.iter().enumerate().all(is_right)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: &str = r#""com.amazonaws.ecs.container-name":"~internal~ecs~pause""#;

    /// Whether it is found, however the text is cut.
    #[track_caller]
    fn found(text: impl AsRef<[u8]>) -> bool {
        let (text, detect) = (text.as_ref(), Detect::default());
        let cut_every = |length| {
            let mut mention = Mention::new(&detect);
            text.chunks(length).for_each(|chunk| mention.search(chunk));
            mention.is_found()
        };
        let found = cut_every(text.len().max(1));
        for length in [1, 2, 3, 5, 7, 11, 13] {
            assert_eq!(cut_every(length), found, "cut every {length} bytes");
        }
        found
    }

    #[test]
    fn every_way_to_write_a_key_is_found() {
        for text in [
            r#"{"com.amazonaws.ecs.eni.mtu":"1"}"#,
            r#"{"\u0063om.amazonaws.ecs.eni.mtu":"1"}"#,
            r#"{"com\u002Eamazonaws\u002eecs.eni.mtu":"1"}"#,
            r#"{"\ud83d\u0063om.amazonaws.ecs.eni.mtu":"1"}"#,
            r#"{"\ud83d\ude00com.amazonaws.ecs.eni.mtu":"1"}"#,
            r#"{"\\com.amazonaws.ecs.eni.\"":"1"#,
            r#"\u00com.amazonaws.ecs.eni."#,
            r#"\com.amazonaws.ecs.eni."#,
            PAUSE,
            r#""com.amazonaws.ecs.container\u002dname" :	"\u007einternal~ecs~pause""#,
        ] {
            assert!(found(text), "{text}");
        }
        assert!(found([b"\xff\\\xff\0", PAUSE.as_bytes(), b"\xc3"].concat()));
        let all = PREFIX.bytes().map(|byte| format!("\\u{byte:04x}")).collect::<String>();
        assert!(found(format!("{}{all}", "x".repeat(70_000))));
    }

    #[test]
    fn other_texts_speak_of_none() {
        for text in [
            "",
            "{}",
            r#"{"com.amazonaws.ecs.container-name":"web","com.amazonaws.ecs.cluster":"c"}"#,
            r#"{"a":"~internal~ecs~pause"}"#,
            r#"{"\\u0063om.amazonaws.ecs.eni.mtu":"1"}"#,
            r#"{"com.amazonaws.ecs\u0000eni.mtu":"1"}"#,
            r#"{"\ud83d":"\udc00\ud83d\ud83d\uzzzz\u12"#,
            r#"{"a":"\"#,
            "\\\u{1f600}",
        ] {
            assert!(!found(text), "{text}");
        }
    }

    #[test]
    fn what_the_configuration_says_is_found_however_it_is_written() {
        let detect =
            Detect { annotation: "io.x/kind".to_owned(), value: "\u{1f600}\"\t".to_owned() };
        let mut mention = Mention::new(&detect);
        mention.search(br#""io.x\/kind":"#);
        assert!(!mention.is_found());
        mention.search(br#""\uD83D\uDE00\"\t""#);
        assert!(mention.is_found());
    }

    #[test]
    fn a_file_is_searched_to_its_end_and_what_is_none_is_not_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, detect) = (folder.path().join("config.json"), Detect::default());
        let ask = || {
            let mut mention = Mention::new(&detect);
            (mention.search_file(&path), mention.is_found())
        };
        assert_eq!(ask(), (false, false));
        fs::write(&path, "x".repeat(17 << 20)).expect("written");
        assert_eq!(ask(), (true, false));
        fs::write(&path, format!("{}{PREFIX}", "x".repeat(17 << 20))).expect("written");
        assert_eq!(ask(), (true, true));
        fs::rename(&path, folder.path().join("other")).expect("renamed");
        std::os::unix::fs::symlink("other", &path).expect("linked");
        assert_eq!(ask(), (true, true));
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("made");
        assert_eq!(ask(), (false, false));
    }

    #[test]
    fn two_texts_are_not_one() {
        let detect = Detect::default();
        let mut mention = Mention::new(&detect);
        mention.search(b"com.amazonaws.ecs.");
        mention.next_text();
        mention.search(b"eni.");
        assert!(!mention.is_found());
    }
}
