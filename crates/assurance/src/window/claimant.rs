//! What the claimant does in a game.

use assay_contracts::GameStage;
use assay_dispute::{Answer, FAN_OUT, reveal};
use assay_types::Hash;

use crate::window::{Game, theirs};
use crate::{TracedRun, Turn};

/// A claimant's move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defence {
    /// The tree of the segment pointed at.
    Answer(Box<Answer>),
    /// What lies under the node demanded.
    Reveal(Box<[Hash; FAN_OUT]>),
}

pub(crate) fn turn(game: &Game, now: u64) -> Turn {
    match game.stage {
        GameStage::AwaitingAnswer | GameStage::AwaitingReveal => Turn::Own,
        GameStage::AwaitingOpening | GameStage::AwaitingPoint => theirs(game, now),
        GameStage::None | GameStage::Won | GameStage::Lost | GameStage::Moot => Turn::Over,
    }
}

pub(crate) fn defend(game: &Game, run: &mut dyn TracedRun) -> Option<Defence> {
    match game.stage {
        GameStage::AwaitingAnswer => Some(Defence::Answer(Box::new(run.answer(game.segment)))),
        GameStage::AwaitingReveal => {
            reveal(&run.tree(game.segment), game.target).map(Box::new).map(Defence::Reveal)
        }
        _ => None,
    }
}
