//! The tests' world, as it is measured: an instance with nothing but the bridge, the rules and the ENIs
//! that are attached, and pause containers as runtimes hand them to the hook.

#[allow(dead_code)] // the tests use all of it
#[path = "../../tests/world/mod.rs"]
mod tests;

pub use tests::{ENI_MAC, Instance, Netns, Pause};

use nix::{
    sched::{CloneFlags, unshare},
    sys::{prctl, signal::Signal},
};
use std::{ffi::CString, path::Path, process::Command};

/// An instance with the bridge and the rules in place.
pub fn instance(hook: &Path) -> Instance {
    let instance = Instance::bare();
    let mut command = Command::new(hook);
    command.arg("host-setup");
    crate::timed::complete(command, &instance.netns, "");
    instance
}

/// Attaches an ENI, whose other end at the router is called `far-` and the name.
pub fn attach(instance: &Instance, name: &str, mac: &str) {
    instance.attach(name, mac, &format!("far-{name}"));
}

/// A pause container whose loopback interface is down: setting it up is a part of what is measured. It
/// does not outlive this process, whatever ends that.
pub fn pause(id: String) -> Pause {
    Pause::start(id, || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        Ok(unshare(CloneFlags::CLONE_NEWNET)?)
    })
}

/// The index of a link; 0 if there is none.
pub fn index(netns: &Netns, name: &str) -> u32 {
    let name = CString::new(name).expect("a name");
    // SAFETY: the name is a C string that outlives the call.
    netns.within(move || unsafe { libc::if_nametoindex(name.as_ptr()) })
}
