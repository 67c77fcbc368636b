//! A key service: gives the keys of sealed data to who holds a lock and to the auditors that the order
//! names, by its owner's decision, and says in the log that it did.
//!
//! The decision about an input is the order itself, which its owner has signed. About a dataset the
//! owner's policy decides (spec/policy.md), and what it spends is durable before a key leaves.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use assay_contracts::Market;
use assay_machine::slot;
use assay_market::{Account, JobId, JobStatus, SealedSlot, Terms};
use assay_merkle::empty_slot;
use assay_policy::{ClauseReason, Decision, Permit, ReleaseRequest};
use assay_protocol::SignedOrder;
use assay_receipt::{GivenKey, Released, ReleasedSlot, Statement};
use assay_seal::{ContentKey, Wrap, WrapContext as Context};
use assay_types::{BlobRoot, Clock as _, Hash};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::board::Board;
use crate::chain::contracts::{Contracts, chain};
use crate::chain::timeline::Story;
use crate::job::inputs::program_id;
use crate::job::sealed::{OUTPUT_SLOT, terms_of};
use crate::job::vault::{Secret, Vault};
use crate::log::recorder::Recorder;
use crate::owner::datasets::{Datasets, Decider};
use crate::role::{Next, Role, Scheduler};
use crate::{Home, Result};

/// How soon the keys of an account are looked for again that has published none yet.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A key service of what was sealed under one home.
pub struct KeyService {
    contracts: Contracts,
    board: Board,
    vault: Vault,
    /// Blocks upon a lock's before it is taken for final.
    confirmations: u64,
    /// Decides about datasets; none for a key service of inputs alone.
    decider: Option<Decider>,
    recorder: Option<Recorder>,
    /// What is known to be given, so that it need not be looked up again.
    given: Mutex<BTreeSet<(B256, Address, u8)>>,
    /// Releases that the log does not have yet.
    unsaid: Mutex<Vec<Statement>>,
}

/// A slot whose key this key service has.
struct Kept {
    slot: u8,
    sealed: SealedSlot,
    secret: Secret,
}

impl KeyService {
    /// A key service of what the account itself orders with, and of nothing else.
    pub(crate) fn of_inputs(contracts: Contracts, board: Board, vault: Vault) -> Self {
        KeyService {
            contracts,
            board,
            vault,
            confirmations: 0,
            decider: None,
            recorder: None,
            given: Mutex::default(),
            unsaid: Mutex::default(),
        }
    }

    /// A key service of the account's datasets and of what it orders with.
    ///
    /// # Errors
    ///
    /// [`Error::File`], for instance if another process keeps them; [`Error::Damaged`].
    pub fn new(
        contracts: Contracts,
        board: Board,
        home: &Home,
        confirmations: u64,
    ) -> Result<Self> {
        let datasets = Datasets::of(home, contracts.account());
        let decider = Some(Decider::open(datasets)?);
        let inputs = KeyService::of_inputs(contracts, board, Vault::at(home.vault()));
        Ok(KeyService { decider, confirmations, ..inputs })
    }

    /// The same, giving keys only for locks with so many blocks upon theirs.
    #[must_use]
    pub(crate) fn confirming(self, confirmations: u64) -> Self {
        KeyService { confirmations, ..self }
    }

    /// The same, saying in a log to whom it gives keys.
    #[must_use]
    pub fn recording(self, recorder: Recorder) -> Self {
        KeyService { recorder: Some(recorder), ..self }
    }

