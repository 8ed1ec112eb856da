//! Runs steps in order; undoes them if one fails.

mod address;
pub mod attempt;
mod block;
mod branch;
mod eni;
pub mod holds;
mod host;
mod option;
pub mod outcome;
mod port;
mod record;
pub mod steps;
mod wait;

use crate::{
    error::{Doing, Error, Result},
    kernel::sides::Sides,
    plan::{step::Step, text::part},
    process::{limits::Limits, timings::Timings},
};
use attempt::Attempt;
use outcome::Applied;
use steps::{apply, revert};

/// Applies the steps in order. If one fails, or a limit is reached, those that changed something
/// are undone in reverse.
///
/// # Errors
/// What the step failed with; [`Error::NotUndone`] if something could not be undone either.
pub fn transact(
    steps: &[Step],
    sides: &Sides,
    limits: &Limits,
    timings: &mut Timings,
) -> Result<()> {
    let attempt = Attempt::new(sides, limits);
    let mut changed = Vec::new();
    for step in steps {
        let outcome = match limits.check() {
            Ok(()) => apply(&attempt, step),
            Err(error) => Err(error),
        };
        let took = timings.lap(part(step)).as_secs_f64() * 1e3;
        match outcome.doing(|| step.to_string()) {
            Ok(Applied::Changed) => {
                changed.push(step);
                log::debug!("{step}: {took:.2} ms");
            }
            Ok(Applied::Already) => log::debug!("{step}: so already"),
            Err(error) => return Err(roll_back(&changed, &attempt, error)),
        }
    }
    Ok(())
}

/// Undoes what was done, and gives the error to report. If the ENI cannot be brought home, what
/// came before it stays: the record, so that a later call can find it.
fn roll_back(changed: &[&Step], attempt: &Attempt<'_>, error: Error) -> Error {
    let mut left = Vec::new();
    for step in changed.iter().rev() {
        match revert(attempt, step).doing(|| format!("undoing: {step}")) {
            Ok(()) => log::debug!("undone: {step}"),
            Err(error) => {
                left.push(error.line());
                if matches!(step, Step::MoveIn { .. } | Step::CreateBranch { .. }) {
                    break;
                }
            }
        }
    }
    if left.is_empty() {
        return error;
    }
    Error::NotUndone { error: Box::new(error), left: left.join("; ") }
}
