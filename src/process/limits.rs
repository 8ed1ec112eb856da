//! The limits of a call: it stops when its time is up, or on SIGTERM.

use crate::error::{Doing, Result, give_up};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};
use std::{
    os::fd::AsFd,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// How often to look for what there is no event of.
const INTERVAL: Duration = Duration::from_millis(1);

/// When this process began.
static BEGIN: OnceLock<Instant> = OnceLock::new();

/// Starts the clock of this process's one call: its deadline covers all that the call reads and waits for, from the
/// first byte of stdin on.
pub fn begin() {
    BEGIN.get_or_init(Instant::now);
}

/// When a call that may take so long has to be over; counted from now on in a process that is no call.
#[must_use]
pub fn deadline(time: Duration) -> Instant {
    BEGIN.get().copied().unwrap_or_else(Instant::now) + time
}

/// The limits of one call.
///
/// They are looked at between steps and while waiting. A request to the kernel, which is over when it
/// returns, has a limit of its own.
#[derive(Debug)]
pub struct Limits {
    /// How long to wait for one link to be operationally up.
    pub link_up_timeout: Duration,
    deadline: Instant,
    terminate: SignalFd,
}

impl Limits {
    /// Limits the call to this time since it began, and takes SIGTERM for a request to stop. (crun calls hooks with all signals
    /// blocked, others do not: from here on it is blocked, and read.)
    ///
    /// # Errors
    /// The kernel does not let us listen.
    pub fn start(time: Duration, link_up_timeout: Duration) -> Result<Self> {
        let doing = || "listening for SIGTERM";
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.thread_block().doing(doing)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let terminate = SignalFd::with_flags(&set, flags).doing(doing)?;
        Ok(Self { link_up_timeout, deadline: deadline(time), terminate })
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// Not to: the time is up, or SIGTERM came.
    pub fn check(&self) -> Result<()> {
        if self.terminate.read_signal().doing(|| "reading signals")?.is_some() {
            return give_up("terminated by SIGTERM");
        }
        if Instant::now() >= self.deadline {
            return give_up("out of time (deadline-seconds in config.toml)");
        }
        Ok(())
    }

    /// Waits until it is so: for what the kernel sends no event of.
    ///
    /// # Errors
    /// The time is up, or SIGTERM came; or what `is_so` fails with.
    pub fn wait_until(&self, is_so: impl Fn() -> Result<bool>) -> Result<()> {
        self.wait_for(|| Ok(is_so()?.then_some(())))
    }

    /// The same; gives what there is then.
    pub fn wait_for<T>(&self, look: impl Fn() -> Result<Option<T>>) -> Result<T> {
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            self.check()?;
            std::thread::sleep(INTERVAL);
        }
    }

    /// Waits until there is something to read from `events`, for no longer than `until`. False: there
    /// was nothing.
    ///
    /// # Errors
    /// The time is up, or SIGTERM came.
    pub fn wait_for_event(&self, events: &impl AsFd, until: Instant) -> Result<bool> {
        loop {
            self.check()?;
            let left = until.min(self.deadline).saturating_duration_since(Instant::now());
            if left.is_zero() {
                // At the deadline, the check above says so the next time.
                return if until <= self.deadline {
                    Ok(false)
                } else {
                    self.check().map(|()| false)
                };
            }
            let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
            let mut fds = [readable(events.as_fd()), readable(self.terminate.as_fd())];
            // Rounded up: not to ask again and again in the last millisecond.
            let timeout = left + Duration::from_millis(1);
            match poll(&mut fds, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)) {
                Err(Errno::EINTR) | Ok(0) => {}
                Ok(_) if fds[0].any() == Some(true) => return Ok(true),
                Ok(_) => {}
                Err(errno) => Err(errno).doing(|| "waiting for events")?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn waiting_ends_with_the_event_or_in_time() {
        let limits = Limits::start(Duration::from_mins(1), Duration::ZERO).expect("limits");
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let soon = || Instant::now() + Duration::from_millis(20);
        assert!(!limits.wait_for_event(&near, soon()).expect("in time"));
        std::io::Write::write_all(&mut far, b"x").expect("written");
        assert!(limits.wait_for_event(&near, soon()).expect("in time"));
        let over = Limits::start(Duration::from_millis(5), Duration::ZERO).expect("limits");
        let (near, _far) = UnixStream::pair().expect("a pair");
        let error = over.wait_for_event(&near, Instant::now() + Duration::from_secs(9));
        assert!(error.expect_err("late").line().contains("out of time"));
    }
}
