//! What can't be read stops nobody: neither in a broker's book nor on the way from an older one.

mod common;
mod watch;

use assay_broker_client::Error;
use assay_protocol::{JsonObject, OrderEntry, SignedOrder};
use assay_storage::Kind;
use axum::Router;
use axum::http::Uri;
use axum::routing::get;
use common::{Fixture, client, deployment, key, order, unsigned};

/// Terms as a stranger may write them, which would break the lines of a stream.
const POISON: &str = include_str!("cases/terms-lone-cr.json");

/// An order with terms.
fn with_terms(nonce: u64) -> SignedOrder {
    let terms: JsonObject = "{\"a\":1}".parse().expect("terms");
    let mut order = unsigned(key(1).address(), nonce);
    order.termsHash = SignedOrder::terms_hash(Some(&terms));
    SignedOrder::sign_with(order, Some(terms), &deployment(), &key(1)).expect("signed")
}

/// Its text with poisoned terms, as an older version would have written it.
fn poisoned(text: &str) -> String {
    let (clean, text) = ("{\"a\":1}", text.to_owned());
    assert!(text.contains(clean));
    text.replace(clean, POISON)
}

fn entry(sequence: u64, signed: SignedOrder) -> String {
    let job_id = signed.job_id(&deployment());
    let SignedOrder { order, terms, signature } = signed;
    let entry = OrderEntry { sequence, job_id, order, terms, signature };
    serde_json::to_string(&entry).expect("written")
}

#[tokio::test]
async fn poisoned_terms_are_refused() {
    let fixture = Fixture::new().await;
    let body = poisoned(&serde_json::to_string(&with_terms(1)).expect("written"));
    let request = common::http().post(fixture.url("/v1/orders"));
    let request = request.header("content-type", "application/json").body(body);
    let kind = common::kind(request.send().await.expect("sent")).await;
    assert_eq!(kind, assay_protocol::ProblemKind::BodyMalformed);
    assert_eq!(fixture.client().health().await.expect("asked").newest, 0, "it was kept");
}

#[tokio::test]
async fn what_an_older_broker_kept_hides_nothing_of_the_book() {
    let fixture = Fixture::new().await;
    let client = fixture.client();
    client.post_order(&order(1, 1)).await.expect("posted");
    let old = with_terms(2);
    let body = poisoned(&serde_json::to_string(&old).expect("written"));
    let (id, author) = (old.job_id(&deployment()), key(1).address().into_array());
    fixture.book.put(Kind::Order, id.0, author, body.into_bytes()).await.expect("kept");
    client.post_order(&order(1, 3)).await.expect("posted");

    let page = client.orders_after(0, 10).await.expect("a page");
    let listed: Vec<_> = page.orders.iter().map(|order| order.sequence).collect();
    assert_eq!(listed, [1, 3]);
    let mut follow = client.follow(0);
    for sequence in [1, 3] {
        assert_eq!(follow.next().await.expect("followed").sequence, sequence);
    }
    client.post_order(&order(1, 4)).await.expect("posted");
    assert_eq!(follow.next().await.expect("followed").sequence, 4, "the stream goes on");
}

/// An older broker, as far as a follower sees it.
async fn old_broker(stream: String, page: String) -> String {
    let events = move || async move { ([("content-type", "text/event-stream")], stream) };
    let pages = move |uri: Uri| async move {
        let is_first = uri.query().is_some_and(|query| query.contains("after=0&"));
        if is_first { page } else { "{\"orders\":[],\"next\":null}".to_owned() }
    };
    let router =
        Router::new().route("/v1/orders/events", get(events)).route("/v1/orders", get(pages));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_stream_with_a_poisoned_order_is_followed_past_it() {
    let event =
        |sequence: u64, data: &str| format!("id: {sequence}\nevent: order\ndata: {data}\n\n");
    let stream = [
        event(1, &entry(1, order(1, 1))),
        event(2, &poisoned(&entry(2, with_terms(2)))),
        // Of another market, which its requester has not signed for.
        event(3, &entry(3, order(1, 3)).replace("0xaaaa", "0xaaab")),
        event(4, &entry(4, order(1, 4))).replace('\n', "\r\n"),
    ];
    let url = old_broker(stream.concat(), String::new()).await;
    let mut follow = client(&url).follow(0);
    assert_eq!(follow.next().await.expect("followed").sequence, 1);
    for expected in [2, 3] {
        let skipped = follow.next().await;
        let Err(Error::EntryUnreadable { sequence, .. }) = skipped else { panic!("{skipped:?}") };
        assert_eq!((sequence, follow.after()), (expected, expected));
    }
    assert_eq!(follow.next().await.expect("followed").sequence, 4);
}

#[tokio::test]
async fn where_the_stream_cannot_be_read_pages_are() {
    let entries = [
        entry(1, order(1, 1)),
        poisoned(&entry(2, with_terms(2))),
        "7".to_owned(),
        entry(3, order(1, 3)),
    ];
    let page = format!("{{\"orders\":[{}],\"next\":3}}", entries.join(","));
    for stream in ["data: {\n\n".to_owned(), format!("data: {}", "x".repeat(1 << 17))] {
        let url = old_broker(stream, page.clone()).await;
        let mut follow = client(&url).follow(0);
        let broken = follow.next().await;
        assert!(matches!(broken, Err(Error::BadAnswer { .. })), "{broken:?}");
        assert_eq!(follow.next().await.expect("paged").sequence, 1);
        let skipped = follow.next().await;
        assert!(matches!(skipped, Err(Error::EntryUnreadable { sequence: 2, .. })), "{skipped:?}");
        assert_eq!(follow.next().await.expect("paged").sequence, 3);
        // At the end of the book the stream is tried again.
        let broken = follow.next().await;
        assert!(matches!(broken, Err(Error::BadAnswer { .. })), "{broken:?}");
        assert_eq!(follow.after(), 3);
    }
}
