//! Branch ENIs (ENI trunking), by which an instance can have more tasks than ENIs. A branch is a VLAN
//! of a trunk, with a MAC address of its own. It is not attached to the instance and is not moved back
//! there: it is created in the task and deleted with it.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-eni.html>

use crate::net::{mac::Mac, vlan::VlanId};
use std::fmt;

/// Which VLAN of which trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Branch {
    /// The trunk's MAC address.
    pub trunk: Mac,
    /// The VLAN on it.
    pub vlan: VlanId,
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VLAN {} of trunk {}", self.vlan, self.trunk)
    }
}
