use super::*;
use crate::{snapshot::labels::looks_own, testing::link};
use std::slice::from_ref;

fn eni() -> Mac {
    "02:5a:a1:1a:43:42".parse().expect("a MAC")
}

fn label() -> Label {
    let text = "awsvpc container=abc eni=02:5a:a1:1a:43:42 name=eth1 mtu=9001 netns=7/1 pause=4@5";
    Label::parse(text).expect("a label")
}

fn hardware() -> Link {
    let device = Device::on("pci", "0000:00:06.0");
    Link { mac: Some(eni()), permanent_mac: Some(eni()), device, ..link(9, "eth0") }
}

#[allow(clippy::unnecessary_wraps)] // it is a field of a link
fn kind(kind: &str) -> Option<String> {
    Some(kind.to_owned())
}

fn port(label: &Label) -> Link {
    let alias = Some(label.to_string());
    let bridge = Some(4);
    Link { kind: kind("veth"), controller: bridge, alias, ..link(5, "ecsa9feac0c") }
}

#[test]
fn hardware_is_known_by_what_no_task_can_change() {
    let label = Label { device: hardware().device, ..label() };
    let other: Mac = "02:00:00:00:00:55".parse().expect("a MAC");
    let disguised = Link { mac: Some(other), alias: None, name: "wg0".to_owned(), ..hardware() };
    assert!(is_eni(&disguised, &label));
    // Before Linux 5.14 there is no bus address in a dump.
    assert!(is_eni(&Link { device: None, ..disguised.clone() }, &label));
    for other in [
        Link { device: Device::on("pci", "0000:00:07.0"), ..hardware() },
        Link { device: None, permanent_mac: Some(other), ..hardware() },
        Link { device: None, permanent_mac: None, ..hardware() },
        Link { kind: kind("veth"), device: None, permanent_mac: None, ..hardware() },
        Link { kind: kind("macvlan"), device: None, ..hardware() },
        Link { kind: kind("bridge"), device: None, permanent_mac: None, ..hardware() },
    ] {
        assert!(!is_eni(&other, &label), "{other:?}");
    }
    let links = [Link { kind: kind("bridge"), device: None, ..hardware() }, disguised.clone()];
    assert_eq!(find(&links, &label), Some(&disguised));
}

#[test]
fn a_veth_is_known_by_its_peer_in_another_namespace() {
    let label = Label { device: Some(Device::veth(17, 0)), ..label() };
    let veth = Link { kind: kind("veth"), peer: Some(17), peer_netns: Some(0), ..link(9, "x") };
    assert!(is_eni(&veth, &label));
    for other in [
        Link { peer: Some(18), ..veth.clone() },
        Link { peer_netns: None, ..veth.clone() },
        Link { peer_netns: Some(1), ..veth.clone() },
        Link { kind: kind("macvlan"), ..veth },
    ] {
        assert!(!is_eni(&other, &label), "{other:?}");
    }
    // Elsewhere, that namespace has another number, or none.
    let away = Link { peer_netns: Some(5), ..label_free(17) };
    assert!(is_eni_away(&away, &label, Some(5)));
    assert!(!is_eni_away(&away, &label, Some(0)) && !is_eni_away(&away, &label, None));
}

fn label_free(peer: u32) -> Link {
    Link { kind: kind("veth"), peer: Some(peer), ..link(9, "x") }
}

#[test]
fn a_branch_is_never_taken_for_an_eni() {
    let trunk = Branch { trunk: eni(), vlan: "5".parse().expect("a VLAN") };
    let label = Label { branch: Some(trunk), ..label() };
    assert!(!is_eni(&Link { vlan: "5".parse().ok(), kind: kind("vlan"), ..hardware() }, &label));
}

#[test]
fn hardware_goes_before_those_who_claim_its_address() {
    let claim = Link { mac: Some(eni()), kind: kind("veth"), ..link(3, "veth0") };
    let links = [claim.clone(), hardware()];
    assert_eq!(claimants(&links, eni()), [&hardware()]);
    assert_eq!(claimants(from_ref(&claim), eni()), [&claim]);
}

#[test]
fn a_port_is_a_veth_on_a_bridge_with_a_label() {
    let port = port(&label());
    let known = |other: &Link| labelled_ports(from_ref(other)).count();
    assert_eq!(known(&port), 1);
    for other in [
        Link { kind: None, ..port.clone() },
        Link { controller: None, ..port.clone() },
        Link { alias: None, ..port.clone() },
        Link { name: "eth7".to_owned(), ..port.clone() },
        Link {
            alternative_names: vec![port.name.clone()],
            name: "eth7".to_owned(),
            ..port.clone()
        },
    ] {
        assert_eq!(known(&other), 0, "{other:?}");
    }
    let bridge = Link { kind: kind("bridge"), ..link(4, "ecs-bridge") };
    let [record] = &records_of_ports(&[bridge, port.clone()])[..] else { panic!("one") };
    assert_eq!((record.bridge.as_str(), &record.label), ("ecs-bridge", &label()));
    assert_eq!(port_of(from_ref(&port), record), Some(&port));
    // Not yet labelled: then it is the container's if it was born as that.
    let born = Link { alias: None, mac: Some(port_mac("abc")), ..port.clone() };
    assert_eq!(port_of(from_ref(&born), record), Some(&born));
    for other in [
        Link { mac: Some(port_mac("abd")), ..born },
        Link { alias: Some(Label { container: "x".to_owned(), ..label() }.to_string()), ..port },
    ] {
        assert_eq!(port_of(from_ref(&other), record), None);
    }
}

#[test]
fn a_stray_is_labelled_as_what_it_is() {
    let stray = Link { alias: Some(label().to_string()), name: "dev3".to_owned(), ..hardware() };
    let found: Vec<_> = strays(from_ref(&stray)).collect();
    assert_eq!(found[0].1.name.as_str(), "eth1");
    assert_eq!(found[0].1.device, hardware().device);
    for other in [
        Link { alias: None, ..stray.clone() },
        Link { permanent_mac: "02:5a:a1:1a:43:43".parse().ok(), ..stray.clone() },
        Link { controller: Some(4), ..stray.clone() },
        Link { vlan: "5".parse().ok(), ..stray.clone() },
    ] {
        assert_eq!(strays(from_ref(&other)).count(), 0);
    }
    let greedy = Label { name: "wg0".parse().expect("a name"), ..label() };
    let stray = Link { alias: Some(greedy.to_string()), ..stray };
    assert_eq!(strays(from_ref(&stray)).next().expect("it").1.name.as_str(), "dev3");
}

#[test]
fn names_that_are_an_interfaces_own_look_so() {
    for own in ["eth1", "ens5", "enp0s6", "eno1", "enx025aa11a4342", "dev3"] {
        assert!(looks_own(own), "{own}");
    }
    for other in ["wg0", "ecs-bridge", "ecsa9feac0c", "eth", "docker0", "lo", "tun0", "br-en0"] {
        assert!(!looks_own(other), "{other}");
    }
}
