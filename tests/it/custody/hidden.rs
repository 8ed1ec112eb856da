//! An ENI that is not where it was: in a namespace that the task made inside its own.

use super::{End, First, Handover, refused};
use crate::fixtures::{ENI_MAC, EVERYBODY, Frame, Netns, Pause, Wire, eventually, mac};
use nix::sched::{CloneFlags, setns};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

/// A handover, and a program in the namespace that the ENI is hidden in.
struct Hidden {
    handover: Handover,
    child: Pause,
}

/// The hostile task has moved its ENI into a namespace of its own making.
fn hidden() -> Hidden {
    let handover = Handover::new();
    let child = handover.hostile.child();
    handover.hostile.does(&format!("ip link set eth0 netns {}", child.pid()));
    Hidden { handover, child }
}

/// Something with the ENI's name and MAC address stands where the ENI was.
fn doubled() -> Hidden {
    let hidden = hidden();
    hidden.handover.hostile.does(&format!(
        "ip link add eth0 address {ENI_MAC} mtu 9001 type veth peer name other netns {}
         ip link set eth0 up",
        hidden.child.pid()
    ));
    hidden.child.does("ip link set other up");
    hidden
}

/// Asserts that `poststop` brings the ENI home; or that it fails with one line and forgets nothing: the
/// ENI is nobody else's, and when the task has given it back, the same call brings it home.
#[track_caller]
fn comes_home_or_is_not_forgotten(handover: &Handover, from: &Netns) {
    let done = handover.poststop();
    if done.code != Some(0) {
        refused(done);
        let next = Pause::new();
        refused(handover.call(&next, "prestart").on(&handover.instance));
        handover.command("gc");
        let task = handover.hostile.netns();
        from.ip(&format!("link set eth0 netns {}", task.path().display()));
        handover.poststop().well();
    }
    handover.assert_untouched();
    handover.next();
}

#[test]
fn in_a_child_namespace() {
    let Hidden { handover, child } = hidden();
    comes_home_or_is_not_forgotten(&handover, &child.netns());
}

#[test]
fn under_another_name_without_its_label() {
    let Hidden { handover, child } = hidden();
    child.does(
        "ip link set eth0 name other alias '' && ip link set other address 02:66:66:66:66:66",
    );
    child.does("ip link property add dev other altname eth0");
    comes_home_or_is_not_forgotten(&handover, &child.netns());
}

/// No process is in it, nothing is mounted: somebody has it open.
#[test]
fn in_a_namespace_that_a_descriptor_keeps() {
    let Hidden { handover, mut child } = hidden();
    let open = child.netns();
    child.kill();
    comes_home_or_is_not_forgotten(&handover, &open);
}

/// The pause container is dead, its namespace too; a program of the task is in the child namespace.
#[test]
fn when_all_of_the_task_is_dead_but_a_program_in_a_child_namespace() {
    for first in [First::Poststop, First::Gc, First::Next] {
        println!("{first:?}");
        let Hidden { mut handover, child } = hidden();
        handover.hostile.kill();
        let alone = || handover.instance.ports().len() == 1;
        eventually("its veth gone", alone);
        let done = match first {
            First::Poststop => handover.poststop(),
            First::Gc => handover.command("gc"),
            First::Next => {
                let next = Pause::new();
                let done = handover.call(&next, "prestart").on(&handover.instance);
                if done.code == Some(0) {
                    handover.assert_works(&next);
                }
                done
            }
        };
        if done.code == Some(0) {
            assert_eq!(child.netns().links(), ["lo"]);
        } else {
            refused(done);
        }
    }
}

#[test]
fn a_veth_that_took_its_place_is_not_taken_for_it() {
    for end in [End::Poststop, End::Survived(First::Poststop)] {
        println!("{end:?}");
        let Hidden { mut handover, child } = doubled();
        let program = matches!(end, End::Survived(_)).then(|| {
            let program = handover.hostile.joined_by("program");
            handover.hostile.kill();
            program
        });
        let poststop = handover.poststop();
        let next = Pause::new();
        let prestart = handover.call(&next, "prestart").on(&handover.instance);
        if prestart.code == Some(0) {
            poststop.well();
            handover.assert_works(&next);
            let (ear, task) =
                (Wire::open(&child.netns(), "other"), Wire::open(&next.netns(), "eth0"));
            let (from, to) = (Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 0, 0, 1));
            task.send(&Frame::udp(from, to, 9, "secret").between(mac(ENI_MAC), EVERYBODY));
            assert!(!ear.hears("secret", Duration::from_millis(200)));
        } else {
            refused(poststop);
            refused(prestart);
            assert!(handover.instance.netns.link("eth1").is_none());
        }
        drop(program);
    }
}

