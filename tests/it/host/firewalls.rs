//! Beside the rules of other firewalls on the instance: of ecs-init, Docker and firewalld, and a hardened one.

use super::{FOREIGN, ruleset};
use crate::fixtures::{Instance, Pause, Server, hook, started};

/// The rules of ecs-init.
/// <https://github.com/aws/amazon-ecs-agent/blob/master/ecs-init/exec/iptables/iptables.go>
const ECS_INIT: &str = "
    $iptables -t nat -A PREROUTING -p tcp -d 169.254.170.2 --dport 80 -j DNAT --to-destination 127.0.0.1:51679
    $iptables -t filter -A INPUT --dst 127.0.0.0/8 ! --src 127.0.0.0/8 -m conntrack \
        ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
    $iptables -t filter -A INPUT -p tcp -i eth0 --dport 51678 -j DROP
    $iptables -t nat -A OUTPUT -p tcp -d 169.254.170.2 --dport 80 -j REDIRECT --to-ports 51679
    echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet";

/// What Docker makes for itself and for a published port.
const DOCKER: &str = "
    $iptables -t nat -N DOCKER
    $iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
    $iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
    $iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
    $iptables -N DOCKER-USER
    $iptables -P FORWARD DROP
    $iptables -A FORWARD -j DOCKER-USER
    $iptables -A DOCKER-USER -j RETURN
    echo 1 >/proc/sys/net/ipv4/ip_forward";

/// The shape of firewalld's default zone: what it does not know is rejected.
const FIREWALLD: &str = "nft -f - <<.
    table inet firewalld {
        chain filter_INPUT {
            type filter hook input priority filter + 10; policy accept;
            ct state { established, related } accept
            ct status dnat accept
            iifname lo accept
            ct state invalid drop
            tcp dport 22 accept
            reject with icmpx admin-prohibited
        }
        chain filter_FORWARD {
            type filter hook forward priority filter + 10; policy accept;
            ct state { established, related } accept
            ct status dnat accept
            reject with icmpx admin-prohibited
        }
    }\n.";

/// Sets rules of others, then ours: the task has its credentials, and theirs are as they were, then and
/// after we are gone.
fn works_beside(rules: &str, list: &str) {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    // The lock file of iptables, which only real root can make in its place.
    let lock = format!("export XTABLES_LOCKFILE={}/lock; set -e; ", folder.path().display());
    instance.netns.run(&format!("{lock}{rules}"));
    let theirs = || instance.netns.run(&format!("{lock}{list} | grep -v '^#'"));
    let before = theirs();
    assert!(before.lines().count() > 5, "{before}");

    pause.call("prestart").on(&instance).silently();
    let agent = Server::agent(&instance.netns, "credentials");
    assert_eq!(agent.ask_from(&pause.netns()).as_deref(), Some("credentials"), "{rules}");
    let ssh = Server::start(&instance.netns, "169.254.172.1:22", "ssh");
    assert_eq!(ssh.ask_from(&pause.netns()), None);
    assert_eq!(theirs(), before);

    pause.call("poststop").on(&instance).well();
    hook("host-teardown").on(&instance).report();
    assert_eq!(theirs(), before);
}

#[test]
fn ecs_init_and_docker_by_iptables_nft() {
    let save = "iptables-nft-save | sed 's/\\[.*//'";
    works_beside(&ECS_INIT.replace("$iptables", "iptables-nft"), save);
    works_beside(&(ECS_INIT.to_owned() + DOCKER).replace("$iptables", "iptables-nft"), save);
}

#[test]
fn ecs_init_and_docker_by_iptables_legacy() {
    let save = "iptables-legacy-save | sed 's/\\[.*//'";
    works_beside(&ECS_INIT.replace("$iptables", "iptables-legacy"), save);
    works_beside(&(ECS_INIT.to_owned() + DOCKER).replace("$iptables", "iptables-legacy"), save);
}

#[test]
fn firewalld() {
    works_beside(FIREWALLD, "nft --stateless list table inet firewalld");
}

#[test]
fn any_other_rules() {
    works_beside(FOREIGN, "nft --stateless list table inet firewall");
}

/// `accept` ends one table's say, `drop` everybody's: what a hardened instance drops stays dropped,
/// until it lets this in itself.
#[test]
fn a_policy_of_drop_wants_a_rule_of_its_own() {
    let (instance, pause) = (Instance::new(), Pause::new());
    instance.netns.run("iptables-nft -P INPUT DROP");
    pause.call("prestart").on(&instance).silently();
    let agent = Server::agent(&instance.netns, "credentials");
    assert_eq!(agent.ask_from(&pause.netns()), None);
    let security =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md"));
    let security = security.expect("docs/security.md");
    let advice =
        security.lines().find(|line| line.starts_with("iptables -I INPUT")).expect("advice");
    instance.netns.run(&advice.replace("iptables", "iptables-nft"));
    assert_eq!(agent.ask_from(&pause.netns()).as_deref(), Some("credentials"));
}

#[test]
fn a_firewall_that_flushes_everything_on_reload_is_healed() {
    let (instance, pause) = started();
    let ours = ruleset(&instance);
    instance.netns.run(&format!("nft flush ruleset; {FIREWALLD}"));
    let agent = Server::agent(&instance.netns, "credentials");
    assert_eq!(agent.ask_from(&pause.netns()), None);
    hook("gc").on(&instance).report();
    assert_eq!(agent.ask_from(&pause.netns()).as_deref(), Some("credentials"));
    assert!(ruleset(&instance).contains(ours.trim()));
}
