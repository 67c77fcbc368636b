//! Why an order was not filled, or how its job ended, and what to do next (spec/pricing.md#why).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amount::{option_text, text};
use crate::{Account, JobStatus, PriceTerms, Reason, Refusal};

/// What is known of an order and its job: the order's fields, and what the market says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The order's price.
    pub terms: PriceTerms,
    /// The order's step limit.
    pub step_limit: u64,
    /// The order's stake, in the token's smallest unit.
    #[serde(with = "text")]
    pub stake: u128,
    /// What the data owner earns, which a first lock takes beside the price.
    #[serde(with = "text")]
    pub data_fee: u128,
    /// The last second for a lock.
    pub lock_deadline: u64,
    /// What the requester's purse holds.
    #[serde(with = "text")]
    pub purse: u128,
    /// Whether the order's nonce is used or cancelled.
    pub nonce_used: bool,
    /// Where the job stands.
    pub status: JobStatus,
    /// Who holds, or held, the lock.
    pub provider: Option<Account>,
    /// The last second of what the job waits for; 0 for a job that never was.
    pub deadline: u64,
}

/// Why an order stands where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What was found, the decisive first; never empty.
    pub findings: Vec<Finding>,
    /// The escrow that would have met a refusal for the price: the least that a provider named.
    /// `None` if no refusal was for the price, or the order was filled.
    #[serde(serialize_with = "option_text")]
    pub price_needed: Option<u128>,
    /// What the requester does next.
    pub next: String,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name: one of the table in spec/pricing.md#why, or the code of a refusal.
    pub code: &'static str,
    /// Whose refusal it is.
    pub provider: Option<Account>,
    /// A sentence.
    pub text: String,
}

/// Explains. The refusals are those of this order, in any order; of a provider that declined more
/// than once the last counts.
pub fn explain(facts: &Facts, refusals: &[Refusal], now: u64) -> Explanation {
    match facts.status {
        JobStatus::None => explain_unfilled(facts, &last_words(refusals), now),
        _ => {
            let mut findings = vec![facts.stage()];
            let overdue = facts.overdue(now);
            let next =
                overdue.as_ref().map_or_else(|| facts.stage_next(), |(_, next)| next.clone());
            findings.extend(overdue.map(|(finding, _)| finding));
            Explanation { findings, price_needed: None, next }
        }
    }
}

/// Each provider's last refusal, by account.
fn last_words(refusals: &[Refusal]) -> BTreeMap<Account, &Refusal> {
    let mut last: BTreeMap<Account, &Refusal> = BTreeMap::new();
    // Two words of one second: the code, then the sentence, decide, so that the order of the
    // refusals does not.
    let rank = |refusal: &Refusal| (refusal.at, refusal.reason.code(), refusal.reason.to_string());
    for refusal in refusals {
        let kept = last.entry(refusal.provider).or_insert(refusal);
        if rank(refusal) > rank(kept) {
            *kept = refusal;
        }
    }
    last
}

fn explain_unfilled(
    facts: &Facts,
    refusals: &BTreeMap<Account, &Refusal>,
    now: u64,
) -> Explanation {
    let reasons: Vec<&Reason> = refusals.values().map(|refusal| &refusal.reason).collect();
    let price_needed = facts.price_needed(&reasons);
    let blocked = facts.blocked(now);
    let next = match &blocked {
        Some((_, next)) => next.clone(),
        None => facts.unfilled_next(&reasons, price_needed, now),
    };
    let mut findings = Vec::new();
    findings.extend(blocked.map(|(finding, _)| finding));
    findings.extend(facts.asked(price_needed, reasons.is_empty(), now));
    findings.extend(refusals.values().map(|refusal| Finding {
        code: refusal.reason.code(),
        provider: Some(refusal.provider),
        text: refusal.reason.to_string(),
    }));
    Explanation { findings, price_needed, next }
}

impl Finding {
    fn new(code: &'static str, text: impl Into<String>) -> Self {
        Finding { code, provider: None, text: text.into() }
    }
}

/// Orders that nobody has locked.
impl Facts {
    /// The most that the order ever pays.
    fn price_most(&self) -> u128 {
        self.terms.price_at(self.lock_deadline)
    }

