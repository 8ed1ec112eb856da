//! One attempt at a list of steps: where, until when, and what was learned on the way.

use crate::{
    apply::outcome::{Applied, outcome_of},
    error::Result,
    kernel::{link::LinkChange, sides::Sides, socket::Netlink},
    net::{name::InterfaceName, side::Side},
    process::limits::Limits,
};
use std::{cell::RefCell, collections::BTreeMap};

/// One attempt at a list of steps.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// Both namespaces.
    pub sides: &'a Sides,
    /// When to stop.
    pub limits: &'a Limits,
    /// The indices of links that were asked for.
    indices: RefCell<BTreeMap<(Side, InterfaceName), u32>>,
}

impl<'a> Attempt<'a> {
    /// A new one, which knows no indices yet: after a lost race, names may be other links'.
    pub fn new(sides: &'a Sides, limits: &'a Limits) -> Self {
        Self { sides, limits, indices: RefCell::default() }
    }

    /// The instance's routing socket.
    pub fn instance(&self) -> &'a Netlink {
        &self.sides.instance.netlink
    }

    /// The task's routing socket.
    pub fn task(&self) -> Result<&'a Netlink> {
        Ok(&self.sides.task()?.netlink)
    }

    /// One of the two.
    pub fn netlink(&self, side: Side) -> Result<&'a Netlink> {
        Ok(&self.sides.of(side)?.netlink)
    }

    /// The index of a link, which is asked for once.
    pub fn index(&self, side: Side, link: &InterfaceName) -> Result<u32> {
        let key = (side, link.clone());
        if let Some(index) = self.indices.borrow().get(&key) {
            return Ok(*index);
        }
        let index = self.netlink(side)?.index(link)?;
        self.indices.borrow_mut().insert(key, index);
        Ok(index)
    }

    /// Sets properties of a link.
    pub fn set(&self, side: Side, link: &InterfaceName, change: &LinkChange) -> Result<Applied> {
        let index = self.index(side, link)?;
        outcome_of(self.netlink(side)?.set_link(index, change))
    }
}
