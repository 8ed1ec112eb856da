//! Steps made to happen, in order, or none of them.

use crate::{
    error::{Doing, Error, Result},
    kernel::{Applied, Kernel},
    limits::Limits,
    step::Step,
};
use std::{
    fmt,
    time::{Duration, Instant},
};

/// How long each step took.
#[derive(Debug, Default)]
pub struct Timings(Vec<(&'static str, Duration)>);

/// Applies the steps in order. If one fails, or a limit is reached, those that changed something
/// are undone in reverse.
///
/// # Errors
/// What the step failed with; [`Error::NotUndone`] if something could not be undone either.
pub async fn transact(steps: &[Step], kernel: &Kernel, limits: &Limits) -> Result<Timings> {
    kernel.indices.borrow_mut().clear();
    let mut changed = Vec::new();
    let mut timings = Timings::default();
    for step in steps {
        let begin = Instant::now();
        let outcome = match limits.check() {
            Ok(()) => kernel.apply(step, limits).await,
            Err(error) => Err(error.into()),
        };
        match outcome.doing(|| step.to_string()) {
            Ok(Applied::Changed) => {
                changed.push(step);
                log::debug!("{step}: {:.2} ms", begin.elapsed().as_secs_f64() * 1e3);
            }
            Ok(Applied::Already) => log::debug!("{step}: so already"),
            Err(error) => return Err(roll_back(&changed, kernel, error).await),
        }
        timings.0.push((step.label(), begin.elapsed()));
    }
    Ok(timings)
}

/// Undoes what was done, and gives the error to report. If the ENI cannot be brought home, what
/// came before it stays: the veth that tells of it, so that a later call can find it.
async fn roll_back(changed: &[&Step], kernel: &Kernel, error: Error) -> Error {
    let mut left = Vec::new();
    for step in changed.iter().rev() {
        match kernel.revert(step).await.doing(|| format!("undoing: {step}")) {
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

impl fmt::Display for Timings {
    /// `veth 0.61, port 0.05, …`: milliseconds, in the order of the steps; steps of the same kind
    /// that follow one another are added up.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, run) in self.0.chunk_by(|one, next| one.0 == next.0).enumerate() {
            let total: Duration = run.iter().map(|(_, took)| took).sum();
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{} {:.2}", run[0].0, total.as_secs_f64() * 1e3)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_of_one_kind_are_added_up() {
        let ms = Duration::from_millis;
        let timings =
            Timings(vec![("up", ms(1)), ("route", ms(2)), ("route", ms(3)), ("up", ms(4))]);
        assert_eq!(timings.to_string(), "up 1.00, route 5.00, up 4.00");
    }
}
