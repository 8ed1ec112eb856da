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
use nix::fcntl::OFlag;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// How much is read at once, in bytes. Most texts are not longer.
pub const CHUNK: usize = 16 << 10;

/// How much of a text is searched, in bytes: a tenth of a second's work, and far more than runtimes are given to read
/// into memory.
pub const MAX_SEARCHED: u64 = 64 << 20;

/// A search for what a container of ours must have in one of its texts.
#[derive(Debug)]
pub struct Mention<'a> {
    words: [Word<'a>; 3],
    /// What is searched, without escapes; between two searches, as much as the beginning of a word.
    text: Vec<u8>,
    /// How much of it is without escapes. The rest is the beginning of one.
    plain: usize,
}

/// A word, and whether it was found.
#[derive(Debug)]
struct Word<'a> {
    bytes: &'a [u8],
    skips: [u8; 256],
    is_found: bool,
}

impl<'a> Mention<'a> {
    /// A container speaks of an ENI if it has an annotation about one, or if it has both the key and the value that
    /// make a pause container. The key alone does not: ECS gives it to every container of every task.
    #[must_use]
    pub fn new(detect: &'a Detect) -> Self {
        let words = [PREFIX, &detect.annotation, &detect.value].map(Word::new);
        Self { words, text: Vec::new(), plain: 0 }
    }

    /// Whether there was one in what was searched.
    #[must_use]
    pub fn is_found(&self) -> bool {
        let [prefix, key, value] = &self.words;
        prefix.is_found || (key.is_found && value.is_found)
    }

    /// Whether there was the key by which ECS names every container of a task.
    #[must_use]
    pub fn is_named(&self) -> bool {
        let [_, key, _] = &self.words;
        key.is_found
    }

    /// Searches the next bytes of a text.
    pub fn search(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        self.plain = unescape(&mut self.text, self.plain);
        let plain = &self.text[..self.plain];
        for word in &mut self.words {
            word.is_found = word.is_found || word.is_in(plain);
        }
        let longest = self.words.iter().map(|word| word.bytes.len()).max().unwrap_or_default();
        let done = self.plain.saturating_sub(longest);
        self.text.drain(..done);
        self.plain -= done;
    }

    /// Searches a file. False: there is none that could be read to its end. What is no regular file is not opened:
    /// to open a pipe would take it from whoever is to read it, and reading could wait for ever.
    pub fn search_file(&mut self, path: &Path) -> bool {
        self.next_text();
        let Ok(file) = open(path) else { return false };
        let (mut file, mut chunk) = (file.take(MAX_SEARCHED), [0; CHUNK]);
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
        self.text.clear();
        self.plain = 0;
    }
}

impl<'a> Word<'a> {
    fn new(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let skip = |far: usize| u8::try_from(far).unwrap_or(u8::MAX);
        let mut skips = [skip(bytes.len().max(1)); 256];
        for (at, byte) in bytes.iter().enumerate().take(bytes.len().saturating_sub(1)) {
            skips[usize::from(*byte)] = skip(bytes.len() - 1 - at);
        }
        Self { bytes, skips, is_found: bytes.is_empty() }
    }

    /// Horspool's search: the last byte under the word says how far the word can be moved on. The crate `memchr`
    /// asks the processor first what it can do, and each such question leaves a virtual machine.
    fn is_in(&self, text: &[u8]) -> bool {
        let mut at = 0;
        while let Some(window @ [.., last]) = text.get(at..at + self.bytes.len()) {
            if window == self.bytes {
                return true;
            }
            at += usize::from(self.skips[usize::from(*last)]);
        }
        false
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

/// Undoes the escapes of a text from a place on, which makes it no longer; gives where that ends. What follows there
/// is an escape that is cut.
fn unescape(text: &mut Vec<u8>, from: usize) -> usize {
    let (mut read, mut written) = (from, from);
    loop {
        let rest = &text[read..];
        let length = rest.iter().position(|byte| *byte == b'\\').unwrap_or(rest.len());
        if read > written {
            text.copy_within(read..read + length, written);
        }
        (read, written) = (read + length, written + length);
        let Some((character, length)) = character(&text[read..]) else { break };
        written += character.encode_utf8(&mut text[written..]).len();
        read += length;
    }
    text.drain(written..read);
    written
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
mod tests;
