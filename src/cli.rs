//! The command line.

use crate::config::{DEFAULT_PATH, LogLevel};
use clap::{Parser, ValueEnum};
use std::{fmt, path::PathBuf};

/// Gives a container the Amazon ECS awsvpc task network.
///
/// An OCI runtime calls this program with the container's state on stdin. If the container is a
/// task's pause container, which its annotations say, the task's network interface (ENI) is moved
/// into the container's network namespace and configured there, and a bridge to the credentials
/// endpoint is built; at poststop the ENI comes home. Any other container is left alone.
///
/// Exit status: 0 done, or not ours; 1 failed, with one line on stderr; 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "oci-awsvpc-hook", version, max_term_width = 100)]
pub struct Cli {
    /// The stage that the runtime is in.
    #[arg(value_enum)]
    pub stage: Stage,

    /// Read this configuration, which must exist, instead of the host's.
    #[arg(long, value_name = "FILE", long_help = config_help())]
    pub config: Option<PathBuf>,

    /// Log from this level on, whatever the configuration says.
    #[arg(long, value_enum, value_name = "LEVEL", overrides_with = "log_level")]
    pub log_level: Option<LogLevel>,
}

/// The stages of a container's life at which this hook has something to do. They are told in argv
/// because runtimes differ in what they write into the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// The container's process exists, its program does not run yet: set the network up
    Prestart,
    /// The same as prestart, under its newer name
    #[value(name = "createRuntime")]
    CreateRuntime,
    /// The container is gone: take the network down
    Poststop,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::Poststop => "poststop",
        })
    }
}

fn config_help() -> String {
    format!(
        "Read this configuration, which must exist, instead of {DEFAULT_PATH}; without either, the \
         defaults apply"
    )
}
