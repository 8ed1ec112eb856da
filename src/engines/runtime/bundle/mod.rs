//! Registers the hook in a bundle's `config.json`.
//!
//! Nothing but the lists of hooks, and the name of a pause container that its annotations call otherwise, is written
//! anew: the rest of the file stays as it is, byte by byte.

use crate::{
    error::{Doing, Error, Result},
    input::{
        annotations::{self, FILES, HOSTNAME},
        config::{Config, Detect},
        detect::is_application,
        mention::Mention,
    },
    task::names::{HostName, Policy},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{json, value::RawValue};
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

/// What hooks.d gives the hook too, in seconds; `deadline-seconds` is below.
const TIMEOUT: u64 = 60;

/// The environment variables that can stand for annotations begin so.
const PREFIX: &str = "com.amazonaws.ecs.";

/// The members of a JSON object, as they are written there. Of two with the same name the last one
/// counts, as for the runtimes.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// `null` is taken for a value by some runtimes.
type Annotations = HashMap<String, Option<String>>;

/// Registers the hook in `config.json` at `path`, if that is a pause container's, or another one's of a task, and does
/// not have it already. If it cannot be read, the real runtime reports that. What is no regular file is left to the real runtime,
/// which must find in a pipe what was written to it.
///
/// # Errors
/// The container speaks of an ENI, and the file cannot be replaced, or whether this is a pause container cannot be
/// told.
pub fn register(path: &Path, config: &Config) -> Result<()> {
    let mut mention = Mention::new(&config.detect);
    mention.search_file(path);
    if !mention.is_found() {
        // Another container of a task starts without its files, rather than not at all.
        if mention.is_named()
            && config.runtime.hook.is_file()
            && let Ok(text) = fs::read_to_string(path)
            && let Ok(Some(text)) = registered(&text, config)
        {
            replace(path, &text).ok();
        }
        return Ok(());
    }
    let doing = || format!("registering the hook in {}", path.display());
    let Ok(bytes) = fs::read(path) else { return Ok(()) };
    // The real runtime may be less strict than we are, and would start it without its network.
    let text = std::str::from_utf8(&bytes).doing(|| "not UTF-8").doing(doing)?;
    match registered(text, config).doing(doing)? {
        Some(text) => replace(path, &text).doing(doing),
        None => Ok(()),
    }
}

/// Whether the container whose `config.json` this is speaks of an ENI.
#[must_use]
pub fn speaks_of_an_eni(path: &Path, detect: &Detect) -> bool {
    let mut mention = Mention::new(detect);
    mention.search_file(path);
    mention.is_found()
}

/// The text with the hook registered; `None` if it is registered already, or is not to be.
fn registered(text: &str, config: &Config) -> Result<Option<String>> {
    let (text, annotations) = annotated(text, config)?;
    let name = annotations.get(&config.detect.annotation).and_then(Option::as_ref);
    let is_ours = name == Some(&config.detect.value);
    if !is_ours && !name.is_some_and(|name| is_application(name, config)) {
        return Ok(None);
    }
    let named = if is_ours { named(&text, &annotations, config)? } else { None };
    let is_named = named.is_some();
    let text = named.map_or(text, Cow::from);
    let hooks = member(&text, "hooks")?.unwrap_or("{}");
    let hook = &config.runtime.hook;
    let there = |stage| Ok::<_, Error>(is_registered(member(hooks, stage)?, hook));
    let mut missing = Vec::new();
    if !there("prestart")? && !there("createRuntime")? {
        missing.push("prestart");
    }
    if is_ours && !there("poststop")? {
        missing.push("poststop");
    }
    if missing.is_empty() {
        return Ok(is_named.then(|| text.into_owned()));
    }
    let mut hooks = Cow::from(hooks);
    for stage in missing {
        let entry = json!({"path": hook, "args": ["oci-awsvpc-hook", stage], "timeout": TIMEOUT});
        let list = with_item(member(&hooks, stage)?.unwrap_or("[]"), &entry.to_string())?;
        hooks = with_member(&hooks, stage, &list)?.into();
    }
    with_member(&text, "hooks", &hooks).map(Some)
}

/// The text with the name that the annotations give a pause container, in the place of its engine's: runtimes
/// tell the kernel that one after the hook's call. `None`: there is none of either, they are the same, or names are switched off.
fn named(text: &str, annotations: &Annotations, config: &Config) -> Result<Option<String>> {
    let annotation =
        |key: &str| annotations.get(&format!("{}{key}", annotations::PREFIX))?.as_deref();
    let policy = annotation(FILES).and_then(|policy| policy.parse().ok());
    let given = annotation(HOSTNAME).and_then(|name| HostName::own(name).ok());
    let (Some(given), Some(engines)) = (given, member(text, "hostname")?) else { return Ok(None) };
    let name = json!(given.as_str()).to_string();
    let stays = policy.unwrap_or(config.dns.files) == Policy::Never;
    if stays || [name.as_str(), r#""""#].contains(&engines) {
        return Ok(None);
    }
    with_member(text, "hostname", &name).map(Some)
}

/// The annotations. Where configured so, variables of the process's environment become annotations
/// first, in the text too.
fn annotated<'a>(text: &'a str, config: &Config) -> Result<(Cow<'a, str>, Annotations)> {
    let object = member(text, "annotations")?.unwrap_or("{}");
    let mut annotations: Annotations = serde_json::from_str(object).doing(|| "annotations")?;
    let variables = match member(text, "process")? {
        Some(process) if config.runtime.annotations_from_environment => environment(process)?,
        _ => Vec::new(),
    };
    let mut object = Cow::from(object);
    for (name, value) in variables {
        if let Entry::Vacant(vacant) = annotations.entry(name) {
            object = with_member(&object, vacant.key(), &json!(value).to_string())?.into();
            vacant.insert(Some(value));
        }
    }
    match object {
        Cow::Borrowed(_) => Ok((text.into(), annotations)),
        Cow::Owned(object) => Ok((with_member(text, "annotations", &object)?.into(), annotations)),
    }
}

