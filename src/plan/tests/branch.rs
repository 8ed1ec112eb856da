//! Branch ENIs.

use super::*;
use crate::plan::text::part;

const TRUNK: &str = "02:5a:a1:1a:43:01";

fn branch() -> Branch {
    let trunk = TRUNK.parse().expect("a MAC");
    Branch { trunk, vlan: "101".parse().expect("a VLAN") }
}

fn branch_task() -> Task {
    Task { branch: Some(branch()), ..task() }
}

/// An instance with a trunk where the ENI is in other tests.
fn with_trunk() -> Snapshot {
    let mut snapshot = fresh();
    snapshot.instance.links[2] = link(3, "eth1", TRUNK);
    snapshot
}

fn vlan_on_trunk(index: u32, name: &str, mac: &str) -> Link {
    let (kind, vlan) = (Some("vlan".to_owned()), Some(branch().vlan));
    Link { kind, vlan, peer: Some(3), ..link(index, name, mac) }
}

/// The bridge, and a port with this label.
fn port_of(label: &Label) -> [Link; 2] {
    let (kind, alias) = (Some("veth".to_owned()), Some(label.to_string()));
    let bridge = Some("bridge".to_owned());
    let bridge = Link { kind: bridge, up: true, ..link(4, "ecs-bridge", "0a:58:a9:fe:ac:01") };
    let port = link(9, "ecsa9feac77", "de:ad:00:00:00:77");
    [bridge, Link { kind, alias, controller: Some(4), ..port }]
}

#[test]
fn a_branch_is_created_on_its_trunk() {
    let plan = plan_for(&branch_task(), &with_trunk()).expect("a plan");
    let steps = steps(&plan);
    let own: Vec<&str> = steps.iter().map(String::as_str).filter(|s| !s.contains("ecs")).collect();
    assert_eq!(
        own[..11],
        [
            "recording that ENI 02:5a:a1:1a:43:42 is container abc's",
            "making sure that the bridge and the rules are still there",
            "switching on lo in the task",
            "adding route blackhole 169.254.169.254 in the task",
            "adding route blackhole fd00:ec2::254 in the task",
            "installing nftables rules that block packets in the task",
            "switching on eth1 on the instance",
            "creating branch ENI 02:5a:a1:1a:43:42, VLAN 101 of trunk 02:5a:a1:1a:43:01, in the task \
             as eth0, mtu 9001",
            "labelling eth0 in the task",
            "installing nftables rules that block frames on eth0 in the task",
            "setting accept_ra of eth0 in the task to 0",
        ]
    );
    assert_eq!((plan.label.name.as_str(), plan.label.branch), ("eth1", Some(branch())));

    let mut up = with_trunk();
    up.instance.links[2].up = true;
    let plan = plan_for(&branch_task(), &up).expect("a plan");
    assert!(!plan.steps.iter().any(|step| matches!(
        step,
        Step::SetUp { side: Side::Instance, .. } | Step::MoveIn { .. }
    )));
}

#[test]
fn a_branch_that_is_in_the_task_is_left_alone() {
    let first = plan_for(&branch_task(), &with_trunk()).expect("a plan");
    let mut after = done(&first);
    after.instance.links.push(link(3, "eth1", TRUNK));
    *after.task.links.last_mut().expect("the ENI") =
        Link { alias: Some(first.label.to_string()), up: true, ..vlan_on_trunk(3, "eth0", ENI) };
    let second = plan_for(&branch_task(), &after).expect("a plan");
    let made = |step: &&Step| ["branch", "label", "up", "mac"].contains(&part(step));
    assert_eq!(second.steps.iter().find(made), None);
    assert_eq!(second.label, first.label);

    let other =
        Task { branch: Some(Branch { vlan: "7".parse().expect("one"), ..branch() }), ..task() };
    let error = plan_for(&other, &after).expect_err("another VLAN");
    assert!(error.line().contains("not what the annotations ask for"), "{}", error.line());
}

