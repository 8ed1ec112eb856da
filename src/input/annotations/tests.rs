use super::*;
use crate::input::config::Config;

fn annotations(pairs: &[(&str, &str)]) -> Annotations {
    pairs.iter().map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned())).collect()
}

fn read(annotations: &Annotations) -> Result<Task> {
    task_of(annotations, &Config::default().eni)
}

fn task(pairs: &[(&str, &str)]) -> Task {
    read(&annotations(pairs)).expect("valid")
}

fn addresses(task: &Task) -> Vec<String> {
    task.addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn what_ecs_sends_is_understood() {
    let task = task(&[
        (MAC, "02:5a:a1:1a:43:42"),
        (IPV4, "10.0.0.5,10.0.0.6"),
        (IPV6, "2001:db8::5"),
        (GATEWAY_V4, "10.0.0.1/24"),
    ]);
    assert_eq!(addresses(&task), ["10.0.0.5/24", "10.0.0.6/24", "2001:db8::5/64"]);
    assert_eq!(
        task.gateways,
        [Gateway { address: "10.0.0.1".parse().expect("ip"), on_link: false }]
    );
    assert_eq!(task.interface.as_str(), "eth0");
    assert!(task.wants_router_advertisements());
    assert!(task.block_metadata && !task.stay_down && task.mtu.is_none());
}

#[test]
fn options_are_read() {
    let task = task(&[
        (MAC, "02:5a:a1:1a:43:42"),
        (IPV6, "2001:db8::5/56"),
        (GATEWAY_V6, "fe80::1"),
        (NAME, "eth12"),
        (MTU, "1500"),
        (BLOCK_METADATA, "false"),
        (STAY_DOWN, "true"),
        (TRUNK, "02:5a:a1:1a:43:01"),
        (VLAN, "101"),
    ]);
    assert_eq!(addresses(&task), ["2001:db8::5/56"]);
    assert!(!task.wants_router_advertisements());
    assert_eq!((task.interface.as_str(), task.mtu), ("eth12", Some(1500)));
    assert!(!task.block_metadata && task.stay_down);
    let branch = task.branch.expect("a branch");
    assert_eq!(branch.to_string(), "VLAN 101 of trunk 02:5a:a1:1a:43:01");
}

#[test]
fn a_bare_gateway_is_on_the_link_where_no_prefix_says_so() {
    let on_link = |address, gateway| {
        task(&[(MAC, "02:5a:a1:1a:43:42"), (IPV4, address), (GATEWAY_V4, gateway)]).gateways[0]
            .on_link
    };
    assert!(on_link("10.0.0.5", "10.0.0.1"));
    assert!(!on_link("10.0.0.5/24", "10.0.0.1"));
    assert!(!on_link("10.0.0.5/24", "10.0.0.1/24"));
}

#[test]
fn a_gateway_with_a_prefix_gives_it_to_bare_addresses() {
    for (gateway, [bare, other]) in [
        ("2001:db8::1/56", ["2001:db8::5/56", "2001:db8::6/48"]),
        ("2001:db8::1", ["2001:db8::5/64", "2001:db8::6/48"]),
        ("fe80::1/72", ["2001:db8::5/72", "2001:db8::6/48"]),
        ("fe80::1", ["2001:db8::5/64", "2001:db8::6/48"]),
    ] {
        let (mac, six) = ((MAC, "02:5a:a1:1a:43:42"), (IPV6, "2001:db8::5,2001:db8::6/48"));
        let task = task(&[mac, six, (GATEWAY_V6, gateway)]);
        assert_eq!(addresses(&task), [bare, other], "{gateway}");
        let address = gateway.split('/').next().expect("text").parse().expect("an address");
        assert_eq!(task.gateways, [Gateway { address, on_link: false }]);
    }
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn bad_values_name_the_key_and_the_value() {
    let good = [(MAC, "02:5a:a1:1a:43:42"), (IPV4, "10.0.0.5"), (GATEWAY_V4, "10.0.0.1/24")];
    for (key, value) in [
        (MAC, "02:5a"),
        (MAC, "ff:ff:ff:ff:ff:ff"),
        (IPV4, ""),
        (IPV4, "10.0.0.5,"),
        (IPV4, "10.0.0.5,10.0.0.5"),
        (IPV4, "10.0.0.5/24,10.0.0.5/25"),
        (IPV4, "10.0.0.300"),
        (IPV4, "10.0.0.5/33"),
        (IPV4, "10.0.0.5/0"),
        (IPV4, "10.0.0.255/24"),
        (IPV4, "127.0.0.1"),
        (IPV4, "169.254.172.9"),
        (IPV4, "224.0.0.1"),
        (IPV4, "0.0.0.0"),
        (IPV4, "10.0.1.5"),
        (IPV4, "10.0.0.1"),
        (IPV4, "2001:db8::1"),
        (IPV6, "::"),
        (IPV6, "fe80::1"),
        (IPV6, "ff02::1"),
        (IPV6, "2001:db8::1/129"),
        (IPV6, "2001:db8::1,2001:db8:0::1"),
        (GATEWAY_V4, "10.0.1.1/24"),
        (GATEWAY_V4, "10.0.0.0/24"),
        (GATEWAY_V4, "gateway"),
        (GATEWAY_V6, "2001:db8::1"),
        (NAME, "sixteen-bytes-xx"),
        (NAME, "a/b"),
        (NAME, ""),
        (NAME, "lo"),
        (NAME, "ecs-eth0"),
        (MTU, "67"),
        (MTU, "65536"),
        (MTU, "-1"),
        (MTU, "+9001"),
        (MTU, "9001 "),
        (BLOCK_METADATA, "yes"),
        (STAY_DOWN, ""),
        (VLAN, "101"),
        (VLAN, "0"),
        (VLAN, "4095"),
        (VLAN, "eth2"),
        (TRUNK, "02:5a:a1:1a:43:01"),
        (TRUNK, "02:5a:a1:1a:43:42"),
        (TRUNK, "02:5a"),
    ] {
        let mut bad = annotations(&good);
        bad.insert(format!("{PREFIX}{key}"), value.to_owned());
        let line = read(&bad).expect_err(value).line();
        let named =
            [key, GATEWAY_V4].iter().any(|key| line.contains(&format!("{PREFIX}{key} is \"")));
        assert!(named && line.contains(value), "{key}={value:?}: {line}");
    }
}

#[test]
fn what_is_missing_or_unknown_is_named() {
    for (pairs, named) in [
        (&[(IPV4, "10.0.0.5/24")][..], "mac-address is missing"),
        (&[(MAC, "02:5a:a1:1a:43:42")][..], "the task needs an address"),
        (&[(MAC, "02:5a:a1:1a:43:42"), ("mac", "x")][..], "eni.mac is not known"),
        (
            &[(MAC, "02:5a:a1:1a:43:42"), (IPV4, "10.0.0.5/24"), (GATEWAY_V6, "fe80::1")][..],
            "no IPv6 addresses",
        ),
        (
            &[(MAC, "02:5a:a1:1a:43:42"), (IPV6, "2001:db8::1"), (GATEWAY_V4, "10.0.0.1")][..],
            "no IPv4 addresses",
        ),
        (
            &[(MAC, "02:5a:a1:1a:43:42"), (IPV6, "2001:db8::1"), (GATEWAY_V6, "2001:db9::1")][..],
            "neither link-local",
        ),
        (
            &[(MAC, "02:5a:a1:1a:43:42"), (IPV6, "2001:db8::5"), (GATEWAY_V6, "2001:db8::1/128")][..],
            "neither link-local",
        ),
        (
            &[
                (MAC, "02:5a:a1:1a:43:42"),
                (IPV6, "2001:db8::5/64"),
                (GATEWAY_V6, "2001:db8::1/126"),
            ],
            "neither link-local",
        ),
        (
            &[(MAC, "02:5a:a1:1a:43:42"), (IPV6, "2001:db8::5"), (GATEWAY_V6, "fe80::1/10")][..],
            "/10 is not the prefix of a subnet",
        ),
        (
            &[(MAC, "02:5a:a1:1a:43:42"), (IPV6, "2001:db8::5"), (GATEWAY_V6, "2001:db8::1/0")][..],
            "/0 is not the prefix of a subnet",
        ),
        (&[(MAC, "02:5a:a1:1a:43:42"), (IPV6, "2001:db8::1"), (MTU, "1000")][..], "1280"),
    ] {
        let line = read(&annotations(pairs)).expect_err(named).line();
        assert!(line.contains(named), "{line}");
    }
}
