//! This process: its log, its limits, its privileges, and how long it takes.

pub mod limits;
pub mod logging;
pub mod privileges;
pub mod timings;
