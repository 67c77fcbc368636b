//! What a broker is given wrongly, and what it does when it dies.

mod common;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use assay_broker::{Accounts, Broker, Limits, Rate, serve};
use assay_broker_client::{Access, BrokerClient, BrokerClientConfig};
use assay_chain::SystemClock;
use assay_protocol::{ProblemKind, SignedOrder};
use assay_storage::FileBlobs;
use common::{
    Ask, Fixture, NOW, Setup, deployment, http, key, kind, order, reopen, slot, unsigned,
};

async fn post(fixture: &Fixture, path: &str, body: impl Into<Vec<u8>>) -> ProblemKind {
    let request = http().post(fixture.url(path)).header("content-type", "application/json");
    kind(request.body(body.into()).send().await.expect("sent")).await
}

#[tokio::test]
async fn bad_requests_are_named() {
    let fixture = Fixture::new().await;
    let get = async |path: &str| kind(fixture.get(path).await).await;
    assert_eq!(get("/v2").await, ProblemKind::PathUnknown);
    assert_eq!(get("/v1/orders?limit=0").await, ProblemKind::ParameterMalformed);
    assert_eq!(get("/v1/orders?after=-1").await, ProblemKind::ParameterMalformed);
    assert_eq!(get("/v1/orders/0x12").await, ProblemKind::ParameterMalformed);
    assert_eq!(get(&format!("/v1/orders/{:064x}", 1)).await, ProblemKind::OrderUnknown);
    assert_eq!(get(&format!("/v1/slots/{:064x}", 1)).await, ProblemKind::BlobUnknown);
    let deleted = http().delete(fixture.url("/v1/orders")).send().await.expect("sent");
    assert_eq!(kind(deleted).await, ProblemKind::MethodUnknown);
    let untyped = http().post(fixture.url("/v1/orders")).body("{}").send().await.expect("sent");
    assert_eq!(kind(untyped).await, ProblemKind::ContentType);
    assert_eq!(post(&fixture, "/v1/orders", "{").await, ProblemKind::BodyMalformed);
    let large = vec![b' '; (16 << 10) + 1];
    assert_eq!(post(&fixture, "/v1/orders", large).await, ProblemKind::BodyTooLarge);
    assert_eq!(fixture.client().health().await.expect("it goes on").newest, 0);
}

#[tokio::test]
async fn orders_that_nobody_could_lock_are_refused() {
    let fixture = Fixture::new().await;
    let put = async |signed: &SignedOrder| {
        post(&fixture, "/v1/orders", serde_json::to_vec(signed).expect("written")).await
    };
    let mut forged = order(1, 1);
    forged.order.stepLimit += 1;
    assert_eq!(put(&forged).await, ProblemKind::SignatureInvalid, "another content");
    let mut forged = order(1, 1);
    forged.order.requester = key(2).address();
    assert_eq!(put(&forged).await, ProblemKind::SignatureInvalid, "another's account");
    let mut short = order(1, 1);
    short.signature = short.signature.slice(..64);
    assert_eq!(put(&short).await, ProblemKind::AccountUnsupported);
    let mut elsewhere = deployment();
    elsewhere.chain_id += 1;
    let foreign = SignedOrder::sign(unsigned(key(1).address(), 1), &elsewhere, &key(1));
    assert_eq!(put(&foreign.expect("signed")).await, ProblemKind::SignatureInvalid);
    fixture.clock.set(NOW + 3_601);
    assert_eq!(put(&order(1, 1)).await, ProblemKind::OrderExpired);
}

#[tokio::test]
async fn only_signed_uploads_of_what_the_name_says_are_taken() {
    let fixture = Fixture::new().await;
    let (root, image) = slot(b"content");
    let path = format!("/v1/slots/0x{root}");
    let put = async |path: &str, expires: u64, signed: &[u8], body: &[u8]| {
        let ask = Ask::binary("PUT", path, body.to_vec());
        kind(fixture.send(Ask { expires, signed_body: Some(signed.to_vec()), ..ask }).await).await
    };
    let bare = http().put(fixture.url(&path)).header("content-type", "application/octet-stream");
    let bare = bare.body(image.clone()).send().await.expect("sent");
    assert_eq!(kind(bare).await, ProblemKind::RequestUnsigned);
    assert_eq!(put(&path, NOW - 1, &image, &image).await, ProblemKind::RequestExpired);
    assert_eq!(put(&path, NOW + 901, &image, &image).await, ProblemKind::RequestExpired);
    assert_eq!(put(&path, NOW + 9, b"other", &image).await, ProblemKind::DigestMismatch);
    let other = format!("/v1/slots/{:064x}", 5);
    assert_eq!(put(&other, NOW + 9, &image, &image).await, ProblemKind::BlobMismatch);
    assert_eq!(put(&path, NOW + 9, b"none", b"none").await, ProblemKind::BlobMismatch);
    let program = format!("/v1/programs/{:064x}", 5);
    assert_eq!(put(&program, NOW + 9, b"no ELF", b"no ELF").await, ProblemKind::BlobMismatch);
}

