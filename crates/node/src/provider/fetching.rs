//! Fetching what a job reads before it is locked, and what that may cost: whoever posts an order
//! has paid nothing yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy_primitives::{Address, B256};
use assay_contracts::Market;
use assay_machine::slot;
use assay_market::Reason;
use assay_merkle::empty_slot;
use assay_protocol::SignedOrder;
use assay_types::{BlobRoot, Hash};
use tokio::sync::Semaphore;

use crate::board::{FetchedSlot, terms_of};
use crate::provider::Provider;
use crate::{Error, Result};

/// How many orders' files are fetched at once.
const AT_ONCE: usize = 2;

/// What the files of orders that are not locked may take, of all requesters and of one, in bytes.
const SIZE_MAX: u64 = 4 << 30;
const SIZE_OF_ONE_MAX: u64 = 1 << 30;

/// What a page of an input takes of memory while its job runs, in bytes: itself, its hashes, and
/// what is copied so that any step can be shown.
const PAGE_COST: u64 = 5 * 4096;

/// What was fetched for orders that are not locked.
pub(super) struct Fetched {
    turns: Semaphore,
    orders: Mutex<BTreeMap<B256, (Address, u64)>>,
}

impl Fetched {
    /// Nothing.
    pub(super) fn new() -> Self {
        Fetched { turns: Semaphore::new(AT_ONCE), orders: Mutex::default() }
    }

    fn has(&self, id: B256) -> bool {
        self.orders().contains_key(&id)
    }

    /// How much more may be fetched for a requester, in bytes.
    fn room(&self, requester: Address) -> u64 {
        let orders = self.orders();
        let of = |is: &dyn Fn(&Address) -> bool| -> u64 {
            let sizes = orders.values().filter(|(whose, _)| is(whose)).map(|(_, size)| *size);
            sizes.fold(0, u64::saturating_add)
        };
        let all = SIZE_MAX.saturating_sub(of(&|_| true));
        all.min(SIZE_OF_ONE_MAX.saturating_sub(of(&|whose| *whose == requester)))
    }

    fn put(&self, id: B256, requester: Address, size: u64) {
        self.orders().insert(id, (requester, size));
    }

    /// An order is locked, or nothing comes of it.
    pub(super) fn remove(&self, id: B256) {
        self.orders().remove(&id);
    }

    fn orders(&self) -> MutexGuard<'_, BTreeMap<B256, (Address, u64)>> {
        // Each change is whole, so a panic elsewhere spoils nothing.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider {
    /// Fetches what the job reads and checks it: what can't be run can't be claimed. What is sealed
    /// is checked at its `begin`; until then it must at least be here. Nothing is loaded: only a
    /// lock is worth the memory.
    pub(super) async fn fetch(&self, id: B256, signed: &SignedOrder) -> Result<Option<Reason>> {
        if self.fetched.has(id) {
            return Ok(None);
        }
        let turn = self.fetched.turns.acquire().await;
        let _turn = turn.unwrap_or_else(|_| unreachable!("nobody closes it"));
        let order = &signed.order;
        if let Some(reason) = self.disk_small(order).await? {
            return Ok(Some(reason));
        }
        let fetched = match terms_of(signed)?.is_sealed() {
            true => self.fetch_sealed(signed).await,
            false => self.fetch_slots(order).await,
        };
        match fetched {
            Ok(size) => {
                self.fetched.put(id, order.requester, size);
                Ok(None)
            }
            Err(Unfetched::For(reason)) => Ok(Some(reason)),
            Err(Unfetched::By(error)) => Err(*error),
        }
    }

