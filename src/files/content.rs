//! What is in the files; pure.

use crate::{
    input::{config::dns::Dns, hosts::parse},
    task::names::{Host, HostName, Names},
};
use ipnetwork::IpNetwork;
use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The VPC's own resolver.
/// <https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html>
const RESOLVER_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);
const RESOLVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253);

/// What everybody calls the host itself.
const LOCAL: [&str; 3] = ["localhost", "ip6-localhost", "ip6-loopback"];

/// Who reads them shall know where they come from.
const HEAD: &str = "# oci-awsvpc-hook(1) made this file for the task.\n";

/// What is known of a task's names.
#[derive(Debug)]
pub struct Task<'a> {
    /// Its addresses; the first one is its own name's.
    pub addresses: &'a [IpNetwork],
    /// What its annotations say.
    pub names: &'a Names,
    /// What the configuration says.
    pub dns: &'a Dns,
    /// The pause container's own name, as its engine gave it.
    pub own: Option<&'a HostName>,
    /// The hosts that the engine has for it.
    pub engine_hosts: &'a [Host],
}

impl Task<'_> {
    /// Its name.
    #[must_use]
    pub fn hostname(&self) -> HostName {
        let given = self.names.hostname.as_ref().or(self.own).cloned();
        given.unwrap_or_else(|| HostName::of_address(self.address()))
    }

    /// `resolv.conf`.
    #[must_use]
    pub fn resolv_conf(&self) -> String {
        let given =
            [&self.names.servers, &self.dns.servers].into_iter().find(|all| !all.is_empty());
        let has_v4 = self.addresses.iter().any(IpNetwork::is_ipv4);
        let own = vec![if has_v4 { RESOLVER_V4.into() } else { RESOLVER_V6.into() }];
        let search = [&self.names.search, &self.dns.search].into_iter().find(|all| !all.is_empty());
        let mut text = HEAD.to_owned();
        if let Some(search) = search {
            line(&mut text, "search", search.iter().map(HostName::to_string));
        }
        for server in given.unwrap_or(&own) {
            line(&mut text, "nameserver", [server.to_string()]);
        }
        if !self.dns.options.is_empty() {
            line(&mut text, "options", self.dns.options.iter().cloned());
        }
        text
    }

    /// `hosts`.
    #[must_use]
    pub fn hosts(&self) -> String {
        let mut text = HEAD.to_owned();
        line(&mut text, "127.0.0.1", ["localhost".to_owned()]);
        if self.addresses.iter().any(IpNetwork::is_ipv6) {
            line(&mut text, "::1", LOCAL.map(str::to_owned));
        }
        line(&mut text, &self.address().to_string(), self.own_names());
        let others = self.engine_hosts.iter().filter_map(|host| self.other(host));
        for host in others.chain(self.names.extra_hosts.iter().cloned()) {
            line(&mut text, &host.address.to_string(), host.names.iter().map(HostName::to_string));
        }
        text
    }

    /// All by which its programs may ask for themselves: the kernel may have the engine's name for them.
    fn own_names(&self) -> Vec<String> {
        let name = self.hostname();
        let mut names = vec![name.to_string()];
        names.extend(name.short().map(str::to_owned));
        let own = self.own.filter(|own| !names.iter().any(|name| name == own.as_str()));
        names.extend(own.map(HostName::to_string));
        names
    }

    /// What an engine's line says of another host than this one.
    fn other(&self, host: &Host) -> Option<Host> {
        let own = self.own_names();
        let is_own = |name: &HostName| own.iter().any(|own| own == name.as_str());
        let is_local = |name: &HostName| LOCAL.contains(&name.as_str());
        // Beside its name, there is the one that the engine has for the container.
        if host.address.is_loopback() && host.names.iter().any(is_own) {
            return None;
        }
        let mut names = host.names.clone();
        names.retain(|name| !is_own(name) && !is_local(name));
        (!names.is_empty()).then_some(Host { address: host.address, names })
    }

    fn address(&self) -> IpAddr {
        self.addresses.first().map_or(Ipv4Addr::LOCALHOST.into(), IpNetwork::ip)
    }
}

/// A task's hosts with another name for the task, which is its application's own. `None`: it is there already.
#[must_use]
pub fn with_name(hosts: &str, own: &HostName) -> Option<String> {
    let known = parse(hosts);
    let task = known.iter().find(|host| !host.address.is_loopback())?;
    let is_known = known.iter().any(|host| host.names.contains(own));
    (!is_known).then(|| {
        let mut text = hosts.to_owned();
        line(&mut text, &task.address.to_string(), [own.to_string()]);
        text
    })
}

