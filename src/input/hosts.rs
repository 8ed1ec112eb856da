//! A hosts file (hosts(5)) that an engine wrote for a container, as far as it can be read.

use crate::task::names::{Host, HostName};

/// The hosts that a file names. Lines without an address, and words that are no names, say nothing.
#[must_use]
pub fn parse(text: &str) -> Vec<Host> {
    let host = |line: &str| {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        let names: Vec<HostName> = words.filter_map(|word| word.parse().ok()).collect();
        (!names.is_empty()).then_some(Host { address, names })
    };
    text.lines().filter_map(host).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_is_read() {
        let hosts = parse(
            "# a comment\n10.0.0.9\tdb db.internal # the database\n\n127.0.0.1 ID\nfe80::1%eth0 x\n\
             10.0.0.8\nweb 10.0.0.7\n::1 localhost é\r\n",
        );
        let shown: Vec<String> =
            hosts.iter().map(|host| format!("{} {}", host.address, host.names.len())).collect();
        assert_eq!(shown, ["10.0.0.9 2", "127.0.0.1 1", "::1 1"]);
    }
}
