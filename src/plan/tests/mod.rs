mod branch;
mod ipv6;
mod refusals;

use super::*;
use crate::{
    input::config::Config,
    net::link::Link,
    net::{netns_id::NetnsId, process::Process},
    snapshot::view::{InstanceSnapshot, TaskSnapshot},
    task::{RouterPatience, branch::Branch, label::port_mac},
    testing,
};

const ENI: &str = "02:5a:a1:1a:43:42";
/// The namespace and the first process of the container that asks.
const NETNS: NetnsId = NetnsId { inode: 4_026_532_177, cookie: Some(41) };
const PAUSE: Process = Process { pid: 4711, started: 123 };

/// Another namespace.
fn elsewhere() -> NetnsId {
    "1".parse().expect("a namespace")
}

fn link(index: u32, name: &str, mac: &str) -> Link {
    Link { mac: mac.parse().ok(), ..testing::link(index, name) }
}

/// An instance with its own interface and one ENI, and a namespace with nothing in it.
fn fresh() -> Snapshot {
    let lo = Link { loopback: true, ethernet: false, ..link(1, "lo", "") };
    Snapshot {
        instance: InstanceSnapshot {
            links: vec![lo.clone(), link(2, "eth0", "02:00:00:00:00:01"), link(3, "eth1", ENI)],
            uplinks: [2].into(),
            policy_rules: Vec::new(),
            addresses: Vec::new(),
            has_nftables: true,
            has_ipv6: true,
        },
        task: TaskSnapshot { links: vec![lo], addresses: Vec::new(), is_blocked: false },
        records: Vec::new(),
        taken: BTreeSet::new(),
    }
}

/// The same after the plan was carried out.
fn done(plan: &Plan) -> Snapshot {
    let mut after = fresh();
    let lease = plan.lease;
    let alias = Some(plan.label.to_string());
    after.instance.links.retain(|link| link.name != "eth1");
    after.instance.links.push(Link {
        kind: Some("bridge".to_owned()),
        up: true,
        ..link(4, "ecs-bridge", "0a:58:a9:fe:ac:01")
    });
    let name = lease.link_name();
    let kind = Some("veth".to_owned());
    let port = Link { kind, controller: Some(4), ..link(5, name.as_str(), "") };
    let port = Link { mac: Some(port_mac("abc")), ..port };
    after.records.push(Record {
        label: plan.label.clone(),
        lease,
        bridge: "ecs-bridge".parse().expect("a name"),
    });
    after.instance.links.push(Link { alias: alias.clone(), up: true, peer: Some(2), ..port });
    after.task.links[0].up = true;
    let credentials = link(2, "ecs-eth0", &lease.mac().to_string());
    after.task.links.push(Link { up: true, peer: Some(5), ..credentials });
    after.task.links.push(Link { up: true, alias, ..link(3, "eth0", ENI) });
    after
}

fn task() -> Task {
    Task {
        mac: ENI.parse().expect("a MAC"),
        branch: None,
        addresses: vec!["10.0.0.5/24".parse().expect("an address")],
        gateways: vec![crate::task::Gateway {
            address: "10.0.0.1".parse().expect("an address"),
            on_link: false,
        }],
        interface: "eth0".parse().expect("a name"),
        mtu: None,
        block_metadata: true,
        block: Vec::new(),
        stay_down: false,
        router: Config::default().eni.router_patience(),
    }
}

fn plan_for(task: &Task, snapshot: &Snapshot) -> Result<Plan> {
    let credentials = &Config::default().credentials;
    let ruleset = &Ruleset::of_instance(credentials, &Config::default().host);
    plan(
        &Request { container: "abc", netns: NETNS, pause: PAUSE, task, credentials },
        ruleset,
        snapshot,
    )
}

fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}

