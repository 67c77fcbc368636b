//! Defending a claim: answering the games about it and the demands for its output, and settling.

use std::time::Duration;

use alloy_primitives::{B256, Bytes};
use assay_contracts::{Disputes, Market};
use assay_dispute::{Tracer, answer, reveal};
use assay_machine::{Engine, Program, slot};
use assay_merkle::PAGE_SIZE;
use assay_protocol::SignedOrder;
use assay_types::Hash;

use crate::Result;
use crate::base::ids::b256;
use crate::chain::contracts::chain;
use crate::chain::games::{self, segment, stage};
use crate::chain::timeline::Timeline;
use crate::provider::Provider;
use crate::role::Next;

/// How soon an output is published again that could not be, in seconds.
const PUBLISH_AGAIN_SECS: u64 = 10;

impl<E: Engine + Clone + Send + 'static> Provider<E> {
    /// Answers what the games about its claim ask, ends those whose challenger is late, and
    /// settles.
    pub(super) async fn defend(
        &self,
        id: B256,
        signed: &SignedOrder,
        job: &Market::Job,
    ) -> Result<Next> {
        let order = &signed.order;
        self.try_record(id, order).await;
        let claim = self.contracts.disputes.claimOf(id).call().await.map_err(chain)?;
        let mut wake = job.deadline.to::<u64>() + 1;
        let mut is_open = false;
        if claim.openGames > 0 {
            for (game, view) in self.games(id, job.lockBlock.to()).await? {
                if let Some(deadline) = self.play(id, signed, game, view).await? {
                    (is_open, wake) = (true, wake.min(deadline + 1));
                }
            }
            if let Err(error) = self.record_moves(id, order).await {
                tracing::warn!(%id, %error, "moves could not be logged");
            }
        }
        if self.publish_again(id, signed, job.outputRoot).await {
            wake = wake.min(self.contracts.now() + PUBLISH_AGAIN_SECS);
        }
        if is_open || self.contracts.now() < wake {
            return Ok(Next::At(wake.max(self.contracts.now() + 1)));
        }
        let settle = self.contracts.market.settle(order.clone());
        self.contracts.attempt(settle.into_transaction_request()).await?;
        Ok(Next::After(Duration::from_secs(1)))
    }

    /// Says in the log what moves it has made in games about its claim.
    async fn record_moves(&self, id: B256, order: &Market::Order) -> Result<()> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        let told = self.memory().moves_told.get(&id).copied().unwrap_or_default();
        let told =
            recorder.say_moves(&Timeline::read(&self.contracts, id, order).await?, told).await;
        self.memory().moves_told.insert(id, told);
        Ok(())
    }

    /// The games about a claim, in the order of the segments that they are about, so that one way
    /// through the run serves all.
    pub(super) async fn games(
        &self,
        id: B256,
        lock_block: u64,
    ) -> Result<Vec<(u64, Disputes::gameOfReturn)>> {
        let mut games = Vec::new();
        for game in games::of_claim(&self.contracts, id, lock_block).await? {
            let view = self.contracts.disputes.gameOf(game).call().await.map_err(chain)?;
            games.push((segment(&view.game)?.start(), game, view));
        }
        games.sort_by_key(|(start, ..)| *start);
        Ok(games.into_iter().map(|(_, game, view)| (game, view)).collect())
    }

    /// Makes the move that a game waits for, if it is the claimant's. Gives the turn's end if it is
    /// the challenger's.
    async fn play(
        &self,
        id: B256,
        signed: &SignedOrder,
        game_id: u64,
        view: Disputes::gameOfReturn,
    ) -> Result<Option<u64>> {
        let (game, state) = (view.game, view.stateHash);
        let call = match game.stage {
            stage::AWAITING_ANSWER => self.answer(id, signed, game_id, &game, state).await?,
            stage::AWAITING_REVEAL => match self.reveal(id, signed, game_id, &game, state).await? {
                Some(call) => call,
                None => return Ok(None),
            },
            stage::AWAITING_OPENING | stage::AWAITING_POINT => {
                let deadline = u64::try_from(view.deadline).unwrap_or(u64::MAX);
                if self.contracts.now() > deadline {
                    games::expire(&self.contracts, game_id).await?;
                }
                return Ok(Some(deadline));
            }
            _ => return Ok(None),
        };
        self.contracts.attempt(call).await?;
        Ok(Some(self.contracts.now()))
    }

    pub(super) async fn answer(
        &self,
        id: B256,
        signed: &SignedOrder,
        game_id: u64,
        game: &Disputes::Game,
        state: B256,
    ) -> Result<alloy_rpc_types_eth::TransactionRequest> {
        let segment = segment(game)?;
        let answer = self.with_run(id, signed, move |_, tracer| answer(tracer, segment)).await?;
        let proof = answer.last_leaf_proof.0.map(b256);
        let call = self.contracts.disputes.answer(game_id, state, b256(answer.root), proof);
        Ok(call.into_transaction_request())
    }

    pub(super) async fn reveal(
        &self,
        id: B256,
        signed: &SignedOrder,
        game_id: u64,
        game: &Disputes::Game,
        state: B256,
    ) -> Result<Option<alloy_rpc_types_eth::TransactionRequest>> {
        let (segment, target) = (segment(game)?, Hash(game.target.0));
        let reveal =
            move |_: &Program, tracer: &mut Tracer<E>| reveal(&tracer.tree(segment), target);
        let children = self.with_run(id, signed, reveal).await?;
        let call = |children: [Hash; 32]| {
            let children = children.map(b256).to_vec();
            self.contracts.disputes.reveal(game_id, state, children).into_transaction_request()
        };
        Ok(children.map(call))
    }

    /// Answers the demands for chunks of the output, and defends meanwhile.
    pub(super) async fn show(
        &self,
        id: B256,
        signed: &SignedOrder,
        job: &Market::Job,
    ) -> Result<Next> {
        let (order, market) = (&signed.order, &self.contracts.market);
        let demanded =
            market.ChunkRequested_filter().topic1(id).from_block(job.lockBlock.to::<u64>());
        let mut is_asked = false;
        for (event, _) in demanded.query().await.map_err(chain)? {
            let demand = market.demandOf(id, event.chunk).call().await.map_err(chain)?;
            if demand.open {
                is_asked = true;
                let (data, proof) = self.chunk(id, signed, event.chunk).await?;
                let call = market.answer(order.clone(), event.chunk, data, proof);
                self.contracts.attempt(call.into_transaction_request()).await?;
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
    pub(super) async fn chunk(
        &self,
        id: B256,
        signed: &SignedOrder,
        chunk: u32,
    ) -> Result<(Bytes, [B256; 17])> {
        let number = slot::base(slot::OUTPUT) / PAGE_SIZE + chunk;
        let page = move |_: &Program, tracer: &mut Tracer<E>| tracer.end_page(number);
        let (page, proof) = self.with_run(id, signed, page).await?;
        Ok((page.to_vec().into(), std::array::from_fn(|k| b256(proof.0[k]))))
    }
}
