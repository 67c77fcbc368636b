//! Transactions on their way, and the higher bids that replace those that no block takes.
//!
//! A transaction that is stuck holds up all that the account sends after it, so what is replaced is
//! always the one that the chain waits for, whoever waits for its receipt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_network::TransactionBuilder;
use alloy_primitives::{B256, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_transport::TransportResult;

use super::sender::{Outcome, Signing};

/// How many times its first bid a transaction may come to cost, at the most.
pub(crate) const FEE_TIMES_MAX: u128 = 10;

/// How many transactions before the one that the chain waits for are remembered.
const KEPT: u64 = 256;

/// The gas of a transfer to oneself.
const TRANSFER_GAS: u64 = 21_000;

/// One transaction under all bids that were made for it: at most one of them is mined.
#[derive(Clone, Debug)]
pub(crate) struct Bid {
    request: TransactionRequest,
    /// The most that a unit of gas may come to cost, in wei.
    fee_max: u128,
    /// The block that was the last when it was made.
    made_at: Option<u64>,
    /// Of each bid, the newest last.
    pub(crate) hashes: Vec<B256>,
}

/// An account's transactions that may not be mined yet, by nonce.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bids(Arc<Mutex<BTreeMap<u64, Bid>>>);

impl Bids {
    /// A transaction was accepted under a nonce.
    pub(crate) fn put(&self, nonce: u64, request: TransactionRequest, hash: B256) {
        let fee_max = request.max_fee_per_gas.unwrap_or_default().saturating_mul(FEE_TIMES_MAX);
        let bid = Bid { request, fee_max, made_at: None, hashes: vec![hash] };
        self.lock().insert(nonce, bid);
    }

    /// The hashes under which a transaction may be mined.
    pub(crate) fn hashes(&self, nonce: u64) -> Vec<B256> {
        self.lock().get(&nonce).map(|bid| bid.hashes.clone()).unwrap_or_default()
    }

    /// Nobody waits for it any more, and it is mined.
    pub(crate) fn remove(&self, nonce: u64) {
        self.lock().remove(&nonce);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Bid>> {
        // Each change is whole, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bid {
    /// A higher bid, of which a node takes no other for the same nonce than one that is a tenth
    /// higher in both parts; none if that is above the bound.
    fn raised(&self, (market_fee, market_tip): (u128, u128)) -> Option<TransactionRequest> {
        let (fee, tip) =
            (self.request.max_fee_per_gas?, self.request.max_priority_fee_per_gas.unwrap_or(0));
        let higher = |bid: u128| bid.saturating_add(bid / 4).saturating_add(1);
        let least = higher(fee);
        if least > self.fee_max {
            return None;
        }
        let fee = least.max(market_fee).min(self.fee_max);
        let tip = higher(tip).max(market_tip).min(fee);
        Some(TransactionRequest {
            max_fee_per_gas: Some(fee),
            max_priority_fee_per_gas: Some(tip),
            ..self.request.clone()
        })
    }
}

impl Signing {
    /// Raises the bid for the transaction that the chain waits for, if it is one of ours and
    /// `blocks` blocks have passed it by. Gives whether it did.
    pub(crate) async fn raise(&self, blocks: u64) -> TransportResult<bool> {
        // Whoever else is at it does it for all.
        let Ok(_turn) = self.raising.try_lock() else { return Ok(false) };
        let head = self.root().get_block_number().await?;
        let nonce = self.root().get_transaction_count(self.account()).await?;
        let Some(bid) = self.waiting(nonce, head, blocks) else { return Ok(false) };
        let Some(request) = bid.raised(self.fees().await?) else {
            tracing::warn!(nonce, fee_max = bid.fee_max, "a transaction waits for lower fees");
            return Ok(false);
        };
        if let Some(kept) = self.bids.lock().get_mut(&nonce) {
            // Whatever comes of it, as many blocks are waited for again.
            kept.made_at = Some(head);
        }
        let signed = self.sign(request.clone(), nonce)?;
        let outcome = self.offer(&signed).await;
        // One whose answer was lost may be mined as well as one that was accepted.
        if matches!(outcome, Outcome::Accepted | Outcome::Unknown(_))
            && let Some(kept) = self.bids.lock().get_mut(&nonce)
        {
            kept.request.clone_from(&request);
            kept.made_at = Some(head);
            kept.hashes.push(*signed.tx_hash());
        }
        match outcome {
            Outcome::Accepted => {}
            // It is mined, or this was not enough for the node: the next look will show.
            Outcome::NonceTaken | Outcome::Gap => return Ok(false),
            Outcome::Refused(error) | Outcome::Unknown(error) => return Err(error),
        }
        tracing::info!(nonce, fee = request.max_fee_per_gas, "a stuck transaction is replaced");
        Ok(true)
    }

    /// The transaction of a nonce, if enough blocks have passed it by.
    fn waiting(&self, nonce: u64, head: u64, blocks: u64) -> Option<Bid> {
        let mut bids = self.bids.lock();
        // Who waits for one that is mined finds its receipt before so many others are.
        bids.retain(|kept, _| kept.saturating_add(KEPT) >= nonce);
        // What an earlier process has sent under a nonce before ours, nobody here can send again.
        // Nothing hangs on it: whoever meant something by it looks at the chain and sends it anew.
        if !bids.contains_key(&nonce)
            && let Some((_, ours)) = bids.last_key_value().filter(|(last, _)| **last > nonce)
        {
            let (request, fee_max) = (self.nothing(&ours.request), ours.fee_max);
            let bid = Bid { request, fee_max, made_at: None, hashes: Vec::new() };
            bids.insert(nonce, bid);
        }
        let bid = bids.get_mut(&nonce)?;
        let made_at = *bid.made_at.get_or_insert(head);
        (head >= made_at.saturating_add(blocks)).then(|| bid.clone())
    }

    /// A transaction that does nothing, at another's price.
    fn nothing(&self, other: &TransactionRequest) -> TransactionRequest {
        TransactionRequest {
            chain_id: other.chain_id,
            max_fee_per_gas: other.max_fee_per_gas,
            max_priority_fee_per_gas: other.max_priority_fee_per_gas,
            ..TransactionRequest::default()
                .with_from(self.account())
                .with_to(self.account())
                .with_value(U256::ZERO)
                .with_gas_limit(TRANSFER_GAS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bids_rise_by_more_than_a_tenth_and_end_at_the_bound() {
        let request = TransactionRequest {
            max_fee_per_gas: Some(100),
            max_priority_fee_per_gas: Some(0),
            ..TransactionRequest::default()
        };
        let bids = Bids::default();
        bids.put(7, request, B256::ZERO);
        let mut bid = bids.lock().remove(&7).expect("put");
        let mut times = 0;
        while let Some(higher) = bid.raised((0, 0)) {
            let (old, new) = (bid.request.max_fee_per_gas, higher.max_fee_per_gas);
            assert!(new >= old.map(|fee| fee + fee / 10) && new <= Some(1_000), "{old:?} {new:?}");
            assert!(higher.max_priority_fee_per_gas > bid.request.max_priority_fee_per_gas);
            bid.request = higher;
            times += 1;
        }
        assert!(times > 5, "it rose {times} times");
        let market = Bid { fee_max: 1_000, ..bids_of(100) }.raised((5_000, 7)).expect("raised");
        assert_eq!(market.max_fee_per_gas, Some(1_000), "the market's, up to the bound");
        assert_eq!(market.max_priority_fee_per_gas, Some(7));
    }

    fn bids_of(fee: u128) -> Bid {
        let request = TransactionRequest { max_fee_per_gas: Some(fee), ..Default::default() };
        Bid { request, fee_max: 0, made_at: None, hashes: Vec::new() }
    }
}
