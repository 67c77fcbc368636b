//! The games about false claims: committing, moving, and taking back the bond.

use std::path::PathBuf;
use std::time::Duration;

use alloy_primitives::{B256, hex};
use assay_assurance::window::{TraceClaim, Window};
use assay_assurance::{Contest, Turn};
use assay_contracts::Market;
use serde::{Deserialize, Serialize};

use crate::auditor::Auditor;
use crate::base::blocking::blocking;
use crate::base::files;
use crate::chain::market::Job;
use crate::job::executor::JobRun;
use crate::role::Next;
use crate::{Error, Result};

/// How soon it is looked again whether a move has come to be mined.
const MOVE_PAUSE: Duration = Duration::from_millis(200);

/// What must be remembered of a commitment, written before it is made: without the salt it could
/// never be opened.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Commitment {
    salt: B256,
}

/// A claim that was found false, and the run that shows it.
pub(super) struct False {
    pub(super) run: Box<dyn JobRun>,
    pub(super) claim: TraceClaim,
}

impl Auditor {
    /// Makes the next move in the own game, or opens it.
    pub(super) async fn play(
        &self,
        window: Window,
        id: B256,
        order: &Market::Order,
        job: &Job,
    ) -> Result<Next> {
        let contracts = &self.contracts;
        let Some(game) = contracts.own_game(id, job.lock_block).await? else {
            return self.commit(window, id).await;
        };
        match window.challengers_turn(&game, contracts.now()) {
            Turn::Own => {}
            Turn::Theirs { until } => return Ok(Next::At(until + 1)),
            Turn::Late { .. } => {
                contracts.attempt(contracts.expire_game(game.id)).await?;
                return Ok(Next::After(Duration::from_secs(1)));
            }
            Turn::Fallen => {
                contracts.attempt(contracts.settle(order)).await?;
                return Ok(Next::After(Duration::from_secs(1)));
            }
            // Lost to a clock, or another was faster: the claim's own end is yet to come.
            Turn::Over => return Ok(Next::Event),
        }
        let known = contracts.revealed(id, job.lock_block).await?;
        let choose = move |own: &mut False| window.challenge(&game, &known, &mut *own.run);
        let next = self.with_found(id, choose).await?.ok_or(Error::NoDifference { job: id })?;
        let salt = self.commitment(id)?.map_or(B256::ZERO, |commitment| commitment.salt);
        // Too soon after the commitment, or ended by another's win: looked at again in either case.
        if contracts.attempt(contracts.make_move(&game, salt, next)).await?.is_some() {
            self.record_moves(id, order).await?;
        }
        Ok(Next::After(MOVE_PAUSE))
    }

    /// Commits to the first move, with the bond.
    async fn commit(&self, window: Window, id: B256) -> Result<Next> {
        let choose = move |own: &mut False| (own.claim, window.open(&own.claim, &mut *own.run));
        let (claim, opening) = self.with_found(id, choose).await?;
        let opening = opening.ok_or(Error::NoDifference { job: id })?;
        let commitment = match self.commitment(id)? {
            Some(commitment) => commitment,
            None => {
                let commitment = Commitment { salt: self.contracts.env().random()?.into() };
                files::write_json(&self.file(id), &commitment)?;
                commitment
            }
        };
        let contracts = &self.contracts;
        let hash = contracts.commitment(id, opening, commitment.salt).await?;
        if contracts.attempt(contracts.challenge(id, claim, hash)).await?.is_some() {
            tracing::info!(%id, "a claim is challenged");
        }
        Ok(Next::After(MOVE_PAUSE))
    }

    /// Takes back the bond of an ended game.
    pub(super) async fn collect(&self, id: B256, lock_block: u64) -> Result<()> {
        let contracts = &self.contracts;
        if let Some(game) = contracts.own_game(id, lock_block).await?
            && !game.is_collected
        {
            if !game.stage.is_final() {
                // An earlier game has made this one pointless, or its turn has run out.
                contracts.attempt(contracts.dismiss_game(game.id)).await?;
            }
            contracts.attempt(contracts.collect_bond(game.id)).await?;
        }
        files::remove(&self.file(id))
    }

    /// Works with a claim that was found false.
    async fn with_found<T: Send + 'static>(
        &self,
        id: B256,
        work: impl FnOnce(&mut False) -> T + Send + 'static,
    ) -> Result<T> {
        let mut own = self.found().remove(&id).ok_or(Error::RunLost { job: id })?;
        let (own, done) = blocking(move || {
            let done = work(&mut own);
            (own, done)
        })
        .await;
        self.found().insert(id, own);
        Ok(done)
    }

    pub(super) fn commitment(&self, id: B256) -> Result<Option<Commitment>> {
        files::read_json(&self.file(id))
    }

    fn file(&self, id: B256) -> PathBuf {
        self.challenges.join(format!("{}.json", hex::encode(id)))
    }
}
