//! Options of interfaces (sysctl).

use crate::{
    apply::{attempt::Attempt, outcome::Applied},
    error::{Doing, Result},
    net::{name::InterfaceName, side::Side},
};
use std::fs;

/// `/proc/sys/net` shows the namespace of the thread that opens it.
pub fn ensure_option(
    attempt: &Attempt<'_>,
    side: Side,
    family: &str,
    link: &InterfaceName,
    option: &str,
    value: &str,
) -> Result<Applied> {
    let path = format!("/proc/sys/net/{family}/conf/{link}/{option}");
    let ensure = || -> Result<Applied> {
        if fs::read_to_string(&path).doing(|| format!("reading {path}"))?.trim() == value {
            return Ok(Applied::Already);
        }
        fs::write(&path, value).doing(|| format!("writing {path}"))?;
        Ok(Applied::Changed)
    };
    Ok(match side {
        Side::Instance => ensure()?,
        Side::Task => attempt.sides.task()?.netns.within(ensure)?,
    })
}
