//! That a contract said something: an event, proved up to the header of its block
//! (spec/receipt.md#events).

use alloy_consensus::{Header, ReceiptEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{B256, Bytes, Log, keccak256};
use alloy_rlp::{Decodable, Encodable};
use alloy_trie::proof::{ProofRetainer, verify_proof};
use alloy_trie::{HashBuilder, Nibbles};
use serde::{Deserialize, Serialize};

/// An event, and the path from its receipt to a block header's receipts root. Needs no chain to be
/// checked; who vouches for the header is another question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventProof {
    /// The block's header, RLP; in base64.
    #[serde(with = "base64_bytes")]
    pub header: Bytes,
    /// The transaction's place in the block.
    pub transaction_index: u64,
    /// The trie's nodes from the root to the leaf, which holds the transaction's receipt
    /// (EIP-2718); RLP, in base64.
    #[serde(with = "base64_all")]
    pub nodes: Vec<Bytes>,
    /// The event's place among the receipt's.
    pub log: u32,
}

/// What an [`EventProof`] proves, if the header is a true one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvedEvent {
    /// The block's hash.
    pub block_hash: B256,
    /// Its number.
    pub block_number: u64,
    /// Its time, in Unix seconds.
    pub timestamp: u64,
    /// The event, with the contract that said it.
    pub log: Log,
}

/// Why a proof of an event is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The header does not decode.
    #[error("the block header is none")]
    Header,
    /// The path does not lead from the receipt to the header.
    #[error("the path does not lead from the receipt to the header's receipts root")]
    Path,
    /// The receipt does not decode.
    #[error("the receipt is none")]
    Receipt,
    /// The transaction failed, and so said nothing.
    #[error("the transaction was reverted")]
    Reverted,
    /// The receipt has fewer events.
    #[error("the receipt has no such event")]
    Event,
}

impl EventProof {
    /// Checks the path and gives the event.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`].
    pub fn check(&self) -> Result<ProvedEvent, EvidenceError> {
        let mut rest = &self.header[..];
        let header = Header::decode(&mut rest).map_err(|_| EvidenceError::Header)?;
        // One header has one form, or its hash would not be the block's.
        if !rest.is_empty() || alloy_rlp::encode(&header) != self.header {
            return Err(EvidenceError::Header);
        }
        // What the leaf says is taken from it, and then proved to be at its place.
        let leaf = self.nodes.last().ok_or(EvidenceError::Path)?;
        let value = value_of(leaf).ok_or(EvidenceError::Path)?;
        let place = key(self.transaction_index);
        verify_proof(header.receipts_root, place, Some(value.clone()), &self.nodes)
            .map_err(|_| EvidenceError::Path)?;
        let receipt: ReceiptEnvelope =
            ReceiptEnvelope::decode_2718_exact(&value).map_err(|_| EvidenceError::Receipt)?;
        if !receipt.status() {
            return Err(EvidenceError::Reverted);
        }
        let log = receipt.logs().get(self.log as usize).ok_or(EvidenceError::Event)?.clone();
        let block_hash = keccak256(&self.header);
        let (block_number, timestamp) = (header.number, header.timestamp);
        Ok(ProvedEvent { block_hash, block_number, timestamp, log })
    }
}

/// A leaf's second item. Receipts are longer than a hash, so none lies within a branch.
fn value_of(mut leaf: &[u8]) -> Option<Vec<u8>> {
    let items = Vec::<Bytes>::decode(&mut leaf).ok()?;
    match &items[..] {
        [_, value] if leaf.is_empty() => Some(value.to_vec()),
        _ => None,
    }
}

/// The root of a block's receipts (EIP-2718), and the trie's nodes that lead to one of them.
pub fn prove_receipt(receipts: &[Vec<u8>], index: u64) -> (B256, Vec<Bytes>) {
    let mut leaves: Vec<_> = (0u64..).map(key).zip(receipts).collect();
    leaves.sort();
    let retainer = ProofRetainer::new(vec![key(index)]);
    let mut builder = HashBuilder::default().with_proof_retainer(retainer);
    for (key, receipt) in leaves {
        builder.add_leaf(key, receipt);
    }
    let root = builder.root();
    let nodes = builder.take_proof_nodes().into_nodes_sorted();
    (root, nodes.into_iter().map(|(_, node)| node).collect())
}

fn key(index: u64) -> Nibbles {
    let mut bytes = Vec::new();
    index.encode(&mut bytes);
    Nibbles::unpack(bytes)
}

/// Bytes in base64, which is a third shorter than hexadecimal.
mod base64_bytes {
    use alloy_primitives::Bytes;
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        BASE64_STANDARD.decode(text).map(Bytes::from).map_err(D::Error::custom)
    }
}

/// The same for a list.
mod base64_all {
    use alloy_primitives::Bytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct One(#[serde(with = "super::base64_bytes")] Bytes);

    pub(super) fn serialize<S: Serializer>(all: &[Bytes], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(all.iter().cloned().map(One))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Bytes>, D::Error> {
        let all = Vec::<One>::deserialize(from)?;
        Ok(all.into_iter().map(|One(bytes)| bytes).collect())
    }
}
