//! Every route over a real socket, by the typed client and by plain requests.

mod common;
mod watch;

use assay_broker_client::{Access, BrokerClient, Error};
use assay_chain::SystemClock;
use assay_machine::Program;
use assay_protocol::{
    BROKER_SCHEMA, JsonObject, Offer, OrderEntry, Refusal, SignedOffer, SignedOrder, SignedRefusal,
};
use common::{Ask, Fixture, NOW, client, deployment, http, key, kind, order, slot};
use serde_json::{Value, json};

const ELF: &[u8] = include_bytes!("../../../programs/prebuilt/sha256.elf");

fn object(value: Value) -> JsonObject {
    JsonObject::new(value.as_object().expect("an object"))
}

#[tokio::test]
async fn info() {
    let fixture = Fixture::new().await;
    let info = fixture.client().market().await.expect("info");
    assert_eq!((info.schema.as_str(), info.deployment), (BROKER_SCHEMA, deployment()));
    let health = fixture.client().health().await.expect("health");
    assert_eq!((health.status.as_str(), health.newest), ("ok", 0));
    let mut other = deployment();
    other.market = other.token;
    let client = BrokerClient::new(&fixture.server.url(), other, Access::public(), SystemClock)
        .expect("a URL");
    assert!(matches!(client.market().await, Err(Error::BadAnswer { .. })), "another market");
}

#[tokio::test]
async fn an_order_is_put_once_and_read_back() {
    let fixture = Fixture::new().await;
    let client = fixture.client();
    let signed = order(1, 1);
    let id = signed.job_id(&deployment());
    assert_eq!(client.order(id).await.expect("asked"), None);
    let (first, is_new) = client.post_order(&signed).await.expect("posted");
    assert!(is_new, "201");
    let (again, is_new) = client.post_order(&signed).await.expect("harmless");
    assert!(!is_new, "200");
    assert_eq!(first, again);
    let found = client.order(id).await.expect("asked").expect("there");
    assert_eq!((found.job_id, found.sequence), (id, first.sequence));
    assert_eq!(found.signed(), signed);

    // As plain JSON: names as the contracts spell them, ids with 0x or without.
    let bare = id.to_string().trim_start_matches("0x").to_owned();
    let answer = fixture.get(&format!("/v1/orders/{bare}")).await;
    let answer: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
    assert_eq!(answer["job_id"], id.to_string());
    assert_eq!(answer["order"]["stepLimit"], 1 << 30);
    assert_eq!(answer["order"]["price"]["max"], "0x4c4b40");
}

#[tokio::test]
async fn pages_end() {
    let fixture = Fixture::new().await;
    let client = fixture.client();
    for nonce in 0..7 {
        client.post_order(&order(1, nonce)).await.expect("posted");
    }
    let page = client.orders_after(0, 3).await.expect("a page");
    let sequences = |orders: &[OrderEntry]| orders.iter().map(|o| o.sequence).collect::<Vec<_>>();
    assert_eq!((sequences(&page.orders), page.next), (vec![1, 2, 3], Some(3)));
    let page = client.orders_after(3, 4).await.expect("a page");
    assert_eq!((sequences(&page.orders), page.next), (vec![4, 5, 6, 7], None), "exactly full");
    let page = client.orders_after(7, 4).await.expect("a page");
    assert_eq!((sequences(&page.orders), page.next), (vec![], None));
    let all = fixture.get("/v1/orders").await;
    let all: Value = serde_json::from_str(&all.text().await.expect("a body")).expect("JSON");
    assert_eq!(all["orders"].as_array().map(Vec::len), Some(7), "100 without a limit");
    assert_eq!(all["next"], Value::Null);
}

