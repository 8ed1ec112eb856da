//! What `/sys/bus` says of a device, wherever its interface is.

use crate::{
    kernel::sysfs::LinkFolder,
    net::{device::Device, link::Link},
};
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

/// The device of a link of this namespace: what the kernel says, or before Linux 5.14, what a sysfs says.
#[must_use]
pub fn device_of(link: &Link) -> Option<Device> {
    let veth = || Some(Device::veth(link.peer.filter(|_| link.is_veth())?, link.peer_netns?));
    link.device.clone().or_else(veth).or_else(|| link.is_hardware().then(|| of_class(link))?)
}

/// Its `device` is a link to the device's folder, which has one to its bus's.
fn of_class(link: &Link) -> Option<Device> {
    let folder = LinkFolder::of(link.index, &link.name)?;
    let last = |file: &str| {
        let target = fs::read_link(folder.path().join(file)).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    };
    let name = last("device")?;
    Device::on(&last("device/subsystem")?, &name)
}
