//! Who hands an ENI on: one call at a time.

use crate::{
    error::{Doing, KernelError, Result},
    net::mac::Mac,
    process::limits::Limits,
};
use std::{
    io::ErrorKind,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

/// As long as this lives, no other call on this instance takes the ENI in or out: a socket of the ENI's name in the
/// abstract namespace (unix(7)), which is the network namespace's own, out of a task's reach. Two cannot have one
/// name, and the kernel lets go of it when the process ends, however it does. `ss -xlp` shows who has it.
#[derive(Debug)]
pub struct Custody(#[allow(dead_code)] UnixDatagram);

impl Custody {
    /// Takes it, when no other call has it any more.
    ///
    /// # Errors
    /// Another one, or another program, has it until the time is up.
    pub fn take(eni: Mac, limits: &Limits) -> Result<Self> {
        limits.wait_for(|| Self::try_take(eni)).doing(|| {
            format!("waiting for another call, or another program, to let go of ENI {eni}")
        })
    }

    /// Takes it. `None`: another call has it.
    ///
    /// # Errors
    /// The kernel does not let us.
    pub fn try_take(eni: Mac) -> Result<Option<Self>> {
        let take = || {
            let name = SocketAddr::from_abstract_name(format!("oci-awsvpc-hook/{eni}"))?;
            UnixDatagram::bind_addr(&name)
        };
        match take() {
            Ok(socket) => Ok(Some(Self(socket))),
            Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
            Err(error) => {
                Err(KernelError::from(error)).doing(|| format!("taking custody of ENI {eni}"))
            }
        }
    }
}