#[tokio::test]
async fn blobs_are_put_once_and_read_back() {
    let fixture = Fixture::new().await;
    let client = fixture.client();
    let id = Program::from_elf(ELF).expect("a program").id();
    assert_eq!(client.program(id).await.expect("asked"), None);
    assert!(!client.has_program(id).await.expect("asked"));
    assert!(fixture.client_of(1).put_program(id, ELF.to_vec()).await.expect("put"));
    assert!(!fixture.client_of(2).put_program(id, ELF.to_vec()).await.expect("harmless"));
    assert!(client.has_program(id).await.expect("asked"));
    assert_eq!(client.program(id).await.expect("asked").as_deref(), Some(ELF));

    let content: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let (root, image) = slot(&content);
    assert_eq!(client.slot(root).await.expect("asked"), None);
    assert!(client.put_slot(root, image.clone()).await.expect("put"));
    assert!(client.has_slot(root).await.expect("asked"));
    assert_eq!(client.slot(root).await.expect("asked"), Some(image.clone()));

    let path = format!("/v1/slots/0x{root}");
    let head = fixture.send(Ask::new("HEAD", &path)).await;
    assert_eq!(head.headers()["content-length"], image.len().to_string().as_str());
    assert_eq!(head.headers()["content-type"], "application/octet-stream");
    assert_eq!(head.headers()["cache-control"], "private, max-age=31536000, immutable");
    let answer = fixture.send(Ask::binary("PUT", &path, image.clone())).await;
    assert_eq!(answer.status(), 200, "it was there");
    assert_eq!(answer.text().await.expect("a body"), format!("{{\"bytes\":{}}}", image.len()));
}

#[tokio::test]
async fn refusals_are_of_orders_that_are_there() {
    let fixture = Fixture::new().await;
    let client = fixture.client();
    let signed = order(1, 1);
    client.post_order(&signed).await.expect("posted");
    let id = signed.job_id(&deployment());
    let refuse = |number: u64, why: &str| {
        let refusal = Refusal {
            job_id: id,
            provider: key(number).address(),
            reason: object(json!({ "code": why, "price_min": 7 })),
            at: NOW,
        };
        SignedRefusal::sign(refusal, &deployment(), &key(number)).expect("signed")
    };
    let mut expected = Vec::new();
    for (number, why) in [(5, "price"), (6, "stake")] {
        let (_, is_new) =
            fixture.client_of(number).post_refusal(&refuse(number, why)).await.expect("posted");
        assert!(is_new);
        expected.push(refuse(number, why));
    }
    let (_, is_new) =
        fixture.client_of(5).post_refusal(&refuse(5, "other")).await.expect("harmless");
    assert!(!is_new, "a provider's first refusal stays");
    let mut found: Vec<_> = client.refusals(id).await.expect("asked").expect("there");
    found.sort_by_key(|entry| entry.sequence);
    assert_eq!(found.iter().map(|entry| entry.signed()).collect::<Vec<_>>(), expected);
    assert_eq!(client.refusals(id.map_byte()).await.expect("asked"), None, "no such order");
}

trait Other {
    fn map_byte(self) -> Self;
}

impl Other for alloy_primitives::B256 {
    fn map_byte(mut self) -> Self {
        self.0[0] ^= 1;
        self
    }
}

#[tokio::test]
async fn offers_replace_each_other_and_end() {
    let fixture = Fixture::new().await;
    let client = fixture.client_of(5);
    let provider = key(5).address();
    let offer = |text: &str, until| {
        let offer = Offer { offer: text.parse().expect("an object"), until };
        SignedOffer::sign(offer, &deployment(), &key(5)).expect("signed")
    };
    // The text travels as it was signed, spaces and all.
    let first = offer(r#"{"price" : 1.50, "code":"a"}"#, NOW + 100);
    let (put, is_new) = client.put_offer(provider, &first).await.expect("put");
    assert!(is_new);
    let (again, is_new) = client.put_offer(provider, &first).await.expect("harmless");
    assert_eq!((again, is_new), (put, false));
    let second = offer(r#"{"price":2}"#, NOW + 200);
    let (newer, is_new) = client.put_offer(provider, &second).await.expect("put");
    assert!(is_new && newer.sequence > put.sequence);
    let replayed = client.put_offer(provider, &first).await;
    assert_eq!(common::refused(replayed), assay_protocol::ProblemKind::OfferSuperseded);
    let found = client.offers().await.expect("offers");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].provider, found[0].signed()), (provider, second));
    fixture.clock.set(NOW + 201);
    assert!(client.offers().await.expect("offers").is_empty(), "it has ended");
}