    /// What a lock at a price takes from the purse.
    fn taken(&self, price: u128) -> u128 {
        price.saturating_add(self.data_fee)
    }

    /// The least price that a provider named. Prices that the order reaches anyway are not
    /// believed: such a provider would have locked.
    fn price_needed(&self, reasons: &[&Reason]) -> Option<u128> {
        let named = reasons.iter().filter_map(|reason| reason.price_needed());
        named.filter(|&price| price > self.price_most()).min()
    }

    /// What keeps everyone from locking, and what helps.
    fn blocked(&self, now: u64) -> Option<(Finding, String)> {
        if self.nonce_used {
            let text = "the order's nonce is used: the requester cancelled it, or another order of \
                        that nonce was locked";
            let next =
                "look for the job of the nonce's other order, or sign again with a new nonce";
            return Some((Finding::new("nonce_used", text), next.into()));
        }
        if now > self.lock_deadline {
            let until = self.lock_deadline;
            let text = format!("the order could be locked until {until}, and nobody did");
            let next = "sign the order again with a later lockDeadline; it held no money, so \
                        there is nothing to refund";
            return Some((Finding::new("expired", text), next.into()));
        }
        let (purse, price) = (self.purse, self.terms.price_at(now));
        let taken = self.taken(price);
        if purse < taken {
            let text =
                format!("the purse holds {purse} and a lock takes {taken}: every lock fails");
            let most = self.taken(self.price_most().max(price));
            let next = format!("deposit {} or more", most - purse);
            return Some((Finding::new("purse_short", text), next));
        }
        None
    }

    /// What has become of the order among providers.
    fn asked(&self, price_needed: Option<u128>, unseen: bool, now: u64) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (purse, price, most) = (self.purse, self.terms.price_at(now), self.price_most());
        if let Some(needed) = price_needed {
            let text = format!("the order pays at most {most}, and {needed} would have filled it");
            findings.push(Finding::new("price_too_low", text));
        }
        if unseen {
            let text = "no provider has answered: none has seen the order, or none is at work";
            findings.push(Finding::new("not_seen", text));
        }
        if now <= self.lock_deadline && price < most {
            let text = format!(
                "the price is {price} now and rises to {most}: providers that need more wait"
            );
            findings.push(Finding::new("price_rising", text));
            if self.taken(price) <= purse && purse < self.taken(most) {
                let text = format!("the purse holds {purse}: a lock for more than that fails");
                findings.push(Finding::new("purse_below_max", text));
            }
        }
        findings
    }

    /// The one step that most likely fills the order.
    fn unfilled_next(&self, reasons: &[&Reason], price_needed: Option<u128>, now: u64) -> String {
        if let Some(mended) = self.mended(reasons, price_needed) {
            return format!("sign the order again under the same nonce with {mended}");
        }
        if !reasons.is_empty() {
            return "do what a refusal asks for, or wait for another provider".into();
        }
        match self.terms.lock_at(self.price_most(), now) {
            Some(at) if at > now => format!("wait until {at}, when the price is at its highest"),
            _ => "publish the order at another broker, or ask a provider directly".into(),
        }
    }

    /// The change to the order that the most modest provider asks for: price, then meter, then
    /// stake. Figures that the order meets already are old or untrue.
    fn mended(&self, reasons: &[&Reason], price_needed: Option<u128>) -> Option<String> {
        if let Some(least) = price_needed {
            let limit = self.step_limit;
            let fewer = format!("a step limit below {limit}, if the program needs fewer");
            return Some(format!("price.max of {least} or more; or with {fewer}"));
        }
        let base = reasons.iter().filter_map(|reason| match reason {
            Reason::BaseLow { needed, .. } => Some(*needed).filter(|&base| base > self.terms.base),
            _ => None,
        });
        if let Some(least) = base.min() {
            return Some(format!("price.base of {least} or more, and price.max above"));
        }
        let rate = reasons.iter().filter_map(|reason| match reason {
            Reason::RateLow { needed, .. } => {
                Some(*needed).filter(|&rate| rate > self.terms.per_mebistep)
            }
            _ => None,
        });
        if let Some(least) = rate.min() {
            return Some(format!("price.mebistep of {least} or more"));
        }
        let stake = reasons.iter().filter_map(|reason| match reason {
            Reason::StakeHigh { free, .. } => {
                Some(*free).filter(|&free| 0 < free && free < self.stake)
            }
            _ => None,
        });
        let most = stake.max()?;
        Some(format!("a stake of {most} or less, or wait for a larger provider"))
    }
}

