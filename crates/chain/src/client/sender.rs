//! Estimating, numbering, signing and sending, safely from many tasks at once.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alloy_consensus::{SignableTransaction, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_network::{Ethereum, NetworkTransactionBuilder, TransactionBuilder};
use alloy_primitives::{Address, B256};
use alloy_provider::{PendingTransactionBuilder, Provider, RootProvider, SendableTx};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_transport::{TransportError, TransportErrorKind, TransportResult};

use super::bids::Bids;
use super::nonces::{Nonces, Taken, lock};
use super::{is_transient, message_of};

/// One part in this many of an estimate is added to it. An estimate holds for the block that it was
/// made on: in the next one the clock has moved on or another's move has come first, so a slot that
/// would have stayed as it was is written (2,900 gas), and a move that fits to the unit runs out of
/// gas.
const GAS_HEADROOM_PART: u64 = 4;

/// And so much at the least: another's transaction in between may leave two balances empty that the
/// estimate found filled, each of which costs 17,100 gas more to fill again (EIP-2200).
const GAS_HEADROOM_MIN: u64 = 40_000;

/// How often one request is signed anew because its nonce turned out to be taken.
const ATTEMPTS_MAX: u32 = 16;

/// What to bid.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fees {
    /// The embedded chain's constant base fee, and no tip, which would buy nothing.
    Fixed {
        /// Wei per gas.
        base_fee_wei: u64,
    },
    /// What recent blocks suggest.
    Market,
}

/// A provider whose `send_transaction` signs here.
#[derive(Clone, Debug)]
pub(crate) struct Signing {
    root: RootProvider,
    signer: PrivateKeySigner,
    chain_id: u64,
    fees: Fees,
    nonces: Arc<Mutex<Nonces>>,
    asking: Arc<tokio::sync::Mutex<()>>,
    pub(super) bids: Bids,
    /// Held while a bid is raised.
    pub(super) raising: Arc<tokio::sync::Mutex<()>>,
}

/// What became of an attempt to send.
pub(super) enum Outcome {
    Accepted,
    /// The nonce belongs to another transaction: sign again with the next.
    NonceTaken,
    /// Refused because an earlier nonce never came: sign again, lowest free nonce first.
    Gap,
    /// Refused for good.
    Refused(TransportError),
    /// It may or may not have arrived.
    Unknown(TransportError),
}

impl Signing {
    pub(crate) fn new(
        root: RootProvider,
        signer: PrivateKeySigner,
        chain_id: u64,
        fees: Fees,
    ) -> Self {
        Self {
            root,
            signer,
            chain_id,
            fees,
            nonces: Arc::default(),
            asking: Arc::default(),
            bids: Bids::default(),
            raising: Arc::default(),
        }
    }

    /// The account that signs.
    pub(super) fn account(&self) -> Address {
        self.signer.address()
    }

    /// Whether blocks go to who bids most.
    pub(super) fn is_market(&self) -> bool {
        matches!(self.fees, Fees::Market)
    }

    /// Sends a transaction; gives its nonce and hash.
    pub(super) async fn send(&self, request: TransactionRequest) -> TransportResult<(u64, B256)> {
        let chosen = request.nonce;
        let request = self.fill(request).await?;
        if let Some(nonce) = chosen {
            let signed = self.sign(request, nonce)?;
            let sent = self.root.send_raw_transaction(&signed.encoded_2718()).await?;
            return Ok((nonce, *sent.tx_hash()));
        }
        for attempt in 1..=ATTEMPTS_MAX {
            let taken = self.take_nonce().await?;
            let signed = match self.sign(request.clone(), taken.nonce()) {
                Ok(signed) => signed,
                Err(error) => {
                    taken.give_back();
                    return Err(error);
                }
            };
            match self.offer(&signed).await {
                Outcome::Accepted => {
                    let (nonce, hash) = (taken.nonce(), *signed.tx_hash());
                    if self.is_market() {
                        self.bids.put(nonce, request, hash);
                    }
                    taken.used();
                    return Ok((nonce, hash));
                }
                Outcome::NonceTaken => {
                    taken.used();
                    let count = self.count().await?;
                    lock(&self.nonces).learn(count, Instant::now());
                }
                Outcome::Gap => {
                    taken.give_back();
                    let count = self.count().await?;
                    lock(&self.nonces).find_gaps(count);
                }
                Outcome::Refused(error) => {
                    taken.give_back();
                    return Err(error);
                }
                Outcome::Unknown(error) => return Err(error),
            }
            tokio::time::sleep(Duration::from_millis(u64::from(5 * attempt))).await;
        }
        Err(TransportErrorKind::custom_str("nonces kept being taken: is the key used elsewhere?"))
    }

