//! What the routes check of what is signed, besides the signature.

use assay_protocol::{
    ACCOUNT_CLOCK_SKEW_SECS_MAX, JsonObject, ProblemKind, REASON_BYTES_MAX, REASON_CODE_BYTES_MAX,
};

use crate::error::{Fail, Failure};
use crate::state::Shared;

/// Refuses an object whose text is too long.
pub(super) fn check_size(what: &str, object: &JsonObject, bytes_max: usize) -> Result<(), Failure> {
    if object.as_str().len() <= bytes_max {
        return Ok(());
    }
    Err(ProblemKind::BodyMalformed.fail(format_args!("{what}: {bytes_max} bytes at most")))
}

/// Refuses a reason that is too long or has no code.
pub(super) fn check_reason(reason: &JsonObject) -> Result<(), Failure> {
    check_size("a reason", reason, REASON_BYTES_MAX)?;
    match reason.members().get("code").and_then(|code| code.as_str()) {
        Some(code) if (1..=REASON_CODE_BYTES_MAX).contains(&code.len()) => Ok(()),
        _ => {
            let detail = format_args!(
                "a reason needs a code, a string of 1 to {REASON_CODE_BYTES_MAX} bytes"
            );
            Err(ProblemKind::BodyMalformed.fail(detail))
        }
    }
}

/// Refuses a time that is further ahead than clocks differ.
pub(super) fn check_past(app: &Shared, unix_secs: u64) -> Result<(), Failure> {
    let now = app.now();
    if unix_secs <= now + ACCOUNT_CLOCK_SKEW_SECS_MAX {
        return Ok(());
    }
    let detail = format_args!("the signed time is {unix_secs}, and the time is {now}");
    Err(ProblemKind::TimeImplausible.fail(detail))
}
