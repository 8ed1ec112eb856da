//! What the kernel answers when it refuses.

use crate::error::KernelError;
use nix::errno::Errno;

/// The result of one request.
pub type Answer<T> = Result<T, KernelError>;

/// The refusal in an acknowledgement or at the end of a dump; `None` if it says that all went well.
pub fn refusal(payload: &[u8]) -> Option<KernelError> {
    let code = payload.get(..4).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes);
    match code {
        Some(code) if code < 0 => {
            let errno = Errno::from_raw(code.saturating_neg());
            Some(KernelError { errno, sentence: sentence(&payload[4..]) })
        }
        _ => None,
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
}
