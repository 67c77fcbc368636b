//! Judging a receipt, line by line (spec/receipt.md#verifying).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use alloy_primitives::{Address, B256, eip191_hash_message};
use alloy_sol_types::SolEvent;
use assay_assurance::window::Window;
use assay_assurance::{Assurance, Finality};
use assay_contracts::{
    Anchors, EventProof, JobEvent, LoggedEvent, Market, ProvedEvent, RunOutcome,
};
use assay_market::{Account, JobStatus};
use assay_protocol::verify_account;
use assay_tlog::{Checkpoint, check_consistency, check_inclusion, leaf_hash};
use assay_types::{Hash, sha256};
use serde::Serialize;

use crate::receipt::{LoggedStatement, Receipt, ReceiptLog, STATEMENTS_MAX};
use crate::statement::{
    Binding, BlockRef, Claimed, Judgement, Locked, Move, Operator, Ordered, ReleasedSlot, Settled,
    Statement, binding_text, operator_text,
};
use crate::trust::Trust;

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// The market is the one that the reader asks for.
    Market,
    /// The requester has signed the order, and its hash is the job.
    Order,
    /// The order names a verifier that the reader takes.
    Verifier,
    /// The contract has ended the job.
    Settlement,
    /// The contract has taken the claim.
    Claim,
    /// The window was as long as the order asked.
    Window,
    /// The log, and who must have, signed the checkpoint.
    Checkpoint,
    /// A statement is in the log.
    Inclusion,
    /// A statement is signed by its key.
    Envelope,
    /// A key may sign for an account.
    Binding,
    /// Who speaks may say this.
    Speaker,
    /// What is said fits the order and the events.
    Statement,
    /// What a statement follows is there.
    Link,
    /// The log goes on from what its operator has anchored on the chain.
    Anchor,
    /// Somebody vouches that the blocks are the chain's.
    Header,
    /// The result is right.
    Result,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Held,
    /// It does not.
    Refused,
    /// It could not be looked at, or was not.
    NotChecked,
}

/// One line of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub code: Code,
    /// What came of it.
    pub outcome: Outcome,
    /// In words.
    pub what: String,
    /// By whose key, or by what.
    pub by: Option<String>,
}

/// What a receipt amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Something in it is wrong.
    Refused,
    /// It contradicts itself nowhere, and nobody whom the reader trusts vouches for its blocks, its
    /// market or its log.
    Consistent,
    /// The same, and those whom the reader trusts vouch for it.
    Vouched,
}

/// All that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What the receipt amounts to.
    pub standing: Standing,
    /// The lines, in the order in which they were looked at.
    pub checks: Vec<Check>,
}

/// Judges a receipt by itself, and by whom the reader trusts.
pub fn verify(receipt: &Receipt, trust: Option<&Trust>) -> Report {
    let judge = Judge::of(receipt, trust);
    let has = |outcome| judge.checks.iter().any(|check| check.outcome == outcome);
    let unvouched = |check: &Check| {
        let matters = matches!(check.code, Code::Market | Code::Checkpoint | Code::Header);
        matters && check.outcome == Outcome::NotChecked
    };
    let standing = if has(Outcome::Refused) {
        Standing::Refused
    } else if judge.checks.iter().any(unvouched) {
        Standing::Consistent
    } else {
        Standing::Vouched
    };
    Report { standing, checks: judge.checks }
}

/// The same receipt without statements that would spoil it: anyone may add to a log, and so could
/// put something unsound, or too much, beside what a job's parties say. Of what others say, a
/// verdict and a settlement of each account stay, of [`OTHERS_MAX`] accounts: those first who have
/// seen the end.
pub fn without_noise(mut receipt: Receipt) -> Receipt {
    let mut left_out = Judge::of(&receipt, None).unsound;
    let parties = parties(&receipt);
    let Some(log) = &receipt.log else { return receipt };
    let (mut own, mut others) = (0, BTreeMap::<Address, Others>::new());
    for logged in &log.statements {
        if left_out.contains(&logged.index) {
            continue;
        }
        let Some((size, said)) = payload_of(logged) else { continue };
        let speaker = said.speaker();
        if matches!(said, Statement::Operated(_)) || parties.contains(&speaker) {
            own += 1;
            if own > OWN_MAX || size > OWN_SIZE_MAX {
                left_out.insert(logged.index);
            }
            continue;
        }
        let of_account = others.entry(speaker).or_default();
        let place = match said {
            Statement::Binding(_) => &mut of_account.binding,
            Statement::Judged(_) => &mut of_account.verdict,
            Statement::Settled(_) => &mut of_account.settlement,
            _ => &mut Some(0),
        };
        if place.is_some() || size > OTHERS_SIZE_MAX {
            left_out.insert(logged.index);
        } else {
            *place = Some(logged.index);
        }
    }
    let mut ranked: Vec<Others> = others.into_values().collect();
    ranked.sort_by_key(|one| (one.settlement.is_none(), one.settlement, one.verdict, one.binding));
    left_out.extend(ranked.iter().skip(OTHERS_MAX).flat_map(Others::indices));
    if !left_out.is_empty() {
        receipt.log = Some(log.without(&left_out));
    }
    receipt.sealed()
}

