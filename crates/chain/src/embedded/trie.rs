//! The Merkle-Patricia tries of the state, kept in memory.
//!
//! Nothing here is stored: the tries are rebuilt from the flat tables when a chain opens, and the
//! root must then equal the last header's, so every start is also a check of the whole state. A
//! path that changes forgets its cached hashes; the root recomputes only those.

use std::collections::HashMap;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount, TrieMask};

/// The account trie and the storage trie of each account that has one.
#[derive(Default)]
pub(crate) struct StateTrie {
    accounts: Trie,
    storage: HashMap<Address, Trie>,
}

impl StateTrie {
    /// Sets one storage slot; zero removes it. The account itself must be set afterwards.
    pub(crate) fn set_slot(&mut self, address: Address, slot: U256, value: U256) {
        let key = keccak256(slot.to_be_bytes::<32>());
        if value.is_zero() {
            if let Some(trie) = self.storage.get_mut(&address) {
                trie.remove(key);
            }
        } else {
            self.storage.entry(address).or_default().insert(key, alloy_rlp::encode(value));
        }
    }

    /// Forgets all storage of an account.
    pub(crate) fn wipe_storage(&mut self, address: Address) {
        self.storage.remove(&address);
    }

    /// Sets one account, with the storage root as its slots stand now.
    pub(crate) fn set_account(
        &mut self,
        address: Address,
        nonce: u64,
        balance: U256,
        code_hash: B256,
    ) {
        let account = TrieAccount::new(nonce, balance, self.storage_root(address), code_hash);
        self.accounts.insert(keccak256(address), alloy_rlp::encode(account));
    }

    /// Removes an account and its storage.
    pub(crate) fn remove_account(&mut self, address: Address) {
        self.wipe_storage(address);
        self.accounts.remove(keccak256(address));
    }

    /// The root of one account's storage.
    pub(crate) fn storage_root(&mut self, address: Address) -> B256 {
        self.storage.get_mut(&address).map_or(EMPTY_ROOT_HASH, Trie::root)
    }

    /// The state root.
    pub(crate) fn root(&mut self) -> B256 {
        self.accounts.root()
    }

    /// The nodes from the state root to an account, or to where it is absent.
    pub(crate) fn account_proof(&mut self, address: Address) -> Vec<Bytes> {
        self.accounts.proof(keccak256(address))
    }

    /// The nodes from an account's storage root to a slot, or to where it is absent.
    pub(crate) fn slot_proof(&mut self, address: Address, slot: U256) -> Vec<Bytes> {
        let key = keccak256(slot.to_be_bytes::<32>());
        self.storage.get_mut(&address).map_or_else(Vec::new, |trie| trie.proof(key))
    }
}

/// One trie with 32-byte keys, so that no branch ever holds a value.
#[derive(Default)]
struct Trie {
    root: Option<Box<Node>>,
}

struct Node {
    kind: Kind,
    /// How the parent refers to this node; none after a change below.
    reference: Option<RlpNode>,
}

enum Kind {
    Leaf { path: Nibbles, value: Vec<u8> },
    Extension { path: Nibbles, child: Box<Node> },
    Branch { children: [Option<Box<Node>>; 16] },
}

impl Trie {
    fn insert(&mut self, key: B256, value: Vec<u8>) {
        let path = Nibbles::unpack(key);
        self.root = Some(match self.root.take() {
            None => Node::leaf(path, value),
            Some(node) => node.insert(path, value),
        });
    }

    fn remove(&mut self, key: B256) {
        self.root = self.root.take().and_then(|node| node.remove(Nibbles::unpack(key)));
    }

    fn root(&mut self) -> B256 {
        let Some(root) = &mut self.root else { return EMPTY_ROOT_HASH };
        let reference = root.reference();
        reference.as_hash().unwrap_or_else(|| keccak256(&reference[..]))
    }

    fn proof(&mut self, key: B256) -> Vec<Bytes> {
        let mut nodes = Vec::new();
        let mut path = Nibbles::unpack(key);
        let mut next = self.root.as_deref_mut();
        while let Some(node) = next {
            nodes.push(node.encode().into());
            next = match &mut node.kind {
                Kind::Leaf { .. } => None,
                Kind::Extension { path: shared, child } if path.starts_with(shared) => {
                    path = path.slice(shared.len()..);
                    Some(child)
                }
                Kind::Extension { .. } => None,
                Kind::Branch { children } => {
                    let index = usize::from(path.get_unchecked(0));
                    path = path.slice(1..);
                    children[index].as_deref_mut()
                }
            };
        }
        nodes
    }
}

impl Node {
    fn new(kind: Kind) -> Box<Self> {
        Box::new(Self { kind, reference: None })
    }

    fn leaf(path: Nibbles, value: Vec<u8>) -> Box<Self> {
        Self::new(Kind::Leaf { path, value })
    }

    /// `child` below `path`; the path is merged into what can carry it.
    fn extend(path: Nibbles, child: Box<Self>) -> Box<Self> {
        if path.is_empty() {
            return child;
        }
        match child.kind {
            Kind::Leaf { path: rest, value } => Self::leaf(path.join(&rest), value),
            Kind::Extension { path: rest, child } => {
                Self::new(Kind::Extension { path: path.join(&rest), child })
            }
            Kind::Branch { .. } => Self::new(Kind::Extension { path, child }),
        }
    }

