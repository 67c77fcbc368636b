//! Retention: removing what a broker no longer has to keep (spec/broker.md#what-is-kept).

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use assay_contracts::Market;
use assay_protocol::SignedOrder;
use assay_storage::{BlobKind, Blobs, Kind, OrderBook};
use assay_types::Hash;
use tokio::sync::watch;

use crate::broker::Broker;
use crate::error::Failure;

/// How long an order is kept after its job's last possible end, and a blob that nothing names, in
/// seconds: the default.
pub const KEEP_SECS: u64 = 30 * 86_400;

/// How often a broker looks for what it may remove, at the most.
const PAUSE: Duration = Duration::from_secs(3_600);

/// Entries that are looked at in one go.
const PAGE: usize = 500;

/// What in the book may name a blob.
const NAMING: [Kind; 4] = [Kind::Order, Kind::Offer, Kind::Dataset, Kind::OwnerDocument];

/// How much was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Orders, with their refusals and wraps.
    pub orders: u64,
    /// Blobs.
    pub blobs: u64,
}

impl Broker {
    /// Removes what is old, now and again, until told to stop. What fails is tried again next time.
    pub async fn run_retention(&self, keep_secs: u64, mut stop: watch::Receiver<bool>) {
        let pause = PAUSE.min(Duration::from_secs(keep_secs.max(1)));
        loop {
            match self.remove_old(keep_secs).await {
                Ok(Removed { orders, blobs }) => {
                    tracing::info!(orders, blobs, "old orders and blobs were removed")
                }
                Err(problem) => {
                    tracing::warn!(%problem, "old entries could not all be removed; trying again later")
                }
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Removes the orders whose jobs ended at least `keep_secs` ago, with their refusals and wraps,
    /// then the blobs that nothing in the book names and nobody has put or asked for since. Never
    /// touches the log.
    ///
    /// # Errors
    ///
    /// [`ProblemKind::Internal`](assay_protocol::ProblemKind::Internal) if the store fails.
    pub async fn remove_old(&self, keep_secs: u64) -> Result<Removed, Failure> {
        let time = self.app().now().saturating_sub(keep_secs);
        let orders = self.remove_orders(time).await?;
        let removed = self.app().blocking(move |app| remove_blobs(&*app.book, &*app.blobs, time));
        Ok(Removed { orders, blobs: removed.await?? })
    }

    async fn remove_orders(&self, time: u64) -> Result<u64, Failure> {
        let (mut removed, mut after) = (0, 0);
        loop {
            let page = self.app().blocking(move |app| app.book.orders(after, PAGE)).await??;
            let Some(last) = page.last() else { return Ok(removed) };
            after = last.sequence;
            for entry in page {
                let order = serde_json::from_slice::<SignedOrder>(&entry.body);
                if order.is_ok_and(|signed| ends_at(&signed.order) < time)
                    && self.app().book.remove_order(entry.key).await?
                {
                    removed += 1;
                }
            }
        }
    }
}

/// When a job of this order has ended, whenever it was locked; disputes and a window that follows
/// a long claim aside, for which the time that it is kept has to do.
fn ends_at(order: &Market::Order) -> u64 {
    let secs = [order.beginSecs, order.runSecs, order.windowSecs].map(u64::from);
    order.lockDeadline.to::<u64>() + secs.iter().sum::<u64>()
}

fn remove_blobs(book: &dyn OrderBook, blobs: &dyn Blobs, time: u64) -> assay_storage::Result<u64> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
    let mut unnamed = BTreeSet::new();
    for kind in BlobKind::ALL {
        unnamed.extend(blobs.older_than(kind, time)?);
    }
    for kind in NAMING {
        let mut after = 0;
        while let page = book.entries(kind, after, PAGE)?
            && let Some(last) = page.last()
        {
            after = last.sequence;
            page.iter().flat_map(|entry| names_in(&entry.body)).for_each(|name| {
                unnamed.remove(&name);
            });
        }
    }
    let mut removed = 0;
    for kind in BlobKind::ALL {
        for name in &unnamed {
            // Whoever has been told meanwhile that it is there has touched it.
            removed += u64::from(blobs.remove_older(kind, *name, time)?);
        }
    }
    Ok(removed)
}

/// Whatever looks like a blob's name, whichever document it stands in: 64 hexadecimal digits. One
/// too many is only kept for longer.
fn names_in(body: &[u8]) -> impl Iterator<Item = [u8; 32]> {
    let words = body.split(|byte| !byte.is_ascii_hexdigit()).filter(|word| word.len() == 64);
    words.filter_map(|word| Some(std::str::from_utf8(word).ok()?.parse::<Hash>().ok()?.0))
}
