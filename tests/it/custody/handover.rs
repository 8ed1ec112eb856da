//! An ENI that goes from a hostile task to the next one, and what may not come of it.

use crate::fixtures::{Call, Done, ENI_MAC, Instance, Netns, Pause, Snapshot, eventually, hook};
use serde_json::Value;

/// The MAC address of the neighbour's ENI.
pub const NEIGHBOUR_MAC: &str = "02:5a:a1:1a:43:43";

/// An instance with two tasks: a neighbour, whom nothing may happen to, and a hostile one.
pub struct Handover {
    pub instance: Instance,
    /// Its container is trusted with nothing; its root is nobody outside.
    pub hostile: Pause,
    pub neighbour: Pause,
    /// What is left of the hostile task when its pause container is dead.
    program: Option<Pause>,
    /// Where the configuration is: with less patience than usual.
    folder: tempfile::TempDir,
    /// What the instance and the neighbour were before the hostile task.
    before: [Snapshot; 2],
    /// The ENI in the hostile task, as the hook made it.
    fresh: Value,
}

/// How a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The runtime calls `poststop`, and the pause container lives on.
    Poststop,
    /// The pause container dies, a program of the task lives on, and this comes first.
    Survived(First),
    /// All die, the kernel sends the ENI home, and this comes first.
    Home(First),
}

/// What comes first when a task is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    Poststop,
    Gc,
    /// The next task, while nobody has tidied up.
    Next,
}

/// Every way in which a task can end.
pub const EVERY_END: [End; 7] = [
    End::Poststop,
    End::Survived(First::Poststop),
    End::Survived(First::Gc),
    End::Survived(First::Next),
    End::Home(First::Poststop),
    End::Home(First::Gc),
    End::Home(First::Next),
];

impl Handover {
    /// Both tasks have started.
    pub fn new() -> Self {
        Self::after(|_| ())
    }

    /// The same, after something was done to the instance before the hostile task.
    pub fn after(prepare: impl Fn(&Instance)) -> Self {
        let (instance, neighbour) = (Instance::new(), Pause::new());
        instance.attach("eth2", NEIGHBOUR_MAC, "eni2");
        instance.router.ip("addr add 10.0.1.1/24 dev eni2");
        let of_neighbour = neighbour.call("prestart").eni("mac-address", NEIGHBOUR_MAC);
        of_neighbour
            .eni("ipv4-addresses", "10.0.1.5")
            .eni("subnet-gateway-ipv4-address", "10.0.1.1/24")
            .on(&instance)
            .silently();
        prepare(&instance);
        let before = [&instance.netns, &neighbour.netns()].map(Netns::snapshot);
        let hostile = Pause::in_a_user_namespace();
        hostile.call("prestart").on(&instance).silently();
        let (fresh, folder) = (eni_of(&hostile.netns()), tempfile::tempdir().expect("a folder"));
        Self { instance, hostile, neighbour, program: None, folder, before, fresh }
    }

    /// Ends the hostile task. Gives the task that came after it, if one did already.
    #[track_caller]
    pub fn end(&mut self, how: End) -> Option<Pause> {
        let first = match how {
            End::Poststop => {
                self.poststop().well();
                return None;
            }
            End::Survived(first) => {
                self.program = Some(self.hostile.joined_by("program"));
                self.hostile.kill();
                first
            }
            End::Home(first) => {
                self.kernel_sends_home("eth0");
                first
            }
        };
        self.first(first)
    }

    /// The first thing that happens when the hostile task is over.
    #[track_caller]
    pub fn first(&self, first: First) -> Option<Pause> {
        match first {
            First::Poststop => self.poststop().well(),
            First::Gc => self.command("gc").report(),
            First::Next => return self.next_or_refused(),
        };
        None
    }

    /// What the kernel does with a physical interface when its namespace dies: it is sent to the
    /// instance, under another name if its own is taken there, and without the alternative names that
    /// are (`default_device_exit_net` in net/core/dev.c).
    pub fn kernel_sends_home(&mut self, link: &str) {
        let (task, home) = (self.hostile.netns(), self.instance.netns.path());
        let is_taken = |name: &str| {
            self.instance.netns.try_run(&format!("ip link show {name}")).status.success()
        };
        task.ip(&format!("link set {link} down"));
        let shown = task.link(link).expect("the ENI");
        for name in shown["altnames"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if is_taken(name) {
                task.ip(&format!("link property del dev {link} altname {name}"));
            }
        }
        let name = if is_taken(link) { "name dev7" } else { "" };
        task.ip(&format!("link set {link} {name} netns {}", home.display()));
        // A veth dies with the namespace that its end is in: which may be one that the task has moved it to.
        let far = self.instance.ports().into_iter().filter(|port| {
            let port = self.instance.netns.link(port).expect("a port");
            let is_end = |name: &String| {
                let link = task.link(name).expect("a link");
                link["ifindex"] == port["link_index"] && link["link_index"] == port["ifindex"]
            };
            task.links().iter().any(is_end)
        });
        let (dying, all) = (far.count(), self.instance.ports().len());
        drop(task);
        self.hostile.kill();
        let gone = || self.instance.ports().len() == all - dying;
        eventually("its veth gone", gone);
    }

