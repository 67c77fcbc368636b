//! What drives a role: it is called for a job whenever something may have happened to it, and looks
//! for itself what did.
//!
//! A role acts on what the chain and the board say now, never on what it remembers having done: a
//! crash, a missed event or a reorganisation costs one more look and nothing else.

pub(crate) mod sweep;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use alloy_rpc_types_eth::Filter;
use assay_contracts::events::topics;
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

/// How many jobs of its own a role attends to at once, and how many of others beside them.
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

impl Next {
    /// The one of two that is due first, as far as they can be compared: pauses are short.
    pub(crate) fn sooner(self, other: Next) -> Next {
        match (self, other) {
            (Next::After(a), Next::After(b)) => Next::After(a.min(b)),
            (after @ Next::After(_), _) | (_, after @ Next::After(_)) => after,
            (Next::At(a), Next::At(b)) => Next::At(a.min(b)),
            (at @ Next::At(_), _) | (_, at @ Next::At(_)) => at,
            (Next::Event, _) | (_, Next::Event) => Next::Event,
            (Next::Done, Next::Done) => Next::Done,
        }
    }
}

/// One who acts on jobs.
pub(crate) trait Role: Send + Sync + 'static {
    /// Its name in the log.
    const NAME: &'static str;

    /// Whether it looks at every job that was ever locked, and not only at those on its board.
    const SEES_LOCKS: bool = false;

    /// Does for a job what there is to do now.
    fn attend(&self, id: B256) -> impl Future<Output = Result<Next>> + Send;

    /// Whether a job is the role's own to finish. Such come before what strangers have posted,
    /// however much that is.
    fn is_own(&self, _: B256) -> bool {
        false
    }

    /// Jobs to look at again for a reason of the role's own. Asked whenever anything has happened.
    fn woken(&self) -> Vec<B256> {
        Vec::new()
    }
}

/// What is known of a job between two calls.
#[derive(Default)]
struct Open {
    /// It waits in a queue of those to be attended to.
    is_ready: bool,
    /// It waits among the role's own.
    is_first: bool,
    in_flight: bool,
    /// It is among the others in flight.
    is_other: bool,
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
    /// The role's own that are ready, and the others.
    ready: [VecDeque<B256>; 2],
    /// How many of the others are in flight.
    others: usize,
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
            ready: Default::default(),
            others: 0,
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
            if R::SEES_LOCKS {
                for id in self.contracts.locks().await? {
                    self.jobs.entry(id).or_default();
                    self.mark(id);
                }
            }
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
                if let [topics::LOCKED, id, ..] = log.topics()
                    && R::SEES_LOCKS
                {
                    self.jobs.entry(*id).or_default();
                }
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
        let header = self.contracts.client().header(number.into()).await?;
        Ok(header.is_none_or(|header| header.hash != hash))
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
        let is_own = self.role.is_own(id);
        if job.in_flight {
            job.again = true;
        } else if !std::mem::replace(&mut job.is_ready, true) || is_own && !job.is_first {
            // One that waits among the others may have become an own one.
            job.is_first = is_own;
            self.ready[usize::from(!is_own)].push_back(id);
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
        while let Some(id) = self.next_ready() {
            let Some(job) = self.jobs.get_mut(&id).filter(|job| job.is_ready) else { continue };
            job.is_other = !job.is_first;
            self.others += usize::from(job.is_other);
            (job.is_ready, job.is_first, job.in_flight) = (false, false, true);
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

    /// The next that may be attended to: an own one if there is any.
    fn next_ready(&mut self) -> Option<B256> {
        let [own, others] = &mut self.ready;
        if self.tasks.len().saturating_sub(self.others) < AT_ONCE
            && let Some(id) = own.pop_front()
        {
            return Some(id);
        }
        (self.others < AT_ONCE).then(|| others.pop_front()).flatten()
    }

    fn take(&mut self, id: B256, next: Result<Next>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.in_flight = false;
        self.others -= usize::from(std::mem::take(&mut job.is_other));
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use assay_chain::{ChainClientConfig, Endpoint};

    use super::*;
    use crate::board::Store;
    use crate::{Home, LocalChain};

    /// Whose calls never end: a broker that is slow, inputs that are large.
    #[derive(Default)]
    struct Flooded(Mutex<Vec<B256>>);

    impl Role for Flooded {
        const NAME: &'static str = "flooded";

        async fn attend(&self, id: B256) -> Result<Next> {
            self.0.lock().expect("no panic").push(id);
            std::future::pending().await
        }

        fn is_own(&self, id: B256) -> bool {
            id[0] == 1
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_ones_own_waits_for_no_stranger() {
        let folder = tempfile::tempdir().expect("a folder");
        let local = LocalChain::open(&Home::at(folder.path())).await.expect("a chain");
        let endpoint = Endpoint::Embedded(local.chain().clone());
        let key = local.key(crate::Role::Auditor);
        let config = ChainClientConfig::default();
        let contracts =
            Contracts::connect(&Env::system(), endpoint, key, local.deployment(), config).await;
        let store = Store::open(&folder.path().join("board")).expect("a store");
        let board = Board::of_store(store, local.deployment());
        let role = Arc::new(Flooded::default());
        let mut scheduler = Scheduler::new(Arc::clone(&role), board, contracts.expect("connected"));
        let stranger = |number: u64| B256::left_padding_from(&number.to_be_bytes());
        for number in 0..10_000 {
            scheduler.jobs.insert(stranger(number), Open::default());
            scheduler.mark(stranger(number));
        }
        let own = B256::repeat_byte(1);
        for round in 0..3 {
            scheduler.start_ready();
            assert_eq!(scheduler.tasks.len(), AT_ONCE + usize::from(round > 0), "a bound");
            scheduler.jobs.entry(own).or_default();
            scheduler.mark(own);
        }
        let attended = async {
            while !role.0.lock().expect("no panic").contains(&own) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), attended).await.expect("attended to");
        scheduler.tasks.shutdown().await;
    }
}
