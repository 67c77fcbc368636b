//! stub
#![no_std]
use assay_guest::{Error, Output};
/// stub
pub fn run(_input: &[u8], _dataset: &[u8], _output: &mut Output) -> Result<(), Error> {
    Ok(())
}
