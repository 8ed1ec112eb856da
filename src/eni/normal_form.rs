//! The one normal form of an ENI: put on before it goes into a task, and when it comes home.

use crate::{
    kernel::{error::Answer, socket::Netlink},
    net::form::Form,
};

/// Gives a link its normal form, as far as it has another one, and takes its alternative names away.
pub fn put_on(
    netlink: &Netlink,
    index: u32,
    form: &Form,
    alternative_names: &[String],
) -> Answer<()> {
    if !alternative_names.is_empty() {
        netlink.delete_alternative_names(index, alternative_names)?;
    }
    if form.oddities().is_empty() {
        return Ok(());
    }
    netlink.set_form(index, form, &form.normal())
}
