//! The instance that this hook runs on, as those need it who take tasks down.

use crate::{
    eni::custody::Custody,
    error::{Doing, Result, refuse},
    input::config::{Config, credentials::CredentialNetwork},
    kernel::sides::Space,
    net::{link::Link, mac::Mac},
    nft::records::Records,
    process::limits::Limits,
    snapshot::{ownership::records_of_ports, uplinks::uplinks},
    task::record::Record,
};
use std::time::Duration;

/// The instance that this hook runs on.
#[derive(Debug)]
pub struct Instance<'a> {
    /// Its namespace.
    pub space: Space,
    /// Its side of the credential path.
    pub credentials: &'a CredentialNetwork,
    /// What it keeps of tasks.
    pub records: Records,
    /// When to stop.
    pub limits: Limits,
    /// How long to wait for an ENI to come home.
    pub patience: Duration,
}

impl<'a> Instance<'a> {
    /// What came of what another call did.
    pub const BY_ANOTHER: &'static str = "another call has taken it down";

    /// Opens it.
    pub fn open(config: &'a Config) -> Result<Self> {
        Ok(Self {
            space: Space::here()?,
            records: Records::open().doing(|| "opening the records of tasks")?,
            credentials: &config.credentials,
            limits: Limits::start(config.deadline(), config.eni.link_up_timeout())?,
            patience: Duration::from_secs(config.eni.return_timeout_seconds),
        })
    }

    /// Custody of an ENI, when no other call has it any more.
    ///
    /// # Errors
    /// Another one has it until the time is up.
    pub fn custody(&self, eni: Mac) -> Result<Custody> {
        Custody::take(eni, &self.limits)
    }

    /// Its links.
    pub fn links(&self) -> Result<Vec<Link>> {
        self.space.netlink.links().doing(|| "listing the instance's links")
    }

    /// Its links that belong to no bridge or bond: all but other tasks'.
    pub fn free_links(&self) -> Result<Vec<Link>> {
        self.space.netlink.free_links().doing(|| "listing the instance's links")
    }

    /// Whether the ENI that a record speaks of is another task's by now.
    ///
    /// # Errors
    /// The instance cannot be looked at.
    pub fn is_anothers(&self, record: &Record) -> Result<bool> {
        let eni = record.label.eni;
        if let Some(now) = self.record_of(eni)? {
            return Ok(!now.is_of_task(record));
        }
        let ports = records_of_ports(&self.links()?);
        Ok(ports.iter().any(|port| port.label.eni == eni && !port.is_of_task(record)))
    }

    /// The record of an ENI.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn record_of(&self, eni: Mac) -> Result<Option<Record>> {
        self.records.of(eni).doing(|| format!("looking for the record of ENI {eni}"))
    }

    /// Whether what a record says is still so: another call may have taken its task down, and the ENI be another
    /// task's by now.
    ///
    /// # Errors
    /// The instance cannot be looked at.
    pub fn stands(&self, record: &Record) -> Result<bool> {
        let eni = record.label.eni;
        if let Some(now) = self.record_of(eni)? {
            return Ok(now.is_of_task(record));
        }
        let ports = records_of_ports(&self.links()?);
        Ok(ports.iter().any(|port| port.label.eni == eni && port.is_of_task(record)))
    }

    /// The instance's own interface is never touched.
    ///
    /// # Errors
    /// This is what the instance reaches the world by.
    pub fn refuse_uplink(&self, link: &Link, mac: Mac) -> Result<()> {
        if uplinks(&self.space.netlink, &self.links()?)?.contains(&link.index) {
            return refuse(format!(
                "{} ({mac}) carries the instance's default route: it is left as it is",
                link.name
            ));
        }
        Ok(())
    }
}