/// Orders that became jobs.
impl Facts {
    fn stage(&self) -> Finding {
        let by = self.provider.map_or_else(|| "the provider".into(), |by| format!("provider {by}"));
        let until = self.deadline;
        let slashed =
            "it lost its stake, and the requester has the price back and a part of the stake";
        let (code, text) = match self.status {
            JobStatus::None => unreachable!("an order without a job has no stage"),
            JobStatus::AwaitingBegin => {
                ("awaiting_begin", format!("{by} has until {until} to open the inputs"))
            }
            JobStatus::AwaitingClaim => {
                ("awaiting_claim", format!("{by} runs the job and has until {until} to claim"))
            }
            JobStatus::AwaitingVerdict => (
                "awaiting_verdict",
                format!("{by} has claimed: anyone may challenge until {until}"),
            ),
            JobStatus::AwaitingAnswer => (
                "awaiting_answer",
                format!("{by} has claimed: output is demanded, not yet answered"),
            ),
            JobStatus::AwaitingLate => {
                let late = format!("another provider may deliver for the bounty until {until}");
                ("awaiting_late", format!("{by} missed its deadline: {slashed}; {late}"))
            }
            JobStatus::Paid => ("paid", format!("the claim was upheld and {by} was paid")),
            JobStatus::Refuted => {
                ("refuted", format!("the claim of {by} was shown false: {slashed}"))
            }
            JobStatus::Silent => {
                ("silent", format!("{by} withheld output that was demanded: {slashed}"))
            }
            JobStatus::Missed => ("missed", format!("{by} did not deliver in time: {slashed}")),
            JobStatus::Lapsed => {
                let rest = "each side paid the order's fee for that and has the rest back";
                ("lapsed", format!("{by} did not begin in time: {rest}"))
            }
            JobStatus::Unwound => {
                ("unwound", "the verifier never decided: both sides have their own back".into())
            }
        };
        Finding::new(code, text)
    }

    fn stage_next(&self) -> String {
        match self.status {
            JobStatus::None => unreachable!("an order without a job has no stage"),
            JobStatus::AwaitingBegin => "release the keys of the inputs to the provider, then wait",
            JobStatus::AwaitingClaim | JobStatus::AwaitingLate | JobStatus::AwaitingAnswer => {
                "wait"
            }
            JobStatus::AwaitingVerdict => {
                "fetch the output, and check it or have it checked while the window runs"
            }
            JobStatus::Paid => "nothing: the receipt holds the result",
            JobStatus::Refuted | JobStatus::Silent | JobStatus::Missed => {
                "sign the order again with a new nonce, and ask for more stake or a better \
                 reputation"
            }
            JobStatus::Lapsed => {
                "make sure that the keys reach the provider, then sign the order again with a \
                 new nonce"
            }
            JobStatus::Unwound => "sign the order again with a new nonce, under another verifier",
        }
        .into()
    }

    /// What was due by now, and the call by which anyone ends the wait.
    fn overdue(&self, now: u64) -> Option<(Finding, String)> {
        if now <= self.deadline {
            return None;
        }
        let next = match self.status {
            JobStatus::AwaitingBegin | JobStatus::AwaitingClaim | JobStatus::AwaitingLate => {
                "call expire, which anyone may"
            }
            JobStatus::AwaitingVerdict => {
                "call settle, which anyone may, as soon as no dispute about the claim is open"
            }
            // Demands have deadlines of their own, and ended jobs have none.
            _ => return None,
        };
        let text = format!("the time for that ended at {}", self.deadline);
        Some((Finding::new("overdue", text), next.into()))
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;
    use crate::JobId;
    use crate::refusal::tests::{codes_of, every_reason};

    const FACTS: Facts = Facts {
        terms: PriceTerms {
            min: 50,
            max: 100,
            base: 100,
            per_mebistep: 0,
            ramp_start_at: 1000,
            ramp_secs: 100,
        },
        step_limit: 1 << 30,
        stake: 500,
        data_fee: 0,
        lock_deadline: 2000,
        purse: 1000,
        nonce_used: false,
        status: JobStatus::None,
        provider: None,
        deadline: 0,
    };

    fn refusal(provider: u8, at: u64, reason: Reason) -> Refusal {
        Refusal { job: JobId([1; 32]), provider: Account([provider; 20]), reason, at }
    }

    fn codes(explanation: &Explanation) -> Vec<&'static str> {
        explanation.findings.iter().map(|finding| finding.code).collect()
    }

