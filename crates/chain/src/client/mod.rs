//! One typed client over the embedded chain and over any RPC URL.

mod bids;
mod logs;
mod nonces;
mod sender;
mod without_url;

use std::sync::Arc;
use std::time::Duration;

use alloy_json_rpc::RpcError;
use alloy_network::Ethereum;
use alloy_primitives::{Address, B256};
use alloy_provider::{DynProvider, Provider, RootProvider};
use alloy_rpc_client::RpcClient;
use alloy_rpc_types_eth::{BlockNumberOrTag, Header, TransactionReceipt, TransactionRequest};
use alloy_signer_local::PrivateKeySigner;
use alloy_transport::layers::{RetryBackoffLayer, RetryPolicy};
use alloy_transport::{TransportError, TransportErrorKind};
use tokio::sync::watch;

use crate::{EmbeddedChain, Error, Head, InProcess, Result};
use logs::LogRange;
use sender::{Fees, Signing};
use without_url::WithoutUrlLayer;

/// Where the chain is.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// A chain in this process.
    Embedded(EmbeddedChain),
    /// A JSON-RPC endpoint, `http://` or `https://`. May hold a secret: don't log it.
    Url(String),
}

/// How many blocks may pass a transaction by before its bid is raised, while there is time.
const BLOCKS_PATIENT: u64 = 3;

/// How to talk to an endpoint.
#[derive(Clone, Debug)]
pub struct ChainClientConfig {
    /// The chain that the endpoint must serve. None takes whatever it serves.
    pub chain_id: Option<u64>,
    /// How often a request that failed for a passing reason is sent again.
    pub retries: u32,
    /// The pause before a request is sent again.
    pub retry_pause: Duration,
    /// When to give a request up.
    pub request_timeout: Duration,
    /// How long to wait for a receipt.
    pub receipt_timeout: Duration,
    /// How often to ask whether a transaction was mined. None: what suits the endpoint.
    pub poll: Option<Duration>,
}

impl Default for ChainClientConfig {
    fn default() -> Self {
        Self {
            chain_id: None,
            retries: 5,
            retry_pause: Duration::from_millis(250),
            request_timeout: Duration::from_secs(30),
            receipt_timeout: Duration::from_secs(180),
            poll: None,
        }
    }
}

/// A connected client. Clones share the connection and, where there is a signer, its nonces.
#[derive(Clone, Debug)]
pub struct Client {
    provider: DynProvider,
    chain_id: u64,
    genesis_hash: B256,
    signing: Option<Signing>,
    heads: Option<watch::Receiver<Head>>,
    log_range: Arc<LogRange>,
    receipt_timeout: Duration,
    poll: Duration,
}

/// Connects, and with a signer makes every `send` of the provider (contract bindings included)
/// estimate, number, sign and send through it.
///
/// # Errors
///
/// [`Error::WrongChain`], [`Error::Transport`], [`Error::Config`] for a URL that is none.
pub async fn connect(
    endpoint: Endpoint,
    signer: Option<PrivateKeySigner>,
    config: ChainClientConfig,
) -> Result<Client> {
    let (root, heads, fees) = match &endpoint {
        Endpoint::Embedded(chain) => {
            let client = RpcClient::new(InProcess::new(chain), true);
            let fees = Fees::Fixed { base_fee_wei: chain.config().base_fee_wei };
            (RootProvider::<Ethereum>::new(client), Some(chain.heads()), fees)
        }
        Endpoint::Url(url) => {
            let root = RootProvider::new(http(url, &config)?);
            // A chain that asks nothing for gas must not ask for an account with ether either.
            let free = root.get_gas_price().await? == 0;
            let fees = if free { Fees::Fixed { base_fee_wei: 0 } } else { Fees::Market };
            (root, None, fees)
        }
    };
    let usual = if heads.is_some() { Duration::from_millis(10) } else { Duration::from_secs(1) };
    let poll = config.poll.unwrap_or(usual);
    root.client().set_poll_interval(poll);
    let chain_id = root.get_chain_id().await?;
    if let Some(expected) = config.chain_id.filter(|expected| *expected != chain_id) {
        return Err(Error::WrongChain { expected, found: chain_id });
    }
    let genesis_hash = genesis_hash(&root).await?;
    let signing = signer.map(|signer| Signing::new(root.clone(), signer, chain_id, fees));
    let provider = match &signing {
        Some(signing) => signing.clone().erased(),
        None => root.erased(),
    };
    Ok(Client {
        provider,
        chain_id,
        genesis_hash,
        signing,
        log_range: Arc::new(LogRange::new(heads.is_some())),
        heads,
        receipt_timeout: config.receipt_timeout,
        poll,
    })
}

impl Client {
    /// The provider to give to contract bindings.
    pub fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// The chain's id.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The hash of the chain's first block: with the id, the chain's identity.
    pub fn genesis_hash(&self) -> B256 {
        self.genesis_hash
    }

    /// The account that signs, if there is one.
    pub fn signer(&self) -> Option<Address> {
        self.signing.as_ref().map(Signing::account)
    }

    /// The embedded chain's heads; none behind a URL.
    pub fn heads(&self) -> Option<watch::Receiver<Head>> {
        self.heads.clone()
    }

    /// The last block: number and hash.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`], [`Error::BadAnswer`].
    pub async fn head(&self) -> Result<(u64, B256)> {
        let header = self.last_header().await?;
        Ok((header.number, header.hash))
    }

    /// The last block's header.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`], [`Error::BadAnswer`].
    pub async fn last_header(&self) -> Result<Header> {
        let missing = || Error::BadAnswer { what: "it has no last block".into() };
        self.header(BlockNumberOrTag::Latest).await?.ok_or_else(missing)
    }

