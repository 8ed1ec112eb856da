//! The path to the credentials: the interface in the task, its port on the bridge, and the bridge.

use super::{CREDENTIAL_ROUTES, addresses};
use crate::fixtures::{ENI_MAC, Instance, Pause, Server, started};
use serde_json::json;
use std::os::unix::fs::MetadataExt;

/// The link-local address of a task, which says what else is called on its path.
struct Address([u8; 4]);

impl Address {
    fn of(pause: &Pause) -> Self {
        let link = pause.netns().link("ecs-eth0").expect("the credential interface");
        let address = addresses(&link)[0].clone();
        let address: std::net::Ipv4Addr =
            address.strip_suffix("/22").expect("its prefix").parse().expect("an address");
        Self(address.octets())
    }

    fn text(&self) -> String {
        std::net::Ipv4Addr::from(self.0).to_string()
    }

    fn hex(&self, between: &str) -> String {
        self.0.map(|octet| format!("{octet:02x}")).join(between)
    }

    fn mac(&self) -> String {
        format!("0a:58:{}", self.hex(":"))
    }

    fn port(&self) -> String {
        format!("ecs{}", self.hex(""))
    }
}

#[test]
fn the_credential_interface_has_an_address_of_the_subnet_and_a_mac_address_made_of_it() {
    let (_instance, pause) = started();
    let address = Address::of(&pause);
    assert_eq!(address.0[..2], [169, 254]);
    assert!((172..=175).contains(&address.0[2]));
    let task = pause.netns();
    let credentials = task.link("ecs-eth0").expect("the credential interface");
    assert_eq!(credentials["address"], address.mac());
    assert_eq!((&credentials["mtu"], &credentials["operstate"]), (&json!(1500), &json!("UP")));
}

#[test]
fn a_task_and_the_bridge_have_permanent_neighbour_entries_for_each_other() {
    let (instance, pause) = started();
    let address = Address::of(&pause);
    assert_eq!(
        pause.netns().ip("neigh show nud permanent").trim(),
        "169.254.172.1 dev ecs-eth0 lladdr 0a:58:a9:fe:ac:01 PERMANENT"
    );
    assert_eq!(
        instance.netns.ip("neigh show nud permanent").trim(),
        format!("{} dev ecs-bridge lladdr {} PERMANENT", address.text(), address.mac())
    );
}

#[test]
fn the_port_of_a_task_is_isolated_and_bound_to_the_mac_address_of_the_task() {
    let (instance, pause) = started();
    let address = Address::of(&pause);
    let name = address.port();
    assert_eq!(instance.ports(), std::slice::from_ref(&name));
    assert_eq!(instance.netns.links(), ["lo", "eth0", "ecs-bridge", &name]);
    let port = instance.netns.link(&name).expect("the port");
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
    let entry = format!("{} dev {name} master ecs-bridge static", address.mac());
    assert!(fdb.contains(&entry), "{fdb}");
}

#[test]
fn the_label_on_the_port_and_on_the_eni_says_whose_they_are_and_what_the_eni_was() {
    let (instance, pause) = started();
    let port = instance.netns.link(&Address::of(&pause).port()).expect("the port");
    let eni = pause.netns().link("eth0").expect("the ENI");
    let netns = format!("/proc/{}/ns/net", pause.pid());
    let inode = std::fs::metadata(netns).expect("a living process").ino();
    let label = port["ifalias"].as_str().expect("a label");
    let begin =
        format!("awsvpc container={} eni={ENI_MAC} name=eth1 mtu=9001 netns={inode}", pause.id);
    assert!(label.starts_with(&begin), "{label}");
    assert!(label.contains(&format!(" pause={}@", pause.pid())), "{label}");
    assert_eq!(eni["ifalias"], label);
    // And the instance keeps it where no task can delete it.
    let records = instance.netns.run("nft list set inet oci_awsvpc_tasks tasks");
    let record = format!("{label} port={} bridge=ecs-bridge", Address::of(&pause).port());
    assert!(records.contains(&format!("{ENI_MAC} comment \"{record}\"")), "{records}");
}

#[test]
fn the_bridge_has_the_address_of_the_gateway_and_a_mac_address_made_of_it() {
    let (instance, _pause) = started();
    let bridge = instance.netns.link("ecs-bridge").expect("the bridge");
    assert_eq!(
        (&bridge["address"], &bridge["mtu"], &bridge["operstate"]),
        (&json!("0a:58:a9:fe:ac:01"), &json!(1500), &json!("UP"))
    );
    assert_eq!(addresses(&bridge), ["169.254.172.1/22"]);
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
    let entry = pause.netns().ip("neigh show nud permanent");
    assert!(entry.contains(mac.as_str().expect("text")), "{entry}");
}

#[test]
fn a_mac_address_that_another_port_learned_is_bound_to_its_own() {
    let (instance, pause) = started();
    let mac = pause.netns().link("ecs-eth0").expect("the credential interface")["address"].clone();
    pause.call("poststop").on(&instance).well();
    instance.netns.ip("link add flat0 master ecs-bridge type veth peer name far0");
    instance.netns.ip("link set flat0 up");
    let mac = mac.as_str().expect("text");
    instance.netns.run(&format!("bridge fdb add {mac} dev flat0 master static"));
    let again = Pause::new();
    again.call("prestart").id(&pause.id).on(&instance).silently();
    let credentials = Server::agent(&instance.netns, "credentials");
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
