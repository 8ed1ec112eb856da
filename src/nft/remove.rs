//! Our rules, taken away.

use super::{look::present, message::replacement, rule::Family, socket::Netfilter};
use crate::kernel::error::Answer;

/// Removes our tables of these families, in this thread's namespace. Says whether there were any.
///
/// # Errors
/// The kernel's.
pub fn remove(families: &[Family]) -> Answer<bool> {
    // A kernel may not know a family of which there is no table.
    let there = present(families)?;
    if !there.is_empty() {
        Netfilter::open()?.commit(replacement(&there, &[]))?;
    }
    Ok(!there.is_empty())
}
