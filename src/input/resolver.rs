//! An engine's `resolv.conf` (resolv.conf(5)) for a container: whether somebody chose what is in it, or it is a copy of
//! the instance's, as Docker makes where nobody says anything.

use crate::input::bundle::{read_file, read_linked_file};
use serde::Deserialize;
use std::{collections::BTreeSet, net::IpAddr, path::Path};

/// Where the instance's own is, for its programs and, behind systemd-resolved, the one that engines copy.
const INSTANCES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// What Docker asks where the instance asks no other machine (`defaultIPv4NSs`, libnetwork's `resolvconf.go`).
const DOCKERS: [&str; 4] = ["8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"];

/// Docker's own note of how a container was to be made, which is beside its files.
const HOST_CONFIG: &str = "hostconfig.json";

/// What `--dns`, `--dns-search` and `--dns-option` said.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HostConfig {
    dns: Option<Vec<String>>,
    dns_search: Option<Vec<String>>,
    dns_options: Option<Vec<String>>,
}

/// Whether the engine's file at `path`, whose text this is, names a name server that somebody chose for the container.
#[must_use]
pub fn is_chosen(path: &Path, text: &str) -> bool {
    let servers = servers(text);
    let own = INSTANCES.map(|path| read_linked_file(Path::new(path))).concat();
    !servers.is_empty() && (!are_copied(&servers, &self::servers(&own)) || was_told(path))
}

/// Whether an engine's name servers are what it makes of the instance's: it leaves some of them out.
fn are_copied(servers: &BTreeSet<String>, instances: &BTreeSet<String>) -> bool {
    let is_local = |server: &String| server.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if instances.iter().all(is_local) {
        let is_default = |server: &String| DOCKERS.contains(&server.as_str());
        return servers.iter().all(is_default)
            && DOCKERS[..2].iter().all(|it| servers.contains(*it));
    }
    servers.is_subset(instances)
}

/// Whether Docker was told something about this file. Of an engine that leaves no such note, nothing is known.
fn was_told(path: &Path) -> bool {
    let note = read_file(&path.with_file_name(HOST_CONFIG));
    let HostConfig { dns, dns_search, dns_options } =
        serde_json::from_str(&note).unwrap_or_default();
    [dns, dns_search, dns_options].into_iter().flatten().any(|words| !words.is_empty())
}

/// The name servers that a file names, each written in one way.
fn servers(resolv_conf: &str) -> BTreeSet<String> {
    let server = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let word = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        Some(word.parse().map_or_else(|_| word.to_owned(), |ip: IpAddr| ip.to_string()))
    };
    resolv_conf.lines().filter_map(server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn name_servers_are_read() {
        let found = servers("search x\n nameserver 10.0.0.2 # a\nnameserver FD00:0::2\n");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["10.0.0.2", "fd00::2"]);
        for none in ["", "#nameserver 10.0.0.2", "nameserver", "nameservers 10.0.0.2"] {
            assert!(servers(none).is_empty() && !is_chosen(Path::new("/none"), none), "{none}");
        }
    }

    #[test]
    fn a_copy_is_told_by_its_servers() {
        let lines =
            |words: &str| -> BTreeSet<String> { words.split(' ').map(str::to_owned).collect() };
        let google = "8.8.8.8 8.8.4.4";
        for (servers, instances, copied) in [
            ("10.0.0.2", "10.0.0.2", true),
            ("10.0.0.2", "127.0.0.53 10.0.0.2 fd00::2", true),
            ("10.0.0.3", "10.0.0.2", false),
            ("10.0.0.2 10.0.0.3", "10.0.0.2", false),
            (google, "127.0.0.53", true),
            (google, "10.0.0.2", false),
            ("8.8.8.8", "127.0.0.53", false),
            ("127.0.0.53", "127.0.0.53", false),
        ] {
            let case = format!("{servers} of {instances}");
            assert_eq!(are_copied(&lines(servers), &lines(instances)), copied, "{case}");
        }
        assert!(are_copied(&lines(google), &BTreeSet::new()));
    }

    #[test]
    fn what_docker_was_told_is_in_its_note() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("resolv.conf");
        assert!(!was_told(&path));
        for (note, told) in [
            (r#"{"Binds": null, "Dns": [], "DnsSearch": null}"#, false),
            (r#"{"Dns": ["10.0.0.2"]}"#, true),
            (r#"{"Dns": [], "DnsOptions": ["ndots:2"]}"#, true),
            (r#"{"DnsSearch": ["x"]}"#, true),
            (r#"{"Dns": 7}"#, false),
            ("", false),
        ] {
            fs::write(folder.path().join(HOST_CONFIG), note).expect("written");
            assert_eq!(was_told(&path), told, "{note}");
        }
    }
}