#[test]
fn a_first_plan_does_everything_in_the_order_that_can_be_healed() {
    let plan = plan_for(&task(), &fresh()).expect("a plan");
    let (veth, address) = (plan.lease.link_name(), plan.lease);
    let mac = plan.lease.mac();
    assert_eq!(
        steps(&plan),
        [
            "recording that ENI 02:5a:a1:1a:43:42 is container abc's".to_owned(),
            "making sure that the bridge and the rules are still there".to_owned(),
            "creating bridge ecs-bridge with 0a:58:a9:fe:ac:01, mtu 1500".to_owned(),
            "adding 169.254.172.1/22 to ecs-bridge on the instance".to_owned(),
            "setting route_localnet of ecs-bridge on the instance to 1".to_owned(),
            format!(
                "creating veth {veth} on ecs-bridge with ecs-eth0 ({mac}, mtu 1500) in the task"
            ),
            format!("switching on port {veth}, isolated"),
            format!("binding {mac} to port {veth}"),
            format!("adding neighbour {address} at {mac} to ecs-bridge on the instance"),
            "switching on lo in the task".to_owned(),
            format!("adding {address}/22 to ecs-eth0 in the task"),
            "switching on ecs-eth0 in the task".to_owned(),
            "adding route 169.254.172.1 dev ecs-eth0 scope link in the task".to_owned(),
            "adding neighbour 169.254.172.1 at 0a:58:a9:fe:ac:01 to ecs-eth0 in the task"
                .to_owned(),
            "adding route 169.254.170.2 via 169.254.172.1 dev ecs-eth0 in the task".to_owned(),
            "adding route blackhole 169.254.169.254 in the task".to_owned(),
            "adding route blackhole fd00:ec2::254 in the task".to_owned(),
            "installing nftables rules that block packets in the task".to_owned(),
            "moving ENI 02:5a:a1:1a:43:42 (eth1) into the task as eth0".to_owned(),
            "installing nftables rules that block frames on eth0 in the task".to_owned(),
            "setting accept_ra of eth0 in the task to 0".to_owned(),
            "adding 10.0.0.5/24 to eth0 in the task".to_owned(),
            "switching on eth0 in the task".to_owned(),
            "adding route default via 10.0.0.1 dev eth0 in the task".to_owned(),
            format!("waiting for {veth} on the instance to be operationally up"),
            "waiting for ecs-bridge on the instance to be operationally up".to_owned(),
            "waiting for ecs-eth0 in the task to be operationally up".to_owned(),
            "waiting for eth0 in the task to be operationally up".to_owned(),
        ]
    );
}

#[test]
fn the_instance_has_its_rules_before_it_has_the_bridge() {
    let mut snapshot = fresh();
    snapshot.instance.has_nftables = false;
    let plan = plan_for(&task(), &snapshot).expect("a plan");
    assert_eq!(
        steps(&plan)[2..4],
        [
            "installing nftables rules on the instance",
            "creating bridge ecs-bridge with 0a:58:a9:fe:ac:01, mtu 1500"
        ]
    );
}

#[test]
fn a_second_plan_creates_moves_and_switches_nothing() {
    let first = plan_for(&task(), &fresh()).expect("a plan");
    let second = plan_for(&task(), &done(&first)).expect("a plan");
    assert_eq!((second.lease, &second.label), (first.lease, &first.label));
    let idle = |step: &Step| {
        matches!(
            step,
            Step::AddAddress { .. }
                | Step::CheckHost { .. }
                | Step::AddFdbEntry { .. }
                | Step::AddNeighbour { .. }
                | Step::AddRoute { .. }
                | Step::BlockPackets { .. }
                | Step::BlockFrames { .. }
                | Step::SetOption { .. }
                | Step::AwaitRunning { .. }
        )
    };
    assert!(second.steps.iter().all(idle), "{:#?}", steps(&second));
}

#[test]
fn a_veth_without_a_label_is_recognised_by_its_far_end() {
    let first = plan_for(&task(), &fresh()).expect("a plan");
    let mut halfway = done(&first);
    halfway.instance.links.last_mut().expect("the port").alias = None;
    halfway.task.links.pop();
    halfway.instance.links.push(link(3, "eth1", ENI));
    let plan = plan_for(&task(), &halfway).expect("a plan");
    assert_eq!(plan.lease, first.lease);
    let made = |part| plan.steps.iter().filter(|step| text::part(step) == part).count();
    assert_eq!((made("veth"), made("port"), made("move")), (0, 1, 1));

    // Another namespace's far end, by chance of the same index, is not ours.
    halfway.instance.links[3].peer = Some(9);
    let error = plan_for(&task(), &halfway).expect_err("a stranger's");
    assert!(error.line().contains("that this hook did not make"), "{}", error.line());
}

#[test]
fn the_lease_is_the_first_that_nobody_holds() {
    let credentials = Config::default().credentials;
    let order: Vec<Lease> =
        Lease::candidates(credentials.subnet, credentials.gateway, "abc").take(3).collect();
    let mut snapshot = fresh();
    assert_eq!(plan_for(&task(), &snapshot).expect("a plan").lease, order[0]);
    snapshot.instance.links.push(link(7, order[0].link_name().as_str(), "de:ad:00:00:00:02"));
    assert_eq!(plan_for(&task(), &snapshot).expect("a plan").lease, order[1]);
    snapshot.taken.extend([order[0], order[1]]);
    assert_eq!(plan_for(&task(), &snapshot).expect("a plan").lease, order[2]);
}

