//! Where a job stands.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// A status as it is shown. One of a newer market is `other`: a list that has it is shown all the
/// same, and nobody acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownStatus {
    /// One that this program knows.
    Known(JobStatus),
    /// Another.
    Other,
}

impl From<u8> for ShownStatus {
    fn from(number: u8) -> Self {
        JobStatus::try_from(number).map_or(ShownStatus::Other, ShownStatus::Known)
    }
}

impl Serialize for ShownStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ShownStatus::Known(status) => status.serialize(serializer),
            ShownStatus::Other => serializer.serialize_str("other"),
        }
    }
}

impl<'de> Deserialize<'de> for ShownStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = JobStatus::deserialize(serde_json::Value::String(name));
        Ok(known.map_or(ShownStatus::Other, ShownStatus::Known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_markets_status_is_shown_as_another() {
        let shown: Vec<_> = [3, 12, 255, 6].map(ShownStatus::from).into();
        let text = serde_json::to_string(&shown).unwrap();
        assert_eq!(text, r#"["awaiting_verdict","other","other","paid"]"#);
        assert_eq!(serde_json::from_str::<Vec<ShownStatus>>(&text).unwrap(), shown);
        let halted: ShownStatus = serde_json::from_str(r#""halted""#).unwrap();
        assert_eq!(halted, ShownStatus::Other);
        assert_eq!(JobStatus::try_from(12), Err(UnknownStatus(12)), "nobody acts on it");
    }
}
