//! `assay receipt show`: a job as its receipt tells it.

use alloy_primitives::Address;
use assay_receipt::{
    JobSummary, Move, Moved, Receipt, ReleasedSlot, Standing, Statement, anchored,
};
use assay_types::sha256;

use crate::output::amounts::dollars;
use crate::output::text::{grouped, table};

/// What happened to a job, from its order down. A dispute is summed up in three lines, or told move
/// by move.
pub(super) fn shown(receipt: &Receipt, with_moves: bool) -> String {
    let order = &receipt.order.order;
    let price = dollars(order.price.max.to());
    let mut steps = vec![
        ("job", receipt.job.to_string()),
        ("ordered", format!("by {} for at most {price}", order.requester)),
        ("", format!("program {}", order.programId)),
        ("", format!("input   {}", order.inputRoot)),
    ];
    if let Some(earlier) = JobSummary::of(receipt).and_then(|life| life.input_of) {
        steps.push(("", format!("        the result of job {earlier}, as the requester says")));
    }
    let mut is_disputed = false;
    for logged in receipt.log.iter().flat_map(|log| &log.statements) {
        let Some((said, _)) = logged.envelope.statement() else { continue };
        if said.job().is_none() && !matches!(said, Statement::Masked(_)) {
            continue;
        }
        if let Statement::Moved(first) = &said
            && !with_moves
        {
            if !std::mem::replace(&mut is_disputed, true) {
                steps.push(("  |", String::new()));
                steps.extend(dispute(receipt, first.account));
            }
            continue;
        }
        let speaker = said.speaker();
        let what = match &said {
            Statement::Locked(said) => format!("in block {}", said.block.number),
            Statement::Claimed(said) => {
                let (steps, block) = (grouped(said.steps), said.block.number);
                format!("{steps} steps, {}, in block {block}", said.outcome())
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

/// A dispute in three lines: who moved how often, what came of the step in question, and how the
/// games ended.
fn dispute(receipt: &Receipt, opener: Address) -> [(&'static str, String); 3] {
    let statements = receipt.log.iter().flat_map(|log| &log.statements);
    let moves: Vec<Moved> = statements
        .filter_map(|logged| match logged.envelope.statement()? {
            (Statement::Moved(moved), _) => Some(moved),
            _ => None,
        })
        .collect();
    let blocks = moves.iter().map(|moved| moved.block.number);
    let (from, to) = (blocks.clone().min().unwrap_or_default(), blocks.max().unwrap_or_default());
    let step = moves.iter().rev().find_map(|moved| match &moved.made {
        Move::Step { claimed, actual, .. } if claimed == actual => Some("it is as claimed"),
        Move::Step { .. } => Some("it is not as claimed"),
        _ => None,
    });
    let ends: Vec<String> = moves
        .iter()
        .filter_map(|moved| match &moved.made {
            Move::End { game, outcome } => Some(ending(*game, *outcome)),
            _ => None,
        })
        .collect();
    let count = grouped(moves.len() as u64);
    [
        (
            "disputed",
            format!("by {opener}, {count} moves in blocks {from} to {to} (--moves lists them)"),
        ),
        (
            "",
            match step {
                Some(outcome) => {
                    format!("the contract executed the one step in question: {outcome}")
                }
                None => "no step was executed: a side gave up or ran out of time".to_owned(),
            },
        ),
        (
            "",
            match ends.is_empty() {
                true => "no game has ended yet".to_owned(),
                false => ends.join("; "),
            },
        ),
    ]
}

/// How a game ended.
fn ending(game: u64, outcome: u8) -> String {
    let outcome = match outcome {
        5 => "the claim is false",
        6 => "the challenger has lost",
        _ => "it became pointless",
    };
    format!("game {game}: {outcome}")
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
        Move::End { game, outcome } => ending(*game, *outcome),
    };
    format!("{what}, in block {}", said.block.number)
}
