//! Options of interfaces (sysctl).

use crate::{
    apply::{attempt::Attempt, outcome::Applied},
    error::{Doing, Result},
    net::{name::InterfaceName, side::Side},
};
use std::fs;

/// Whether an option is so; not where there is no such interface.
pub fn has_option(
    attempt: &Attempt<'_>,
    side: Side,
    family: &str,
    link: &InterfaceName,
    option: &str,
    value: &str,
) -> Result<bool> {
    let path = path_of(family, link, option);
    let look = || Ok(fs::read_to_string(&path).is_ok_and(|text| text.trim() == value));
    within(attempt, side, look)
}

/// `/proc/sys/net` shows the namespace of the thread that opens it.
pub fn ensure_option(
    attempt: &Attempt<'_>,
    side: Side,
    family: &str,
    link: &InterfaceName,
    option: &str,
    value: &str,
) -> Result<Applied> {
    let path = path_of(family, link, option);
    let ensure = || -> Result<Applied> {
        if fs::read_to_string(&path).doing(|| format!("reading {path}"))?.trim() == value {
            return Ok(Applied::Already);
        }
        fs::write(&path, value).doing(|| format!("writing {path}"))?;
        Ok(Applied::Changed)
    };
    within(attempt, side, ensure)
}

fn path_of(family: &str, link: &InterfaceName, option: &str) -> String {
    format!("/proc/sys/net/{family}/conf/{link}/{option}")
}

fn within<T>(attempt: &Attempt<'_>, side: Side, work: impl FnOnce() -> Result<T>) -> Result<T> {
    match side {
        Side::Instance => work(),
        Side::Task => attempt.sides.task()?.netns.within(work),
    }
}