    /// Everything but the nonce, so that a failing estimate uses none up.
    async fn fill(&self, mut request: TransactionRequest) -> TransportResult<TransactionRequest> {
        let own = self.signer.address();
        if request.from.is_some_and(|from| from != own) {
            return Err(TransportErrorKind::custom_str("the sender is not the signer's account"));
        }
        request.set_from(own);
        request.set_chain_id(self.chain_id);
        if request.gas_price.is_none() && request.max_fee_per_gas.is_none() {
            let (max_fee, tip) = self.fees().await?;
            request.set_max_fee_per_gas(max_fee);
            request.set_max_priority_fee_per_gas(tip);
        }
        if request.gas.is_none() {
            let estimate = self.root.estimate_gas(request.clone()).await?;
            let headroom = (estimate / GAS_HEADROOM_PART).max(GAS_HEADROOM_MIN);
            request.set_gas_limit(estimate.saturating_add(headroom));
        }
        Ok(request)
    }

    pub(super) async fn fees(&self) -> TransportResult<(u128, u128)> {
        match self.fees {
            Fees::Fixed { base_fee_wei } => Ok((u128::from(base_fee_wei), 0)),
            Fees::Market => {
                let fees = self.root.estimate_eip1559_fees().await?;
                Ok((fees.max_fee_per_gas, fees.max_priority_fee_per_gas))
            }
        }
    }

    async fn take_nonce(&self) -> TransportResult<Taken> {
        let _one_at_a_time = self.asking.lock().await;
        if lock(&self.nonces).is_stale(Instant::now()) {
            let count = self.count().await?;
            lock(&self.nonces).learn(count, Instant::now());
        }
        Ok(Taken::take(&self.nonces))
    }

    async fn count(&self) -> TransportResult<u64> {
        self.root.get_transaction_count(self.signer.address()).pending().await
    }

    pub(super) fn sign(
        &self,
        mut request: TransactionRequest,
        nonce: u64,
    ) -> TransportResult<TxEnvelope> {
        request.set_nonce(nonce);
        let unsigned =
            request.build_unsigned().map_err(|error| TransportErrorKind::custom(error.error))?;
        let hash = unsigned.signature_hash();
        let signature = self.signer.sign_hash_sync(&hash).map_err(TransportErrorKind::custom)?;
        Ok(unsigned.into_signed(signature).into())
    }

    pub(super) async fn offer(&self, signed: &TxEnvelope) -> Outcome {
        let Err(error) = self.root.send_raw_transaction(&signed.encoded_2718()).await else {
            return Outcome::Accepted;
        };
        let message = message_of(&error).map(str::to_ascii_lowercase);
        match message.as_deref() {
            Some(message) if message.contains("already known") => Outcome::Accepted,
            Some(message) if message.contains("nonce too high") => Outcome::Gap,
            Some(message) if is_nonce_taken(message) => {
                // A retry whose first sending did arrive looks like this too.
                if self.is_known(signed).await { Outcome::Accepted } else { Outcome::NonceTaken }
            }
            _ if is_transient(&error) => {
                if self.is_known(signed).await {
                    Outcome::Accepted
                } else {
                    Outcome::Unknown(error)
                }
            }
            _ => Outcome::Refused(error),
        }
    }

    async fn is_known(&self, signed: &TxEnvelope) -> bool {
        matches!(self.root.get_transaction_by_hash(*signed.tx_hash()).await, Ok(Some(_)))
    }
}

fn is_nonce_taken(message: &str) -> bool {
    message.contains("nonce too low") || message.contains("replacement transaction underpriced")
}

#[async_trait::async_trait]
impl Provider<Ethereum> for Signing {
    fn root(&self) -> &RootProvider<Ethereum> {
        &self.root
    }

    async fn send_transaction_internal(
        &self,
        transaction: SendableTx<Ethereum>,
    ) -> TransportResult<PendingTransactionBuilder<Ethereum>> {
        match transaction {
            SendableTx::Builder(request) => {
                let (_, hash) = self.send(request).await?;
                Ok(PendingTransactionBuilder::new(self.root.clone(), hash))
            }
            SendableTx::Envelope(signed) => {
                self.root.send_raw_transaction(&signed.encoded_2718()).await
            }
        }
    }
}
