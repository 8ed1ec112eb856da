//! An instance, a router and containers, in network namespaces of their own.

use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::{prctl, signal::Signal},
};
use std::{
    fs::File,
    io::Write,
    os::{fd::AsRawFd, unix::process::CommandExt},
    process::{Child, Command, Stdio},
};

/// The MAC address of the only ENI, or of the first.
pub const ENI: &str = "02:5a:a1:1a:43:42";

/// A network namespace; it lives as long as this and its processes do.
pub struct Netns(pub File);

impl Netns {
    pub fn new() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a namespace: this needs root");
            File::open("/proc/thread-self/ns/net").expect("/proc")
        };
        let netns = Self(std::thread::spawn(make).join().expect("a thread"));
        netns.ip("link set lo up");
        netns
    }

    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Runs `work` on a thread in the namespace.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let run = || {
                setns(&self.0, CloneFlags::CLONE_NEWNET).expect("entered");
                work()
            };
            scope.spawn(run).join().expect("the work done")
        })
    }

    /// Runs lines of `ip`.
    pub fn ip(&self, lines: &str) {
        let netns = self.0.try_clone().expect("a descriptor");
        let mut command = Command::new("ip");
        command.args(["-batch", "-"]).stdin(Stdio::piped());
        // SAFETY: setns is one system call, which is all that happens between fork and exec.
        unsafe { command.pre_exec(move || Ok(setns(&netns, CloneFlags::CLONE_NEWNET)?)) };
        let mut child = command.spawn().expect("ip");
        let mut pipe = child.stdin.take().expect("a pipe");
        pipe.write_all(lines.as_bytes()).expect("written");
        drop(pipe);
        assert!(child.wait().expect("ended").success(), "{lines}");
    }

    /// What `ip` says.
    pub fn shows(&self, words: &str) -> String {
        let netns = self.0.try_clone().expect("a descriptor");
        let mut command = Command::new("ip");
        command.args(words.split(' '));
        // SAFETY: setns is one system call, which is all that happens between fork and exec.
        unsafe { command.pre_exec(move || Ok(setns(&netns, CloneFlags::CLONE_NEWNET)?)) };
        String::from_utf8(command.output().expect("ip").stdout).expect("text")
    }

    /// The index of a link.
    pub fn index(&self, name: &str) -> u32 {
        let name = std::ffi::CString::new(name).expect("a name");
        // SAFETY: the name is a C string that outlives the call.
        self.within(move || unsafe { libc::if_nametoindex(name.as_ptr()) })
    }
}

/// An instance with the bridge and the rules in place, and the router of its subnets.
pub struct Instance {
    pub netns: Netns,
    pub router: Netns,
}

impl Instance {
    pub fn new(hook: &std::path::Path) -> Self {
        let instance = Self::without_host_setup();
        let mut command = Command::new(hook);
        command.arg("host-setup");
        crate::timed::complete(command, &instance.netns.0, "");
        instance
    }

    /// One that no task has been on.
    pub fn without_host_setup() -> Self {
        Self { netns: Netns::new(), router: Netns::new() }
    }

    /// Plugs an ENI in.
    pub fn attach(&self, name: &str, mac: &str) {
        self.netns.ip(&format!(
            "link add {name} address {mac} mtu 9001 type veth peer name far-{name} mtu 9001 netns {}",
            self.router.path()
        ));
        self.router.ip(&format!("link set far-{name} up"));
    }
}

/// A pause container: a process in a namespace of its own. Dropped, it is killed.
pub struct Pause {
    pub id: String,
    child: Child,
}

impl Pause {
    pub fn new(id: String) -> Self {
        let mut command = Command::new("sleep");
        command.arg("infinity");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let before = || {
            // Not one of them outlives us, whatever ends us.
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            Ok(unshare(CloneFlags::CLONE_NEWNET)?)
        };
        // SAFETY: two system calls are all that happens between fork and exec.
        unsafe { command.pre_exec(before) };
        // spawn returns when exec has happened, and so after unshare.
        Self { id, child: command.spawn().expect("sleep") }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn netns(&self) -> Netns {
        Netns(File::open(format!("/proc/{}/ns/net", self.pid())).expect("a living process"))
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }
}
