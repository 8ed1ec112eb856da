//! Policy routing rules: dump, delete, add again.

use super::{Answer, Netlink};
use crate::rule::Rule;
use ipnetwork::IpNetwork;
use rtnetlink::packet_core::{Emitable, Parseable};
use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    rule::{RuleAttribute, RuleMessage},
};
use std::net::IpAddr;

impl Netlink {
    /// The rules of both families.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn rules(&self) -> Answer<Vec<Rule>> {
        let mut rules = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RuleMessage::default();
            request.header.family = family;
            for message in self.dump(RouteNetlinkMessage::GetRule(request)).await? {
                match message {
                    // A kernel without the family answers for all that it has.
                    RouteNetlinkMessage::NewRule(rule) if rule.header.family == family => {
                        rules.push(Rule::from(&rule));
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
    pub async fn delete_rule(&self, rule: &Rule) -> Answer<()> {
        Ok(self.handle.rule().del(message_of(rule)).execute().await?)
    }

    /// Adds a rule that was there before.
    ///
    /// # Errors
    /// The kernel's; EEXIST where it is there.
    pub async fn add_rule(&self, rule: &Rule) -> Answer<()> {
        let mut request = self.handle.rule().add();
        *request.message_mut() = message_of(rule);
        Ok(request.execute().await?)
    }
}

/// What [`Rule::from`] wrote, it can read.
fn message_of(rule: &Rule) -> RuleMessage {
    RuleMessage::parse(&rule.message).unwrap_or_default()
}

impl From<&RuleMessage> for Rule {
    fn from(message: &RuleMessage) -> Self {
        let network = |ip: IpAddr, prefix| IpNetwork::new(ip, prefix).ok();
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        let mut rule = Self { from: None, to: None, interfaces: Vec::new(), message: bytes };
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
}
