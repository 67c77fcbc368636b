//! What a node needs from outside: time, pauses, randomness, tasks of its own, and the network.
//!
//! Roles are handed an [`Env`] and reach outside by nothing else, so a test or a simulator can hand
//! in a world of its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy_signer_local::PrivateKeySigner;
use assay_broker_client::{Access, BrokerClient, BrokerClientConfig};
use assay_chain::{ChainClientConfig, Client, Endpoint};
use assay_contracts::Deployment;
use assay_types::{Clock, sha256};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use getrandom::rand_core::{TryCryptoRng, TryRng, UnwrapErr};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::{Error, Result};

/// The outside: the real one, or one that a test or a simulator makes up.
pub trait World: Send + Sync + 'static {
    /// The time since 1970-01-01 UTC.
    fn unix_time(&self) -> Duration;

    /// The time since some moment, which never goes back.
    fn uptime(&self) -> Duration;

    /// Ends after a pause.
    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()>;

    /// Fills bytes that nobody can foresee.
    ///
    /// # Errors
    ///
    /// The system's, if it has none to give.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), getrandom::Error>;

    /// Begins a task beside the caller.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        tokio::spawn(task).abort_handle()
    }

    /// A client of a chain.
    fn chain(
        &self,
        endpoint: Endpoint,
        signer: Option<PrivateKeySigner>,
        config: ChainClientConfig,
    ) -> BoxFuture<'static, assay_chain::Result<Client>> {
        Box::pin(assay_chain::connect(endpoint, signer, config))
    }

    /// A client of a broker, which asks a clock when its requests expire.
    ///
    /// # Errors
    ///
    /// [`assay_broker_client::Error::Config`] for a URL that is none.
    fn broker(
        &self,
        url: &str,
        deployment: Deployment,
        access: Access,
        config: BrokerClientConfig,
        clock: Env,
    ) -> assay_broker_client::Result<BrokerClient> {
        BrokerClient::with_config(url, deployment, access, config, clock)
    }
}

/// A role's only way outside. Clones share it.
#[derive(Clone)]
pub struct Env(Arc<dyn World>);

impl Env {
    /// The real one: the machine's clocks and randomness, tokio's timers and tasks, HTTP.
    pub fn system() -> Self {
        Env::new(System { begun: Instant::now() })
    }

    /// Another one.
    pub fn new(world: impl World) -> Self {
        Env(Arc::new(world))
    }

    /// A world for tests, in which time passes only when it is told to, with randomness that
    /// follows from a seed.
    pub fn manual(unix_secs: u64, seed: u64) -> (Self, ManualTime) {
        let time = ManualTime(watch::Sender::new(Duration::from_secs(unix_secs)));
        (Env::new(Manual { time: time.clone(), seed, drawn: AtomicU64::new(0) }), time)
    }

    /// The time since 1970-01-01 UTC.
    pub fn unix_time(&self) -> Duration {
        self.0.unix_time()
    }

    /// The time since some moment, which never goes back.
    pub(crate) fn uptime(&self) -> Duration {
        self.0.uptime()
    }

    /// Ends after a pause.
    pub(crate) fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(pause)
    }

    /// What a future comes to within a pause; `None` if it takes longer.
    pub(crate) async fn within<T>(
        &self,
        pause: Duration,
        of: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            done = of => Some(done),
            () = self.sleep(pause) => None,
        }
    }

    /// Fills bytes that nobody can foresee.
    pub(crate) fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        self.0.fill(bytes).map_err(Error::Randomness)
    }

    /// Bytes that nobody can foresee.
    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The same for sealing. It fails only where the machine has no randomness, and then nothing
    /// can be sealed.
    pub(crate) fn rng(&self) -> UnwrapErr<EnvRng> {
        UnwrapErr(EnvRng(self.clone()))
    }

    /// Begins a task that nobody waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(Box::pin(task));
    }

    /// Tasks that are waited for together.
    pub(crate) fn tasks<T: Send + 'static>(&self) -> Tasks<T> {
        let (done_in, done) = mpsc::unbounded_channel();
        Tasks { env: self.clone(), next: 0, running: BTreeMap::new(), done_in: Some(done_in), done }
    }

    /// A client of a chain.
    pub(crate) async fn chain(
        &self,
        endpoint: Endpoint,
        signer: Option<PrivateKeySigner>,
        config: ChainClientConfig,
    ) -> Result<Client> {
        Ok(self.0.chain(endpoint, signer, config).await?)
    }

    /// A client of a broker.
    pub(crate) fn broker(
        &self,
        url: &str,
        deployment: &Deployment,
        access: impl Into<Access>,
        config: BrokerClientConfig,
    ) -> Result<BrokerClient> {
        Ok(self.0.broker(url, deployment.clone(), access.into(), config, self.clone())?)
    }
}

impl Clock for Env {
    fn unix_secs(&self) -> u64 {
        self.unix_time().as_secs()
    }
}

/// The machine's clock, in Unix seconds, for what is no role.
pub fn clock_secs() -> u64 {
    Env::system().unix_secs()
}

/// [`Env`]'s randomness, as sealing takes it.
pub(crate) struct EnvRng(Env);

impl TryRng for EnvRng {
    type Error = getrandom::Error;

