//! What the market and the disputes say of a job, decoded: the only place that reads their events.

use alloy_primitives::{Address, B256, Bytes, Log};
use alloy_sol_types::{SolEvent, SolEventInterface};
use assay_market::JobStatus;
use serde::{Serialize, Serializer};

use crate::{Disputes, GameStage, Market, RunOutcome};

/// An event, and the job that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// The job; `None` for a step, which names its game only.
    pub job: Option<B256>,
    /// What happened.
    pub event: JobEvent,
}

/// Something that happened to a job. Amounts are in the token's smallest unit, times Unix seconds.
///
/// As JSON it has what people are told; `other` with the contract's name for what they are rarely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobEvent {
    /// A provider has bound itself.
    Locked {
        /// Who.
        provider: Address,
        /// What is in escrow.
        price: u128,
        /// What the provider put at stake.
        stake: u128,
        /// Until when it must claim.
        deadline: u64,
        /// Whether another had missed it before.
        late: bool,
        /// What is to be done: who reads the chain needs nobody else to know it.
        #[serde(skip)]
        order: Box<Market::Order>,
    },
    /// The provider has opened the sealed inputs, and the run's time counts.
    Begun {
        /// Until when it must claim.
        deadline: u64,
    },
    /// No run began: a key that did not come, or a lock that was not meant.
    Lapsed {
        /// Whose lock it was.
        provider: Address,
        /// What each side paid for it.
        fee: u128,
    },
    /// A provider says what the job came to.
    Claimed {
        /// Who.
        provider: Address,
        /// The final state's hash.
        #[serde(skip)]
        final_state: B256,
        /// The output slot's root.
        output_root: B256,
        /// The root of the top trace.
        #[serde(skip)]
        trace_root: B256,
        /// How many steps it took.
        steps: u64,
        /// How it ended, by the machine's number; its name in JSON.
        #[serde(serialize_with = "run_status")]
        status: u8,
        /// The exit code, where it exited.
        exit_code: u32,
    },
    /// Somebody doubts the claim.
    Challenged {
        /// Who.
        challenger: Address,
        /// The game's number.
        game: u64,
        /// What the first move and its salt hash to.
        #[serde(skip)]
        commitment: B256,
    },
    /// A game has ended.
    GameEnded {
        /// The game's number.
        game: u64,
        /// Whether the claim was shown to be false.
        claim_false: bool,
        /// How it ended.
        #[serde(skip)]
        outcome: GameStage,
    },
    /// The provider was paid.
    Paid {
        /// Who.
        provider: Address,
        /// How much.
        paid: u128,
        /// What of the escrow went back to the requester.
        refunded: u128,
        /// What the data owner got.
        data_fee: u128,
    },
    /// The provider's stake was taken.
    Slashed {
        /// Whose.
        provider: Address,
        /// Why: what became of the job.
        status: JobStatus,
        /// What of the escrow, data fee included, went back to the requester.
        refunded: u128,
        /// What the requester got of the stake.
        compensation: u128,
        /// Who showed the fault.
        informer: Address,
        /// What of the stake is for who showed the fault, or delivers late.
        bounty: u128,
        /// What of the stake went to the cover pool.
        cover: u128,
    },
    /// The verifier never decided, and everyone has back what they put in.
    #[serde(rename = "other", serialize_with = "unwound")]
    Unwound {
        /// Whose claim it was.
        provider: Address,
    },
    /// Nobody delivered a missed job late, so that the bounty went to the cover pool.
    #[serde(rename = "other", serialize_with = "bounty_forfeited")]
    BountyForfeited {
        /// How much.
        bounty: u128,
    },
    /// Who showed that a claim was false has its bounty.
    #[serde(rename = "other", serialize_with = "bounty_paid")]
    BountyPaid {
        /// Who.
        informer: Address,
        /// How much.
        bounty: u128,
    },
    /// What those who challenged a false claim are owed is set aside for them.
    #[serde(rename = "other", serialize_with = "challenge_costs_credited")]
    ChallengeCostsCredited {
        /// How much, all together.
        costs: u128,
    },
    /// Somebody demands neighbouring chunks of the output.
    #[serde(rename = "other", serialize_with = "chunk_requested")]
    ChunkRequested {
        /// The first: the number of its page.
        first: u32,
        /// How many.
        count: u32,
        /// Who pays for them.
        demander: Address,
        /// What was prepaid for each.
        fee: u128,
        /// By when they must be shown.
        answer_by: u64,
    },
    /// The provider has shown a chunk.
    #[serde(rename = "other", serialize_with = "chunk_answered")]
    ChunkAnswered {
        /// Which.
        chunk: u32,
        /// Its bytes.
        data: Bytes,
    },
    /// It was shown how many chunks of the output hold anything.
    #[serde(rename = "other", serialize_with = "output_measured")]
    OutputMeasured {
        /// So many.
        chunks: u32,
    },
    /// Chunks' demands were unanswered when their job ended.
    #[serde(rename = "other", serialize_with = "chunk_fee_returned")]
    ChunkFeeReturned {
        /// One of its group of 32 neighbours.
        chunk: u32,
        /// Who has its fee back.
        demander: Address,
        /// What.
        fee: u128,
    },
    /// The disputes know the claim: challenges may come.
    #[serde(skip)]
    ClaimOpened {
        /// Whose claim it is.
        claimant: Address,
        /// The hash of the state that the job starts from.
        initial_state: B256,
        /// The root of the top trace.
        trace_root: B256,
        /// Until when it may be challenged.
        opens_until: u64,
    },
    /// A challenger points at the first leaf that is not its own run's.
    #[serde(skip)]
    Pointed {
        /// The game's number.
        game: u64,
        /// The tree's level: 0 for the claim's own.
        level: u8,
        /// The segment's number on the next finer level.
        position: u32,
        /// The state before the leaf, on which both agree.
        start: B256,
        /// The leaf: the state that the claim says follows.
        leaf: B256,
    },
    /// A challenger asks for what lies under a node.
    #[serde(skip)]
    Demanded {
        /// The game's number.
        game: u64,
        /// The tree's level.
        level: u8,
        /// The node's depth.
        depth: u8,
        /// Its index on that depth.
        index: u32,
        /// The node.
        node: B256,
    },
    /// The claimant, or anyone, shows what lies under a node: in all games about the claim.
    #[serde(skip)]
    Revealed {
        /// The node.
        node: B256,
        /// The 32 nodes five levels below it.
        children: Vec<B256>,
    },
    /// The claimant gives the next finer tree: in all games about the claim.
    #[serde(skip)]
    Answered {
        /// The tree's level.
        level: u8,
        /// Which segment it refines.
        position: u32,
        /// Its root.
        root: B256,
    },
    /// A move asked for what another game had drawn before: the turn came straight back.
    #[serde(skip)]
    TakenUp {
        /// The game's number.
        game: u64,
        /// The root of the tree, or the node whose children are known.
        root_or_node: B256,
    },
    /// The contract has executed the one step in question, on what the challenger gave it.
    #[serde(skip)]
    Stepped {
        /// The game's number.
        game: u64,
        /// The state that was claimed.
        claimed: B256,
        /// The state that the step leads to.
        actual: B256,
    },
}

