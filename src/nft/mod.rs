//! The instance's nftables rules: as text, installed, looked for, removed.

pub mod chains;
pub mod program;
pub mod ruleset;

use crate::error::{Doing, KernelError, Result};
use ruleset::Ruleset;

/// Whether the rules are there. A kernel that has no nftables has none.
///
/// # Errors
/// We may not ask.
pub fn has_nftables(ruleset: &Ruleset) -> Result<bool> {
    if ruleset.chains().is_empty() {
        return Ok(true);
    }
    match chains::has_chains(ruleset.chains()) {
        Err(error) if !KernelError::is_denied(&error) => {
            log::debug!("looking for nftables rules: {error}");
            Ok(false)
        }
        answer => answer.doing(|| "looking for nftables rules on the instance"),
    }
}

/// Takes our tables away, if they are there: a kernel that cannot be asked whether there are any has
/// none. Says so, if there were any.
///
/// # Errors
/// They are there, and stay.
pub fn remove() -> Result<Option<String>> {
    if !chains::has_tables().unwrap_or(false) {
        return Ok(None);
    }
    program::remove().doing(|| "removing nftables rules from the instance")?;
    Ok(Some("nftables rules are removed".to_owned()))
}
