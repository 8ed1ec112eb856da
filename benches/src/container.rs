//! A container as a runtime has it when it calls the hook: with namespaces and a root filesystem of its own, a
//! bundle, and its program not yet running.

use crate::world::{Netns, Pause};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::{prctl, signal::Signal},
    unistd::{chdir, pivot_root},
};
use serde_json::{Value, json};
use std::{ffi::CString, fs, fs::File, os::unix::ffi::OsStrExt, path::PathBuf, process::Command};

pub struct Container {
    pub pause: Pause,
    bundle: tempfile::TempDir,
}

impl Container {
    /// A new one, in a network namespace of its own or in another container's, with a host name, and an `/etc` with
    /// nothing in it: that is what costs the hook most.
    pub fn new(id: &str, hostname: &str, joins: Option<&Netns>) -> Self {
        let bundle = tempfile::tempdir().expect("a folder");
        let root = bundle.path().join("rootfs");
        fs::create_dir_all(root.join("etc")).expect("made");
        let made = Command::new("runc").arg("spec").current_dir(bundle.path()).status();
        assert!(made.expect("runc").success(), "runc spec");
        let path = bundle.path().join("config.json");
        let text = fs::read_to_string(&path).expect("a configuration");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        config["hostname"] = json!(hostname);
        fs::write(path, config.to_string()).expect("written");
        let netns = joins.map(|netns| File::open(netns.path()).expect("a namespace"));
        let root = CString::new(root.as_os_str().as_bytes()).expect("a path");
        let pause = Pause::start(id.to_owned(), move || {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            match &netns {
                Some(netns) => setns(netns, CloneFlags::CLONE_NEWNET)?,
                None => unshare(CloneFlags::CLONE_NEWNET)?,
            }
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)?;
            let (none, private) = (None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC);
            mount(none, c"/", none, private, none)?;
            Ok(mount(Some(&*root), &*root, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?)
        });
        Self { pause, bundle }
    }

    /// The state that a runtime would write.
    pub fn state(&self, annotations: &Value) -> String {
        json!({
            "ociVersion": "1.0.2", "id": self.pause.id, "status": "creating",
            "pid": self.pause.pid(), "bundle": self.bundle.path(), "annotations": annotations,
        })
        .to_string()
    }

    /// How many files the hook has mounted in it.
    pub fn files(&self) -> usize {
        let path = format!("/proc/{}/mountinfo", self.pause.pid());
        let mounts = fs::read_to_string(path).expect("its mounts");
        mounts.lines().filter(|line| line.contains(" - tmpfs oci-awsvpc-hook ")).count()
    }

    /// What a runtime does after the hooks: from now on, its root filesystem is all that it sees.
    pub fn enter_root(&self) {
        let root: PathBuf = self.bundle.path().join("rootfs");
        let mounts = File::open(format!("/proc/{}/ns/mnt", self.pause.pid())).expect("alive");
        let work = || {
            // This thread's root folder becomes its own.
            unshare(CloneFlags::CLONE_FS)?;
            setns(&mounts, CloneFlags::CLONE_NEWNS)?;
            chdir(&root)?;
            pivot_root(".", ".")?;
            umount2(".", MntFlags::MNT_DETACH)
        };
        let entered = std::thread::scope(|scope| scope.spawn(work).join().expect("a thread"));
        entered.expect("a root filesystem");
    }
}