#[test]
fn a_leftover_of_ours_is_replaced_and_a_strangers_is_not() {
    let mut snapshot = with_trunk();
    snapshot.instance.links.push(vlan_on_trunk(7, "eth1.101", TRUNK));
    let error = plan_for(&branch_task(), &snapshot).expect_err("a stranger's");
    assert!(
        error.line().contains("eth1.101 on the instance has VLAN 101 of eth1 already"),
        "{}",
        error.line()
    );
    let label = plan_for(&branch_task(), &with_trunk()).expect("a plan").label;
    snapshot.instance.links[3].alias = Some(label.to_string());
    let plan = plan_for(&branch_task(), &snapshot).expect("a plan");
    assert!(plan.steps.contains(&Step::DeleteLeftover { index: 7, branch: branch() }));
    // Another trunk's VLAN of the same number is none of our business.
    snapshot.instance.links[3] = Link { peer: Some(2), ..snapshot.instance.links[3].clone() };
    let plan = plan_for(&branch_task(), &snapshot).expect("a plan");
    assert!(!plan.steps.iter().any(|step| part(step) == "leftover"));
}

#[test]
fn a_branch_that_a_task_holds_is_refused() {
    let label = plan_for(&branch_task(), &with_trunk()).expect("a plan").label;
    for held in [
        Label { container: "other".to_owned(), netns: elsewhere(), ..label.clone() },
        Label {
            netns: elsewhere(),
            eni: "02:00:00:00:00:55".parse().expect("a MAC"),
            ..label.clone()
        },
        Label { netns: elsewhere(), branch: None, ..label },
    ] {
        let mut snapshot = with_trunk();
        snapshot.instance.links.extend(port_of(&held));
        let error = plan_for(&branch_task(), &snapshot).expect_err("held");
        assert!(error.line().contains("is in use by the task of"), "{}", error.line());
    }
}

#[test]
fn a_trunk_is_nobodys_own_eni() {
    let task = Task { mac: TRUNK.parse().expect("a MAC"), ..task() };
    let label = plan_for(&branch_task(), &with_trunk()).expect("a plan").label;
    let mut used = with_trunk();
    used.instance.links.extend(port_of(&Label { netns: elsewhere(), ..label }));
    let mut on_instance = with_trunk();
    on_instance.instance.links.push(vlan_on_trunk(7, "eth1.101", "02:00:00:00:00:55"));
    for snapshot in [used, on_instance] {
        let error = plan_for(&task, &snapshot).expect_err("a trunk");
        assert!(error.line().contains("eth1 (02:5a:a1:1a:43:01) is a trunk"), "{}", error.line());
    }
    assert!(plan_for(&task, &with_trunk()).is_ok());
}

#[test]
fn what_a_trunk_cannot_carry_is_refused() {
    type Spoil = fn(&mut Snapshot, &mut Task);
    let cases: [(Spoil, &str); 5] = [
        (|_, task| task.mtu = Some(9002), "mtu 9002 is not possible on a branch of eth1"),
        (|snapshot, _| snapshot.instance.links[2].ethernet = false, "cannot be a trunk"),
        (
            |snapshot, _| snapshot.instance.links.push(link(8, "eth2", ENI)),
            "eth2 on the instance has the",
        ),
        (|snapshot, _| snapshot.instance.links.push(link(8, "eth2", TRUNK)), "eth1, eth2"),
        (
            |snapshot, _| drop(snapshot.instance.links.remove(2)),
            "no trunk ENI 02:5a:a1:1a:43:01 on the instance",
        ),
    ];
    for (spoil, named) in cases {
        let (mut snapshot, mut task) = (with_trunk(), branch_task());
        spoil(&mut snapshot, &mut task);
        let error = plan_for(&task, &snapshot).expect_err(named);
        assert!(error.line().contains(named), "{}", error.line());
    }
}
