//! The licences of others: most ask that their text goes wherever the code goes.

use serde::Deserialize;
use std::{
    collections::BTreeMap,
    error::Error,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A software bill of materials, as `CycloneDX` has it.
#[derive(Deserialize)]
pub struct Sbom {
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Component {
    name: String,
    version: String,
    licenses: Vec<License>,
}

#[derive(Deserialize)]
struct License {
    expression: String,
}

/// What `cargo metadata` tells of a crate.
#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// All that the crates of the SBOM say of their licences: each text once, below the names of all
/// crates that have it.
pub fn of(sbom: &Sbom) -> Result<String, Box<dyn Error>> {
    let sources = sources()?;
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Component { name, version, licenses } in &sbom.components {
        let expression: Vec<&str> = licenses.iter().map(|one| one.expression.as_str()).collect();
        let crate_ = format!("{name} {version} ({})", expression.join(", "));
        let source = sources.get(&(name.clone(), version.clone())).ok_or(format!("no {crate_}"))?;
        for text in texts_in(source)? {
            texts.entry(text).or_default().push(crate_.clone());
        }
    }
    // In the order of the crates, not of the texts.
    let mut texts: Vec<_> = texts.into_iter().map(|(text, crates)| (crates, text)).collect();
    texts.sort();
    let mut all = "The licences of the crates that oci-awsvpc-hook contains.\n".to_owned();
    for (crates, text) in texts {
        let line = "=".repeat(80);
        write!(all, "\n{line}\n{}\n{line}\n\n{}\n", crates.join("\n"), text.trim_end())?;
    }
    Ok(all)
}

/// Where the sources are of every crate, by name and version.
fn sources() -> Result<BTreeMap<(String, String), PathBuf>, Box<dyn Error>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["metadata", "--locked", "--format-version=1"])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let source = |one: Package| ((one.name, one.version), one.manifest_path.with_file_name(""));
    Ok(metadata.packages.into_iter().map(source).collect())
}

/// The texts of the files that are named as a licence or a notice is. A crate may have none, and
/// state its licence in its manifest only.
fn texts_in(source: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut texts = Vec::new();
    for file in fs::read_dir(source)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().to_uppercase();
        let is_one = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"]
            .iter()
            .any(|word| name.starts_with(word));
        if is_one && file.file_type()?.is_file() {
            texts.push(fs::read_to_string(file.path())?.replace("\r\n", "\n"));
        }
    }
    Ok(texts)
}
