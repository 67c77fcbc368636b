//! Where a game stands.

/// Where a game about a claim stands: the contract's `Stage` (contracts/src/libraries/Games.sol).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GameStage {
    /// There is no such game.
    None,
    /// The challenger's first move is awaited, as it was committed to.
    AwaitingOpening,
    /// The claimant's: the root of the next finer tree.
    AwaitingAnswer,
    /// The claimant's, or anyone's: what lies under the node demanded.
    AwaitingReveal,
    /// The challenger's: the next opening, a demand, or the step.
    AwaitingPoint,
    /// The challenger was right: the claim is false.
    Won,
    /// The challenger was wrong or late.
    Lost,
    /// The claim fell to an earlier game.
    Moot,
}

/// A number that no stage of the contract has: the disputes are of another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the disputes know a stage {0}, and this program does not: use the version that fits the market"
)]
pub struct UnknownStage(pub u8);

impl GameStage {
    /// Whether nobody has anything to do in the game any more but to collect its bond.
    pub fn is_final(self) -> bool {
        self >= GameStage::Won
    }
}

impl TryFrom<u8> for GameStage {
    type Error = UnknownStage;

    fn try_from(number: u8) -> Result<Self, UnknownStage> {
        Ok(match number {
            0 => Self::None,
            1 => Self::AwaitingOpening,
            2 => Self::AwaitingAnswer,
            3 => Self::AwaitingReveal,
            4 => Self::AwaitingPoint,
            5 => Self::Won,
            6 => Self::Lost,
            7 => Self::Moot,
            _ => return Err(UnknownStage(number)),
        })
    }
}
