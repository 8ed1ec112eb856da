//! Rules come, stay, come back and go.

use super::{FOREIGN, chains, ruleset};
use crate::fixtures::{Instance, Pause, Server, hook, many_tasks, started};

const ALL: [&str; 5] =
    ["inet guard", "inet credentials", "inet input", "inet forward", "bridge source"];

#[test]
fn after_host_teardown_all_rules_are_as_before_host_setup() {
    for others in ["true", FOREIGN] {
        let instance = Instance::new();
        instance.netns.run(others);
        let before = (instance.netns.snapshot(), ruleset(&instance));
        let report = hook("host-setup").on(&instance).report();
        assert_eq!(report, "nftables rules are installed\nbridge ecs-bridge is created\n");
        assert_eq!(chains(&instance.netns), ALL);
        assert!(ruleset(&instance).contains(before.1.trim()), "others' rules are as they were");
        let report = hook("host-teardown").on(&instance).report();
        assert_eq!(report, "bridge ecs-bridge is deleted\nnftables rules are removed\n");
        assert_eq!(ruleset(&instance), before.1);
        instance.netns.assert_same(&before.0);
        assert_eq!(hook("host-teardown").on(&instance).report(), "nothing to do\n");
    }
}

#[test]
fn a_second_host_setup_changes_nothing() {
    let instance = Instance::new();
    hook("host-setup").on(&instance).report();
    // With handles: a rule that is installed again has another.
    let before = instance.netns.run("nft --handle list ruleset");
    assert_eq!(hook("host-setup").on(&instance).report(), "nothing to do\n");
    assert_eq!(instance.netns.run("nft --handle list ruleset"), before);
}

#[test]
fn the_first_task_installs_the_rules_and_they_outlive_it() {
    let (instance, pause) = started();
    let installed = ruleset(&instance);
    assert_eq!(chains(&instance.netns), ALL);
    pause.call("poststop").on(&instance).well();
    assert_eq!(ruleset(&instance), installed);
}

#[test]
fn a_task_that_cannot_start_has_installed_them_all_the_same() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.netns().ip("route add blackhole default");
    pause.call("prestart").on(&instance).badly();
    assert_eq!(chains(&instance.netns), ALL);
}

