//! Serving a router over HTTP/1.1, within bounds on what a peer may hold.
//!
//! No TLS: the broker stands on loopback, or behind a proxy that has a certificate.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Sleep, sleep, timeout};
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
    /// How long a peer may read nothing of its answer.
    pub write_timeout: Duration,
    /// How long requests under way may still take when the server stops.
    pub stop_timeout: Duration,
}

impl From<SocketAddr> for ServerConfig {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            connections_max: 1024,
            connections_per_peer_max: 256,
            head_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
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
                let peer = Peer::new(address.ip());
                let Some(visit) = peers.enter(peer, config.connections_per_peer_max) else {
                    continue;
                };
                let served =
                    serve_one(stream, peer, router.clone(), config.clone(), stopping.clone());
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
    peer: Peer,
    router: Router,
    config: Arc<ServerConfig>,
    stopping: watch::Receiver<bool>,
) {
    // Answers are small and complete: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let mut stop = stopping.clone();
    let stopping = Stopping(stopping);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(stopping.clone());
        let answer = router.clone().call(request);
        async move { answer.await as Result<Response, Infallible> }
    });
    let io = TokioIo::new(Impatient::new(stream, config.write_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_timeout)
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

/// A stream that fails when its peer takes nothing for too long, or it would hold a place for ever.
struct Impatient {
    stream: TcpStream,
    patience: Duration,
    /// Set while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        Impatient { stream, patience, waiting: None }
    }

    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = write(Pin::new(&mut self.stream), context) {
            self.waiting = None;
            return Poll::Ready(done);
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
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
        self.bounded(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(context, |stream, context| stream.poll_shutdown(context))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.bounded(context, |stream, context| stream.poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
