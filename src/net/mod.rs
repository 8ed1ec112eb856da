//! Kernel objects as data: plain values without a socket.

pub mod device;
pub mod form;
pub mod link;
pub mod mac;
pub mod name;
pub mod netns_id;
pub mod offloads;
pub mod port;
pub mod process;
pub mod rings;
pub mod route;
pub mod rule;
pub mod side;
pub mod vlan;
