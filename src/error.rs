//! Errors that read, from left to right, as what was being done, to what, and why it failed.
//!
//! Each layer adds its own context with [`Doing::doing`] and keeps the cause as
//! [`source`](StdError::source), never in its text; [`Error::line`] joins the chain once, for the
//! one line that the runtime shows to the user.

use nix::errno::Errno;
use std::{error::Error as StdError, fmt};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The longest line that is shown, in characters: about what syslog takes (RFC 3164, section 4.1).
const MAX_LINE: usize = 1000;

/// Why the hook did not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request, the host or the configuration does not allow it.
    #[error("{0}")]
    Refused(String),

    /// The kernel refused a request.
    #[error(transparent)]
    Kernel(#[from] KernelError),

    /// Between our look and our try, the kernel changed: another hook was faster, or an ENI was
    /// detached. A new look leads to a new plan.
    #[error("{0}")]
    Overtaken(String),

    /// Something did not come in time, or SIGTERM came first.
    #[error("{0}")]
    GaveUp(String),

    /// Something failed, and then something that had been done could not be undone.
    #[error("{error}; and this could not be undone: {left}", error = error.line())]
    NotUndone {
        /// The first failure.
        error: Box<Error>,
        /// What is left, and why.
        left: String,
    },

    /// A library says why: a file cannot be read, or a text not be parsed.
    #[error(transparent)]
    Library(Box<dyn StdError + Send + Sync>),

    /// Something failed on the way.
    #[error("{doing}")]
    Failed {
        /// What we were doing, to what: `moving 02:… (eth1) into the namespace of pid 4711`.
        doing: String,
        /// Why it failed.
        source: Box<Error>,
    },
}

/// A refusal of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelError {
    /// Which error.
    pub errno: Errno,
    /// What the kernel says about it beyond that, in its own words.
    pub sentence: Option<String>,
}

impl KernelError {
    /// Whether there is no such link: by index ENODEV, by name the same.
    #[must_use]
    pub fn is_no_device(&self) -> bool {
        self.errno == Errno::ENODEV
    }

    /// Whether it exists already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        self.errno == Errno::EEXIST
    }

    /// Whether what should go away is not there: ENODEV for links, EADDRNOTAVAIL for addresses,
    /// ESRCH for routes, ENOENT for neighbours.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        use Errno::{EADDRNOTAVAIL, ENODEV, ENOENT, ESRCH};
        [EADDRNOTAVAIL, ENODEV, ENOENT, ESRCH].contains(&self.errno)
    }

    /// Whether we may not.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self.errno, Errno::EPERM | Errno::EACCES)
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.errno.desc().to_lowercase())?;
        if let Some(sentence) = &self.sentence {
            write!(f, " (the kernel says: {sentence})")?;
        }
        if self.is_denied() {
            f.write_str(
                "; the hook needs CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_SYS_PTRACE: does it run as root, and as the \
                 instance's, not as that of a user namespace (a rootless engine)?",
            )?;
        }
        Ok(())
    }
}

impl StdError for KernelError {}

impl From<std::io::Error> for KernelError {
    fn from(error: std::io::Error) -> Self {
        Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32)).into()
    }
}

impl From<Errno> for KernelError {
    fn from(errno: Errno) -> Self {
        Self { errno, sentence: None }
    }
}

/// Errors of libraries, none of which anybody here needs to tell apart.
macro_rules! libraries {
    ($($error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Library(error.into())
            }
        }
    )*};
}

libraries!(
    std::ffi::NulError,
    std::str::Utf8Error,
    serde_json::Error,
    caps::errors::CapsError,
    String,
    &str
);

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Library(error.into())
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno.into())
    }
}

impl Error {
    /// Whether all that is wrong is [`Error::Overtaken`].
    #[must_use]
    pub fn is_overtaken(&self) -> bool {
        match self {
            Self::Overtaken(_) => true,
            Self::Failed { source, .. } => source.is_overtaken(),
            _ => false,
        }
    }

    /// The whole chain in one line: `doing this: doing that: file exists`.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            line.push_str(": ");
            line.push_str(&error.to_string());
            source = error.source();
        }
        // Some of it came from outside: it shall not fill the terminal that shows it.
        let cut = if line.chars().count() > MAX_LINE { " …" } else { "" };
        printable(&line).chars().take(MAX_LINE).chain(cut.chars()).collect()
    }
}

/// A line as it may be shown to a person, or written to a log: whatever came from outside, as the name, the alias
/// or the id that a task chose, it does not speak to the terminal, and does not look like another line. That is:
/// without control characters, line separators, and marks that turn the direction of writing around.
#[must_use]
pub fn printable(line: &str) -> String {
    let is_mark = |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    line.chars().map(|c| if c.is_control() || is_mark(c) { ' ' } else { c }).collect()
}

/// Shorthand for [`Error::Refused`].
///
/// # Errors
/// Always.
pub fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::Refused(why.into()))
}

/// Shorthand for [`Error::Overtaken`].
///
/// # Errors
/// Always.
pub fn overtaken<T>(by: impl Into<String>) -> Result<T> {
    Err(Error::Overtaken(by.into()))
}

/// Shorthand for [`Error::GaveUp`].
///
/// # Errors
/// Always.
pub fn give_up<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::GaveUp(why.into()))
}

/// Adds to a failure what we were doing when it happened.
pub trait Doing<T> {
    /// Wraps the error, if there is one, in [`Error::Failed`].
    ///
    /// # Errors
    /// The error it was called on, wrapped.
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Error>> Doing<T> for Result<T, E> {
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Error::Failed { doing: what().into(), source: Box::new(error.into()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_failures_is_one_line_from_the_outside_in() {
        let failed: Result<()> = Err(std::io::Error::from_raw_os_error(2))
            .doing(|| "open /proc/4711/ns/net")
            .doing(|| "open the namespace\nof pid 4711");
        let line = failed.expect_err("it failed").line();
        assert!(
            line.starts_with("open the namespace of pid 4711: open /proc/4711/ns/net: No such"),
            "{line}"
        );
    }

    #[test]
    fn what_came_from_outside_does_not_speak_to_the_terminal() {
        let line = printable("a\u{1b}[2Jb\r\nc\u{9b}d\u{7f}e\u{202e}f\u{2028}g\th \u{e9}\u{4e16}");
        assert_eq!(line, "a [2Jb  c d e f g h \u{e9}\u{4e16}");
        assert_eq!(Error::Refused("link a\u{1b}c".to_owned()).line(), "link a c");
    }

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        let error = KernelError { errno: Errno::EEXIST, sentence: None };
        assert_eq!(error.to_string(), "file exists");
    }

    #[test]
    fn what_is_overtaken_stays_so_whatever_is_said_about_it() {
        let error = |error: Error| Err::<(), _>(error).doing(|| "a").doing(|| "b");
        assert!(error(Error::Overtaken("c".to_owned())).expect_err("failed").is_overtaken());
        assert!(!error(Error::Refused("c".to_owned())).expect_err("failed").is_overtaken());
    }
}
