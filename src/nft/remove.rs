//! Our rules, taken away.

use super::{install::replace, rule::Family};
use crate::kernel::error::Answer;

/// Removes our tables of these families, in this thread's namespace. Says whether there were any.
///
/// # Errors
/// The kernel's.
pub fn remove(families: &[Family]) -> Answer<bool> {
    replace(families, &[])
}
