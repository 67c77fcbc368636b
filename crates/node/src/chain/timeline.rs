//! What has become of a job, as the chain tells it to everyone alike: what statements and receipts
//! are made of.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::{SolEvent, SolEventInterface};
use assay_contracts::{Disputes, Market};
use assay_receipt::{Claimed, Judgement, Locked, Move, Moved, Ordered, Statement, Verdict};

use crate::Result;
use crate::base::ids::market_id;
use crate::chain::block::block;
use crate::chain::contracts::{Contracts, chain};

/// What has become of a job, up to the last block.
pub(crate) struct Timeline {
    pub(crate) ordered: Ordered,
    /// The last lock: of two, the late one, which the claim is of.
    pub(crate) locked: Option<Locked>,
    pub(crate) claimed: Option<Claimed>,
    /// The claim's event.
    pub(crate) claim: Option<Log>,
    /// The last event that ended the job, with its name.
    pub(crate) ending: Option<(&'static str, Log)>,
    /// The moves in disputes about the claim, in order.
    pub(crate) moves: Vec<Moved>,
}

impl Timeline {
    /// Reads the events of a job, from its last lock on.
    pub(crate) async fn read(
        contracts: &Contracts,
        id: B256,
        order: &Market::Order,
    ) -> Result<Self> {
        let deployment = &contracts.deployment;
        let filter = Filter::new().address(deployment.market).topic1(id);
        let job = contracts.market.jobOf(id).call().await.map_err(chain)?;
        let filter = filter.from_block(deployment.from_block.max(job.lockBlock.to()));
        let logs = contracts.client().provider().get_logs(&filter).await;
        let market = market_id(deployment);
        let ordered = Ordered::of(market, id, order);
        let (locked, claimed, claim, ending) = (None, None, None, None);
        let mut timeline = Timeline { ordered, locked, claimed, claim, ending, moves: Vec::new() };
        for log in logs.map_err(assay_chain::Error::from)? {
            timeline.take(log);
        }
        if let Some(claimed) = &timeline.claimed {
            let logs = dispute_events(contracts, id, claimed.block.number).await?;
            timeline.moves = moves(claimed, &logs);
        }
        Ok(timeline)
    }

    /// What a settlement's statement follows: what the claim's end hangs on.
    pub(crate) fn before_settlement(&self) -> Vec<assay_types::Hash> {
        let last = match &self.claimed {
            Some(claimed) => Statement::Claimed(claimed.clone()),
            None => Statement::Ordered(self.ordered.clone()),
        };
        let moved = self.moves.last().cloned().map(Statement::Moved);
        [Some(last), moved].iter().flatten().map(Statement::digest).collect()
    }