/// What events begin with: their signatures' hashes, by which a chain finds them.
pub mod topics {
    use alloy_primitives::B256;
    use alloy_sol_types::SolEvent;

    use crate::{Disputes, Market};

    /// Of [`JobEvent::Locked`](super::JobEvent::Locked); then the job, the requester, the provider.
    pub const LOCKED: B256 = Market::JobLocked::SIGNATURE_HASH;
    /// Of [`JobEvent::Slashed`](super::JobEvent::Slashed); then the job, the provider.
    pub const SLASHED: B256 = Market::JobSlashed::SIGNATURE_HASH;
    /// Of what ends a lock; then the job, the provider.
    pub const ENDINGS: [B256; 4] = [
        Market::JobPaid::SIGNATURE_HASH,
        SLASHED,
        Market::JobLapsed::SIGNATURE_HASH,
        Market::JobUnwound::SIGNATURE_HASH,
    ];
    /// Of [`JobEvent::ChunkRequested`](super::JobEvent::ChunkRequested); then the job.
    pub const CHUNK_REQUESTED: B256 = Market::ChunkRequested::SIGNATURE_HASH;
    /// Of [`JobEvent::ClaimOpened`](super::JobEvent::ClaimOpened); then the job.
    pub const CLAIM_OPENED: B256 = Disputes::ClaimOpened::SIGNATURE_HASH;
    /// Of [`JobEvent::Challenged`](super::JobEvent::Challenged); then the game, the job, the
    /// challenger.
    pub const CHALLENGED: B256 = Disputes::Committed::SIGNATURE_HASH;
    /// Of [`JobEvent::Revealed`](super::JobEvent::Revealed); then the job, the node.
    pub const REVEALED: B256 = Disputes::Revealed::SIGNATURE_HASH;
    /// Of [`JobEvent::Stepped`](super::JobEvent::Stepped); then the game.
    pub const STEPPED: B256 = Disputes::Stepped::SIGNATURE_HASH;
}