#[test]
fn an_eni_that_came_home_by_itself_keeps_its_old_name_and_mtu() {
    let mut snapshot = fresh();
    let first = plan_for(&task(), &snapshot).expect("a plan");
    let came = Link { alias: Some(first.label.to_string()), mtu: 1500, ..link(9, "dev3", ENI) };
    snapshot.instance.links[2] = came;
    let plan = plan_for(&task(), &snapshot).expect("a plan");
    assert_eq!((plan.label.name.as_str(), plan.label.mtu), ("eth1", 9001));
    assert!(
        steps(&plan).contains(&format!("moving ENI {ENI} (eth1) into the task as eth0, mtu 9001"))
    );
    // A label with another ENI's address or an impossible MTU is forged: what is shown counts.
    for forged in [
        first.label.to_string().replace(ENI, "02:00:00:00:00:99"),
        first.label.to_string().replace("9001", "65535"),
    ] {
        snapshot.instance.links[2].alias = Some(forged);
        let plan = plan_for(&task(), &snapshot).expect("a plan");
        assert_eq!((plan.label.name.as_str(), plan.label.mtu), ("dev3", 1500));
    }
}

#[test]
fn an_eni_is_known_by_its_permanent_address() {
    let mut snapshot = fresh();
    snapshot.instance.links[2].permanent_mac = snapshot.instance.links[2].mac;
    snapshot.instance.links[2].mac = "02:00:00:00:00:55".parse().ok();
    let plan = plan_for(&task(), &snapshot).expect("a plan");
    assert!(steps(&plan).contains(&format!("setting {ENI} on eth0 in the task")));
    // And not by one that it only pretends to have.
    snapshot.instance.links[2].mac = snapshot.instance.links[2].permanent_mac;
    snapshot.instance.links[2].permanent_mac = "02:00:00:00:00:55".parse().ok();
    let error = plan_for(&task(), &snapshot).expect_err("another");
    assert!(error.line().contains("02:00:00:00:00:55 (eth1)"), "{}", error.line());
}

#[test]
fn an_adopted_bridge_keeps_its_mac_address_for_good() {
    let mut snapshot = fresh();
    let kind = Some("bridge".to_owned());
    snapshot.instance.links.push(Link { kind, ..link(4, "ecs-bridge", "16:00:00:00:00:01") });
    let plan = plan_for(&task(), &snapshot).expect("a plan");
    let steps = steps(&plan);
    assert_eq!(
        steps[2..4],
        [
            "setting 16:00:00:00:00:01 on ecs-bridge on the instance",
            "switching on ecs-bridge on the instance"
        ]
    );
    let neighbour = "adding neighbour 169.254.172.1 at 16:00:00:00:00:01 to ecs-eth0 in the task";
    assert!(steps.iter().any(|step| step == neighbour), "{steps:#?}");
}

#[test]
fn what_is_no_longer_blocked_is_so_last() {
    let open = Task { block_metadata: false, ..task() };
    let is_about_it = |step: &String| step.contains("169.254.169.254") || step.contains("block");
    let plan = plan_for(&open, &fresh()).expect("a plan");
    assert!(!steps(&plan).iter().any(is_about_it), "{:#?}", steps(&plan));
    let mut blocked = fresh();
    blocked.task.is_blocked = true;
    let all = steps(&plan_for(&open, &blocked).expect("a plan"));
    let (all, last) = all.split_at(all.len() - 3);
    assert_eq!(
        last,
        [
            "deleting route blackhole 169.254.169.254 in the task",
            "deleting route blackhole fd00:ec2::254 in the task",
            "removing nftables rules in the task",
        ]
    );
    assert!(!all.iter().any(is_about_it), "{all:#?}");
    // What else is blocked stays so.
    let other = Task { block: vec!["169.254.169.123/32".parse().expect("one")], ..open };
    let all = steps(&plan_for(&other, &blocked).expect("a plan"));
    assert!(all.contains(&"adding route blackhole 169.254.169.123 in the task".to_owned()));
    assert_eq!(all.last(), Some(&"deleting route blackhole fd00:ec2::254 in the task".to_owned()));
}
