//! The ENI in the task: its name, its addresses and its routes.

use super::{CREDENTIAL_ROUTES, addresses};
use crate::fixtures::{ENI_MAC, Instance, Netns, Pause, Router, started};
use serde_json::{Value, json};

fn sysctl(netns: &Netns, path: &str) -> String {
    let path = format!("/proc/sys/net/{path}");
    netns.within(|| std::fs::read_to_string(&path).expect(&path)).trim().to_owned()
}

#[test]
fn a_task_has_its_eni_under_its_name_with_its_address() {
    let (_instance, pause) = started();
    let task = pause.netns();
    assert_eq!(task.links(), ["lo", "eth0", "ecs-eth0"]);
    let eni = task.link("eth0").expect("the ENI");
    assert_eq!(
        (&eni["address"], &eni["mtu"], &eni["operstate"]),
        (&json!(ENI_MAC), &json!(9001), &json!("UP"))
    );
    assert_eq!(addresses(&eni), ["10.0.0.5/24"]);
    let lo = task.link("lo").expect("lo");
    assert!(lo["flags"].as_array().expect("a list").contains(&json!("UP")));
}

#[test]
fn a_task_has_a_default_route_by_its_eni_and_the_routes_of_the_credential_path() {
    let (_instance, pause) = started();
    let own = [
        "default via 10.0.0.1 dev eth0",
        "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.5",
    ];
    let task = pause.netns();
    assert_eq!(task.routes("4"), [&own[..], &CREDENTIAL_ROUTES].concat());
    assert_eq!(
        task.routes("6").first().map(String::as_str),
        Some("blackhole fd00:ec2::254 dev lo metric 1024")
    );
}

#[test]
fn a_dual_stack_task_gets_both_families_and_its_ipv6_addresses_are_usable_at_once() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause
        .call("prestart")
        .eni("ipv4-addresses", "10.0.0.5,10.0.0.6")
        .eni("ipv6-addresses", "2001:db8::5,2001:db8::6/64")
        .eni("subnet-gateway-ipv6-address", "2001:db8::1")
        .on(&instance)
        .silently();
    let task = pause.netns();
    let eni = task.link("eth0").expect("the ENI");
    assert_eq!(addresses(&eni), ["10.0.0.5/24", "10.0.0.6/24", "2001:db8::5/64", "2001:db8::6/64"]);
    let tentative = |address: &Value| address.get("tentative").is_some();
    assert!(!eni["addr_info"].as_array().expect("a list").iter().any(tentative), "{eni}");
    assert_eq!(task.routes("4")[0], "default via 10.0.0.1 dev eth0");
    assert!(task.routes("6").contains(&"default via 2001:db8::1 dev eth0 metric 1024".to_owned()));
    assert_eq!(sysctl(&task, "ipv6/conf/eth0/accept_ra"), "0");
    assert_eq!(
        task.ip("-6 route get 2001:db8::1 from 2001:db8::5")
            .split(" dev ")
            .nth(1)
            .map(|rest| &rest[..4]),
        Some("eth0")
    );
}

#[test]
fn bare_ipv6_addresses_have_the_prefix_of_their_gateway() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause
        .call("prestart")
        .eni("ipv6-addresses", "2001:db8::5,2001:db8::6/48")
        .eni("subnet-gateway-ipv6-address", "2001:db8::1/56")
        .on(&instance)
        .silently();
    let task = pause.netns();
    let own = addresses(&task.link("eth0").expect("the ENI"));
    assert_eq!(own[1..], ["2001:db8::5/56", "2001:db8::6/48"]);
    assert!(task.routes("6").contains(&"default via 2001:db8::1 dev eth0 metric 1024".to_owned()));
}

#[test]
fn an_ipv6_task_without_a_gateway_accepts_router_advertisements() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let _router = Router::start(&instance.router, "eni");
    pause
        .call("prestart")
        .eni("ipv4-addresses", Value::Null)
        .eni("subnet-gateway-ipv4-address", Value::Null)
        .eni("ipv6-addresses", "2001:db8::5")
        .on(&instance)
        .silently();
    let task = pause.netns();
    assert_eq!(addresses(&task.link("eth0").expect("the ENI")), ["2001:db8::5/64"]);
    assert_eq!(task.routes("4"), CREDENTIAL_ROUTES);
    assert_eq!(sysctl(&task, "ipv6/conf/eth0/accept_ra"), "2");
    assert_eq!(sysctl(&task, "ipv6/conf/eth0/autoconf"), "0");
    let route = task.routes("6").into_iter().find(|route| route.starts_with("default via fe80::1"));
    assert!(route.is_some_and(|route| route.contains("dev eth0 proto ra")));
}

#[test]
fn an_ipv4_task_ignores_router_advertisements() {
    let (_instance, pause) = started();
    assert_eq!(sysctl(&pause.netns(), "ipv6/conf/eth0/accept_ra"), "0");
}

#[test]
fn ipv6_addresses_work_where_new_interfaces_have_ipv6_switched_off() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let task = pause.netns();
    for scope in ["all", "default"] {
        task.within(|| {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1")
        })
        .expect("written");
    }
    let _router = Router::start(&instance.router, "eni");
    pause.call("prestart").eni("ipv6-addresses", "2001:db8::5").on(&instance).silently();
    assert_eq!(addresses(&task.link("eth0").expect("the ENI")), ["10.0.0.5/24", "2001:db8::5/64"]);
    assert!(task.routes("6").iter().any(|route| route.starts_with("blackhole fd00:ec2::254")));
}

#[test]
fn name_mtu_and_metadata_follow_the_annotations() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause
        .call("prestart")
        .eni("interface-name", "eth12")
        .eni("mtu", "1500")
        .eni("block-instance-metadata", "false")
        .on(&instance)
        .silently();
    let task = pause.netns();
    let eni = task.link("eth12").expect("the ENI");
    assert_eq!(eni["mtu"], 1500);
    assert!(
        !task.routes("4").iter().chain(&task.routes("6")).any(|route| route.contains("blackhole"))
    );
    pause.call("poststop").on(&instance).well();
    instance.assert_home();
}

#[test]
fn an_mtu_too_small_for_ipv6_serves_an_ipv4_task() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.call("prestart").eni("mtu", "1000").on(&instance).silently();
    assert_eq!(pause.netns().link("eth0").expect("the ENI")["mtu"], 1000);
}

#[test]
fn an_eni_that_stays_down_is_moved_and_nothing_else() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.call("prestart").eni("stay-down", "true").on(&instance).silently();
    let task = pause.netns();
    let eni = task.link("eth0").expect("the ENI");
    assert_eq!((&eni["operstate"], addresses(&eni).len()), (&json!("DOWN"), 0));
    assert_eq!(task.routes("4"), CREDENTIAL_ROUTES);
    assert_eq!(task.link("ecs-eth0").expect("the credential interface")["operstate"], "UP");
}

#[test]
fn bare_addresses_reach_a_gateway_that_is_on_the_link() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.call("prestart").eni("subnet-gateway-ipv4-address", "10.0.0.1").on(&instance).silently();
    let task = pause.netns();
    assert_eq!(addresses(&task.link("eth0").expect("the ENI")), ["10.0.0.5/32"]);
    assert_eq!(task.routes("4")[0], "default via 10.0.0.1 dev eth0 onlink");
}
