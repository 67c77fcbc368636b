//! A job's life in plain facts: what exports, graphs and audits are views of.

use alloy_primitives::{Address, B256};
use assay_contracts::RunOutcome;
use assay_merkle::empty_slot;

use crate::receipt::Receipt;
use crate::statement::{Judgement, MarketId, Statement};
use crate::verify::{claim_of, ended};

/// What a receipt tells of a job. It is only as good as the receipt's standing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSummary {
    /// Where it was.
    pub market: MarketId,
    /// The job.
    pub job: B256,
    /// Who ordered it.
    pub requester: Address,
    /// Who claimed it, or missed it.
    pub provider: Address,
    /// The program's id.
    pub program: B256,
    /// The input slot's root; none for an empty one.
    pub input: Option<B256>,
    /// The job whose result the input is, by the requester's word in the order's terms; none if it
    /// says nothing.
    pub input_of: Option<B256>,
    /// The dataset slot's root, likewise.
    pub dataset: Option<B256>,
    /// The output slot's root, if the job was paid.
    pub output: Option<B256>,
    /// The root of the trace that the job's intermediate states hang on, if the job was paid.
    pub trace: Option<B256>,
    /// The final state's hash, likewise.
    pub final_state: Option<B256>,
    /// How many steps were claimed.
    pub steps: Option<u64>,
    /// How the run ended that was claimed.
    pub outcome: Option<RunOutcome>,
    /// When it was claimed, in Unix seconds.
    pub claimed_secs: Option<u64>,
    /// When it ended, in Unix seconds.
    pub ended_secs: u64,
    /// The contract's event that ended it.
    pub ending: &'static str,
    /// What the provider was paid, in the token's smallest unit.
    pub paid: Option<u128>,
    /// How long its claim could be challenged at the least, in seconds.
    pub window_secs: u32,
    /// The verifier's number.
    pub verifier: u16,
    /// What auditors said.
    pub verdicts: Vec<(Address, Judgement)>,
    /// Moves in disputes about its claim, as those who made them say: who, and the move's name.
    pub moves: Vec<(Address, &'static str)>,
}

impl JobSummary {
    /// What a receipt tells; `None` if its events prove nothing.
    pub fn of(receipt: &Receipt) -> Option<Self> {
        let order = &receipt.order.order;
        let (block, ending, provider, paid) = ended(&receipt.settlement)?;
        let claim = receipt.claim.as_ref();
        let claimed = claim.and_then(claim_of);
        let slot = |root: B256| (root.0 != empty_slot().0.0).then_some(root);
        let output = claimed.as_ref().and_then(|claimed| slot(claimed.output_root));
        let statements = receipt.log.iter().flat_map(|log| &log.statements);
        let (mut verdicts, mut moves) = (Vec::new(), Vec::new());
        for (said, _) in statements.filter_map(|one| one.envelope.statement()) {
            match said {
                Statement::Judged(verdict) => verdicts.push((verdict.auditor, verdict.verdict)),
                Statement::Moved(moved) => moves.push((moved.account, moved.made.name())),
                _ => {}
            }
        }
        let of_paid = claimed.as_ref().filter(|_| paid.is_some());
        Some(JobSummary {
            market: receipt.market,
            job: receipt.job,
            requester: order.requester,
            provider,
            program: order.programId,
            input: slot(order.inputRoot),
            input_of: receipt.terms().input_of.map(|job| job.0.into()),
            dataset: slot(order.datasetRoot),
            output: output.filter(|_| paid.is_some()),
            trace: of_paid.map(|claimed| claimed.trace_root),
            final_state: of_paid.map(|claimed| claimed.final_state),
            steps: claimed.map(|claimed| claimed.steps),
            outcome: claimed.map(|claimed| claimed.outcome()),
            claimed_secs: claim.and_then(|claim| Some(claim.check().ok()?.timestamp)),
            ended_secs: block.timestamp,
            ending,
            paid,
            window_secs: order.windowSecs,
            verifier: order.verifierId,
            verdicts,
            moves,
        })
    }

    /// Why the job has no answer, for people; `None` if it was paid for one.
    pub fn failure(&self) -> Option<String> {
        match (self.paid, self.outcome) {
            (None, _) => Some(self.ending.to_owned()),
            (Some(_), Some(outcome)) if !outcome.is_success() => Some(outcome.to_string()),
            _ => None,
        }
    }

    /// What auditors found together: one who disagrees is what a reader must hear of.
    pub fn verdict(&self) -> Option<Judgement> {
        let mut said: Vec<_> = self.verdicts.iter().map(|(_, verdict)| *verdict).collect();
        said.sort_by_key(|verdict| *verdict == Judgement::Agrees);
        said.first().copied()
    }
}
