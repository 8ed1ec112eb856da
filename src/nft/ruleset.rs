//! The instance's nftables rules, as text. Pure.
//!
//! Two tables of our own, installed whole in one transaction, with nothing in them that depends on
//! which tasks are there: a task's veth name, MAC and IP address are one fixed mapping, so all that
//! there can be are listed once. A chain of the `inet` table is named for what all of it says, so
//! that looking for that chain tells whether these are the rules that the configuration wants.

use crate::{
    input::config::{credentials::CredentialNetwork, host::Host},
    net::name::InterfaceName,
    task::{hash::fnv1a, lease::Lease},
};
use std::fmt;

/// What both tables are called.
pub const TABLE: &str = "oci_awsvpc";

/// The families of our tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6: what enters the instance and what is routed.
    Inet,
    /// Ethernet frames on bridges.
    Bridge,
}

/// One chain, and how many rules are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The family of its table.
    pub family: Family,
    /// Its name.
    pub name: String,
    /// Where it is hooked in; empty: nowhere.
    hook: &'static str,
    rules: Vec<String>,
}

/// All that shall be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// Whether the bridge must let packets to loopback addresses in (`route_localnet`), where the
    /// redirect leads.
    pub leads_to_loopback: bool,
    chains: Vec<Chain>,
    credentials: CredentialNetwork,
}

impl Family {
    /// Its name in nft's language.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Bridge => "bridge",
        }
    }
}

impl Chain {
    fn new(family: Family, name: &str, hook: &'static str, rules: Vec<String>) -> Self {
        Self { family, name: name.to_owned(), hook, rules }
    }

    /// How many rules are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        if !self.hook.is_empty() {
            writeln!(f, "\t\ttype {}; policy accept;", self.hook)?;
        }
        self.rules.iter().try_for_each(|rule| writeln!(f, "\t\t{rule}"))?;
        f.write_str("\t}\n")
    }
}

impl Ruleset {
    /// The rules that a configuration asks for.
    #[must_use]
    pub fn new(credentials: &CredentialNetwork, host: &Host) -> Self {
        let mut chains = Vec::new();
        if host.redirect || host.filter || host.source_checks {
            chains.push(guard(credentials));
        }
        if host.redirect {
            chains.push(redirect(credentials, host));
        }
        if host.filter {
            chains.push(input(credentials, host));
            chains.push(forward(credentials));
        }
        if host.source_checks {
            chains.push(source(credentials));
        }
        if !chains.is_empty() {
            chains.push(Chain::new(Family::Inet, &version(&chains, credentials), "", Vec::new()));
        }
        let leads_to_loopback = host.redirect && host.agent.ip().is_loopback();
        Self { leads_to_loopback, chains, credentials: credentials.clone() }
    }

    /// The bridge that they are about.
    #[must_use]
    pub fn bridge(&self) -> &InterfaceName {
        &self.credentials.bridge
    }

    /// The chains that must be there.
    #[must_use]
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }
}

impl fmt::Display for Ruleset {
    /// The whole of it in nft's language: what was there of ours goes, and this comes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&removal())?;
        for family in [Family::Inet, Family::Bridge] {
            let mut chains = self.chains.iter().filter(|chain| chain.family == family).peekable();
            if chains.peek().is_none() {
                continue;
            }
            writeln!(f, "table {} {TABLE} {{", family.name())?;
            if family == Family::Bridge {
                write_leases(f, &self.credentials)?;
            }
            chains.try_for_each(|chain| write!(f, "{chain}"))?;
            f.write_str("}\n")?;
        }
        Ok(())
    }
}

/// Takes both tables away, whether they are there or not.
#[must_use]
pub fn removal() -> String {
    let remove = |family: Family| {
        let name = family.name();
        format!("table {name} {TABLE}\ndelete table {name} {TABLE}\n")
    };
    [Family::Inet, Family::Bridge].map(remove).concat()
}

fn version(chains: &[Chain], credentials: &CredentialNetwork) -> String {
    let rules: String = chains.iter().map(Chain::to_string).collect();
    let CredentialNetwork { subnet, gateway, ipv6_subnet, .. } = credentials;
    format!("version_{:016x}", fnv1a(&format!("{rules}{subnet}{gateway}{ipv6_subnet:?}")))
}

/// What the other chains do not have to think of.
///
/// A packet in a frame to one of a bridge's own groups (01:80:c2:00:00:0e and the like) comes in by
/// the port itself, past the bridge. And the redirect leads to a loopback address, so the bridge must
/// let packets to such in (`route_localnet`): none may come so addressed from a task.
fn guard(credentials: &CredentialNetwork) -> Chain {
    let bridge = &credentials.bridge;
    let loopback = |end: &str| format!("iifname \"{bridge}\" ip {end} 127.0.0.0/8 counter drop");
    let past_the_bridge = format!("iifname {} counter drop", ports(credentials));
    let rules = vec![past_the_bridge, loopback("daddr"), loopback("saddr")];
    Chain::new(Family::Inet, "guard", "filter hook prerouting priority -300", rules)
}

