//! JSON-RPC over HTTP, on loopback, for `cast`, wallets and scripts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Rpc;
use crate::{EmbeddedChain, Error, Result};

/// Where and how to serve.
#[derive(Clone, Debug)]
pub struct RpcServerConfig {
    /// The address; port 0 lets the system choose.
    pub address: SocketAddr,
    /// The bytes of one request body, at most.
    pub body_bytes_max: usize,
    /// Serve on an address that other machines can reach. Whoever reaches it can read everything
    /// and send signed transactions; there is no TLS and no password.
    pub allow_remote: bool,
}

impl Default for RpcServerConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            body_bytes_max: 5 * 1024 * 1024,
            allow_remote: false,
        }
    }
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct RpcServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    rpc: Rpc,
    loopback: bool,
}

/// Serves `chain` over HTTP.
///
/// On loopback, requests must carry `content-type: application/json` and a loopback `host`, so
/// that no web page can speak to the chain through its visitor's browser.
///
/// # Errors
///
/// [`Error::Config`] for an address beyond loopback without `allow_remote`; [`Error::Io`] if the
/// address can't be bound.
pub async fn serve(chain: &EmbeddedChain, config: RpcServerConfig) -> Result<RpcServer> {
    let loopback = config.address.ip().is_loopback();
    if !loopback && !config.allow_remote {
        let message = format!("{} is not loopback; set allow_remote to mean it", config.address);
        return Err(Error::Config(message));
    }
    let bound = TcpListener::bind(config.address).await;
    let listener =
        bound.map_err(|source| Error::io(format!("binding {}", config.address), source))?;
    let address =
        listener.local_addr().map_err(|source| Error::io("reading the bound address", source))?;
    let router = Router::new()
        .route("/", post(answer))
        .layer(DefaultBodyLimit::max(config.body_bytes_max))
        .with_state(Shared { rpc: Rpc::new(chain.clone()), loopback });
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        if let Err(error) = served.await {
            tracing::error!(%error, "the JSON-RPC server stopped");
        }
    });
    Ok(RpcServer { address, stop: Some(stop), task })
}

impl RpcServer {
    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL to give to `cast --rpc-url` and the like.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops accepting, and waits until the requests under way are answered.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.task).await;
    }
}

impl Drop for RpcServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_json(&headers) {
        let message = "content-type must be application/json";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
    }
    if shared.loopback && !names_loopback(&headers) {
        return (StatusCode::FORBIDDEN, "the host must be a loopback name").into_response();
    }
    match shared.rpc.handle(&body).await {
        Some(answer) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// A page under any other name that resolves to loopback (DNS rebinding) is kept out.
fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
