//! The host's configuration: `config.toml`, or the defaults where there is none.
//!
//! The shipped file (`packaging/config.toml`) shows every key with its default and is the
//! reference; a test holds the two together.

mod host;

pub use host::Host;

use crate::{
    error::{Doing, Error, Result, refuse},
    lease::Lease,
    link::{InterfaceName, Mac},
};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use serde::Deserialize;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::Duration,
};

/// The instance metadata service.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>
pub const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The same over IPv6.
pub const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Where the configuration is, unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/oci-awsvpc-hook/config.toml";

/// The longest time that makes sense anywhere: no runtime lets a hook run for an hour.
const MAX_SECONDS: u64 = 3600;

/// Everything that the host's owner can choose.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The time that a stage may take before it undoes what it did and fails, in seconds.
    pub deadline_seconds: u64,
    /// Which containers are ours.
    pub detect: Detect,
    /// The task's network interface.
    pub eni: Eni,
    /// The path to the credentials.
    pub credentials: Credentials,
    /// The instance's own side of it.
    pub host: Host,
    /// Where the log goes.
    pub log: Log,
    /// What `oci-awsvpc-runtime` does.
    pub runtime: Runtime,
}

/// `[detect]`: a container is ours if this annotation has this value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Detect {
    /// The annotation's key.
    pub annotation: String,
    /// The annotation's value.
    pub value: String,
}

/// `[eni]`: the task's network interface.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Eni {
    /// How long to wait for an ENI that is not attached yet, in seconds.
    pub attach_timeout_seconds: u64,
    /// How long to wait for the links to be operationally up, in seconds.
    pub link_up_timeout_seconds: u64,
    /// How long poststop waits for the kernel to send the ENI home, in seconds.
    pub return_timeout_seconds: u64,
    /// Whether tasks are kept from the instance metadata service unless they say otherwise.
    pub block_instance_metadata: bool,
    /// What else tasks are kept from.
    pub block: Vec<IpNetwork>,
}

/// `[credentials]`: the bridge that leads to the credentials endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Credentials {
    /// The bridge on the instance.
    pub bridge: InterfaceName,
    /// The subnet on the bridge: one address a task.
    pub subnet: Ipv4Network,
    /// The bridge's own address.
    pub gateway: Ipv4Addr,
    /// Where the credentials are served.
    pub endpoint: Ipv4Addr,
    /// An IPv6 subnet on the bridge, where wanted.
    pub ipv6_subnet: Option<Ipv6Network>,
    /// Where the credentials are served over IPv6, where there is such a subnet.
    pub ipv6_endpoint: Ipv6Addr,
    /// The MTU of the bridge and of the veths on it, in bytes.
    pub mtu: u32,
    /// Whether tasks are kept apart on the bridge.
    pub isolation: bool,
}

/// `[log]`: where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Log {
    /// Which of the two.
    pub target: LogTarget,
    /// From which level on.
    pub level: LogLevel,
}

/// `[runtime]`: what `oci-awsvpc-runtime` does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Runtime {
    /// The real runtime; the first that is there, if none is given.
    pub path: Option<PathBuf>,
    /// The hook that pause containers get.
    pub hook: PathBuf,
    /// Whether environment variables whose names begin with `com.amazonaws.ecs.` are annotations.
    pub annotations_from_environment: bool,
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogTarget {
    /// The local syslog socket; stderr where there is none.
    Syslog,
    /// Standard error, which runtimes show only when a hook fails.
    Stderr,
    /// Both.
    Both,
}

/// From which level on lines are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Failures.
    Error,
    /// And what the operator should look at.
    Warn,
    /// And one summary a call.
    Info,
    /// And every step.
    Debug,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            // Below the 60 s that hooks.d gives us; the rest is for rolling back.
            deadline_seconds: 45,
            detect: Detect::default(),
            eni: Eni::default(),
            credentials: Credentials::default(),
            host: Host::default(),
            log: Log::default(),
            runtime: Runtime::default(),
        }
    }
}

impl Default for Detect {
    /// What the ECS agent calls a task's pause container.
    fn default() -> Self {
        Self {
            annotation: "com.amazonaws.ecs.container-name".to_owned(),
            value: "~internal~ecs~pause".to_owned(),
        }
    }
}

impl Default for Eni {
    fn default() -> Self {
        Self {
            attach_timeout_seconds: 30,
            link_up_timeout_seconds: 5,
            return_timeout_seconds: 10,
            block_instance_metadata: true,
            block: Vec::new(),
        }
    }
}

