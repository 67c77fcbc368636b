//! The end of what a role has seen at a broker: orders that are over, and what only they name, are
//! removed from its own store.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use alloy_primitives::B256;
use assay_market::JobStatus;
use assay_protocol::SignedOrder;
use assay_storage::BlobKind;
use assay_types::BlobRoot;
use tokio::sync::watch;

use crate::Result;
use crate::base::blocking::blocking;
use crate::board::Board;
use crate::board::terms_of;
use crate::chain::contracts::{Contracts, OVER_AFTER_SECS};

/// How often a role removes what is over from its own store.
pub const SWEEP_EVERY: Duration = Duration::from_secs(600);

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
    /// The others, still to be removed.
    ended: Vec<B256>,
    /// What they named.
    over: Vec<Name>,
}

/// Removes what is over, until told to stop. Nothing is bound while `binding` is held.
pub(crate) async fn keep_sweeping(
    contracts: &Contracts,
    board: &Board,
    every: Duration,
    binding: &tokio::sync::Mutex<()>,
    mut stop: watch::Receiver<bool>,
) {
    let mut sweep = Sweep::default();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = contracts.env().sleep(every) => {}
        }
        match sweep.turn(contracts, board, binding).await {
            Ok((0, 0)) => {}
            Ok((orders, blobs)) => tracing::info!(orders, blobs, "what is over was removed"),
            Err(error) => tracing::warn!(%error, "what is over could not be removed"),
        }
    }
}

impl Sweep {
    /// Removes what is over now. Gives how many orders and blobs went.
    async fn turn(
        &mut self,
        contracts: &Contracts,
        board: &Board,
        binding: &tokio::sync::Mutex<()>,
    ) -> Result<(usize, usize)> {
        // Once without stopping anything, so that the second time there is little left to ask.
        self.read(contracts, board).await?;
        let _turn = binding.lock().await;
        self.read(contracts, board).await?;
        Ok((self.remove_orders(board).await?, self.remove_blobs(board).await?))
    }

    /// Reads the orders that are new, and what became of those that were not over.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain), [`Error::Store`](crate::Error::Store).
    async fn read(&mut self, contracts: &Contracts, board: &Board) -> Result<()> {
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
        let before = self.ended.len();
        for (id, signed) in &self.open {
            let job = contracts.job(*id).await?;
            let last = match job.status {
                JobStatus::None => Some(signed.order.lockDeadline.to::<u64>()),
                // Its games go on, for the bounty: their players need what they play about.
                JobStatus::Silent if contracts.has_open_games(*id).await? => None,
                status if status.is_final() => Some(job.deadline),
                _ => None,
            };
            let last = last.map(|last| last.saturating_add(OVER_AFTER_SECS));
            let is_over = last.is_some_and(|last| contracts.has_passed(last));
            let names = names_of(signed, job.output);
            if is_over {
                self.ended.push(*id);
                self.over.extend(names);
            } else {
                self.needed.extend(names);
            }
        }
        self.ended[before..].iter().for_each(|id| drop(self.open.remove(id)));
        Ok(())
    }

    /// Removes orders that are over, with all that is kept about them. Gives how many went.
    ///
    /// # Errors
    ///
    /// [`Error::Store`](crate::Error::Store).
    async fn remove_orders(&mut self, board: &Board) -> Result<usize> {
        let mut count = 0;
        while let Some(id) = self.ended.last() {
            count += usize::from(board.remove_order(*id).await?);
            self.ended.pop();
        }
        Ok(count)
    }

    /// Removes what only jobs name that are over. Gives how many blobs went.
    ///
    /// # Errors
    ///
    /// [`Error::Store`](crate::Error::Store).
    async fn remove_blobs(&mut self, board: &Board) -> Result<usize> {
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