    fn check(facts: &Facts, refusals: &[Refusal], now: u64, expect: &[&str], next: &str) {
        let explanation = explain(facts, refusals, now);
        assert_eq!(codes(&explanation), expect);
        assert!(explanation.next.contains(next), "{}", explanation.next);
    }

    #[test]
    fn an_order_that_nobody_has_seen() {
        check(&FACTS, &[], 900, &["not_seen", "price_rising"], "wait until 1100");
        check(&FACTS, &[], 1100, &["not_seen"], "another broker");
    }

    #[test]
    fn an_order_that_nobody_can_lock() {
        let cancelled = Facts { nonce_used: true, ..FACTS };
        check(&cancelled, &[], 1100, &["nonce_used", "not_seen"], "new nonce");
        check(&FACTS, &[], 2000, &["not_seen"], "another broker");
        check(&FACTS, &[], 2001, &["expired", "not_seen"], "later lockDeadline");
        let poor = Facts { purse: 40, ..FACTS };
        check(&poor, &[], 900, &["purse_short", "not_seen", "price_rising"], "deposit 60");
        let scant = Facts { purse: 60, ..FACTS };
        let expect = ["not_seen", "price_rising", "purse_below_max"];
        check(&scant, &[], 900, &expect, "wait until 1100");
        // A lock takes the data owner's fee beside the price.
        let fee = Facts { data_fee: 30, ..FACTS };
        let expect = ["purse_short", "not_seen", "price_rising"];
        check(&Facts { purse: 79, ..fee }, &[], 900, &expect, "deposit 51");
        let expect = ["not_seen", "price_rising", "purse_below_max"];
        check(&Facts { purse: 80, ..fee }, &[], 900, &expect, "wait until 1100");
        let expect = ["not_seen", "price_rising"];
        check(&Facts { purse: 130, ..fee }, &[], 900, &expect, "wait until 1100");
    }

    #[test]
    fn an_order_priced_too_low_says_what_would_fill_it() {
        let low = |needed| Reason::PriceLow { needed, at_most: 100 };
        let refusals = [
            refusal(1, 10, low(300)),
            refusal(2, 10, low(180)),
            refusal(3, 10, low(90)),
            refusal(4, 10, low(120)),
            refusal(4, 11, Reason::AuditorMissing {}),
        ];
        let explanation = explain(&FACTS, &refusals, 1200);
        assert_eq!(explanation.price_needed, Some(180), "the order pays 90; provider 4 is out");
        let expect = ["price_too_low", "price_low", "price_low", "price_low", "auditor_missing"];
        check(&FACTS, &refusals, 1200, &expect, "price.max of 180");
        let late = explain(&FACTS, &refusals, 2001);
        assert_eq!(late.price_needed, Some(180), "also once it is over");
        assert_eq!(codes(&late)[0], "expired");
        let cut = Facts { lock_deadline: 1050, ..FACTS };
        let explanation = explain(&cut, &refusals, 1000);
        assert_eq!(explanation.price_needed, Some(90), "the ramp does not reach 90 in time");
    }

