//! What a command for operators did.

use crate::error::{Error, Result};

/// What a command did, a line each, and what it could not do.
#[derive(Debug, Default)]
pub struct Report {
    /// What it did.
    pub done: Vec<String>,
    /// What it could not do.
    pub failures: Vec<Error>,
}

impl Report {
    /// Notes what came of one part; `None`: there was nothing to do.
    pub fn add(&mut self, outcome: Result<Option<String>>) {
        match outcome {
            Ok(what) => self.done.extend(what),
            Err(error) => self.failures.push(error),
        }
    }
}

impl From<Vec<String>> for Report {
    fn from(done: Vec<String>) -> Self {
        Self { done, failures: Vec::new() }
    }
}
