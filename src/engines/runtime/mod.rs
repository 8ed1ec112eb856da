//! `oci-awsvpc-runtime`: the OCI runtime as an engine sees it, for engines that do not read hooks.d.
//!
//! It is called as runc is called. At `create` and `run` of a task's pause container it registers the
//! hook in the bundle's `config.json`; and then, as for all else, it *becomes* the real runtime: by
//! `execve`, with the same arguments, environment, descriptors and signals.
//!
//! [`arguments`] finds the bundle on the command line, [`bundle`] changes its configuration, and
//! [`real`] finds the real runtime. If a bundle cannot be read, the real runtime reports it.

pub mod arguments;
pub mod bundle;
pub mod real;

use crate::{
    error::{Doing, Error, Result},
    input::config::{Config, Detect},
};
use arguments::Arguments;
use nix::unistd::execv;
use serde_json::json;
use std::{
    convert::Infallible,
    ffi::{CString, OsString},
    fs::OpenOptions,
    io::{self, Write, stderr},
    os::unix::ffi::OsStringExt,
};

/// What we are called.
const NAME: &str = "oci-awsvpc-runtime";

/// Does what `words`, the command line without the program's name, ask for. Returns only if that
/// fails, and has reported why.
pub fn run(words: Vec<OsString>) {
    let arguments = Arguments::find(&words);
    let Err(error) = register_and_become_real(&arguments, words);
    report(&error, &arguments);
}

fn register_and_become_real(arguments: &Arguments, words: Vec<OsString>) -> Result<Infallible> {
    let path = arguments.config_json.as_deref();
    let is_meant = |path| bundle::speaks_of_an_eni(path, &Detect::default());
    let config = match Config::load(None) {
        Ok(config) => config,
        // Where it cannot be read, a container that speaks of an ENI must not start without its network. Others must
        // not suffer from it.
        Err(flaw) if path.is_some_and(is_meant) => return Err(flaw),
        Err(_) => Config { runtime: real::salvaged(), ..Config::default() },
    };
    if let Some(path) = path {
        bundle::register(path, &config)?;
    }
    become_real(&config, words)
}

fn become_real(config: &Config, words: Vec<OsString>) -> Result<Infallible> {
    let path = real::find(&config.runtime)?;
    let doing = || format!("executing {}", path.display());
    // Some runtimes do other things under other names, so it is called by its own.
    let name = CString::new(path.clone().into_os_string().into_vec()).doing(doing)?;
    let words: Result<Vec<CString>, _> =
        words.into_iter().map(|word| CString::new(word.into_vec())).collect();
    let argv = [vec![name.clone()], words.doing(doing)?].concat();
    // std's own exec would empty the signal mask and give SIGPIPE its default action.
    execv(&name, &argv).map_err(io::Error::from).doing(doing)
}

/// Reports a failure where engines look for the runtime's own: on stderr, and in the log that the
/// command line names, without which containerd and Docker show nothing.
fn report(error: &Error, arguments: &Arguments) {
    let line = format!("{NAME}: {}", error.line());
    let logged = if arguments.log_is_json {
        json!({"level": "error", "msg": line}).to_string()
    } else {
        line.clone()
    };
    // There is nobody left to tell if this fails.
    if let Some(path) = &arguments.log
        && let Ok(mut log) = OpenOptions::new().append(true).create(true).open(path)
    {
        drop(log.write_all(format!("{logged}\n").as_bytes()));
    }
    drop(stderr().write_all(format!("{line}\n").as_bytes()));
}
