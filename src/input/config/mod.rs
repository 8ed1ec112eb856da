//! The host's configuration: `config.toml`, or the defaults where there is none.
//!
//! The shipped file (`packaging/config.toml`) shows every key with its default and is the
//! reference; a test holds the two together.

pub mod credentials;
pub mod dns;
pub mod host;

use crate::{
    error::{Doing, Error, Result, refuse},
    input::config::{credentials::CredentialNetwork, dns::Dns, host::Host},
    process::logging::LogConfig,
    task::RouterPatience,
};
use ipnetwork::IpNetwork;
use serde::Deserialize;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

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
    pub credentials: CredentialNetwork,
    /// What tasks are told of names.
    pub dns: Dns,
    /// Which nftables rules the instance has for its tasks.
    pub host: Host,
    /// Where the log goes.
    pub log: LogConfig,
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
    /// How long to wait for an IPv6 router that advertises itself, in seconds.
    pub router_timeout_seconds: u64,
    /// Whether a task fails to start if none does.
    pub router_required: bool,
    /// Whether tasks are kept from the instance metadata service unless they say otherwise.
    pub block_instance_metadata: bool,
    /// What else tasks are kept from.
    pub block: Vec<IpNetwork>,
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

impl Default for Config {
    fn default() -> Self {
        Self {
            // Below the 60 s that hooks.d gives us; the rest is for rolling back.
            deadline_seconds: 45,
            detect: Detect::default(),
            eni: Eni::default(),
            credentials: CredentialNetwork::default(),
            dns: Dns::default(),
            host: Host::default(),
            log: LogConfig::default(),
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
            // Solicited for the last time after 4 s, a router may take 3.5 s (RFC 4861, section 6.2.6).
            router_timeout_seconds: 8,
            router_required: false,
            block_instance_metadata: true,
            block: Vec::new(),
        }
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

impl Eni {
    /// How long to wait for one link to be operationally up.
    #[must_use]
    pub fn link_up_timeout(&self) -> Duration {
        Duration::from_secs(self.link_up_timeout_seconds)
    }

    /// How to wait for an IPv6 router that advertises itself.
    #[must_use]
    pub fn router_patience(&self) -> RouterPatience {
        let timeout = Duration::from_secs(self.router_timeout_seconds);
        RouterPatience { timeout, required: self.router_required }
    }

    /// What is blocked is so by every interface of the task: the way to its credentials stays open.
    fn check(&self, credentials: &CredentialNetwork) -> Result<()> {
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
        config.dns.check()?;
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
            ("eni.router-timeout-seconds", eni.router_timeout_seconds),
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