    /// A block's header; `None` if the chain has no such block, or no longer.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`].
    pub async fn header(&self, block: BlockNumberOrTag) -> Result<Option<Header>> {
        Ok(self.provider.get_block_by_number(block).await?.map(|block| block.header))
    }

    /// Sends a transaction and waits until it is mined. One that blocks pass by is replaced at the
    /// same nonce by a higher bid, up to ten times the first.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if it failed on chain, [`Error::Transport`] if it was refused or the
    /// endpoint went away. After a timeout the transaction may still be mined.
    pub async fn execute(&self, request: TransactionRequest) -> Result<TransactionReceipt> {
        self.execute_within(request, self.receipt_timeout).await
    }

    /// The same for what must be mined within a time: once half of it is over, every block that
    /// passes it by raises the bid.
    ///
    /// # Errors
    ///
    /// As [`Client::execute`].
    pub async fn execute_within(
        &self,
        request: TransactionRequest,
        within: Duration,
    ) -> Result<TransactionReceipt> {
        let receipt = match &self.signing {
            Some(signing) => {
                let (nonce, hash) = signing.send(request).await?;
                let receipt = self.receipt_of(signing, nonce, hash, within).await;
                // What is mined is replaced no more; what is not still holds up the others.
                receipt.inspect(|_| signing.bids.remove(nonce))?
            }
            None => {
                let pending = self.provider.send_transaction(request).await?;
                self.receipt(*pending.tx_hash()).await?
            }
        };
        if receipt.status() { Ok(receipt) } else { Err(Error::Reverted(receipt.transaction_hash)) }
    }

    /// Waits for the receipt of a transaction, under whichever bid it is mined.
    async fn receipt_of(
        &self,
        signing: &Signing,
        nonce: u64,
        hash: B256,
        within: Duration,
    ) -> Result<TransactionReceipt> {
        let begun = tokio::time::Instant::now();
        loop {
            // A chain without a market for gas has one bid.
            let hashes = if signing.is_market() { signing.bids.hashes(nonce) } else { vec![hash] };
            for hash in hashes.iter().rev() {
                if let Some(receipt) = self.provider.get_transaction_receipt(*hash).await? {
                    return Ok(receipt);
                }
            }
            if begun.elapsed() >= within {
                return Err(no_receipt(hash));
            }
            if signing.is_market() {
                let is_late = begun.elapsed() * 2 >= within;
                let blocks = if is_late { 1 } else { BLOCKS_PATIENT };
                // It waits on either way.
                if let Err(error) = signing.raise(blocks).await {
                    tracing::warn!(%error, "a stuck transaction could not be replaced");
                }
            }
            tokio::time::sleep(self.poll).await;
        }
    }

    /// Waits for a transaction's receipt.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`], also when [`ChainClientConfig::receipt_timeout`] is over.
    pub async fn receipt(&self, transaction: B256) -> Result<TransactionReceipt> {
        let deadline = tokio::time::Instant::now() + self.receipt_timeout;
        loop {
            if let Some(receipt) = self.provider.get_transaction_receipt(transaction).await? {
                return Ok(receipt);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(no_receipt(transaction));
            }
            tokio::time::sleep(self.poll).await;
        }
    }
}

fn no_receipt(transaction: B256) -> Error {
    let message = format!("no receipt for {transaction} in time; it may still come");
    TransportErrorKind::custom_str(&message).into()
}

/// True for failures that may pass: no connection, a timeout, a busy or limiting server.
pub(crate) fn is_transient(error: &TransportError) -> bool {
    match error {
        RpcError::ErrorResp(payload) => {
            payload.is_retry_err() && !logs::asks_for_less(&payload.message)
        }
        RpcError::Transport(TransportErrorKind::HttpError(error)) => {
            matches!(error.status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
        }
        RpcError::Transport(TransportErrorKind::Custom(cause)) => {
            cause.downcast_ref::<reqwest::Error>().is_some_and(|cause| !cause.is_builder())
        }
        RpcError::Transport(TransportErrorKind::NonRetryable(_)) => false,
        RpcError::Transport(_) => true,
        _ => false,
    }
}

/// A node's answer, as opposed to the lack of one.
pub(crate) fn message_of(error: &TransportError) -> Option<&str> {
    error.as_error_resp().map(|payload| payload.message.as_ref())
}

#[derive(Clone, Debug)]
struct RetryTransient;

impl RetryPolicy for RetryTransient {
    fn should_retry(&self, error: &TransportError) -> bool {
        is_transient(error)
    }

    fn backoff_hint(&self, _: &TransportError) -> Option<Duration> {
        None
    }
}

fn http(url: &str, config: &ChainClientConfig) -> Result<RpcClient> {
    let parsed = reqwest::Url::parse(url)
        .map_err(|error| Error::Config(format!("the RPC URL does not parse: {error}")))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(Error::Config("the RPC URL must begin with http:// or https://".into()));
    }
    // Fails only if a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(config.request_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| Error::Config(format!("no HTTP client: {error}")))?;
    let pause = u64::try_from(config.retry_pause.as_millis()).unwrap_or(u64::MAX);
    let retry = RetryBackoffLayer::new_with_policy(config.retries, pause, u64::MAX, RetryTransient);
    Ok(RpcClient::builder().layer(retry).layer(WithoutUrlLayer).http_with_client(client, parsed))
}

async fn genesis_hash(root: &RootProvider) -> Result<B256> {
    let block = root.get_block_by_number(0.into()).await?;
    let missing = || Error::BadAnswer { what: "it does not know block 0".into() };
    Ok(block.ok_or_else(missing)?.header.hash)
}