/// The variables of a process that can stand for annotations.
fn environment(process: &str) -> Result<Vec<(String, String)>> {
    #[derive(Deserialize)]
    struct Process {
        env: Option<Vec<String>>,
    }
    let process: Process = serde_json::from_str(process).doing(|| "process")?;
    let variables = process.env.unwrap_or_default().into_iter();
    let pairs = variables.filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.starts_with(PREFIX).then(|| (name.to_owned(), value.to_owned()))
    });
    Ok(pairs.collect())
}

/// Whether one of a stage's hooks is ours, whatever its arguments are.
fn is_registered(list: Option<&str>, hook: &Path) -> bool {
    #[derive(Deserialize)]
    struct Hook {
        path: PathBuf,
    }
    let hooks: Vec<Hook> =
        list.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
    hooks.iter().any(|other| other.path == hook)
}

fn members(object: &str) -> Result<Members<'_>> {
    serde_json::from_str(object).doing(|| "not a JSON object")
}

/// A member of an object, as it is written there; `null` is none.
fn member<'a>(object: &'a str, name: &str) -> Result<Option<&'a str>> {
    let value = members(object)?.get(name).map(|value| value.get());
    Ok(value.filter(|&value| value != "null"))
}

/// The text of an object, with another value of a member.
fn with_member(object: &str, name: &str, value: &str) -> Result<String> {
    let members = members(object)?;
    if let Some(old) = members.get(name) {
        // It was not copied: it lies within the object.
        let begin = old.get().as_ptr().addr() - object.as_ptr().addr();
        let (before, after) = (&object[..begin], &object[begin + old.get().len()..]);
        return Ok(format!("{before}{value}{after}"));
    }
    let (before, after) = object.split_once('{').unwrap_or_default();
    let comma = if members.is_empty() { "" } else { "," };
    Ok(format!("{before}{{{}:{value}{comma}{after}", json!(name)))
}

/// The text of a list, with one more item.
fn with_item(list: &str, item: &str) -> Result<String> {
    let items: Vec<IgnoredAny> = serde_json::from_str(list).doing(|| "hooks: not a list")?;
    let before = list.strip_suffix(']').unwrap_or_default();
    let comma = if items.is_empty() { "" } else { "," };
    Ok(format!("{before}{comma}{item}]"))
}

/// Puts a new file in the place of `path`, in one moment. Where that is a link, the link is
/// replaced: what it leads to may be other bundles' too.
fn replace(path: &Path, text: &str) -> Result<()> {
    let old = fs::metadata(path).doing(|| "looking at it")?;
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".config.json.")
        .tempfile_in(folder)
        .doing(|| "creating a file beside it")?;
    file.write_all(text.as_bytes()).doing(|| "writing")?;
    fchown(file.as_file(), Some(old.uid()), Some(old.gid())).doing(|| "keeping its owner")?;
    let mode = Permissions::from_mode(old.mode() & 0o7777);
    file.as_file().set_permissions(mode).doing(|| "keeping its mode")?;
    file.persist(path).map_err(|error| error.error).doing(|| "renaming")?;
    Ok(())
}

#[cfg(test)]
mod tests;
