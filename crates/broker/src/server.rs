//! Serving a router over HTTP/1.1, within bounds on what a peer may hold.
//!
//! No TLS: the broker stands on loopback, or behind a proxy that has a certificate.

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tower::Service;

use crate::connection::{Peer, Stopping};
use crate::error::{Error, Result};

/// What a request's head may take, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// The pause after the system gave no connection: out of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where and how to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The address to listen on; with port 0 the system chooses one.
    pub address: SocketAddr,
    /// Connections at once; further ones wait.
    pub connections_max: usize,
    /// Connections from one peer at once; further ones are closed.
    pub connections_per_peer_max: usize,
    /// How long the headers of a request may take, and how long a connection may be idle.
    pub head_timeout: Duration,
    /// How long a peer may read nothing of its answer, or fall behind
    /// [`ServerConfig::read_bytes_per_sec_min`] by.
    pub write_timeout: Duration,
    /// The slowest that a peer may read in the long run, in bytes a second: who takes a byte now
    /// and then holds a place as surely as who takes none.
    pub read_bytes_per_sec_min: u64,
    /// Proxies that are believed about whom they forward for (`X-Forwarded-For`), by address. They
    /// may have any number of connections.
    pub proxies: Vec<IpAddr>,
    /// The names in `Host`, besides this machine's own, that requests are served under; `None` for
    /// any. A page in a browser can reach what listens on loopback, but only under its own name.
    pub hosts: Option<Vec<String>>,
    /// How long requests under way may still take when the server stops.
    pub stop_timeout: Duration,
}

impl ServerConfig {
    /// The same, for requests under this machine's own names and these.
    #[must_use]
    pub fn for_hosts(self, hosts: Vec<String>) -> Self {
        ServerConfig { hosts: Some(hosts), ..self }
    }

    /// For whom a request is: who is connected, or whom a trusted proxy forwards for.
    fn origin(&self, address: IpAddr, headers: &HeaderMap) -> IpAddr {
        let is_proxy = |address: &IpAddr| self.proxies.contains(&address.to_canonical());
        if !is_proxy(&address) {
            return address;
        }
        // Each proxy adds to the end, so the last that is no proxy's is the first to be believed.
        let lines = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok());
        let named: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
        let mut origin = address;
        for name in named.iter().rev() {
            let Ok(named) = name.parse::<IpAddr>() else { break };
            origin = named;
            if !is_proxy(&named) {
                break;
            }
        }
        origin
    }

    /// Whether a request's `Host` is one of this server's names.
    fn is_named(&self, headers: &HeaderMap) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        let Some(host) = headers.get(header::HOST) else { return false };
        let Ok(authority) = host.to_str().unwrap_or_default().parse::<Authority>() else {
            return false;
        };
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        let is_own = name.parse::<IpAddr>().map_or_else(
            |_| name.eq_ignore_ascii_case("localhost"),
            |address| address.is_loopback() || address == self.address.ip(),
        );
        is_own || hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Where a proxy says for whom it asks.
const FORWARDED_FOR: &str = "x-forwarded-for";

impl From<SocketAddr> for ServerConfig {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            connections_max: 1024,
            connections_per_peer_max: 256,
            head_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            read_bytes_per_sec_min: 16 << 10,
            proxies: Vec::new(),
            hosts: None,
            stop_timeout: Duration::from_secs(5),
        }
    }
}

