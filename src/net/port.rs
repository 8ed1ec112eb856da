//! What a port of a bridge is set to.

/// The groups 01:80:c2:00:00:00 to 0f, a bit each, but for 01 (pause), which the kernel drops. A port
/// hands a frame to one of them to the instance past the bridge: past its locks and its nftables
/// rules, as if it came in by an interface of its own (`br_handle_frame` in `net/bridge/br_input.c`).
/// Unless it is told to forward it.
pub const LINK_LOCAL_GROUPS: u16 = 0xfffd;

/// The settings of a port that keep its task apart; `None` where the kernel shows none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortForm {
    /// Whether no frame goes from it to another such port.
    pub isolated: Option<bool>,
    /// Whether it learns addresses.
    pub learning: Option<bool>,
    /// Whether frames to unknown addresses are flooded to it.
    pub flood: Option<bool>,
    /// Whether frames to groups are.
    pub mcast_flood: Option<bool>,
    /// Which of the bridge's own groups it forwards frames to.
    pub group_fwd_mask: Option<u16>,
}

impl PortForm {
    /// What a task's port is set to where tasks are kept apart.
    pub const ISOLATED: Self = Self {
        isolated: Some(true),
        learning: Some(false),
        flood: Some(false),
        mcast_flood: Some(false),
        group_fwd_mask: Some(LINK_LOCAL_GROUPS),
    };
}
