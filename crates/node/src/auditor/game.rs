//! The games about false claims: committing, moving, and taking back the bond.

use std::path::PathBuf;
use std::time::Duration;

use alloy_primitives::{B256, hex};
use assay_assurance::window::{Game, TraceClaim, Window};
use assay_assurance::{Contest, Turn};
use assay_contracts::{GameStage, Market};
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

/// An auditor follows a bond that grows while it commits up to so many times what it was.
const BOND_HEADROOM: u128 = 2;

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
    /// Makes the next moves in the own games, or opens one: one is enough, and its commitment can't
    /// be made twice. There are more where another process of this account has opened them.
    pub(super) async fn play(
        &self,
        window: Window,
        id: B256,
        order: &Market::Order,
        job: &Job,
    ) -> Result<Next> {
        let games = self.contracts.own_games(id, job.lock_block).await?;
        if games.is_empty() {
            return self.commit(window, id).await;
        }
        let mut next = Next::Event;
        for game in games {
            next = next.sooner(self.play_game(window, id, order, job, game).await?);
        }
        Ok(next)
    }

    async fn play_game(
        &self,
        window: Window,
        id: B256,
        order: &Market::Order,
        job: &Job,
        game: Game,
    ) -> Result<Next> {
        let contracts = &self.contracts;
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
        let call = contracts.make_move(id, &game, salt, next).await?;
        if contracts.attempt(call).await?.is_some() {
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
        // Others' games may come first and make the bond larger; one that has run away is looked at
        // again.
        let bond_max = contracts.bond(id, claim.stake).await?.saturating_mul(BOND_HEADROOM);
        let call = contracts.challenge(id, claim, hash, bond_max);
        if contracts.attempt(call).await?.is_some() {
            tracing::info!(%id, "a claim is challenged");
        }
        Ok(Next::After(MOVE_PAUSE))
    }

    /// Takes back the bonds of the own games, and the costs of those that were right.
    pub(super) async fn collect(&self, id: B256, lock_block: u64) -> Result<()> {
        let contracts = &self.contracts;
        for game in contracts.own_games(id, lock_block).await? {
            if !game.stage.is_final() {
                // An earlier game has made this one pointless, or its turn has run out.
                contracts.attempt(contracts.dismiss_game(game.id)).await?;
            }
            if !game.is_collected {
                contracts.attempt(contracts.collect_bond(game.id)).await?;
            }
            let may_be_right = game.stage != GameStage::Lost && !game.has_costs;
            if may_be_right {
                contracts.attempt(contracts.collect_costs(game.id)).await?;
            }
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
