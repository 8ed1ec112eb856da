//! Options of interfaces (sysctl).

use crate::{
    apply::{attempt::Attempt, outcome::Applied},
    error::{Doing, Result},
    net::{name::InterfaceName, side::Side},
};
use std::fs;

/// Whether an option holds this; not where there is no such interface.
pub fn has_option(attempt: &Attempt<'_>, side: Side, path: &str, value: &str) -> Result<bool> {
    let look = || Ok(fs::read_to_string(path).is_ok_and(|text| text.trim() == value));
    within(attempt, side, look)
}

/// Makes an option hold this.
pub fn ensure_option(
    attempt: &Attempt<'_>,
    side: Side,
    path: &str,
    value: &str,
) -> Result<Applied> {
    let ensure = || -> Result<Applied> {
        if fs::read_to_string(path).doing(|| format!("reading {path}"))?.trim() == value {
            return Ok(Applied::Already);
        }
        fs::write(path, value).doing(|| format!("writing {path}"))?;
        Ok(Applied::Changed)
    };
    within(attempt, side, ensure)
}

/// Where an option is.
pub fn path_of(family: &str, link: &InterfaceName, option: &str) -> String {
    format!("/proc/sys/net/{family}/conf/{link}/{option}")
}

/// `/proc/sys/net` shows the namespace of the thread that opens it.
fn within<T>(attempt: &Attempt<'_>, side: Side, work: impl FnOnce() -> Result<T>) -> Result<T> {
    match side {
        Side::Instance => work(),
        Side::Task => attempt.sides.task()?.netns.within(work),
    }
}
