//! Checking a receipt: needs its file, and whom the reader trusts.

use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use assay_receipt::{Check, Outcome, Receipt, Report, Standing, Trust};
use serde::Serialize;

use crate::Failure;
use crate::files::read_bounded;
use crate::text::{json, table};

/// Which receipt to check, and by whose word.
#[derive(clap::Args)]
// It lies within the arguments of a command, whose group would have the same name.
#[group(id = "receipt")]
pub struct Arguments {
    /// The receipt
    #[arg(value_name = "RECEIPT")]
    file: PathBuf,
    /// Whom you trust, and for what (assay.trust/1)
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Trust nobody: only check that the receipt does not contradict itself
    #[arg(long, conflicts_with = "trust")]
    no_trust: bool,
}

/// What a check came to.
pub struct Verified {
    /// The report, to be shown whatever the verdict is.
    pub text: String,
    /// Why the receipt is not to be relied on, if it is not.
    pub verdict: Result<(), Failure>,
}

/// `assay.verify/1`.
#[derive(Serialize)]
struct Shown<'a> {
    schema: &'static str,
    job: B256,
    #[serde(flatten)]
    report: &'a Report,
}

/// Checks a receipt. Where the arguments name no trust file, `trust_default` is read.
///
/// # Errors
///
/// A file can't be read, or is no receipt or no trust file.
pub fn run(
    arguments: &Arguments,
    trust_default: Option<&Path>,
    as_json: bool,
) -> Result<Verified, Failure> {
    let receipt = read_receipt(&arguments.file)?;
    let trust = match arguments.no_trust {
        true => None,
        false => arguments.trust.as_deref().or(trust_default).map(read_trust).transpose()?,
    };
    let report = assay_receipt::verify(&receipt, trust.as_ref());
    let text = if as_json {
        json(&Shown { schema: "assay.verify/1", job: receipt.job, report: &report })
    } else {
        let lines: String = report.checks.iter().map(line).collect();
        lines + &table(&[("standing", standing(report.standing).to_owned())])
    };
    Ok(Verified { text, verdict: verdict(&report, arguments.no_trust) })
}

fn verdict(report: &Report, no_trust: bool) -> Result<(), Failure> {
    let failure = match report.standing {
        Standing::Vouched => return Ok(()),
        Standing::Consistent if no_trust => return Ok(()),
        Standing::Refused => Failure::refused("the receipt does not hold")
            .next("do not rely on it; ask for the receipt again, from another source"),
        Standing::Consistent => Failure::refused("nobody whom you trust vouches for the receipt")
            .next(
                "give --trust FILE with the keys that you trust, or --no-trust to check it alone",
            ),
    };
    let refused = report.checks.iter().find(|check| check.outcome == Outcome::Refused);
    Err(match refused {
        Some(check) => failure.cause(&check.what),
        None => failure,
    })
}

/// Reads a receipt from its file.
///
/// # Errors
///
/// The file can't be read, or is no receipt.
pub fn read_receipt(path: &Path) -> Result<Receipt, Failure> {
    let bytes = read_bounded(path)?;
    Receipt::from_bytes(&bytes).map_err(|error| {
        Failure::refused(format!("{} is no receipt that can be checked", path.display()))
            .cause(error)
            .next("ask for the file again; `assay run` writes receipts")
    })
}

/// Reads a trust file.
///
/// # Errors
///
/// The file can't be read, or is no trust file.
pub fn read_trust(path: &Path) -> Result<Trust, Failure> {
    let bytes = read_bounded(path)?;
    Trust::from_bytes(&bytes).map_err(|error| {
        Failure::file("use", path, error).next("see spec/receipt.md for what a trust file holds")
    })
}

/// How a receipt stands, for people.
pub fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Vouched => "vouched for by those whom you trust",
        Standing::Consistent => "contradicts itself nowhere; nobody whom you trust vouches for it",
        Standing::Refused => "refused",
    }
}

fn line(check: &Check) -> String {
    let outcome = match check.outcome {
        Outcome::Held => "held",
        Outcome::Refused => "REFUSED",
        Outcome::NotChecked => "not checked",
    };
    let by = check.by.as_ref().map(|by| format!(" [{by}]")).unwrap_or_default();
    format!("{outcome:<12} {}{by}\n", check.what)
}
