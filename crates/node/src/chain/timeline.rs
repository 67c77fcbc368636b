//! What has become of a job, as the chain tells it to everyone alike: what statements and receipts
//! are made of.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::{Filter, Log};
use assay_contracts::events::topics;
use assay_contracts::{JobEvent, LoggedEvent, Market};
use assay_receipt::{Claimed, Judgement, Locked, Move, Moved, Ordered, Statement, Verdict};

use crate::Result;
use crate::base::ids::market_id;
use crate::chain::block::block;
use crate::chain::contracts::Contracts;
use crate::chain::events::logged;

/// What has become of a job, up to the last block.
pub(crate) struct Timeline {
    pub(crate) ordered: Ordered,
    /// The last lock: of two, the late one, which the claim is of.
    pub(crate) locked: Option<Locked>,
    pub(crate) claimed: Option<Claimed>,
    /// The claim's event.
    pub(crate) claim: Option<Log>,
    /// The last event that ended a lock of the job.
    pub(crate) ending: Option<(JobEvent, Log)>,
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
        let job = contracts.job(id).await?;
        let filter = filter.from_block(deployment.from_block.max(job.lock_block));
        let found = logged(contracts, filter).await?;
        let market = market_id(deployment);
        let ordered = Ordered::of(market, id, order);
        let (locked, claimed, claim, ending) = (None, None, None, None);
        let mut timeline = Timeline { ordered, locked, claimed, claim, ending, moves: Vec::new() };
        for (found, log) in found {
            timeline.take(found.event, log);
        }
        if let Some(claimed) = &timeline.claimed {
            let found = dispute_events(contracts, id, claimed.block.number).await?;
            timeline.moves = moves(claimed, found);
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

    fn take(&mut self, event: JobEvent, log: Log) {
        let job = self.ordered.job;
        let block = block(&log);
        match event {
            JobEvent::Locked { provider, price, deadline, late, .. } => {
                self.locked = Some(Locked {
                    job,
                    after: vec![Statement::Ordered(self.ordered.clone()).digest()],
                    provider,
                    price: price.to_string(),
                    deadline,
                    late,
                    block,
                });
            }
            JobEvent::Claimed {
                provider,
                final_state,
                output_root,
                trace_root,
                steps,
                status,
                exit_code,
            } => {
                let lock = self.locked.clone().map(|locked| Statement::Locked(locked).digest());
                self.claimed = Some(Claimed {
                    job,
                    after: lock.into_iter().collect(),
                    provider,
                    final_state,
                    trace_root,
                    output_root,
                    steps,
                    status,
                    exit_code,
                    block,
                });
                self.claim = Some(log);
            }
            event if event.ends_lock_of().is_some() => self.ending = Some((event, log)),
            _ => {}
        }
    }
}

/// The events of the games about a claim, in the chain's order.
async fn dispute_events(
    contracts: &Contracts,
    id: B256,
    from_block: u64,
) -> Result<Vec<(LoggedEvent, Log)>> {
    let at = Filter::new().address(contracts.deployment.disputes).from_block(from_block);
    // The claim's id stands first in what is for all games, second in what is one game's.
    let mut found = logged(contracts, at.clone().topic2(id)).await?;
    let games: Vec<B256> = found.iter().filter_map(|(found, _)| game(&found.event)).collect();
    if games.is_empty() {
        return Ok(Vec::new());
    }
    found.extend(logged(contracts, at.clone().topic1(id)).await?);
    let stepped = at.event_signature(topics::STEPPED).topic1(games);
    found.extend(logged(contracts, stepped).await?);
    found.sort_by_key(|(_, log)| (log.block_number, log.log_index));
    Ok(found)
}

/// The game that a challenge opens, as events name it.
fn game(event: &JobEvent) -> Option<B256> {
    match event {
        JobEvent::Challenged { game, .. } => Some(U256::from(*game).into()),
        _ => None,
    }
}

/// Moves by whose they are, each linked to the one before: everyone who reads the chain comes to
/// the same.
fn moves(claimed: &Claimed, found: Vec<(LoggedEvent, Log)>) -> Vec<Moved> {
    let claim = Statement::Claimed(claimed.clone()).digest();
    let mut challengers: BTreeMap<u64, Address> = BTreeMap::new();
    let mut last = claim;
    let mut moves = Vec::new();
    for (LoggedEvent { event, .. }, log) in found {
        if let JobEvent::Challenged { game, challenger, .. } = event {
            challengers.insert(game, challenger);
        }
        let Some((game, made)) = made(event) else { continue };
        let account = match game {
            None => Some(claimed.provider),
            Some(game) => challengers.get(&game).copied(),
        };
        let Some(account) = account else { continue };
        let mut after = vec![last];
        if matches!(made, Move::Commit { .. }) {
            after.push(Statement::Judged(disagreement(claimed, account)).digest());
        }
        let moved = Moved { job: claimed.job, after, account, made, block: block(&log) };
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
fn made(event: JobEvent) -> Option<(Option<u64>, Move)> {
    Some(match event {
        JobEvent::Challenged { game, commitment, .. } => {
            (Some(game), Move::Commit { game, commitment })
        }
        JobEvent::Pointed { game, level, position, start, leaf } => {
            (Some(game), Move::Point { game, level, position, start, leaf })
        }
        JobEvent::Demanded { game, level, depth, index, node } => {
            (Some(game), Move::Demand { game, level, depth, index, node })
        }
        JobEvent::Revealed { node, .. } => (None, Move::Reveal { node }),
        JobEvent::Answered { level, position, root } => {
            (None, Move::Answer { level, position, root })
        }
        JobEvent::Stepped { game, claimed, actual } => {
            (Some(game), Move::Step { game, claimed, actual })
        }
        JobEvent::GameEnded { game, outcome, .. } => {
            (Some(game), Move::End { game, outcome: outcome as u8 })
        }
        _ => return None,
    })
}
