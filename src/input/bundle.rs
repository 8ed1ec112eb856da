//! What a bundle's `config.json` says of the container's files.

use crate::{
    error::{Doing, Result},
    input::container::read_config,
    task::names::HostName,
};
use nix::fcntl::OFlag;
use serde::Deserialize;
use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::{Component, Path, PathBuf},
};

/// The largest file of an engine's that is read, in bytes.
const MAX_FILE: u64 = 256 << 10;

/// The length of the ids that engines give containers, in hexadecimal digits.
const ID_LEN: usize = 64;

/// The folder, in that of a container, in which podman and CRI-O keep its files (containers/storage, `store.go`).
const PODMANS_FOLDER: &str = "userdata";

/// A container's root filesystem, its name, and what is mounted in it.
#[derive(Debug)]
pub struct Bundle {
    /// Where its root filesystem is on the instance.
    pub rootfs: PathBuf,
    /// Its own name, if it has a valid one.
    pub hostname: Option<HostName>,
    /// Whether it has a UTS namespace of its own, and not another container's.
    pub has_own_uts: bool,
    /// The label that its engine gives its files (`SELinux`).
    pub mount_label: Option<String>,
    has_name: bool,
    mounts: Vec<Mount>,
}

/// Who gave a container a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody; the image may have one.
    Image,
    /// The engine, which keeps it here, on the instance.
    Engine(PathBuf),
    /// Whoever started the container.
    User,
}

#[derive(Deserialize)]
struct Spec {
    root: Option<Root>,
    hostname: Option<String>,
    mounts: Option<Vec<Mount>>,
    linux: Option<Linux>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    namespaces: Option<Vec<Namespace>>,
    mount_label: Option<String>,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    path: Option<String>,
}

#[derive(Deserialize)]
struct Root {
    path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Mount {
    destination: PathBuf,
    source: Option<PathBuf>,
}

impl Bundle {
    /// Reads it. `None`: there is no `config.json`, or it says of no root filesystem.
    ///
    /// # Errors
    /// It cannot be read or parsed.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let Some(text) = read_config(folder)? else { return Ok(None) };
        let path = folder.join("config.json");
        let spec: Spec =
            serde_json::from_slice(&text).doing(|| format!("reading {}", path.display()))?;
        let Some(root) = spec.root else { return Ok(None) };
        let linux = spec.linux.unwrap_or_default();
        let namespaces = linux.namespaces.unwrap_or_default();
        let mut uts = namespaces.iter().filter(|namespace| namespace.kind == "uts");
        let is_own = uts.any(|namespace| namespace.path.as_ref().is_none_or(String::is_empty));
        Ok(Some(Self {
            rootfs: folder.join(root.path),
            has_own_uts: is_own,
            mount_label: linux.mount_label.filter(|label| !label.is_empty()),
            has_name: spec.hostname.as_ref().is_some_and(|name| !name.is_empty()),
            hostname: spec.hostname.and_then(|name| HostName::own(&name).ok()),
            mounts: spec.mounts.unwrap_or_default(),
        }))
    }

    /// Whether nobody has named it: then it has the instance's name, in a namespace of its own.
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        self.has_own_uts && !self.has_name
    }

    /// Who gave the container the file at this path inside.
    #[must_use]
    pub fn origin_of(&self, file: &Path) -> Origin {
        let file = plain(file);
        // Later mounts lie above earlier ones.
        let mount = self.mounts.iter().rev().find(|mount| {
            let destination = plain(&mount.destination);
            !destination.as_os_str().is_empty() && file.starts_with(&destination)
        });
        match mount {
            None => Origin::Image,
            Some(Mount { destination, source: Some(source) })
                if plain(destination) == file && is_of_engine(source) =>
            {
                Origin::Engine(source.clone())
            }
            Some(_) => Origin::User,
        }
    }
}

/// A path inside a container, without what says nothing: as runtimes read it, from the root.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => drop(plain.pop()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    plain
}

/// Whether this is where an engine keeps what it makes for a container: in a folder that is called as that, or the
/// container whose network this one joins, is. Nobody knows that name before, to mount it from there. (A volume without
/// a name has one like that, too, but its files are one folder below.)
fn is_of_engine(source: &Path) -> bool {
    let is_id = |name: &OsStr| {
        name.len() == ID_LEN && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit)
    };
    let folder = source.parent().map(|folder| match folder.parent() {
        Some(above) if folder.file_name() == Some(OsStr::new(PODMANS_FOLDER)) => above,
        _ => folder,
    });
    folder.and_then(Path::file_name).is_some_and(is_id)
}

/// What an engine's file says; nothing, if it is none, or too large.
#[must_use]
pub fn read_file(path: &Path) -> String {
    read(path, OFlag::O_NOFOLLOW)
}

