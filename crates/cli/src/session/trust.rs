//! Whom the user trusts.

use std::path::{Path, PathBuf};

use assay_node::Home;
use assay_receipt::{Trust, TrustedLog};
use assay_tlog::Policy;
use assay_verify::verify::read_trust;

use crate::output::failure::Failure;
use crate::session::home::HomeArgument;

/// The home's trust file, if it is there.
pub(crate) fn trust_of_home(home: &HomeArgument) -> Result<Option<PathBuf>, Failure> {
    Ok(Some(home.open()?.trust()).filter(|path| path.is_file()))
}

/// The trust file that was named, or the home's, if there is one.
pub(crate) fn trusted(home: &HomeArgument, named: Option<&Path>) -> Result<Option<Trust>, Failure> {
    let path = match named {
        Some(path) => Some(path.to_owned()),
        None => trust_of_home(home)?,
    };
    Ok(path.as_deref().map(read_trust).transpose()?)
}

/// Whose log it is.
pub(crate) fn trusted_log(
    path: Option<&Path>,
    home: &Home,
) -> Result<(TrustedLog, Policy), Failure> {
    let path = path.map_or_else(|| home.trust(), Path::to_owned);
    let failed = |error: &dyn std::fmt::Display| Failure::file("use", &path, error);
    let trust = read_trust(&path)?;
    let policy = trust.policy().map_err(|error| failed(&error))?;
    match (trust.log, policy) {
        (Some(log), Some(policy)) => Ok((log, policy)),
        _ => Err(failed(&"it names no log").next("give --trust FILE with the log's key")),
    }
}