    fn insert(self, path: Nibbles, value: Vec<u8>) -> Box<Self> {
        match self.kind {
            Kind::Leaf { path: own, value: _ } if own == path => Self::leaf(path, value),
            Kind::Leaf { path: own, value: old } => {
                let shared = own.common_prefix_length(&path);
                let old = Self::leaf(own.slice(shared + 1..), old);
                let new = Self::leaf(path.slice(shared + 1..), value);
                Self::fork(
                    path.slice(..shared),
                    (own.get_unchecked(shared), old),
                    (path.get_unchecked(shared), new),
                )
            }
            Kind::Extension { path: own, child } => {
                let shared = own.common_prefix_length(&path);
                if shared == own.len() {
                    let child = child.insert(path.slice(shared..), value);
                    return Self::new(Kind::Extension { path: own, child });
                }
                let old = Self::extend(own.slice(shared + 1..), child);
                let new = Self::leaf(path.slice(shared + 1..), value);
                Self::fork(
                    path.slice(..shared),
                    (own.get_unchecked(shared), old),
                    (path.get_unchecked(shared), new),
                )
            }
            Kind::Branch { mut children } => {
                let slot = &mut children[usize::from(path.get_unchecked(0))];
                let rest = path.slice(1..);
                *slot = Some(match slot.take() {
                    None => Self::leaf(rest, value),
                    Some(child) => child.insert(rest, value),
                });
                Self::new(Kind::Branch { children })
            }
        }
    }

    fn fork(shared: Nibbles, left: (u8, Box<Self>), right: (u8, Box<Self>)) -> Box<Self> {
        let mut children: [Option<Box<Self>>; 16] = Default::default();
        for (index, child) in [left, right] {
            children[usize::from(index)] = Some(child);
        }
        Self::extend(shared, Self::new(Kind::Branch { children }))
    }

    fn remove(self: Box<Self>, path: Nibbles) -> Option<Box<Self>> {
        match self.kind {
            Kind::Leaf { path: ref own, .. } => (*own != path).then_some(self),
            Kind::Extension { path: ref own, .. } if !path.starts_with(own) => Some(self),
            Kind::Extension { path: own, child } => {
                child.remove(path.slice(own.len()..)).map(|child| Self::extend(own, child))
            }
            Kind::Branch { mut children } => {
                let slot = &mut children[usize::from(path.get_unchecked(0))];
                *slot = slot.take().and_then(|child| child.remove(path.slice(1..)));
                Self::collapse(children)
            }
        }
    }

    /// A branch that may have been left with one child, or none, in its shortest form.
    fn collapse(mut children: [Option<Box<Self>>; 16]) -> Option<Box<Self>> {
        let mut present = (0..16u8).filter(|index| children[usize::from(*index)].is_some());
        let first = present.next()?;
        if present.next().is_some() {
            return Some(Self::new(Kind::Branch { children }));
        }
        let child = children[usize::from(first)].take()?;
        Some(Self::extend(Nibbles::from_nibbles([first]), child))
    }

    fn reference(&mut self) -> RlpNode {
        if let Some(reference) = &self.reference {
            return reference.clone();
        }
        let reference = RlpNode::from_rlp(&self.encode());
        self.reference = Some(reference.clone());
        reference
    }

    fn encode(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        match &mut self.kind {
            Kind::Leaf { path, value } => LeafNodeRef::new(path, value).encode(&mut out),
            Kind::Extension { path, child } => {
                ExtensionNodeRef::new(path, &child.reference()).encode(&mut out);
            }
            Kind::Branch { children } => {
                let mut mask = 0u16;
                let mut stack = Vec::with_capacity(16);
                for (index, child) in children.iter_mut().enumerate() {
                    if let Some(child) = child {
                        mask |= 1 << index;
                        stack.push(child.reference());
                    }
                }
                BranchNodeRef::new(&stack, TrieMask::new(mask)).encode(&mut out);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy_trie::proof::verify_proof;
    use alloy_trie::root::storage_root_unhashed;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any sequence of writes and removals gives the root that hashing the result at once
        /// gives.
        #[test]
        fn root_equals_the_one_computed_at_once(
            writes in proptest::collection::vec((0u64..40, 0u64..4), 1..200),
        ) {
            let address = Address::ZERO;
            let mut trie = StateTrie::default();
            let mut model = BTreeMap::new();
            for (slot, value) in writes {
                trie.set_slot(address, U256::from(slot), U256::from(value));
                model.insert(B256::from(U256::from(slot)), U256::from(value));
                model.retain(|_, value| !value.is_zero());
                prop_assert_eq!(trie.storage_root(address), storage_root_unhashed(model.clone()));
            }
        }
    }

    #[test]
    fn proofs_verify_for_what_is_there_and_what_is_not() {
        let address = Address::repeat_byte(7);
        let mut trie = StateTrie::default();
        for slot in 0..300u64 {
            trie.set_slot(address, U256::from(slot), U256::from(slot + 1));
        }
        let root = trie.storage_root(address);
        for slot in [0u64, 5, 299, 300, 4000] {
            let expected = (slot < 300).then(|| alloy_rlp::encode(U256::from(slot + 1)));
            let key = Nibbles::unpack(keccak256(U256::from(slot).to_be_bytes::<32>()));
            let proof = trie.slot_proof(address, U256::from(slot));
            verify_proof(root, key, expected, &proof).expect("a proof that a light client accepts");
        }
    }
}
