//! Which process: a task's pause process, whose life is the task's.

use std::{fmt, str::FromStr};

/// A process that no other can be taken for: pids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its pid, as the instance sees it.
    pub pid: i32,
    /// When it started, in clock ticks since boot (proc(5), stat, field 22).
    pub started: u64,
}

impl FromStr for Process {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('@').and_then(|(pid, started)| {
            Some(Self { pid: pid.parse().ok()?, started: started.parse().ok()? })
        });
        parts.ok_or_else(|| "not a process such as 4711@123456".to_owned())
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pid, self.started)
    }
}
