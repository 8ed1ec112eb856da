//! Errors that read, from left to right, as what was being done, to what, and why it failed.
//!
//! Each layer adds its own context with [`Doing::doing`] and keeps the cause as
//! [`source`](StdError::source), never in its text; [`Error::line`] joins the chain once, for the
//! one line that the runtime shows to the user.

use std::error::Error as StdError;

/// Anything an [`Error`] can carry as its cause.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The longest line that is shown, in characters: about what syslog takes (RFC 3164, section 4.1).
const MAX_LINE: usize = 1000;

/// Why the hook did not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request, the host or the configuration does not allow it. Nothing was touched.
    #[error("{0}")]
    Refused(String),

    /// Between our look and our try, the kernel changed: another hook was faster, or an ENI was
    /// detached. A new look leads to a new plan.
    #[error("{0}")]
    Overtaken(String),

    /// Something failed, and then something that had been done could not be undone.
    #[error("{error}; and this could not be undone: {left}", error = error.line())]
    NotUndone {
        /// The first failure.
        error: Box<Error>,
        /// What is left, and why.
        left: String,
    },

    /// Something failed on the way.
    #[error("{doing}")]
    Failed {
        /// What we were doing, to what: `moving 02:… (eth1) into the namespace of pid 4711`.
        doing: String,
        /// Why it failed.
        source: Cause,
    },
}

impl Error {
    /// Whether all that is wrong is [`Error::Overtaken`].
    #[must_use]
    pub fn is_overtaken(&self) -> bool {
        match self {
            Self::Overtaken(_) => true,
            Self::Failed { source, .. } => {
                source.downcast_ref::<Self>().is_some_and(Self::is_overtaken)
            }
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
        // Some of it came from outside: it shall not speak to the terminal that shows it, nor fill it.
        let shown = line.chars().map(|c| if c.is_control() { ' ' } else { c });
        let cut = if line.chars().count() > MAX_LINE { " …" } else { "" };
        shown.take(MAX_LINE).chain(cut.chars()).collect()
    }
}

/// Shorthand for [`Error::Refused`].
///
/// # Errors
/// Always.
pub fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::Refused(why.into()))
}

/// Adds to a failure what we were doing when it happened.
pub trait Doing<T> {
    /// Wraps the error, if there is one, in [`Error::Failed`].
    ///
    /// # Errors
    /// The error it was called on, wrapped.
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Cause>> Doing<T> for Result<T, E> {
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Error::Failed { doing: what().into(), source: error.into() })
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
}
