//! The layout of the source, as docs/design.md draws it: a wing uses only wings below it, a room of a
//! wing never its `mod.rs`, and nothing goes round in a circle.

// In a test, a panic is what says that something is wrong.
#![allow(clippy::expect_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// From the top down, in the order in which a call flows.
const WINGS: [&str; 15] = [
    "commands", "cli", "apply", "plan", "eni", "files", "snapshot", "nft", "engines", "input",
    "task", "kernel", "net", "process", "error",
];

/// A module by its path in the crate: `["snapshot", "look"]`.
type Module = Vec<String>;

struct Source {
    file: PathBuf,
    text: String,
}

fn modules() -> BTreeMap<Module, Source> {
    fn walk(folder: &Path, at: &Module, found: &mut BTreeMap<Module, Source>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let file = entry.expect("an entry").path();
            let stem = file.file_stem().expect("a name").to_string_lossy().into_owned();
            let inner = [at.clone(), vec![stem.clone()]].concat();
            if file.is_dir() {
                walk(&file, &inner, found);
            } else if !matches!(stem.as_str(), "tests" | "lib" | "main" | "testing") {
                let module = if stem == "mod" { at.clone() } else { inner };
                let text = fs::read_to_string(&file).expect("text");
                found.insert(module, Source { file, text });
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &Module::new(), &mut found);
    found.retain(|module, _| !matches!(module[0].as_str(), "bin") && !is_test(module));
    found
}

fn is_test(module: &Module) -> bool {
    module.iter().any(|name| name == "tests")
}

/// What a file says outside of comments and of its unit tests.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let lines = text[..end].lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths in `use` lines and elsewhere that begin with one of these words.
fn paths(code: &str, first: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(first) {
        let is_word = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        if is_word {
            expand(&code[at + first.len()..], &mut Vec::new(), &mut found);
        }
    }
    found
}

/// Reads `a::{b, c::d}`, the rest of a path, and gives how much of the text it was.
fn expand(text: &str, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let (depth, mut at) = (before.len(), 0);
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if text[at..].starts_with('{') {
            at += 1;
            while !text[at..].trim_start().starts_with('}') {
                at += expand(&text[at..], before, found);
                at += text[at..].find([',', '}']).expect("a list goes on or ends");
                at += usize::from(text[at..].starts_with(','));
            }
            at += 1 + text[at..].find('}').expect("it does");
            break;
        }
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        before.push(rest[..end].to_owned());
        at += end;
        if !text[at..].starts_with("::") {
            found.push(before.clone());
            break;
        }
        at += 2;
    }
    before.truncate(depth);
    at
}

/// The modules that each module uses.
fn uses(modules: &BTreeMap<Module, Source>) -> BTreeMap<Module, BTreeSet<Module>> {
    let resolve = |path: &[String]| {
        (1..=path.len()).rev().map(|len| path[..len].to_vec()).find(|is| modules.contains_key(is))
    };
    let of = |(module, source): (&Module, &Source)| {
        let code = code(&source.text);
        let mut absolute = paths(&code, "crate::");
        let parent = &module[..module.len() - 1];
        absolute.extend(paths(&code, "super::").iter().map(|path| [parent, path].concat()));
        let inner = code.lines().filter_map(|line| line.trim().strip_prefix("use "));
        absolute.extend(inner.map(|line| {
            let first = line.split("::").next().unwrap_or_default().to_owned();
            [module.clone(), vec![first]].concat()
        }));
        let mut used: BTreeSet<Module> = absolute.iter().filter_map(|path| resolve(path)).collect();
        used.remove(module);
        (module.clone(), used)
    };
    modules.iter().map(of).collect()
}

