//! The values of annotations about names. They are written into files of the task.

use crate::{
    input::config::dns::{check_search, check_servers},
    task::names::{Host, HostName},
};
use std::net::IpAddr;

/// How many other hosts an annotation may name.
const MAX_HOSTS: usize = 256;

fn list<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let item = |item: &str| parse(item.trim()).map_err(|why| format!("{item:?}: {why}"));
    text.split(',').map(item).collect()
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "not an address".to_owned())
}

pub(super) fn servers(text: &str) -> Result<Vec<IpAddr>, String> {
    let servers = list(text, address)?;
    check_servers(&servers)?;
    Ok(servers)
}

pub(super) fn search(text: &str) -> Result<Vec<HostName>, String> {
    let search = list(text, str::parse)?;
    check_search(&search)?;
    Ok(search)
}

/// `name:address`, as Docker's and podman's `--add-host`.
pub(super) fn extra_hosts(text: &str) -> Result<Vec<Host>, String> {
    let hosts = list(text, |pair| {
        let (name, at) = pair.split_once(':').ok_or("not name:address")?;
        let at = address(at)?;
        if at.is_unspecified() || at.is_multicast() {
            return Err("no host has that address".to_owned());
        }
        Ok(Host { address: at, names: vec![name.parse()?] })
    })?;
    match hosts.len() {
        0..=MAX_HOSTS => Ok(hosts),
        many => Err(format!("{many} are more than {MAX_HOSTS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_into_files_is_one_word_each() {
        assert_eq!(servers("10.0.0.2, fd00:ec2::253").expect("two").len(), 2);
        assert_eq!(search("a.internal,b").expect("two").len(), 2);
        let hosts = extra_hosts("db:10.0.0.9,v6.internal:2001:db8::9").expect("two");
        assert_eq!(hosts[1].address.to_string(), "2001:db8::9");
        for bad in [
            "",
            ",",
            "10.0.0.2,",
            "10.0.0.2\nsearch x",
            "10.0.0.2 1.1.1.1",
            "name",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "10.0.0.2,10.0.0.2",
            "10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4",
            "10.0.0.2#53",
            "::ffff:0.0.0.0%eth0",
        ] {
            assert!(servers(bad).is_err(), "{bad:?}");
        }
        let long = vec!["a".repeat(60); 5].join(",");
        for bad in ["", "a,,b", "a b", "a\nnameserver 1.1.1.1", "a,a", "a,b,c,d,e,f,g", &long, "."]
        {
            assert!(search(bad).is_err(), "{bad:?}");
        }
        let many = vec!["a:10.0.0.1"; 257].join(",");
        for bad in ["", "db", "db:", ":10.0.0.9", "db:10.0.0.9:1", "d b:10.0.0.9", "db:::", &many] {
            assert!(extra_hosts(bad).is_err(), "{bad:?}");
        }
    }
}
