//! What both sides of a dispute need.

use alloy_primitives::B256;
use assay_contracts::Disputes;
use assay_dispute::Segment;

use crate::chain::contracts::{Contracts, chain};
use crate::{Error, Result};

/// A game's stages (contracts/src/libraries/Games.sol, `Stage`).
pub(crate) mod stage {
    pub(crate) const AWAITING_OPENING: u8 = 1;
    pub(crate) const AWAITING_ANSWER: u8 = 2;
    pub(crate) const AWAITING_REVEAL: u8 = 3;
    pub(crate) const AWAITING_POINT: u8 = 4;
    pub(crate) const WON: u8 = 5;
}

/// The games about a claim, by their numbers.
pub(crate) async fn of_claim(
    contracts: &Contracts,
    claim: B256,
    lock_block: u64,
) -> Result<Vec<u64>> {
    let committed = contracts.disputes.Committed_filter().topic2(claim);
    let committed = committed.from_block(lock_block).query().await.map_err(chain)?;
    Ok(committed.into_iter().map(|(event, _)| event.id).collect())
}

/// Ends a game whose turn has run out. That another has done so is no failure.
pub(crate) async fn expire(contracts: &Contracts, id: u64) -> Result<()> {
    contracts.attempt(contracts.disputes.expire(id).into_transaction_request()).await.map(|_| ())
}

/// The tree that a game is about.
pub(crate) fn segment(game: &Disputes::Game) -> Result<Segment> {
    let (level, position) = (game.level, game.position);
    Segment::new(level, position)
        .ok_or_else(|| Error::Job(format!("a game is at level {level}, position {position}")))
}