/// The most statements in a receipt by those who have a part in the job, and the most bytes of one.
const OWN_MAX: usize = STATEMENTS_MAX - 3 * OTHERS_MAX;
const OWN_SIZE_MAX: usize = 4_096;

/// The most other accounts that have a say in a receipt, and the most bytes of a statement of
/// theirs. All together fits a receipt.
const OTHERS_MAX: usize = 32;
const OTHERS_SIZE_MAX: usize = 2_048;

/// What stays of an account that has no part in a job, by its places in the log.
#[derive(Default)]
struct Others {
    binding: Option<u64>,
    verdict: Option<u64>,
    settlement: Option<u64>,
}

impl Others {
    fn indices(&self) -> impl Iterator<Item = u64> {
        [self.binding, self.verdict, self.settlement].into_iter().flatten()
    }
}

/// Who has a part in a job, as the order and the chain say.
fn parties(receipt: &Receipt) -> BTreeSet<Address> {
    let terms = receipt.terms();
    let mut parties = BTreeSet::from([receipt.order.order.requester]);
    parties.extend(terms.slots().map(|(_, slot)| Address::from(slot.owner.0)));
    parties.extend(terms.auditors.iter().map(|auditor| Address::from(auditor.0)));
    parties.extend(receipt.claim.as_ref().and_then(claim_of).map(|claim| claim.provider));
    if let Ok(block) = receipt.settlement.check()
        && let Some(ended) = ending(&block)
    {
        parties.extend([Some(ended.provider), ended.informer()].into_iter().flatten());
    }
    parties
}

/// A statement's size in bytes, and what it says.
fn payload_of(logged: &LoggedStatement) -> Option<(usize, Statement)> {
    let (payload, _) = logged.envelope.open().ok()?;
    Some((payload.len(), Statement::from_payload(&payload).ok()?))
}

/// A receipt being judged.
struct Judge<'a> {
    receipt: &'a Receipt,
    trust: Option<&'a Trust>,
    checks: Vec<Check>,
    /// Entries of the log about which something was refused.
    unsound: BTreeSet<u64>,
}

/// How the contract says that a job ended.
struct Ending {
    block: ProvedEvent,
    event: &'static str,
    provider: Address,
    paid: Option<u128>,
    status: Option<JobStatus>,
}

impl Ending {
    /// Whether the end is what became of a claim.
    fn is_of_a_claim(&self) -> bool {
        self.paid.is_some() || matches!(self.status, Some(JobStatus::Refuted | JobStatus::Silent))
    }
}

/// What the contract says was claimed.
struct ProvedClaim {
    block: ProvedEvent,
    facts: ClaimFacts,
}

impl ProvedClaim {
    /// What its provider says of it, without what that follows.
    fn statement(&self, job: B256) -> Claimed {
        let ClaimFacts { provider, final_state, trace_root, output_root, steps, status, exit_code } =
            self.facts;
        Claimed {
            job,
            after: Vec::new(),
            provider,
            final_state,
            trace_root,
            output_root,
            steps,
            status,
            exit_code,
            block: block_ref(&self.block),
        }
    }
}

/// How a game ends whose claim is false, by the contract's number.
const CLAIM_FALSE: u8 = 5;

impl<'a> Judge<'a> {
    fn of(receipt: &'a Receipt, trust: Option<&'a Trust>) -> Self {
        let mut judge = Judge { receipt, trust, checks: Vec::new(), unsound: BTreeSet::new() };
        judge.market();
        judge.order();
        judge.verifier();
        let settlement = judge.settlement();
        let claim = judge.claim(settlement.as_ref());
        let seen = judge.log(claim.as_ref(), settlement.as_ref());
        judge.header(claim.as_ref(), settlement.as_ref(), &seen.vouching);
        judge.result(claim.as_ref(), settlement.as_ref());
        judge
    }

    fn held(&mut self, code: Code, what: impl Display, by: impl Display) {
        let by = Some(by.to_string());
        self.checks.push(Check { code, outcome: Outcome::Held, what: what.to_string(), by });
    }

    fn refused(&mut self, code: Code, what: impl Display) {
        let outcome = Outcome::Refused;
        self.checks.push(Check { code, outcome, what: what.to_string(), by: None });
    }

    fn not_checked(&mut self, code: Code, what: impl Display) {
        let outcome = Outcome::NotChecked;
        self.checks.push(Check { code, outcome, what: what.to_string(), by: None });
    }

    fn market(&mut self) {
        let market = self.receipt.market;
        let said = format!(
            "market {} on chain {}, genesis {}",
            market.market, market.chain_id, market.genesis_hash
        );
        match self.trust.and_then(|trust| trust.market) {
            Some(wanted) if wanted == market => self.held(Code::Market, said, "the trust file"),
            Some(_) => self.refused(Code::Market, format!("{said}: not the trust file's")),
            None => self.not_checked(Code::Market, format!("{said}: the trust file names none")),
        }
    }