fn line(text: &mut String, first: &str, words: impl IntoIterator<Item = String>) {
    let words: Vec<String> = words.into_iter().collect();
    // To write into a text does not fail.
    writeln!(text, "{first} {}", words.join(" ")).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        addresses: Vec<IpNetwork>,
        names: Names,
        dns: Dns,
        own: Option<HostName>,
        engine_hosts: Vec<Host>,
    }

    fn case(addresses: &[&str]) -> Case {
        Case {
            addresses: addresses.iter().map(|text| text.parse().expect("an address")).collect(),
            names: Names::default(),
            dns: Dns::default(),
            own: None,
            engine_hosts: Vec::new(),
        }
    }

    impl Case {
        fn task(&self) -> Task<'_> {
            let Self { addresses, names, dns, own, engine_hosts } = self;
            Task { addresses, names, dns, own: own.as_ref(), engine_hosts }
        }
    }

    fn name(text: &str) -> HostName {
        text.parse().expect("a name")
    }

    /// A file without its first line.
    fn body(text: &str) -> Vec<&str> {
        assert!(text.starts_with(HEAD) && text.ends_with('\n'));
        text.lines().skip(1).collect()
    }

    #[test]
    fn without_a_word_it_is_the_vpcs_resolver() {
        for (addresses, server) in [
            (&["10.0.0.5/24"][..], "nameserver 169.254.169.253"),
            (&["10.0.0.5/24", "2001:db8::5/64"], "nameserver 169.254.169.253"),
            (&["2001:db8::5/64"], "nameserver fd00:ec2::253"),
        ] {
            assert_eq!(body(&case(addresses).task().resolv_conf()), [server]);
        }
    }

    #[test]
    fn annotations_come_before_the_configuration() {
        let mut case = case(&["10.0.0.5/24"]);
        case.dns.servers = vec!["10.0.0.2".parse().expect("an address")];
        case.dns.search = vec![name("a.internal"), name("b.internal")];
        case.dns.options = vec!["ndots:2".to_owned(), "rotate".to_owned()];
        let configured =
            ["search a.internal b.internal", "nameserver 10.0.0.2", "options ndots:2 rotate"];
        assert_eq!(body(&case.task().resolv_conf()), configured);
        case.names.servers = ["fd00::2", "10.0.0.3"].map(|text| text.parse().expect("one")).into();
        case.names.search = vec![name("c")];
        let annotated =
            ["search c", "nameserver fd00::2", "nameserver 10.0.0.3", "options ndots:2 rotate"];
        assert_eq!(body(&case.task().resolv_conf()), annotated);
    }

    #[test]
    fn a_task_has_the_name_that_it_is_given_or_its_engines_or_its_addresss() {
        let mut case = case(&["10.0.0.5/24", "10.0.0.6/24"]);
        let local = "127.0.0.1 localhost";
        assert_eq!(body(&case.task().hosts()), [local, "10.0.0.5 ip-10-0-0-5"]);
        case.own = Some(name("7d7b7fbc30b9"));
        assert_eq!(case.task().hostname(), name("7d7b7fbc30b9"));
        assert_eq!(body(&case.task().hosts()), [local, "10.0.0.5 7d7b7fbc30b9"]);
        case.names.hostname = Some(name("web.example.com"));
        assert_eq!(case.task().hostname(), name("web.example.com"));
        assert_eq!(
            body(&case.task().hosts()),
            [local, "10.0.0.5 web.example.com web 7d7b7fbc30b9"]
        );
    }

    #[test]
    fn an_application_may_have_another_name() {
        let hosts = case(&["10.0.0.5/24"]).task().hosts();
        assert_eq!(with_name(&hosts, &name("ip-10-0-0-5")), None);
        let more = with_name(&hosts, &name("0a1b2c3d4e5f")).expect("another");
        assert_eq!(more, format!("{hosts}10.0.0.5 0a1b2c3d4e5f\n"));
        assert_eq!(with_name("127.0.0.1 localhost\n", &name("a")), None);
    }

    #[test]
    fn what_the_engine_said_of_others_stays() {
        let mut case = case(&["10.0.0.5/24", "2001:db8::5/64"]);
        case.own = Some(name("7d7b7fbc30b9"));
        case.engine_hosts = parse(
            "127.0.0.1 localhost stub\n::1 localhost ip6-localhost\nff02::1 ip6-allnodes\n\
             127.0.0.1 7d7b7fbc30b9 pause\n10.0.0.9 db 7d7b7fbc30b9\n10.0.0.8 x # y\n",
        );
        case.names.extra_hosts =
            vec![Host { address: "10.0.0.7".parse().expect("one"), names: vec![name("queue")] }];
        let expected = [
            "127.0.0.1 localhost",
            "::1 localhost ip6-localhost ip6-loopback",
            "10.0.0.5 7d7b7fbc30b9",
            "127.0.0.1 stub",
            "ff02::1 ip6-allnodes",
            "10.0.0.9 db",
            "10.0.0.8 x",
            "10.0.0.7 queue",
        ];
        assert_eq!(body(&case.task().hosts()), expected);
    }
}