impl Default for Credentials {
    /// The addresses and names that the ECS agent and its CNI plugins use; the IPv6 endpoint is among AWS's
    /// own addresses on an instance, beside that of the metadata service.
    fn default() -> Self {
        let gateway = Ipv4Addr::new(169, 254, 172, 1);
        Self {
            bridge: InterfaceName::known("ecs-bridge".to_owned()),
            subnet: Ipv4Network::new_checked(Ipv4Addr::new(169, 254, 172, 0), 22)
                .unwrap_or(Ipv4Network::from(gateway)),
            gateway,
            endpoint: Ipv4Addr::new(169, 254, 170, 2),
            ipv6_subnet: None,
            ipv6_endpoint: Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0x170, 2),
            mtu: 1500,
            isolation: true,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { target: LogTarget::Syslog, level: LogLevel::Info }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            path: None,
            hook: "/usr/libexec/oci/hooks.d/oci-awsvpc-hook".into(),
            annotations_from_environment: false,
        }
    }
}

impl From<LogLevel> for log::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
        }
    }
}

impl Config {
    /// Reads the configuration from `path`; without one, from [`DEFAULT_PATH`], whose absence
    /// means the defaults.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, has an unknown key or a value that makes no sense.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let file = path.unwrap_or(Path::new(DEFAULT_PATH));
        let doing = || format!("reading {}", file.display());
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&text).doing(doing),
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_none() => {
                Ok(Self::default())
            }
            Err(error) => Err(error).doing(doing),
        }
    }

    /// Parses and checks the text of a configuration.
    ///
    /// # Errors
    /// It is not TOML, has an unknown key or a value that makes no sense.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                1 + text.bytes().take(span.start).filter(|&b| b == b'\n').count()
            });
            Error::Refused(format!("line {line}: {}", error.message()))
        })?;
        config.check_times()?;
        config.credentials.check()?;
        config.eni.check(&config.credentials)?;
        config.host.check(&config.credentials)?;
        config.runtime.check()?;
        Ok(config)
    }

    fn check_times(&self) -> Result<()> {
        let eni = &self.eni;
        let times = [
            ("deadline-seconds", self.deadline_seconds),
            ("eni.attach-timeout-seconds", eni.attach_timeout_seconds),
            ("eni.link-up-timeout-seconds", eni.link_up_timeout_seconds),
            ("eni.return-timeout-seconds", eni.return_timeout_seconds),
        ];
        match times.iter().find(|(_, seconds)| *seconds > MAX_SECONDS) {
            Some((key, seconds)) => {
                refuse(format!("{key} {seconds}: must be at most {MAX_SECONDS} seconds"))
            }
            None => Ok(()),
        }
    }

    /// The time that a stage may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_seconds)
    }
}

impl Credentials {
    /// The bridge's MAC address: the one of its own address, as every task's is of its own. Fixed,
    /// because a bridge that is left to choose takes the lowest of its ports' and changes it with
    /// them, and then every task's neighbour entry for the gateway is wrong.
    #[must_use]
    pub fn bridge_mac(&self) -> Mac {
        Mac::of_address(self.gateway)
    }

    /// The IPv6 address that goes with an IPv4 address of the subnet: as far into its subnet as
    /// that is into its own.
    #[must_use]
    pub fn ipv6_of(&self, address: Ipv4Addr) -> Option<Ipv6Addr> {
        let offset = u32::from(address).checked_sub(self.subnet.network().into())?;
        let base = u128::from(self.ipv6_subnet?.network());
        Some((base + u128::from(offset)).into())
    }

    /// The bridge's own addresses.
    #[must_use]
    pub fn gateways(&self) -> Vec<IpAddr> {
        let v6 = self.ipv6_of(self.gateway).map(IpAddr::V6);
        [Some(IpAddr::V4(self.gateway)), v6].into_iter().flatten().collect()
    }

    /// Where the credentials are served, for those families that there is a subnet of.
    #[must_use]
    pub fn endpoints(&self) -> Vec<IpAddr> {
        let v6 = self.ipv6_subnet.map(|_| IpAddr::V6(self.ipv6_endpoint));
        [Some(IpAddr::V4(self.endpoint)), v6].into_iter().flatten().collect()
    }

    /// The addresses that a lease stands for.
    #[must_use]
    pub fn addresses(&self, lease: Lease) -> Vec<IpAddr> {
        let v6 = self.ipv6_of(lease.address()).map(IpAddr::V6);
        [Some(IpAddr::V4(lease.address())), v6].into_iter().flatten().collect()
    }

