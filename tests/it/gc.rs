//! `gc`: what tasks left that ended without poststop.

use crate::fixtures::{ENI_MAC, Instance, Pause, eventually, hook, started};
use serde_json::json;
use std::fs::File;

/// A task whose ENI the kernel has sent home, under another name, when its namespace died.
fn strayed() -> (Instance, Pause) {
    let (instance, mut pause) = (Instance::new(), Pause::new());
    pause.call("prestart").eni("mtu", "1500").on(&instance).silently();
    let home = instance.netns.path();
    pause.netns().ip(&format!("link set eth0 name dev3 netns {}", home.display()));
    pause.kill();
    eventually("its veth gone", || instance.ports().is_empty());
    (instance, pause)
}

#[test]
fn a_stray_eni_is_restored_and_its_neighbour_entry_deleted() {
    let forgotten = "1 neighbour entries of tasks that are gone are deleted\n";
    for (is_recorded, more) in [(true, ""), (false, forgotten)] {
        let (instance, pause) = strayed();
        if !is_recorded {
            instance.netns.run("nft delete table inet oci_awsvpc_tasks");
        }
        let report = hook("gc").on(&instance).report();
        let home = format!("ENI 02:5a:a1:1a:43:42 is home as eth1 (of container {})\n", pause.id);
        assert_eq!(report, home + more);
        instance.assert_home();
        assert_eq!(hook("gc").on(&instance).report(), "nothing to do\n");
    }
}

#[test]
fn enis_that_came_home_under_each_others_names_get_their_own() {
    let (instance, _pause) = strayed();
    let (other, label) = ("02:00:00:00:00:07", "awsvpc container=x eni=02:00:00:00:00:07");
    instance.attach("eth1", other, "far7");
    instance.netns.ip(&format!("link set eth1 alias '{label} name=dev3 mtu=1500 netns=1'"));
    hook("gc").on(&instance).report();
    instance.assert_home();
    let link = instance.netns.link("dev3").expect("the other ENI");
    assert_eq!((&link["address"], link.get("ifalias")), (&json!(other), None));
}

#[test]
fn an_eni_whose_own_name_is_its_alternative_one_gets_it() {
    let (instance, _pause) = strayed();
    // As udev does, where the kernel has sent it home under another name.
    instance.netns.ip("link property add dev dev3 altname eth1 altname enp0s4");
    hook("gc").on(&instance).report();
    let link = instance.netns.link("eth1").expect("the ENI");
    assert_eq!((&link["ifname"], &link["altnames"]), (&json!("eth1"), &json!(null)));
    instance.assert_home();
}

#[test]
fn a_running_task_and_strangers_are_left_alone() {
    let (instance, pause) = started();
    instance.attach("eth7", "02:00:00:00:00:07", "far7");
    instance.netns.ip("link set eth7 alias 'awsvpc of somebody else'");
    instance.netns.ip("neigh add 10.0.9.77 lladdr 02:00:00:00:00:78 dev eth0 nud permanent");
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    assert_eq!(hook("gc").on(&instance).report(), "nothing to do\n");
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
}

#[test]
fn a_label_that_speaks_of_another_eni_is_not_believed() {
    let (instance, _pause) = strayed();
    let label = instance.netns.link("dev3").expect("the ENI")["ifalias"].clone();
    let label = label.as_str().expect("text").to_owned();
    // A task with CAP_NET_ADMIN wrote the instance's own interface into its ENI's label.
    let forged = label.replace("02:5a:a1:1a:43:42", "02:00:00:00:00:01");
    instance.netns.ip(&format!("link set dev3 alias '{forged}'"));
    let before = instance.netns.link("eth0").expect("eth0");
    // The record knows better; and where there is none, nothing does.
    for home in ["eth1", "eth1"] {
        hook("gc").on(&instance).report();
        assert_eq!(instance.netns.link("eth0").expect("eth0"), before);
        let eni = instance.netns.link(home).expect("the ENI");
        assert_eq!(eni["address"], json!("02:5a:a1:1a:43:42"));
        instance.netns.ip(&format!("link set {home} alias '{forged}'"));
    }
}

