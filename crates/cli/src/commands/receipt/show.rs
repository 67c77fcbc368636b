//! `assay receipt show`: a job as its receipt tells it.

use assay_receipt::{
    JobSummary, Move, Moved, Receipt, ReleasedSlot, Standing, Statement, anchored,
};
use assay_types::sha256;

use crate::output::amounts::dollars;
use crate::output::text::{grouped, table};

/// The life of a job, from its order down.
pub(super) fn shown(receipt: &Receipt) -> String {
    let order = &receipt.order.order;
    let price = dollars(order.price.max.to());
    let mut steps = vec![
        ("job", receipt.job.to_string()),
        ("ordered", format!("by {} for at most {price}", order.requester)),
        ("", format!("program {}", order.programId)),
        ("", format!("input   {}", order.inputRoot)),
    ];
    if let Some(earlier) = JobSummary::of(receipt).and_then(|life| life.input_of) {
        steps.push(("", format!("        the result of job {earlier}, by the requester's word")));
    }
    for logged in receipt.log.iter().flat_map(|log| &log.statements) {
        let Some((said, _)) = logged.envelope.statement() else { continue };
        if said.job().is_none() && !matches!(said, Statement::Masked(_)) {
            continue;
        }
        let speaker = said.speaker();
        let what = match &said {
            Statement::Locked(said) => format!("in block {}", said.block.number),
            Statement::Claimed(said) => {
                let (steps, block) = (grouped(said.steps), said.block.number);
                format!("{steps} steps, exit code {}, in block {block}", said.exit_code)
            }
            Statement::Ran(said) => {
                let facts: Vec<_> = said.host_facts().values().map(String::as_str).collect();
                // A provider need not say what it runs on.
                if facts.is_empty() { String::new() } else { format!("on {}", facts.join(", ")) }
            }
            Statement::Judged(said) => format!("{:?}", said.verdict).to_lowercase(),
            Statement::Moved(said) => moved(said),
            Statement::Released(said) => {
                let slot = match said.slot {
                    ReleasedSlot::Input => "input",
                    ReleasedSlot::Dataset => "dataset",
                };
                let to: Vec<_> = said.given.iter().map(|one| one.recipient.to_string()).collect();
                let under =
                    said.policy.map_or(String::new(), |policy| format!(" under policy {policy}"));
                format!("the key of the {slot} to {}{under}", to.join(" and "))
            }
            Statement::Settled(said) => format!("{} in block {}", said.event, said.block.number),
            Statement::Masked(said) => {
                let (mask, named) = (&said.mask, sha256(&said.mask.to_payload()));
                let k = mask.anonymity.as_ref().and_then(|anonymity| anonymity.k);
                let k = k.map_or(String::new(), |k| format!(", groups of {} at least", grouped(k)));
                let (rows_in, rows_out) = (grouped(mask.rows_in), grouped(mask.rows_out));
                format!("the dataset is {rows_out} masked rows of {rows_in}{k}, statement {named}")
            }
            Statement::Ordered(_) | Statement::Binding(_) | Statement::Operated(_) => String::new(),
        };
        steps.push(("  |", String::new()));
        let what = if what.is_empty() { what } else { format!(", {what}") };
        steps.push((said.name(), format!("by {speaker}{what} (entry {})", logged.index)));
    }
    let anchor = receipt.log.as_ref().and_then(|log| log.anchor.as_ref());
    if let Some(Ok(anchor)) = anchor.map(|anchor| anchored(&anchor.event)) {
        let (size, block) = (grouped(anchor.size), anchor.block.number);
        steps.push(("  |", String::new()));
        let what =
            format!("by {}, the log's first {size} entries, in block {block}", anchor.operator);
        steps.push(("anchored", what));
    }
    let checked = assay_receipt::verify(receipt, None).standing;
    let told = match checked {
        Standing::Refused => "it does not hold; see `assay verify`",
        _ => "`assay verify` tells who vouches for it",
    };
    steps.push(("receipt", told.to_owned()));
    let text = table(&steps);
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A move in a dispute, for people.
fn moved(said: &Moved) -> String {
    let what = match &said.made {
        Move::Commit { game, .. } => format!("opens game {game}"),
        Move::Point { level, position, .. } => {
            format!("points at segment {position} of level {level}")
        }
        Move::Demand { depth, index, .. } => format!("asks for node {index} at depth {depth}"),
        Move::Reveal { node } => format!("shows what lies under {node}"),
        Move::Answer { level, position, .. } => {
            format!("gives the tree of level {level}, segment {position}")
        }
        Move::Step { claimed, actual, .. } if claimed == actual => "the step is as claimed".into(),
        Move::Step { .. } => "the step is not as claimed".to_owned(),
        Move::End { game, outcome } => {
            let outcome = match outcome {
                5 => "the claim is false",
                6 => "the challenger has lost",
                _ => "it came to be pointless",
            };
            format!("game {game}: {outcome}")
        }
    };
    format!("{what}, in block {}", said.block.number)
}
