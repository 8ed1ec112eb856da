//! Two looks a moment apart, which tell what is left over or broken from what a start or a stop is about to make
//! or take away.

use crate::error::Result;
use std::{thread, time::Duration};

/// For how long something must be so.
pub const A_MOMENT: Duration = Duration::from_secs(1);

/// What one look finds, and another one a moment later; as the second one finds it.
///
/// # Errors
/// One of them fails.
pub fn twice<T: PartialEq>(look: impl Fn() -> Result<Vec<T>>) -> Result<Vec<T>> {
    let before = look()?;
    if before.is_empty() {
        return Ok(before);
    }
    thread::sleep(A_MOMENT);
    let mut now = look()?;
    now.retain(|found| before.contains(found));
    Ok(now)
}
