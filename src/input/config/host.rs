//! `[host]`: which nftables rules the instance has for its tasks.

use crate::{
    error::{Result, refuse},
    input::config::credentials::CredentialNetwork,
    task::{METADATA_V4, lease::Lease},
};
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddrV4};

/// The largest subnet whose addresses can each be listed: 16,381 of them.
const LARGEST_LISTED: u8 = 18;

/// `[host]`: the instance's nftables rules, each part with its own switch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Host {
    /// Whether the credentials endpoint is redirected to the agent.
    pub redirect: bool,
    /// Where the agent serves credentials on the instance.
    pub agent: SocketAddrV4,
    /// Whether tasks reach nothing else of the instance, and nothing through it.
    pub filter: bool,
    /// TCP ports of the bridge's own addresses that tasks reach all the same.
    pub open_tcp_ports: Vec<u16>,
    /// UDP ports of the same.
    pub open_udp_ports: Vec<u16>,
    /// Whether a task can send only from its own MAC and IP address.
    pub source_checks: bool,
}

impl Default for Host {
    /// The agent's address is that of ecs-init's redirect.
    /// <https://github.com/aws/amazon-ecs-agent/blob/master/ecs-init/exec/iptables/iptables.go>
    fn default() -> Self {
        Self {
            redirect: true,
            agent: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 51679),
            filter: true,
            open_tcp_ports: Vec::new(),
            open_udp_ports: Vec::new(),
            source_checks: true,
        }
    }
}

impl Host {
    /// Whether the redirect leads to a loopback address, to which the bridge lets no packets unless told to.
    #[must_use]
    pub fn leads_to_loopback(&self) -> bool {
        self.redirect && self.agent.ip().is_loopback()
    }

    /// Whether the redirect may lead off the instance, to a container for instance: then questions to the
    /// agent are routed.
    #[must_use]
    pub fn may_be_elsewhere(&self) -> bool {
        self.redirect && !self.agent.ip().is_loopback()
    }

    pub(super) fn check(&self, credentials: &CredentialNetwork) -> Result<()> {
        let agent = self.agent;
        if agent.port() == 0 || agent.ip().is_unspecified() || agent.ip().is_multicast() {
            return refuse(format!(
                "host.agent {agent}: must be an address and port, such as {}",
                Self::default().agent
            ));
        }
        let ip = *agent.ip();
        let is_nobody = ip.is_broadcast() || ip == credentials.endpoint || ip == METADATA_V4;
        if is_nobody || credentials.subnet.contains(ip) && ip != credentials.gateway {
            return refuse(format!("host.agent {agent}: no agent can be there"));
        }
        let ports = [("tcp", &self.open_tcp_ports), ("udp", &self.open_udp_ports)];
        if let Some((transport, _)) = ports.iter().find(|(_, ports)| ports.contains(&0)) {
            return refuse(format!("host.open-{transport}-ports: 0 is no port"));
        }
        // Rules tell tasks' ports by the beginning of their names.
        let (bridge, ports) = (&credentials.bridge, Lease::common_prefix(credentials.subnet));
        if bridge.as_str().starts_with(&ports) {
            return refuse(format!(
                "credentials.bridge {bridge}: must not begin with {ports}, as tasks' ports do"
            ));
        }
        if self.source_checks && credentials.subnet.prefix() < LARGEST_LISTED {
            return refuse(format!(
                "host.source-checks: credentials.subnet {} is too large, it can be a \
                 /{LARGEST_LISTED}",
                credentials.subnet
            ));
        }
        Ok(())
    }
}
