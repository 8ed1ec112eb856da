//! What a task finds in its namespace, and the instance on itself, after `prestart`.

use crate::fixtures::{ENI_MAC, Instance, Netns, Pause};
use serde_json::{Value, json};

/// The addresses of a link: `10.0.0.5/24`, without the kernel's own link-local ones.
fn addresses(link: &Value) -> Vec<String> {
    let all = link["addr_info"].as_array().expect("a list").iter();
    all.filter(|address| address["scope"] != "link")
        .map(|address| {
            format!("{}/{}", address["local"].as_str().expect("text"), address["prefixlen"])
        })
        .collect()
}

fn sysctl(netns: &Netns, path: &str) -> String {
    let path = format!("/proc/sys/net/{path}");
    netns.within(|| std::fs::read_to_string(&path).expect(&path)).trim().to_owned()
}

const CREDENTIAL_ROUTES: [&str; 3] = [
    "blackhole 169.254.169.254",
    "169.254.170.2 via 169.254.172.1 dev ecs-eth0",
    "169.254.172.1 dev ecs-eth0 scope link",
];

#[test]
fn an_ipv4_task_gets_what_the_contract_says() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.call("prestart").on(&instance).silently();

    let task = pause.netns();
    assert_eq!(task.links(), ["lo", "ecs-eth0", "eth0"]);
    let eni = task.link("eth0").expect("the ENI");
    assert_eq!(
        (&eni["address"], &eni["mtu"], &eni["operstate"]),
        (&json!(ENI_MAC), &json!(9001), &json!("UP"))
    );
    assert_eq!(addresses(&eni), ["10.0.0.5/24"]);
    let lo = task.link("lo").expect("lo");
    assert!(lo["flags"].as_array().expect("a list").contains(&json!("UP")));

    let credentials = task.link("ecs-eth0").expect("the credential interface");
    let address = addresses(&credentials)[0].clone();
    let octets: Vec<u8> =
        address.trim_end_matches("/22").split('.').map(|o| o.parse().expect("an octet")).collect();
    let hex: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(credentials["address"], format!("0a:58:{}", hex.join(":")));
    assert_eq!((&credentials["mtu"], &credentials["operstate"]), (&json!(1500), &json!("UP")));
    assert_eq!(octets[..2], [169, 254]);
    assert!((172..=175).contains(&octets[2]));

    let routes = task.routes("4");
    let own = [
        "default via 10.0.0.1 dev eth0",
        "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.5",
    ];
    assert_eq!(routes, [&own[..], &CREDENTIAL_ROUTES].concat());
    assert_eq!(
        task.routes("6").first().map(String::as_str),
        Some("blackhole fd00:ec2::254 dev lo metric 1024")
    );
    assert_eq!(
        task.ip("neigh show nud permanent").trim(),
        "169.254.172.1 dev ecs-eth0 lladdr 0a:58:a9:fe:ac:01 PERMANENT"
    );

    let name = format!("ecs{}", hex.concat());
    assert_eq!(instance.ports(), std::slice::from_ref(&name));
    assert_eq!(instance.netns.links(), ["lo", "eth0", "ecs-bridge", &name]);
    let port = instance.netns.link(&name).expect("the port");
    let inode = std::fs::metadata(format!("/proc/{}/ns/net", pause.pid()))
        .map(|m| std::os::unix::fs::MetadataExt::ino(&m))
        .expect("an inode");
    assert_eq!(
        port["ifalias"],
        format!("awsvpc container={} eni={ENI_MAC} name=eth1 mtu=9001 netns={inode}", pause.id)
    );
    assert_eq!(eni["ifalias"], port["ifalias"]);
    let flags = &port["linkinfo"]["info_slave_data"];
    for (flag, value) in [
        ("isolated", true),
        ("locked", true),
        ("learning", false),
        ("flood", false),
        ("mcast_flood", false),
    ] {
        assert_eq!(flags[flag], value, "{flag} in {flags}");
    }
    let fdb = instance.netns.run("bridge fdb show br ecs-bridge");
    let entry = format!("0a:58:{} dev {name} master ecs-bridge static", hex.join(":"));
    assert!(fdb.contains(&entry), "{fdb}");
    assert_eq!(
        instance.netns.ip("neigh show nud permanent").trim(),
        format!(
            "{} dev ecs-bridge lladdr 0a:58:{} PERMANENT",
            address.trim_end_matches("/22"),
            hex.join(":")
        )
    );
    let bridge = instance.netns.link("ecs-bridge").expect("the bridge");
    assert_eq!(
        (&bridge["address"], &bridge["mtu"], &bridge["operstate"]),
        (&json!("0a:58:a9:fe:ac:01"), &json!(1500), &json!("UP"))
    );
    assert_eq!(addresses(&bridge), ["169.254.172.1/22"]);
}

#[test]
fn create_runtime_is_the_same_as_prestart() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.call("createRuntime").on(&instance).silently();
    assert_eq!(pause.netns().links(), ["lo", "ecs-eth0", "eth0"]);
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
    assert_eq!(addresses(&eni), ["10.0.0.5/24", "10.0.0.6/24", "2001:db8::6/64", "2001:db8::5/64"]);
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
fn an_ipv6_task_without_a_gateway_accepts_router_advertisements() {
    let (instance, pause) = (Instance::new(), Pause::new());
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

    crate::fixtures::eventually("a default route by router advertisement", || {
        crate::traffic::advertise_router(&instance.router, "eni");
        task.routes("6").iter().any(|route| {
            route.starts_with("default via fe80::") && route.contains("dev eth0 proto ra")
        })
    });
}

