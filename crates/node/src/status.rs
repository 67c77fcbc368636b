//! The contracts' numbers, by name.

use crate::{Error, Result};

/// Where a job stands (contracts/src/interfaces/IMarket.sol, `JobStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Nobody has locked it.
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
    /// A demand for output was not answered.
    Silent,
    /// Nobody delivered.
    Missed,
    /// No `begin`.
    Lapsed,
    /// The verifier never decided.
    Unwound,
}

impl JobStatus {
    /// Whether nothing more can happen to the job.
    pub fn is_final(self) -> bool {
        !matches!(
            self,
            Self::None
                | Self::AwaitingBegin
                | Self::AwaitingClaim
                | Self::AwaitingVerdict
                | Self::AwaitingAnswer
                | Self::AwaitingLate
        )
    }
}

impl TryFrom<u8> for JobStatus {
    type Error = Error;

    fn try_from(number: u8) -> Result<Self> {
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
            _ => return Err(Error::Job(format!("the market knows a job status {number}"))),
        })
    }
}
