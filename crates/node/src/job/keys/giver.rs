//! Who gives keys, and what a job's state asks of it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy_primitives::{Address, B256};
use assay_contracts::Market;
use assay_machine::slot;
use assay_market::{Account, SealedSlot, Terms};
use assay_receipt::Statement;

use crate::Result;
use crate::base::ids::account;
use crate::board::{Board, terms_of};
use crate::chain::contracts::Contracts;
use crate::job::keys::rules::DatasetRules;
use crate::job::vault::{Secret, Vault};
use crate::log::recorder::Recorder;

/// Gives the keys of what was sealed under one home.
pub(crate) struct KeyGiver<D> {
    pub(super) contracts: Contracts,
    pub(super) board: Board,
    pub(super) vault: Vault,
    /// Blocks upon a lock's before it is taken for final.
    pub(super) confirmations: u64,
    /// Decides about datasets; none for inputs alone.
    pub(super) rules: Option<D>,
    pub(super) recorder: Option<Recorder>,
    /// What is known to be given, so that it need not be looked up again.
    pub(super) given: Mutex<BTreeSet<(B256, Address, u8)>>,
    /// Releases that the log does not have yet.
    pub(super) unsaid: Mutex<Vec<Statement>>,
}

/// What became of a job's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Giving {
    /// None are this account's to give, or the job is over.
    Done,
    /// Nobody holds a lock.
    Unlocked,
    /// Somebody holds a lock that the chain could still take back.
    Unconfirmed,
    /// Somebody has published no keys to wrap to yet, or the log can't be had.
    Waits,
    /// Everyone has theirs, or was refused.
    Given,
}

/// A job that somebody holds the lock of.
pub(super) struct Lock<'a> {
    pub(super) job: B256,
    pub(super) order: &'a Market::Order,
    pub(super) provider: Address,
    /// What is at stake for it, in the token's smallest unit.
    pub(super) stake: u128,
    pub(super) terms: &'a Terms,
}

/// A slot whose key is here.
pub(super) struct Kept {
    pub(super) slot: u8,
    pub(super) sealed: SealedSlot,
    pub(super) secret: Secret,
}

impl KeyGiver<Infallible> {
    /// Gives the keys of what the account itself orders with, and no others.
    pub(crate) fn for_inputs(contracts: Contracts, board: Board, vault: Vault) -> Self {
        KeyGiver {
            contracts,
            board,
            vault,
            confirmations: 0,
            rules: None,
            recorder: None,
            given: Mutex::default(),
            unsaid: Mutex::default(),
        }
    }

    /// The same, and those of the account's datasets, by their rules.
    pub(crate) fn with_rules<D>(self, rules: D) -> KeyGiver<D> {
        KeyGiver {
            contracts: self.contracts,
            board: self.board,
            vault: self.vault,
            confirmations: self.confirmations,
            rules: Some(rules),
            recorder: self.recorder,
            given: self.given,
            unsaid: self.unsaid,
        }
    }
}

impl<D: DatasetRules> KeyGiver<D> {
    /// The same, giving keys only for locks with so many blocks upon theirs.
    pub(crate) fn confirming(self, confirmations: u64) -> Self {
        KeyGiver { confirmations, ..self }
    }

    /// The same, saying in a log to whom it gives keys.
    pub(crate) fn recording(self, recorder: Recorder) -> Self {
        KeyGiver { recorder: Some(recorder), ..self }
    }

    /// Gives what a job's state now asks for.
    pub(crate) async fn attend(&self, id: B256) -> Result<Giving> {
        let Some(signed) = self.board.find_order(id).await? else { return Ok(Giving::Done) };
        let order = &signed.order;
        // Another market's, or terms that nobody can follow.
        let Ok(terms) = terms_of(&signed) else { return Ok(Giving::Done) };
        if self.contracts.job_id(order) != id || self.kept(&terms)?.is_empty() {
            return Ok(Giving::Done);
        }
        let (head, _) = self.contracts.head().await?;
        let job = self.contracts.job(id).await?;
        if job.status.is_final() {
            // The log may come back later than the job ends.
            if !self.say_rest(id).await {
                return Ok(Giving::Waits);
            }
            self.given().retain(|(job, ..)| *job != id);
            return Ok(Giving::Done);
        }
        let Some(provider) = job.provider.filter(|_| job.is_locked()) else {
            let is_void = self.contracts.is_void(order, &job);
            return Ok(if is_void { Giving::Done } else { Giving::Unlocked });
        };
        // Who is to have the keys, only this kind could say.
        let Some(kind) = self.contracts.assurance(order.verifierId) else {
            return Ok(Giving::Done);
        };
        // A lock that a reorganisation takes back must have been given nothing. The head was read
        // before the job: a lock that is still there then has so many blocks upon it.
        if head < job.lock_block + self.confirmations {
            return Ok(Giving::Unconfirmed);
        }
        let readers = kind.assurance().readers(account(provider), &terms);
        let readers: Vec<_> = readers.iter().map(|reader| Address::from(reader.0)).collect();
        let lock = Lock { job: id, order, provider, stake: job.stake, terms: &terms };
        let waits = self.give_all(&lock, &readers).await?;
        Ok(if waits { Giving::Waits } else { Giving::Given })
    }

    /// The slots of a job whose keys are this account's to give.
    pub(super) fn kept(&self, terms: &Terms) -> Result<Vec<Kept>> {
        let own = Account(self.contracts.account().into_array());
        let mut kept = Vec::new();
        for (slot, sealed) in terms.slots().filter(|(_, sealed)| sealed.owner == own) {
            if let Some(secret) = self.vault.find(sealed.envelope)? {
                kept.push(Kept { slot, sealed: sealed.clone(), secret });
            }
        }
        Ok(kept)
    }

    pub(super) fn given(&self) -> MutexGuard<'_, BTreeSet<(B256, Address, u8)>> {
        // Each is whole or not there, so a panic elsewhere spoils nothing.
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of the input slot.
pub(super) const INPUT_SLOT: u8 = slot::INPUT as u8;
