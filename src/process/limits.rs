//! When to stop: the time is up, or somebody asks us to.

use crate::error::{Doing, Result, give_up};
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use nix::sys::signal::{SigSet, Signal as Number};
use std::{
    cell::RefCell,
    future::poll_fn,
    pin::pin,
    time::{Duration, Instant},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The limits of one call.
///
/// They are looked at between steps and while waiting. A request to the kernel, which is over when it
/// returns, has a limit of its own.
#[derive(Debug)]
pub struct Limits {
    /// How long to wait for one link to be operationally up.
    pub link_up_timeout: Duration,
    deadline: Instant,
    terminate: RefCell<Signal>,
}

impl Limits {
    /// Starts the clock, and listens for SIGTERM: crun calls hooks with all signals blocked.
    ///
    /// # Errors
    /// The kernel does not let us listen.
    pub fn start(time: Duration, link_up_timeout: Duration) -> Result<Self> {
        let doing = || "listening for SIGTERM";
        let terminate = signal(SignalKind::terminate()).doing(doing)?;
        let mut set = SigSet::empty();
        set.add(Number::SIGTERM);
        set.thread_unblock().doing(doing)?;
        let (deadline, terminate) = (Instant::now() + time, RefCell::new(terminate));
        Ok(Self { link_up_timeout, deadline, terminate })
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// Not to: the time is up, or SIGTERM came.
    pub fn check(&self) -> Result<()> {
        if self.terminate.borrow_mut().recv().now_or_never().is_some() {
            return terminated();
        }
        if Instant::now() >= self.deadline {
            return give_up("out of time (deadline-seconds in config.toml)");
        }
        Ok(())
    }

    /// Waits for an event, for no longer than `until`. False: there was none.
    ///
    /// # Errors
    /// The time is up, or SIGTERM came.
    pub async fn wait_for_event(
        &self,
        event: impl Future<Output = ()>,
        until: Instant,
    ) -> Result<bool> {
        let limit = until.min(self.deadline);
        let event = tokio::time::timeout_at(limit.into(), event);
        let asked = poll_fn(|context| self.terminate.borrow_mut().poll_recv(context));
        match select(pin!(event), asked).await {
            Either::Left((Ok(()), _)) => Ok(true),
            Either::Left((Err(_), _)) if limit == until => Ok(false),
            Either::Left((Err(_), _)) => self.check().map(|()| false),
            Either::Right(_) => terminated(),
        }
    }
}

fn terminated<T>() -> Result<T> {
    give_up("terminated by SIGTERM")
}
