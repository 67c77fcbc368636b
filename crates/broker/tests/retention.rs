//! What a broker no longer keeps, and what it must.

mod common;
mod watch;

use alloy_primitives::{B256, aliases::U40};
use assay_broker::Removed;
use assay_protocol::{JsonObject, KeyWrap, ProblemKind, SignedOrder, SignedWrap};
use assay_storage::Kind;
use assay_types::Clock;
use assay_types::sha256;
use common::{Fixture, deployment, key, refused, unsigned};

/// So long that files of today are old, whenever this runs.
const YEARS_SECS: u64 = 50 * 365 * 86_400;

fn digest(bytes: &[u8]) -> B256 {
    B256::new(sha256(bytes).0)
}

/// An order that may be locked for an hour, whose terms name an envelope.
fn naming(fixture: &Fixture, nonce: u64, envelope: B256) -> SignedOrder {
    let terms: JsonObject =
        format!("{{\"envelope\":\"{envelope:x}\"}}").parse().expect("an object");
    let mut order = unsigned(key(1).address(), nonce);
    order.lockDeadline = U40::from(fixture.clock.unix_secs() + 3_600);
    order.termsHash = SignedOrder::terms_hash(Some(&terms));
    SignedOrder::sign_with(order, Some(terms), &deployment(), &key(1)).expect("signed")
}

async fn give_key(fixture: &Fixture, job_id: B256) {
    let (owner, recipient) = (key(1).address(), key(5).address());
    let wrap = KeyWrap { job_id, owner, recipient, slot: 2, wrap: b"a key".to_vec().into() };
    let signed = SignedWrap::sign(&wrap, &deployment(), &key(1)).expect("signed");
    fixture.client().put_wrap(&wrap, &signed).await.expect("put");
}

#[tokio::test]
async fn what_is_long_over_goes_and_nothing_else() {
    const KEEP_SECS: u64 = 10;
    let fixture = Fixture::new().await;
    let client = fixture.client();
    let [old, wanted, unnamed] = [&b"old"[..], b"wanted", b"unnamed"];
    for envelope in [old, wanted, unnamed] {
        client.put_envelope(digest(envelope), envelope.to_vec()).await.expect("put");
    }
    let over = naming(&fixture, 1, digest(old));
    client.post_order(&over).await.expect("posted");
    give_key(&fixture, over.job_id(&deployment())).await;
    fixture.clock.advance(YEARS_SECS);
    let current = naming(&fixture, 2, digest(wanted));
    client.post_order(&current).await.expect("posted");
    let current = current.job_id(&deployment());
    give_key(&fixture, current).await;

    let removed = fixture.broker.remove_old(KEEP_SECS).await.expect("removed");
    assert_eq!(removed, Removed { orders: 1, blobs: 2 });
    let gone = over.job_id(&deployment());
    assert_eq!(client.order(gone).await.expect("asked"), None, "it is long over");
    assert_eq!(fixture.book.len(Kind::Wrap).expect("read"), 1, "its wraps go with it");
    assert!(client.order(current).await.expect("asked").is_some(), "it may still be locked");
    let there = async |envelope| client.envelope(digest(envelope)).await.expect("asked").is_some();
    assert!(there(wanted).await, "a provider waits for what an order names");
    assert!(!there(old).await && !there(unnamed).await, "nothing names them");
    let again = client.post_order(&over).await;
    assert_eq!(refused(again), ProblemKind::OrderExpired, "it does not come back");

    // Not when it can't be locked any more, but when its job must have ended, and then some: 1
    // hour, 660 seconds, 10 seconds.
    fixture.clock.advance(3_600 + 660 + KEEP_SECS);
    let none = Removed { orders: 0, blobs: 0 };
    assert_eq!(
        fixture.broker.remove_old(KEEP_SECS).await.expect("removed"),
        none,
        "a job may just end"
    );
    fixture.clock.advance(1);
    let removed = fixture.broker.remove_old(KEEP_SECS).await.expect("removed");
    assert_eq!(removed, Removed { orders: 1, blobs: 1 });
    assert_eq!(fixture.book.len(Kind::Wrap).expect("read"), 0);
    assert_eq!(fixture.broker.remove_old(KEEP_SECS).await.expect("removed"), none);
}
