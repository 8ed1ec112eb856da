//! Machines without the program `nft`, and kernels without `nf_tables`.

use super::{chains, ruleset};
use crate::fixtures::{Call, Instance, Pause, hook};
use nix::libc;
use std::{io, os::unix::process::CommandExt};

/// Runs a call where each folder that has `nft` is empty.
fn without_nft(call: Call) -> Call {
    let hide = "for place in /usr/sbin/nft /sbin/nft /usr/bin/nft /usr/local/sbin/nft; do \
                    [ -x $place ] || continue; mount -t tmpfs none ${place%/*} || exit 99; \
                done; exec \"$@\"";
    call.through(&["unshare", "--mount", "sh", "-c", hide, "sh"])
}

/// Runs a call on a kernel that has no netfilter socket.
fn without_nf_tables(call: Call) -> Call {
    call.adjust(|command| {
        // SAFETY: two system calls, whose arguments live until they return.
        unsafe { command.pre_exec(refuse_netfilter_sockets) };
    })
}

/// Lets the kernel say EPROTONOSUPPORT to `socket(AF_NETLINK, …, NETLINK_NETFILTER)`.
fn refuse_netfilter_sockets() -> io::Result<()> {
    // struct seccomp_data, linux/seccomp.h: the call's number, and the lower halves of its arguments.
    let load = |offset| stop(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    let unless = |value, skip| stop(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, skip, value);
    let answer = |value| stop(libc::BPF_RET | libc::BPF_K, 0, 0, value);
    let socket = u32::try_from(libc::SYS_socket).expect("small");
    let (errno, low) = (libc::EPROTONOSUPPORT.cast_unsigned(), cfg!(target_endian = "big"));
    let argument = |number: u32| 16 + 8 * number + 4 * u32::from(low);
    let mut filter = [
        load(0),
        unless(socket, 5),
        load(argument(0)),
        unless(libc::AF_NETLINK.cast_unsigned(), 3),
        load(argument(2)),
        unless(libc::NETLINK_NETFILTER.cast_unsigned(), 1),
        answer(libc::SECCOMP_RET_ERRNO | errno),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).expect("short"),
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the filter and the program live until the calls return.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
    };
    if refused { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn stop(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).expect("small"), jt, jf, k }
}

const ALL_OFF: &str = "eni.block-instance-metadata = false\n\
    [host]\nredirect = false\nfilter = false\nsource-checks = false\n";

#[test]
fn a_machine_without_nft_needs_none() {
    let (instance, pause) = (Instance::new(), Pause::new());
    without_nft(pause.call("prestart")).on(&instance).silently();
    assert_eq!((chains(&instance.netns).len(), chains(&pause.netns()).len()), (5, 3));
    instance.netns.run("nft flush ruleset");
    let report = without_nft(hook("gc")).on(&instance).report();
    let lines: Vec<&str> = report.lines().collect();
    assert!(lines[0].contains("is written again"), "{report}");
    assert_eq!(lines[1..], ["nftables rules are installed again"]);
    without_nft(pause.call("poststop")).on(&instance).well();
    let report = without_nft(hook("host-teardown")).on(&instance).report();
    assert_eq!(report, "bridge ecs-bridge is deleted\nnftables rules are removed\n");
    assert_eq!(ruleset(&instance), "");
}

#[test]
fn without_nf_tables_the_error_says_what_to_do() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    let line = without_nf_tables(pause.call("prestart")).on(&instance).badly();
    let part = "installing nftables rules on the instance: this kernel has no nf_tables, or lacks a part of it \
                (protocol not supported): load the module nf_tables, or switch off redirect, filter and \
                source-checks in [host] of config.toml";
    assert!(line.contains(part), "{line}");
    instance.netns.assert_same(&before.0);
    let off = ALL_OFF.split_once('\n').expect("two lines").1;
    let call = pause.call("prestart").config(&folder, off);
    let line = without_nf_tables(call).on(&instance).badly();
    let part = "installing nftables rules that block packets in the task: this kernel has no nf_tables, or \
                lacks a part of it (protocol not supported): load the module nf_tables, or switch off \
                block-instance-metadata and block in [eni] of config.toml";
    assert!(line.contains(part), "{line}");
    pause.netns().assert_same(&before.1);
}

#[test]
fn without_nf_tables_all_works_where_no_rules_are_wanted() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let call = |call: Call| without_nf_tables(call.config(&folder, ALL_OFF));
    let report = call(hook("host-setup")).on(&instance).report();
    assert_eq!(report, "bridge ecs-bridge is created\n");
    let again = call(hook("host-setup")).on(&instance).stderr;
    assert!(
        again.contains("this kernel has no nf_tables") && again.lines().count() == 1,
        "{again}"
    );
    // What the kernel lacks is no news at a start.
    pause.netns().ip("route add blackhole default");
    call(pause.call("prestart").option("--log-level=info")).on(&instance).badly();
    pause.netns().ip("route del blackhole default");
    call(pause.call("prestart")).on(&instance).silently();
    assert_eq!(call(hook("gc")).on(&instance).report(), "nothing to do\n");
    call(pause.call("poststop")).on(&instance).well();
    let report = call(hook("host-teardown")).on(&instance).report();
    assert_eq!(report, "bridge ecs-bridge is deleted\n");
}
