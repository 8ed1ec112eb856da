//! `gc`: what tasks left that ended without poststop.

use crate::fixtures::{Instance, Pause, eventually, hook};
use serde_json::json;

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
fn a_stray_eni_is_restored_and_its_neighbour_forgotten() {
    let (instance, pause) = strayed();
    let report = hook("gc").on(&instance).report();
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines.len(), 2, "{report}");
    assert_eq!(
        lines[0],
        format!("ENI 02:5a:a1:1a:43:42 is home as eth1 (of container {})", pause.id)
    );
    assert_eq!(lines[1], "1 neighbour entries of tasks that are gone are deleted");
    instance.assert_home();
    assert_eq!(hook("gc").on(&instance).report(), "nothing to do\n");
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
    assert_eq!((&link["ifname"], &link["altnames"]), (&json!("eth1"), &json!(["enp0s4"])));
    instance.assert_home();
}

#[test]
fn a_running_task_and_strangers_are_left_alone() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.call("prestart").on(&instance).silently();
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
    hook("gc").on(&instance).report();
    assert_eq!(instance.netns.link("eth0").expect("eth0"), before);
    assert_eq!(
        instance.netns.link("dev3").expect("the ENI")["address"],
        json!("02:5a:a1:1a:43:42")
    );
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
                assert_eq!(pause.netns().links(), ["lo", "ecs-eth0", "eth0"]);
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
