//! The instance's record of a task.

use crate::{
    apply::outcome::Applied,
    error::{Error, Result},
    nft::records::Records,
    task::record::Record,
};

/// Makes the record. One that an earlier call of the same task made is replaced; one of another task means
/// that it was faster.
pub fn take(record: &Record) -> Result<Applied> {
    let records = Records::open()?;
    if !records.are_kept() {
        return Ok(Applied::Already);
    }
    let eni = record.label.eni;
    match records.add(record) {
        Err(error) if error.is_exists() => match records.of(eni)? {
            Some(other) if record.is_of_task(&other) => match records.replace(record) {
                Err(error) if error.is_absent() => {
                    Err(Error::Overtaken(format!("the record of ENI {eni} has just gone")))
                }
                replaced => Ok(replaced.map(|()| Applied::Already)?),
            },
            _ => Err(Error::Overtaken(format!("another task took ENI {eni}"))),
        },
        added => {
            added?;
            Ok(Applied::Changed)
        }
    }
}