    fn order(&mut self) {
        let (market, signed) = (self.receipt.market, &self.receipt.order);
        match signed.verify_on(market.chain_id, market.market) {
            Ok(job) if job == self.receipt.job => {
                let what = format!("job {job} is what the requester ordered");
                self.held(Code::Order, what, signed.order.requester);
            }
            Ok(job) => self.refused(Code::Order, format!("the signed order is another job, {job}")),
            Err(error) => self.refused(Code::Order, format!("the order's signature: {error}")),
        }
    }

    /// A market can have verifiers that any claim passes, so which are to be believed is the
    /// reader's choice.
    fn verifier(&mut self) {
        let verifier = self.receipt.order.order.verifierId;
        let what = format!("verifier {verifier} decides when a claim is final");
        match self.trust {
            Some(trust) if trust.verifiers.contains(&verifier) => {
                self.held(Code::Verifier, what, "the trust file");
            }
            Some(_) => {
                let what = format!("{what}: none of those that the trust file names");
                self.refused(Code::Verifier, what);
            }
            None => self.not_checked(Code::Verifier, format!("{what}: no trust file names any")),
        }
    }

    /// The event of the market's contract that a proof proves.
    fn event(&mut self, code: Code, proof: &EventProof) -> Option<ProvedEvent> {
        match proof.check() {
            Ok(event) if event.log.address == self.receipt.market.market => Some(event),
            Ok(event) => {
                let address = event.log.address;
                self.refused(code, format!("the event is of another contract, {address}"));
                None
            }
            Err(error) => {
                self.refused(code, error);
                None
            }
        }
    }

    fn settlement(&mut self) -> Option<Ending> {
        let block = self.event(Code::Settlement, &self.receipt.settlement)?;
        let ended = ending(&block).filter(|ended| ended.job == self.receipt.job);
        let Some(ended) = ended else {
            self.refused(Code::Settlement, "the event is not the end of this job");
            return None;
        };
        let (paid, status) = (ended.paid(), ended.status());
        let (event, provider) = (ended.event.name(), ended.provider);
        let order = &self.receipt.order.order;
        let named = order.provider;
        if paid.is_some_and(|paid| !paid.fits(order)) || !(named.is_zero() || named == provider) {
            self.refused(Code::Settlement, "the event does not fit the order");
            return None;
        }
        let what = match paid {
            Some(Paid { provider: paid, data_fee: 0, .. }) => {
                format!("{event}: {provider} was paid {paid}")
            }
            Some(Paid { provider: paid, data_fee, .. }) => {
                let owner = order.dataOwner;
                format!("{event}: {provider} was paid {paid}, and {owner} {data_fee} for its data")
            }
            None => format!("{event}: {provider}"),
        };
        let paid = paid.map(|paid| paid.provider);
        let by = format!("block {} {}", block.block_number, block.block_hash);
        self.held(Code::Settlement, what, by);
        Some(Ending { block, event, provider, paid, status })
    }

    fn claim(&mut self, settlement: Option<&Ending>) -> Option<ProvedClaim> {
        let Some(proof) = &self.receipt.claim else {
            if settlement.is_some_and(Ending::is_of_a_claim) {
                self.refused(Code::Claim, "the job ended by its claim and the receipt has none");
            }
            return None;
        };
        let block = self.event(Code::Claim, proof)?;
        let event = LoggedEvent::decode(&block.log);
        let event = event.filter(|event| event.job == Some(self.receipt.job));
        let Some(facts) = event.and_then(|event| ClaimFacts::from_event(&event.event)) else {
            self.refused(Code::Claim, "the event is not a claim of this job");
            return None;
        };
        let settlement = settlement?;
        if settlement.is_of_a_claim() && settlement.provider != facts.provider {
            self.refused(Code::Claim, "the job ended with another provider than claimed");
            return None;
        }
        if block.block_number > settlement.block.block_number {
            self.refused(Code::Claim, "the claim came after the job had ended");
            return None;
        }
        let (provider, steps, root) = (facts.provider, facts.steps, facts.output_root);
        let mut what = format!("{provider} claimed output {root} after {steps} steps");
        let outcome = facts.outcome();
        if !outcome.is_success() {
            what += &format!(", {outcome}");
        }
        let by = format!("block {} {}", block.block_number, block.block_hash);
        self.held(Code::Claim, what, by);
        if settlement.paid.is_some() {
            let finality = Finality {
                window_secs: self.receipt.order.order.windowSecs,
                claimed_at: block.timestamp,
                settled_at: settlement.block.timestamp,
            };
            // Whatever its number, an order of version 1 names the fraud-proof window.
            match Window::verify(finality) {
                Ok(what) => self.held(Code::Window, what, "the two blocks' times"),
                Err(what) => self.refused(Code::Window, what),
            }
        }
        Some(ProvedClaim { block, facts })
    }