/// A running server. Dropping it stops it at once.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Serves a router at an address.
///
/// # Errors
///
/// [`Error::Io`] if the address can't be bound.
pub async fn serve(config: impl Into<ServerConfig>, router: Router) -> Result<Server> {
    let config = config.into();
    let failed = |source| Error::Io { what: format!("binding {}", config.address), source };
    let listener = TcpListener::bind(config.address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (stop, stopping) = watch::channel(false);
    let task = tokio::spawn(accept(listener, router, config, stopping));
    Ok(Server { address, stop, task })
}

impl Server {
    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops: accepts no more, ends event streams, and waits for the requests under way.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    config: ServerConfig,
    stopping: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(config.connections_max));
    let peers = Peers::default();
    let stop_timeout = config.stop_timeout;
    let config = Arc::new(config);
    // Dropped with this task, which ends all of them.
    let mut connections = JoinSet::new();
    let mut stop = stopping.clone();
    loop {
        let next = async {
            // Who comes when all places are taken waits in the system's queue.
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let (address, peer) = (address.ip(), Peer::new(address.ip()));
                let most = match config.proxies.contains(&address.to_canonical()) {
                    true => usize::MAX,
                    false => config.connections_per_peer_max,
                };
                let Some(visit) = peers.enter(peer, most) else {
                    continue;
                };
                let served =
                    serve_one(stream, address, router.clone(), config.clone(), stopping.clone());
                connections.spawn(async move {
                    served.await;
                    drop((place, visit));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let _ = timeout(stop_timeout, async { while connections.join_next().await.is_some() {} }).await;
}

async fn serve_one(
    stream: TcpStream,
    address: IpAddr,
    router: Router,
    config: Arc<ServerConfig>,
    stopping: watch::Receiver<bool>,
) {
    // Answers are small and complete: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let mut stop = stopping.clone();
    let stopping = Stopping(stopping);
    let patience = Patience::new(config.write_timeout, config.read_bytes_per_sec_min);
    let (io, head_timeout) = (TokioIo::new(Impatient::new(stream, patience)), config.head_timeout);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let is_named = config.is_named(request.headers());
        let mut request = request.map(Body::new);
        let origin = config.origin(address, request.headers());
        request.extensions_mut().insert(Peer::new(origin));
        request.extensions_mut().insert(stopping.clone());
        let answer = is_named.then(|| router.clone().call(request));
        async move {
            match answer {
                Some(answer) => answer.await,
                None => Ok((StatusCode::MISDIRECTED_REQUEST, MISDIRECTED).into_response()),
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    // An error here is the peer's: it went away, was too slow, or spoke no HTTP.
    tokio::select! {
        _ = &mut connection => return,
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// What who asks under another name is told.
const MISDIRECTED: &str = "the Host of this request is none of this server's names; its operator adds names with --host\n";

/// How many connections each peer has.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<HashMap<Peer, usize>>>);

/// A peer's connection, counted until it is dropped.
struct Visit(Peers, Peer);

impl Peers {
    fn enter(&self, peer: Peer, max: usize) -> Option<Visit> {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = peers.entry(peer).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Visit(self.clone(), peer))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let Visit(peers, peer) = self;
        let mut peers = peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = peers.get_mut(peer) {
            *count -= 1;
            if *count == 0 {
                peers.remove(peer);
            }
        }
    }
}

/// How long a peer may still be waited for: what it reads earns it time, and waiting costs it.
struct Patience {
    most: Duration,
    bytes_per_sec: u64,
    /// How far it has fallen behind.
    behind: Duration,
}

impl Patience {
    fn new(most: Duration, bytes_per_sec: u64) -> Self {
        Patience { most, bytes_per_sec: bytes_per_sec.max(1), behind: Duration::ZERO }
    }

    /// What is left of it.
    fn left(&self) -> Duration {
        self.most.saturating_sub(self.behind)
    }

    /// The peer was waited for, and has then read so many bytes.
    fn read(&mut self, waited: Duration, bytes: usize) {
        let earned = Duration::from_secs_f64(bytes as f64 / self.bytes_per_sec as f64);
        self.behind = (self.behind + waited).saturating_sub(earned);
    }
}

/// A stream that fails when its peer takes nothing for too long, or too little, or it would hold a
/// place for ever.
struct Impatient {
    stream: TcpStream,
    patience: Patience,
    /// Set while a write waits, with since when.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Impatient {
    fn new(stream: TcpStream, patience: Patience) -> Self {
        Impatient { stream, patience, waiting: None }
    }

    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = write(Pin::new(&mut self.stream), context) {
            let waited = self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            self.patience.read(waited, done.as_ref().map_or(0, bytes));
            return Poll::Ready(done);
        }
        let left = self.patience.left();
        let (_, waiting) =
            self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        waiting.as_mut().poll(context).map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.bounded(context, |stream, context| stream.poll_write(context, bytes), |count| *count)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(context, |stream, context| stream.poll_flush(context), |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(context, |stream, context| stream.poll_shutdown(context), |()| 0)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = |stream: Pin<&mut TcpStream>, context: &mut Context<'_>| {
            stream.poll_write_vectored(context, bytes)
        };
        self.bounded(context, write, |count| *count)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ServerConfig {
        ServerConfig::from(SocketAddr::from(([127, 0, 0, 1], 8546)))
    }

    fn headers(name: header::HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name.clone(), line.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn who_reads_too_slowly_loses_patience_whatever_it_reads() {
        let (secs, patience) =
            (Duration::from_secs, || Patience::new(Duration::from_secs(30), 1_000));
        let mut trickle = patience();
        trickle.read(secs(29), 1);
        assert!(trickle.left() < secs(2), "a byte in 29 s earns no other 29 s");
        let mut steady = patience();
        for _ in 0..1_000 {
            steady.read(secs(1), 1_000);
        }
        assert_eq!(steady.left(), secs(30), "at the least rate it may go on for ever");
        // What was read at once is no credit for later.
        steady.read(Duration::ZERO, 1_000_000);
        steady.read(secs(20), 0);
        assert_eq!(steady.left(), secs(10));
        steady.read(secs(11), 0);
        assert_eq!(steady.left(), Duration::ZERO);
    }

    #[test]
    fn only_trusted_proxies_say_for_whom_they_ask() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let proxies = vec![address("127.0.0.1"), address("10.0.0.9")];
        let config = ServerConfig { proxies, ..config() };
        let forwarded = header::HeaderName::from_static(FORWARDED_FOR);
        let origin = |from: &str, lines: &[&str]| {
            config.origin(address(from), &headers(forwarded.clone(), lines)).to_string()
        };
        assert_eq!(origin("127.0.0.1", &["192.0.2.7"]), "192.0.2.7");
        assert_eq!(origin("192.0.2.1", &["192.0.2.7"]), "192.0.2.1", "a stranger says nothing");
        // What the client wrote itself stands before what the proxies add.
        assert_eq!(origin("127.0.0.1", &["1.1.1.1, 192.0.2.7"]), "192.0.2.7");
        assert_eq!(origin("127.0.0.1", &["1.1.1.1", "192.0.2.7, 10.0.0.9"]), "192.0.2.7");
        assert_eq!(origin("::ffff:127.0.0.1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(origin("127.0.0.1", &["nonsense"]), "127.0.0.1");
        assert_eq!(origin("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn requests_under_another_name_are_not_served() {
        let config = config().for_hosts(vec!["broker.example".to_owned()]);
        let is_named = |host: &str| config.is_named(&headers(header::HOST, &[host]));
        for own in ["127.0.0.1:8546", "localhost", "[::1]:1", "Broker.Example:443"] {
            assert!(is_named(own), "{own}");
        }
        for other in ["evil.example", "127.0.0.1.evil.example", "192.168.1.1", "", "a b"] {
            assert!(!is_named(other), "{other:?}: a page of its own reaches the broker");
        }
        assert!(!config.is_named(&HeaderMap::new()));
        assert!(super::tests::config().is_named(&headers(header::HOST, &["any.example"])));
    }
}
