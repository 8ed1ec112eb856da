//! Our rules, put in place.

use super::{
    look::present,
    message,
    rule::{Family, Table},
    ruleset::Ruleset,
    socket::Netfilter,
};
use crate::{
    error::{Doing, KernelError, Result, refuse},
    kernel::error::Answer,
};
use nix::errno::Errno;

/// How often others may be faster.
const TRIES: usize = 20;

/// Installs rules in one transaction, in place of what was there of ours: in this thread's namespace.
///
/// # Errors
/// The kernel has no nftables, or not enough of it; or whatever else it says.
pub fn install(ruleset: &Ruleset) -> Result<()> {
    match replace(ruleset.families, &ruleset.tables) {
        Err(error) if is_unsupported(&error) => refuse(format!(
            "this kernel has no nf_tables, or lacks a part of it ({error}): load the module nf_tables, or switch \
             off {} of config.toml",
            ruleset.switches
        )),
        installed => installed.map(|_| ()).doing(|| "in one transaction"),
    }
}

/// The same, where the kernel can.
///
/// # Errors
/// The kernel's, but for those that say that it cannot.
pub fn install_if_possible(ruleset: &Ruleset) -> Result<bool> {
    match replace(ruleset.families, &ruleset.tables) {
        Err(error) if is_unsupported(&error) => {
            log::debug!("this kernel has no egress hook (Linux 5.16): {error}");
            Ok(false)
        }
        installed => installed.map(|_| true).doing(|| "in one transaction"),
    }
}

/// Puts tables in the place of what was there of ours in these families; says whether there was anything.
///
/// Deletes nothing that is not there: the kernel waits 20 ms for those who still look at what is deleted
/// (`nft_rcv_nl_event`, `net/netfilter/nf_tables_api.c`).
pub(super) fn replace(families: &[Family], tables: &[Table]) -> Answer<bool> {
    let netfilter = Netfilter::open()?;
    let mut tries = 0..TRIES;
    loop {
        let (old, seen) = present(&netfilter, families)?;
        if old.is_empty() && tables.is_empty() {
            return Ok(false);
        }
        match netfilter.commit(message::replacement(&old, tables), Some(seen)) {
            // Somebody changed something in the meantime.
            Err(error) if error.errno == Errno::ERESTART && tries.next().is_some() => {}
            committed => return committed.map(|()| !old.is_empty()),
        }
    }
}

/// Whether the kernel has no nftables, or lacks a part of it: there is no socket; no subsystem behind it; no such family; no such chain or expression.
pub(super) fn is_unsupported(error: &KernelError) -> bool {
    use Errno::{EAFNOSUPPORT, ENOENT, EOPNOTSUPP, EPROTONOSUPPORT};
    [EPROTONOSUPPORT, EOPNOTSUPP, EAFNOSUPPORT, ENOENT].contains(&error.errno)
}
