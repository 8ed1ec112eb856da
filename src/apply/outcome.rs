//! What applying a step did.

use crate::{error::Result, kernel::error::Answer};

/// What applying a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It made the change.
    Changed,
    /// It was so already.
    Already,
}

/// The outcome of a request that always makes a change.
pub fn outcome_of(answer: Answer<()>) -> Result<Applied> {
    answer.map(|()| Applied::Changed).map_err(Into::into)
}

/// The outcome of a request for something that may be so already.
pub fn ensured(answer: Answer<()>) -> Result<Applied> {
    match answer {
        Err(error) if error.is_exists() => Ok(Applied::Already),
        answer => outcome_of(answer),
    }
}

/// The outcome of the removal of something that may be gone already.
pub fn gone(answer: Answer<()>) -> Result<()> {
    match answer {
        Err(error) if !error.is_absent() => Err(error.into()),
        _ => Ok(()),
    }
}
