//! A typed client that believes nothing: what it returns was signed by whoever it names, or has the
//! name that was asked for. A file for each kind of thing that is asked for, over `request` and
//! `entries`.

mod accounts;
mod blobs;
mod datasets;
mod entries;
mod envelopes;
mod event_stream;
mod follow;
mod log;
mod market;
mod offers;
mod orders;
mod refusals;
mod request;
mod wraps;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use assay_contracts::Deployment;
use assay_protocol::Epoch;
use assay_types::Clock;
use reqwest::Url;

pub use follow::Follow;

use crate::access::Access;
use crate::error::{Error, Result};

/// How to talk to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerClientConfig {
    /// How often a request is sent again after a transient failure. Repeating is harmless for all
    /// requests.
    pub retries: u32,
    /// The pause before a request is sent again; it doubles each time.
    pub retry_pause: Duration,
    /// The longest pause, whatever the broker asks for.
    pub retry_pause_max: Duration,
    /// How long a request may take, besides the time for its body.
    pub request_timeout: Duration,
    /// The largest blob that is accepted, in bytes.
    pub blob_bytes_max: u64,
}

impl Default for BrokerClientConfig {
    fn default() -> Self {
        Self {
            retries: 6,
            retry_pause: Duration::from_millis(200),
            retry_pause_max: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            blob_bytes_max: 600 << 20,
        }
    }
}

/// A client of one broker, for one market, with an identity that signs its requests. Clones share
/// their connections.
#[derive(Clone)]
pub struct BrokerClient {
    http: reqwest::Client,
    url: Url,
    deployment: Deployment,
    access: Access,
    clock: Arc<dyn Clock>,
    /// The broker's epoch: zero until the broker tells.
    epoch: Arc<Mutex<Epoch>>,
    config: BrokerClientConfig,
}

impl std::fmt::Debug for BrokerClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a secret.
        f.debug_struct("BrokerClient").field("config", &self.config).finish_non_exhaustive()
    }
}

impl BrokerClient {
    /// A client of the broker at a URL, `http://` or `https://`, for a market. Requests are signed
    /// by `access`; with [`Access::public`] only public routes work.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the URL is malformed.
    pub fn new(
        url: &str,
        deployment: Deployment,
        access: impl Into<Access>,
        clock: impl Clock,
    ) -> Result<Self> {
        Self::with_config(url, deployment, access, BrokerClientConfig::default(), clock)
    }

    /// As [`BrokerClient::new`], with other settings.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the URL is malformed.
    pub fn with_config(
        url: &str,
        deployment: Deployment,
        access: impl Into<Access>,
        config: BrokerClientConfig,
        clock: impl Clock,
    ) -> Result<Self> {
        let mut url = Url::parse(url)
            .map_err(|error| Error::Config(format!("the broker's URL does not parse: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            let message = "the broker's URL must begin with http:// or https://";
            return Err(Error::Config(message.into()));
        }
        url.set_query(None);
        url.set_fragment(None);
        // Fails only if a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(config.request_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Config(format!("no HTTP client: {error}")))?;
        let (access, clock) = (access.into(), Arc::new(clock));
        let epoch = Arc::default();
        Ok(BrokerClient { http, url, deployment, access, clock, epoch, config })
    }

    /// The same client with another clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        BrokerClient { clock: Arc::new(clock), ..self }
    }

    /// The same client with another identity.
    #[must_use]
    pub fn with_access(self, access: impl Into<Access>) -> Self {
        BrokerClient { access: access.into(), ..self }
    }

    /// The identity that signs requests.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The market that the client is for.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }
}
