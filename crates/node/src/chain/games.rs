//! The disputes' contract, by typed methods: games about claims, and calls to send.

use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::TransactionRequest;
use assay_assurance::window::{Defence, Game, Opening, TraceClaim};
use assay_contracts::{Disputes, GameStage, JobEvent, events::topics};
use assay_dispute::{Challenge, Known, Pointing, Segment};
use assay_types::Hash;

use crate::base::ids::b256;
use crate::chain::contracts::{Contracts, chain};
use crate::chain::events::{about, logged};
use crate::{Error, Result};

impl Contracts {
    /// A claim, as it was opened to challenges.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`]; [`Error::ClaimMissing`] if there is none.
    pub(crate) async fn opened_claim(&self, id: B256, lock_block: u64) -> Result<TraceClaim> {
        let filter = about(self.deployment.disputes, topics::CLAIM_OPENED, lock_block).topic1(id);
        let opened =
            logged(self, filter).await?.into_iter().find_map(|(found, _)| match found.event {
                JobEvent::ClaimOpened { initial_state, trace_root, .. } => {
                    Some((initial_state, trace_root))
                }
                _ => None,
            });
        let (start, trace) = opened.ok_or(Error::ClaimMissing { job: id })?;
        Ok(TraceClaim { start: Hash(start.0), trace: Hash(trace.0) })
    }

    /// Whether any game about a claim is open.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn has_open_games(&self, id: B256) -> Result<bool> {
        Ok(self.disputes.claimOf(id).call().await.map_err(chain)?.openGames > 0)
    }

    /// The games about a claim, in the order of the segments that they are about, so that one way
    /// through the run serves all.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`], [`Error::Stage`].
    pub(crate) async fn games(&self, id: B256, lock_block: u64) -> Result<Vec<Game>> {
        let filter = about(self.deployment.disputes, topics::CHALLENGED, lock_block).topic2(id);
        let mut games = Vec::new();
        for (found, _) in logged(self, filter).await? {
            if let JobEvent::Challenged { game, .. } = found.event {
                games.push(self.game(game).await?);
            }
        }
        games.sort_by_key(|game| game.segment.start());
        Ok(games)
    }

    /// This account's own game about a claim, if it has begun one.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`], [`Error::Stage`].
    pub(crate) async fn own_game(&self, id: B256, lock_block: u64) -> Result<Option<Game>> {
        let filter = about(self.deployment.disputes, topics::CHALLENGED, lock_block);
        let filter = filter.topic2(id).topic3(self.account());
        let first =
            logged(self, filter).await?.into_iter().find_map(|(found, _)| match found.event {
                JobEvent::Challenged { game, .. } => Some(game),
                _ => None,
            });
        match first {
            Some(game) => self.game(game).await.map(Some),
            None => Ok(None),
        }
    }

    async fn game(&self, id: u64) -> Result<Game> {
        let view = self.disputes.gameOf(id).call().await.map_err(chain)?;
        let game = view.game;
        let segment = Segment::new(game.level, game.position);
        let (level, position) = (game.level, game.position);
        Ok(Game {
            id,
            stage: GameStage::try_from(game.stage)?,
            segment: segment.ok_or(Error::GameSegment { level, position })?,
            start: Hash(game.start.0),
            root: Hash(view.root.0),
            target: Hash(game.target.0),
            state: Hash(view.stateHash.0),
            deadline: u64::try_from(view.deadline).unwrap_or(u64::MAX),
            is_collected: game.collected,
        })
    }

    /// What the games about a claim have revealed.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn revealed(&self, id: B256, lock_block: u64) -> Result<Known> {
        let filter = about(self.deployment.disputes, topics::REVEALED, lock_block).topic1(id);
        let mut known = Known::new();
        for (found, _) in logged(self, filter).await? {
            let JobEvent::Revealed { node, children } = found.event else { continue };
            let children: Vec<Hash> = children.iter().map(|child| Hash(child.0)).collect();
            if let Ok(children) = children.try_into() {
                known.reveal(Hash(node.0), children);
            }
        }
        Ok(known)
    }

    /// What a commitment to a first move hides it in.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn commitment(&self, id: B256, opening: Opening, salt: B256) -> Result<B256> {
        let Opening { depth, index } = opening;
        let hash = self.disputes.commitmentOf(id, self.account(), depth, index, salt);
        hash.call().await.map_err(chain)
    }

    /// Commits to a first move against a claim, with the bond.
    pub(crate) fn challenge(
        &self,
        id: B256,
        claim: TraceClaim,
        commitment: B256,
    ) -> TransactionRequest {
        let (start, trace) = (b256(claim.start), b256(claim.trace));
        self.disputes.commit(id, start, trace, commitment).into_transaction_request()
    }

    /// Makes a challenger's move; its first with the salt of its commitment.
    pub(crate) fn make_move(&self, game: &Game, salt: B256, next: Challenge) -> TransactionRequest {
        let (disputes, id, state) = (&self.disputes, game.id, b256(game.state));
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
                let witness = Bytes::from(witness);
                disputes.prove(id, state, pointing(at), witness).into_transaction_request()
            }
        }
    }

    /// Makes a claimant's move.
    pub(crate) fn defend(&self, game: &Game, defence: Defence) -> TransactionRequest {
        let (disputes, id, state) = (&self.disputes, game.id, b256(game.state));
        match defence {
            Defence::Answer(answer) => {
                let proof = answer.last_leaf_proof.0.map(b256);
                disputes.answer(id, state, b256(answer.root), proof).into_transaction_request()
            }
            Defence::Reveal(children) => {
                let children = children.map(b256).to_vec();
                disputes.reveal(id, state, children).into_transaction_request()
            }
        }
    }

    /// Ends a game whose turn has run out.
    pub(crate) fn expire_game(&self, id: u64) -> TransactionRequest {
        self.disputes.expire(id).into_transaction_request()
    }

    /// Ends a game that an earlier one has made pointless.
    pub(crate) fn dismiss_game(&self, id: u64) -> TransactionRequest {
        self.disputes.dismiss(id).into_transaction_request()
    }

    /// Takes back the bond of an ended game.
    pub(crate) fn collect_bond(&self, id: u64) -> TransactionRequest {
        self.disputes.collect(id).into_transaction_request()
    }
}

fn pointing(pointing: Pointing) -> Disputes::Pointing {
    Disputes::Pointing {
        index: pointing.index,
        predecessor: b256(pointing.predecessor),
        leaf: b256(pointing.leaf),
        siblings: pointing.siblings.into_iter().map(b256).collect(),
    }
}
