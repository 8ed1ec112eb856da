//! Our rules, put in place.

use super::{
    look::{Leases, State, look_over, present},
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
    explained(ruleset, replace(ruleset.families, &ruleset.tables, |_| State::Changed)).map(|_| ())
}

/// Makes sure that rules are there, and says what was there before.
///
/// # Errors
/// As [`install`]'s.
pub fn ensure(ruleset: &Ruleset) -> Result<State> {
    explained(ruleset, put(ruleset))
}

/// The same, where the kernel can.
///
/// # Errors
/// The kernel's, but for those that say that it cannot.
pub fn ensure_if_possible(ruleset: &Ruleset) -> Result<State> {
    match put(ruleset) {
        Err(error) if is_unsupported(&error) => {
            log::debug!("this kernel has no egress hook (Linux 5.16): {error}");
            Ok(State::Absent)
        }
        before => explained(ruleset, before),
    }
}

fn put(ruleset: &Ruleset) -> Answer<State> {
    // Where we cannot look, installing says why.
    let look = |netfilter: &Netfilter| {
        look_over(netfilter, ruleset, Leases::All).unwrap_or(State::Changed)
    };
    replace(ruleset.families, &ruleset.tables, look)
}

fn explained<T>(ruleset: &Ruleset, outcome: Answer<T>) -> Result<T> {
    match outcome {
        Err(error) if is_unsupported(&error) => refuse(format!(
            "this kernel has no nf_tables, or lacks a part of it ({error}): load the module nf_tables, or switch \
             off {} of config.toml",
            ruleset.switches
        )),
        outcome => outcome.doing(|| "in one transaction"),
    }
}

/// Puts tables in the place of what was there of ours in these families, unless a look says that they are there
/// already; gives what was there before. The look is made only where there is anything.
///
/// Deletes nothing that is not there: the kernel waits 20 ms for those who still look at what is deleted
/// (`nft_rcv_nl_event`, `net/netfilter/nf_tables_api.c`).
pub(super) fn replace(
    families: &[Family],
    tables: &[Table],
    look: impl Fn(&Netfilter) -> State,
) -> Answer<State> {
    let netfilter = Netfilter::open()?;
    let mut tries = 0..TRIES;
    loop {
        let (old, seen) = present(&netfilter, families)?;
        let before = if old.is_empty() { State::Absent } else { look(&netfilter) };
        if before == State::Whole || (old.is_empty() && tables.is_empty()) {
            return Ok(before);
        }
        match netfilter.commit(message::replacement(&old, tables), Some(seen)) {
            // Somebody changed something in the meantime.
            Err(error) if error.errno == Errno::ERESTART && tries.next().is_some() => {}
            committed => return committed.map(|()| before),
        }
    }
}

/// Whether the kernel has no nftables, or lacks a part of it: there is no socket; no subsystem behind it; no such family; no such chain or expression.
pub(super) fn is_unsupported(error: &KernelError) -> bool {
    use Errno::{EAFNOSUPPORT, ENOENT, EOPNOTSUPP, EPROTONOSUPPORT};
    [EPROTONOSUPPORT, EOPNOTSUPP, EAFNOSUPPORT, ENOENT].contains(&error.errno)
}