impl LoggedEvent {
    /// Reads a log of the market's contract or of the disputes'; `None` for what is about no job.
    /// Whether it is that contract's is for the caller to see.
    pub fn decode(log: &Log) -> Option<Self> {
        match Market::MarketEvents::decode_log(log) {
            Ok(event) => of_market(event.data),
            Err(_) => of_disputes(Disputes::DisputesEvents::decode_log(log).ok()?.data),
        }
    }
}

impl JobEvent {
    /// The contract's name for it.
    pub fn name(&self) -> &'static str {
        match self {
            JobEvent::Locked { .. } => name::<Market::JobLocked>(),
            JobEvent::Begun { .. } => name::<Market::JobBegun>(),
            JobEvent::Lapsed { .. } => name::<Market::JobLapsed>(),
            JobEvent::Claimed { .. } => name::<Market::JobClaimed>(),
            JobEvent::Paid { .. } => name::<Market::JobPaid>(),
            JobEvent::Slashed { .. } => name::<Market::JobSlashed>(),
            JobEvent::Unwound { .. } => name::<Market::JobUnwound>(),
            JobEvent::BountyForfeited { .. } => name::<Market::BountyForfeited>(),
            JobEvent::BountyPaid { .. } => name::<Market::BountyPaid>(),
            JobEvent::ChallengeCostsCredited { .. } => name::<Market::ChallengeCostsCredited>(),
            JobEvent::OutputMeasured { .. } => name::<Market::OutputMeasured>(),
            JobEvent::ChunkRequested { .. } => name::<Market::ChunkRequested>(),
            JobEvent::ChunkAnswered { .. } => name::<Market::ChunkAnswered>(),
            JobEvent::ChunkFeeReturned { .. } => name::<Market::ChunkFeeReturned>(),
            JobEvent::ClaimOpened { .. } => name::<Disputes::ClaimOpened>(),
            JobEvent::Challenged { .. } => name::<Disputes::Committed>(),
            JobEvent::GameEnded { .. } => name::<Disputes::GameEnded>(),
            JobEvent::Pointed { .. } => name::<Disputes::Pointed>(),
            JobEvent::Demanded { .. } => name::<Disputes::Demanded>(),
            JobEvent::Revealed { .. } => name::<Disputes::Revealed>(),
            JobEvent::Answered { .. } => name::<Disputes::Answered>(),
            JobEvent::TakenUp { .. } => name::<Disputes::TakenUp>(),
            JobEvent::Stepped { .. } => name::<Disputes::Stepped>(),
        }
    }

    /// Whether people are told of it: of a dispute, how it begins and ends; of a job, all.
    pub fn is_news(&self) -> bool {
        !matches!(
            self,
            JobEvent::ClaimOpened { .. }
                | JobEvent::Pointed { .. }
                | JobEvent::Demanded { .. }
                | JobEvent::Revealed { .. }
                | JobEvent::Answered { .. }
                | JobEvent::TakenUp { .. }
                | JobEvent::Stepped { .. }
                // The end that they belong to tells both.
                | JobEvent::BountyPaid { .. }
                | JobEvent::ChallengeCostsCredited { .. }
        )
    }

    /// How the run ended that it claims, if it is a claim.
    pub fn run_outcome(&self) -> Option<RunOutcome> {
        match self {
            JobEvent::Claimed { status, exit_code, .. } => {
                Some(RunOutcome::new(*status, *exit_code))
            }
            _ => None,
        }
    }

    /// Whose lock it ends, if it ends one.
    pub fn ends_lock_of(&self) -> Option<Address> {
        match self {
            JobEvent::Paid { provider, .. }
            | JobEvent::Slashed { provider, .. }
            | JobEvent::Lapsed { provider, .. }
            | JobEvent::Unwound { provider } => Some(*provider),
            _ => None,
        }
    }
}

