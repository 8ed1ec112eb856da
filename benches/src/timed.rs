//! One process from spawn to exit, and what many of them come to.

use crate::world::Netns;
use std::{
    io::Write,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What one process took.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    pub time: Duration,
    /// The largest resident set, in kilobytes.
    pub memory: i64,
}

/// A process that is under way.
pub struct Running {
    child: Child,
    begin: Instant,
    name: String,
}

/// Starts a command in a namespace, with `stdin` on its standard input.
pub fn start(mut command: Command, netns: &Netns, stdin: &str) -> Running {
    netns.enter(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let name = format!("{command:?}");
    let begin = Instant::now();
    let mut child = command.spawn().expect("started");
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(stdin.as_bytes()).ok();
    Running { child, begin, name }
}

impl Running {
    /// Waits for its end, which must be a good one.
    pub fn done(self) -> Took {
        let (mut status, pid) = (0, self.child.id().cast_signed());
        // SAFETY: all-zero bytes are a valid `rusage`, and both pointers outlive the call.
        let usage = unsafe {
            let mut usage = std::mem::zeroed();
            assert_eq!(libc::wait4(pid, &raw mut status, 0, &raw mut usage), pid);
            usage
        };
        let time = self.begin.elapsed();
        assert_eq!(status, 0, "{} failed", self.name);
        Took { time, memory: usage.ru_maxrss }
    }
}

/// Runs a command in a namespace to its end.
pub fn complete(command: Command, netns: &Netns, stdin: &str) -> Took {
    start(command, netns, stdin).done()
}

/// Many measurements of one thing.
#[derive(Clone, Debug, Default)]
pub struct Series(pub Vec<Took>);

impl Series {
    /// The time, in milliseconds, that this part of them (0 to 1) did not exceed.
    pub fn quantile(&self, part: f64) -> f64 {
        let mut times: Vec<f64> = self.0.iter().map(|took| took.time.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let last = times.len() - 1;
        #[allow(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss
        )]
        times[((last as f64) * part).round() as usize]
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The largest resident set of all, in megabytes.
    pub fn memory(&self) -> f64 {
        let most = self.0.iter().map(|took| took.memory).max().unwrap_or_default();
        #[allow(clippy::cast_precision_loss)]
        let megabytes = most as f64 / 1024.0;
        megabytes
    }
}

/// The median of the ratios, round by round: what the machine does meanwhile, it does to both.
pub fn ratio(one: &Series, other: &Series) -> f64 {
    let pairs = one.0.iter().zip(&other.0);
    let mut ratios: Vec<f64> =
        pairs.map(|(one, other)| one.time.as_secs_f64() / other.time.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}
