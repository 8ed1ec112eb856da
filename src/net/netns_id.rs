//! Which network namespace.

use std::{fmt, str::FromStr};

/// The identity of a network namespace.
///
/// Its inode is what `ls -l /proc/PID/ns/net` and `lsns` show; it recurs when the namespace is gone, at
/// once if somebody tries. Its cookie never does, but kernels before 5.14 tell none.
#[derive(Clone, Copy, Debug)]
pub struct NetnsId {
    /// The inode.
    pub inode: u64,
    /// The cookie (`SO_NETNS_COOKIE`).
    pub cookie: Option<u64>,
}

impl PartialEq for NetnsId {
    /// By what both know.
    fn eq(&self, other: &Self) -> bool {
        match (self.cookie, other.cookie) {
            (Some(one), Some(other)) => one == other,
            _ => self.inode == other.inode,
        }
    }
}

impl Eq for NetnsId {}

impl FromStr for NetnsId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (inode, cookie) = match text.split_once('/') {
            Some((inode, cookie)) => (inode, Some(cookie.parse().map_err(|_| "no cookie")?)),
            None => (text, None),
        };
        Ok(Self { inode: inode.parse().map_err(|_| "no inode")?, cookie })
    }
}

impl fmt::Display for NetnsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inode.fmt(f)?;
        self.cookie.map_or(Ok(()), |cookie| write!(f, "/{cookie}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inode_that_recurs_is_another_namespace_where_the_kernel_tells() {
        let id = |text: &str| text.parse::<NetnsId>().expect("an id");
        assert_eq!(id("7/1"), id("7/1"));
        assert_ne!(id("7/1"), id("7/2"));
        assert_eq!(id("7"), id("7/2"));
        assert_ne!(id("8"), id("7/2"));
        for text in ["4026532177", "4026532177/9"] {
            assert_eq!(id(text).to_string(), text);
        }
        for bad in ["", "x", "7/", "/7", "7/x"] {
            assert!(bad.parse::<NetnsId>().is_err(), "{bad}");
        }
    }
}
