//! The command line.

use crate::net::mac::Mac;
use crate::{input::config::DEFAULT_PATH, process::logging::LogLevel};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Gives a container the Amazon ECS awsvpc task network.
///
/// An OCI runtime calls this program with the container's state on stdin. If the container is a
/// task's pause container, which its annotations say, the task's network interface (ENI) is moved
/// into the container's network namespace and configured there, and a bridge to the credentials
/// endpoint is built; at poststop the ENI comes home. Any other container is left alone, whatever
/// is odd about it.
///
/// Exit status: 0 done, or not ours; 1 failed, with one line on stderr; 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "oci-awsvpc-hook", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Read this configuration, which must exist, instead of the host's.
    #[arg(long, global = true, value_name = "FILE", long_help = config_help())]
    pub config: Option<PathBuf>,

    /// Log from this level on, whatever the configuration says.
    #[arg(long, global = true, value_enum, value_name = "LEVEL", overrides_with = "log_level")]
    pub log_level: Option<LogLevel>,

    /// When a stage has done its work, say on stderr what each part of it took
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub timings: Option<TimingsFormat>,
}

/// How `--timings` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TimingsFormat {
    /// One line of JSON
    Json,
}

/// The stages of a container's life at which this hook has something to do, told in argv because
/// runtimes differ in what they write into the state; and what an operator can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// The container's process exists, its program does not run yet: set the network up
    Prestart,
    /// The same as prestart, under its newer name
    #[command(name = "createRuntime")]
    CreateRuntime,
    /// The container is gone: take the network down
    Poststop,
    /// Put right what was left or broken: ENIs that came home without poststop, traces of tasks that are
    /// gone; the bridge, the nftables rules, and the ports and credential paths of tasks that run
    Gc,
    /// Take an ENI home by force, from whatever namespace and whichever task holds it
    Release {
        /// The ENI's MAC address
        #[arg(value_name = "ENI")]
        eni: Mac,
    },
    /// Make the bridge and the nftables rules, as the first task does where they are missing; and warn of what
    /// this kernel lacks
    HostSetup {
        /// Print the rules, and change nothing
        #[arg(long)]
        print: bool,
    },
    /// Take the bridge and the nftables rules away, if no task is there or starts
    HostTeardown,
}

impl Command {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::Poststop => "poststop",
            Self::Gc => "gc",
            Self::Release { .. } => "release",
            Self::HostSetup { .. } => "host-setup",
            Self::HostTeardown => "host-teardown",
        }
    }
}

fn config_help() -> String {
    format!(
        "Read this configuration, which must exist, instead of {DEFAULT_PATH}; without either, the \
         defaults apply"
    )
}
