//! What drives a role: it is called for a job whenever something may have happened to it, and looks
//! for itself what did.
//!
//! A role acts on what the chain and the board say now, never on what it remembers having done: a
//! crash, a missed event or a reorganisation costs one more look and nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use alloy_provider::Provider;
use alloy_rpc_types_eth::Filter;
use tokio::sync::watch;

use crate::Result;
use crate::base::env::{Env, Tasks};
use crate::board::Board;
use crate::chain::contracts::Contracts;

/// How often a chain that can't call is asked.
const POLL: Duration = Duration::from_millis(500);

/// How often every open job is looked at though nothing was heard of it.
const SWEEP: Duration = Duration::from_secs(60);

/// The first pause after a failure; it doubles up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_millis(250);

/// The longest pause after a failure.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How many jobs a role attends to at once.
const AT_ONCE: usize = 64;

/// When to call again for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Never.
    Done,
    /// When something happens to it.
    Event,
    /// Then too, but at this time of the chain at the latest, in Unix seconds.
    At(u64),
    /// Then too, but after this pause at the latest.
    After(Duration),
}

/// One who acts on jobs.
pub(crate) trait Role: Send + Sync + 'static {
    /// Its name in the log.
    const NAME: &'static str;

    /// Does for a job what there is to do now.
    fn attend(&self, id: B256) -> impl Future<Output = Result<Next>> + Send;

    /// Jobs to look at again for a reason of the role's own. Asked whenever anything has happened.
    fn woken(&self) -> Vec<B256> {
        Vec::new()
    }
}

/// What is known of a job between two calls.
#[derive(Default)]
struct Open {
    /// It waits in the queue of those to be attended to.
    is_ready: bool,
    in_flight: bool,
    /// Something happened while it was in flight.
    again: bool,
    failures: u32,
    /// When its pause ends, by [`Env::uptime`].
    due: Option<Duration>,
    due_chain: Option<u64>,
}

/// A role at work.
pub(crate) struct Scheduler<R> {
    env: Env,
    role: Arc<R>,
    board: Board,
    contracts: Contracts,
    jobs: BTreeMap<B256, Open>,
    ready: VecDeque<B256>,
    timers: BTreeSet<(Duration, B256)>,
    chain_timers: BTreeSet<(u64, B256)>,
    tasks: Tasks<(B256, Result<Next>)>,
    /// The last order that the board has shown.
    after: u64,
    /// The last block that was read.
    block: Option<(u64, B256)>,
    /// When all were looked at last, by [`Env::uptime`].
    swept: Duration,
}

impl<R: Role> Scheduler<R> {
    /// A role that has yet to look at anything.
    pub(crate) fn new(role: Arc<R>, board: Board, contracts: Contracts) -> Self {
        let env = contracts.env().clone();
        Scheduler {
            role,
            board,
            contracts,
            jobs: BTreeMap::new(),
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            chain_timers: BTreeSet::new(),
            tasks: env.tasks(),
            after: 0,
            block: None,
            swept: env.uptime(),
            env,
        }
    }

    /// Works until told to stop; calls in flight are then dropped, which is as safe as a crash, and
    /// hold nothing when this returns.
    pub(crate) async fn run(mut self, stop: watch::Receiver<bool>) {
        let board = self.board.clone();
        let env = self.env.clone();
        tokio::join!(self.work(stop.clone()), board.follow(&env, stop));
        self.tasks.shutdown().await;
    }

    async fn work(&mut self, mut stop: watch::Receiver<bool>) {
        let mut heads = self.contracts.client().heads();
        let mut orders = self.board.newest();
        loop {
            if *stop.borrow() {
                return;
            }
            for seen in [self.see_blocks().await, self.see_orders()] {
                if let Err(error) = seen {
                    tracing::warn!(role = R::NAME, %error, "could not look for news");
                }
            }
            self.wake_due();
            self.start_ready();
            let pause = self.pause();
            tokio::select! {
                _ = stop.changed() => return,
                (id, next) = self.tasks.next() => self.take(id, next),
                () = changed(&mut heads) => {}
                () = changed(&mut orders) => {}
                () = self.env.sleep(pause) => {}
            }
            while let Some((id, next)) = self.tasks.try_next() {
                self.take(id, next);
            }
        }
    }

