//! Where log lines go: the local syslog socket, stderr, or both.
//!
//! Nothing here can stop the hook. A socket that is not there, that breaks, or whose reader hangs
//! (connecting and sending never block) means that the line goes to stderr; a stderr that is not there,
//! or that nobody reads, means that it goes nowhere.

use crate::error::printable;
use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket},
};
use serde::Deserialize;
use std::{
    io::{BufWriter, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};
use syslog::{Facility, Formatter3164, LoggerBackend};

/// `[log]`: where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogConfig {
    /// Which of the two.
    pub target: LogTarget,
    /// From which level on.
    pub level: LogLevel,
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogTarget {
    /// The local syslog socket; stderr where there is none.
    Syslog,
    /// Standard error, which runtimes show only when a hook fails.
    Stderr,
    /// Both.
    Both,
}

/// From which level on lines are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Failures.
    Error,
    /// And what the operator should look at.
    Warn,
    /// And one summary a call.
    Info,
    /// And every step.
    Debug,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { target: LogTarget::Syslog, level: LogLevel::Info }
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
        }
    }
}

/// The name under which we log.
const NAME: &str = "oci-awsvpc-hook";

/// Where the local syslog listens: on Linux (syslog(3)), and elsewhere.
const SYSLOGS: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/// How long whoever reads stderr may take for one line, in milliseconds.
const PATIENCE: u16 = 1000;

type Syslog = syslog::Logger<LoggerBackend, Formatter3164>;

static LOGGER: OnceLock<Logger> = OnceLock::new();

struct Logger {
    syslog: Option<Mutex<Syslog>>,
    stderr: bool,
}

/// Opens the log, once. `level` overrides the configuration.
pub fn open(log: LogConfig, level: Option<LogLevel>) {
    if LOGGER.get().is_some() {
        return;
    }
    let syslog = match log.target {
        LogTarget::Syslog | LogTarget::Both => local_syslog(),
        LogTarget::Stderr => None,
    };
    let stderr = syslog.is_none() || log.target == LogTarget::Both;
    let logger = LOGGER.get_or_init(|| Logger { syslog: syslog.map(Mutex::new), stderr });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(LevelFilter::from(level.unwrap_or(log.level)));
    }
}

/// Reports the failure that ends this call: one line on stderr, which the runtime shows, and the
/// same in the log, because some runtimes show nothing.
pub fn report(line: &str) {
    if let Some(logger) = LOGGER.get() {
        logger.to_syslog(Level::Error, line);
    }
    to_stderr(line);
}

/// Connects to the local syslog.
fn local_syslog() -> Option<Syslog> {
    let formatter = Formatter3164 {
        facility: Facility::LOG_DAEMON,
        hostname: None,
        process: NAME.to_owned(),
        pid: std::process::id(),
    };
    let backend = |path| match unblocked(SockType::Datagram, path) {
        Ok(socket) => Ok(LoggerBackend::Unix(socket.into())),
        // It is of the other kind.
        Err(Errno::EPROTOTYPE) => {
            let socket = unblocked(SockType::Stream, path)?;
            Ok(LoggerBackend::UnixStream(BufWriter::new(socket.into())))
        }
        Err(errno) => Err(errno),
    };
    // The first that is there.
    let mut backends = SYSLOGS.into_iter().map(backend);
    let backend = backends.find(|backend| !matches!(backend, Err(Errno::ENOENT)))?.ok()?;
    Some(syslog::Logger::new(backend, formatter))
}

/// A socket on which nothing blocks, neither sending nor connecting: the crate's own would wait for ever for a stream
/// whose reader hangs, while others wait for that before us (`unix_stream_connect`, `net/unix/af_unix.c`).
fn unblocked(kind: SockType, path: &str) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, kind, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(socket)
}

impl Logger {
    /// False: nobody took it.
    fn to_syslog(&self, level: Level, line: &str) -> bool {
        let Some(Ok(mut syslog)) = self.syslog.as_ref().map(Mutex::lock) else {
            return false;
        };
        match level {
            Level::Error => syslog.err(line),
            Level::Warn => syslog.warning(line),
            Level::Info => syslog.info(line),
            Level::Debug | Level::Trace => syslog.debug(line),
        }
        .is_ok()
    }
}

impl Log for Logger {
    /// Ours alone: the libraries that we use log what we report better.
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = printable(&record.args().to_string());
        if !self.to_syslog(record.level(), &line) || self.stderr {
            to_stderr(&format!("{}: {line}", record.level().as_str().to_lowercase()));
        }
    }

    fn flush(&self) {}
}

/// Writes one line to stderr, in one piece. `eprintln!` would panic where nobody listens. Whoever does not read for a
/// second, with a pipe that is full, is not waited for again.
fn to_stderr(line: &str) {
    static HANGS: AtomicBool = AtomicBool::new(false);
    let (line, stderr) = (format!("{NAME}: {line}\n"), std::io::stderr());
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if HANGS.load(Ordering::Relaxed) || poll(&mut fds, PollTimeout::from(PATIENCE)) == Ok(0) {
        HANGS.store(true, Ordering::Relaxed);
        return;
    }
    // There is nobody left to tell.
    drop((&stderr).write_all(line.as_bytes()));
}
