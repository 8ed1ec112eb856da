//! What `/sys/bus` says of a device, wherever its interface is.

use crate::net::{device::Device, link::Link};
use std::{
    fs,
    path::{Path, PathBuf},
};

const BUSES: &str = "/sys/bus";

/// Whether the device is still attached to the instance.
#[must_use]
pub fn has(device: &Device) -> bool {
    device.is_hardware() && path_of(device).exists()
}

fn path_of(device: &Device) -> PathBuf {
    Path::new(BUSES).join(&device.bus).join("devices").join(&device.name)
}

/// The device of a link of this namespace: what the kernel says, or before Linux 5.14, what
/// `/sys/class/net` says, if that is about this very link.
#[must_use]
pub fn device_of(link: &Link) -> Option<Device> {
    let veth = || Some(Device::veth(link.peer.filter(|_| link.is_veth())?, link.peer_netns?));
    link.device.clone().or_else(veth).or_else(|| link.is_hardware().then(|| of_class(link))?)
}

/// `/sys/class/net/eth1/device` is a link to the device's folder, which has one to its bus's.
fn of_class(link: &Link) -> Option<Device> {
    let folder = Path::new("/sys/class/net").join(&link.name);
    let index: u32 = fs::read_to_string(folder.join("ifindex")).ok()?.trim().parse().ok()?;
    if index != link.index {
        return None;
    }
    let last = |path: PathBuf| {
        let target = fs::canonicalize(path).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    };
    let name = last(folder.join("device"))?;
    Device::on(&last(folder.join("device/subsystem"))?, &name)
}
