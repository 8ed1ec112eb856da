//! Rules in the task's namespace.

use crate::{
    apply::{attempt::Attempt, outcome::Applied},
    error::{Doing, Result},
    nft::{self, Family, Leases, Ruleset, State},
};

/// Rules in the task's namespace, which a task that may can change: so they are looked at whole. Where
/// others of ours are replaced, that is not undone: what was blocked stays so.
pub fn ensure_block(
    attempt: &Attempt<'_>,
    ensure: impl FnOnce() -> Result<State>,
) -> Result<Applied> {
    let before = attempt.sides.task()?.netns.within(ensure)?;
    Ok(if before == State::Absent { Applied::Changed } else { Applied::Already })
}

/// Whether exactly these rules are in the task's namespace; not where the kernel cannot be asked.
pub fn is_there(attempt: &Attempt<'_>, ruleset: &Ruleset) -> Result<bool> {
    let look = || Ok(nft::look(ruleset, Leases::All).is_ok_and(|state| state == State::Whole));
    attempt.sides.task()?.netns.within(look)
}

/// Removes our rules of these families.
pub fn unblock(attempt: &Attempt<'_>, families: &[Family]) -> Result<Applied> {
    let remove = || nft::remove(families).doing(|| "removing our tables");
    let were_there = attempt.sides.task()?.netns.within(remove)?;
    Ok(if were_there { Applied::Changed } else { Applied::Already })
}
