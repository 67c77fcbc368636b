//! What happens to a job, in sentences.

use assay_node::{JobEvent, JobStatus, RunOutcome};

use crate::output::amounts::dollars;
use crate::output::text::grouped;

/// A line for what has happened.
pub(crate) fn sentence(event: &JobEvent) -> String {
    match event {
        JobEvent::Locked { provider, price, stake, late, .. } => {
            let late = if *late { ", late, for the bounty" } else { "" };
            let (price, stake) = (dollars(*price), dollars(*stake));
            format!("locked     by {provider} for at most {price}, with {stake} at stake{late}")
        }
        JobEvent::Begun { .. } => "begun      the provider has opened the inputs".to_owned(),
        JobEvent::Lapsed { provider, fee } => {
            let fee = dollars(*fee);
            format!("lapsed     {provider} did not begin in time; each side pays {fee}")
        }
        JobEvent::Claimed { provider, steps, status, exit_code, .. } => {
            let (steps, outcome) = (grouped(*steps), RunOutcome::new(*status, *exit_code));
            format!("claimed    by {provider}: {steps} steps, {outcome}; the window is open")
        }
        JobEvent::Challenged { challenger, game, .. } => {
            format!("challenged by {challenger} in game {game}")
        }
        JobEvent::GameEnded { game, claim_false, .. } => {
            let outcome = if *claim_false { "the claim is false" } else { "the claim stands" };
            format!("game {game}     ended: {outcome}")
        }
        JobEvent::Paid { provider, paid, refunded, data_fee } => {
            let (paid, refunded) = (dollars(*paid), dollars(*refunded));
            let fee = match data_fee {
                0 => String::new(),
                fee => format!("{} to the data owner, ", dollars(*fee)),
            };
            format!("settled    {paid} to {provider}, {fee}{refunded} back to the purse")
        }
        JobEvent::Slashed { provider, refunded, compensation, informer, bounty, cover, .. } => {
            let [refunded, compensation, bounty, cover] =
                [*refunded, *compensation, *bounty, *cover].map(dollars);
            format!(
                "slashed    {provider}: {refunded} and {compensation} to the requester, {bounty} to {informer}, {cover} to the cover pool"
            )
        }
        other => other.name().to_owned(),
    }
}

/// Where a job stands, for people.
pub(crate) fn status(status: JobStatus) -> String {
    match status {
        JobStatus::None => "not locked",
        JobStatus::AwaitingBegin => "locked, not begun",
        JobStatus::AwaitingClaim => "running",
        JobStatus::AwaitingVerdict => "claimed, the window is open",
        JobStatus::AwaitingAnswer => "claimed, output demanded",
        JobStatus::AwaitingLate => "missed; another may deliver",
        JobStatus::Paid => "settled",
        JobStatus::Refuted => "refuted, refunded",
        JobStatus::Silent => "output withheld, refunded",
        JobStatus::Missed => "missed, refunded",
        JobStatus::Lapsed => "lapsed, refunded",
        JobStatus::Unwound => "unwound, refunded",
    }
    .to_owned()
}
