//! What every kind of assurance answers.

use assay_market::{Account, Reason, Terms};

use crate::TracedRun;

/// A kind of assurance, with its parameters on a market: what is asked of it before a job runs and
/// after it has ended.
pub trait Assurance {
    /// Its name, for people and quotes.
    fn name(&self) -> &'static str;

    /// Whom or what a requester trusts who orders under it, in words.
    fn trusts(&self) -> &'static str;

    /// Whether a claim of a job under these terms could be held to account.
    ///
    /// # Errors
    ///
    /// Why nobody should take such an order.
    fn accepts(&self, terms: &Terms) -> Result<(), Reason>;

    /// Whether a provider could defend a claim of so many steps, which takes it `run_secs` for a
    /// number of steps.
    ///
    /// # Errors
    ///
    /// Why it should not take the order.
    fn can_defend(&self, step_limit: u64, run_secs: &dyn Fn(u64) -> u64) -> Result<(), Reason>;

    /// The shortest window that a claim of so many steps can have, in seconds, by the time that the
    /// order gives a run; of an order's step limit, what its longest claim has.
    fn window_secs_min(&self, steps: u64, run_secs: u32) -> u64;

    /// Who needs the keys of a sealed job's data, each once: its provider first.
    fn readers(&self, provider: Account, terms: &Terms) -> Vec<Account>;

    /// Whether an account can check a claim under these terms.
    fn can_check(&self, account: Account, terms: &Terms) -> bool;

    /// The names of the statements that a whole receipt has.
    fn statements() -> &'static [&'static str]
    where
        Self: Sized;

    /// Judges, by what the chain proves, how long a paid claim had been open to doubt. Gives it in
    /// words.
    ///
    /// # Errors
    ///
    /// In words, why it should not have been paid.
    fn verify(finality: Finality) -> Result<String, &'static str>
    where
        Self: Sized;
}

/// When a claim was made, and when it was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finality {
    /// The window that the order asked for, in seconds.
    pub window_secs: u32,
    /// The time of the claim's block, in Unix seconds.
    pub claimed_at: u64,
    /// The time of the settlement's block, in Unix seconds.
    pub settled_at: u64,
}

/// What the parties to a claim do while it is open to doubt.
pub trait Contest: Assurance {
    /// What is claimed, as the chain shows it.
    type Claim;
    /// A contest about a claim, as the chain shows it.
    type View;
    /// What the contests about a claim have brought to light.
    type Known;
    /// What the claimant does.
    type Defence;
    /// What a challenger commits to before it is seen.
    type Opening;
    /// What a challenger does.
    type Challenge;

    /// What a claim carries besides the run's end, in bytes.
    fn evidence(&self, run: &mut dyn TracedRun) -> Vec<u8>;

    /// Whose turn it is, as the claimant sees it at a time in Unix seconds.
    fn claimants_turn(&self, view: &Self::View, now: u64) -> Turn;

    /// The claimant's next move, when it is its turn; `None` if a true claim has none to make.
    fn defend(&self, view: &Self::View, run: &mut dyn TracedRun) -> Option<Self::Defence>;

    /// Whether a claim is what the run comes to.
    fn is_true(&self, claim: &Self::Claim, run: &mut dyn TracedRun) -> bool;

    /// The first move against a claim; `None` if it is true.
    fn open(&self, claim: &Self::Claim, run: &mut dyn TracedRun) -> Option<Self::Opening>;

    /// Whose turn it is, as the challenger sees it at a time in Unix seconds.
    fn challengers_turn(&self, view: &Self::View, now: u64) -> Turn;

    /// The challenger's next move, when it is its turn; `None` if the claim is true.
    fn challenge(
        &self,
        view: &Self::View,
        known: &Self::Known,
        run: &mut dyn TracedRun,
    ) -> Option<Self::Challenge>;
}

/// Whose turn it is in a contest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// One's own.
    Own,
    /// The other side's, until this time, in Unix seconds.
    Theirs {
        /// The last second of the turn.
        until: u64,
    },
    /// The other side's, and it has run out: who says so ends the contest.
    Late {
        /// The last second of the turn.
        until: u64,
    },
    /// Nobody's: the claim has fallen to this contest.
    Fallen,
    /// Nobody's: the contest has ended otherwise, or was none.
    Over,
}