    /// The lease that stands for an address of one of the subnets.
    #[must_use]
    pub fn lease_of(&self, address: IpAddr) -> Option<Lease> {
        let subnet = self.subnet;
        let address = match address {
            IpAddr::V4(four) => four,
            IpAddr::V6(six) => {
                let offset = u128::from(six).checked_sub(self.ipv6_subnet?.network().into())?;
                u32::from(subnet.network()).checked_add(u32::try_from(offset).ok()?)?.into()
            }
        };
        subnet.contains(address).then(|| Lease::on(address))
    }

    fn check(&self) -> Result<()> {
        let subnet = self.subnet;
        if !(8..=30).contains(&subnet.prefix()) || subnet.ip() != subnet.network() {
            return refuse(format!(
                "credentials.subnet {subnet}: must be a network of /8 to /30, such as 169.254.172.0/22"
            ));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !self.bridge.as_str().bytes().all(plain) {
            return refuse(format!(
                "credentials.bridge {}: must be letters, digits, or characters of _.-",
                self.bridge
            ));
        }
        let gateway = self.gateway;
        if !subnet.contains(gateway) || [subnet.network(), subnet.broadcast()].contains(&gateway) {
            return refuse(format!(
                "credentials.gateway {gateway}: must be a host address of credentials.subnet {subnet}"
            ));
        }
        if subnet.contains(METADATA_V4) || self.endpoint == METADATA_V4 {
            return refuse(format!(
                "credentials.subnet {subnet} and credentials.endpoint {}: must keep clear of the \
                 metadata service, {METADATA_V4}",
                self.endpoint
            ));
        }
        if subnet.contains(self.endpoint) {
            return refuse(format!(
                "credentials.endpoint {}: must lie outside credentials.subnet {subnet}",
                self.endpoint
            ));
        }
        self.check_ipv6_endpoint()?;
        match self.ipv6_subnet {
            Some(six) if six.ip() != six.network() || 128 - six.prefix() < 32 - subnet.prefix() => {
                refuse(format!(
                    "credentials.ipv6-subnet {six}: must be a network at least as large as \
                     credentials.subnet {subnet}"
                ))
            }
            _ if !(1280..=65535).contains(&self.mtu) => {
                refuse(format!("credentials.mtu {}: must be 1280 to 65535 bytes", self.mtu))
            }
            _ => Ok(()),
        }
    }
}

impl Credentials {
    fn check_ipv6_endpoint(&self) -> Result<()> {
        let six = self.ipv6_endpoint;
        let local = six.is_loopback() || six.is_unspecified() || six.is_unicast_link_local();
        let why = if local || six.is_multicast() || six.to_ipv4_mapped().is_some() {
            "must be an address that can be routed to"
        } else if six == METADATA_V6 {
            "must keep clear of the metadata service"
        } else if self.ipv6_subnet.is_some_and(|subnet| subnet.contains(six)) {
            "must lie outside credentials.ipv6-subnet"
        } else {
            return Ok(());
        };
        refuse(format!("credentials.ipv6-endpoint {six}: {why}"))
    }
}

impl Eni {
    /// What is blocked is so by every interface of the task: the way to its credentials stays open.
    fn check(&self, credentials: &Credentials) -> Result<()> {
        let needed = || credentials.endpoints().into_iter().chain(credentials.gateways());
        let is_needed = |network: &&IpNetwork| needed().any(|address| network.contains(address));
        let is_network =
            |network: &&IpNetwork| network.prefix() > 0 && network.ip() == network.network();
        if let Some(network) = self.block.iter().find(|network| !is_network(network)) {
            return refuse(format!("eni.block {network}: must be a network, such as 10.9.0.0/16"));
        }
        match self.block.iter().find(is_needed) {
            Some(network) => {
                refuse(format!("eni.block {network}: that is where tasks find their credentials"))
            }
            None => Ok(()),
        }
    }
}

impl Runtime {
    fn check(&self) -> Result<()> {
        // Runtimes insist on it for hooks; and they are called in any directory.
        let paths = [("path", self.path.as_ref()), ("hook", Some(&self.hook))];
        match paths.iter().find(|(_, path)| path.is_some_and(|path| path.is_relative())) {
            Some((key, Some(path))) => {
                refuse(format!("runtime.{key} {}: must be an absolute path", path.display()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
