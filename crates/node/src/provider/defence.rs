//! Defending a claim: answering the games about it and the demands for its output, and settling.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::TransactionReceipt;
use assay_assurance::window::{Game, Window};
use assay_assurance::{Contest, Kind, Turn};
use assay_contracts::{GameStage, Market};
use assay_machine::slot;
use assay_merkle::PAGE_SIZE;
use assay_protocol::SignedOrder;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::base::ids::b256;
use crate::chain::market::Job;
use crate::chain::timeline::Timeline;
use crate::job::executor::JobRun;
use crate::provider::Provider;
use crate::role::Next;
use crate::{Error, Result};

/// How soon an output is published again that could not be, in seconds.
const PUBLISH_AGAIN_SECS: u64 = 10;

/// How many of its moves may be on their way at once.
const SENT_AT_ONCE: usize = 16;

/// For how long it answers games before it looks whether something else has come up.
const PASS: Duration = Duration::from_secs(60);

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

    /// Answers what the games about its claim ask, those first whose turn ends first, and ends
    /// those whose challenger is late. Gives when the first turn ends, if any game is open.
    async fn attend_games(
        &self,
        window: &Window,
        id: B256,
        signed: &SignedOrder,
        job: &Job,
    ) -> Result<Option<u64>> {
        let is_played = self.contracts.has_open_games(id).await?;
        if is_played {
            self.memory().collected.remove(&id);
            self.memory().played.insert(id);
        } else if self.memory().collected.contains(&id) {
            return Ok(None);
        }
        let games = self.contracts.games(id, job.lock_block).await?;
        let until = self.play(*window, id, signed, &games).await;
        if let Err(error) = self.record_moves(id, &signed.order).await {
            tracing::warn!(%id, %error, "moves could not be logged");
        }
        let until = until?;
        if !is_played {
            self.collect(&games).await?;
            self.memory().played.remove(&id);
            self.memory().collected.insert(id);
        }
        Ok(until)
    }

    /// Makes the moves that games wait for. A move is computed while those before it are being
    /// mined, and what several games ask for is given once. Gives the end of the first turn, or now
    /// if there is more to do.
    async fn play(
        &self,
        window: Window,
        id: B256,
        signed: &SignedOrder,
        games: &[Game],
    ) -> Result<Option<u64>> {
        let contracts = &self.contracts;
        let began = contracts.env().uptime();
        let mut asked = BTreeSet::new();
        let mut sending = FuturesUnordered::new();
        let (mut first, mut failed) = (None, None);
        for game in games {
            let until = match window.claimants_turn(game, contracts.now()) {
                Turn::Own if contracts.env().uptime() - began > PASS => Some(contracts.now()),
                Turn::Own => {
                    if !asked.insert((game.segment.start(), game.target)) {
                        continue;
                    }
                    let of = *game;
                    let defend = move |run: &mut dyn JobRun| window.defend(&of, run);
                    let computing = self.with_run(id, signed, defend);
                    let defence = alongside(computing, &mut sending, &mut failed).await?;
                    let Some(defence) = defence else { continue };
                    sending.push(contracts.attempt(contracts.defend(game, defence)));
                    Some(contracts.now())
                }
                Turn::Late { until } => {
                    sending.push(contracts.attempt(contracts.expire_game(game.id)));
                    Some(until)
                }
                Turn::Theirs { until } => Some(until),
                Turn::Fallen | Turn::Over => None,
            };
            first = [first, until].into_iter().flatten().min();
            while sending.len() >= SENT_AT_ONCE {
                keep_error(sending.next().await, &mut failed);
            }
        }
        while let Some(sent) = sending.next().await {
            keep_error(Some(sent), &mut failed);
        }
        failed.map_or(Ok(first), Err)
    }

    /// Takes what challengers that were wrong have to pay it.
    async fn collect(&self, games: &[Game]) -> Result<()> {
        let lost = games.iter().filter(|game| game.stage == GameStage::Lost && !game.is_collected);
        let (mut sending, mut failed) = (FuturesUnordered::new(), None);
        for game in lost {
            sending.push(self.contracts.attempt(self.contracts.collect_bond(game.id)));
            while sending.len() >= SENT_AT_ONCE {
                keep_error(sending.next().await, &mut failed);
            }
        }
        while let Some(sent) = sending.next().await {
            keep_error(Some(sent), &mut failed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// The same for a job that was settled before it came to that.
    pub(super) async fn collect_settled(&self, id: B256, job: &Job) -> Result<()> {
        let was_played = self.memory().played.contains(&id);
        if was_played {
            self.collect(&self.contracts.games(id, job.lock_block).await?).await?;
        }
        Ok(())
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

/// What was sent and its outcome.
type Sent = Result<Option<TransactionReceipt>>;

/// Waits for a computation, and drives on meanwhile what is being sent.
async fn alongside<T>(
    computing: impl Future<Output = T>,
    sending: &mut FuturesUnordered<impl Future<Output = Sent>>,
    failed: &mut Option<Error>,
) -> T {
    let mut computing = std::pin::pin!(computing);
    loop {
        tokio::select! {
            done = &mut computing => return done,
            sent = sending.next(), if !sending.is_empty() => keep_error(sent, failed),
        }
    }
}

/// One move that could not be sent must not keep the others back.
fn keep_error(sent: Option<Sent>, failed: &mut Option<Error>) {
    if let Some(Err(error)) = sent {
        tracing::warn!(%error, "a move could not be sent");
        *failed = Some(error);
    }
}
