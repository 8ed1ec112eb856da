//! Whole processes against the clock: the hook, the floor below it, and the plugins that it replaces.
//!
//!   bench HOOK FLOOR OUT [ROUNDS [pairs|names|first-byte|together|density]...]
//!
//! Needs root, and CNI's reference plugins where Debian puts them. Makes all its networks itself, in
//! namespaces without a name. Writes tables and plots into the folder OUT.

mod container;
mod density;
mod first_byte;
mod names;
mod pairs;
mod programs;
mod report;
mod timed;
mod together;
mod world;

use std::{path::PathBuf, process::exit};

/// What is measured.
pub struct Programs {
    pub hook: PathBuf,
    pub floor: PathBuf,
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let [_, hook, floor, out, rest @ ..] = &words[..] else {
        eprintln!(
            "usage: bench HOOK FLOOR OUT [ROUNDS [pairs|names|first-byte|together|density]...]"
        );
        exit(2);
    };
    let rounds = rest.first().map_or(30, |rounds| rounds.parse().expect("a number"));
    let programs = Programs { hook: hook.into(), floor: floor.into() };
    let mut report = report::Report::new(out.into());
    report.machine();
    let is_wanted = |part: &str| rest.len() < 2 || rest[1..].iter().any(|word| word == part);
    if is_wanted("pairs") {
        pairs::run(&programs, rounds, &mut report);
    }
    if is_wanted("names") {
        names::run(&programs, rounds, &mut report);
    }
    if is_wanted("first-byte") {
        first_byte::run(&programs, rounds * 7, &mut report);
    }
    if is_wanted("together") {
        together::run(&programs, &mut report);
    }
    if is_wanted("density") {
        density::run(&programs, &mut report);
    }
    exit(i32::from(!report.write()));
}
