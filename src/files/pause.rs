//! A pause container's files, which say what its task is told of names.

use super::{
    content,
    giving::{FILES, Outcome, Receiver, report},
};
use crate::{
    error::Result,
    input::{config::dns::Dns, container::Container, hosts},
    kernel::uts,
    process::privileges,
    task::{
        Task,
        names::{HostName, Names},
    },
};

/// Gives a pause container its files, and its name. Whatever cannot be done is one warning; gives a summary of what
/// was, or nothing, if nothing was to be.
#[must_use]
pub fn give(container: &Container, task: &Task, names: &Names, dns: &Dns) -> Option<String> {
    let outcome = privileges::with_all(|| try_give(container, task, names, dns));
    report(&container.id, outcome)
}

fn try_give(
    container: &Container,
    task: &Task,
    names: &Names,
    dns: &Dns,
) -> Result<Option<Outcome>> {
    let policy = names.files.unwrap_or(dns.files);
    let Some(receiver) = Receiver::of(container, policy)? else { return Ok(None) };
    let engine_hosts = hosts::parse(&receiver.engines("hosts").unwrap_or_default());
    let own = receiver.bundle.hostname.as_ref();
    let addresses = &task.addresses;
    let content = content::Task { addresses, names, dns, own, engine_hosts: &engine_hosts };
    let hostname = content.hostname();
    let texts = [content.resolv_conf(), content.hosts(), format!("{hostname}\n")];
    let mut outcome = receiver.give(&FILES.into_iter().zip(texts).collect::<Vec<_>>())?;
    let told =
        if receiver.bundle.has_own_uts { name(container, own, &hostname) } else { Ok(false) };
    outcome.failures.extend(told.err());
    Ok(Some(outcome))
}

/// Tells the container's kernel its name, if its engine does not tell it the same.
fn name(container: &Container, own: Option<&HostName>, hostname: &HostName) -> Result<bool> {
    match container.pid {
        Some(pid) if own != Some(hostname) => uts::name(pid, hostname.as_str()),
        _ => Ok(false),
    }
}
