//! A whole log as the lives of its jobs: what those who speak in it say, without the chain's
//! proofs.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, eip191_hash_message};
use assay_merkle::empty_slot;
use assay_protocol::verify_account;
use assay_types::Hash;

use crate::dsse::Envelope;
use crate::statement::{Claimed, Judgement, Locked, Ordered, Settled, Statement, binding_text};
use crate::summary::JobSummary;

/// What is said of a job.
#[derive(Default)]
struct Told {
    ordered: Option<Ordered>,
    locked: Option<Locked>,
    claimed: Option<Claimed>,
    settled: Option<Settled>,
    verdicts: Vec<(Address, Judgement)>,
    moves: Vec<(Address, &'static str)>,
}

/// The lives of the jobs that a log tells of from order to settlement, by the entries in the log's
/// order. Signatures and bindings are checked; that what is said is true is not, for which there
/// are receipts. Of two that say the same of a job the first counts, and of its settlement the
/// requester.
pub fn summaries_of_log(entries: impl IntoIterator<Item = Vec<u8>>) -> Vec<JobSummary> {
    let mut accounts: BTreeMap<Hash, Address> = BTreeMap::new();
    let mut jobs: BTreeMap<B256, Told> = BTreeMap::new();
    for entry in entries {
        let Some((said, key)) = opened(&entry) else { continue };
        if let Statement::Binding(binding) = &said {
            let text = binding_text(&binding.market, binding.account, binding.key);
            let hash = eip191_hash_message(text.as_bytes());
            let holds = verify_account(hash, &binding.signature, binding.account).is_ok();
            if holds && binding.key == key {
                accounts.insert(key, binding.account);
            }
            continue;
        }
        let Some(job) = said.job() else { continue };
        if accounts.get(&key) == Some(&said.speaker()) {
            jobs.entry(job).or_default().take(said);
        }
    }
    jobs.into_iter().filter_map(|(job, told)| told.summary(job)).collect()
}

fn opened(entry: &[u8]) -> Option<(Statement, Hash)> {
    Envelope::from_bytes(entry).ok()?.statement()
}

impl Told {
    fn take(&mut self, said: Statement) {
        match said {
            Statement::Ordered(said) => drop(self.ordered.get_or_insert(said)),
            // Of two locks the later one is the one that the claim is of.
            Statement::Locked(said) => self.locked = Some(said),
            Statement::Claimed(said) => drop(self.claimed.get_or_insert(said)),
            Statement::Judged(said) => self.verdicts.push((said.auditor, said.verdict)),
            Statement::Moved(said) => self.moves.push((said.account, said.made.name())),
            Statement::Settled(said) => {
                let requester = self.ordered.as_ref().map(|ordered| ordered.requester);
                if self.settled.is_none() || Some(said.observer) == requester {
                    self.settled = Some(said);
                }
            }
            Statement::Binding(_)
            | Statement::Operated(_)
            | Statement::Masked(_)
            | Statement::Ran(_)
            | Statement::Released(_) => {}
        }
    }

    fn summary(self, job: B256) -> Option<JobSummary> {
        let (ordered, settled) = (self.ordered?, self.settled?);
        let claimed = self.claimed;
        let provider = claimed.as_ref().map(|claimed| claimed.provider);
        let provider = provider.or(self.locked.map(|locked| locked.provider))?;
        let ending = ["JobPaid", "JobSlashed", "JobLapsed", "JobUnwound"];
        let ending = ending.into_iter().find(|name| *name == settled.event)?;
        let paid: Option<u128> = settled.paid.and_then(|paid| paid.parse().ok());
        let slot = |root: B256| (root.0 != empty_slot().0.0).then_some(root);
        let of_paid = claimed.as_ref().filter(|_| paid.is_some());
        Some(JobSummary {
            market: ordered.market,
            job,
            requester: ordered.requester,
            provider,
            program: ordered.program,
            input: slot(ordered.input_root),
            // It stands in the terms, of which the log has the hash.
            input_of: None,
            dataset: slot(ordered.dataset_root),
            output: of_paid.and_then(|claimed| slot(claimed.output_root)),
            trace: of_paid.map(|claimed| claimed.trace_root),
            final_state: of_paid.map(|claimed| claimed.final_state),
            steps: claimed.as_ref().map(|claimed| claimed.steps),
            outcome: claimed.as_ref().map(Claimed::outcome),
            claimed_secs: None,
            ended_secs: settled.time,
            ending,
            paid,
            window_secs: ordered.window_secs,
            verifier: ordered.verifier,
            verdicts: self.verdicts,
            moves: self.moves,
        })
    }
}
