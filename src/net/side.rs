//! The two namespaces that a task lives in.

use std::fmt;

/// Which of the two namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The instance's own namespace.
    Instance,
    /// The task's namespace.
    Task,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instance => "on the instance",
            Self::Task => "in the task",
        })
    }
}
