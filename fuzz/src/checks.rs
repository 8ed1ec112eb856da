//! What must hold whatever comes in: one function for each parser, which panics where it does not.
//! The fuzz targets call them with what a fuzzer makes up, `tests/corpus.rs` with what is kept in
//! the corpus, and `tests/properties` with what looks more like the real thing.

// To panic is what they are for.
#![allow(clippy::missing_panics_doc)]

use ipnetwork::IpNetwork;
use oci_awsvpc_hook::testing::{
    Annotations, CREDENTIAL_INTERFACE, Config, Container, CredentialNetwork, Detect, Error,
    InterfaceName, Label, Lease, Mention, PREFIX, Task, task_of,
};
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

/// The container's state on stdin.
pub fn state(bytes: &[u8]) {
    match Container::parse(bytes) {
        Ok(container) => {
            let id = &container.id;
            let plain = |c: char| c.is_ascii_alphanumeric() || "_+.-".contains(c);
            assert!((1..=255).contains(&id.len()) && id.chars().all(plain), "{id:?}");
            assert!(id != "." && id != "..", "an id that is a folder");
        }
        Err(error) => one_line(&error),
    }
}

/// The annotations as a JSON object of strings; anything else is no input to speak of.
pub fn annotations(bytes: &[u8]) {
    let Ok(annotations) = serde_json::from_slice::<Annotations>(bytes) else {
        return;
    };
    let Config { eni, detect, .. } = Config::default();
    not_a_stranger(bytes, &annotations, &detect);
    match task_of(&annotations, &eni) {
        Ok(task) => {
            sound(&task);
            let again = task_of(&annotations_of(&task), &eni);
            assert_eq!(again.expect("written by us"), task, "written and read");
        }
        Err(error) => one_line(&error),
    }
}

/// However the annotations of a container of ours are written, it is not taken for one that has nothing to do with us.
fn not_a_stranger(bytes: &[u8], annotations: &Annotations, detect: &Detect) {
    let mut mention = Mention::new(detect);
    bytes.chunks(100).for_each(|chunk| mention.search(chunk));
    let speaks = annotations.keys().any(|key| key.starts_with(PREFIX))
        || annotations.get(&detect.annotation) == Some(&detect.value);
    assert!(mention.is_found() || !speaks, "{annotations:?} in {bytes:?}");
}

/// What stands in the alias of a link.
pub fn alias(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(label) = Label::parse(&text) {
        assert_eq!(label.to_string(), text, "read and written");
        assert!(label.container.chars().all(|c| !c.is_control() && c != ' '), "{label:?}");
        name_is_sound(&label.name);
    }
}

/// The text of a configuration.
pub fn config(bytes: &[u8]) {
    match Config::parse(&String::from_utf8_lossy(bytes)) {
        Ok(config) => {
            let credentials = &config.credentials;
            name_is_sound(&credentials.bridge);
            let first = Lease::candidates(credentials.subnet, credentials.gateway, "an-id").next();
            if let Some(lease) = first {
                leads_somewhere(credentials, lease);
            }
            let seconds = [
                config.deadline_seconds,
                config.eni.attach_timeout_seconds,
                config.eni.link_up_timeout_seconds,
                config.eni.return_timeout_seconds,
                config.eni.router_timeout_seconds,
            ];
            for time in seconds.map(std::time::Duration::from_secs) {
                assert!(Instant::now().checked_add(time).is_some(), "{time:?} never ends");
            }
        }
        Err(error) => one_line(&error),
    }
}

/// The runtime shows an error to the user, and syslog keeps it: it must not be able to forge
/// another line, nor to speak to a terminal.
pub fn one_line(error: &Error) {
    let line = error.line();
    assert!(!line.is_empty() && !line.chars().any(char::is_control), "{line:?}");
}