/// A record must not outlive what it tells of, nor keep the ENI from the next task.
#[test]
fn a_credential_interface_in_a_child_namespace() {
    for first in [First::Poststop, First::Gc, First::Next] {
        println!("{first:?}");
        let mut handover = Handover::new();
        let child = handover.hostile.child();
        handover.hostile.does(&format!("ip link set ecs-eth0 netns {}", child.pid()));
        let home = handover.instance.netns.path();
        let task = handover.hostile.netns();
        task.ip(&format!("link set eth0 name dev7 netns {}", home.display()));
        drop(task);
        handover.hostile.kill();
        let next = handover.first(first).unwrap_or_else(|| {
            handover.assert_untouched();
            handover.next()
        });
        assert_eq!(child.netns().links(), ["lo"]);
        handover.poststop().well();
        handover.assert_works(&next);
    }
}

/// Not its first one, which is what `/proc/PID/ns/net` shows.
#[test]
fn in_a_namespace_that_one_thread_of_a_process_keeps() {
    let mut handover = Handover::new();
    let task = handover.hostile.netns();
    let ((here, is_there), (end, is_over)) = (mpsc::channel(), mpsc::channel::<()>());
    let thread = std::thread::spawn(move || {
        let file = File::open(task.path()).expect("a namespace");
        setns(file, CloneFlags::CLONE_NEWNET).expect("entered");
        drop(task);
        here.send(()).expect("heard");
        is_over.recv().ok();
    });
    is_there.recv().expect("there");
    handover.hostile.kill();
    handover.poststop().well();
    drop(end);
    thread.join().expect("over");
    handover.assert_untouched();
}

#[test]
fn in_a_namespace_that_is_mounted_under_a_path_with_a_blank() {
    let mut handover = Handover::new();
    let folder = tempfile::Builder::new().prefix("a b\\").tempdir().expect("a folder");
    let mount = folder.path().join("net ns");
    std::fs::write(&mount, "").expect("written");
    // Where only its own process sees the mount, so the hook must run there too.
    let script = format!(
        "mount --bind /proc/{0}/ns/net '{1}' && kill -9 {0} && \
         while [ -e /proc/{0}/ns/net ]; do sleep 0.01; done; exec \"$@\"",
        handover.hostile.pid(),
        mount.display()
    );
    let call = handover.call(&handover.hostile, "poststop");
    let done = call.through(&["unshare", "--mount", "sh", "-c", &script, "sh"]);
    let done = done.on(&handover.instance);
    handover.hostile.kill();
    assert_eq!(done.well(), "");
    handover.assert_untouched();
}

/// Of two processes that see the mount, the first one has another root, below which it is not.
#[test]
fn in_a_namespace_that_is_mounted_out_of_the_sight_of_a_process_with_another_root() {
    let Hidden { handover, mut child } = hidden();
    let folder = tempfile::tempdir().expect("a folder");
    let (mount, root) = (folder.path().join("netns"), folder.path().join("root"));
    std::fs::write(&mount, "").expect("written");
    std::fs::create_dir(&root).expect("a folder");
    std::fs::write(root.join("busybox"), "").expect("written");
    let script = format!(
        "mount --bind /proc/{}/ns/net {}
         mount --bind /bin/busybox {2}/busybox
         exec 3<&0
         {{ echo mounted; exec cat <&3; }} &
         exec chroot {2} /busybox cat",
        child.pid(),
        mount.display(),
        root.display()
    );
    let mut two = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let (mut stdout, mut line) =
        (BufReader::new(two.stdout.take().expect("a pipe")), String::new());
    stdout.read_line(&mut line).expect("a line");
    let first = format!("/proc/{}/root", two.id());
    eventually("another root", || std::fs::read_link(&first).is_ok_and(|now| now == root));
    child.kill();
    handover.poststop().well();
    drop(two.stdin.take());
    two.wait().expect("over");
    drop(stdout);
    handover.assert_untouched();
    handover.next();
}