#[tokio::test]
async fn a_client_believes_nothing() {
    // A broker that serves an order of another market, where the same has another id and nobody's
    // signature.
    let fixture = Fixture::new().await;
    let mut elsewhere = deployment();
    elsewhere.chain_id += 1;
    let foreign = SignedOrder::sign(order(1, 1).order, &elsewhere, &key(1)).expect("signed");
    let body = serde_json::to_vec(&foreign).expect("written");
    let (id, author) = (foreign.job_id(&elsewhere), key(1).address().into_array());
    fixture.book.put(assay_storage::Kind::Order, id.0, author, body).await.expect("put");
    let client = fixture.client();
    let page = client.orders_after(0, 10).await;
    assert!(matches!(page, Err(Error::BadAnswer { .. })), "{page:?}");
    let one = client.order(id).await;
    assert!(matches!(one, Err(Error::BadAnswer { .. })), "{one:?}");
    let next = client.follow(0).next().await;
    assert!(matches!(next, Err(Error::EntryUnreadable { sequence: 1, .. })), "{next:?}");
    // Who signs for another market is refused.
    let stranger =
        BrokerClient::new(&fixture.server.url(), elsewhere, &key(1), SystemClock).expect("a URL");
    let page = stranger.with_clock(fixture.clock.clone()).orders_after(0, 10).await;
    assert_eq!(common::refused(page), assay_protocol::ProblemKind::SignatureInvalid);
}

#[tokio::test]
async fn an_error_does_not_name_the_url() {
    let client = client("http://127.0.0.1:9/key-that-is-secret");
    let error = client.health().await.expect_err("nobody answers");
    let text = format!("{error} {error:?} {client:?}");
    assert!(matches!(error, Error::Unreachable { .. }), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_proxy_may_put_the_broker_under_a_path() {
    let mut fixture = Fixture::new().await;
    fixture.watch.is_alone = false;
    let prefixed = axum_prefix(&fixture).await;
    let client = client(&format!("{}/assay/", prefixed.url()));
    client.post_order(&order(1, 1)).await.expect("posted");
    let (root, image) = slot(b"x");
    assert!(client.put_slot(root, image).await.expect("the signed path begins at /v1"));
}

/// The fixture's broker once more, under /assay, as a proxy would have it.
async fn axum_prefix(fixture: &Fixture) -> assay_broker::Server {
    let blobs = assay_storage::FileBlobs::open(fixture.folder.path().join("other"), 1 << 20);
    let clock = assay_chain::SystemClock;
    let broker = assay_broker::Broker::new(
        fixture.book.clone(),
        blobs.expect("opened"),
        deployment(),
        assay_broker::Limits::default(),
        clock,
    );
    let router = axum::Router::new().nest("/assay", broker.router());
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    assay_broker::serve(address, router).await.expect("served")
}

#[tokio::test]
async fn plain_json_is_what_the_specification_shows() {
    let fixture = Fixture::new().await;
    let text = serde_json::to_string(&order(1, 1)).expect("written");
    let post = |text: String| {
        let request = http().post(fixture.url("/v1/orders")).body(text);
        request.header("content-type", "application/json; charset=utf-8").send()
    };
    let answer = post(text.clone()).await.expect("sent");
    assert_eq!(answer.status(), 201);
    let answer: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
    assert_eq!(answer, json!({ "job_id": order(1, 1).job_id(&deployment()), "sequence": 1 }));
    let parsed: SignedOrder = serde_json::from_str(&text).expect("read");
    assert_eq!(parsed, order(1, 1));
    let extra = text.replacen('{', r#"{"tip":1,"#, 1);
    let unknown = kind(post(extra).await.expect("sent")).await;
    assert_eq!(unknown, assay_protocol::ProblemKind::BodyMalformed, "unknown members are refused");
}