    /// Works until told to stop.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let (contracts, board) = (self.contracts.clone(), self.board.clone());
        Scheduler::new(std::sync::Arc::new(self), board, contracts).run(stop).await;
    }

    /// The slots of a job whose keys are this account's to give.
    fn kept(&self, terms: &Terms) -> Result<Vec<Kept>> {
        let own = Account(self.contracts.account().into_array());
        let mut kept = Vec::new();
        for (slot, sealed) in terms.slots().filter(|(_, sealed)| sealed.owner == own) {
            if let Some(secret) = self.vault.find(sealed.envelope)? {
                kept.push(Kept { slot, sealed: sealed.clone(), secret });
            }
        }
        Ok(kept)
    }

    /// Gives the keys of a locked job to everyone who is to have them. True if somebody has
    /// published no keys to wrap to yet.
    async fn give_all(&self, id: B256, signed: &SignedOrder, job: &Market::Job) -> Result<bool> {
        let order = &signed.order;
        let terms = terms_of(signed)?;
        let auditors = terms.auditors.iter().map(|auditor| Address::from(auditor.0));
        let readers: Vec<Address> = std::iter::once(job.provider).chain(auditors).collect();
        let mut waits = !self.say_rest(id).await;
        for kept in self.kept(&terms)? {
            if let (Some(decider), Some(policy)) = (&self.decider, kept.sealed.policy) {
                let now = self.contracts.env().unix_secs();
                decider.look(&self.board, (kept.sealed.envelope, policy), now).await?;
            }
            let permit = match self.decide(id, order, job, &terms, &kept)? {
                Verdict::Own => None,
                Verdict::Permit(permit) => Some(permit),
                Verdict::Refuse(reasons) => {
                    self.refuse(id, job.provider, reasons).await?;
                    continue;
                }
            };
            // Read before anything goes out, so that whatever does can be said.
            let locked = self.lock_said(id, order, &kept, &readers).await?;
            let (given, waiting) = self.give_each(id, &kept, permit.as_deref(), &readers).await;
            // What has gone out is said, also if the rest could not.
            if let Some(locked) = locked.filter(|_| !given.is_empty()) {
                self.unsaid().push(self.released(id, locked, &kept, given));
                waits |= !self.say_rest(id).await;
            }
            waits |= waiting?;
            let is_requester = order.requester == self.contracts.account();
            if is_requester && order.beneficiary != order.requester && kept.slot == INPUT_SLOT {
                let none = Hash::default();
                let context = self.context(id, OUTPUT_SLOT, none, none, order.beneficiary);
                let given = self.give(&context, &kept.secret.output_key(), None).await?;
                waits |= matches!(given, Given::NoKeys);
            }
        }
        Ok(waits)
    }

    /// Gives a slot's key to each reader, as far as it goes, and tells to whom it went now; true if
    /// somebody has no keys to wrap to yet.
    async fn give_each(
        &self,
        id: B256,
        kept: &Kept,
        permit: Option<&Permit>,
        readers: &[Address],
    ) -> (Vec<GivenKey>, Result<bool>) {
        let policy = kept.sealed.policy.unwrap_or_default();
        let (mut now, mut waits) = (Vec::new(), false);
        for reader in readers {
            let context = self.context(id, kept.slot, kept.sealed.envelope, policy, *reader);
            match self.give(&context, &kept.secret.key, permit).await {
                Ok(Given::Now(wrap)) => now.push(GivenKey { recipient: *reader, wrap }),
                Ok(Given::Before) => {}
                Ok(Given::NoKeys) => waits = true,
                Err(error) => return (now, Err(error)),
            }
        }
        (now, Ok(waits))
    }

    /// Whether the owner's decision lets a key out.
    fn decide(
        &self,
        id: B256,
        order: &Market::Order,
        job: &Market::Job,
        terms: &Terms,
        kept: &Kept,
    ) -> Result<Verdict> {
        let refuse = |code: &str| {
            Ok(Verdict::Refuse(KeyReasons { code: code.to_owned(), reasons: Vec::new() }))
        };
        let Some(policy) = kept.sealed.policy else {
            // Whoever has signed the order has decided about what it brings.
            let is_own = order.requester == self.contracts.account();
            return if is_own { Ok(Verdict::Own) } else { refuse("other_requester") };
        };
        // A key service of inputs leaves datasets to the key service that has their ledger.
        let Some(decider) = &self.decider else { return Ok(Verdict::Refuse(KeyReasons::silent())) };
        let input_sealed = terms.input.is_some() && order.inputRoot.0 != empty_slot().0.0;
        let asked = ReleaseRequest {
            job: JobId(id.0),
            requester: account(order.requester),
            provider: account(job.provider),
            beneficiary: account(order.beneficiary),
            auditors: terms.auditors.iter().copied().collect(),
            program: program_id(order),
            dataset: BlobRoot(Hash(order.datasetRoot.0)),
            input_sealed,
            // The SDK seals the output of whatever has a sealed input, and of nothing else. That
            // what is under the seal has a salt, the provider sees, and begins nothing else.
            output_sealed: input_sealed,
            step_limit: order.stepLimit,
            verifier: order.verifierId,
            window_secs: order.windowSecs,
            stake: job.stake.to(),
            data_owner: (!order.dataOwner.is_zero()).then(|| account(order.dataOwner)),
            data_fee: order.dataFee.to(),
            purpose: kept.sealed.purpose.as_ref().and_then(|purpose| purpose.parse().ok()),
            measurement: None,
            now: self.contracts.now(),
        };
        match decider.decide((kept.sealed.envelope, policy), &asked)? {
            Some(Decision::Permit(permit)) => Ok(Verdict::Permit(permit)),
            Some(Decision::Refuse(reasons)) => {
                Ok(Verdict::Refuse(KeyReasons { code: "policy".to_owned(), reasons }))
            }
            None => refuse("version_unknown"),
        }
    }

    /// Says, signed and once, why a key stays where it is.
    async fn refuse(&self, id: B256, to: Address, reasons: KeyReasons) -> Result<()> {
        if reasons.code.is_empty() || !self.given().insert((id, to, REFUSED)) {
            return Ok(());
        }
        tracing::info!(%id, code = reasons.code, "a key is refused");
        self.board.refuse_key(self.contracts.signer(), id, to, &reasons, self.contracts.now()).await
    }

    fn context(&self, id: B256, slot: u8, envelope: Hash, policy: Hash, to: Address) -> Context {
        Context {
            job: Hash(id.0),
            slot,
            envelope,
            policy,
            owner: self.contracts.account().into_array(),
            recipient: to.into_array(),
        }
    }

    /// The digest of what is said of a job's lock, if there is a log and somebody whom nothing was
    /// given yet.
    async fn lock_said(
        &self,
        id: B256,
        order: &Market::Order,
        kept: &Kept,
        readers: &[Address],
    ) -> Result<Option<Hash>> {
        let has = |reader: &Address| self.given().contains(&(id, *reader, kept.slot));
        if self.recorder.is_none() || readers.iter().all(has) {
            return Ok(None);
        }
        let story = Story::of(&self.contracts, id, order).await?;
        Ok(story.locked.map(|locked| Statement::Locked(locked).digest()))
    }

    /// That keys were given: to whom, for what, under which policy.
    fn released(&self, id: B256, locked: Hash, kept: &Kept, given: Vec<GivenKey>) -> Statement {
        let is_input = kept.slot == INPUT_SLOT;
        let decider = self.decider.as_ref().filter(|_| kept.sealed.policy.is_some());
        Statement::Released(Released {
            job: id,
            after: vec![locked],
            owner: self.contracts.account(),
            slot: if is_input { ReleasedSlot::Input } else { ReleasedSlot::Dataset },
            envelope: kept.sealed.envelope.0.into(),
            policy: kept.sealed.policy.map(|policy| policy.0.into()),
            ledger: decider.map(Decider::head),
            given,
        })
    }

    /// Says in the log what was not said yet of a job. False if the log can't be had just now.
    async fn say_rest(&self, id: B256) -> bool {
        let Some(recorder) = &self.recorder else { return true };
        loop {
            let next = self.unsaid().iter().find(|said| said.job() == Some(id)).cloned();
            let Some(said) = next else { return true };
            if let Err(error) = recorder.say(&said).await {
                tracing::warn!(%id, %error, "a release could not be logged yet");
                return false;
            }
            self.unsaid().retain(|other| *other != said);
        }
    }

    /// Gives one key to one account, once.
    async fn give(
        &self,
        context: &Context,
        key: &ContentKey,
        permit: Option<&Permit>,
    ) -> Result<Given> {
        let (id, to) = (B256::new(context.job.0), Address::from(context.recipient));
        if self.given().contains(&(id, to, context.slot)) {
            return Ok(Given::Before);
        }
        let Some(public) = self.board.seal_keys(to).await? else { return Ok(Given::NoKeys) };
        // Keys that nothing can be wrapped to cost no use of the data, and keep nobody else from
        // theirs.
        let wrap = match Wrap::seal(key, &public, context, &mut self.contracts.env().rng()) {
            Ok(wrap) => wrap.to_bytes(),
            Err(error) => {
                tracing::debug!(%id, %error, "a recipient's keys can't be used");
                return Ok(Given::NoKeys);
            }
        };
        if let (Some(permit), Some(decider)) = (permit, &self.decider) {
            decider.spend(permit, account(to), self.contracts.now())?;
        }
        let digest = self.board.put_wrap(self.contracts.signer(), context, wrap).await?.0.into();
        tracing::info!(%id, slot = context.slot, "a key was given");
        self.given().insert((id, to, context.slot));
        Ok(Given::Now(digest))
    }

    fn unsaid(&self) -> MutexGuard<'_, Vec<Statement>> {
        // As for what is given.
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn given(&self) -> MutexGuard<'_, BTreeSet<(B256, Address, u8)>> {
        // Each is whole or not there, so a panic elsewhere spoils nothing.
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of the input slot.
const INPUT_SLOT: u8 = slot::INPUT as u8;