    fn try_next_u32(&mut self) -> Result<u32, getrandom::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, getrandom::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        self.0.0.fill(bytes)
    }
}

impl TryCryptoRng for EnvRng {}

/// Tasks that are waited for together. Dropping it ends them at their next pause.
///
/// A panic in one goes on in whoever waits: it must not be hidden behind others that go on.
pub(crate) struct Tasks<T> {
    env: Env,
    next: u64,
    running: BTreeMap<u64, AbortHandle>,
    /// None while ending: then only the tasks still hold it.
    done_in: Option<mpsc::UnboundedSender<(u64, std::thread::Result<T>)>>,
    done: mpsc::UnboundedReceiver<(u64, std::thread::Result<T>)>,
}

impl<T: Send + 'static> Tasks<T> {
    /// Begins one.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = T> + Send + 'static) {
        let Some(done_in) = self.done_in.clone() else { return };
        let number = self.next;
        self.next += 1;
        let handle = self.env.0.spawn(Box::pin(async move {
            let done = AssertUnwindSafe(task).catch_unwind().await;
            let _ = done_in.send((number, done));
        }));
        self.running.insert(number, handle);
    }

    /// How many have not been waited for.
    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    /// The next that ends; never, while there are none.
    pub(crate) async fn next(&mut self) -> T {
        loop {
            if let Some(done) = self.done.recv().await {
                return self.take(done);
            }
            std::future::pending::<()>().await;
        }
    }

    /// One that has ended, if there is one.
    pub(crate) fn try_next(&mut self) -> Option<T> {
        let done = self.done.try_recv().ok()?;
        Some(self.take(done))
    }

    /// Waits for all.
    pub(crate) async fn join(mut self) {
        while self.len() > 0 {
            self.next().await;
        }
    }

    /// Ends all; they hold nothing any more when this returns.
    pub(crate) async fn shutdown(mut self) {
        self.running.values().for_each(AbortHandle::abort);
        drop(self.done_in.take());
        while self.done.recv().await.is_some() {}
    }

    fn take(&mut self, (number, done): (u64, std::thread::Result<T>)) -> T {
        self.running.remove(&number);
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl<T> Drop for Tasks<T> {
    fn drop(&mut self) {
        self.running.values().for_each(AbortHandle::abort);
    }
}

struct System {
    begun: Instant,
}

impl World for System {
    fn unix_time(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn uptime(&self) -> Duration {
        self.begun.elapsed()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(pause))
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        getrandom::fill(bytes)
    }
}

/// The time of [`Env::manual`]. Clones share it.
#[derive(Clone)]
pub struct ManualTime(watch::Sender<Duration>);

impl ManualTime {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|time| *time += by);
    }
}

struct Manual {
    time: ManualTime,
    seed: u64,
    drawn: AtomicU64,
}

impl World for Manual {
    fn unix_time(&self) -> Duration {
        *self.time.0.borrow()
    }

    fn uptime(&self) -> Duration {
        self.unix_time()
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        let (mut time, until) = (self.time.0.subscribe(), self.unix_time() + pause);
        Box::pin(async move {
            let passed = time.wait_for(|time| *time >= until).await.is_ok();
            // A time that can't pass any more.
            if !passed {
                std::future::pending::<()>().await;
            }
        })
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        for piece in bytes.chunks_mut(32) {
            let number = self.drawn.fetch_add(1, Ordering::Relaxed);
            let drawn = sha256(&[self.seed.to_le_bytes(), number.to_le_bytes()].concat());
            piece.copy_from_slice(&drawn.0[..piece.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_world_waits_for_nobody() {
        let (env, time) = Env::manual(1_000, 7);
        assert_eq!(env.unix_secs(), 1_000);
        let mut pause = env.sleep(Duration::from_secs(3_600));
        assert!((&mut pause).now_or_never().is_none());
        time.advance(Duration::from_secs(3_599));
        assert!((&mut pause).now_or_never().is_none(), "a second is left");
        time.advance(Duration::from_secs(1));
        pause.await;
        assert_eq!(env.unix_secs(), 4_600);
        let again = Env::manual(0, 7).0;
        assert_eq!(env.random::<40>().expect("drawn"), again.random::<40>().expect("drawn"));
        assert_ne!(env.random::<40>().expect("drawn"), [0; 40]);
    }

    #[tokio::test]
    async fn tasks_end_together_and_hold_nothing_afterwards() {
        let env = Env::system();
        let mut tasks = env.tasks();
        tasks.spawn(async { 1 });
        assert_eq!(tasks.next().await, 1);
        assert_eq!(tasks.len(), 0);
        let held = Arc::new(());
        let (holds, never) = (held.clone(), env.sleep(Duration::from_secs(3_600)));
        tasks.spawn(async move {
            never.await;
            drop(holds);
            2
        });
        assert_eq!(tasks.try_next(), None);
        tasks.shutdown().await;
        assert_eq!(Arc::strong_count(&held), 1, "a task that was ended holds what it had");
    }

    #[tokio::test]
    async fn a_panic_in_a_task_is_raised_in_whoever_waits() {
        let waiting = tokio::spawn(async {
            let mut tasks = Env::system().tasks::<()>();
            tasks.spawn(async { panic!("a bug") });
            tasks.next().await;
        });
        assert!(waiting.await.expect_err("the bug was swallowed").is_panic());
    }
}
