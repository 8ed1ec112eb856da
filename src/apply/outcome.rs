//! What applying a step did.

use crate::{error::Cause, kernel::error::Answer};

/// What applying a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It made the change.
    Changed,
    /// It was so already.
    Already,
}

/// The result of something that the kernel refused, or that we did.
pub type Outcome<T> = Result<T, Cause>;

/// The outcome of a request that always makes a change.
pub fn outcome_of(answer: Answer<()>) -> Outcome<Applied> {
    answer.map(|()| Applied::Changed).map_err(Cause::from)
}

/// The outcome of a request for something that may be so already.
pub fn ensured(answer: Answer<()>) -> Outcome<Applied> {
    match answer {
        Err(error) if error.is_exists() => Ok(Applied::Already),
        answer => outcome_of(answer),
    }
}

/// The outcome of the removal of something that may be gone already.
pub fn gone(answer: Answer<()>) -> Outcome<()> {
    match answer {
        Err(error) if !error.is_absent() => Err(error.into()),
        _ => Ok(()),
    }
}