/// Stands in a slot's place for a refusal that was said.
const REFUSED: u8 = u8::MAX;

/// What became of a key for an account.
enum Given {
    /// It is on its way, in a wrap of this digest.
    Now(B256),
    /// It was given before.
    Before,
    /// The account has published no keys that a key can be wrapped to.
    NoKeys,
}

/// What the owner says about a key.
enum Verdict {
    /// It is the requester's own.
    Own,
    /// The policy permits it, at its price.
    Permit(Box<Permit>),
    /// It stays.
    Refuse(KeyReasons),
}

/// Why a key stays: a code, and for `policy` the clauses that refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyReasons {
    /// `policy`, `other_requester` or `version_unknown`.
    pub code: String,
    /// By clause.
    pub reasons: Vec<ClauseReason>,
}

impl std::fmt::Display for KeyReasons {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code.as_str() {
            "other_requester" => f.write_str("the sealed data is another's to order with"),
            "version_unknown" => {
                f.write_str("this version is not in force: order over the newest one")
            }
            _ => f.write_str(&crate::base::error::sentences(&self.reasons)),
        }
    }
}

impl KeyReasons {
    /// Nothing to say: another key service decides.
    fn silent() -> Self {
        KeyReasons { code: String::new(), reasons: Vec::new() }
    }
}

