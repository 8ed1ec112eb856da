//! `prestart` and `createRuntime` of a container that is no pause container, but another one of a task.

use super::report;
use crate::{
    cli::Cli,
    files::application,
    input::{
        annotations,
        config::Config,
        container::{Annotations, Container},
        detect::is_application,
    },
    process::{logging, privileges, timings::Timings},
    task::names::Policy,
};

/// Gives an application the files of the task whose network it has joined. About a container that is none, nothing is
/// an error; and none is kept from starting.
pub fn start(cli: &Cli, container: &Container, annotations: &Annotations, config: &Config) {
    let name = annotations.get(&config.detect.annotation);
    if !name.is_some_and(|name| is_application(name, config)) {
        return;
    }
    let mut timings = Timings::start();
    privileges::drop_but_for_files();
    let Some(task) = application::task_of(container) else { return };
    timings.lap("look");
    logging::open(config.log, cli.log_level);
    let policy = annotations::policy_of(annotations).unwrap_or_else(|error| {
        log::warn!(
            "container {} starts without files that name hosts: {}",
            container.id,
            error.line()
        );
        Some(Policy::Never)
    });
    let files = application::give(container, &task, policy.unwrap_or(config.dns.files));
    timings.lap("files");
    if let Some(files) = files {
        let (id, pause) = (&container.id, &task.label.container);
        log::info!(
            "container {id}: joined the task of container {pause}, set up with {files} in {timings}"
        );
    }
    report(cli, &timings);
}
