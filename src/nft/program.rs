//! The only user of the `nft` program, which writes our nftables rules.

use crate::{
    error::{Doing, Error, Result, refuse},
    nft::ruleset::{Ruleset, removal},
};
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// Where `nft` may be: hooks run without a `PATH`, and root's programs are not looked for in one.
const PLACES: [&str; 4] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft"];

/// Installs the rules in one transaction, in place of what was there of ours.
///
/// # Errors
/// There is no `nft`, or what it or the kernel says.
pub fn install(ruleset: &Ruleset) -> Result<()> {
    run(&ruleset.to_string())
}

/// Takes our tables away, if they are there.
///
/// # Errors
/// There is no `nft`, or what it or the kernel says.
pub fn remove() -> Result<()> {
    run(&removal())
}

fn run(text: &str) -> Result<()> {
    let Some(program) = PLACES.iter().find(|place| Path::new(place).exists()) else {
        return refuse(format!(
            "there is no {}: install the nftables package, or switch off redirect, filter and \
             source-checks in [host] of config.toml",
            PLACES[0]
        ));
    };
    let mut child = Command::new(program)
        .args(["-f", "-"])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .doing(|| format!("starting {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it does not read all, it says why.
        stdin.write_all(text.as_bytes()).ok();
    }
    let output = child.wait_with_output().doing(|| format!("waiting for {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let why = said.lines().next().map_or(output.status.to_string(), str::to_owned);
    Err(Error::Refused(format!("{program}: {why}")))
}
