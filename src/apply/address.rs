//! Addresses, routes and neighbours.

use crate::{
    apply::{
        attempt::Attempt,
        outcome::{Applied, ensured, gone},
    },
    error::{KernelError, Result, refuse},
    net::{mac::Mac, name::InterfaceName, route::Route, side::Side},
};
use ipnetwork::IpNetwork;
use std::net::IpAddr;

pub fn ensure_address(
    attempt: &Attempt<'_>,
    side: Side,
    link: &InterfaceName,
    address: IpNetwork,
    subnet_route: bool,
) -> Result<Applied> {
    let netlink = attempt.netlink(side)?;
    let index = attempt.index(side, link)?;
    ensured(netlink.add_address(index, address, subnet_route))
}

pub fn delete_address(
    attempt: &Attempt<'_>,
    side: Side,
    link: &InterfaceName,
    address: IpNetwork,
) -> Result<()> {
    let netlink = attempt.netlink(side)?;
    gone(netlink.delete_address(attempt.index(side, link)?, address))
}

pub fn ensure_route(attempt: &Attempt<'_>, route: &Route) -> Result<Applied> {
    let index = index_of(attempt, route)?;
    let added = attempt.task()?.add_route(route, index);
    if added.as_ref().is_err_and(KernelError::is_exists)
        && !attempt.task()?.has_route(route, index)?
    {
        return refuse("another route to the same destination is there");
    }
    ensured(added)
}

pub fn delete_route(attempt: &Attempt<'_>, route: &Route) -> Result<()> {
    let index = index_of(attempt, route)?;
    gone(attempt.task()?.delete_route(route, index))
}

/// The index of the link that a route leads over.
pub fn index_of(attempt: &Attempt<'_>, route: &Route) -> Result<Option<u32>> {
    Ok(match route {
        Route::Link { link, .. } | Route::Via { link, .. } => {
            Some(attempt.index(Side::Task, link)?)
        }
        Route::Blackhole { .. } => None,
    })
}

/// A neighbour's MAC address follows from its address, so one that is there is replaced, and
/// that is no change that would have to be undone.
pub fn ensure_neighbour(
    attempt: &Attempt<'_>,
    side: Side,
    link: &InterfaceName,
    address: IpAddr,
    mac: Mac,
) -> Result<Applied> {
    let netlink = attempt.netlink(side)?;
    let index = attempt.index(side, link)?;
    let added = netlink.add_neighbour(index, address, mac, false);
    if added.as_ref().is_err_and(KernelError::is_exists) {
        netlink.add_neighbour(index, address, mac, true)?;
    }
    ensured(added)
}

pub fn delete_neighbour(
    attempt: &Attempt<'_>,
    side: Side,
    link: &InterfaceName,
    address: IpAddr,
) -> Result<()> {
    let netlink = attempt.netlink(side)?;
    gone(netlink.delete_neighbour(attempt.index(side, link)?, address))
}
