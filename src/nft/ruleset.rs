//! All the rules that one thing wants: the instance, a task, a task's interface.

use super::{
    instance,
    rule::{Family, Table},
    task, text,
};
use crate::{
    input::config::{credentials::CredentialNetwork, host::Host},
    net::name::InterfaceName,
};
use ipnetwork::IpNetwork;
use std::fmt;

/// Tables that are installed together, and the families that they may be of: what is there of ours in those
/// goes when they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    pub(super) families: &'static [Family],
    pub(super) tables: Vec<Table>,
    /// What to switch off where they cannot be installed.
    pub(super) switches: &'static str,
    /// What the bridge must let packets do, for the redirect to lead where it does: options below
    /// `/proc/sys/net/ipv4/conf/`.
    pub bridge_options: Vec<&'static str>,
}

/// The families of the instance's tables.
pub const INSTANCE: &[Family] = &[Family::Inet, Family::Bridge];
/// The families of a task's tables.
pub const TASK: &[Family] = &[Family::Inet, Family::Netdev];

const HOST_SWITCHES: &str = "redirect, filter and source-checks in [host]";
const ENI_SWITCHES: &str = "block-instance-metadata and block in [eni]";

impl Ruleset {
    /// The instance's.
    #[must_use]
    pub fn of_instance(credentials: &CredentialNetwork, host: &Host) -> Self {
        let options = [
            (host.leads_to_loopback(), "route_localnet"),
            // Where nothing filters what is routed, whether it is stays the instance's own choice.
            (host.filter && host.may_be_elsewhere(), "forwarding"),
        ];
        let wanted = options.into_iter().filter(|(wanted, _)| *wanted);
        Self {
            bridge_options: wanted.map(|(_, option)| option).collect(),
            ..Self::new(INSTANCE, instance::tables(credentials, host), HOST_SWITCHES)
        }
    }

    /// A task's, about what it sends by any interface.
    #[must_use]
    pub fn of_task(blocked: &[IpNetwork]) -> Self {
        Self::new(&[Family::Inet], task::packets(blocked), ENI_SWITCHES)
    }

    /// A task's, about the frames that leave by its ENI.
    #[must_use]
    pub fn of_interface(link: &InterfaceName, blocked: &[IpNetwork]) -> Self {
        Self::new(&[Family::Netdev], task::frames(link, blocked), ENI_SWITCHES)
    }

    fn new(families: &'static [Family], tables: Vec<Table>, switches: &'static str) -> Self {
        Self { families, tables, switches, bridge_options: Vec::new() }
    }

    /// The families of its tables.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        self.tables.iter().map(|table| table.family).collect()
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }
}

impl fmt::Display for Ruleset {
    /// In nft's language: what was there of ours goes, and this comes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::script(self.families, &self.tables))
    }
}
