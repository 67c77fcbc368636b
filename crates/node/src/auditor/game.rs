//! The games about false claims: committing, moving, and taking back the bond.

use std::path::PathBuf;
use std::time::Duration;

use alloy_primitives::{B256, hex};
use alloy_rpc_types_eth::TransactionRequest;
use assay_contracts::{Disputes, Market};
use assay_dispute::{Challenge, Known, Pointing, Segment, Tracer, challenge};
use assay_machine::Engine;
use assay_types::Hash;
use serde::{Deserialize, Serialize};

use crate::auditor::{Auditor, random};
use crate::base::files;
use crate::base::ids::b256;
use crate::chain::contracts::chain;
use crate::chain::games::{self, segment, stage};
use crate::role::{Next, blocking};
use crate::{Error, Result};

/// What must be remembered of a commitment, written before it is made: without the salt it could
/// never be opened.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Commitment {
    salt: B256,
}

/// A claim that was found false.
pub(super) struct False<E> {
    pub(super) tracer: Tracer<E>,
    pub(super) start: Hash,
    pub(super) root: Hash,
}

impl<E: Engine + Clone + Send + 'static> Auditor<E> {
    /// Makes the next move in the own game, or opens it.
    pub(super) async fn play(
        &self,
        id: B256,
        order: &Market::Order,
        job: &Market::Job,
    ) -> Result<Next> {
        let lock_block = job.lockBlock.to::<u64>();
        let Some(game_id) = self.own_game(id, lock_block).await? else {
            return self.commit(id).await;
        };
        let view = self.contracts.disputes.gameOf(game_id).call().await.map_err(chain)?;
        let deadline = u64::try_from(view.deadline).unwrap_or(u64::MAX);
        let (game, state) = (view.game, view.stateHash);
        // The first move is the one committed to, which was chosen before anything was revealed.
        let known = match game.stage {
            stage::AWAITING_OPENING => Known::new(),
            stage::AWAITING_POINT => self.known(id, lock_block).await?,
            stage::AWAITING_ANSWER | stage::AWAITING_REVEAL => {
                if self.contracts.now() > deadline {
                    games::expire(&self.contracts, game_id).await?;
                    return Ok(Next::After(Duration::from_secs(1)));
                }
                return Ok(Next::At(deadline + 1));
            }
            stage::WON => {
                let settle = self.contracts.market.settle(order.clone());
                self.contracts.attempt(settle.into_transaction_request()).await?;
                return Ok(Next::After(Duration::from_secs(1)));
            }
            // Lost to a clock, or another was faster: the claim's own end is yet to come.
            _ => return Ok(Next::Event),
        };
        let segment = segment(&game)?;
        let (start, root) = (Hash(game.start.0), Hash(view.root.0));
        let choose =
            move |own: &mut False<E>| challenge(&mut own.tracer, segment, start, root, &known);
        let next = self.with_found(id, choose).await?.ok_or_else(no_difference)?;
        let salt = self.commitment(id)?.map_or(B256::ZERO, |commitment| commitment.salt);
        // Too soon after the commitment, or ended by another's win: looked at again in either case.
        if self.contracts.attempt(self.call(game_id, state, salt, next)).await?.is_some() {
            self.record_moves(id, order).await?;
        }
        Ok(Next::After(Duration::from_millis(200)))
    }

    pub(super) fn call(
        &self,
        id: u64,
        state: B256,
        salt: B256,
        next: Challenge,
    ) -> TransactionRequest {
        let disputes = &self.contracts.disputes;
        match next {
            Challenge::Point(at) => {
                disputes.point(id, state, salt, pointing(at)).into_transaction_request()
            }
            Challenge::Demand { depth, index, node, siblings } => {
                let siblings = siblings.into_iter().map(b256).collect();
                let call =
                    disputes.demand(id, state, salt, depth as u8, index, b256(node), siblings);
                call.into_transaction_request()
            }
            Challenge::Prove { pointing: at, witness } => {
                disputes.prove(id, state, pointing(at), witness.into()).into_transaction_request()
            }
        }
    }

    /// Commits to the first move, with the bond.
    async fn commit(&self, id: B256) -> Result<Next> {
        let choose = |own: &mut False<E>| {
            let (start, root) = (own.start, own.root);
            let first = challenge(&mut own.tracer, Segment::WHOLE, start, root, &Known::new());
            (start, root, first)
        };
        let (start, root, first) = self.with_found(id, choose).await?;
        let (depth, index) = match first {
            Some(Challenge::Point(at)) => (15, at.index),
            Some(Challenge::Demand { depth, index, .. }) => (depth as u8, index),
            Some(Challenge::Prove { .. }) | None => return Err(no_difference()),
        };
        let commitment = match self.commitment(id)? {
            Some(commitment) => commitment,
            None => {
                let commitment = Commitment { salt: random()? };
                files::write_json(&self.file(id), &commitment)?;
                commitment
            }
        };
        let (disputes, account) = (&self.contracts.disputes, self.contracts.account());
        let hash = disputes.commitmentOf(id, account, depth, index, commitment.salt);
        let hash = hash.call().await.map_err(chain)?;
        let commit = disputes.commit(id, b256(start), b256(root), hash);
        if self.contracts.attempt(commit.into_transaction_request()).await?.is_some() {
            tracing::info!(%id, "a claim is challenged");
        }
        Ok(Next::After(Duration::from_millis(200)))
    }

    /// Takes back the bond of an ended game.
    pub(super) async fn collect(&self, id: B256, lock_block: u64) -> Result<()> {
        if let Some(game_id) = self.own_game(id, lock_block).await? {
            let disputes = &self.contracts.disputes;
            let game = disputes.gameOf(game_id).call().await.map_err(chain)?.game;
            if !game.collected {
                let is_open = game.stage < stage::WON;
                if is_open {
                    // An earlier game has made this one pointless, or its turn has run out.
                    let dismiss = disputes.dismiss(game_id).into_transaction_request();
                    self.contracts.attempt(dismiss).await?;
                }
                let collect = disputes.collect(game_id).into_transaction_request();
                self.contracts.attempt(collect).await?;
            }
        }
        files::remove(&self.file(id))
    }

    async fn own_game(&self, id: B256, lock_block: u64) -> Result<Option<u64>> {
        let committed = self.contracts.disputes.Committed_filter().topic2(id);
        let committed = committed.topic3(self.contracts.account());
        let committed = committed.from_block(lock_block).query().await.map_err(chain)?;
        Ok(committed.first().map(|(event, _)| event.id))
    }

    /// What the games about a claim have revealed.
    async fn known(&self, id: B256, lock_block: u64) -> Result<Known> {
        let revealed = self.contracts.disputes.Revealed_filter().topic1(id);
        let revealed = revealed.from_block(lock_block).query().await.map_err(chain)?;
        let mut known = Known::new();
        for (event, _) in revealed {
            let children: Vec<Hash> = event.children.iter().map(|child| Hash(child.0)).collect();
            if let Ok(children) = children.try_into() {
                known.reveal(Hash(event.node.0), children);
            }
        }
        Ok(known)
    }

    /// Works with a claim that was found false.
    async fn with_found<T: Send + 'static>(
        &self,
        id: B256,
        work: impl FnOnce(&mut False<E>) -> T + Send + 'static,
    ) -> Result<T> {
        let lost = || Error::Job("the run of a false claim is lost and will be made again".into());
        let mut own = self.found().remove(&id).ok_or_else(lost)?;
        let (own, done) = blocking(move || {
            let done = work(&mut own);
            (own, done)
        })
        .await?;
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

fn no_difference() -> Error {
    Error::Job("a false claim has no differing leaf".into())
}

fn pointing(pointing: Pointing) -> Disputes::Pointing {
    Disputes::Pointing {
        index: pointing.index,
        predecessor: b256(pointing.predecessor),
        leaf: b256(pointing.leaf),
        siblings: pointing.siblings.into_iter().map(b256).collect(),
    }
}
