//! An audit over a period: jobs, parties by pseudonym, assurance, disputes, outcomes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use alloy_primitives::{Address, B256};
use serde::Serialize;

use crate::statement::Judgement;
use crate::summary::JobSummary;

/// Every time.
pub const PERIOD_ALL: RangeInclusive<u64> = 0..=u64::MAX;

/// What happened to the jobs that ended within a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// How many there were.
    pub jobs: usize,
    /// How many were paid.
    pub paid: usize,
    /// How many ended without an answer.
    pub unpaid: usize,
    /// How many an auditor ran again and agreed with.
    pub agreed: usize,
    /// How many an auditor ran again and did not agree with.
    pub disputed: usize,
    /// How many were disputed on the chain, as those who made the moves say.
    pub challenged: usize,
    /// What providers were paid together, in the token's smallest unit, in decimal.
    pub paid_amount: String,
    /// Steps of all claims.
    pub steps: u64,
    /// How many parties took part.
    pub parties: usize,
    /// Each job, by the time of its end.
    pub list: Vec<AuditedJob>,
}

/// A job in an audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditedJob {
    /// The job.
    pub job: B256,
    /// When it ended, in Unix seconds.
    pub ended_secs: u64,
    /// Who ordered it: a pseudonym, good within this audit.
    pub requester: String,
    /// Who ran it, likewise.
    pub provider: String,
    /// What makes its claim final: the verifier's number, and the window in seconds.
    pub verifier: u16,
    /// The window, in seconds.
    pub window_secs: u32,
    /// How it ended.
    pub ending: &'static str,
    /// What auditors said of it.
    pub verdict: Option<Judgement>,
    /// How many moves were made in disputes about it.
    pub moves: usize,
}

impl Audit {
    /// An audit of the jobs that ended within a period, in Unix seconds. Parties are numbered in
    /// the order in which they come, so that who reads two audits can't tell that they are the
    /// same.
    pub fn of(lives: &[JobSummary], period: RangeInclusive<u64>) -> Self {
        let mut lives: Vec<_> =
            lives.iter().filter(|summary| period.contains(&summary.ended_secs)).collect();
        lives.sort_by_key(|summary| (summary.ended_secs, summary.job));
        let mut names: BTreeMap<Address, String> = BTreeMap::new();
        let mut name = |address: Address| {
            let number = names.len() + 1;
            names.entry(address).or_insert_with(|| format!("party {number}")).clone()
        };
        let list: Vec<AuditedJob> = lives
            .iter()
            .map(|summary| AuditedJob {
                job: summary.job,
                ended_secs: summary.ended_secs,
                requester: name(summary.requester),
                provider: name(summary.provider),
                verifier: summary.verifier,
                window_secs: summary.window_secs,
                ending: summary.ending,
                verdict: summary.verdict(),
                moves: summary.moves.len(),
            })
            .collect();
        let judged = |as_| list.iter().filter(|job| job.verdict == Some(as_)).count();
        let paid = lives.iter().filter(|summary| summary.paid.is_some()).count();
        let amounts = lives.iter().filter_map(|summary| summary.paid);
        Audit {
            jobs: list.len(),
            paid,
            unpaid: list.len() - paid,
            agreed: judged(Judgement::Agrees),
            disputed: judged(Judgement::Disagrees),
            challenged: list.iter().filter(|job| job.moves > 0).count(),
            paid_amount: amounts.fold(0u128, u128::saturating_add).to_string(),
            steps: lives.iter().filter_map(|summary| summary.steps).fold(0, u64::saturating_add),
            parties: names.len(),
            list,
        }
    }

    /// The audit for people.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Audit\n\n{} jobs: {} paid, {} without an answer. Run again by auditors: {} as claimed, {} not; disputed on the chain: {}. {} parties, {} steps, {} of \
             the token's smallest unit paid.\n\n| Ended | Job | Requester | Provider | Assurance | Outcome | Auditors | Dispute |\n|---|---|---|---|---|---|---|---|\n",
            self.jobs,
            self.paid,
            self.unpaid,
            self.agreed,
            self.disputed,
            self.challenged,
            self.parties,
            self.steps,
            self.paid_amount
        );
        for job in &self.list {
            let verdict = match job.verdict {
                Some(Judgement::Agrees) => "agree",
                Some(Judgement::Disagrees) => "disagree",
                None => "said nothing",
            };
            let dispute = match job.moves {
                0 => "none".to_owned(),
                moves => format!("{moves} moves"),
            };
            text += &format!(
                "| {} | {} | {} | {} | verifier {}, {} s | {} | {verdict} | {dispute} |\n",
                job.ended_secs,
                job.job,
                job.requester,
                job.provider,
                job.verifier,
                job.window_secs,
                job.ending
            );
        }
        text
    }
}