fn of_market(event: Market::MarketEvents) -> Option<LoggedEvent> {
    use Market::MarketEvents as Event;
    let (job, event) = match event {
        Event::JobLocked(event) => (
            event.jobId,
            JobEvent::Locked {
                provider: event.provider,
                price: event.price.to(),
                stake: event.stake.to(),
                deadline: event.deadline.to(),
                late: event.late,
                order: Box::new(event.order),
            },
        ),
        Event::JobBegun(event) => (event.jobId, JobEvent::Begun { deadline: event.deadline.to() }),
        Event::JobClaimed(event) => (
            event.jobId,
            JobEvent::Claimed {
                provider: event.provider,
                final_state: event.finalState,
                output_root: event.outputRoot,
                trace_root: event.traceRoot,
                steps: event.steps,
                status: event.status,
                exit_code: event.exitCode,
            },
        ),
        Event::JobPaid(event) => (
            event.jobId,
            JobEvent::Paid {
                provider: event.provider,
                paid: event.paid.to(),
                refunded: event.refunded.to(),
                data_fee: event.dataFee.to(),
            },
        ),
        Event::JobSlashed(event) => (
            event.jobId,
            JobEvent::Slashed {
                provider: event.provider,
                status: JobStatus::try_from(event.status).ok()?,
                refunded: event.refunded.to(),
                compensation: event.compensation.to(),
                informer: event.informer,
                bounty: event.bounty.to(),
                cover: event.cover.to(),
            },
        ),
        Event::JobLapsed(event) => {
            let (provider, fee) = (event.provider, event.feeEach.to());
            (event.jobId, JobEvent::Lapsed { provider, fee })
        }
        Event::JobUnwound(event) => (event.jobId, JobEvent::Unwound { provider: event.provider }),
        Event::BountyForfeited(event) => {
            (event.jobId, JobEvent::BountyForfeited { bounty: event.bounty.to() })
        }
        Event::BountyPaid(event) => {
            let (informer, bounty) = (event.informer, event.bounty.to());
            (event.jobId, JobEvent::BountyPaid { informer, bounty })
        }
        Event::ChallengeCostsCredited(event) => {
            (event.jobId, JobEvent::ChallengeCostsCredited { costs: event.costs.to() })
        }
        Event::ChunkRequested(event) => (
            event.jobId,
            JobEvent::ChunkRequested {
                first: event.first,
                count: event.count,
                demander: event.demander,
                fee: event.feeEach.to(),
                answer_by: event.answerBy.to(),
            },
        ),
        Event::ChunkAnswered(event) => {
            (event.jobId, JobEvent::ChunkAnswered { chunk: event.chunk, data: event.data })
        }
        Event::OutputMeasured(event) => {
            (event.jobId, JobEvent::OutputMeasured { chunks: event.chunks })
        }
        Event::ChunkFeeReturned(event) => {
            let (chunk, demander, fee) = (event.chunk, event.demander, event.fee.to());
            (event.jobId, JobEvent::ChunkFeeReturned { chunk, demander, fee })
        }
        _ => return None,
    };
    Some(LoggedEvent { job: Some(job), event })
}

