//! Where a job stands.

use serde::{Deserialize, Serialize};

/// Where a job stands: the contract's `JobStatus` (spec/contracts.md#a-job).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Nobody has locked the order.
    None,
    /// Sealed, locked.
    AwaitingBegin,
    /// Runs.
    AwaitingClaim,
    /// Claimed.
    AwaitingVerdict,
    /// Claimed, and an output chunk is demanded.
    AwaitingAnswer,
    /// Missed; another provider may deliver for the bounty.
    AwaitingLate,
    /// The provider was paid.
    Paid,
    /// The claim was false.
    Refuted,
    /// Output was withheld.
    Silent,
    /// Nobody delivered.
    Missed,
    /// No `begin`.
    Lapsed,
    /// The verifier never decided.
    Unwound,
}

/// A number that no status of the contract has: the market is of another version than this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the market knows a job status {0}, and this program does not: use the version that fits the market"
)]
pub struct UnknownStatus(pub u8);

impl JobStatus {
    /// Whether nothing more can happen to the job.
    pub fn is_final(self) -> bool {
        self >= JobStatus::Paid
    }
}

impl TryFrom<u8> for JobStatus {
    type Error = UnknownStatus;

    fn try_from(number: u8) -> Result<Self, UnknownStatus> {
        Ok(match number {
            0 => Self::None,
            1 => Self::AwaitingBegin,
            2 => Self::AwaitingClaim,
            3 => Self::AwaitingVerdict,
            4 => Self::AwaitingAnswer,
            5 => Self::AwaitingLate,
            6 => Self::Paid,
            7 => Self::Refuted,
            8 => Self::Silent,
            9 => Self::Missed,
            10 => Self::Lapsed,
            11 => Self::Unwound,
            _ => return Err(UnknownStatus(number)),
        })
    }
}