    /// Marks the jobs that new blocks speak of; all, if blocks that were read have gone.
    async fn see_blocks(&mut self) -> Result<()> {
        let head = self.contracts.head().await?;
        let Some(last) = self.block else {
            self.block = Some(head);
            return Ok(());
        };
        if head == last {
            return Ok(());
        }
        if self.is_gone(last).await? {
            self.mark_all();
        } else {
            let deployment = &self.contracts.deployment;
            let filter = Filter::new()
                .address(vec![deployment.market, deployment.disputes])
                .from_block(last.0 + 1)
                .to_block(head.0);
            for log in self.contracts.client().logs(&filter).await? {
                for topic in log.topics().iter().skip(1).take(2) {
                    self.mark(*topic);
                }
            }
        }
        self.block = Some(head);
        Ok(())
    }

    async fn is_gone(&self, (number, hash): (u64, B256)) -> Result<bool> {
        // An embedded chain never takes a block back.
        if self.contracts.client().heads().is_some() {
            return Ok(false);
        }
        let block = self.contracts.client().provider().get_block_by_number(number.into()).await;
        let block = block.map_err(assay_chain::Error::from)?;
        Ok(block.is_none_or(|block| block.header.hash != hash))
    }

    fn see_orders(&mut self) -> Result<()> {
        loop {
            let page = self.board.orders(self.after)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            self.after = *last;
            for (_, id) in page {
                self.jobs.entry(id).or_default();
                self.mark(id);
            }
        }
    }

    fn mark_all(&mut self) {
        let ids: Vec<_> = self.jobs.keys().copied().collect();
        ids.into_iter().for_each(|id| self.mark(id));
    }

    /// Has a job looked at soon, if it is an open one.
    fn mark(&mut self, id: B256) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.in_flight {
            job.again = true;
        } else if !std::mem::replace(&mut job.is_ready, true) {
            self.ready.push_back(id);
        }
    }

    fn wake_due(&mut self) {
        self.role.woken().into_iter().for_each(|id| self.mark(id));
        let now = self.env.uptime();
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, id));
            self.mark(id);
        }
        let now = self.contracts.now();
        while let Some((at, id)) = self.chain_timers.first().copied().filter(|(at, _)| *at <= now) {
            self.chain_timers.remove(&(at, id));
            self.mark(id);
        }
        let now = self.env.uptime();
        if now.saturating_sub(self.swept) >= SWEEP {
            self.swept = now;
            self.mark_all();
        }
    }

    fn start_ready(&mut self) {
        while self.tasks.len() < AT_ONCE {
            let Some(id) = self.ready.pop_front() else { return };
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            (job.is_ready, job.in_flight) = (false, true);
            if let Some(at) = job.due.take() {
                self.timers.remove(&(at, id));
            }
            if let Some(at) = job.due_chain.take() {
                self.chain_timers.remove(&(at, id));
            }
            let role = Arc::clone(&self.role);
            self.tasks.spawn(async move { (id, role.attend(id).await) });
        }
    }

    fn take(&mut self, id: B256, next: Result<Next>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.in_flight = false;
        let again = std::mem::take(&mut job.again);
        match next {
            Ok(next) => {
                job.failures = 0;
                match next {
                    Next::Done => {
                        self.jobs.remove(&id);
                        return;
                    }
                    Next::Event => {}
                    Next::At(time) => {
                        job.due_chain = Some(time);
                        self.chain_timers.insert((time, id));
                    }
                    Next::After(pause) => self.set_timer(id, pause),
                }
            }
            Err(error) => {
                job.failures += 1;
                let pause = RETRY.saturating_mul(1 << job.failures.min(8)).min(RETRY_MAX);
                tracing::warn!(role = R::NAME, %id, %error, "a call failed and will be repeated");
                self.set_timer(id, pause);
            }
        }
        if again {
            self.mark(id);
        }
    }

    fn set_timer(&mut self, id: B256, pause: Duration) {
        let at = self.env.uptime() + pause;
        if let Some(job) = self.jobs.get_mut(&id) {
            job.due = Some(at);
            self.timers.insert((at, id));
        }
    }

    /// How long nothing is due.
    fn pause(&self) -> Duration {
        let now = self.env.uptime();
        let timer = self.timers.first().map(|(at, _)| at.saturating_sub(now));
        let chain = self.chain_timers.first().map(|(at, _)| self.contracts.until(*at));
        [timer, chain].into_iter().flatten().fold(POLL, Duration::min)
    }
}

/// The next change; never, where nothing tells.
async fn changed<T>(of: &mut Option<watch::Receiver<T>>) {
    let gone = match of {
        Some(receiver) => receiver.changed().await.is_err(),
        None => std::future::pending().await,
    };
    if gone {
        *of = None;
    }
}
