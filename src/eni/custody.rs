//! Who has an ENI in hand: one call at a time.

use crate::{
    error::{Doing, KernelError, Result},
    net::mac::Mac,
    process::limits::Limits,
};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, getsockopt, recv, socket,
        sockopt::PeerCredentials,
    },
    unistd::geteuid,
};
use std::{
    fs,
    io::{self, ErrorKind},
    os::{
        fd::{AsRawFd, OwnedFd},
        linux::{fs::MetadataExt, net::SocketAddrExt},
        unix::net::{SocketAddr, UnixListener},
    },
    thread,
    time::Duration,
};

/// How often to try to meet who has the name but does not listen yet, or not any more; and how long to wait between.
const MEETINGS: u32 = 50;
const PAUSE: Duration = Duration::from_micros(200);

/// As long as this lives, no other call on this instance takes the ENI in or out.
///
/// It is a socket of the ENI's name in the abstract namespace (unix(7)), which is the network namespace's own, out of a
/// task's reach. Two cannot have one name, and the kernel lets go of it when the process ends, however it does.
/// `ss -xlp` shows who has it. Any program of the instance could take the name; one that is not this program, or not
/// root's, keeps nobody waiting.
#[derive(Debug)]
pub struct Custody(#[allow(dead_code)] Option<UnixListener>);

impl Custody {
    /// Takes it, when no other call has it any more.
    ///
    /// # Errors
    /// Another one has it until the time is up.
    pub fn take(eni: Mac, limits: &Limits) -> Result<Self> {
        let doing = || format!("waiting for another call to let go of ENI {eni}");
        loop {
            match Self::look(eni)? {
                Outcome::Taken(custody) => return Ok(custody),
                Outcome::Held(holder) => {
                    limits.wait_until(|| Ok(has_let_go(&holder))).doing(doing)?;
                }
            }
        }
    }

    /// Takes it. `None`: another call has it.
    ///
    /// # Errors
    /// The kernel does not let us.
    pub fn try_take(eni: Mac) -> Result<Option<Self>> {
        Ok(match Self::look(eni)? {
            Outcome::Taken(custody) => Some(custody),
            Outcome::Held(_) => None,
        })
    }

    fn look(eni: Mac) -> Result<Outcome> {
        let name = format!("oci-awsvpc-hook/{eni}");
        let bind = || UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?);
        let looked = || -> io::Result<Option<Outcome>> {
            match bind() {
                Ok(socket) => return Ok(Some(Outcome::Taken(Self(Some(socket))))),
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
            let Some((socket, pid)) = meet(&name)? else { return Ok(None) };
            if is_this_program(pid) {
                return Ok(Some(Outcome::Held(socket)));
            }
            log::warn!("ENI {eni}: process {pid} has the name @{name}, which it should not");
            Ok(Some(Outcome::Taken(Self(None))))
        };
        for _ in 0..MEETINGS {
            let outcome = looked().map_err(KernelError::from);
            if let Some(outcome) = outcome.doing(|| format!("taking custody of ENI {eni}"))? {
                return Ok(outcome);
            }
            thread::sleep(PAUSE);
        }
        log::warn!("ENI {eni}: somebody has the name @{name}, and does not listen");
        Ok(Outcome::Taken(Self(None)))
    }
}

/// What came of the wish for custody.
enum Outcome {
    Taken(Custody),
    /// Another call has it: a connection to it, which ends when that one lets go.
    Held(OwnedFd),
}

/// Connects to who has the name; also gives its pid, or 0 where it has another uid or cannot be told. `None`: it has just
/// let go.
fn meet(name: &str) -> nix::Result<Option<(OwnedFd, i32)>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match connect(socket.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?) {
        Ok(()) => {}
        // Nobody is there, or does not listen yet.
        Err(Errno::ECONNREFUSED) => return Ok(None),
        // Of another type, or it lets nobody in.
        Err(_) => return Ok(Some((socket, 0))),
    }
    let peer = getsockopt(&socket, PeerCredentials)?;
    let pid = if peer.uid() == geteuid().as_raw() { peer.pid() } else { 0 };
    Ok(Some((socket, pid)))
}

/// Whether a process runs the very file that this one does.
fn is_this_program(pid: i32) -> bool {
    let file = |of: String| fs::metadata(of).map(|file| (file.st_dev(), file.st_ino())).ok();
    let other = file(format!("/proc/{pid}/exe"));
    other.is_some() && other == file("/proc/self/exe".to_owned())
}

/// Whether the other end of a connection that nobody accepts is closed.
fn has_let_go(holder: &OwnedFd) -> bool {
    recv(holder.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT) != Err(Errno::EAGAIN)
}
