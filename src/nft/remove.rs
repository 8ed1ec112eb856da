//! Our rules, taken away.

use super::{install::replace, look::State, rule::Family};
use crate::kernel::error::Answer;

/// Removes our tables of these families, in this thread's namespace. Says whether there were any.
///
/// # Errors
/// The kernel's.
pub fn remove(families: &[Family]) -> Answer<bool> {
    Ok(replace(families, &[], |_| State::Changed)? != State::Absent)
}