/// Deletes the element of a lease, and adds one with another address.
fn lose(lease: u32, other: &str) -> String {
    let [a, b, c, d] = lease.to_be_bytes();
    let key = format!("ecs{lease:08x} . 0a:58:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
    let set = "element bridge oci_awsvpc leases";
    let delete = format!("nft delete {set} {{ {key} . {a}.{b}.{c}.{d} }}");
    if other.is_empty() { delete } else { format!("{delete} && nft add {set} {{ {key}{other} }}") }
}

#[test]
fn rules_that_somebody_flushed_are_put_back_by_the_next_task_and_by_gc() {
    let damages = [
        "nft flush ruleset",
        "nft delete table inet oci_awsvpc",
        "nft delete table bridge oci_awsvpc",
        "nft flush chain bridge oci_awsvpc source",
        "nft flush chain inet oci_awsvpc input",
        "nft delete rule inet oci_awsvpc forward handle $(nft --handle list chain inet oci_awsvpc forward \
         | sed -n 's/.*oifname.*handle //p')",
        // As many as before.
        "nft replace rule inet oci_awsvpc forward handle $(nft --handle list chain inet oci_awsvpc forward \
         | sed -n 's/.*oifname.*handle //p') oifname ecs-bridge counter accept",
        "nft insert rule inet oci_awsvpc input accept",
        "nft add chain inet oci_awsvpc own && nft add rule inet oci_awsvpc own drop",
        "nft flush set bridge oci_awsvpc leases",
        "nft add table inet oci_awsvpc '{ flags dormant; }'",
        "nft chain inet oci_awsvpc input '{ policy drop; }'",
    ];
    for heals in ["prestart", "gc"] {
        let (instance, pause) = started();
        let agent = Server::agent(&instance.netns, "credentials");
        let whole = ruleset(&instance);
        let own = u32::from_str_radix(&instance.ports()[0][3..], 16).expect("an address");
        // One that no task has is the business of gc alone.
        let lost = if heals == "gc" { [own, own + 1] } else { [own, own] };
        let of_sets = [lose(lost[0], ""), lose(lost[1], " . 1.2.3.4")];
        for damage in damages.iter().map(|damage| (*damage).to_owned()).chain(of_sets) {
            let damage = damage.as_str();
            instance.netns.run(damage);
            assert_ne!(ruleset(&instance), whole, "{damage}");
            match heals {
                "gc" => {
                    let report = hook("gc").on(&instance).report();
                    // With all rules, the records are gone too.
                    let again = "nftables rules are installed again\n";
                    let all = damage == "nft flush ruleset" && report.contains("is written again");
                    assert!(
                        report == again || all && report.ends_with(again),
                        "{damage}: {report}"
                    );
                }
                // The running task's, which a runtime may call once more.
                stage => pause.call(stage).on(&instance).silently(),
            }
            assert_eq!(ruleset(&instance), whole, "{damage}, {heals}");
            assert_eq!(agent.ask_from(&pause.netns()).as_deref(), Some("credentials"), "{damage}");
        }
    }
}

#[test]
fn gc_installs_no_rules_where_there_is_no_bridge() {
    let instance = Instance::new();
    assert_eq!(hook("gc").on(&instance).report(), "nothing to do\n");
    assert_eq!(ruleset(&instance), "");
}

#[test]
fn host_teardown_is_refused_while_a_task_is_there() {
    let (instance, pause) = started();
    let before = (instance.netns.snapshot(), ruleset(&instance));
    let line = hook("host-teardown").on(&instance).badly();
    assert!(line.contains("ecs-bridge has 1 ports: stop their tasks first"), "{line}");
    instance.netns.assert_same(&before.0);
    assert_eq!(ruleset(&instance), before.1);
    pause.call("poststop").on(&instance).well();
    hook("host-teardown").on(&instance).report();
    assert_eq!(ruleset(&instance), "");
}

#[test]
fn twenty_first_tasks_at_once_leave_one_ruleset() {
    const TASKS: usize = 20;
    let (instance, tasks) = many_tasks(TASKS);
    std::thread::scope(|scope| {
        for (pause, mac) in &tasks {
            let instance = &instance;
            scope.spawn(move || {
                pause.call("prestart").eni("mac-address", mac.as_str()).on(instance).silently();
            });
        }
    });
    assert_eq!(chains(&instance.netns), ALL);
    let together = ruleset(&instance);
    let alone = Instance::new();
    hook("host-setup").on(&alone).report();
    assert_eq!(together, ruleset(&alone));
    let agent = Server::agent(&instance.netns, "credentials");
    for (pause, _) in &tasks {
        assert_eq!(agent.ask_from(&pause.netns()).as_deref(), Some("credentials"));
    }
}

#[test]
fn what_is_printed_is_what_is_installed() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = "[credentials]\nbridge = \"cred0\"\nsubnet = \"10.99.0.0/28\"\ngateway = \"10.99.0.1\"\n\
        endpoint = \"10.98.0.1\"\nipv6-subnet = \"fd00:ec::/64\"\nisolation = false\n\
        [host]\nopen-tcp-ports = [53, 8125]\nopen-udp-ports = [53]\nagent = \"127.0.0.2:4000\"\n";
    let routed = "[credentials]\nsubnet = \"10.99.0.0/22\"\ngateway = \"10.99.0.9\"\n\
        ipv6-subnet = \"fd00:ec::/62\"\nipv6-endpoint = \"fd00:cc::7\"\n[host]\nagent = \"172.17.0.2:80\"\n";
    for config in ["", other, routed] {
        let (instance, elsewhere) = (Instance::new(), Instance::new());
        let before = instance.netns.snapshot();
        let print = hook("host-setup").config(&folder, config).option("--print");
        let printed = folder.path().join("printed");
        std::fs::write(&printed, print.on(&instance).report()).expect("written");
        assert_eq!(ruleset(&instance), "", "printing installs nothing");
        instance.netns.assert_same(&before);
        elsewhere.netns.run(&format!("nft -c -f - <{}", printed.display()));
        assert_eq!(ruleset(&elsewhere), "");
        elsewhere.netns.run(&format!("nft -f - <{}", printed.display()));
        hook("host-setup").config(&folder, config).on(&instance).report();
        assert_eq!(ruleset(&instance), ruleset(&elsewhere));
        assert_eq!(as_json(&instance), as_json(&elsewhere));
        // And the hook knows them for its own.
        let report = hook("host-setup").config(&folder, config).on(&elsewhere).report();
        assert!(!report.contains("nftables rules"), "{report}");
    }
}

/// All that nft knows of the rules, but for the numbers that the kernel gives them in the order in which they are
/// made.
fn as_json(instance: &Instance) -> serde_json::Value {
    let mut listed = instance.netns.json("nft --json --stateless list ruleset");
    for item in listed["nftables"].as_array_mut().expect("a list") {
        for (_, object) in item.as_object_mut().expect("an object") {
            object.as_object_mut().expect("an object").remove("handle");
        }
    }
    listed
}

/// As it is where others change rules all the time: then all of it is read, and left alone.
#[test]
fn rules_of_others_change_nothing_about_ours() {
    let instance = Instance::new();
    hook("host-setup").on(&instance).report();
    instance.netns.run(FOREIGN);
    let before = instance.netns.run("nft --handle --stateless list ruleset");
    assert_eq!(hook("host-setup").on(&instance).report(), "nothing to do\n");
    assert_eq!(instance.netns.run("nft --handle --stateless list ruleset"), before);
}

/// More than one message, and more than a socket takes unasked.
#[test]
#[ignore = "needs real root: a message of 1.5 MB"]
fn the_largest_subnet_is_listed_whole() {
    let instance = Instance::new();
    let folder = tempfile::tempdir().expect("a folder");
    let large = "[credentials]\nsubnet = \"10.64.0.0/18\"\ngateway = \"10.64.0.1\"\n\
        ipv6-subnet = \"fd00:ec::/64\"\n";
    hook("host-setup").config(&folder, large).on(&instance).report();
    let listed = instance.netns.json("nft --json list set bridge oci_awsvpc leases6");
    assert_eq!(listed["nftables"][1]["set"]["elem"].as_array().map(Vec::len), Some(16_381));
    instance.netns.run(FOREIGN);
    let report = hook("host-setup").config(&folder, large).on(&instance).report();
    assert_eq!(report, "nothing to do\n");
}