    /// The program and the public inputs of a job: their size in bytes.
    async fn fetch_slots(&self, order: &Market::Order) -> Result<u64, Unfetched> {
        self.board.program(order).await?;
        let mut all = FetchedSlot::default();
        for root in [order.inputRoot, order.datasetRoot] {
            let root = BlobRoot(Hash(root.0));
            if root == empty_slot() {
                continue;
            }
            let slot = self.board.fetch_slot(root).await?;
            let FetchedSlot { size, pages } = slot.ok_or(Reason::InputMissing { root })?;
            all = FetchedSlot { size: all.size + size, pages: all.pages + pages };
            // Looked at after each, so that no order brings more than one slot over it.
            let needed_size = u64::from(all.pages) * PAGE_COST;
            let free_size = self.plan.memory_max / self.plan.runs_at_once.max(1) as u64;
            if needed_size > free_size {
                return Err(Reason::MemorySmall { needed_size, free_size }.into());
            }
        }
        let free_size = self.fetched.room(order.requester);
        if all.size > free_size {
            return Err(Reason::DiskSmall { needed_size: all.size, free_size }.into());
        }
        Ok(all.size)
    }

    /// What can be known of a sealed job before its lock: that its program runs and its envelopes
    /// are there. They are kept here from now on: who has locked pays if they vanish elsewhere.
    /// Gives their size in bytes.
    async fn fetch_sealed(&self, signed: &SignedOrder) -> Result<u64, Unfetched> {
        let order = &signed.order;
        let terms = terms_of(signed)?;
        let size = terms.slots().map(|(_, sealed)| sealed.bytes).fold(0, u64::saturating_add);
        let free_size = self.fetched.room(order.requester);
        if size > free_size {
            return Err(Reason::DiskSmall { needed_size: size, free_size }.into());
        }
        for (number, sealed) in terms.slots() {
            if self.board.envelope(sealed.envelope).await?.is_none() {
                let is_input = u32::from(number) == slot::INPUT;
                let root = if is_input { order.inputRoot } else { order.datasetRoot };
                return Err(Reason::InputMissing { root: BlobRoot(Hash(root.0)) }.into());
            }
        }
        self.board.program(order).await?;
        Ok(size)
    }

    /// Whether the job's files may not fit: what of its inputs is not here yet, and its output at
    /// its largest.
    async fn disk_small(&self, order: &Market::Order) -> Result<Option<Reason>> {
        let Some(free_size) = self.board.free_size().await? else { return Ok(None) };
        let needed_size = self.board.size_needed(order).await?;
        let needed_size = needed_size.saturating_add(self.plan.disk_free_min);
        Ok((free_size < needed_size).then_some(Reason::DiskSmall { needed_size, free_size }))
    }
}

/// Why a job's files are not here: for something of the order, or by a failure.
enum Unfetched {
    For(Reason),
    By(Box<Error>),
}

impl From<Reason> for Unfetched {
    fn from(reason: Reason) -> Self {
        Unfetched::For(reason)
    }
}

impl From<Error> for Unfetched {
    fn from(error: Error) -> Self {
        match error {
            Error::Program { id, cause } => {
                Unfetched::For(Reason::ProgramInvalid { program: id, cause: cause.into() })
            }
            Error::InputMissing { root } => Unfetched::For(Reason::InputMissing { root }),
            Error::InputMismatch { root, found } => {
                Unfetched::For(Reason::InputMismatch { root, found })
            }
            other => Unfetched::By(Box::new(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_unlocked_orders_may_take_is_bounded_for_each_and_for_all() {
        let fetched = Fetched::new();
        let requester = Address::with_last_byte;
        fetched.put(B256::with_last_byte(1), requester(1), SIZE_OF_ONE_MAX - 10);
        assert_eq!(fetched.room(requester(1)), 10);
        assert_eq!(fetched.room(requester(2)), SIZE_OF_ONE_MAX);
        for number in 2..=4 {
            fetched.put(B256::with_last_byte(number), requester(number), SIZE_OF_ONE_MAX);
        }
        assert_eq!(fetched.room(requester(9)), 10, "of all together");
        fetched.remove(B256::with_last_byte(1));
        assert_eq!(fetched.room(requester(1)), SIZE_OF_ONE_MAX, "a lock makes room");
    }
}
