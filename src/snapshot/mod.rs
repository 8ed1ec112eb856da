//! What the kernel showed at one moment, and what follows from it: where a task's ENI is, and whose a
//! link is.

pub mod labels;
pub mod look;
pub mod ownership;
pub mod uplinks;
pub mod view;
pub mod whereabouts;
