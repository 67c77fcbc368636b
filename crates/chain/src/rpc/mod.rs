//! Ethereum's JSON-RPC over an embedded chain.
//!
//! One function, [`Rpc::call`], answers everything; the in-process transport and the HTTP server
//! only carry its questions and answers.

mod chain;
mod error;
mod logs;
mod params;
mod server;
mod simulate;
mod transport;

use std::sync::Arc;

use alloy_json_rpc::{Id, Response, ResponsePayload};
use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use alloy_rpc_types_eth::{BlockId, EIP1186AccountProofResponse, EIP1186StorageProof};
use alloy_serde::JsonStorageKey;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use crate::embedded::tables::View;
use crate::{EmbeddedChain, Error};
use error::{INTERNAL, INVALID_REQUEST, LIMIT_EXCEEDED, METHOD_NOT_FOUND, PARSE, RpcError, SERVER};
use params::Params;

pub use server::{RpcServer, RpcServerConfig, serve};
pub use transport::InProcess;

/// The requests of one batch, at most.
pub const BATCH_MAX: usize = 1000;
/// The reads and simulations that run at once, at most; others wait.
pub const READS_AT_ONCE_MAX: usize = 16;
/// The storage slots of one proof request, at most.
pub const PROOF_SLOTS_MAX: usize = 256;

type Answer = Result<Box<RawValue>, RpcError>;

/// Answers JSON-RPC for one chain.
#[derive(Clone, Debug)]
pub struct Rpc {
    chain: EmbeddedChain,
    reads: Arc<Semaphore>,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(default)]
    id: Option<Id>,
    method: String,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

impl Rpc {
    /// The handler for `chain`.
    pub fn new(chain: EmbeddedChain) -> Self {
        Self { chain, reads: Arc::new(Semaphore::new(READS_AT_ONCE_MAX)) }
    }

    /// Answers the bytes of a request or a batch. None: only notifications, nothing to say.
    pub async fn handle(&self, body: &[u8]) -> Option<Vec<u8>> {
        match serde_json::from_slice::<&RawValue>(body) {
            Err(_) => encode(&failure(Id::None, RpcError::new(PARSE, "parse error"))),
            Ok(raw) if raw.get().starts_with('[') => self.handle_batch(raw).await,
            Ok(raw) => encode(&self.handle_one(raw).await?),
        }
    }

    async fn handle_batch(&self, raw: &RawValue) -> Option<Vec<u8>> {
        let Ok(requests) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
            return encode(&failure(Id::None, RpcError::new(PARSE, "parse error")));
        };
        if requests.is_empty() {
            return encode(&failure(Id::None, RpcError::new(INVALID_REQUEST, "empty batch")));
        }
        if requests.len() > BATCH_MAX {
            let error = RpcError::new(LIMIT_EXCEEDED, "batch too large");
            return encode(&failure(Id::None, error));
        }
        let answers = requests.into_iter().map(|request| self.handle_one(request));
        let answers: Vec<_> =
            futures_util::future::join_all(answers).await.into_iter().flatten().collect();
        if answers.is_empty() { None } else { encode(&answers) }
    }

    async fn handle_one(&self, raw: &RawValue) -> Option<Response> {
        let Ok(request) = serde_json::from_str::<Request<'_>>(raw.get()) else {
            return Some(failure(Id::None, RpcError::new(INVALID_REQUEST, "invalid request")));
        };
        let answer = self.call(&request.method, request.params).await;
        request.id.map(|id| match answer {
            Ok(result) => Response { id, payload: ResponsePayload::Success(result) },
            Err(error) => failure(id, error),
        })
    }

    /// Answers one method.
    pub(crate) async fn call(&self, method: &str, params: Option<&RawValue>) -> Answer {
        let params = Params::parse(params)?;
        match method {
            "eth_sendRawTransaction" => {
                let raw: Bytes = params.required(0, "transaction")?;
                answer(&self.chain.submit(&raw).await?)
            }
            "eth_getProof" => self.proof(&params).await,
            "evm_mine" | "evm_increaseTime" | "evm_setNextBlockTimestamp" => {
                self.test_control(method, &params).await
            }
            _ => self.read(method.to_owned(), params).await,
        }
    }

    /// Reads run on threads that may block.
    async fn read(&self, method: String, params: Params) -> Answer {
        let closed = |_| RpcError::from(Error::Stopped);
        let permit = self.reads.clone().acquire_owned().await.map_err(closed)?;
        let chain = self.chain.clone();
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(&chain, &method, &params)
        });
        work.await.map_err(|_| RpcError::new(INTERNAL, "the request failed inside the chain"))?
    }

    async fn test_control(&self, method: &str, params: &Params) -> Answer {
        if !self.chain.config().test_controls {
            return Err(unknown(method));
        }
        match method {
            "evm_mine" => {
                self.chain.mine().await?;
                answer(&"0x0")
            }
            "evm_increaseTime" => answer(&self.chain.advance_time(params.number(0, "seconds")?)),
            _ => {
                self.chain.set_next_timestamp(params.number(0, "timestamp")?)?;
                answer(&())
            }
        }
    }

    /// EIP-1186, at the head.
    async fn proof(&self, params: &Params) -> Answer {
        let address: Address = params.required(0, "address")?;
        let keys: Vec<JsonStorageKey> = params.optional(1, "keys")?.unwrap_or_default();
        if keys.len() > PROOF_SLOTS_MAX {
            return Err(RpcError::new(LIMIT_EXCEEDED, "too many storage keys"));
        }
        let block: Option<BlockId> = params.optional(2, "block")?;
        let slots: Vec<U256> =
            keys.iter().map(|key| U256::from_be_bytes(key.as_b256().0)).collect();
        let proof = self.chain.prove(address, slots.clone()).await?;
        let view = self.chain.view()?;
        chain::check_is_head(&view, block, proof.head)?;
        let account = view.account(address)?.unwrap_or_default();
        let mut storage_proof = Vec::with_capacity(keys.len());
        for ((key, slot), nodes) in keys.into_iter().zip(slots).zip(proof.slots) {
            storage_proof.push(EIP1186StorageProof::new(key, view.slot(address, slot)?, nodes));
        }
        answer(&EIP1186AccountProofResponse {
            address,
            balance: account.balance,
            code_hash: account.code_hash,
            nonce: account.nonce,
            storage_hash: proof.storage_root,
            account_proof: proof.account,
            storage_proof,
        })
    }
}

