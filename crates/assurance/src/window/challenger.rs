//! What a challenger does: commits to a first move, and plays the game.

use assay_contracts::GameStage;
use assay_dispute::{Challenge, Known, Opening};

use crate::window::{Game, TraceClaim, theirs};
use crate::{TracedRun, Turn};

pub(crate) fn open(claim: &TraceClaim, run: &mut dyn TracedRun) -> Option<Opening> {
    run.opening(claim.start, claim.trace, &Known::new())
}

pub(crate) fn turn(game: &Game, now: u64) -> Turn {
    match game.stage {
        GameStage::AwaitingOpening | GameStage::AwaitingPoint => Turn::Own,
        GameStage::AwaitingAnswer | GameStage::AwaitingReveal => theirs(game, now),
        GameStage::Won => Turn::Fallen,
        GameStage::None | GameStage::Lost | GameStage::Moot => Turn::Over,
    }
}

pub(crate) fn challenge(game: &Game, known: &Known, run: &mut dyn TracedRun) -> Option<Challenge> {
    // The first move is the one committed to, which was chosen before anything was revealed.
    let nothing = Known::new();
    let known = if game.stage == GameStage::AwaitingOpening { &nothing } else { known };
    run.challenge(game.segment, game.start, game.root, known)
}