    /// Judges the statements, and gives what they show.
    fn log(&mut self, claim: Option<&ProvedClaim>, settlement: Option<&Ending>) -> Seen {
        let mut seen = Seen::default();
        let Some(log) = &self.receipt.log else {
            self.not_checked(Code::Checkpoint, "the receipt has no part of a log");
            return seen;
        };
        let Some(tree) = self.checkpoint(log) else { return seen };
        for statement in &log.statements {
            let before = self.checks.len();
            let said = self.statement(statement, &tree, &mut seen);
            let is_clean = self.checks[before..].iter().all(|one| one.outcome == Outcome::Held);
            let Some((said, account)) = said.filter(|_| is_clean) else {
                self.unsound.insert(statement.index);
                continue;
            };
            if self.fits(&said, claim, settlement) {
                let what = format!("{}, logged at {}, by {account}", told(&said), statement.index);
                match &said {
                    Statement::Operated(said) => {
                        self.held(Code::Statement, what, format!("the log's key {}", said.key));
                        seen.operators.push(said.clone());
                    }
                    _ => self.held(Code::Statement, what, seen.keys_of(account)),
                }
                if let Statement::Settled(said) = &said {
                    seen.vouching.insert(account);
                    let block = said.anchor_block.map(|block| (block.number, block.hash));
                    seen.vouching_anchor.extend(block.map(|block| (block, account)));
                }
            } else {
                self.unsound.insert(statement.index);
            }
            seen.names.insert(said.name());
            seen.said.insert(said.digest(), (statement.index, said));
        }
        self.links(&seen);
        for name in Window::statements() {
            if !seen.names.contains(name) {
                self.not_checked(Code::Statement, format!("no {name} statement is in the receipt"));
            }
        }
        self.anchor(log, &tree, &seen);
        seen
    }