    /// The runtime's call at the end of the hostile task.
    pub fn poststop(&self) -> Done {
        self.call(&self.hostile, "poststop").on(&self.instance)
    }

    /// A call that does not wait long for what does not come.
    pub fn call(&self, container: &Pause, stage: &str) -> Call {
        let impatient = "[eni]\nattach-timeout-seconds = 1\nreturn-timeout-seconds = 1\n";
        container.call(stage).config(&self.folder, impatient)
    }

    /// A call about no container.
    pub fn command(&self, words: &str) -> Done {
        let call = hook(words.split(' ').next().expect("a word"));
        let call = words.split(' ').skip(1).fold(call, Call::option);
        call.on(&self.instance)
    }

    /// Asserts that another task gets the ENI and works.
    #[track_caller]
    pub fn next(&self) -> Pause {
        let next = Pause::new();
        self.call(&next, "prestart").on(&self.instance).well();
        self.assert_works(&next);
        next
    }

    /// The same; or that it is refused with a line that names the ENI, and `gc` makes it possible.
    #[track_caller]
    pub fn next_or_refused(&self) -> Option<Pause> {
        let next = Pause::new();
        let done = self.call(&next, "prestart").on(&self.instance);
        if done.code == Some(0) {
            self.assert_works(&next);
            return Some(next);
        }
        refused(done);
        self.command("gc").report();
        None
    }

    /// Asserts that a task's ENI is as the hook made it for the hostile one, and that the router
    /// answers.
    #[track_caller]
    pub fn assert_works(&self, next: &Pause) {
        assert_eq!(next.netns().links(), ["lo", "eth0", "ecs-eth0"]);
        let same = || eni_of(&next.netns()) == self.fresh;
        let begin = std::time::Instant::now();
        while !same() && begin.elapsed().as_secs() < 2 {}
        assert_eq!(eni_of(&next.netns()), self.fresh);
        self.assert_reaches_router(next);
    }

    #[track_caller]
    pub fn assert_reaches_router(&self, next: &Pause) {
        next.netns().run("busybox ping -c 1 -W 2 10.0.0.1");
        let peer = &self.instance.router.link("eni").expect("the router's end")["link_index"];
        assert_eq!(peer, &next.netns().link("eth0").expect("the ENI")["ifindex"], "another ENI");
    }

    /// Asserts that the neighbour and the instance are what they were before the hostile task, with the
    /// ENI at home.
    #[track_caller]
    pub fn assert_untouched(&self) {
        self.instance.netns.assert_same(&self.before[0]);
        self.neighbour.netns().assert_same(&self.before[1]);
    }

    /// Ends the hostile task, starts and stops the next one, and asserts that each got what is
    /// promised.
    #[track_caller]
    pub fn hand_over(mut self, how: End) {
        let next = self.end(how).unwrap_or_else(|| {
            self.assert_untouched();
            self.next()
        });
        // A runtime may be late.
        self.poststop().well();
        self.assert_works(&next);
        next.call("poststop").on(&self.instance).well();
        self.assert_untouched();
    }
}

/// Asserts that after what a hostile task does, and each of these ends, the next task has an ENI like
/// any other.
#[track_caller]
pub fn after_each(ends: &[End], attack: impl Fn(&Handover)) {
    for &end in ends {
        println!("{end:?}");
        let handover = Handover::new();
        attack(&handover);
        handover.hand_over(end);
    }
}

/// Asserts that a call was refused with one line that names the ENI; gives the line.
#[track_caller]
pub fn refused(done: Done) -> String {
    let line = done.badly();
    assert!(line.contains(ENI_MAC), "{line}");
    line
}

/// Asserts that a container is refused an ENI with one line that names it, and that neither this nor the
/// `poststop` which the runtime calls then has changed the instance or these. Gives the line.
#[track_caller]
pub fn refused_without_a_trace(instance: &Instance, eni: &str, others: &[&Netns]) -> String {
    let (pause, folder) = (Pause::new(), tempfile::tempdir().expect("a folder"));
    let own = pause.netns();
    let all = || [&instance.netns, &own].into_iter().chain(others.iter().copied());
    let before: Vec<Snapshot> = all().map(Netns::snapshot).collect();
    let call = |stage| {
        let impatient = "[eni]\nattach-timeout-seconds = 1\n";
        pause.call(stage).config(&folder, impatient).eni("mac-address", eni).on(instance)
    };
    let assert_same = || all().zip(&before).for_each(|(netns, before)| netns.assert_same(before));
    let line = call("prestart").badly();
    assert!(line.contains(eni), "{line}");
    assert_same();
    call("poststop").silently();
    assert_same();
    line
}

/// All that the tools tell of the ENI in a task, but for what is another one's in each.
fn eni_of(netns: &Netns) -> Value {
    let mut link = netns.link("eth0").expect("the ENI");
    let fields = link.as_object_mut().expect("an object");
    for own in ["ifindex", "ifalias", "link_netnsid", "operstate"] {
        fields.remove(own);
    }
    let addresses = fields.get_mut("addr_info").and_then(Value::as_array_mut).expect("a list");
    // The kernel's own IPv6 address may be under test still.
    addresses.retain(|address| address["scope"] == "global");
    let features = netns.run("ethtool -k eth0");
    let queueing = netns.json("tc -j qdisc show dev eth0");
    serde_json::json!([link, features, queueing])
}
