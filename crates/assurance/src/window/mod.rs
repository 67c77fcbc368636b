//! The fraud-proof window (spec/dispute.md): a claim is final once its window has passed and nobody
//! has shown a false step of it.

mod challenger;
mod claimant;

use assay_contracts::{DisputeTerms, GameStage};
use assay_dispute::{Challenge, Known, Opening, SNAPSHOTS_MIN, Segment};
use assay_market::{Account, Reason, Terms};
use assay_types::Hash;

use crate::{Assurance, Contest, Finality, TracedRun, Turn};

pub use claimant::Defence;

/// Steps of the longest segment that a game asks about (spec/dispute.md).
const SEGMENT_STEPS: u64 = 1 << 30;

/// How much further than a claim's steps a check may have to run (spec/dispute.md#the-window).
const OVERRUN_STEPS: u64 = 1 << 15;

/// How often an answer's time must fit in the dispute's clock.
const ANSWERS_MIN: u64 = 2;

/// The fraud-proof window of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How fast an auditor must be able to re-run a job, in steps a second.
    steps_per_sec: u64,
    /// How fast it must be able to re-run a segment with all its states.
    retrace_steps_per_sec: u64,
    /// The part of an order's time for a run that an auditor may need, in basis points.
    run_bps: u16,
    /// What a window leaves for fetching the inputs and for getting a transaction mined.
    allowance_secs: u64,
    /// Each party's clock in a game.
    clock_secs: u64,
}

/// What a claim says of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceClaim {
    /// After how many steps it says that the run ended.
    pub steps: u64,
    /// What the claimant has at stake, in the token's smallest unit.
    pub stake: u128,
    /// The hash of the state that the job starts from.
    pub start: Hash,
    /// The root of the top trace.
    pub trace: Hash,
}

/// A game about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Game {
    /// Its number.
    pub id: u64,
    /// Where it stands.
    pub stage: GameStage,
    /// The tree that it is about.
    pub segment: Segment,
    /// The state that the segment starts from, on which both sides agree.
    pub start: Hash,
    /// The tree's root, as claimed.
    pub root: Hash,
    /// The node that is demanded, or the leaf that is pointed at.
    pub target: Hash,
    /// The hash of the game's state, which a move names: it is made in no other.
    pub state: Hash,
    /// The last second of the turn, in Unix seconds.
    pub deadline: u64,
    /// Whether the challenger has its bond back.
    pub is_collected: bool,
    /// Whether it has its costs back, or is owed none.
    pub has_costs: bool,
}

impl Window {
    /// A market's, by how its disputes are paced.
    pub fn new(terms: &DisputeTerms) -> Self {
        Window {
            steps_per_sec: terms.steps_per_sec.max(1),
            retrace_steps_per_sec: terms.retrace_steps_per_sec.max(1),
            run_bps: terms.run_bps,
            allowance_secs: u64::from(terms.fetch_secs) + u64::from(terms.censorship_secs),
            clock_secs: u64::from(terms.clock_secs),
        }
    }
}

impl Assurance for Window {
    fn name(&self) -> &'static str {
        "window"
    }

    fn trusts(&self) -> &'static str {
        "one live auditor who has the inputs"
    }

    fn accepts(&self, terms: &Terms) -> Result<(), Reason> {
        // A claim that nobody else can check would stand whatever it says.
        let is_checkable = !terms.is_sealed() || !terms.auditors.is_empty();
        if is_checkable { Ok(()) } else { Err(Reason::AuditorMissing {}) }
    }

    /// Whether the answers in a game would come within the clock: each from the snapshot before its
    /// segment, and the segment.
    fn can_defend(&self, step_limit: u64, run_secs: &dyn Fn(u64) -> u64) -> Result<(), Reason> {
        let before = 2 * step_limit / (SNAPSHOTS_MIN as u64 + 1);
        let answer_secs = run_secs(before + step_limit.min(SEGMENT_STEPS));
        let (needed_secs, clock_secs) = (answer_secs.saturating_mul(ANSWERS_MIN), self.clock_secs);
        let is_short = needed_secs > clock_secs;
        if is_short { Err(Reason::ClockShort { clock_secs, needed_secs }) } else { Ok(()) }
    }

    fn window_secs_min(&self, steps: u64, run_secs: u32) -> u64 {
        let run = steps.saturating_add(OVERRUN_STEPS);
        let check = run.div_ceil(self.steps_per_sec);
        let as_given = (u64::from(run_secs) * u64::from(self.run_bps)).div_ceil(10_000);
        let retrace = run.min(SEGMENT_STEPS).div_ceil(self.retrace_steps_per_sec);
        check.max(as_given).saturating_add(retrace).saturating_add(self.allowance_secs)
    }

    fn readers(&self, provider: Account, terms: &Terms) -> Vec<Account> {
        let auditors = terms.auditors.iter().copied().filter(|auditor| *auditor != provider);
        std::iter::once(provider).chain(auditors).collect()
    }

    fn can_check(&self, account: Account, terms: &Terms) -> bool {
        !terms.is_sealed() || terms.auditors.contains(&account)
    }

    fn statements() -> &'static [&'static str] {
        &["order", "lock", "run", "claim", "verdict", "settlement"]
    }

    fn verify(finality: Finality) -> Result<String, &'static str> {
        let asked = u64::from(finality.window_secs);
        match finality.settled_at.checked_sub(finality.claimed_at).filter(|open| *open >= asked) {
            Some(open) => {
                Ok(format!("the claim could be challenged for {open} s, and {asked} s were asked"))
            }
            None => Err("the window was shorter than the order asked"),
        }
    }
}

