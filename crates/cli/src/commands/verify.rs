//! `assay verify`: a receipt, as `assay-verify` checks it, with the home's trust file by default.

use assay_verify::verify;

use crate::output::failure::Failure;
use crate::output::print::print;
use crate::session::home::HomeArgument;
use crate::session::trust::trust_of_home;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
    #[command(flatten)]
    receipt: verify::Arguments,
}

pub(crate) fn run(arguments: &Arguments, as_json: bool) -> Result<String, Failure> {
    let trust = trust_of_home(&arguments.home)?;
    let done = verify::run(&arguments.receipt, trust.as_deref(), as_json)?;
    match done.verdict {
        Ok(()) => Ok(done.text),
        Err(failure) => {
            print(&done.text)?;
            Err(failure.into())
        }
    }
}
