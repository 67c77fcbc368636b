//! Defending a claim: answering the games about it and the demands for its output, and settling.

use std::time::Duration;

use alloy_primitives::{B256, Bytes};
use assay_assurance::window::{Game, Window};
use assay_assurance::{Contest, Kind, Turn};
use assay_contracts::Market;
use assay_machine::slot;
use assay_merkle::PAGE_SIZE;
use assay_protocol::SignedOrder;

use crate::Result;
use crate::base::ids::b256;
use crate::chain::market::Job;
use crate::chain::timeline::Timeline;
use crate::job::executor::JobRun;
use crate::provider::Provider;
use crate::role::Next;

/// How soon an output is published again that could not be, in seconds.
const PUBLISH_AGAIN_SECS: u64 = 10;

impl Provider {
    /// Attends to what is said against its claim, and settles.
    pub(super) async fn defend(&self, id: B256, signed: &SignedOrder, job: &Job) -> Result<Next> {
        let order = &signed.order;
        self.try_record(id, order).await;
        let until = match self.contracts.assurance_of(order)? {
            Kind::Window(window) => self.attend_games(window, id, signed, job).await?,
        };
        let mut wake = job.deadline + 1;
        if let Some(until) = until {
            wake = wake.min(until + 1);
        }
        if self.publish_again(id, signed, job.output).await {
            wake = wake.min(self.contracts.now() + PUBLISH_AGAIN_SECS);
        }
        if until.is_some() || self.contracts.now() < wake {
            return Ok(Next::At(wake.max(self.contracts.now() + 1)));
        }
        self.contracts.attempt(self.contracts.settle(order)).await?;
        Ok(Next::After(Duration::from_secs(1)))
    }

    /// Answers what the games about its claim ask, and ends those whose challenger is late. Gives
    /// when the first turn ends, if any game is open.
    async fn attend_games(
        &self,
        window: &Window,
        id: B256,
        signed: &SignedOrder,
        job: &Job,
    ) -> Result<Option<u64>> {
        if !self.contracts.has_open_games(id).await? {
            return Ok(None);
        }
        let mut first = None;
        for game in self.contracts.games(id, job.lock_block).await? {
            let until = self.play(*window, id, signed, game).await?;
            first = [first, until].into_iter().flatten().min();
        }
        if let Err(error) = self.record_moves(id, &signed.order).await {
            tracing::warn!(%id, %error, "moves could not be logged");
        }
        Ok(first)
    }

    /// Makes the move that a game waits for, if it is the claimant's. Gives the turn's end if the
    /// game goes on.
    async fn play(
        &self,
        window: Window,
        id: B256,
        signed: &SignedOrder,
        game: Game,
    ) -> Result<Option<u64>> {
        match window.claimants_turn(&game, self.contracts.now()) {
            Turn::Own => {
                let defend = move |run: &mut dyn JobRun| window.defend(&game, run);
                let defence = self.with_run(id, signed, defend).await?;
                let Some(defence) = defence else { return Ok(None) };
                self.contracts.attempt(self.contracts.defend(&game, defence)).await?;
                Ok(Some(self.contracts.now()))
            }
            Turn::Late { until } => {
                self.contracts.attempt(self.contracts.expire_game(game.id)).await?;
                Ok(Some(until))
            }
            Turn::Theirs { until } => Ok(Some(until)),
            Turn::Fallen | Turn::Over => Ok(None),
        }
    }

    /// Says in the log what moves it has made in games about its claim.
    async fn record_moves(&self, id: B256, order: &Market::Order) -> Result<()> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        let said = self.memory().moves_said.get(&id).copied().unwrap_or_default();
        let timeline = Timeline::read(&self.contracts, id, order).await?;
        let said = recorder.say_moves(&timeline, said).await;
        self.memory().moves_said.insert(id, said);
        Ok(())
    }

    /// Answers the demands for chunks of the output, and defends meanwhile.
    pub(super) async fn show(&self, id: B256, signed: &SignedOrder, job: &Job) -> Result<Next> {
        let contracts = &self.contracts;
        let mut is_asked = false;
        for chunk in contracts.chunks_demanded(id, job.lock_block).await? {
            if contracts.demand(id, chunk).await?.is_open {
                is_asked = true;
                let shown = self.chunk(id, signed, chunk).await?;
                contracts.attempt(contracts.answer_chunk(&signed.order, chunk, shown)).await?;
            }
        }
        // Who asks has not found it where it was published, so it is published again, once what is
        // asked is answered.
        if is_asked {
            self.memory().unpublished.insert(id);
        }
        self.defend(id, signed, job).await
    }

    /// A page of the output, with the 17 siblings above it.
    async fn chunk(
        &self,
        id: B256,
        signed: &SignedOrder,
        chunk: u32,
    ) -> Result<(Bytes, [B256; 17])> {
        let number = slot::base(slot::OUTPUT) / PAGE_SIZE + chunk;
        let shown = self.with_run(id, signed, move |run| run.end_page(number)).await?;
        let (page, proof) = shown;
        Ok((page.to_vec().into(), std::array::from_fn(|k| b256(proof.0[k]))))
    }
}