    #[test]
    fn other_wants_have_their_next_step() {
        let metered = PriceTerms { base: 10, per_mebistep: 1, ..FACTS.terms };
        let facts = Facts { terms: metered, ..FACTS };
        let base = refusal(1, 1, Reason::BaseLow { base: 10, needed: 30 });
        let rate = refusal(2, 1, Reason::RateLow { per_mebistep: 1, needed: 4 });
        let stake = refusal(3, 1, Reason::StakeHigh { stake: 500, free: 200 });
        let disk = refusal(4, 1, Reason::DiskSmall { needed_size: 2, free_size: 1 });
        let all = [base, rate, stake, disk];
        for (skipped, next) in
            ["price.base of 30", "price.mebistep of 4", "stake of 200", "what a refusal asks"]
                .iter()
                .enumerate()
        {
            let explanation = explain(&facts, &all[skipped..], 1200);
            assert!(explanation.next.contains(next), "{}", explanation.next);
            assert_eq!(explanation.price_needed, None, "no price alone would do");
        }
    }

    #[test]
    fn every_end_of_a_job_explains_itself() {
        let ends = [
            (JobStatus::Paid, "paid", "receipt"),
            (JobStatus::Refuted, "refuted", "new nonce"),
            (JobStatus::Silent, "silent", "new nonce"),
            (JobStatus::Missed, "missed", "new nonce"),
            (JobStatus::Lapsed, "lapsed", "keys"),
            (JobStatus::Unwound, "unwound", "another verifier"),
        ];
        for (status, code, next) in ends {
            let facts = Facts { status, provider: Some(Account([9; 20])), deadline: 5, ..FACTS };
            // Refusals from before the lock no longer matter.
            let before = [refusal(1, 1, Reason::AuditorMissing {})];
            check(&facts, &before, 9000, &[code], next);
        }
    }

    #[test]
    fn what_a_job_waits_for_ends_with_its_deadline() {
        let waits = [
            (JobStatus::AwaitingBegin, "awaiting_begin", "keys", "call expire"),
            (JobStatus::AwaitingClaim, "awaiting_claim", "wait", "call expire"),
            (JobStatus::AwaitingLate, "awaiting_late", "wait", "call expire"),
            (JobStatus::AwaitingVerdict, "awaiting_verdict", "fetch", "call settle"),
        ];
        for (status, code, next, overdue) in waits {
            let facts = Facts { status, deadline: 3000, nonce_used: true, ..FACTS };
            check(&facts, &[], 3000, &[code], next);
            check(&facts, &[], 3001, &[code, "overdue"], overdue);
        }
        let facts = Facts { status: JobStatus::AwaitingAnswer, deadline: 3000, ..FACTS };
        check(&facts, &[], 3001, &["awaiting_answer"], "wait");
    }

    #[test]
    fn the_order_of_refusals_does_not_matter() {
        let mut rng = Rng::with_seed(11);
        let reasons = every_reason();
        for _ in 0..500 {
            let mut refusals: Vec<Refusal> = (0..rng.usize(..12))
                .map(|_| {
                    let reason = reasons[rng.usize(..reasons.len())].clone();
                    refusal(rng.u8(..5), rng.u64(..3), reason)
                })
                .collect();
            let expect = explain(&FACTS, &refusals, 1200);
            assert!(!expect.findings.is_empty() && !expect.next.is_empty());
            rng.shuffle(&mut refusals);
            assert_eq!(explain(&FACTS, &refusals, 1200), expect);
        }
    }

    /// Every code that a finding can have, besides those of refusals.
    const CODES: [&str; 19] = [
        "nonce_used",
        "expired",
        "purse_short",
        "price_too_low",
        "not_seen",
        "price_rising",
        "purse_below_max",
        "awaiting_begin",
        "awaiting_claim",
        "awaiting_verdict",
        "awaiting_answer",
        "awaiting_late",
        "paid",
        "refuted",
        "silent",
        "missed",
        "lapsed",
        "unwound",
        "overdue",
    ];

    #[test]
    fn every_code_is_in_the_specification() {
        let spec = include_str!("../../../spec/pricing.md");

        assert_eq!(codes_of(spec, "## Why"), CODES, "the table of findings");
    }

    #[test]
    fn explanations_have_amounts_as_text() {
        let low = refusal(1, 1, Reason::PriceLow { needed: 180, at_most: 100 });
        let json = serde_json::to_value(explain(&FACTS, &[low], 1200)).unwrap();
        assert_eq!(json["price_needed"], "180");
        assert_eq!(json["findings"][1]["provider"], format!("0x{}", "01".repeat(20)));
    }
}
