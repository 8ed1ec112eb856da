//! Policy routing rules: dump, delete, add again.

use crate::{
    kernel::{error::Answer, socket::Netlink},
    net::rule::Rule,
};
use ipnetwork::IpNetwork;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, Parseable};
use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    rule::{RuleAttribute, RuleMessage},
};
use std::net::IpAddr;

impl Netlink {
    /// The rules of both families.
    pub fn rules(&self) -> Answer<Vec<Rule>> {
        let mut rules = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RuleMessage::default();
            request.header.family = family;
            for raw in self.dump(&RouteNetlinkMessage::GetRule(request))? {
                match raw.decode() {
                    // A kernel without the family answers for all that it has.
                    Some(RouteNetlinkMessage::NewRule(rule)) if rule.header.family == family => {
                        rules.push(rule_of(&rule, raw.payload));
                    }
                    _ => {}
                }
            }
        }
        Ok(rules)
    }

    /// Deletes a rule.
    ///
    /// # Errors
    /// The kernel's; ENOENT where it is not there.
    pub fn delete_rule(&self, rule: &Rule) -> Answer<()> {
        self.change(&RouteNetlinkMessage::DelRule(message_of(rule)), 0)
    }

    /// Adds a rule that was there before.
    ///
    /// # Errors
    /// The kernel's; EEXIST where it is there.
    pub fn add_rule(&self, rule: &Rule) -> Answer<()> {
        let request = RouteNetlinkMessage::NewRule(message_of(rule));
        self.change(&request, NLM_F_CREATE | NLM_F_EXCL)
    }
}

/// The rule as a message again: it was decoded before.
fn message_of(rule: &Rule) -> RuleMessage {
    RuleMessage::parse(&rule.message).unwrap_or_default()
}

fn rule_of(message: &RuleMessage, bytes: Vec<u8>) -> Rule {
    let network = |ip: IpAddr, prefix| IpNetwork::new(ip, prefix).ok();
    let mut rule = Rule { from: None, to: None, interfaces: Vec::new(), message: bytes };
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Source(ip) => rule.from = network(*ip, message.header.src_len),
            RuleAttribute::Destination(ip) => rule.to = network(*ip, message.header.dst_len),
            RuleAttribute::Iifname(name) | RuleAttribute::Oifname(name) => {
                rule.interfaces.push(name.clone());
            }
            _ => {}
        }
    }
    rule
}
