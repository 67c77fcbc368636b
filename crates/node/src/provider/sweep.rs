//! The end of a provider's blobs: what only jobs that are over name is removed from its own store.

use std::collections::{BTreeMap, HashSet};

use alloy_primitives::B256;
use assay_market::JobStatus;
use assay_protocol::SignedOrder;
use assay_storage::BlobKind;
use assay_types::BlobRoot;

use crate::Result;
use crate::base::blocking::blocking;
use crate::board::Board;
use crate::board::terms_of;
use crate::chain::contracts::Contracts;

/// How long after its last deadline a job is taken for over, in seconds: a chain may take blocks
/// back for a while.
const OVER_AFTER_SECS: u64 = 600;

/// A blob.
type Name = (BlobKind, [u8; 32]);

/// The orders of a store, as far as they were read.
#[derive(Default)]
pub(crate) struct Sweep {
    /// The last order that was read.
    after: u64,
    /// Orders that are not over.
    open: BTreeMap<B256, SignedOrder>,
    /// What the jobs that are not over name.
    needed: Vec<Name>,
    /// What the others named, and is still to be removed.
    over: Vec<Name>,
}

impl Sweep {
    /// Reads the orders that are new, and what became of those that were not over.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain), [`Error::Store`](crate::Error::Store).
    pub(crate) async fn read(&mut self, contracts: &Contracts, board: &Board) -> Result<()> {
        if board.own_blobs().is_none() {
            return Ok(());
        }
        loop {
            let page = board.orders(self.after)?;
            let Some(&(last, _)) = page.last() else { break };
            for (_, id) in page {
                self.open.extend(board.order(id)?.map(|signed| (id, signed)));
            }
            self.after = last;
        }
        self.needed.clear();
        let mut ended = Vec::new();
        for (id, signed) in &self.open {
            let job = contracts.job(*id).await?;
            let last = match job.status {
                JobStatus::None => Some(signed.order.lockDeadline.to::<u64>()),
                status if status.is_final() => Some(job.deadline),
                _ => None,
            };
            let is_over = last.is_some_and(|last| contracts.now() > last + OVER_AFTER_SECS);
            let names = names_of(signed, job.output);
            if is_over {
                ended.push(*id);
                self.over.extend(names);
            } else {
                self.needed.extend(names);
            }
        }
        ended.iter().for_each(|id| drop(self.open.remove(id)));
        Ok(())
    }

    /// Removes what only jobs name that are over. Gives how many blobs went.
    ///
    /// # Errors
    ///
    /// [`Error::Store`](crate::Error::Store).
    pub(crate) async fn remove(&mut self, board: &Board) -> Result<usize> {
        let Some(blobs) = board.own_blobs().cloned() else { return Ok(0) };
        let needed: HashSet<Name> = self.needed.drain(..).collect();
        let over = std::mem::take(&mut self.over);
        blocking(move || {
            let mut count = 0;
            for (kind, name) in over {
                if !needed.contains(&(kind, name)) && blobs.remove(kind, name)? {
                    count += 1;
                }
            }
            Ok(count)
        })
        .await
    }
}

/// The blobs of a job: its program, what it reads, and its output once that was claimed.
fn names_of(signed: &SignedOrder, output: BlobRoot) -> Vec<Name> {
    let order = &signed.order;
    let mut names = vec![(BlobKind::Program, order.programId.0)];
    let slots = [order.inputRoot.0, order.datasetRoot.0, output.0.0];
    names.extend(slots.map(|root| (BlobKind::Slot, root)));
    if let Ok(terms) = terms_of(signed) {
        let sealed = terms.slots();
        names.extend(sealed.map(|(_, slot)| (BlobKind::Envelope, slot.envelope.0)));
    }
    names
}
