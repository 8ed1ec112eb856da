//! The ENI's journey: into the task's namespace, out of it, and restored on the instance.

pub mod custody;
pub mod homecoming;
pub mod instance;
pub mod journey;
mod naming;
pub mod neighbours;
pub mod normal_form;
pub mod restore;
mod search;
mod stacked;
