//! The form of a link: all that somebody who has it may set on it, and that stays on it when it goes
//! into other hands.

/// What a link is set to, but for its name, MTU, MAC address and alias. `None`: the kernel does not
/// tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // they are the kernel's flags
pub struct Form {
    /// `IFF_NOARP`: it resolves no neighbours.
    pub no_arp: bool,
    /// `IFF_PROMISC`: it takes all frames.
    pub promiscuous: bool,
    /// `IFF_ALLMULTI`: it takes all multicast frames.
    pub all_multicast: bool,
    /// `IFF_MULTICAST`: it does multicast.
    pub multicast: bool,
    /// Who decides whether it is operationally up: 0 the kernel, 1 somebody who may never say so
    /// (`IFLA_LINKMODE`).
    pub link_mode: Option<u8>,
    /// Its broadcast address.
    pub broadcast: Option<[u8; 6]>,
    /// The group that it is changed with.
    pub group: Option<u32>,
    /// Its queue's length, in frames.
    pub queue_length: Option<u32>,
    /// The largest segmentation size, in bytes.
    pub gso_max_size: Option<u32>,
    /// What its hardware can segment at most, in bytes.
    pub tso_max_size: Option<u32>,
    /// The most segments.
    pub gso_max_segments: Option<u32>,
    /// What its hardware can at most.
    pub tso_max_segments: Option<u32>,
    /// The largest aggregate in bytes.
    pub gro_max_size: Option<u32>,
    /// The largest segmentation size for IPv4, in bytes.
    pub gso_ipv4_max_size: Option<u32>,
    /// The largest aggregate for IPv4, in bytes.
    pub gro_ipv4_max_size: Option<u32>,
    /// Where XDP programs are attached (`XDP_ATTACHED_…`, `linux/if_link.h`); 0: nowhere.
    pub xdp: u8,
    /// Flags that mean nothing to most drivers: debug, trailers, port selection and the like.
    pub other_flags: u32,
}

/// The largest segmentation size and aggregate that a link starts with, in bytes
/// (`GSO_LEGACY_MAX_SIZE`, linux/netdevice.h).
const MAX_SIZE: u32 = 65536;

/// The most segments that a link starts with (`GSO_MAX_SEGS`, linux/netdevice.h).
const MAX_SEGMENTS: u32 = 65535;

/// The queue length that an Ethernet link starts with, in frames (`DEFAULT_TX_QUEUE_LEN`,
/// linux/netdevice.h).
const QUEUE_LENGTH: u32 = 1000;

impl Form {
    /// The form that an Ethernet link is born with: of this one, since what its hardware can differs.
    #[must_use]
    pub fn normal(self) -> Self {
        let size = MAX_SIZE.min(self.tso_max_size.unwrap_or(MAX_SIZE));
        let segments = MAX_SEGMENTS.min(self.tso_max_segments.unwrap_or(MAX_SEGMENTS));
        Self {
            no_arp: false,
            promiscuous: false,
            all_multicast: false,
            multicast: true,
            link_mode: Some(0),
            broadcast: Some([0xff; 6]),
            group: Some(0),
            queue_length: Some(QUEUE_LENGTH),
            gso_max_size: Some(size),
            gso_max_segments: Some(segments),
            gro_max_size: Some(MAX_SIZE),
            gso_ipv4_max_size: Some(size),
            gro_ipv4_max_size: Some(MAX_SIZE),
            xdp: 0,
            other_flags: 0,
            ..self
        }
    }

    /// What of it is not normal, in the words of `ip link`. What the kernel does not tell is not
    /// counted.
    #[must_use]
    pub fn oddities(self) -> Vec<&'static str> {
        let normal = self.normal();
        let differs = |own: Option<u32>, other: Option<u32>| own.is_some() && own != other;
        let odd = [
            (self.no_arp, "arp off"),
            (self.promiscuous, "promisc"),
            (self.all_multicast, "allmulticast"),
            (!self.multicast, "multicast off"),
            (self.link_mode.is_some_and(|mode| mode != 0), "mode"),
            (self.broadcast.is_some_and(|address| address != [0xff; 6]), "broadcast"),
            (differs(self.group, normal.group), "group"),
            (differs(self.queue_length, normal.queue_length), "txqueuelen"),
            (differs(self.gso_max_size, normal.gso_max_size), "gso_max_size"),
            (differs(self.gso_max_segments, normal.gso_max_segments), "gso_max_segs"),
            (differs(self.gro_max_size, normal.gro_max_size), "gro_max_size"),
            (differs(self.gso_ipv4_max_size, normal.gso_ipv4_max_size), "gso_ipv4_max_size"),
            (differs(self.gro_ipv4_max_size, normal.gro_ipv4_max_size), "gro_ipv4_max_size"),
            (self.xdp != 0, "xdp"),
            (self.other_flags != 0, "flags"),
        ];
        odd.into_iter().filter(|(is_odd, _)| *is_odd).map(|(_, what)| what).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normal_form_has_no_oddities_and_stays_so() {
        let small = Form { tso_max_size: Some(4096), ..Form::default() };
        for form in [Form::default(), small] {
            let normal = form.normal();
            assert_eq!(normal.oddities(), [""; 0]);
            assert_eq!(normal.normal(), normal);
        }
        assert_eq!(small.normal().gso_max_size, Some(4096));
    }

    #[test]
    fn oddities_are_named() {
        let normal = Form::default().normal();
        let odd = Form { no_arp: true, link_mode: Some(1), group: Some(7), ..normal };
        assert_eq!(odd.oddities(), ["arp off", "mode", "group"]);
        // What an old kernel does not tell is not odd.
        assert_eq!(Form { gro_max_size: None, ..normal }.oddities(), [""; 0]);
    }
}
