//! Our rules, put in place.

use super::{message, ruleset::Ruleset, socket::Netfilter};
use crate::{
    error::{Doing, KernelError, Result, refuse},
    kernel::error::Answer,
};
use nix::errno::Errno;

/// Installs rules in one transaction, in place of what was there of ours: in this thread's namespace.
///
/// # Errors
/// The kernel has no nftables, or not enough of it; or whatever else it says.
pub fn install(ruleset: &Ruleset) -> Result<()> {
    match try_install(ruleset) {
        Err(error) if is_unsupported(&error) => refuse(format!(
            "this kernel has no nf_tables, or lacks a part of it ({error}): load the module nf_tables, or switch \
             off {} of config.toml",
            ruleset.switches
        )),
        installed => installed.doing(|| "in one transaction"),
    }
}

/// The same, where the kernel can.
///
/// # Errors
/// The kernel's, but for those that say that it cannot.
pub fn install_if_possible(ruleset: &Ruleset) -> Result<()> {
    match try_install(ruleset) {
        Err(error) if is_unsupported(&error) => {
            log::debug!("this kernel has no egress hook (Linux 5.16): {error}");
            Ok(())
        }
        installed => installed.doing(|| "in one transaction"),
    }
}

fn try_install(ruleset: &Ruleset) -> Answer<()> {
    let messages = message::replacement(ruleset.families, &ruleset.tables);
    Netfilter::open()?.commit(messages)
}

/// Whether the kernel has no nftables, or lacks a part of it: there is no socket; no subsystem behind it; no such family; no such chain or expression.
pub fn is_unsupported(error: &KernelError) -> bool {
    use Errno::{EAFNOSUPPORT, ENOENT, EOPNOTSUPP, EPROTONOSUPPORT};
    [EPROTONOSUPPORT, EOPNOTSUPP, EAFNOSUPPORT, ENOENT].contains(&error.errno)
}
