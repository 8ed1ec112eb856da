//! Kernel objects as data: plain values without a socket.

pub mod link;
pub mod mac;
pub mod name;
pub mod route;
pub mod rule;
pub mod side;
pub mod vlan;
