//! What a broker no longer has to keep (spec/broker.md#what-is-kept).

use crate::{Broker, Failure};
use assay_protocol::SignedOrder;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use assay_contracts::Market;
use assay_storage::{BlobKind, Blobs, Kind, OrderBook};
use assay_types::Hash;
use tokio::sync::watch;

/// How long after its last possible end an order is kept, and a blob that nothing names, in
/// seconds, if nobody says.
pub const KEEP_SECS: u64 = 30 * 86_400;

/// How often a broker cleans, at the most.
const PAUSE: Duration = Duration::from_secs(3_600);

/// Entries that are looked at in one go.
const PAGE: usize = 500;

/// What in the book may name a blob.
const NAMING: [Kind; 4] = [Kind::Order, Kind::Offer, Kind::Dataset, Kind::OwnerDocument];

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Orders, with their refusals and wraps.
    pub orders: u64,
    /// Blobs.
    pub blobs: u64,
}

impl Broker {
    /// Cleans now and again until told to stop. What fails is tried again next time.
    pub async fn keep_clean(&self, keep_secs: u64, mut stop: watch::Receiver<bool>) {
        let pause = PAUSE.min(Duration::from_secs(keep_secs.max(1)));
        loop {
            match self.clean(keep_secs).await {
                Ok(Cleaned { orders, blobs }) => {
                    tracing::info!(orders, blobs, "old ones are removed")
                }
                Err(problem) => tracing::warn!(%problem, "cleaning did not end"),
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Removes the orders that ended that long ago at the latest, with what is about them, then the
    /// blobs that nothing in the book names and nobody has put or asked for since. The log is never
    /// touched.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn clean(&self, keep_secs: u64) -> Result<Cleaned, Failure> {
        let time = self.app().now().saturating_sub(keep_secs);
        let orders = self.remove_orders(time).await?;
        let removed = self.app().blocking(move |app| remove_blobs(&*app.book, &*app.blobs, time));
        Ok(Cleaned { orders, blobs: removed.await?? })
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

/// When a job of this order has ended, whenever it was locked; disputes aside, for which the time
/// that it is kept has to do.
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
