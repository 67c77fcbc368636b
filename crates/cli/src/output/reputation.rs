//! How well providers have kept their word, for people and scripts.

use std::collections::BTreeMap;

use assay_market::{Outcome, OutcomeKind};
use assay_node::ProviderRecord;
use serde::Serialize;

use crate::output::amounts::{dollars, of_10000};
use crate::output::text::{grouped, json, table};
use crate::output::times::time;

/// `assay.provider/1`.
#[derive(Serialize)]
struct One {
    schema: &'static str,
    #[serde(flatten)]
    record: ProviderRecord,
    stake_free: String,
    stake_reserved: String,
}

/// One provider, with its stake.
pub(crate) fn provider_shown(
    record: ProviderRecord,
    stake_free: u128,
    stake_reserved: u128,
    as_json: bool,
) -> String {
    if as_json {
        let schema = "assay.provider/1";
        let [stake_free, stake_reserved] = [stake_free, stake_reserved].map(|at| at.to_string());
        return json(&One { schema, record, stake_free, stake_reserved });
    }
    let reputation = &record.reputation;
    let [free, reserved] = [stake_free, stake_reserved].map(dollars);
    let rows = table(&[
        ("provider", record.provider.to_string()),
        ("reputation", of_10000(reputation.score)),
        ("kept", format!("{}, aged", dollars(reputation.kept))),
        ("broken", format!("{}, aged and times their weight", dollars(reputation.broken))),
        ("stake", format!("{free} free, {reserved} reserved")),
        ("jobs", summary(&record.outcomes)),
    ]);
    let outcome = |outcome: &Outcome| {
        let kind = name(outcome.kind);
        format!("{}  {kind:<15} {}\n", time(outcome.at), dollars(outcome.value))
    };
    rows + &record.outcomes.iter().map(outcome).collect::<String>()
}

/// A line of a list.
pub(crate) fn provider_line(record: &ProviderRecord) -> String {
    let (provider, score) = (record.provider, record.reputation.score);
    format!("{provider}  {score:>5}  {}\n", summary(&record.outcomes))
}

/// "3: 2 completed, 1 missed".
fn summary(outcomes: &[Outcome]) -> String {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for outcome in outcomes {
        *kinds.entry(name(outcome.kind)).or_default() += 1;
    }
    let kinds: Vec<String> =
        kinds.into_iter().map(|(kind, count)| format!("{} {kind}", grouped(count))).collect();
    match kinds.is_empty() {
        true => "none ended yet".to_owned(),
        false => format!("{}: {}", grouped(outcomes.len() as u64), kinds.join(", ")),
    }
}

fn name(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Completed => "completed",
        OutcomeKind::CompletedLate => "completed late",
        OutcomeKind::Missed => "missed",
        OutcomeKind::Refuted => "refuted",
        OutcomeKind::Silent => "silent",
        OutcomeKind::Lapsed => "lapsed",
    }
}