#[test]
fn a_wing_uses_only_wings_below_it() {
    let modules = modules();
    let floor = |module: &Module| {
        let wing = module[0].as_str();
        WINGS.iter().position(|other| *other == wing).unwrap_or_else(|| panic!("{wing} is no wing"))
    };
    let uses = uses(&modules);
    assert!(uses.values().map(BTreeSet::len).sum::<usize>() > 150, "imports are not found");
    for (module, used) in &uses {
        let file = modules[module].file.display();
        for other in used {
            assert!(floor(module) <= floor(other), "{file} uses {}", other.join("::"));
            let is_own_mod = module.len() > 1 && module[0] == other[0] && module.starts_with(other);
            assert!(!is_own_mod, "{file} uses the mod.rs of its own wing");
        }
    }
}

#[test]
fn imports_do_not_go_round_in_a_circle() {
    let mut uses = uses(&modules());
    while !uses.is_empty() {
        let ends: Vec<Module> = uses
            .iter()
            .filter(|(_, used)| used.iter().all(|other| !uses.contains_key(other)))
            .map(|(module, _)| module.clone())
            .collect();
        assert!(!ends.is_empty(), "in a circle, or above one: {:?}", uses.keys());
        uses.retain(|module, _| !ends.contains(module));
    }
}

/// A method in another file than its type's is an import that no `use` line shows. Only the kernel's
/// socket has its requests in one file for each kind of object.
#[test]
fn a_type_has_its_methods_in_its_own_file() {
    let modules = modules();
    for (module, source) in &modules {
        let code = code(&source.text);
        for line in code.lines().filter_map(|line| line.strip_prefix("impl")) {
            let line = line.trim_start_matches(|c: char| c != ' ').trim();
            let inherent = !line.contains(" for ");
            let name: String = line.chars().take_while(|c| c.is_alphanumeric()).collect();
            let is_here = ["struct", "enum", "trait"]
                .iter()
                .any(|kind| code.contains(&format!("{kind} {name}")));
            let is_socket = module[0] == "kernel" && name == "Netlink";
            assert!(
                !inherent || is_here || is_socket,
                "{}: impl {name}, which is defined elsewhere",
                source.file.display()
            );
        }
    }
}

/// Names, aliases and ids that a task chose are made printable where lines are written, and not by everybody who
/// makes one: so lines are written in these files alone.
#[test]
fn lines_are_written_in_three_places() {
    let modules = modules();
    let writes = |source: &&Source| {
        let code = code(&source.text);
        ["stdout(", "stderr(", "print!", "println!"].iter().any(|call| code.contains(call))
    };
    let files: BTreeSet<String> = modules
        .values()
        .filter(writes)
        .map(|source| source.file.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("ours"))
        .map(|file| file.display().to_string())
        .collect();
    let expected = ["src/commands/mod.rs", "src/engines/runtime/mod.rs", "src/process/logging.rs"];
    assert_eq!(files, BTreeSet::from(expected.map(str::to_owned)));
}

#[test]
fn files_fit_a_sitting() {
    for source in modules().values() {
        let lines = source.text.lines().count();
        assert!(lines <= 300, "{} has {lines} lines", source.file.display());
    }
}

/// What docs/design.md says of the source: the tree has all of it, and every file and folder is there.
#[test]
fn the_design_names_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let design = fs::read_to_string(root.join("docs/design.md")).expect("docs/design.md");
    let tree = design.split("\nsrc/\n").nth(1).and_then(|rest| rest.split("```").next());
    let names = tree.expect("a tree").lines().filter_map(|line| line.split_whitespace().next());
    let drawn: BTreeSet<String> = names.map(|name| name.trim_end_matches('/').to_owned()).collect();
    let entries =
        fs::read_dir(root.join("src")).expect("src").map(|entry| entry.expect("an entry"));
    let there = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(drawn, there);

    let quoted = design.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_path = |word: &&str| {
        (word.contains('/') || Path::new(word).extension().is_some_and(|is| is == "rs"))
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
    };
    let paths: Vec<&str> = quoted.filter(is_path).filter(|path| !path.starts_with('/')).collect();
    assert!(paths.len() > 20, "paths are not found: {paths:?}");
    for path in paths {
        let is_there = ["", "src"].iter().any(|folder| root.join(folder).join(path).exists());
        assert!(is_there, "docs/design.md: no {path}");
    }
}
