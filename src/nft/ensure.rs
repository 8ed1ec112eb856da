//! Our rules, put in place where they are not there already.

use super::{
    install::{install, install_if_possible},
    look::{Leases, State, look},
    ruleset::Ruleset,
};
use crate::{error::Result, kernel::netns::Netns, net::name::InterfaceName};
use ipnetwork::IpNetwork;

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

/// Makes sure that a living task is kept from these destinations: in its namespace, and at its ENI, which is
/// called `eni` there. Says whether something had to be mended.
///
/// # Errors
/// The namespace cannot be entered, or the rules cannot be installed.
pub fn ensure_blocked(task: &Netns, eni: &InterfaceName, blocked: &[IpNetwork]) -> Result<bool> {
    task.within(|| {
        let packets = ensure(&Ruleset::of_task(blocked), install)?;
        let mut is_possible = true;
        let frames = ensure(&Ruleset::of_interface(eni, blocked), |ruleset| {
            is_possible = install_if_possible(ruleset)?;
            Ok(())
        })?;
        Ok(packets != State::Whole || is_possible && frames != State::Whole)
    })
}
