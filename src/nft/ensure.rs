//! Our rules, put in place where they are not there already.

use super::{
    look::{Leases, State, look},
    ruleset::Ruleset,
};
use crate::error::Result;

/// Makes sure that rules are there, in this thread's namespace, as `install` installs them. Says what was there
/// before.
///
/// # Errors
/// They cannot be installed.
pub fn ensure(ruleset: &Ruleset, install: impl FnOnce(&Ruleset) -> Result<()>) -> Result<State> {
    // Where we cannot look, installing says why.
    let before = look(ruleset, Leases::All).unwrap_or(State::Absent);
    if before != State::Whole {
        install(ruleset)?;
    }
    Ok(before)
}
