//! `gc`: restores what tasks left that ended without `poststop`, as after a failed start under crun or
//! podman. The kernel has sent their ENIs home by then, and deleted their veths. And it installs our
//! nftables rules again where somebody flushed them.

use crate::{
    commands::host, eni::homecoming::Instance, error::Result, input::config::Config,
    snapshot::ownership::strays,
};

/// Restores stray ENIs, forgets tasks that are gone, and puts the instance's rules back. Gives a line
/// for each thing done.
///
/// # Errors
/// Something could not be restored; the rest was.
pub fn collect(config: &Config) -> Result<Vec<String>> {
    let instance = Instance::open(&config.credentials)?;
    let (mut done, mut failed) = (Vec::new(), None);
    for (link, label) in strays(&instance.links()?) {
        match instance.restore(Some(link), &label) {
            Ok(what) => done.push(format!("{what} (of container {})", label.container)),
            Err(error) => failed = Some(error),
        }
    }
    let forgotten = instance.forget_neighbours()?;
    if forgotten > 0 {
        done.push(format!("{forgotten} neighbour entries of tasks that are gone are deleted"));
    }
    match host::repair(config) {
        Ok(repaired) => done.extend(repaired),
        Err(error) => failed = failed.or(Some(error)),
    }
    for line in &done {
        log::info!("gc: {line}");
    }
    failed.map_or(Ok(done), Err)
}
