//! The documents, as they are here or, if `PAGES` names a folder, as they are installed there: every
//! link to another page, file or section leads somewhere.

// In a test, a panic is what says that something is wrong.
#![allow(clippy::expect_used)]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

/// All pages below the folders that are installed.
fn pages(root: &Path) -> Vec<PathBuf> {
    let folders = ["", "docs", "packaging/engines", "packaging/integration"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root.join(folder)).expect(folder));
    let paths = files.map(|file| file.expect("a file").path());
    paths.filter(|path| path.extension().is_some_and(|is| is == "md")).collect()
}

/// The text of a page without its blocks of code and of commands.
fn prose(page: &Path) -> String {
    let text = fs::read_to_string(page).expect("a page");
    text.split("\n```").step_by(2).collect()
}

/// What the links of a page lead to.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1);
    targets.map(|rest| rest.split_once(')').expect("it is closed").0).collect()
}

/// The names by which others link to a page's sections, as GitHub makes them of headings.
fn sections(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let name_of = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        heading.chars().filter(|&one| one.is_alphanumeric() || one == '-' || one == '_').collect()
    };
    headings.map(name_of).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let root = env::var_os("PAGES").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    let mut checked = 0;
    for page in pages(Path::new(&root)) {
        let text = prose(&page);
        for link in links(&text).into_iter().filter(|link| !link.starts_with("https://")) {
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().expect("a folder").join(file),
            };
            assert!(target.is_file(), "{}: no file {link}", page.display());
            let is_there = section.is_empty() || sections(&prose(&target)).contains(section);
            assert!(is_there, "{}: no section {link}", page.display());
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked} links are too few: how are they written now?");
}
