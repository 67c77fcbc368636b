//! Nonces of requests, remembered until they expire, so that no request is answered twice.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use alloy_primitives::{Address, B256};
use assay_protocol::{Epoch, ProblemKind};

use crate::error::{Fail, Failure};

/// Nonces that a broker remembers at once; more requests wait.
const NONCES_MAX: usize = 1 << 20;

/// Nonces in bounded memory: some 24 bytes each.
pub(crate) struct Nonces {
    epoch: Epoch,
    keys: RandomState,
    used: Mutex<Used>,
}

/// Keyed hashes of account and nonce: nobody can aim at another's, and one in 2^64 meets another's
/// by chance and is sent again.
#[derive(Default)]
struct Used {
    known: HashSet<u64>,
    by_end: BTreeMap<u64, Vec<u64>>,
}

impl Nonces {
    pub(crate) fn new() -> Self {
        let mut epoch = Epoch::ZERO;
        // Without randomness nothing else here would work: hash maps are keyed by the same source.
        getrandom::fill(&mut epoch.0)
            .unwrap_or_else(|error| unreachable!("the system has no randomness: {error}"));
        Nonces { epoch, keys: RandomState::new(), used: Mutex::default() }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether a nonce was made for this start of this broker.
    pub(crate) fn is_fresh(&self, nonce: &B256) -> bool {
        nonce[..16] == self.epoch[..]
    }

    /// Uses a nonce up, once.
    pub(crate) fn spend(
        &self,
        account: Address,
        nonce: B256,
        expires: u64,
        now: u64,
    ) -> Result<(), Failure> {
        let key = self.keys.hash_one((account, nonce));
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.forget_before(now);
        if used.known.len() >= NONCES_MAX {
            return Err(ProblemKind::Busy
                .fail("the broker can't remember more nonces; try again when some have expired"));
        }
        if !used.known.insert(key) {
            return Err(ProblemKind::RequestReplayed.fail("its nonce was used before"));
        }
        used.by_end.entry(expires).or_default().push(key);
        Ok(())
    }
}

impl Used {
    fn forget_before(&mut self, now: u64) {
        while let Some(ended) = self.by_end.first_entry().filter(|first| *first.key() < now) {
            for key in ended.remove() {
                self.known.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_used_once_until_its_request_ends() {
        let nonces = Nonces::new();
        let account = Address::repeat_byte;
        let mut nonce = B256::repeat_byte(7);
        nonce[..16].copy_from_slice(&nonces.epoch()[..]);
        assert!(nonces.is_fresh(&nonce) && !Nonces::new().is_fresh(&nonce));
        let spend = |who, now| {
            let spent = nonces.spend(account(who), nonce, 100, now);
            spent.map_err(|problem| problem.kind().expect("known"))
        };
        assert_eq!(spend(1, 10), Ok(()));
        assert_eq!(spend(1, 100), Err(ProblemKind::RequestReplayed), "to its last second");
        assert_eq!(spend(2, 100), Ok(()), "another account has its own");
        assert_eq!(nonces.used.lock().expect("free").known.len(), 2);
        assert_eq!(nonces.spend(account(3), nonce, 300, 101).map_err(drop), Ok(()));
        assert_eq!(nonces.used.lock().expect("free").known.len(), 1, "what has ended is forgotten");
    }
}