#[tokio::test]
async fn an_operator_says_whose_writes_it_takes_and_whom_it_serves_at_all() {
    let [first, second] = [1, 2].map(|number| key(number).address());
    let of = async |accounts: Accounts| {
        let limits = Limits { accounts, ..Setup::default().limits };
        Fixture::with(Setup { limits, ..Setup::default() }).await
    };
    let (root, image) = slot(b"content");
    let path = format!("/v1/slots/0x{root}");
    let put = async |fixture: &Fixture, number: u64| {
        let ask = Ask::binary("PUT", &path, image.clone());
        let ask = Ask { access: Access::new(&key(number)), ..ask };
        fixture.send(ask).await
    };
    let listing = of(Accounts { listed: Some([first].into()), ..Accounts::default() }).await;
    listing.client().post_order(&order(1, 1)).await.expect("it is listed");
    let stranger = listing.client().post_order(&order(2, 1)).await;
    assert_eq!(common::refused(stranger), ProblemKind::AccountUnlisted);
    assert!(put(&listing, 1).await.status().is_success());
    assert_eq!(kind(put(&listing, 2).await).await, ProblemKind::AccountUnlisted);

    let banning = of(Accounts { listed: None, banned: [second].into() }).await;
    banning.client().post_order(&order(1, 1)).await.expect("anyone else is served");
    let banned = banning.client().post_order(&order(2, 1)).await;
    assert_eq!(common::refused(banned), ProblemKind::AccountUnlisted);
    assert_eq!(kind(put(&banning, 2).await).await, ProblemKind::AccountUnlisted);
}

#[tokio::test]
async fn rates_are_kept_by_address_and_by_account() {
    let slow = Rate { per_sec: 1, burst: 3 };
    let limits = Limits { rate_per_account: slow, ..Setup::default().limits };
    let fixture = Fixture::with(Setup { limits, ..Setup::default() }).await;
    for nonce in 0..3 {
        fixture.client().post_order(&order(1, nonce)).await.expect("within the burst");
    }
    let fourth = fixture.client().post_order(&order(1, 4)).await;
    assert_eq!(common::refused(fourth), ProblemKind::RateExceeded);
    fixture.client().post_order(&order(2, 1)).await.expect("another account has its own");

    let limits = Limits { rate_per_address: slow, ..Setup::default().limits };
    let fixture = Fixture::with(Setup { limits, ..Setup::default() }).await;
    for _ in 0..3 {
        fixture.client().health().await.expect("within the burst");
    }
    let answer = http().get(fixture.url("/v1/health")).send().await.expect("sent");
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(kind(answer).await, ProblemKind::RateExceeded);
}

/// The broker dies and returns while orders come in: what was acknowledged is there, once, and a
/// follower sees each once.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_broker_dies_under_load() {
    const POSTERS: u64 = 4;
    const DEATHS: usize = 5;
    let Fixture { folder, clock, server, book, broker, watch } = Fixture::new().await;
    // It would keep the book open.
    drop(watch);
    drop(broker);
    let address = server.address();
    let config = BrokerClientConfig {
        retries: 50,
        retry_pause: Duration::from_millis(10),
        retry_pause_max: Duration::from_millis(50),
        ..BrokerClientConfig::default()
    };
    let client =
        BrokerClient::with_config(&server.url(), deployment(), &key(1), config, SystemClock)
            .expect("a URL");
    let client = client.with_clock(clock.clone());
    let follower = tokio::spawn({
        let mut follow = client.follow(0);
        async move {
            let mut seen = Vec::new();
            while let Ok(next) = tokio::time::timeout(Duration::from_secs(5), follow.next()).await {
                seen.push(next.expect("followed").job_id);
            }
            seen
        }
    });
    let stop = Arc::new(AtomicBool::new(false));
    let mut posters = Vec::new();
    for number in 0..POSTERS {
        let (client, stop) = (client.clone(), stop.clone());
        posters.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            let mut nonce = 0;
            while !stop.load(Ordering::Relaxed) {
                let (posted, _) = client.post_order(&order(number, nonce)).await.expect("posted");
                acknowledged.push((posted.job_id, posted.sequence));
                nonce += 1;
            }
            acknowledged
        }));
    }
    let mut parts = Some((server, book));
    for _ in 0..DEATHS {
        tokio::time::sleep(Duration::from_millis(200)).await;
        // Requests under way are cut off, answered or not.
        drop(parts.take());
        let book = reopen(&folder.path().join("book.redb")).await;
        let blobs = FileBlobs::open(folder.path().join("blobs"), 1 << 30).expect("opened");
        let limits = Setup::default().limits;
        let broker = Broker::new(book.clone(), blobs, deployment(), limits, clock.clone());
        parts = Some((serve(address, broker.router()).await.expect("served again"), book));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for poster in posters {
        acknowledged.extend(poster.await.expect("a poster"));
    }
    assert!(acknowledged.len() > 100, "{}: this would show little", acknowledged.len());
    for (id, sequence) in &acknowledged {
        let found = client.order(*id).await.expect("asked").expect("an acknowledged order is lost");
        assert_eq!(found.sequence, *sequence);
    }
    let mut seen = follower.await.expect("the follower");
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count, "an order came twice");
    for (id, _) in &acknowledged {
        assert!(seen.binary_search(id).is_ok(), "the follower missed an order");
    }
}