fn of_disputes(event: Disputes::DisputesEvents) -> Option<LoggedEvent> {
    use Disputes::DisputesEvents as Event;
    let (job, event) = match event {
        Event::ClaimOpened(event) => (
            Some(event.claimId),
            JobEvent::ClaimOpened {
                claimant: event.claimant,
                initial_state: event.initialState,
                trace_root: event.traceRoot,
                opens_until: event.opensUntil,
            },
        ),
        Event::Committed(event) => {
            let (challenger, game, commitment) = (event.challenger, event.id, event.commitment);
            (Some(event.claimId), JobEvent::Challenged { challenger, game, commitment })
        }
        Event::Pointed(event) => {
            let (game, level, position) = (event.id, event.level, event.position);
            let (start, leaf) = (event.start, event.leaf);
            (Some(event.claimId), JobEvent::Pointed { game, level, position, start, leaf })
        }
        Event::Demanded(event) => {
            let (game, level, depth) = (event.id, event.level, event.depth);
            let (index, node) = (event.index, event.node);
            (Some(event.claimId), JobEvent::Demanded { game, level, depth, index, node })
        }
        Event::Revealed(event) => {
            let (node, children) = (event.node, event.children);
            (Some(event.claimId), JobEvent::Revealed { node, children })
        }
        Event::Answered(event) => {
            let (level, position, root) = (event.level, event.position, event.root);
            (Some(event.claimId), JobEvent::Answered { level, position, root })
        }
        Event::Stepped(event) => {
            let (game, claimed, actual) = (event.id, event.claimed, event.actual);
            (None, JobEvent::Stepped { game, claimed, actual })
        }
        Event::GameEnded(event) => {
            let (game, outcome) = (event.id, GameStage::try_from(event.outcome).ok()?);
            let claim_false = outcome == GameStage::Won;
            (Some(event.claimId), JobEvent::GameEnded { game, claim_false, outcome })
        }
        Event::TakenUp(event) => {
            let (game, root_or_node) = (event.id, event.rootOrNode);
            (Some(event.claimId), JobEvent::TakenUp { game, root_or_node })
        }
        Event::Collected(_) | Event::CostsCollected(_) => return None,
    };
    Some(LoggedEvent { job, event })
}

/// An event's name in its signature.
fn name<E: SolEvent>() -> &'static str {
    E::SIGNATURE.split_once('(').map_or(E::SIGNATURE, |(name, _)| name)
}

/// What is told of an event that people are rarely told of.
#[derive(Serialize)]
struct Named {
    name: &'static str,
}

fn run_status<S: Serializer>(status: &u8, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(RunOutcome::new(*status, 0).name())
}

fn unwound<S: Serializer>(_: &Address, to: S) -> Result<S::Ok, S::Error> {
    Named { name: name::<Market::JobUnwound>() }.serialize(to)
}

fn bounty_forfeited<S: Serializer>(_: &u128, to: S) -> Result<S::Ok, S::Error> {
    Named { name: name::<Market::BountyForfeited>() }.serialize(to)
}

fn bounty_paid<S: Serializer>(_: &Address, _: &u128, to: S) -> Result<S::Ok, S::Error> {
    Named { name: name::<Market::BountyPaid>() }.serialize(to)
}