    /// Whether each statement follows what it may. A verdict may be logged before the claim that it
    /// follows: both say what the chain showed before.
    fn links(&mut self, seen: &Seen) {
        let mut said: Vec<_> = seen.said.values().collect();
        said.sort_by_key(|(index, _)| *index);
        for (index, said) in said {
            for digest in said.after() {
                let name = said.name();
                match seen.said.get(digest) {
                    None => self.not_checked(
                        Code::Link,
                        format!(
                            "the {name} statement follows {digest}, which is not in the receipt"
                        ),
                    ),
                    Some((_, earlier)) if !may_follow(said, earlier) => {
                        let earlier = earlier.name();
                        let what =
                            format!("the {name} statement at {index} cannot follow this {earlier}");
                        self.refused(Code::Link, what);
                        self.unsound.insert(*index);
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// Whether the log goes on from what its operator has anchored.
    fn anchor(&mut self, log: &ReceiptLog, tree: &Checkpoint, seen: &Seen) {
        let Some(anchor) = &log.anchor else {
            return self.not_checked(Code::Anchor, "no anchor of the log is in the receipt");
        };
        let anchored = match anchored(&anchor.event) {
            Ok(anchored) => anchored,
            Err(why) => return self.refused(Code::Anchor, why),
        };
        let by_operator = seen.operators.iter().any(|one| {
            one.account == anchored.operator
                && one.anchors == anchored.contract
                && anchored.origin_hash == sha256(one.origin.as_bytes())
        });
        if !by_operator {
            let what =
                format!("{} anchors a log, and this one's key does not say so", anchored.operator);
            return self.refused(Code::Anchor, what);
        }
        let (size, root) = (anchored.size, anchored.root);
        let goes_on = check_consistency(&anchor.consistency, tree.size, tree.root, size, root);
        if anchor.size != size || goes_on.is_err() {
            let what =
                format!("the checkpoint does not go on from the {size} entries that were anchored");
            return self.refused(Code::Anchor, what);
        }
        let within = log.statements.iter().filter(|one| one.index < size).count();
        let what = format!(
            "the log goes on from {size} anchored entries, {within} of the receipt's {} among them",
            log.statements.len()
        );
        // A header alone could say any time and number: somebody who saw the anchor must have named
        // its block.
        let named = (anchored.block.number, anchored.block.hash);
        let seen_by = seen.vouching_anchor.iter().filter(|(block, _)| *block == named);
        let seen_by: BTreeSet<Address> = seen_by.map(|(_, account)| *account).collect();
        if seen_by.is_empty() {
            return self.refused(Code::Anchor, "no settlement statement names the anchor's block");
        }
        let block = format!("block {} {}", anchored.block.number, anchored.block.hash);
        let by = match self.trust {
            Some(trust) if trust.headers.contains(&anchored.block.hash) => {
                Some("the trust file's headers".to_owned())
            }
            Some(trust) => trust.believed(&seen_by),
            None => None,
        };
        match by {
            Some(by) => self.held(Code::Anchor, format!("{what}, in {block}"), by),
            None => {
                let what =
                    format!("{what}, in {block}: nobody whom you trust vouches for the block");
                self.not_checked(Code::Anchor, what);
            }
        }
    }

    fn checkpoint(&mut self, log: &ReceiptLog) -> Option<Checkpoint> {
        let note = log.checkpoint.as_bytes();
        let policy = self.trust.map(Trust::policy);
        let opened = match policy {
            Some(Ok(Some(policy))) => policy.open(note),
            Some(Err(error)) => {
                self.refused(Code::Checkpoint, error);
                return None;
            }
            None | Some(Ok(None)) => {
                return match Checkpoint::unverified(note) {
                    Ok(tree) => {
                        let what = format!(
                            "log {} of {} entries: no key is trusted",
                            tree.origin, tree.size
                        );
                        self.not_checked(Code::Checkpoint, what);
                        Some(tree)
                    }
                    Err(error) => {
                        self.refused(Code::Checkpoint, error);
                        None
                    }
                };
            }
        };
        match opened {
            Ok(opened) => {
                let tree = opened.checkpoint;
                let witnesses: Vec<_> =
                    opened.cosignatures.iter().map(|one| one.witness.as_str()).collect();
                let what = format!("log {} of {} entries", tree.origin, tree.size);
                let by = [&[tree.origin.as_str()], &witnesses[..]].concat().join(", ");
                self.held(Code::Checkpoint, what, by);
                Some(tree)
            }
            Err(error) => {
                self.refused(Code::Checkpoint, error);
                None
            }
        }
    }

    /// Whether a statement is in the log, signed, linked, and whose it is.
    fn statement(
        &mut self,
        logged: &LoggedStatement,
        tree: &Checkpoint,
        seen: &mut Seen,
    ) -> Option<(Statement, Address)> {
        let index = logged.index;
        if seen.last.is_some_and(|last| last >= index) {
            self.refused(Code::Inclusion, format!("entry {index} is not in the log's order"));
        }
        seen.last = Some(index);
        let leaf = leaf_hash(&logged.envelope.to_bytes());
        if let Err(error) = check_inclusion(&logged.path, tree.size, tree.root, index, leaf) {
            self.refused(Code::Inclusion, format!("entry {index}: {error}"));
        }
        let (payload, key) = match logged.envelope.open() {
            Ok(opened) => opened,
            Err(error) => {
                self.refused(Code::Envelope, format!("entry {index}: {error}"));
                return None;
            }
        };
        let said = match Statement::from_payload(&payload) {
            Ok(said) => said,
            Err(error) => {
                self.refused(Code::Statement, format!("entry {index}: {error}"));
                return None;
            }
        };
        if said.market().is_some_and(|market| market != self.receipt.market)
            || said.job().is_some_and(|job| job != self.receipt.job)
        {
            // Nor does a binding for another market bind anything here.
            self.refused(Code::Statement, format!("entry {index} is about another job or market"));
            return None;
        }
        if let Statement::Binding(binding) = &said {
            return self
                .binding(index, binding, key, seen)
                .then_some((said.clone(), binding.account));
        }
        if let Statement::Operated(operator) = &said {
            let holds = self.operator(index, operator, key, tree);
            return holds.then_some((said.clone(), operator.account));
        }
        let speaker = said.speaker();
        if seen.accounts.get(&key) != Some(&speaker) {
            let what = format!("entry {index}: no earlier statement binds its key to {speaker}");
            self.refused(Code::Binding, what);
        }
        if said.after().is_empty() && !matches!(said, Statement::Ordered(_) | Statement::Masked(_))
        {
            self.refused(Code::Link, format!("entry {index} follows nothing, so it has no market"));
        }
        Some((said, speaker))
    }

    fn binding(&mut self, index: u64, binding: &Binding, key: Hash, seen: &mut Seen) -> bool {
        let text = binding_text(&binding.market, binding.account, binding.key);
        let hash = eip191_hash_message(text.as_bytes());
        if binding.key != key {
            self.refused(Code::Binding, format!("entry {index} binds another key than signed it"));
            return false;
        }
        if let Err(error) = verify_account(hash, &binding.signature, binding.account) {
            self.refused(Code::Binding, format!("entry {index}: {error}"));
            return false;
        }
        seen.accounts.insert(key, binding.account);
        true
    }

    /// Whether the log's key and an account say of each other that the one's log is the other's to
    /// anchor.
    fn operator(&mut self, index: u64, said: &Operator, key: Hash, tree: &Checkpoint) -> bool {
        let Operator { market, account, anchors, origin, .. } = said;
        let text = operator_text(market, *account, *anchors, origin, said.key);
        let hash = eip191_hash_message(text.as_bytes());
        let policy = self.trust.and_then(|trust| trust.policy().ok().flatten());
        let is_the_logs = policy.is_none_or(|policy| policy.log().bytes() == key.0);
        if said.key != key || *origin != tree.origin || !is_the_logs {
            let what = format!("entry {index}: not this log's key says who anchors it");
            self.refused(Code::Binding, what);
            return false;
        }
        if let Err(error) = verify_account(hash, &said.signature, *account) {
            self.refused(Code::Binding, format!("entry {index}: {error}"));
            return false;
        }
        true
    }

    /// Whether what is said is for the speaker to say, and fits the order and the events.
    fn fits(
        &mut self,
        said: &Statement,
        claim: Option<&ProvedClaim>,
        settlement: Option<&Ending>,
    ) -> bool {
        let receipt = self.receipt;
        let requester = receipt.order.order.requester;
        let provider = claim.map(|claim| claim.facts.provider);
        let terms = receipt.terms();
        let may_speak = match said {
            Statement::Ordered(said) => said.requester == requester,
            // Of a job that several have locked, the others' statements stand beside the
            // claimant's.
            Statement::Claimed(_) | Statement::Ran(_) => Some(said.speaker()) == provider,
            Statement::Moved(said) if said.made.is_claimants() => Some(said.account) == provider,
            // Of a sealed job only those who were to have the keys can have run it again.
            Statement::Judged(said) => {
                let is_named = terms.auditors.contains(&Account(said.auditor.into_array()));
                Some(said.auditor) != provider && (is_named || !terms.is_sealed())
            }
            Statement::Released(said) => {
                let slot = match said.slot {
                    ReleasedSlot::Input => &terms.input,
                    ReleasedSlot::Dataset => &terms.dataset,
                };
                slot.as_ref().is_some_and(|slot| slot.owner.0 == said.owner)
            }
            Statement::Masked(said) => {
                terms.dataset.as_ref().is_some_and(|slot| slot.owner.0 == said.owner)
            }
            _ => true,
        };
        if !may_speak {
            let (name, speaker) = (said.name(), said.speaker());
            self.refused(
                Code::Speaker,
                format!("the {name} statement is not for {speaker} to make"),
            );
            return false;
        }
        let trace = claim.map(|claim| claim.facts.trace_root);
        let fits = match said {
            Statement::Binding(_) | Statement::Operated(_) => true,
            Statement::Locked(said) => self.lock_fits(said, claim, settlement),
            Statement::Released(said) => {
                let slot = match said.slot {
                    ReleasedSlot::Input => &terms.input,
                    ReleasedSlot::Dataset => &terms.dataset,
                };
                slot.as_ref().is_some_and(|slot| {
                    said.envelope.0 == slot.envelope.0
                        && said.policy.map(|policy| policy.0) == slot.policy.map(|policy| policy.0)
                        && said.ledger.is_some() == said.policy.is_some()
                })
            }
            Statement::Masked(said) => {
                said.root == receipt.order.order.datasetRoot
                    && terms.dataset.as_ref().is_some_and(|slot| slot.envelope.0 == said.envelope.0)
                    && said.mask.owner.parse() == Ok(said.owner)
            }
            Statement::Moved(said) => claim.is_some_and(|claim| {
                // A dispute is about a claim, and one that fell is not paid.
                let paid = settlement.is_some_and(|end| end.paid.is_some());
                is_of_one_chain(said.block, Some(claim), settlement)
                    && !(paid && matches!(said.made, Move::End { outcome: CLAIM_FALSE, .. }))
            }),
            Statement::Ordered(said) => {
                *said == Ordered::of(receipt.market, receipt.job, &receipt.order.order)
            }
            Statement::Ran(said) => claim.is_some_and(|claim| {
                said.fits(&receipt.order.order, &claim.statement(receipt.job))
            }),
            Statement::Claimed(said) => claim.is_some_and(|claim| same_claim(said, claim)),
            Statement::Judged(said) => Some(said.trace_root) == trace,
            Statement::Settled(said) => {
                settlement.is_some_and(|settlement| same_ending(said, claim, settlement))
            }
        };
        if !fits {
            let name = said.name();
            self.refused(Code::Statement, format!("the {name} statement does not fit the events"));
        }
        fits
    }

    /// Whether a lock is one that the order allows, before the claim if it is the claimant's.
    fn lock_fits(
        &self,
        said: &Locked,
        claim: Option<&ProvedClaim>,
        settlement: Option<&Ending>,
    ) -> bool {
        let order = &self.receipt.order.order;
        let Ok(price) = said.price.parse::<u128>() else { return false };
        // A late lock has the bounty of whoever missed the job in escrow.
        let in_bounds =
            said.late || (order.price.min.to::<u128>()..=order.price.max.to()).contains(&price);
        let claims = claim.filter(|claim| claim.facts.provider == said.provider);
        let in_time = claims.is_none_or(|claim| said.block.number <= claim.block.block_number);
        in_bounds && in_time && is_of_one_chain(said.block, claim, settlement)
    }

    fn header(
        &mut self,
        claim: Option<&ProvedClaim>,
        settlement: Option<&Ending>,
        vouching: &BTreeSet<Address>,
    ) {
        let Some(settlement) = settlement else { return };
        let mut blocks: Vec<B256> = vec![settlement.block.block_hash];
        blocks.extend(claim.map(|claim| claim.block.block_hash));
        let what = "the blocks are the chain's";
        let Some(trust) = self.trust else {
            let what = format!("{what}: nobody vouches for them without a trust file");
            return self.not_checked(Code::Header, what);
        };
        if blocks.iter().all(|block| trust.headers.contains(block)) {
            return self.held(Code::Header, what, "the trust file's headers");
        }
        if let Some(names) = trust.believed(vouching) {
            return self.held(Code::Header, what, names);
        }
        let (found, quorum) =
            (trust.observers.intersection(vouching).count(), trust.observer_quorum);
        let what = format!("{what}: {found} trusted observers say so, {quorum} must");
        self.not_checked(Code::Header, what);
    }

    fn result(&mut self, claim: Option<&ProvedClaim>, settlement: Option<&Ending>) {
        if settlement.is_some_and(|settlement| settlement.status == Some(JobStatus::AwaitingLate)) {
            let what = "the provider missed the job; whether another delivered it late, the receipt can't say";
            return self.not_checked(Code::Result, what);
        }
        let (Some(claim), Some(settlement)) = (claim, settlement) else { return };
        let what = match settlement.paid {
            None => "the claim fell or the output was withheld: there is no result".to_owned(),
            Some(_) => {
                let open = settlement.block.timestamp.saturating_sub(claim.block.timestamp);
                format!(
                    "nobody showed the result to be false within {open} s; `assay replay` tells"
                )
            }
        };
        self.not_checked(Code::Result, what);
    }
}

/// What the contract says was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimFacts {
    /// Who claims.
    pub provider: Address,
    /// The final state's hash.
    pub final_state: B256,
    /// The root of the top trace.
    pub trace_root: B256,
    /// The output slot's root.
    pub output_root: B256,
    /// How many steps it took.
    pub steps: u64,
    /// How it ended, by the machine's number.
    pub status: u8,
    /// The exit code, where it exited.
    pub exit_code: u32,
}

impl ClaimFacts {
    /// How the run ended.
    pub fn outcome(&self) -> RunOutcome {
        RunOutcome::new(self.status, self.exit_code)
    }

    /// Reads a claim's event; `None` for another.
    fn from_event(event: &JobEvent) -> Option<Self> {
        let JobEvent::Claimed {
            provider,
            final_state,
            output_root,
            trace_root,
            steps,
            status,
            exit_code,
        } = *event
        else {
            return None;
        };
        Some(ClaimFacts {
            provider,
            final_state,
            trace_root,
            output_root,
            steps,
            status,
            exit_code,
        })
    }
}

/// What an event says was claimed; `None` for another event. Who vouches for it is [`verify`]'s to
/// say.
pub fn claim_of(proof: &EventProof) -> Option<ClaimFacts> {
    ClaimFacts::from_event(&LoggedEvent::decode(&proof.check().ok()?.log)?.event)
}

/// What a log's operator has anchored, as an event proves it. Who vouches for the block is
/// [`verify`]'s to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchored {
    /// The contract that says so.
    pub contract: Address,
    /// SHA-256 of the log's origin line.
    pub origin_hash: Hash,
    /// The account that anchors.
    pub operator: Address,
    /// How many entries the log had.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// The block.
    pub block: BlockRef,
}

/// Reads an anchor's proof.
///
/// # Errors
///
/// In words, why it proves none.
pub fn anchored(proof: &EventProof) -> Result<Anchored, String> {
    let event = proof.check().map_err(|error| format!("the anchor's event: {error}"))?;
    let said = Anchors::CheckpointAnchored::decode_log(&event.log);
    let said = said.map_err(|_| "the anchor's event anchors nothing".to_owned())?.data;
    Ok(Anchored {
        contract: event.log.address,
        origin_hash: Hash(said.originHash.0),
        operator: said.operator,
        size: said.size,
        root: Hash(said.root.0),
        block: block_ref(&event),
    })
}

/// The block of an event that ends a job, the event's name, the provider, and what it was paid.
pub(crate) fn ended(
    proof: &EventProof,
) -> Option<(ProvedEvent, &'static str, Address, Option<u128>)> {
    let block = proof.check().ok()?;
    let ended = ending(&block)?;
    let paid = ended.paid().map(|paid| paid.provider);
    Some((block, ended.event.name(), ended.provider, paid))
}

/// What the statements so far have shown.
#[derive(Default)]
struct Seen {
    last: Option<u64>,
    /// Which key signs for which account.
    accounts: BTreeMap<Hash, Address>,
    /// What was said so far by its digest, with its place in the log.
    said: BTreeMap<Hash, (u64, Statement)>,
    names: BTreeSet<&'static str>,
    /// Who anchors the log, by its own key.
    operators: Vec<Operator>,
    /// Who says that the job's blocks are the chain's.
    vouching: BTreeSet<Address>,
    /// Who has seen an anchor, and in which block.
    vouching_anchor: BTreeSet<((u64, B256), Address)>,
}

impl Seen {
    fn keys_of(&self, account: Address) -> String {
        let of_it = self.accounts.iter().filter(|(_, bound)| **bound == account);
        let keys: Vec<_> = of_it.map(|(key, _)| format!("key {key}")).collect();
        keys.join(", ")
    }
}

/// What the event that ends a job says.
struct Ended {
    job: B256,
    event: JobEvent,
    provider: Address,
}

impl Ended {
    fn paid(&self) -> Option<Paid> {
        match self.event {
            JobEvent::Paid { paid: provider, refunded, data_fee, .. } => {
                Some(Paid { provider, refunded, data_fee })
            }
            _ => None,
        }
    }

    /// The challenger that earns the bounty, if the stake was slashed for one.
    fn informer(&self) -> Option<Address> {
        match self.event {
            JobEvent::Slashed { informer, .. } => Some(informer).filter(|one| !one.is_zero()),
            _ => None,
        }
    }

    /// What became of a job whose stake was slashed; none for other events.
    fn status(&self) -> Option<JobStatus> {
        match self.event {
            JobEvent::Slashed { status, .. } => Some(status),
            _ => None,
        }
    }
}

/// Where a paid job's escrow went, in the token's smallest unit.
#[derive(Clone, Copy)]
struct Paid {
    provider: u128,
    /// Back to the requester.
    refunded: u128,
    /// To the data owner.
    data_fee: u128,
}

impl Paid {
    /// Whether the contract pays so under this order. A first lock's escrow is at most the order's
    /// highest price, and its fee is the order's; a late delivery earns the bounty of whoever
    /// missed the job, and the fee is back with the requester.
    fn fits(self, order: &Market::Order) -> bool {
        let escrow = self.provider.saturating_add(self.refunded);
        let first =
            escrow <= order.price.max.to::<u128>() && self.data_fee == order.dataFee.to::<u128>();
        let bounty = order.stake.to::<u128>() * u128::from(order.bountyBps) / BPS;
        let late = (self.provider, self.refunded, self.data_fee) == (bounty, 0, 0);
        first || (late && order.beginSecs == 0)
    }
}

/// Basis points in a whole (spec/contracts.md#shares).
const BPS: u128 = 10_000;

/// What ends a job; `None` for another event.
fn ending(block: &ProvedEvent) -> Option<Ended> {
    let LoggedEvent { job, event } = LoggedEvent::decode(&block.log)?;
    let (job, provider) = (job?, event.ends_lock_of()?);
    Some(Ended { job, event, provider })
}

/// A statement's name, and what an auditor found.
fn told(said: &Statement) -> &'static str {
    match said {
        Statement::Judged(verdict) => match verdict.verdict {
            Judgement::Agrees => "verdict: the run is as claimed",
            Judgement::Disagrees => "verdict: the run is not as claimed",
        },
        _ => said.name(),
    }
}

fn block_ref(block: &ProvedEvent) -> BlockRef {
    BlockRef { number: block.block_number, hash: block.block_hash }
}

fn same_claim(said: &Claimed, claim: &ProvedClaim) -> bool {
    Claimed { after: Vec::new(), ..said.clone() } == claim.statement(said.job)
}

/// Whether a block can be of the chain that the proved ones are of: no two have one number.
fn is_of_one_chain(
    said: BlockRef,
    claim: Option<&ProvedClaim>,
    settlement: Option<&Ending>,
) -> bool {
    let proved = [claim.map(|claim| &claim.block), settlement.map(|end| &end.block)];
    proved
        .into_iter()
        .flatten()
        .all(|block| block.block_number != said.number || block.block_hash == said.hash)
}

/// What a statement may follow, by name (spec/statements.md#predicates).
fn may_follow(said: &Statement, earlier: &Statement) -> bool {
    match said {
        Statement::Locked(_) => matches!(earlier, Statement::Ordered(_)),
        Statement::Ran(_) | Statement::Claimed(_) => {
            matches!(earlier, Statement::Locked(lock) if lock.provider == said.speaker())
        }
        Statement::Released(_) => matches!(earlier, Statement::Locked(_)),
        Statement::Judged(_) => matches!(earlier, Statement::Claimed(_)),
        Statement::Moved(_) => {
            matches!(earlier, Statement::Claimed(_) | Statement::Moved(_) | Statement::Judged(_))
        }
        Statement::Settled(_) => {
            matches!(earlier, Statement::Ordered(_) | Statement::Claimed(_) | Statement::Moved(_))
        }
        Statement::Binding(_)
        | Statement::Operated(_)
        | Statement::Ordered(_)
        | Statement::Masked(_) => false,
    }
}

fn same_ending(said: &Settled, claim: Option<&ProvedClaim>, settlement: &Ending) -> bool {
    said.event == settlement.event
        && said.paid == settlement.paid.map(|paid| paid.to_string())
        && said.time == settlement.block.timestamp
        && said.block == block_ref(&settlement.block)
        && said.claim_block == claim.map(|claim| block_ref(&claim.block))
}
