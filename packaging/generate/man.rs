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
const RUNTIME: &str = "oci-awsvpc-runtime";

/// Files that the command's page names, and what they are.
const FILES: [(&str, &str); 3] = [
    ("/etc/oci-awsvpc-hook/config.toml", "The configuration: see oci-awsvpc-hook(5)."),
    (
        "/usr/share/containers/oci/hooks.d/oci-awsvpc-hook-*.json",
        "The registration, by which podman and CRI-O call the hook for containers of tasks.",
    ),
    (
        "/usr/share/doc/oci-awsvpc-hook/",
        "The annotations that describe a task's network, what the messages mean, and samples: for \
         container engines, and to keep host daemons off the ENIs.",
    ),
];

/// What the wrapper's page says, a paragraph each. Its command line is the real runtime's.
const RUNTIME_DESCRIPTION: [&str; 3] = [
    "An OCI runtime for container engines that do not read hooks.d: bare runc and crun, containerd, \
     and Docker. It takes the arguments of runc(8) or crun(1).",
    "At create and run, it looks into the bundle. If the annotations say that this is a task's pause \
     container, or another container of a task, it registers oci-awsvpc-hook(1) in the bundle's \
     config.json, unless it is registered there. A config.json that is a pipe is left to the real \
     runtime. Then, as for any other container and command, it becomes the real runtime: with the same \
     arguments, environment, open files and signals.",
    "The real runtime is what runtime.path in the configuration says; by default the first runc, else \
     the first crun, in /usr/local/sbin, /usr/local/bin, /usr/sbin and /usr/bin.",
];

/// The command's page, section 1.
pub fn command_page(date: &str) -> io::Result<Vec<u8>> {
    let mut command = Cli::command().disable_help_subcommand(true).subcommand_value_name("COMMAND");
    command.build();
    let mut page = Vec::new();
    title(NAME, "1", date, "User Commands").to_writer(&mut page)?;
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
    see_also(
        &mut rest,
        "oci-awsvpc-hook(5), oci-awsvpc-runtime(1), podman(1), runc(8), crun(1), oci-hooks(5), \
         nft(8), ip-link(8)",
    );
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
        let own = one.get_arguments().filter(|one| !one.is_global_set() && one.get_id() != "help");
        for option in own {
            let long = option.get_long().unwrap_or_default();
            let help = option.get_help().map(ToString::to_string).unwrap_or_default();
            roff.control("RS", []);
            item(&mut roff, [bold(format!("--{long}"))], &help);
            roff.control("RE", []);
        }
    }
    roff
}

/// The wrapper's page, section 1.
pub fn runtime_page(date: &str) -> String {
    let mut roff = title(RUNTIME, "1", date, "User Commands");
    name(
        &mut roff,
        RUNTIME,
        "an OCI runtime that gives a task's containers their network and names",
    );
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold(RUNTIME), roman(" ["), italic("ARGUMENT"), roman("...]")]);
    roff.control("SH", ["DESCRIPTION"]);
    for text in RUNTIME_DESCRIPTION {
        paragraph(&mut roff, text);
    }
    roff.control("SH", ["EXIT STATUS"]);
    roff.text([roman(
        "The real runtime's; 1 if it cannot be started, or the hook cannot be registered. The message is \
         on stderr and in the file that --log names.",
    )]);
    roff.control("SH", ["FILES"]);
    let (file, text) = FILES[0];
    item(&mut roff, [italic(file)], text);
    see_also(&mut roff, "oci-awsvpc-hook(1), oci-awsvpc-hook(5), runc(8), crun(1)");
    roff.render()
}

/// The configuration's page, section 5: the shipped file, in which an empty line stands between
/// tables, and a comment above what it explains.
pub fn config_page(date: &str) -> Result<String, Box<dyn Error>> {
    let mut roff = title(NAME, "5", date, "File Formats Manual");
    name(&mut roff, NAME, &format!("configuration of {NAME}"));
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([italic("/etc/oci-awsvpc-hook/config.toml")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman("The file is TOML.")]);
    let shipped = fs::read_to_string(CONFIG)?;
    let mut tables = shipped.split("\n\n");
    // Its first line is for those who read the file, not the page.
    let head = tables.next().and_then(|head| head.split_once("\n#\n")).ok_or("no introduction")?;
    paragraph(&mut roff, &head.1.replace("\n# ", " ").replacen("# ", "", 1));
    roff.control("SH", ["KEYS"]);
    for table in tables {
        config_table(&mut roff, table)?;
    }
    see_also(&mut roff, "oci-awsvpc-hook(1), oci-awsvpc-runtime(1)");
    Ok(roff.render())
}

/// The keys of one table. A line that is neither a comment nor a key with its default is an error.
fn config_table(roff: &mut Roff, lines: &str) -> Result<(), Box<dyn Error>> {
    let first = lines.lines().find_map(default);
    if let Some((table, _)) = first.and_then(|(key, _)| key.split_once('.')) {
        roff.control("SS", [table]);
    }
    let mut comments: Vec<&str> = Vec::new();
    for line in lines.lines() {
        if let Some(text) = comment(line) {
            comments.push(text);
        } else if line == "#" {
            // What was said is about all of the table.
            paragraph(roff, &comments.join(" "));
            comments.clear();
        } else {
            let (key, value) = default(line).ok_or(format!("not a key and its default: {line}"))?;
            item(roff, [bold(key), roman(" = "), roman(value)], &comments.join(" "));
            comments.clear();
        }
    }
    if comments.is_empty() { Ok(()) } else { Err(format!("explain nothing: {comments:?}").into()) }
}

/// The text of a line that is a comment, and not a key that is commented out.
fn comment(line: &str) -> Option<&str> {
    line.strip_prefix("# ")
}

/// A key and its default, commented out.
fn default(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('#').filter(|key| !key.starts_with(' '))?.split_once(" = ")
}

fn title(of: &str, section: &str, date: &str, manual: &str) -> Roff {
    let source = format!("{NAME} {}", env!("CARGO_PKG_VERSION"));
    let mut roff = Roff::new();
    roff.control("TH", [&of.to_uppercase(), section, date, &source, manual]);
    roff
}

fn name(roff: &mut Roff, of: &str, what: &str) {
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{of} - {what}"))]);
}

fn see_also(roff: &mut Roff, pages: &str) {
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(pages)]);
}

fn paragraph(roff: &mut Roff, text: &str) {
    roff.control("PP", []);
    roff.text([roman(in_ascii(text))]);
}

/// One item of a list: a head, and below it what it means.
fn item(roff: &mut Roff, head: impl Into<Vec<Inline>>, text: &str) {
    roff.control("TP", []);
    roff.text(head);
    roff.text([roman(in_ascii(text))]);
}

/// Where the locale is C, troff knows no ellipsis.
fn in_ascii(text: &str) -> String {
    text.replace('…', "...")
}