    fn take(&mut self, log: Log) {
        use Market::MarketEvents as Event;
        let job = self.ordered.job;
        let block = block(&log);
        let Ok(event) = Market::MarketEvents::decode_log(&log.inner) else { return };
        match event.data {
            Event::JobLocked(event) => {
                self.locked = Some(Locked {
                    job,
                    after: vec![Statement::Ordered(self.ordered.clone()).digest()],
                    provider: event.provider,
                    price: event.price.to_string(),
                    deadline: event.deadline.to(),
                    late: event.late,
                    block,
                });
            }
            Event::JobClaimed(event) => {
                let lock = self.locked.clone().map(|locked| Statement::Locked(locked).digest());
                self.claimed = Some(Claimed {
                    job,
                    after: lock.into_iter().collect(),
                    provider: event.provider,
                    final_state: event.finalState,
                    trace_root: event.traceRoot,
                    output_root: event.outputRoot,
                    steps: event.steps,
                    status: event.status,
                    exit_code: event.exitCode,
                    block,
                });
                self.claim = Some(log);
            }
            Event::JobPaid(_) => self.ending = Some(("JobPaid", log)),
            Event::JobSlashed(_) => self.ending = Some(("JobSlashed", log)),
            Event::JobLapsed(_) => self.ending = Some(("JobLapsed", log)),
            Event::JobUnwound(_) => self.ending = Some(("JobUnwound", log)),
            _ => {}
        }
    }
}

/// The events of the games about a claim, in the chain's order.
async fn dispute_events(contracts: &Contracts, id: B256, from_block: u64) -> Result<Vec<Log>> {
    let at = Filter::new().address(contracts.deployment.disputes).from_block(from_block);
    let find = async |filter: Filter| {
        let found = contracts.client().provider().get_logs(&filter).await;
        Ok::<_, crate::Error>(found.map_err(assay_chain::Error::from)?)
    };
    // The claim's id stands first in what is for all games, second in what is one game's.
    let mut logs = find(at.clone().topic2(id)).await?;
    if logs.is_empty() {
        return Ok(logs);
    }
    let games: Vec<B256> = logs.iter().filter_map(game).map(|id| U256::from(id).into()).collect();
    logs.extend(find(at.clone().topic1(id)).await?);
    let stepped = at.event_signature(Disputes::Stepped::SIGNATURE_HASH).topic1(games);
    logs.extend(find(stepped).await?);
    logs.sort_by_key(|log| (log.block_number, log.log_index));
    Ok(logs)
}

/// The game that a commitment opens.
fn game(log: &Log) -> Option<u64> {
    Some(Disputes::Committed::decode_log(&log.inner).ok()?.id)
}

/// Moves by whose they are, each linked to the one before: everyone who reads the chain comes to
/// the same.
fn moves(claimed: &Claimed, logs: &[Log]) -> Vec<Moved> {
    let claim = Statement::Claimed(claimed.clone()).digest();
    let mut challengers: BTreeMap<u64, Address> = BTreeMap::new();
    let mut last = claim;
    let mut moves = Vec::new();
    for log in logs {
        let Ok(event) = Disputes::DisputesEvents::decode_log(&log.inner) else { continue };
        if let Disputes::DisputesEvents::Committed(event) = &event.data {
            challengers.insert(event.id, event.challenger);
        }
        let Some((game, made)) = made(event.data) else { continue };
        let account = match game {
            None => Some(claimed.provider),
            Some(game) => challengers.get(&game).copied(),
        };
        let Some(account) = account else { continue };
        let mut after = vec![last];
        if matches!(made, Move::Commit { .. }) {
            after.push(Statement::Judged(disagreement(claimed, account)).digest());
        }
        let moved = Moved { job: claimed.job, after, account, made, block: block(log) };
        last = Statement::Moved(moved.clone()).digest();
        moves.push(moved);
    }
    moves
}

/// What an auditor says of a claim that it found false.
pub(crate) fn disagreement(claimed: &Claimed, auditor: Address) -> Verdict {
    Verdict {
        job: claimed.job,
        after: vec![Statement::Claimed(claimed.clone()).digest()],
        auditor,
        trace_root: claimed.trace_root,
        verdict: Judgement::Disagrees,
    }
}

/// A move, and the game that it is in if it is the challenger's.
fn made(event: Disputes::DisputesEvents) -> Option<(Option<u64>, Move)> {
    use Disputes::DisputesEvents as Event;
    Some(match event {
        Event::Committed(event) => {
            let (game, commitment) = (event.id, event.commitment);
            (Some(game), Move::Commit { game, commitment })
        }
        Event::Pointed(event) => {
            let (game, level, position) = (event.id, event.level, event.position);
            let (start, leaf) = (event.start, event.leaf);
            (Some(game), Move::Point { game, level, position, start, leaf })
        }
        Event::Demanded(event) => {
            let (game, level, depth) = (event.id, event.level, event.depth);
            let (index, node) = (event.index, event.node);
            (Some(game), Move::Demand { game, level, depth, index, node })
        }
        Event::Revealed(event) => (None, Move::Reveal { node: event.node }),
        Event::Answered(event) => {
            let (level, position, root) = (event.level, event.position, event.root);
            (None, Move::Answer { level, position, root })
        }
        Event::Stepped(event) => {
            let (game, claimed, actual) = (event.id, event.claimed, event.actual);
            (Some(game), Move::Step { game, claimed, actual })
        }
        Event::GameEnded(event) => {
            let (game, outcome) = (event.id, event.outcome);
            (Some(game), Move::End { game, outcome })
        }
        _ => return None,
    })
}