fn challenge_costs_credited<S: Serializer>(_: &u128, to: S) -> Result<S::Ok, S::Error> {
    Named { name: name::<Market::ChallengeCostsCredited>() }.serialize(to)
}

fn output_measured<S: Serializer>(_: &u32, to: S) -> Result<S::Ok, S::Error> {
    Named { name: name::<Market::OutputMeasured>() }.serialize(to)
}

fn chunk_requested<S: Serializer>(
    _: &u32,
    _: &u32,
    _: &Address,
    _: &u128,
    _: &u64,
    to: S,
) -> Result<S::Ok, S::Error> {
    Named { name: name::<Market::ChunkRequested>() }.serialize(to)
}

fn chunk_answered<S: Serializer>(_: &u32, _: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    Named { name: name::<Market::ChunkAnswered>() }.serialize(to)
}

fn chunk_fee_returned<S: Serializer>(
    _: &u32,
    _: &Address,
    _: &u128,
    to: S,
) -> Result<S::Ok, S::Error> {
    Named { name: name::<Market::ChunkFeeReturned>() }.serialize(to)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::aliases::{U40, U96};

    use super::*;

    fn decoded(event: &impl SolEvent) -> LoggedEvent {
        let log = Log { address: Address::ZERO, data: event.encode_log_data() };
        LoggedEvent::decode(&log).expect("an event of a job")
    }

    #[test]
    fn events_keep_the_json_that_scripts_read() {
        let (job, who) = (B256::repeat_byte(1), Address::repeat_byte(2));
        let address = "0x0202020202020202020202020202020202020202";
        let json = |event| {
            let LoggedEvent { job: about, event } = event;
            assert_eq!(about, Some(job), "the job is read from another topic");
            serde_json::to_string(&event).expect("JSON")
        };
        let claimed = Market::JobClaimed {
            jobId: job,
            provider: who,
            finalState: B256::ZERO,
            outputRoot: B256::ZERO,
            traceRoot: B256::ZERO,
            steps: 5,
            status: 1,
            exitCode: 3,
        };
        let root = B256::ZERO;
        assert_eq!(
            json(decoded(&claimed)),
            format!(
                r#"{{"event":"claimed","provider":"{address}","output_root":"{root}","steps":5,"status":"exited","exit_code":3}}"#
            )
        );
        let ended = Disputes::GameEnded { id: 7, claimId: job, outcome: 5 };
        assert_eq!(json(decoded(&ended)), r#"{"event":"game_ended","game":7,"claim_false":true}"#);
        let unwound = Market::JobUnwound { jobId: job, provider: who };
        assert_eq!(json(decoded(&unwound)), r#"{"event":"other","name":"JobUnwound"}"#);
        let requested = Market::ChunkRequested {
            jobId: job,
            first: 4,
            count: 2,
            demander: who,
            feeEach: U96::from(1),
            answerBy: U40::from(9),
        };
        let requested = decoded(&requested);
        assert_eq!(
            requested.event,
            JobEvent::ChunkRequested { first: 4, count: 2, demander: who, fee: 1, answer_by: 9 }
        );
        assert_eq!(json(requested), r#"{"event":"other","name":"ChunkRequested"}"#);
    }

    #[test]
    fn what_is_about_no_job_is_no_event_of_one() {
        let moved = Market::CoverMoved { to: Address::ZERO, amount: Default::default() };
        let log = Log { address: Address::ZERO, data: moved.encode_log_data() };
        assert_eq!(LoggedEvent::decode(&log), None);
        let strange = Market::JobSlashed {
            jobId: B256::ZERO,
            provider: Address::ZERO,
            informer: Address::ZERO,
            status: 99,
            refunded: U96::ZERO,
            compensation: U96::ZERO,
            bounty: U96::ZERO,
            cover: U96::ZERO,
        };
        let log = Log { address: Address::ZERO, data: strange.encode_log_data() };
        assert_eq!(LoggedEvent::decode(&log), None, "a status of another version");
    }
}