impl Contest for Window {
    type Claim = TraceClaim;
    type View = Game;
    type Known = Known;
    type Defence = Defence;
    type Opening = Opening;
    type Challenge = Challenge;

    /// Nothing: the trace's root is all that a game needs.
    fn evidence(&self, _: &mut dyn TracedRun) -> Vec<u8> {
        Vec::new()
    }

    fn claimants_turn(&self, game: &Game, now: u64) -> Turn {
        claimant::turn(game, now)
    }

    fn defend(&self, game: &Game, run: &mut dyn TracedRun) -> Option<Defence> {
        claimant::defend(game, run)
    }

    fn is_true(&self, claim: &TraceClaim, run: &mut dyn TracedRun) -> bool {
        // INVARIANT: no more is run than the claim's window leaves time for.
        run.stop_behind(claim.steps);
        run.tree(Segment::WHOLE).root() == claim.trace
    }

    fn open(&self, claim: &TraceClaim, run: &mut dyn TracedRun) -> Option<Opening> {
        challenger::open(claim, run)
    }

    fn challengers_turn(&self, game: &Game, now: u64) -> Turn {
        challenger::turn(game, now)
    }

    fn challenge(&self, game: &Game, known: &Known, run: &mut dyn TracedRun) -> Option<Challenge> {
        challenger::challenge(game, known, run)
    }
}

/// Whether the other side, whose turn it is, still has time.
fn theirs(game: &Game, now: u64) -> Turn {
    let until = game.deadline;
    if now > until { Turn::Late { until } } else { Turn::Theirs { until } }
}

#[cfg(test)]
mod tests {
    use assay_market::SealedSlot;

    use super::*;

    fn window() -> Window {
        Window::new(&DisputeTerms::PUBLIC)
    }

    fn sealed(auditors: Vec<Account>) -> Terms {
        let slot = SealedSlot {
            envelope: Hash([1; 32]),
            bytes: 1,
            owner: Account([1; 20]),
            policy: None,
            purpose: None,
        };
        Terms { input: Some(slot), auditors, ..Terms::open() }
    }

    #[test]
    fn a_sealed_claim_that_nobody_could_check_is_not_accepted() {
        let (provider, auditor) = (Account([2; 20]), Account([3; 20]));
        assert_eq!(window().accepts(&sealed(Vec::new())), Err(Reason::AuditorMissing {}));
        let terms = sealed(vec![auditor]);
        assert_eq!(window().accepts(&terms), Ok(()));
        assert_eq!(window().readers(provider, &terms), [provider, auditor]);
        assert!(window().can_check(auditor, &terms) && !window().can_check(provider, &terms));
        assert!(window().can_check(provider, &Terms::open()), "anyone checks what is public");
    }

    #[test]
    fn a_window_leaves_an_auditor_the_time_to_fetch_and_run() {
        let terms = DisputeTerms::PUBLIC;
        let least = |steps, run_secs| window().window_secs_min(steps, run_secs);
        let rest = u64::from(terms.censorship_secs + terms.fetch_secs);
        // As long again as the provider had, and the reference where that is more.
        assert_eq!(least(1, 600), 600 + 1 + rest);
        let segment = SEGMENT_STEPS.div_ceil(terms.retrace_steps_per_sec);
        let steps = 1_000 * terms.steps_per_sec;
        assert_eq!(least(steps - OVERRUN_STEPS, 600), 1_000 + segment + rest);
        assert_eq!(least(steps - OVERRUN_STEPS + 1, 600), 1_001 + segment + rest, "rounded up");
    }

    #[test]
    fn a_provider_that_would_answer_too_late_is_told_by_how_much() {
        let slow = |steps: u64| steps.div_ceil(1_000_000);
        assert_eq!(window().can_defend(1 << 30, &slow), Ok(()));
        let refused = window().can_defend(1 << 37, &slow);
        assert!(
            matches!(refused, Err(Reason::ClockShort { clock_secs: 86_400, .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn a_claim_that_was_paid_too_soon_is_refused() {
        let finality = Finality { window_secs: 10, claimed_at: 100, settled_at: 111 };
        assert!(Window::verify(finality).expect("long enough").contains("for 11 s"));
        let soon = Finality { settled_at: 109, ..finality };
        assert!(Window::verify(soon).is_err(), "a window of 9 s passes for one of 10 s");
        assert!(Window::verify(Finality { settled_at: 99, ..finality }).is_err());
    }

    #[test]
    fn turns_follow_the_stage_and_the_clock() {
        let game = |stage| Game {
            id: 1,
            stage,
            segment: Segment::WHOLE,
            start: Hash([0; 32]),
            root: Hash([1; 32]),
            target: Hash([2; 32]),
            state: Hash([3; 32]),
            deadline: 100,
            is_collected: false,
            has_costs: false,
        };
        let (theirs, late) = (Turn::Theirs { until: 100 }, Turn::Late { until: 100 });
        for (stage, claimants, challengers) in [
            (GameStage::AwaitingOpening, theirs, Turn::Own),
            (GameStage::AwaitingPoint, theirs, Turn::Own),
            (GameStage::AwaitingAnswer, Turn::Own, theirs),
            (GameStage::AwaitingReveal, Turn::Own, theirs),
            (GameStage::Won, Turn::Over, Turn::Fallen),
            (GameStage::Lost, Turn::Over, Turn::Over),
            (GameStage::Moot, Turn::Over, Turn::Over),
        ] {
            assert_eq!(window().claimants_turn(&game(stage), 100), claimants, "{stage:?}");
            assert_eq!(window().challengers_turn(&game(stage), 100), challengers, "{stage:?}");
        }
        let pointing = game(GameStage::AwaitingPoint);
        assert_eq!(window().claimants_turn(&pointing, 101), late, "a second later");
    }
}
