//! The manual pages.

use clap::{Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, italic, roman},
};
use oci_awsvpc_hook::cli::Cli;
use std::{error::Error, fs, io};

const CONFIG: &str = "packaging/config.toml";
const NAME: &str = "oci-awsvpc-hook";

/// Files that the command's page names, and what they are.
const FILES: [(&str, &str); 3] = [
    ("/etc/oci-awsvpc-hook/config.toml", "The configuration: see oci-awsvpc-hook(5)."),
    (
        "/usr/share/containers/oci/hooks.d/oci-awsvpc-hook-*.json",
        "The registration, by which podman and CRI-O call the hook for pause containers.",
    ),
    (
        "/usr/share/doc/oci-awsvpc-hook/",
        "The annotations that describe a task's network, what the messages mean, and files that keep \
         host daemons off the ENIs.",
    ),
];

/// The command's page, section 1.
pub fn command_page(date: &str) -> io::Result<Vec<u8>> {
    let mut command = Cli::command().disable_help_subcommand(true).subcommand_value_name("COMMAND");
    command.build();
    let mut page = Vec::new();
    title(&mut page, "1", date, "User Commands")?;
    let man = Man::new(command.clone());
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    commands(&command).to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    rest.control("SH", ["FILES"]);
    for (file, text) in FILES {
        item(&mut rest, [italic(file)], text);
    }
    rest.control("SH", ["SEE ALSO"]);
    rest.text([roman("oci-awsvpc-hook(5), podman(1), runc(8), crun(1), oci-hooks(5), ip-link(8)")]);
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// The subcommands. (`clap_mangen` would refer to a page of its own for each.)
fn commands(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        let about = one.get_long_about().or(one.get_about()).map(ToString::to_string);
        item(&mut roff, [bold(one.get_name())], &about.unwrap_or_default());
    }
    roff
}

/// The configuration's page, section 5: the shipped file, whose comments stand above what they
/// explain. A line that is neither a comment, a table nor a key with its default is an error.
pub fn config_page(date: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut page = Vec::new();
    title(&mut page, "5", date, "File Formats Manual")?;
    let mut roff = config_head();
    let shipped = fs::read_to_string(CONFIG)?;
    // The first line is for those who read the file, not the page.
    let mut lines = shipped.lines().skip_while(|line| *line != "#").skip(1);
    let mut comment: Vec<&str> = Vec::new();
    let mut introduced = false;
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("# ") {
            comment.push(text);
        } else if line.is_empty() || line == "#" {
            // The end of a paragraph that explains the file, or a table, but no key.
            if !comment.is_empty() {
                paragraph(&mut roff, &comment);
                comment.clear();
            }
            if !introduced {
                roff.control("SH", ["KEYS"]);
                introduced = true;
            }
        } else if line.starts_with('[') {
            roff.control("SS", [line]);
        } else {
            let key = line.strip_prefix('#').ok_or(format!("not a default: {line}"))?;
            let (name, mut value) = split(key).ok_or(format!("not a key: {line}"))?;
            // An array may go on for lines.
            while value.starts_with('[') && !value.ends_with(']') {
                let more = lines.next().and_then(|line| line.strip_prefix('#'));
                value = format!("{value} {}", more.ok_or(format!("does not end: {line}"))?.trim());
            }
            let head = [bold(name), roman(" = "), roman(value)];
            item(&mut roff, head, &comment.join(" "));
            comment.clear();
        }
    }
    if !comment.is_empty() {
        return Err(format!("explains nothing: {}", comment.join(" ")).into());
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(format!("{NAME}(1)"))]);
    roff.to_writer(&mut page)?;
    Ok(page)
}

fn config_head() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{NAME} - configuration of {NAME}"))]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([italic("/etc/oci-awsvpc-hook/config.toml")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman("The file is TOML.")]);
    roff
}

fn split(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(" = ")?;
    Some((name.to_owned(), value.to_owned()))
}

fn title(page: &mut Vec<u8>, section: &str, date: &str, manual: &str) -> io::Result<()> {
    let source = format!("{NAME} {}", env!("CARGO_PKG_VERSION"));
    let mut roff = Roff::new();
    roff.control("TH", [&NAME.to_uppercase(), section, date, &source, manual]);
    roff.to_writer(page)
}

fn paragraph(roff: &mut Roff, lines: &[&str]) {
    roff.control("PP", []);
    roff.text([roman(lines.join(" ").replace('…', "..."))]);
}

/// One item of a list: a head, and below it what it means.
fn item(roff: &mut Roff, head: impl Into<Vec<Inline>>, text: &str) {
    roff.control("TP", []);
    roff.text(head);
    // Where the locale is C, troff knows no ellipsis.
    roff.text([roman(text.replace('…', "..."))]);
}
