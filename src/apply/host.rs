//! What all tasks share, and `host-teardown` takes away where there is none.

use crate::{
    apply::{attempt::Attempt, outcome::Applied},
    error::{Error, Result},
    kernel::process::is_alive,
    nft::{Family, records::Records, teardown::relied_upon},
};

/// Makes sure that the bridge and the rules that the plan relies on are there still. Where `host-teardown` was
/// faster, waits until it has done its work, so that the next look sees all of that.
pub fn check(attempt: &Attempt<'_>, families: &[Family], bridge: Option<u32>) -> Result<Applied> {
    let records = Records::open()?;
    let (by, has_rules) = relied_upon(&records, families)?;
    let is_going = by.is_some_and(is_alive);
    if is_going {
        attempt.limits.wait_until(|| Ok(!relied_upon(&records, &[])?.0.is_some_and(is_alive)))?;
    }
    let has_bridge = match bridge {
        Some(index) => attempt.instance().link_at(index)?.is_some(),
        None => true,
    };
    if is_going || !has_rules || !has_bridge {
        return Err(Error::Overtaken("somebody has just taken them away".to_owned()));
    }
    Ok(Applied::Already)
}
