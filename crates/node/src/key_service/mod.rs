//! A key service: gives the keys of sealed data to who holds a lock and to the auditors that the
//! order names, by its owner's policies.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use assay_market::Account;
use assay_policy::{Decision, ReleaseRequest};
use assay_types::Hash;
use tokio::sync::watch;

use crate::board::Board;
use crate::chain::contracts::Contracts;
use crate::job::keys::{DatasetRules, Giving, KeyGiver};
use crate::job::vault::Vault;
use crate::log::recorder::Recorder;
use crate::owner::datasets::{Datasets, Decider};
use crate::role::sweep::{SWEEP_EVERY, keep_sweeping};
use crate::role::{Next, Role, Scheduler};
use crate::{Home, Result};

/// How soon a lock is looked at again that could still be taken back.
const CONFIRM_PAUSE: Duration = Duration::from_millis(200);

/// How soon the keys of an account are looked for again that has published none yet.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A key service of what was sealed under one home.
pub struct KeyService {
    contracts: Contracts,
    board: Board,
    keys: KeyGiver<Decider>,
}

impl KeyService {
    /// A key service of the account's datasets and of what it orders with.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File), for instance if another process keeps them;
    /// [`Error::Damaged`](crate::Error::Damaged).
    pub fn new(
        contracts: Contracts,
        board: Board,
        home: &Home,
        confirmations: u64,
    ) -> Result<Self> {
        let decider = Decider::open(Datasets::of(home, contracts.account()))?;
        let vault = Vault::at(home.vault());
        let inputs = KeyGiver::for_inputs(contracts.clone(), board.clone(), vault);
        let keys = inputs.with_rules(decider).confirming(confirmations);
        Ok(KeyService { contracts, board, keys })
    }

    /// The same, saying in a log to whom it gives keys.
    #[must_use]
    pub fn recording(self, recorder: Recorder) -> Self {
        KeyService { keys: self.keys.recording(recorder), ..self }
    }

    /// Works until told to stop.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let (contracts, board) = (self.contracts.clone(), self.board.clone());
        let work = Scheduler::new(Arc::new(self), board.clone(), contracts.clone());
        // It binds nothing that a sweep could miss.
        let binding = Default::default();
        let sweeping = keep_sweeping(&contracts, &board, SWEEP_EVERY, &binding, stop.clone());
        tokio::join!(work.run(stop), sweeping);
    }
}

impl DatasetRules for Decider {
    async fn refresh(&self, board: &Board, version: (Hash, Hash), now: u64) -> Result<()> {
        self.look(board, version, now).await
    }

    fn decide(&self, version: (Hash, Hash), asked: &ReleaseRequest) -> Result<Option<Decision>> {
        Decider::decide(self, version, asked)
    }

    fn release(
        &self,
        version: (Hash, Hash),
        asked: &ReleaseRequest,
        recipient: Account,
    ) -> Result<Option<Decision>> {
        Decider::release(self, version, asked, recipient)
    }

    fn head(&self) -> Hash {
        Decider::head(self)
    }
}

impl Role for KeyService {
    const NAME: &'static str = "key-service";

    async fn attend(&self, id: B256) -> Result<Next> {
        Ok(match self.keys.attend(id).await? {
            Giving::Done => Next::Done,
            Giving::Unlocked | Giving::Given => Next::Event,
            Giving::Unconfirmed => Next::After(CONFIRM_PAUSE),
            Giving::Waits => Next::After(LOOK_AGAIN),
        })
    }
}
