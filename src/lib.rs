//! Gives a container the Amazon ECS *awsvpc* task network with nothing but an OCI hook.
//!
//! ```text
//!        instance's namespace                │        task's namespace
//!                                            │        (pause container, joined by all others)
//!  eth0 ── the instance's own network        │
//!  eth1 ─────────── the ENI moves ───────────┼──▶ eth0       10.0.0.5/24, default via 10.0.0.1
//!                                            │
//!  ecs-bridge 169.254.172.1/22               │
//!    └─ ecsa9feac0c ═════════ veth ══════════╪══  ecs-eth0   169.254.172.12/22
//!         169.254.170.2 (the credentials)    │               169.254.170.2 via 169.254.172.1
//! ```
//!
//! Two ideas shape the code.
//!
//! **The kernel is the database.** There is no state file, no lease database, no daemon and no lock.
//! What must be remembered is written on the kernel object that it describes, so it lives and dies
//! with it: a task's link-local address is the *name* of its veth ([`lease`]); whose the veth and
//! the ENI are, and what the ENI was called, stands in their *aliases* ([`tag`]). After any crash,
//! the next call reads from the kernel what is so.
//!
//! **One list of reversible steps.** [`plan`] decides, from what the task wants ([`task`]) and what
//! the kernel shows ([`snapshot`]), on a list of [`step`]s; it is pure. [`transact`] makes them
//! happen in order, or undoes them in reverse.
//!
//! A call flows one way: [`cli`] → [`oci`] → [`task`] → [`setup`], [`teardown`] or [`gc`] →
//! [`plan`] → [`transact`] → [`kernel`] → [`netlink`], [`netns`].
//!
//! [`runtime`] is a program of its own, for engines that cannot be told to call a hook.

pub mod branch;
pub mod cli;
pub mod config;
pub mod eni;
mod ensure;
pub mod error;
pub mod gc;
pub mod host;
pub mod instance;
pub mod kernel;
pub mod lease;
pub mod limits;
pub mod link;
pub mod logging;
pub mod netlink;
pub mod netns;
pub mod nft;
pub mod oci;
pub mod plan;
mod privileges;
pub mod rule;
pub mod runtime;
pub mod setup;
pub mod snapshot;
pub mod step;
pub mod tag;
pub mod task;
pub mod teardown;
pub mod timings;
pub mod transact;

use cli::{Cli, Command, TimingsFormat};
use config::Config;
use error::{Doing, Result};
use oci::{Annotations, Container};
use std::io::{Read, Write};
use task::Task;
use teardown::Told;
use timings::Timings;

/// Does what the command line asks for; a stage reads the container's state from `stdin`.
///
/// # Errors
/// It could not be done. At `prestart`, what was done has been undone then.
pub fn run(cli: &Cli, stdin: impl Read) -> Result<()> {
    if !cli.command.is_stage() {
        return administer(cli, &Config::load(cli.config.as_deref())?);
    }
    let container = Container::read(stdin)?;
    let stage = || match Config::load(cli.config.as_deref()) {
        Err(_) if !could_be_ours(&container) => Ok(()),
        Err(error) => {
            logging::open(Config::default().log, cli.log_level);
            Err(error)
        }
        Ok(config) if cli.command == Command::Poststop => poststop(cli, &container, &config),
        Ok(config) => prestart(cli, &container, &config),
    };
    stage().doing(|| format!("container {}", container.id))
}

fn prestart(cli: &Cli, container: &Container, config: &Config) -> Result<()> {
    let known = container.annotations(&config.detect.annotation)?;
    if !is_ours(&known.annotations, config) {
        return Ok(());
    }
    logging::open(config.log, cli.log_level);
    let task = Task::from_annotations(&known.annotations, &config.eni)?;
    let mut timings = Timings::start();
    work(setup::set_up(container, &task, config, &mut timings))?;
    report(cli, &timings);
    Ok(())
}

/// What the annotations say of the ENI hardly matters here: the kernel knows better. Only if they
/// say that the container is not ours, or the whole bundle does not say that it is, this is all.
fn poststop(cli: &Cli, container: &Container, config: &Config) -> Result<()> {
    let known = container.annotations(&config.detect.annotation).unwrap_or_default();
    let told = if is_ours(&known.annotations, config) {
        Told::Ours(Task::mac_of(&known.annotations))
    } else if known.complete {
        return Ok(());
    } else {
        Told::Nothing
    };
    logging::open(config.log, cli.log_level);
    let mut timings = Timings::start();
    work(teardown::tear_down(container, told, config, &mut timings))?;
    report(cli, &timings);
    Ok(())
}

fn report(cli: &Cli, timings: &Timings) {
    match cli.timings {
        // The work is done: nobody to read this is no reason to fail.
        Some(TimingsFormat::Json) => writeln!(std::io::stderr(), "{}", timings.to_json()).ok(),
        None => None,
    };
}

/// What an operator asks for, and not a runtime: says what it did.
fn administer(cli: &Cli, config: &Config) -> Result<()> {
    logging::open(config.log, cli.log_level);
    let mut lines = match cli.command {
        Command::HostSetup { print: true } => vec![host::rules(config)],
        Command::HostSetup { print: false } => work(host::set_up(config))?,
        Command::HostTeardown => work(host::tear_down(config))?,
        _ => work(gc::collect(config))?,
    };
    if lines.is_empty() {
        lines.push("nothing to do".to_owned());
    }
    writeln!(std::io::stdout(), "{}", lines.join("\n")).doing(|| "writing to stdout")
}

fn is_ours(annotations: &Annotations, config: &Config) -> bool {
    annotations.get(&config.detect.annotation) == Some(&config.detect.value)
}

/// Whether a container that we cannot judge, because our configuration cannot be read, might need
/// us. If it does not speak of an ENI at all, it must not suffer from our configuration.
fn could_be_ours(container: &Container) -> bool {
    let config = Config::default();
    match container.annotations(&config.detect.annotation) {
        Ok(known) => is_ours(&known.annotations, &config) || Task::is_meant(&known.annotations),
        Err(_) => false,
    }
}

/// Does `work` on this one thread, with no more privileges than it needs.
fn work<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    if let Err(error) = privileges::drop_unneeded() {
        log::warn!("going on with all privileges: {}", error.line());
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .doing(|| "starting")?
        .block_on(work)
}