/// Whether the kernel can do what an accepted task wants.
pub fn sound(task: &Task) {
    name_is_sound(&task.interface);
    let name = task.interface.as_str();
    assert!(name != "lo" && name != CREDENTIAL_INTERFACE, "{name} is taken in every task");
    let own: HashSet<IpAddr> = task.addresses.iter().map(IpNetwork::ip).collect();
    assert!(!own.is_empty() && own.len() == task.addresses.len(), "none, or one twice: {task:?}");
    let least = if task.has_ipv6() { 1280 } else { 68 };
    assert!(task.mtu.is_none_or(|mtu| (least..=65535).contains(&mtu)), "{task:?}");

    let families: Vec<bool> =
        task.gateways.iter().map(|gateway| gateway.address.is_ipv4()).collect();
    assert!(matches!(families[..], [] | [_] | [true, false]), "{task:?}");
    for gateway in &task.gateways {
        let mut family =
            task.addresses.iter().filter(|own| own.is_ipv4() == gateway.address.is_ipv4());
        let primary = family.next().expect("a gateway of a family without addresses");
        assert!(!own.contains(&gateway.address), "its own gateway: {task:?}");
        assert!(!gateway.on_link || primary.prefix() == 32, "{task:?}");
        // What fib_check_nh refuses: "Nexthop has invalid gateway".
        let broadcast =
            primary.is_ipv4() && primary.prefix() < 31 && gateway.address == primary.broadcast();
        assert!(!broadcast, "a gateway that is everybody: {task:?}");
    }
}

/// The annotations that ask for exactly this task.
#[must_use]
pub fn annotations_of(task: &Task) -> Annotations {
    let list = |v4: bool| {
        let family = task.addresses.iter().filter(|address| address.is_ipv4() == v4);
        let texts: Vec<String> = family.map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| texts.join(","))
    };
    let gateway = |v4: bool| {
        let family = |address: IpAddr| address.is_ipv4() == v4;
        let gateway = task.gateways.iter().find(|gateway| family(gateway.address));
        gateway.map(|gateway| gateway.address.to_string())
    };
    let all = [
        ("mac-address", Some(task.mac.to_string())),
        ("ipv4-addresses", list(true)),
        ("ipv6-addresses", list(false)),
        ("subnet-gateway-ipv4-address", gateway(true)),
        ("subnet-gateway-ipv6-address", gateway(false)),
        ("interface-name", Some(task.interface.to_string())),
        ("mtu", task.mtu.map(|mtu| mtu.to_string())),
        ("block-instance-metadata", Some(task.block_metadata.to_string())),
        ("stay-down", Some(task.stay_down.to_string())),
        ("trunk-mac-address", task.branch.map(|branch| branch.trunk.to_string())),
        ("vlan-id", task.branch.map(|branch| branch.vlan.to_string())),
    ];
    all.into_iter().filter_map(|(key, value)| Some((format!("{PREFIX}{key}"), value?))).collect()
}

fn name_is_sound(name: &InterfaceName) {
    let name = name.as_str();
    let literal = |c: char| c.is_ascii_graphic() && !"/:%".contains(c);
    assert!((1..=15).contains(&name.len()) && name.chars().all(literal), "{name:?}");
}

/// A lease under an accepted configuration: it is nobody else's address, and what follows from it
/// is in the subnets too.
fn leads_somewhere(credentials: &CredentialNetwork, lease: Lease) {
    let CredentialNetwork { subnet, gateway, endpoint, .. } = *credentials;
    let others: [Ipv4Addr; 4] = [subnet.network(), subnet.broadcast(), gateway, endpoint];
    assert!(!others.contains(&lease.address()), "{lease} of {credentials:?}");
    for address in credentials.addresses(lease).into_iter().chain(credentials.gateways()) {
        assert!(credentials.lease_of(address).is_some(), "{address} is outside of {credentials:?}");
    }
    assert_eq!(
        credentials.addresses(lease).len(),
        1 + usize::from(credentials.ipv6_subnet.is_some()),
        "{credentials:?}"
    );
}
