//! Processes, as far as it matters whether one lives.

use crate::net::process::Process;
use nix::{
    errno::Errno,
    time::{ClockId, clock_gettime},
    unistd::{SysconfVar, sysconf},
};
use std::{fs, time::Duration};

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

/// For how long a process has lived, to a tick.
///
/// # Errors
/// The kernel does not tell the time, or the length of a tick.
pub fn age(process: Process) -> nix::Result<Duration> {
    let ticks = sysconf(SysconfVar::CLK_TCK)?.and_then(|ticks| u64::try_from(ticks).ok());
    let ticks = ticks.filter(|ticks| *ticks > 0).ok_or(Errno::EINVAL)?;
    let started = Duration::from_millis(process.started.saturating_mul(1000) / ticks);
    let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?);
    Ok(now.saturating_sub(started))
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
        assert!(age(own).expect("its age") < Duration::from_hours(1));
        assert!(
            age(Process { started: 0, ..own }).expect("the machine's") > age(own).expect("its")
        );
        assert!(!is_alive(Process { started: own.started + 1, ..own }));
    }
}
