//! Requests to the kernel, one function a request. The only user of rtnetlink and of `setns`.
//!
//! Every function is one verb on one kind of object and fails with a [`KernelError`](crate::error::KernelError):
//! the errno, and the kernel's own sentence where it has one.

pub mod abilities;
pub mod address;
pub mod attributes;
pub mod bus;
mod decode;
pub mod error;
pub mod ethtool;
pub mod form;
pub mod holders;
pub mod link;
pub mod monitor;
pub mod mountinfo;
pub mod mounts;
pub mod neighbour;
pub mod netns;
pub mod nsid;
pub mod offloads;
pub mod process;
pub mod queues;
pub mod rings;
pub mod rootfs;
pub mod route;
pub mod router;
pub mod rule;
pub mod sides;
pub mod socket;
mod sysfs;
pub mod uts;
