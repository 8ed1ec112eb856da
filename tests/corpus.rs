//! Every input that is kept in `fuzz/corpus` goes through the checks that it goes through under the
//! fuzzer, so that what was found once stays found, on a stable compiler and without a fuzzer.

// A test that cannot go on says why by failing.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "../fuzz/src/checks.rs"]
mod checks;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// Runs the check on every file of one folder, and says which ones fail.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let (mut seen, mut failed) = (0, Vec::new());
    for entry in entries {
        let path = entry.expect("an entry").path();
        let input = fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        seen += 1;
        if catch_unwind(AssertUnwindSafe(|| check(&input))).is_err() {
            failed.push(path);
        }
    }
    assert!(seen > 0, "{} is empty", folder.display());
    assert!(failed.is_empty(), "these fail: {failed:#?}");
}

#[test]
fn states() {
    replay("state", checks::state);
}

#[test]
fn annotations() {
    replay("annotations", checks::annotations);
}

#[test]
fn aliases() {
    replay("alias", checks::alias);
}

#[test]
fn configurations() {
    replay("config", checks::config);
}
