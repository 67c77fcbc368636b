//! What a challenger does: commits to a first move, and plays the game.

use assay_contracts::GameStage;
use assay_dispute::{Challenge, Known, Segment};
use assay_merkle::TRACE_HEIGHT;

use crate::window::{Game, TraceClaim, theirs};
use crate::{TracedRun, Turn};

/// The first move, as it is committed to: the node that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The node's depth: the leaves' for a pointing.
    pub depth: u8,
    /// Its index on that depth.
    pub index: u32,
}

pub(crate) fn open(claim: &TraceClaim, run: &mut dyn TracedRun) -> Option<Opening> {
    match run.challenge(Segment::WHOLE, claim.start, claim.trace, &Known::new())? {
        Challenge::Point(at) => Some(Opening { depth: TRACE_HEIGHT as u8, index: at.index }),
        Challenge::Demand { depth, index, .. } => Some(Opening { depth: depth as u8, index }),
        Challenge::Prove { .. } => unreachable!("the whole run's tree has no single steps"),
    }
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
