//! Processes, as far as it matters whether one lives.

use crate::net::process::Process;
use std::fs;

/// The process with this pid; `None` if there is none, or it has ended and nobody has asked for its
/// end yet (a zombie).
#[must_use]
pub fn find(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (state, started) = parse(&stat)?;
    (!matches!(state, 'Z' | 'X')).then_some(Process { pid, started })
}

/// Whether this very process lives.
#[must_use]
pub fn is_alive(process: Process) -> bool {
    find(process.pid) == Some(process)
}

/// The state and the time of the start: fields 3 and 22. Field 2, the program's name in parentheses, may
/// hold anything.
fn parse(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let stat = |name: &str| {
            format!("7 ({name}) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200 1 2")
        };
        for name in ["sleep", "a) Z 1 (b", ""] {
            assert_eq!(parse(&stat(name)), Some(('S', 987_654)), "{name}");
        }
        assert_eq!(parse("7 (sleep"), None);
    }

    #[test]
    fn this_process_lives_and_one_that_started_at_another_time_does_not() {
        let own = find(std::process::id().cast_signed()).expect("this process");
        assert!(is_alive(own));
        assert!(!is_alive(Process { started: own.started + 1, ..own }));
    }
}
