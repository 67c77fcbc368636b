//! Following a job to its end.

use std::cell::Cell;

use alloy_primitives::B256;
use assay_node::{JobEvent, JobRecord, JobStatus, RunOutcome};
use serde::Serialize;

use crate::output::events::sentence;
use crate::output::failure::Failure;
use crate::output::print::print;
use crate::output::progress::Meter;
use crate::output::text::json_line;
use crate::session::requester::Session;

/// A line of `--json` (spec/cli.md#run).
#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    job: B256,
    #[serde(flatten)]
    event: &'a JobEvent,
}

/// How a job ended.
pub(crate) struct Ended {
    pub(crate) status: JobStatus,
    /// How its run ended, by its last claim.
    pub(crate) outcome: Option<RunOutcome>,
}

/// How a claimed job's run ended; `None` without a claim.
pub(crate) async fn claimed_outcome(
    session: &Session,
    job: B256,
) -> Result<Option<RunOutcome>, Failure> {
    let contracts = session.requester().contracts();
    let (head, _) = contracts.client().head().await?;
    let blocks = contracts.deployment.from_block..=head;
    Ok(last_outcome(&assay_node::events(contracts, job, blocks).await?))
}

/// How the run ended of the last claim among a job's events.
pub(crate) fn last_outcome(events: &[JobEvent]) -> Option<RunOutcome> {
    events.iter().rev().find_map(JobEvent::run_outcome)
}

/// Follows a job to its end, showing what happens.
pub(crate) async fn watch(
    market: &Session,
    record: &mut JobRecord,
    as_json: bool,
) -> Result<Ended, Failure> {
    let outcome = Cell::new(None);
    let meter = Meter::new(record.signed.order.stepLimit);
    let told = |job: B256, event: &JobEvent| {
        meter.note(job, event);
        outcome.set(event.run_outcome().or(outcome.get()));
        if as_json {
            // A reader that went away is told nothing more; the job goes on.
            let _ = print(&json_line(&Line { schema: "assay.run/1", job, event }));
        } else {
            meter.say(&sentence(event));
        }
    };
    let status = tokio::select! {
        status = market.requester().follow(record, told) => status,
        () = meter.show(|job| market.steps(job)) => unreachable!("progress is shown until the job ends"),
        _ = tokio::signal::ctrl_c() => {
            meter.clear();
            return Err(Failure::new("interrupted; the order still stands")
                .next("run the same command again to continue with the job"));
        }
    };
    meter.clear();
    Ok(Ended { status: status?, outcome: outcome.get() })
}
