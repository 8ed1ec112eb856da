//! Waiting: until frames flow, until there is a route.

use crate::{
    apply::{attempt::Attempt, outcome::Applied},
    error::{Error, Result, give_up},
    kernel::{
        monitor::{Events, Monitor},
        sides::Space,
    },
    net::{name::InterfaceName, side::Side},
    task::RouterPatience,
};
use std::{
    iter::once,
    net::IpAddr,
    time::{Duration, Instant},
};

/// When routers are solicited again after the first time. RFC 4861 (section 10) has every 4 s and thrice, because all
/// hosts of a link may start at once; but here an application waits.
const SOLICIT_AGAIN: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

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
    let monitor = Monitor::within(netns, Events::Links)?;
    let until = Instant::now() + attempt.limits.link_up_timeout;
    if is_so_by(until, running, attempt, &monitor)? {
        return Ok(Applied::Already);
    }
    give_up(format!(
        "it has no carrier after {:.0?} (link-up-timeout-seconds in config.toml)",
        attempt.limits.link_up_timeout
    ))
}

/// Waits until the kernel takes packets to an IPv6 address. It gives an address to a link at once, but makes the
/// route to it in a queue of its own (`addrconf_dad_work`, net/ipv6/addrconf.c), even without duplicate address
/// detection: on a busy instance that is later than the first answer to the task, which would be dropped.
pub fn await_address(attempt: &Attempt<'_>, side: Side, address: IpAddr) -> Result<Applied> {
    let Space { netlink, netns } = attempt.sides.of(side)?;
    let is_local = || -> Result<bool> { Ok(netlink.is_local(address)?) };
    if is_local()? {
        return Ok(Applied::Already);
    }
    let monitor = Monitor::within(netns, Events::Ipv6Routes)?;
    let until = Instant::now() + attempt.limits.link_up_timeout;
    if is_so_by(until, is_local, attempt, &monitor)? {
        return Ok(Applied::Already);
    }
    give_up(format!(
        "it does not after {:.0?} (link-up-timeout-seconds in config.toml)",
        attempt.limits.link_up_timeout
    ))
}

/// Waits until a router has advertised itself, and the kernel has made a default route of that. Without one,
/// the first connection would be told that the network is unreachable.
pub fn await_router(
    attempt: &Attempt<'_>,
    name: &InterfaceName,
    patience: &RouterPatience,
) -> Result<Applied> {
    let Space { netlink, netns } = attempt.sides.task()?;
    let index = attempt.index(Side::Task, name)?;
    let has_route = || -> Result<bool> { Ok(netlink.has_ipv6_default(index)?) };
    if has_route()? {
        return Ok(Applied::Already);
    }
    let monitor = Monitor::within(netns, Events::Ipv6Routes)?;
    let mac = netlink.link(name)?.and_then(|link| link.mac);
    let RouterPatience { timeout, required } = *patience;
    let begin = Instant::now();
    let again = SOLICIT_AGAIN.into_iter().filter(|after| *after < timeout);
    for after in again.chain(once(timeout)) {
        if let Some(mac) = mac {
            netlink.solicit_router(index, mac)?;
        }
        if is_so_by(begin + after, has_route, attempt, &monitor)? {
            return Ok(Applied::Already);
        }
    }
    let time = format!("within {timeout:.0?} (router-timeout-seconds in config.toml)");
    if required {
        return give_up(format!("none has {time}"));
    }
    log::warn!(
        "{name} has no IPv6 default route: no annotation names a gateway, and no router has advertised itself {time}"
    );
    Ok(Applied::Already)
}

/// Whether something becomes so in time. The subscription must be older than the first look.
fn is_so_by(
    until: Instant,
    is_so: impl Fn() -> Result<bool>,
    attempt: &Attempt<'_>,
    monitor: &Monitor,
) -> Result<bool> {
    while !is_so()? {
        if !attempt.limits.wait_for_event(monitor, until)? {
            return Ok(false);
        }
        monitor.drain();
    }
    Ok(true)
}