/// Where somebody deleted the record and no port tells of an ENI any more, its label does, and a task with
/// `CAP_NET_ADMIN` can write it. It is a wish for a name and an MTU, and does not keep the ENI from the next
/// task.
#[test]
fn a_forged_label_gives_its_own_eni_a_name_and_an_mtu_and_no_more() {
    let (instance, _pause) = strayed();
    let label = instance.netns.link("dev3").expect("the ENI")["ifalias"].clone();
    let label = label.as_str().expect("text").replace("mtu=9001", "mtu=1400");
    instance.netns.run("nft flush ruleset");
    instance.netns.ip(&format!("link set dev3 alias '{}'", label.replace("=eth1", "=ens9")));
    hook("gc").on(&instance).report();
    let eni = instance.netns.link("ens9").expect("the ENI");
    assert_eq!((&eni["mtu"], &eni["address"]), (&json!(1400), &json!("02:5a:a1:1a:43:42")));
    // What the driver does not take is not tried, and a name that is taken is not taken away.
    let (low, taken) = (label.replace("1400", "60"), label.replace("=eth1", "=eth0"));
    for forged in [low, taken] {
        instance.netns.ip(&format!("link set ens9 alias '{forged}'"));
        hook("gc").on(&instance).report();
        instance.netns.ip("link set dev ens9 name ens9 2>/dev/null || ip link set eth1 name ens9");
        assert_eq!(instance.netns.link("ens9").expect("the ENI")["mtu"], 1400);
        let own = instance.netns.link("eth0").expect("eth0");
        assert_eq!(
            (&own["address"], &own["operstate"]),
            (&json!("02:00:00:00:00:01"), &json!("UP"))
        );
    }
    let next = Pause::new();
    next.call("prestart").on(&instance).silently();
    assert_eq!(next.netns().links(), ["lo", "eth0", "ecs-eth0"]);
}

#[test]
fn an_instance_without_any_task_ever_has_nothing_to_restore() {
    let instance = Instance::new();
    let before = instance.netns.snapshot();
    assert_eq!(hook("gc").on(&instance).report(), "nothing to do\n");
    instance.netns.assert_same(&before);
}

#[test]
fn it_can_run_while_tasks_start_and_stop() {
    let instance = Instance::new();
    std::thread::scope(|scope| {
        let tasks = scope.spawn(|| {
            for _ in 0..15 {
                let pause = Pause::new();
                pause.call("prestart").on(&instance).silently();
                assert_eq!(pause.netns().links(), ["lo", "eth0", "ecs-eth0"]);
                assert_eq!(pause.netns().link("eth0").expect("the ENI")["operstate"], "UP");
                pause.call("poststop").on(&instance).well();
            }
        });
        while !tasks.is_finished() {
            hook("gc").on(&instance).report();
        }
    });
    instance.assert_home();
}

/// A `poststop` was killed when it had deleted the record and not the port; the ENI is another task's by now.
#[test]
fn a_port_that_was_left_goes_and_the_next_task_keeps_its_eni() {
    let (instance, mut pause) = started();
    let _namespace = File::open(pause.netns().path()).expect("its namespace");
    let left = instance.ports().concat();
    let element = format!("nft delete element inet oci_awsvpc_tasks tasks '{{ {ENI_MAC} }}'");
    instance.netns.run(&element);
    pause.netns().ip("link set eth0 down");
    let home = instance.netns.path();
    pause.netns().ip(&format!("link set eth0 alias '' name eth1 netns {}", home.display()));
    pause.kill();
    let next = Pause::new();
    for _ in 0..2 {
        next.call("prestart").on(&instance).silently();
    }
    let report = hook("gc").on(&instance).report();
    let expected = format!("port {left} is deleted (of container {})\n", pause.id);
    assert_eq!(report.lines().last().map(|line| format!("{line}\n")), Some(expected), "{report}");
    assert_eq!(next.netns().links(), ["lo", "eth0", "ecs-eth0"]);
    assert_eq!(hook("gc").on(&instance).report(), "nothing to do\n");
    next.call("poststop").on(&instance).well();
    instance.assert_home();
}
