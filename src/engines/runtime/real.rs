//! Finds the real OCI runtime, which `oci-awsvpc-runtime` becomes.

use crate::{
    error::{Result, refuse},
    input::config::{DEFAULT_PATH, Runtime},
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Where it is looked for: the folders of a usual PATH, in that order. Not PATH itself: engines have
/// PATHs of their own.
const FOLDERS: [&str; 4] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];

/// What it is called.
const NAMES: [&str; 2] = ["runc", "crun"];

/// The configured runtime, else the first that is there. Never this program itself, under whatever
/// name.
///
/// # Errors
/// There is none.
pub fn find(runtime: &Runtime) -> Result<PathBuf> {
    match &runtime.path {
        Some(path) if is_self(path) => {
            refuse(format!("runtime.path {}: must be another runtime than this", path.display()))
        }
        Some(path) => Ok(path.clone()),
        None => {
            let paths =
                NAMES.iter().flat_map(|name| FOLDERS.map(|folder| Path::new(folder).join(name)));
            let found = paths.into_iter().find(|path| is_program(path) && !is_self(path));
            found.map_or_else(
                || {
                    refuse(format!(
                        "no runc and no crun in {}: set runtime.path",
                        FOLDERS.join(", ")
                    ))
                },
                Ok,
            )
        }
    }
}

/// What a faulty configuration says of the runtime, if that much can be read: with it, containers that
/// are no pause containers start all the same.
#[must_use]
pub fn salvaged() -> Runtime {
    fs::read_to_string(DEFAULT_PATH).map(|text| salvage(&text)).unwrap_or_default()
}

fn salvage(text: &str) -> Runtime {
    let table: toml::Table = text.parse().unwrap_or_default();
    let path = table.get("runtime").and_then(|runtime| runtime.get("path")?.as_str());
    Runtime { path: path.map(PathBuf::from), ..Runtime::default() }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn is_self(path: &Path) -> bool {
    let file = |path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let own = file(Path::new("/proc/self/exe"));
    own.is_some() && own == file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flaw_elsewhere_does_not_change_the_runtime() {
        let salvaged = salvage("[runtime]\npath = \"/opt/runc\"\nunknown = 1\n[eni]\nmtu = 3");
        assert_eq!(salvaged.path, Some("/opt/runc".into()));
        for text in ["", "[runtime]", "[runtime]\npath = 7", "runtime = 1", "["] {
            assert_eq!(salvage(text), Runtime::default(), "{text}");
        }
    }

    #[test]
    fn it_is_never_this_program_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("runc");
        std::os::unix::fs::symlink("/proc/self/exe", &link).expect("linked");
        let own = Runtime { path: Some(link), ..Runtime::default() };
        assert!(find(&own).expect_err("itself").line().contains("another runtime"));
        let other = Runtime { path: Some("/bin/true".into()), ..Runtime::default() };
        assert_eq!(find(&other).expect("fine"), Path::new("/bin/true"));
    }
}
