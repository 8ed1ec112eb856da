//! Waiting until frames flow.

use crate::{
    apply::{attempt::Attempt, outcome::Applied},
    error::{Error, Result, give_up},
    kernel::{monitor::Monitor, sides::Space},
    net::{name::InterfaceName, side::Side},
};
use std::time::Instant;

/// Waits until frames flow over a link. Nothing is subscribed to where they do already.
pub fn await_running(attempt: &Attempt<'_>, side: Side, name: &InterfaceName) -> Result<Applied> {
    let Space { netlink, netns } = attempt.sides.of(side)?;
    let running = || -> Result<bool> {
        let link = netlink.link(name)?;
        Ok(link.ok_or_else(|| Error::Refused("it is gone".to_owned()))?.running)
    };
    if running()? {
        return Ok(Applied::Already);
    }
    let monitor = Monitor::within(netns)?;
    let until = Instant::now() + attempt.limits.link_up_timeout;
    while !running()? {
        if !attempt.limits.wait_for_event(&monitor, until)? {
            return give_up(format!(
                "it has no carrier after {:.0?} (link-up-timeout-seconds in config.toml)",
                attempt.limits.link_up_timeout
            ));
        }
        monitor.drain();
    }
    Ok(Applied::Already)
}