#[test]
fn an_ipv4_task_ignores_router_advertisements() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.call("prestart").on(&instance).silently();
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
fn the_host_decides_on_the_metadata_service_where_the_annotations_do_not() {
    let (instance, pause, folder) =
        (Instance::new(), Pause::new(), tempfile::tempdir().expect("a folder"));
    let open = "[eni]\nblock-instance-metadata = false\n";
    pause.call("prestart").config(&folder, open).on(&instance).silently();
    assert!(!pause.netns().routes("4").contains(&CREDENTIAL_ROUTES[0].to_owned()));
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

#[test]
fn a_second_call_changes_nothing() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let both = |stage| {
        pause
            .call(stage)
            .eni("ipv6-addresses", "2001:db8::5")
            .eni("subnet-gateway-ipv6-address", "fe80::1")
    };
    both("prestart").on(&instance).silently();
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    both("createRuntime").on(&instance).silently();
    both("prestart").on(&instance).silently();
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
}

#[test]
fn what_a_killed_hook_left_is_completed() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.call("prestart").on(&instance).silently();
    let complete = (instance.netns.snapshot(), pause.netns().snapshot());
    // As if the hook had been killed right after it made the veth, with the ENI still at home.
    let task = pause.netns();
    let name = instance.ports()[0].clone();
    task.ip(&format!("link set eth0 name eth1 netns {}", instance.netns.path().display()));
    instance.netns.ip("link set eth1 alias ''");
    instance.netns.ip(&format!("link set {name} down alias ''"));
    instance
        .netns
        .run(&format!("bridge link set dev {name} isolated off locked off learning on flood on"));
    task.ip("route flush dev ecs-eth0");
    task.ip("route del blackhole 169.254.169.254");
    pause.call("prestart").on(&instance).silently();
    instance.netns.assert_same(&complete.0);
    assert_eq!(task.routes("4").len(), 5);
}

#[test]
fn a_bridge_that_is_there_is_adopted_with_its_mac_address() {
    let (instance, pause) = (Instance::new(), Pause::new());
    instance.netns.ip("link add ecs-bridge type bridge");
    let mac = instance.netns.link("ecs-bridge").expect("the bridge")["address"].clone();
    pause.call("prestart").on(&instance).silently();
    let bridge = instance.netns.link("ecs-bridge").expect("the bridge");
    assert_eq!(bridge["address"], mac);
    let flags = bridge["flags"].as_array().expect("a list");
    assert!(flags.contains(&json!("UP")) && !flags.contains(&json!("NO-CARRIER")), "{bridge}");
    assert_eq!(addresses(&bridge), ["169.254.172.1/22"]);
    let neighbour = pause.netns().ip("neigh show nud permanent");
    assert!(neighbour.contains(mac.as_str().expect("text")), "{neighbour}");
}

#[test]
fn a_mac_address_that_another_port_learned_is_bound_to_its_own() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.call("prestart").on(&instance).silently();
    let mac = pause.netns().link("ecs-eth0").expect("the credential interface")["address"].clone();
    pause.call("poststop").on(&instance).well();
    instance.netns.ip("link add flat0 master ecs-bridge type veth peer name far0");
    instance.netns.ip("link set flat0 up");
    let mac = mac.as_str().expect("text");
    instance.netns.run(&format!("bridge fdb add {mac} dev flat0 master static"));
    let again = Pause::new();
    again.call("prestart").id(&pause.id).on(&instance).silently();
    let credentials = crate::fixtures::Server::agent(&instance.netns, "credentials");
    assert_eq!(credentials.ask_from(&again.netns()).as_deref(), Some("credentials"));
}

#[test]
fn the_same_container_gets_the_same_address_again() {
    let (instance, pause, again) = (Instance::new(), Pause::new(), Pause::new());
    pause.call("prestart").on(&instance).silently();
    let first = instance.ports();
    pause.call("poststop").on(&instance).well();
    again.call("prestart").id(&pause.id).on(&instance).silently();
    assert_eq!(instance.ports(), first);
}

#[test]
fn a_configured_credential_path_is_built() {
    let (instance, pause, folder) =
        (Instance::new(), Pause::new(), tempfile::tempdir().expect("a folder"));
    let config = "[credentials]\nbridge = \"cred0\"\nsubnet = \"10.99.0.0/29\"\ngateway = \"10.99.0.6\"\n\
        endpoint = \"10.98.0.1\"\nipv6-subnet = \"fd00:ec::/64\"\nmtu = 1400\nisolation = false\n";
    pause.call("prestart").config(&folder, config).on(&instance).silently();
    let task = pause.netns();
    let credentials = task.link("ecs-eth0").expect("the credential interface");
    let address = addresses(&credentials);
    assert!(address[0].starts_with("10.99.0.") && address[0].ends_with("/29"), "{address:?}");
    let host = &address[0]["10.99.0.".len()..address[0].len() - 3];
    assert_eq!(address[1], format!("fd00:ec::{host}/64"));
    assert_eq!(credentials["mtu"], 1400);
    assert!(task.routes("4").contains(&"10.98.0.1 via 10.99.0.6 dev ecs-eth0".to_owned()));
    assert!(
        task.routes("6").contains(&"fd00:ec::6 dev ecs-eth0 metric 1024".to_owned()),
        "{:?}",
        task.routes("6")
    );
    let bridge = instance.netns.link("cred0").expect("the bridge");
    assert_eq!(addresses(&bridge), ["10.99.0.6/29", "fd00:ec::6/64"]);
    let port = instance.netns.json("bridge -j -d link show");
    assert_eq!((&port[0]["isolated"], &port[0]["learning"]), (&json!(false), &json!(true)));
    pause.call("poststop").config(&folder, config).on(&instance).well();
    assert_eq!(instance.netns.ip("neigh show nud permanent"), "");
}
