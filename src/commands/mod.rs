//! One file a verb: each tells its story from top to bottom; and what `gc` mends.

mod application;
mod gc;
mod host;
mod mend;
mod poststop;
mod prestart;
mod release;
mod report;
mod twice;

use crate::{
    cli::{Cli, Command, TimingsFormat},
    error::{Doing, Result, printable},
    input::{
        annotations,
        config::Config,
        container::Container,
        detect::{could_be_ours, is_ours},
        state::{Speech, State},
    },
    process::{limits, logging, privileges, timings::Timings},
};
use poststop::Told;
use report::Report;
use std::{io::Write, os::fd::AsFd, time::Duration};

/// The least time that a runtime has to write the container's state, however short the deadline is: one that is slow
/// does not make a stranger of a container.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

/// Does what the command line asks for; a stage reads the container's state from `stdin`.
///
/// # Errors
/// It could not be done. At `prestart`, what was done has been undone then.
pub fn run(cli: &Cli, stdin: impl AsFd) -> Result<()> {
    match cli.command {
        Command::Prestart | Command::CreateRuntime => stage(cli, stdin, prestart),
        Command::Poststop => stage(cli, stdin, poststop),
        Command::Gc => administer(cli, gc::collect),
        Command::Release { eni } => administer(cli, |config| release::release(config, eni)),
        Command::HostSetup { print: true } => administer(cli, |config| Ok(host::rules(config))),
        Command::HostSetup { print: false } => administer(cli, host::set_up),
        Command::HostTeardown => administer(cli, host::tear_down),
    }
}

/// What a runtime calls, with a container's state. About a container that does not speak of an ENI, nothing is an
/// error: not its state, not its bundle, and not our own configuration.
fn stage(
    cli: &Cli,
    stdin: impl AsFd,
    work: impl FnOnce(&Cli, &Container, &Config) -> Result<()>,
) -> Result<()> {
    let (loaded, default) = (Config::load(cli.config.as_deref()), Config::default());
    let config = loaded.as_ref().unwrap_or(&default);
    let log = config.log;
    let until = limits::deadline(config.deadline().max(LEAST_PATIENCE));
    let state = State::read(stdin, until, &config.detect);
    let outcome = match state.speech {
        Speech::OfAnEni => in_earnest(cli, state, loaded, work),
        // What the kernel shows of it may tell more.
        Speech::Unknown if cli.command == Command::Poststop => untold(cli, state, loaded),
        Speech::OfOtherThings | Speech::Unknown => {
            if state.is_named && cli.command != Command::Poststop {
                named(cli, state, loaded);
            }
            Ok(())
        }
    };
    if outcome.is_err() {
        logging::open(log, cli.log_level);
    }
    outcome
}

/// The start of a container that says no more than what ECS calls it.
fn named(cli: &Cli, state: State, config: Result<Config>) {
    let (Ok(container), Ok(config)) = (state.container(), config) else { return };
    if let Ok(known) = container.annotations(&config.detect.annotation) {
        application::start(cli, &container, &known.annotations, &config);
    }
}

/// The stage of a container that speaks of an ENI.
fn in_earnest(
    cli: &Cli,
    state: State,
    config: Result<Config>,
    work: impl FnOnce(&Cli, &Container, &Config) -> Result<()>,
) -> Result<()> {
    let container = state.container()?;
    let outcome = match config {
        Err(_) if !could_be_ours(&container) => Ok(()),
        Err(error) => Err(error),
        Ok(config) => work(cli, &container, &config),
    };
    outcome.doing(|| format!("container {}", container.id))
}

fn prestart(cli: &Cli, container: &Container, config: &Config) -> Result<()> {
    let known = container.annotations(&config.detect.annotation)?;
    if !is_ours(&known.annotations, config) {
        application::start(cli, container, &known.annotations, config);
        return Ok(());
    }
    logging::open(config.log, cli.log_level);
    let task = annotations::task_of(&known.annotations, &config.eni)?;
    let names = annotations::names_of(&known.annotations)?;
    let mut timings = Timings::start();
    privileges::drop_but_for_files();
    prestart::set_up(container, &task, &names, config, &mut timings)?;
    report(cli, &timings);
    Ok(())
}

/// What the annotations say of the ENI hardly matters here: the kernel knows better. Only if they
/// say that the container is not ours, or the whole bundle does not say that it is, this is all.
fn poststop(cli: &Cli, container: &Container, config: &Config) -> Result<()> {
    let known = container.annotations(&config.detect.annotation).unwrap_or_default();
    let told = if is_ours(&known.annotations, config) {
        Told::Ours
    } else if known.complete {
        return Ok(());
    } else {
        Told::Nothing
    };
    logging::open(config.log, cli.log_level);
    let mut timings = Timings::start();
    privileges::drop_unneeded();
    let traces = poststop::look(container, config, &mut timings)?;
    traces.take_down(container, told, &mut timings)?;
    report(cli, &timings);
    Ok(())
}

/// `poststop` of a container of which nothing tells whether it is ours: its bundle is gone, and its engine passes no
/// annotations. What the kernel shows does; where that cannot be asked, this is a stranger.
fn untold(cli: &Cli, state: State, config: Result<Config>) -> Result<()> {
    let (Ok(container), Ok(config)) = (state.container(), config) else { return Ok(()) };
    let mut timings = Timings::start();
    privileges::drop_unneeded();
    let Ok(traces) = poststop::look(&container, &config, &mut timings) else { return Ok(()) };
    if traces.is_empty() {
        return Ok(());
    }
    logging::open(config.log, cli.log_level);
    let outcome = traces.take_down(&container, Told::Nothing, &mut timings);
    outcome.doing(|| format!("container {}", container.id))?;
    report(cli, &timings);
    Ok(())
}

fn report(cli: &Cli, timings: &Timings) {
    match cli.timings {
        // In one piece. The work is done: nobody to read this is no reason to fail.
        Some(TimingsFormat::Json) => {
            std::io::stderr().write_all(format!("{}\n", timings.to_json()).as_bytes()).ok()
        }
        None => None,
    };
}

/// What an operator asks for, and not a runtime: says what it did, and then what it could not do.
fn administer<R: Into<Report>>(cli: &Cli, work: impl FnOnce(&Config) -> Result<R>) -> Result<()> {
    let config = Config::load(cli.config.as_deref())?;
    logging::open(config.log, cli.log_level);
    privileges::drop_unneeded();
    let Report { mut done, failures } = work(&config)?.into();
    for line in done.iter().filter(|_| cli.command != Command::HostSetup { print: true }) {
        log::info!("{}: {line}", cli.command.name());
    }
    if done.is_empty() && failures.is_empty() {
        done.push("nothing to do".to_owned());
    }
    if !done.is_empty() {
        let shown: Vec<String> = done.iter().map(|line| printable(line)).collect();
        writeln!(std::io::stdout(), "{}", shown.join("\n")).doing(|| "writing to stdout")?;
    }
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else {
        return Ok(());
    };
    for other in failures {
        log::error!("{}: {}", cli.command.name(), other.line());
    }
    Err(first)
}
