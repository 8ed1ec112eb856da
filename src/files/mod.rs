//! The files by which a container's programs know names: `/etc/resolv.conf`, `/etc/hosts` and `/etc/hostname`.
//!
//! They are on a tmpfs that is mounted nowhere but in containers, and so lives and dies with them. A container
//! starts without them, and with a warning, where they cannot be given.

pub mod application;
pub mod content;
mod giving;
pub mod pause;
