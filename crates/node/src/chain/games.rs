//! The disputes' contract, by typed methods: games about claims, and calls to send.

use alloy_primitives::aliases::U96;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rpc_types_eth::{Filter, TransactionRequest};
use assay_assurance::window::{Defence, Game, TraceClaim};
use assay_contracts::{Disputes, GameStage, JobEvent, events::topics};
use assay_dispute::{Challenge, Known, Opening, Own, Pointing, Segment};
use assay_machine::Level;
use assay_types::Hash;
use futures_util::future::try_join_all;

use crate::base::ids::b256;
use crate::chain::contracts::{Contracts, chain};
use crate::chain::events::{about, logged};
use crate::chain::market::Job;
use crate::{Error, Result};

/// How many games are read at a time.
const READ_AT_ONCE: usize = 16;

impl Contracts {
    /// A claim, as it was opened to challenges.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`]; [`Error::ClaimMissing`] if there is none.
    pub(crate) async fn opened_claim(&self, id: B256, job: &Job) -> Result<TraceClaim> {
        let (disputes, lock_block) = (self.deployment.disputes, job.lock_block);
        let filter = about(disputes, topics::CLAIM_OPENED, lock_block).topic1(id);
        let opened =
            logged(self, filter).await?.into_iter().find_map(|(found, _)| match found.event {
                JobEvent::ClaimOpened { initial_state, trace_root, .. } => {
                    Some((initial_state, trace_root))
                }
                _ => None,
            });
        let (start, trace) = opened.ok_or(Error::ClaimMissing { job: id })?;
        let (steps, stake) = (job.steps, job.stake);
        Ok(TraceClaim { steps, stake, start: Hash(start.0), trace: Hash(trace.0) })
    }

    /// Whether any game about a claim is open.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn has_open_games(&self, id: B256) -> Result<bool> {
        Ok(self.disputes.claimOf(id).call().await.map_err(chain)?.openGames > 0)
    }

    /// The games about a claim; those whose turn ends first come first, and of the same deadline
    /// those about earlier segments, so that one way through the run serves all.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`], [`Error::Stage`].
    pub(crate) async fn games(&self, id: B256, lock_block: u64) -> Result<Vec<Game>> {
        let filter = about(self.deployment.disputes, topics::CHALLENGED, lock_block).topic2(id);
        let mut games = self.games_of(filter).await?;
        games.sort_by_key(|game| (game.deadline, game.segment.start()));
        Ok(games)
    }

    /// This account's own games about a claim, in the order in which it has begun them.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`], [`Error::Stage`].
    pub(crate) async fn own_games(&self, id: B256, lock_block: u64) -> Result<Vec<Game>> {
        let filter = about(self.deployment.disputes, topics::CHALLENGED, lock_block);
        self.games_of(filter.topic2(id).topic3(self.account())).await
    }

    async fn games_of(&self, filter: Filter) -> Result<Vec<Game>> {
        let found = logged(self, filter).await?;
        let ids = found.into_iter().filter_map(|(found, _)| match found.event {
            JobEvent::Challenged { game, .. } => Some(game),
            _ => None,
        });
        let ids: Vec<u64> = ids.collect();
        let mut games = Vec::with_capacity(ids.len());
        for some in ids.chunks(READ_AT_ONCE) {
            games.extend(try_join_all(some.iter().map(|id| self.game(*id))).await?);
        }
        Ok(games)
    }

    /// The bond that a challenge of a claim would take now.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn bond(&self, id: B256, stake: u128) -> Result<u128> {
        let bond = self.disputes.bondOf(id, U96::saturating_from(stake)).call().await;
        Ok(bond.map_err(chain)?.to())
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
            has_costs: game.costsCollected,
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
        let Opening { depth, index, own } = opening;
        let (account, own) = (self.account(), b256(own));
        let hash = self.disputes.commitmentOf(id, account, depth as u8, index, own, salt);
        hash.call().await.map_err(chain)
    }

    /// Commits to a first move against a claim, with a bond of so much at the most.
    pub(crate) fn challenge(
        &self,
        id: B256,
        claim: TraceClaim,
        commitment: B256,
        bond_max: u128,
    ) -> TransactionRequest {
        let (start, trace) = (b256(claim.start), b256(claim.trace));
        let (stake, bond_max) = (U96::saturating_from(claim.stake), U96::saturating_from(bond_max));
        let call = self.disputes.commit(id, start, trace, stake, commitment, bond_max);
        call.into_transaction_request()
    }

    /// Makes a challenger's move in a game about a claim; the seals of its own trees hide behind
    /// what follows from the salt of its commitment.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`].
    pub(crate) async fn make_move(
        &self,
        claim: B256,
        game: &Game,
        salt: B256,
        next: Challenge,
    ) -> Result<TransactionRequest> {
        let (disputes, id, state) = (&self.disputes, game.id, b256(game.state));
        let level = game.segment.level();
        Ok(match next {
            Challenge::Point { pointing: at, own, next } => {
                let salt_below = match level {
                    Level::Top => salt_at(salt, Level::Middle),
                    Level::Middle | Level::Bottom => salt_at(salt, Level::Bottom),
                };
                let account: Address = self.account();
                let seal = disputes.sealOf(claim, account, b256(next), salt_below);
                let seal = seal.call().await.map_err(chain)?;
                let own = opened(own, salt_at(salt, level));
                disputes.point(id, state, pointing(at), own, seal).into_transaction_request()
            }
            Challenge::Demand { depth, index, node, siblings, own } => {
                let siblings = siblings.into_iter().map(b256).collect();
                let (own, node, depth) = (b256(own), b256(node), depth as u8);
                let call = disputes.demand(id, state, own, salt, depth, index, node, siblings);
                call.into_transaction_request()
            }
            Challenge::Prove { pointing: at, own, witness } => {
                let (own, witness) = (opened(own, salt_at(salt, level)), Bytes::from(witness));
                disputes.prove(id, state, pointing(at), own, witness).into_transaction_request()
            }
        })
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

    /// Pays out the bond of an ended game: to its challenger, or to the claimant if it was wrong.
    pub(crate) fn collect_bond(&self, id: u64) -> TransactionRequest {
        self.disputes.collect(id).into_transaction_request()
    }

    /// Pays the costs of a game whose challenger was right, once its job is settled.
    pub(crate) fn collect_costs(&self, id: u64) -> TransactionRequest {
        self.disputes.collectCosts(id).into_transaction_request()
    }
}

/// What hides an own tree of a level: the commitment's salt at the top, and what nobody who does
/// not know it could tell below.
fn salt_at(salt: B256, level: Level) -> B256 {
    match level {
        Level::Top => salt,
        Level::Middle => keccak256([&salt.0[..], &[1]].concat()),
        Level::Bottom => keccak256([&salt.0[..], &[2]].concat()),
    }
}

fn opened(own: Own, salt: B256) -> Disputes::Own {
    Disputes::Own {
        root: b256(own.root),
        salt,
        leaf: b256(own.leaf),
        siblings: own.siblings.into_iter().map(b256).collect(),
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