/// The same, where it may be a link.
#[must_use]
pub fn read_linked_file(path: &Path) -> String {
    read(path, OFlag::empty())
}

fn read(path: &Path, flags: OFlag) -> String {
    let read = || {
        // To open a device can do something by itself.
        fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).ok()?;
        let metadata = file.metadata().ok()?;
        let mut text = Vec::new();
        if metadata.is_file() && metadata.len() <= MAX_FILE {
            file.take(MAX_FILE).read_to_end(&mut text).ok()?;
        }
        Some(String::from_utf8_lossy(&text).into_owned())
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gave_a_file_is_told_by_where_it_comes_from() {
        let folder = tempfile::tempdir().expect("a folder");
        let id = "7d7b7fbc30b9".repeat(6)[..64].to_owned();
        let config = format!(
            r#"{{"root": {{"path": "rootfs"}}, "hostname": "a b", "mounts": [
                {{"destination": "/proc", "source": "proc"}},
                {{"destination": "/etc/hosts", "source": "/var/lib/docker/containers/{id}/hosts"}},
                {{"destination": "etc/./x/../resolv.conf", "source": "/home/{id}.conf"}},
                {{"destination": "/run/bare", "source": "/run/mine/bare"}},
                {{"destination": "/run/user", "source": "/run/containers/{id}/userdata/user"}},
                {{"destination": "/run/volume", "source": "/var/lib/docker/volumes/{id}/_data/volume"}},
                {{"destination": "/srv", "source": "/x/{id}/srv"}},
                {{"destination": "/"}}]}}"#
        );
        assert!(Bundle::read(folder.path()).expect("nothing").is_none());
        fs::write(folder.path().join("config.json"), config).expect("written");
        let bundle = Bundle::read(folder.path()).expect("read").expect("there");
        assert_eq!(bundle.rootfs, folder.path().join("rootfs"));
        assert_eq!(bundle.hostname, None);
        let origin = |file: &str| bundle.origin_of(Path::new(file));
        let hosts = PathBuf::from(format!("/var/lib/docker/containers/{id}/hosts"));
        assert_eq!(origin("/etc/hosts"), Origin::Engine(hosts));
        assert_eq!(origin("/etc/resolv.conf"), Origin::User);
        assert_eq!(origin("/etc/hostname"), Origin::Image);
        assert_eq!(origin("/run/bare"), Origin::User);
        assert_eq!(origin("/run/volume"), Origin::User);
        let user = PathBuf::from(format!("/run/containers/{id}/userdata/user"));
        assert_eq!(origin("/run/user"), Origin::Engine(user));
        assert_eq!(origin("/srv/file"), Origin::User);
    }

    #[test]
    fn who_has_a_name_and_who_has_none_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        for (members, nameless) in [
            (r#""linux": {"namespaces": [{"type": "pid"}, {"type": "uts"}]}"#, true),
            (r#""hostname": "", "linux": {"namespaces": [{"type": "uts", "path": ""}]}"#, true),
            (r#""hostname": "a b", "linux": {"namespaces": [{"type": "uts"}]}"#, false),
            (r#""linux": {"namespaces": [{"type": "uts", "path": "/proc/7/ns/uts"}]}"#, false),
            (r#""linux": {"namespaces": [{"type": "pid"}]}"#, false),
            (r#""linux": {"namespaces": null}"#, false),
            (r#""mounts": []"#, false),
        ] {
            let config = format!(r#"{{"root": {{"path": "rootfs"}}, {members}}}"#);
            fs::write(folder.path().join("config.json"), config).expect("written");
            let bundle = Bundle::read(folder.path()).expect("read").expect("there");
            assert_eq!(bundle.is_nameless(), nameless, "{members}");
        }
    }

    #[test]
    fn what_is_no_file_is_not_even_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("made");
        std::thread::scope(|scope| {
            // Until somebody opens the other end.
            let writer = scope.spawn(|| OpenOptions::new().write(true).open(&pipe).is_ok());
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert_eq!([read_file(&pipe), read_linked_file(&pipe)], ["", ""]);
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!writer.is_finished());
            let _reader = fs::File::open(&pipe).expect("opened");
            assert!(writer.join().expect("opened"));
        });
    }

    #[test]
    fn only_a_file_of_some_size_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hosts");
        assert_eq!(read_file(&path), "");
        fs::write(&path, "a").expect("written");
        assert_eq!(read_file(&path), "a");
        fs::write(&path, "a".repeat(300 << 10)).expect("written");
        assert_eq!(read_file(&path), "");
        assert_eq!(read_file(folder.path()), "");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("own"), &link).expect("linked");
        fs::write(folder.path().join("own"), "a").expect("written");
        assert_eq!([read_file(&link), read_linked_file(&link)], ["", "a"]);
    }
}