/// All that tasks' veths on the instance can be called.
fn ports(credentials: &CredentialNetwork) -> String {
    format!("\"{}*\"", Lease::common_prefix(credentials.subnet))
}

/// Before the chain of iptables (-100), where ecs-init may have put the same.
fn redirect(credentials: &CredentialNetwork, host: &Host) -> Chain {
    let (bridge, endpoint, agent) = (&credentials.bridge, credentials.endpoint, host.agent);
    let rule = format!("iifname \"{bridge}\" ip daddr {endpoint} tcp dport 80 dnat ip to {agent}");
    Chain::new(Family::Inet, "credentials", "nat hook prerouting priority -105", vec![rule])
}

/// What enters the instance. `accept` ends only this chain: other tables have their say.
fn input(credentials: &CredentialNetwork, host: &Host) -> Chain {
    let (bridge, endpoint, agent) = (&credentials.bridge, credentials.endpoint, host.agent);
    let mut rules = vec![format!("iifname != \"{bridge}\" accept")];
    // Not what is related, too: any task may send an ICMP error about anybody's connection.
    let answer = "ct direction reply ct state established accept";
    rules.push(format!("ip saddr {} {answer}", credentials.subnet));
    rules.extend(credentials.ipv6_subnet.map(|subnet| format!("ip6 saddr {subnet} {answer}")));
    rules.push(format!(
        "ip daddr {} tcp dport {} ct status dnat ct original ip daddr {endpoint} accept",
        agent.ip(),
        agent.port()
    ));
    if !host.open_tcp_ports.is_empty() {
        let ports: Vec<String> = host.open_tcp_ports.iter().map(u16::to_string).collect();
        for gateway in credentials.gateways() {
            let ip = if gateway.is_ipv4() { "ip" } else { "ip6" };
            rules.push(format!("{ip} daddr {gateway} tcp dport {{ {} }} accept", ports.join(", ")));
        }
    }
    rules.push("counter drop".to_owned());
    Chain::new(Family::Inet, "input", "filter hook input priority -5", rules)
}

/// What is routed from and to tasks: nothing. Frames between ports come by here too where the
/// instance filters bridged frames (`bridge-nf-call-iptables`), and without isolation those may pass.
fn forward(credentials: &CredentialNetwork) -> Chain {
    let bridge = &credentials.bridge;
    let mut rules = Vec::new();
    if !credentials.isolation {
        rules.push(format!("iifname \"{bridge}\" oifname \"{bridge}\" accept"));
    }
    rules.push(format!("iifname \"{bridge}\" counter drop"));
    rules.push(format!("oifname \"{bridge}\" counter drop"));
    Chain::new(Family::Inet, "forward", "filter hook forward priority -5", rules)
}

/// What a task's port takes. `ether type` looks at the frame, so a VLAN label is neither of these. Where
/// tasks are kept apart, there is nobody but the gateway to ask for: not which other addresses the
/// instance has.
fn source(credentials: &CredentialNetwork) -> Chain {
    let asked = if credentials.isolation {
        format!("arp daddr ip {} ", credentials.gateway)
    } else {
        String::new()
    };
    let mut rules = vec![
        format!("iifname != {} accept", ports(credentials)),
        "ether type ip iifname . ether saddr . ip saddr @leases accept".to_owned(),
        format!(
            "ether type arp iifname . ether saddr . arp saddr ip @leases \
             iifname . arp saddr ether . arp saddr ip @leases {asked}accept"
        ),
    ];
    if credentials.ipv6_subnet.is_some() {
        rules.push("ether type ip6 iifname . ether saddr . ip6 saddr @leases6 accept".to_owned());
    }
    rules.push("counter drop".to_owned());
    Chain::new(Family::Bridge, "source", "filter hook prerouting priority -300", rules)
}

/// Every lease that there can be: port, MAC address, IP address.
fn write_leases(f: &mut fmt::Formatter<'_>, credentials: &CredentialNetwork) -> fmt::Result {
    let sets = [("leases", "ipv4_addr", true), ("leases6", "ipv6_addr", false)];
    for (name, kind, is_v4) in sets {
        if !is_v4 && credentials.ipv6_subnet.is_none() {
            continue;
        }
        writeln!(f, "\tset {name} {{\n\t\ttype ifname . ether_addr . {kind}\n\t\telements = {{")?;
        for lease in Lease::all(credentials.subnet, credentials.gateway) {
            let (link, mac) = (lease.link_name(), lease.mac());
            let mut addresses = credentials.addresses(lease).into_iter();
            let address = addresses.find(|address| address.is_ipv4() == is_v4);
            address.map_or(Ok(()), |ip| writeln!(f, "\t\t\t{link} . {mac} . {ip},"))?;
        }
        f.write_str("\t\t}\n\t}\n")?;
    }
    Ok(())
}
