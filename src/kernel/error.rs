//! What the kernel answers when it refuses.

use nix::errno::Errno;
use rtnetlink::packet_core::ErrorMessage;
use std::fmt;

/// The result of one request.
pub type Answer<T> = Result<T, KernelError>;

/// A refusal of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelError {
    /// Which error.
    pub errno: Errno,
    /// What the kernel says about it beyond that, in its own words.
    pub sentence: Option<String>,
}

impl KernelError {
    /// Whether there is no such link: by index ENODEV, by name the same.
    #[must_use]
    pub fn is_no_device(&self) -> bool {
        self.errno == Errno::ENODEV
    }

    /// Whether it exists already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        self.errno == Errno::EEXIST
    }

    /// Whether what should go away is not there: ENODEV for links, EADDRNOTAVAIL for addresses,
    /// ESRCH for routes, ENOENT for neighbours.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        use Errno::{EADDRNOTAVAIL, ENODEV, ENOENT, ESRCH};
        [EADDRNOTAVAIL, ENODEV, ENOENT, ESRCH].contains(&self.errno)
    }

    /// Whether we may not.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self.errno, Errno::EPERM | Errno::EACCES)
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.errno.desc().to_lowercase())?;
        if let Some(sentence) = &self.sentence {
            write!(f, " (the kernel says: {sentence})")?;
        }
        if self.is_denied() {
            f.write_str(
                "; the hook needs CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_SYS_PTRACE: does it run as root?",
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for KernelError {}

impl From<ErrorMessage> for KernelError {
    fn from(message: ErrorMessage) -> Self {
        Self {
            errno: Errno::from_raw(message.raw_code().saturating_neg()),
            sentence: sentence(&message.header),
        }
    }
}

impl From<std::io::Error> for KernelError {
    fn from(error: std::io::Error) -> Self {
        Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32)).into()
    }
}

impl From<Errno> for KernelError {
    fn from(errno: Errno) -> Self {
        Self { errno, sentence: None }
    }
}

/// The kernel's sentence: the attribute `NLMSGERR_ATTR_MSG` behind the 16 bytes of our request's
/// header, which is all of the request that comes back with `NETLINK_CAP_ACK`.
/// <https://docs.kernel.org/userspace-api/netlink/intro.html#ext-ack>
fn sentence(header: &[u8]) -> Option<String> {
    const NLMSGERR_ATTR_MSG: u16 = 1;
    const TYPE_MASK: u16 = 0x3fff;
    let mut rest = header.get(16..)?;
    loop {
        let (length, kind) = (rest.get(..2)?, rest.get(2..4)?);
        let length = usize::from(u16::from_ne_bytes(length.try_into().ok()?));
        let kind = u16::from_ne_bytes(kind.try_into().ok()?) & TYPE_MASK;
        let value = rest.get(4..length)?;
        if kind == NLMSGERR_ATTR_MSG {
            let text = String::from_utf8_lossy(value);
            return Some(text.trim_end_matches(['\0', '\n', '.']).to_owned());
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attributes::attribute;

    #[test]
    fn the_kernels_sentence_is_found_behind_other_attributes() {
        let header =
            [vec![0; 16], attribute(2, &[1, 0, 0, 0]), attribute(1, b"Bad gateway\0")].concat();
        assert_eq!(sentence(&header).as_deref(), Some("Bad gateway"));
    }

    #[test]
    fn torn_attributes_are_no_sentence() {
        for header in
            [vec![], vec![0; 16], vec![0; 18], [vec![0; 16], vec![200, 0, 1, 0, 65]].concat()]
        {
            assert_eq!(sentence(&header), None);
        }
    }

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        let error = KernelError { errno: Errno::EEXIST, sentence: None };
        assert_eq!(error.to_string(), "file exists");
    }
}
