//! The instance's side: its nftables rules, and what else has rules there. Read with `nft`.

mod firewalls;
mod mend;
mod program;
mod rules;
mod switches;
mod teardown;

use crate::fixtures::{Instance, Netns};

/// All rules of all, without what counters count; and without the records of tasks, which are no rules.
fn ruleset(instance: &Instance) -> String {
    let records = "/^table inet oci_awsvpc_tasks/,/^}/d";
    instance.netns.run(&format!("nft --stateless list ruleset | sed '{records}'"))
}

/// The names of our chains, as `family name`.
pub fn chains(netns: &Netns) -> Vec<String> {
    let listed = netns.json("nft --json list chains");
    let all = listed["nftables"].as_array().expect("a list").iter();
    let chains = all.filter_map(|item| item.get("chain"));
    let ours = chains.filter(|chain| chain["table"] == "oci_awsvpc");
    let word = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    ours.map(|chain| format!("{} {}", word(&chain["family"]), word(&chain["name"]))).collect()
}

/// Rules that are not ours: a firewall's, on every hook.
const FOREIGN: &str = "nft -f - <<.\n\
    table inet firewall {\n\
        set blocked { type ipv4_addr; elements = { 192.0.2.1 } }\n\
        chain input {\n\
            type filter hook input priority 10;\n\
            ip saddr @blocked drop\n\
        }\n\
    }\n\
    table bridge filter {\n\
        chain forward { type filter hook forward priority -200; ether type 0x88b5 drop; }\n\
    }\n\
    table ip nat {\n\
        chain postrouting { type nat hook postrouting priority 100; oifname eth0 masquerade; }\n\
    }\n.";