fn read(chain: &EmbeddedChain, method: &str, params: &Params) -> Answer {
    let view = chain.view()?;
    match method {
        "web3_clientVersion" => answer(&concat!("assay-chain/", env!("CARGO_PKG_VERSION"))),
        "web3_sha3" => answer(&keccak256(params.required::<Bytes>(0, "data")?)),
        "net_version" => answer(&chain.chain_id().to_string()),
        "net_listening" => answer(&true),
        "eth_chainId" => answer(&U64::from(chain.chain_id())),
        "eth_syncing" => answer(&false),
        "eth_accounts" => answer(&[Address::ZERO; 0]),
        "eth_blockNumber" => answer(&U64::from(view.head()?.header.number)),
        "eth_getBlockByNumber" | "eth_getBlockByHash" => chain::block(&view, params),
        "eth_getBlockTransactionCountByNumber" | "eth_getBlockTransactionCountByHash" => {
            chain::transaction_count_of_block(&view, params)
        }
        "eth_getTransactionByHash" => chain::transaction(&view, params),
        "eth_getTransactionByBlockNumberAndIndex" | "eth_getTransactionByBlockHashAndIndex" => {
            chain::transaction_at(&view, params)
        }
        "eth_getTransactionReceipt" => chain::receipt(&view, params),
        "eth_getBlockReceipts" => chain::receipts(&view, params),
        "eth_getLogs" => logs::query(&view, chain.config(), params),
        "eth_getBalance" => answer(&account(&view, params)?.balance),
        "eth_getTransactionCount" => answer(&U64::from(account(&view, params)?.nonce)),
        "eth_getCode" => {
            let code = view.code(account(&view, params)?.code_hash)?;
            answer(&code.original_bytes())
        }
        "eth_getStorageAt" => {
            let slot: JsonStorageKey = params.required(1, "slot")?;
            chain::check_state_of(&view, params.optional(2, "block")?)?;
            let slot = U256::from_be_bytes(slot.as_b256().0);
            let address = params.required(0, "address")?;
            answer(&B256::from(view.slot(address, slot)?))
        }
        "eth_gasPrice" => answer(&U64::from(chain.config().base_fee_wei)),
        "eth_maxPriorityFeePerGas" => answer(&U64::ZERO),
        "eth_feeHistory" => chain::fee_history(&view, chain.config(), params),
        "eth_call" => simulate::call(chain, &view, params),
        "eth_estimateGas" => simulate::estimate(chain, &view, params),
        _ => Err(unknown(method)),
    }
}

fn account(view: &View, params: &Params) -> Result<revm::state::AccountInfo, RpcError> {
    let address = params.required(0, "address")?;
    chain::check_state_of(view, params.optional(1, "block")?)?;
    Ok(view.account(address)?.unwrap_or_default())
}

fn unknown(method: &str) -> RpcError {
    let message = format!("the method {method} does not exist/is not available");
    RpcError::new(METHOD_NOT_FOUND, message)
}

fn answer<T: Serialize + ?Sized>(value: &T) -> Answer {
    serde_json::value::to_raw_value(value)
        .map_err(|error| RpcError::new(INTERNAL, format!("the answer does not encode: {error}")))
}

fn failure(id: Id, error: RpcError) -> Response {
    Response { id, payload: ResponsePayload::Failure(error.into()) }
}

fn encode<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    serde_json::to_vec(value).ok()
}

fn not_kept(what: impl std::fmt::Display) -> RpcError {
    RpcError::new(
        SERVER,
        format!("the state of {what} is not kept: this chain answers for the latest block only"),
    )
}
