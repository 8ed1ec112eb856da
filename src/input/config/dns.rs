//! `[dns]`: what tasks are told of names, where their annotations say nothing.

use crate::{
    error::{Result, refuse},
    task::names::{HostName, Policy},
};
use serde::Deserialize;
use std::{collections::HashSet, hash::Hash, net::IpAddr};

/// What resolvers read of `resolv.conf`: three name servers (`MAXNS`, resolv.h) and, before glibc 2.26, a search list
/// of six domains and 256 characters (`MAXDNSRCH`, resolv.conf(5)).
const MAX_SERVERS: usize = 3;
const MAX_DOMAINS: usize = 6;
const MAX_SEARCH: usize = 256;
const MAX_OPTIONS: usize = 16;

/// `[dns]`: the files by which programs know names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Dns {
    /// Name servers; empty: the VPC's own.
    pub servers: Vec<IpAddr>,
    /// Where names without a dot are searched.
    pub search: Vec<HostName>,
    /// Options as in resolv.conf(5).
    pub options: Vec<String>,
    /// Which files containers get.
    pub files: Policy,
}

impl Dns {
    pub(super) fn check(&self) -> Result<()> {
        let named = |key: &str, outcome: Result<(), String>| {
            outcome.or_else(|why| refuse(format!("dns.{key}: {why}")))
        };
        named("servers", check_servers(&self.servers))?;
        named("search", check_search(&self.search))?;
        let is_option = |option: &String| {
            let (name, value) = option.split_once(':').unwrap_or((option, "0"));
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            let number =
                (1..=3).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
            (1..=32).contains(&name.len()) && name.bytes().all(plain) && number
        };
        match self.options.iter().find(|option| !is_option(option)) {
            Some(option) => refuse(format!("dns.options {option:?}: must be like \"ndots:2\"")),
            None if self.options.len() > MAX_OPTIONS => {
                refuse(format!("dns.options: more than {MAX_OPTIONS}"))
            }
            None => Ok(()),
        }
    }
}

/// Whether a resolver can use all of these.
pub fn check_servers(servers: &[IpAddr]) -> Result<(), String> {
    let is_nobody = |server: &&IpAddr| {
        let link_local = matches!(server, IpAddr::V6(six) if six.is_unicast_link_local());
        let broadcast = matches!(server, IpAddr::V4(four) if four.is_broadcast());
        link_local || broadcast || server.is_unspecified() || server.is_multicast()
    };
    if let Some(server) = servers.iter().find(is_nobody) {
        return Err(format!("{server}: no name server has that address"));
    }
    if servers.len() > MAX_SERVERS {
        return Err(format!("resolvers ask at most {MAX_SERVERS} servers"));
    }
    check_unique(servers)
}

/// Whether a resolver reads all of these.
pub fn check_search(search: &[HostName]) -> Result<(), String> {
    let length = search.iter().map(|domain| domain.as_str().len() + 1).sum::<usize>();
    if search.len() > MAX_DOMAINS || length > MAX_SEARCH {
        return Err(format!(
            "resolvers read at most {MAX_DOMAINS} domains of {MAX_SEARCH} characters together"
        ));
    }
    check_unique(search)
}

fn check_unique<T: Eq + Hash + std::fmt::Display>(all: &[T]) -> Result<(), String> {
    let mut seen = HashSet::new();
    match all.iter().find(|one| !seen.insert(*one)) {
        Some(twice) => Err(format!("{twice} is there twice")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_resolvers_do_not_read_is_refused() {
        let check = |text: &str| {
            let dns = toml::from_str::<Dns>(text).map_err(|error| error.to_string())?;
            dns.check().map_err(|error| error.line())
        };
        for good in [
            "",
            "servers = [\"10.0.0.2\", \"fd00:ec2::253\", \"127.0.0.1\"]",
            "search = [\"a.internal\", \"b\"]\noptions = [\"ndots:2\", \"rotate\", \"timeout:1\"]",
            "files = \"never\"",
        ] {
            check(good).expect(good);
        }
        for bad in [
            "servers = [\"10.0.0.2\", \"10.0.0.2\"]",
            "servers = [\"0.0.0.0\"]",
            "servers = [\"a\"]",
            "search = [\"a b\"]",
            "search = [\"a\\nb\"]",
            "options = [\"ndots:2 rotate\"]",
            "options = [\"rotate\\nnameserver 1.1.1.1\"]",
            "options = [\"ndots:\"]",
            "options = [\"\"]",
            "files = \"yes\"",
            "server = []",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