/// An account, as the pure crates write it.
pub(crate) fn account(address: Address) -> Account {
    Account(address.into_array())
}

impl Role for KeyService {
    const NAME: &'static str = "key-service";

    async fn attend(&self, id: B256) -> Result<Next> {
        let Some(signed) = self.board.find_order(id).await? else { return Ok(Next::Done) };
        let order = &signed.order;
        // Another market's, or terms that nobody can follow.
        let Ok(terms) = terms_of(&signed) else { return Ok(Next::Done) };
        if self.contracts.job_id(order) != id || self.kept(&terms)?.is_empty() {
            return Ok(Next::Done);
        }
        let (head, _) = self.contracts.head().await?;
        let job = self.contracts.market.jobOf(id).call().await.map_err(chain)?;
        let status = JobStatus::try_from(job.status)?;
        if status.is_final() {
            // The log may come back later than the job ends.
            if !self.say_rest(id).await {
                return Ok(Next::After(LOOK_AGAIN));
            }
            self.given().retain(|(job, ..)| *job != id);
            return Ok(Next::Done);
        }
        let is_locked = matches!(
            status,
            JobStatus::AwaitingBegin
                | JobStatus::AwaitingClaim
                | JobStatus::AwaitingVerdict
                | JobStatus::AwaitingAnswer
        );
        if !is_locked {
            return Ok(Next::Event);
        }
        // A lock that a reorganisation takes back must have been given nothing. The head was read
        // before the job: a lock that is still there then has so many blocks upon it.
        if head < job.lockBlock.to::<u64>() + self.confirmations {
            return Ok(Next::After(Duration::from_millis(200)));
        }
        let waits = self.give_all(id, &signed, &job).await?;
        Ok(if waits { Next::After(LOOK_AGAIN) } else { Next::Event })
    }
}
