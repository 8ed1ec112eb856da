//! Writes what the packages contain and what follows from the source: the manual pages, the shells'
//! completions, and the licences of the crates that the binaries contain.
//!
//! ```text
//! cargo run --example generate -- FOLDER YYYY-MM-DD
//! ```
//!
//! The command's page and the completions come from the command line's own definition, the
//! configuration's page from the shipped file, the licences from the sources of the crates that
//! `FOLDER/sbom.cdx.json` lists. `make` calls this, where `Cargo.toml` is.

mod licences;
mod man;

use clap::CommandFactory;
use clap_complete::Shell;
use oci_awsvpc_hook::cli::Cli;
use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, date] = arguments.as_slice() else {
        return Err("usage: generate FOLDER YYYY-MM-DD".into());
    };
    let folder = Path::new(folder);
    let name = env!("CARGO_PKG_NAME");
    fs::write(folder.join(format!("{name}.1")), man::command_page(date)?)?;
    fs::write(folder.join("oci-awsvpc-runtime.1"), man::runtime_page(date))?;
    fs::write(folder.join(format!("{name}.5")), man::config_page(date)?)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), name, folder)?;
    }
    let sbom = serde_json::from_slice(&fs::read(folder.join("sbom.cdx.json"))?)?;
    fs::write(folder.join("third-party-licences.txt"), licences::of(&sbom)?)?;
    Ok(())
}
