//! Who may do what (spec/access.md): each refusal by its own name, and nothing told to those it is
//! not for.

mod common;
mod watch;

use alloy_primitives::{Address, B256};
use assay_broker::{Broker, Limits, serve};
use assay_broker_client::Access;
use assay_chain::ManualClock;
use assay_protocol::{
    Capability, CapabilityChain, KeyWrap, PERMISSIONS, ProblemKind, Role, SignedCapability,
    SignedRevocation, SignedWrap, Who,
};
use assay_storage::{Blobs, BookLimits, Kind};
use common::{Ask, Fixture, NOW, Setup, deployment, http, key, kind, order, refused, slot};
use serde_json::Value;

const ROUTES: &str = include_str!("../../../spec/openapi.json");
const PAGE: &str = include_str!("../../../spec/access.md");

/// Every operation of the OpenAPI document, with something in place of each parameter.
fn operations() -> Vec<(String, String, String)> {
    let document: Value = serde_json::from_str(ROUTES).expect("JSON");
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("an item").keys() {
            let filled: Vec<_> = path.split('/').map(filled).collect();
            found.push((method.to_uppercase(), path.clone(), filled.join("/")));
        }
    }
    found
}

fn filled(segment: &str) -> String {
    match segment {
        "{job_id}" | "{id}" | "{root}" | "{sha256}" => format!("{:064x}", 7),
        "{account}" | "{provider}" | "{recipient}" | "{owner}" => format!("{:040x}", 7),
        "{slot}" => "2".to_owned(),
        "{name}" => "cohort".to_owned(),
        other => other.to_owned(),
    }
}

#[tokio::test]
async fn every_route_but_the_public_ones_wants_a_signature() {
    let fixture = Fixture::new().await;
    let (mut open, mut closed) = (Vec::new(), 0);
    for (method, path, filled) in operations() {
        let named = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let sent = http().request(named, fixture.url(&filled)).send().await.expect("sent");
        if sent.status() == 401 {
            assert!(sent.headers().contains_key("www-authenticate"), "{method} {path}");
            closed += 1;
        } else {
            open.push(format!("{method} {path}"));
        }
    }
    let expected = [
        "GET /v1/health",
        "GET /v1/log/checkpoint",
        "GET /v1/log/cosigned",
        "GET /v1/log/key",
        "GET /v1/market",
        "GET /v1/openapi.json",
        "POST /v1/orders",
    ];
    open.sort();
    assert_eq!(open, expected, "a route is open that should not be, or closed that should be open");
    assert!(closed > 20, "{closed}: this test would show little");
}

/// The table in the code, the one on the page and the document have the same routes.
#[test]
fn the_table_is_whole() {
    let mut rows: Vec<String> = operations()
        .into_iter()
        .filter(|(method, ..)| method != "HEAD")
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    // OpenAPI has no parameter that spans several segments.
    rows.push("GET /v1/log/tile/{*path}".to_owned());
    let mut table: Vec<_> =
        PERMISSIONS.iter().map(|row| format!("{} {}", row.method, row.path)).collect();
    rows.sort();
    table.sort();
    assert_eq!(table, rows, "each route has its one row");
    for row in PERMISSIONS {
        let who = match row.who {
            Who::Anybody => "anybody".to_owned(),
            Who::Bearer => "who has a signed order".to_owned(),
            Who::Signer([]) => "any account".to_owned(),
            Who::Signer(roles) => {
                let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
                roles.join(", ")
            }
        };
        let row = format!("| `{} {}` | {who} | {} |", row.method, row.path, row.why);
        assert!(PAGE.contains(&row), "spec/access.md lacks the row\n{row}");
    }
}

#[tokio::test]
async fn a_request_is_good_once() {
    let fixture = Fixture::new().await;
    let mut nonce = B256::repeat_byte(9);
    nonce[..16].copy_from_slice(&fixture.epoch().await[..]);
    let ask = || Ask { nonce: Some(nonce), ..Ask::get("/v1/orders") };
    assert_eq!(fixture.send(ask()).await.status(), 200);
    assert_eq!(kind(fixture.send(ask()).await).await, ProblemKind::RequestReplayed);
    // Another request under the same nonce is a replay too: the nonce is the account's, not the
    // path's.
    let other = Ask { path: "/v1/offers".to_owned(), ..ask() };
    assert_eq!(kind(fixture.send(other).await).await, ProblemKind::RequestReplayed);
    assert_eq!(fixture.send(ask().by(2)).await.status(), 200, "another account has its own");
    assert_eq!(fixture.broker.refused(ProblemKind::RequestReplayed), 2, "each is counted");
}

#[tokio::test]
async fn stale_requests_are_refused() {
    let fixture = Fixture::new().await;
    let with =
        async |expires| kind(fixture.send(Ask { expires, ..Ask::get("/v1/offers") }).await).await;
    assert_eq!(with(NOW - 1).await, ProblemKind::RequestExpired);
    assert_eq!(with(NOW + 901).await, ProblemKind::RequestExpired, "too far ahead");
    // A nonce of another broker, or of before a restart.
    let stale = Ask { nonce: Some(B256::repeat_byte(1)), ..Ask::get("/v1/offers") };
    let answer = fixture.send(stale).await;
    let told = answer.headers()["assay-epoch"].to_str().expect("text").to_owned();
    assert_eq!(told, fixture.epoch().await.to_string(), "it tells what to sign");
    assert_eq!(kind(answer).await, ProblemKind::NonceStale);
    // What was sent to one broker of a market is of no use at another.
    let other = Fixture::new().await;
    let epoch = fixture.epoch().await;
    let taken = Ask::get("/v1/offers").send(&other.server.url(), epoch).await;
    assert_eq!(kind(taken).await, ProblemKind::NonceStale);
}

#[tokio::test]
async fn a_signature_is_for_one_request() {
    let fixture = Fixture::new().await;
    let sent = async |ask: Ask| kind(fixture.send(ask).await).await;
    let signed_path = |path: &str| Some(path.to_owned());
    let other = Ask { signed_path: signed_path("/v1/orders"), ..Ask::get("/v1/offers") };
    assert_eq!(sent(other).await, ProblemKind::SignatureInvalid, "another path");
    let other = Ask { signed_path: signed_path("/v1/orders"), ..Ask::get("/v1/orders?after=7") };
    assert_eq!(sent(other).await, ProblemKind::SignatureInvalid, "another query");
    let body = Ask { signed_body: Some(b"x".to_vec()), ..Ask::get("/v1/offers") };
    assert_eq!(sent(body).await, ProblemKind::DigestMismatch, "a read has no body");
    let mut elsewhere = deployment();
    elsewhere.chain_id += 1;
    let foreign = Ask { deployment: elsewhere, ..Ask::get("/v1/offers") };
    assert_eq!(sent(foreign).await, ProblemKind::SignatureInvalid, "another chain");
}

/// Whatever a write's body is, the headers sign it, on every route.
#[tokio::test]
async fn no_write_takes_another_body_than_the_signed_one() {
    let fixture = Fixture::new().await;
    let mut tried = 0;
    for (method, path, filled) in operations() {
        let method = match method.as_str() {
            "PUT" => "PUT",
            "POST" if path != "/v1/orders" => "POST",
            _ => continue,
        };
        let roles = PERMISSIONS.iter().find(|row| row.method == method && row.path == path);
        let Some(Who::Signer(roles)) = roles.map(|row| row.who) else { panic!("{path}") };
        let is_blob = ["/v1/programs/", "/v1/slots/", "/v1/envelopes/"];
        let is_blob = is_blob.iter().any(|prefix| path.starts_with(prefix));
        // The account that the path names, where it names one, is the caller's own.
        let own = key(1).address().to_string();
        let filled = filled.replace(&format!("/{:040x}", 7), &format!("/{own}"));
        let ask = Ask {
            body: b"{}".to_vec(),
            signed_body: Some(b"{ }".to_vec()),
            role: roles.first().copied().unwrap_or(Role::Anyone),
            content_type: Some(if is_blob {
                "application/octet-stream"
            } else {
                "application/json"
            }),
            ..Ask::new(method, &filled)
        };
        let found = kind(fixture.send(ask).await).await;
        let expected = match path.as_str() {
            // Without a log, nothing is read; an envelope's name is compared first.
            "/v1/log/add" => ProblemKind::LogAbsent,
            "/v1/envelopes/{sha256}" => ProblemKind::BlobMismatch,
            _ => ProblemKind::DigestMismatch,
        };
        assert_eq!(found, expected, "{method} {path}");
        tried += 1;
    }
    assert_eq!(tried, 12, "all writes are tried");
}

#[tokio::test]
async fn a_route_is_for_its_roles() {
    let fixture = Fixture::new().await;
    let mut tried = 0;
    for (method, path, filled) in operations() {
        let row = PERMISSIONS.iter().find(|row| row.method == method && row.path == path);
        let Some(Who::Signer(roles)) = row.map(|row| row.who) else { continue };
        for role in Role::ALL.into_iter().filter(|role| !roles.is_empty() && !roles.contains(role))
        {
            let method = if method == "PUT" { "PUT" } else { "POST" };
            let ask = Ask { role, ..Ask::new(method, &filled) };
            let found = kind(fixture.send(ask).await).await;
            assert_eq!(found, ProblemKind::RoleMismatch, "{method} {path} as {role}");
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}: this test would show little");
    // Written in another's name.
    let signed = order(1, 1);
    fixture.client().post_order(&signed).await.expect("posted");
    let stranger = fixture
        .client_of(2)
        .put_wrap(&wrap(&signed.job_id(&deployment())).0, &wrap(&signed.job_id(&deployment())).1)
        .await;
    assert_eq!(refused(stranger), ProblemKind::NotEntitled);
}

/// A wrap of key 1 for key 5.
fn wrap(job_id: &B256) -> (KeyWrap, SignedWrap) {
    let wrap = KeyWrap {
        job_id: *job_id,
        owner: key(1).address(),
        recipient: key(5).address(),
        slot: 2,
        wrap: b"a wrapped key".to_vec().into(),
    };
    let signed = SignedWrap::sign(&wrap, &deployment(), &key(1)).expect("signed");
    (wrap, signed)
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_wraps() {
    let fixture = Fixture::new().await;
    let signed = order(1, 1);
    let id = signed.job_id(&deployment());
    fixture.client().post_order(&signed).await.expect("posted");
    let recipient = key(5).address();
    let ask = |number, path: String| fixture.send(Ask::get(&path).by(number));
    let before = ask(9, format!("/v1/wraps/{id}/{recipient}")).await;
    let before = (before.status(), before.text().await.expect("a body"));
    let (wrap, signed) = wrap(&id);
    fixture.client().put_wrap(&wrap, &signed).await.expect("put");
    let after = ask(9, format!("/v1/wraps/{id}/{recipient}")).await;
    assert_eq!(after.status(), 403);
    let after = (after.status(), after.text().await.expect("a body"));
    assert_eq!(before, after, "the same words, whether there is one or not");
    let none = ask(9, format!("/v1/wraps/{:064x}/{recipient}", 7)).await;
    let none = (none.status(), none.text().await.expect("a body"));
    assert_eq!(none, after, "nor whether there is such an order");

    let found = fixture.client_of(5).wraps(id, recipient).await.expect("it is for key 5");
    assert_eq!(found.iter().map(|entry| entry.signed()).collect::<Vec<_>>(), [signed]);
    assert_eq!(fixture.client().wraps(id, recipient).await.expect("its owner's own").len(), 1);
    let other = fixture.client_of(9).wraps(id, recipient).await;
    assert_eq!(refused(other), ProblemKind::NotEntitled);
    assert_eq!(fixture.broker.refused(ProblemKind::NotEntitled), 4, "each is counted");
}

fn capability(issuer: u64, holder: u64, parent: Option<&SignedCapability>) -> Capability {
    let parent = parent.map(|parent| parent.capability.hash(&deployment()).expect("a time"));
    Capability {
        issuer: key(issuer).address(),
        holder: key(holder).address(),
        role: Role::Provider,
        methods: "GET,HEAD".to_owned(),
        path_prefix: "/v1/wraps".to_owned(),
        not_after: NOW + 100,
        parent: parent.unwrap_or_default(),
    }
}

fn signed(capability: Capability, number: u64) -> SignedCapability {
    SignedCapability::sign(capability, &deployment(), &key(number)).expect("signed")
}

/// Key 5 lets key 6 read its wraps, and key 6 lets key 7 read those of one job; what `change` makes
/// of the second is signed.
fn chain(change: impl FnOnce(&mut Capability)) -> CapabilityChain {
    let first = signed(capability(5, 6, None), 5);
    let mut second = capability(6, 7, Some(&first));
    change(&mut second);
    CapabilityChain::new(vec![first, signed(second, 6)]).expect("a chain")
}

/// A broker with an order, and a key of its job that is wrapped for account 5.
async fn with_wrap() -> (Fixture, B256) {
    let fixture = Fixture::new().await;
    let order = order(1, 1);
    let id = order.job_id(&deployment());
    fixture.client().post_order(&order).await.expect("posted");
    let (wrap, wrapped) = wrap(&id);
    fixture.client().put_wrap(&wrap, &wrapped).await.expect("put");
    (fixture, id)
}

#[tokio::test]
async fn capabilities_are_narrowed_and_never_widened() {
    let (fixture, id) = with_wrap().await;
    let path = format!("/v1/wraps/{id}/{}", key(5).address());
    let ask = |number, chain: CapabilityChain| Ask {
        role: Role::Provider,
        access: Access::new(&key(number)).by(chain),
        ..Ask::get(&path)
    };
    let under = format!("/v1/wraps/{id}");
    let narrow = chain(|second| {
        second.path_prefix.clone_from(&under);
        second.methods = "GET".to_owned();
        second.not_after -= 1;
    });
    let answer = fixture.send(ask(7, narrow.clone())).await;
    assert_eq!(answer.status(), 200, "key 7 reads what is for key 5");
    assert!(answer.text().await.expect("a body").contains("\"slot\":2"));
    let client = fixture
        .client_of(7)
        .with_access(Access::new(&key(7)).in_role(Role::Provider).by(narrow.clone()));
    assert_eq!(client.access().account(), Some(key(5).address()));
    assert_eq!(client.wraps(id, key(5).address()).await.expect("by the client").len(), 1);

    let refused = async |ask: Ask| kind(fixture.send(ask).await).await;
    let changed = async |change: fn(&mut Capability)| refused(ask(7, chain(change))).await;
    assert_eq!(changed(|it| it.role = Role::Anyone).await, ProblemKind::CapabilityWidensRole);
    assert_eq!(changed(|it| it.role = Role::Auditor).await, ProblemKind::CapabilityWidensRole);
    let wider = changed(|it| it.methods = "GET,HEAD,PUT".to_owned()).await;
    assert_eq!(wider, ProblemKind::CapabilityWidensMethods);
    for path in ["/v1/", "/v1/wrap", "/v1/wraps-and-more", "/v1/offers"] {
        let wider = chain(|it| it.path_prefix = path.to_owned());
        assert_eq!(refused(ask(7, wider)).await, ProblemKind::CapabilityWidensPath, "{path}");
    }
    assert_eq!(changed(|it| it.not_after += 1).await, ProblemKind::CapabilityWidensTime);
    assert_eq!(changed(|it| it.parent = B256::ZERO).await, ProblemKind::CapabilityUnlinked);
    let foreign = changed(|it| it.issuer = Address::repeat_byte(1)).await;
    assert_eq!(foreign, ProblemKind::CapabilityUnlinked, "not given by the holder");
    assert_eq!(
        refused(ask(8, narrow.clone())).await,
        ProblemKind::CapabilityUnlinked,
        "not its holder"
    );
    let ended = changed(|it| it.not_after = NOW - 1).await;
    assert_eq!(ended, ProblemKind::CapabilityExpired);

    // Beyond what the last one gives.
    let role = Ask { role: Role::Auditor, ..ask(7, narrow.clone()) };
    assert_eq!(refused(role).await, ProblemKind::CapabilityRole);
    let elsewhere = Ask { path: "/v1/offers".to_owned(), ..ask(7, narrow.clone()) };
    assert_eq!(refused(elsewhere).await, ProblemKind::CapabilityPath);
    let head = Ask { method: "HEAD", ..ask(7, narrow.clone()) };
    assert_eq!(fixture.send(head).await.status(), 403, "the second has no HEAD");
    assert_eq!(fixture.broker.refused(ProblemKind::CapabilityMethod), 1);

    // A forged first: nobody gave key 7 anything.
    let forged = signed(capability(5, 7, None), 7);
    let forged = CapabilityChain::new(vec![forged]).expect("a chain");
    assert_eq!(refused(ask(7, forged)).await, ProblemKind::CapabilityForged);
    // Four are taken, five are not.
    let mut links = vec![signed(capability(5, 6, None), 5)];
    for holder in 7..=9 {
        links.push(signed(capability(holder - 1, holder, links.last()), holder - 1));
    }
    let four = CapabilityChain::new(links.clone()).expect("a chain");
    assert_eq!(fixture.send(ask(9, four.clone())).await.status(), 200);
    links.push(signed(capability(9, 10, links.last()), 9));
    assert!(CapabilityChain::new(links.clone()).is_err(), "the fifth is too many");

    // The header of one request does not fit another: who signs names the chain.
    let own = Ask { role: Role::Provider, ..Ask::get(&path).by(7) };
    let mut request = http().get(fixture.url(&path));
    let epoch = fixture.epoch().await;
    let nonce = {
        let mut nonce = B256::repeat_byte(3);
        nonce[..16].copy_from_slice(&epoch[..]);
        nonce
    };
    let digest = B256::new(assay_types::sha256(b"").0);
    let plain = assay_protocol::SignedRequest::sign(
        ("GET", &path),
        digest,
        (Role::Provider, nonce, own.expires),
        &deployment(),
        (own.access.signer().expect("a key"), None),
    );
    for (name, value) in plain.expect("signed").headers() {
        request = request.header(name, value);
    }
    let added =
        request.header("assay-capabilities", narrow.to_string()).send().await.expect("sent");
    assert_eq!(kind(added).await, ProblemKind::SignatureInvalid, "a chain added on the way");
}

/// What a client asks under a capability that it uses where it can.
#[tokio::test]
async fn what_was_not_delegated_is_done_in_ones_own_name() {
    let (fixture, id) = with_wrap().await;
    let chain = CapabilityChain::new(vec![signed(capability(5, 6, None), 5)]).expect("a chain");
    let recipient = key(5).address();
    let strict = fixture.client_of(6).with_access(Access::new(&key(6)).by(chain.clone()));
    assert_eq!(strict.wraps(id, recipient).await.expect("in key 5's name").len(), 1);
    assert_eq!(refused(strict.offers().await), ProblemKind::CapabilityPath, "all or nothing");
    let free = fixture.client_of(6).with_access(Access::new(&key(6)).by_or_own(chain.clone()));
    assert_eq!(free.wraps(id, recipient).await.expect("in key 5's name").len(), 1);
    assert_eq!(free.offers().await.expect("in key 6's own"), []);
    let keys = assay_protocol::SealKeys { keys: "{}".parse().expect("JSON"), from: NOW };
    let keys = assay_protocol::SignedSealKeys::sign(keys, &deployment(), &key(6)).expect("signed");
    let (_, is_new) = free.put_seal_keys(key(6).address(), &keys).await.expect("its own");
    assert!(is_new);
    // In its own name: what is for key 5 is not for key 6, whatever the role.
    let own = Access::new(&key(6)).in_role(Role::Auditor).by_or_own(chain);
    let own = fixture.client_of(6).with_access(own);
    assert_eq!(refused(own.wraps(id, recipient).await), ProblemKind::NotEntitled);
}

fn revocation(signed: &SignedCapability, number: u64) -> SignedRevocation {
    let capability = signed.capability.clone();
    SignedRevocation::sign(capability, &deployment(), &key(number)).expect("its issuer's")
}

#[tokio::test]
async fn what_was_taken_back_is_of_no_use() {
    let setup = Setup {
        book: BookLimits { capability_revocations_per_issuer_max: 2, ..BookLimits::default() },
        ..Setup::default()
    };
    let fixture = Fixture::with(setup).await;
    let first = signed(capability(5, 6, None), 5);
    let second = signed(capability(6, 7, Some(&first)), 6);
    let other = signed(Capability { not_after: NOW + 99, ..capability(5, 6, None) }, 5);
    let chain = |links: &[&SignedCapability]| {
        CapabilityChain::new(links.iter().map(|link| (*link).clone()).collect()).expect("a chain")
    };
    let path = format!("/v1/wraps/{:064x}/{}", 7, key(5).address());
    let asked = async |number, links: &[&SignedCapability]| {
        let access = Access::new(&key(number)).by(chain(links));
        let ask = Ask { role: Role::Provider, access, ..Ask::get(&path) };
        fixture.send(ask).await
    };
    assert_eq!(asked(7, &[&first, &second]).await.status(), 200);

    // Only its issuer takes it back, and only its own.
    let stranger = SignedRevocation::sign(first.capability.clone(), &deployment(), &key(7));
    assert!(matches!(stranger, Err(assay_protocol::SignError::Signature(_))), "{stranger:?}");
    let mut forged = revocation(&first, 5);
    forged.signature = revocation(&second, 6).signature;
    let path_of = "/v1/capability-revocations";
    let ask = |number, revocation: &SignedRevocation| {
        Ask::json("POST", path_of, Role::Anyone, revocation).by(number)
    };
    assert_eq!(kind(fixture.send(ask(5, &forged)).await).await, ProblemKind::SignatureInvalid);
    let theirs = fixture.send(ask(6, &revocation(&first, 5))).await;
    assert_eq!(kind(theirs).await, ProblemKind::NotEntitled, "in another's name");
    let mut odd = revocation(&first, 5);
    odd.capability.methods = "PUT,GET".to_owned();
    assert_eq!(kind(fixture.send(ask(5, &odd)).await).await, ProblemKind::CapabilityMalformed);
    let old = signed(Capability { not_after: NOW - 1, ..capability(5, 6, None) }, 5);
    let old = fixture.send(ask(5, &revocation(&old, 5))).await;
    assert_eq!(kind(old).await, ProblemKind::CapabilityExpired, "there is nothing to take back");
    assert_eq!(asked(7, &[&first, &second]).await.status(), 200, "nothing was taken back yet");

    // The second, by its issuer: the first goes on.
    let (_, is_new) =
        fixture.client_of(6).revoke_capability(&revocation(&second, 6)).await.expect("taken back");
    assert!(is_new);
    let again = fixture.client_of(6).revoke_capability(&revocation(&second, 6)).await;
    assert!(!again.expect("the same").1, "twice is the same as once");
    let gone = asked(7, &[&first, &second]).await;
    assert_eq!(kind(gone).await, ProblemKind::CapabilityRevoked);
    assert_eq!(asked(6, &[&first]).await.status(), 200);
    // The first, by its own: with it goes what was narrowed from it.
    fixture.client_of(5).revoke_capability(&revocation(&first, 5)).await.expect("taken back");
    assert_eq!(kind(asked(6, &[&first]).await).await, ProblemKind::CapabilityRevoked);
    let third = signed(capability(6, 8, Some(&first)), 6);
    assert_eq!(kind(asked(8, &[&first, &third]).await).await, ProblemKind::CapabilityRevoked);
    assert_eq!(asked(6, &[&other]).await.status(), 200, "another capability of the same");

    // An issuer's bound, and room when what was taken back has ended.
    fixture.client_of(5).revoke_capability(&revocation(&other, 5)).await.expect("the second");
    let late = |holder| Capability { not_after: NOW + 500, ..capability(5, holder, None) };
    let full = fixture.client_of(5).revoke_capability(&revocation(&signed(late(7), 5), 5)).await;
    assert_eq!(refused(full), ProblemKind::StorageFull);
    let count = || fixture.book.len(Kind::CapabilityRevocation).expect("read");
    assert_eq!(count(), 3);
    fixture.clock.advance(150);
    let late = revocation(&signed(late(7), 5), 5);
    fixture.client_of(5).revoke_capability(&late).await.expect("there is room");
    assert_eq!(count(), 1, "what has ended is forgotten");

    // After a restart the same holds.
    let later = signed(Capability { not_after: NOW + 500, ..capability(5, 7, None) }, 5);
    let header = chain(&[&later]);
    let folder = fixture.folder;
    fixture.server.stop().await;
    drop((fixture.broker, fixture.book, fixture.watch));
    let book = common::reopen(&folder.path().join("book.redb")).await;
    let blobs = Blobs::open(folder.path().join("blobs"), 1 << 30).expect("opened");
    let broker = Broker::new(
        book,
        blobs,
        deployment(),
        Limits::default(),
        std::sync::Arc::new(ManualClock::at(NOW + 150)),
    );
    let address = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
    let server = serve(address, broker.router()).await.expect("served");
    let client = common::client_of(&server.url(), 7)
        .with_clock(std::sync::Arc::new(ManualClock::at(NOW + 150)))
        .with_access(Access::new(&key(7)).by(header));
    let asked = client.wraps(B256::ZERO, key(5).address()).await;
    assert_eq!(refused(asked), ProblemKind::CapabilityRevoked, "a restart forgets nothing");
}

/// Nothing that comes with a request is in what the operator reads, and each request is.
#[tokio::test]
async fn metrics_and_log_hold_no_content() {
    let fixture = Fixture::new().await;
    let canary = "canary-7f3b";
    let account = key(1).address();
    let (wrap, wrapped) = wrap(&order(1, 1).job_id(&deployment()));
    fixture.client().post_order(&order(1, 1)).await.expect("posted");
    fixture.client().put_wrap(&wrap, &wrapped).await.expect("put");
    let envelope = format!("envelope {canary}").into_bytes();
    let name = B256::new(assay_types::sha256(&envelope).0);
    fixture.client().put_envelope(name, envelope).await.expect("put");
    let body = serde_json::json!({ "kind": canary, "document": { "x": canary } });
    for ask in [
        Ask::get("/v1/orders?after=0&limit=2"),
        Ask::get(&format!("/v1/orders?after=0&x={canary}")),
        Ask::get(&format!("/v1/orders?after={canary}")),
        Ask::get(&format!("/v1/{canary}")),
        Ask::get(&format!("/v1/datasets/{account}/{canary}")),
        Ask::get(&format!("/v1/wraps/{name}/{}", key(9).address())),
        Ask { method: "DELETE", ..Ask::get(&format!("/v1/envelopes/{name}")) },
        Ask::json("POST", &format!("/v1/owners/{account}/documents"), Role::DataOwner, &body),
        Ask { nonce: Some(B256::repeat_byte(0x5a)), ..Ask::get("/v1/offers") },
    ] {
        fixture.send(ask).await;
    }
    http()
        .get(fixture.url("/v1/offers"))
        .header("assay-account", canary)
        .send()
        .await
        .expect("sent");
    let metrics = serve(
        std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0)),
        fixture.broker.metrics_router(),
    );
    let metrics = metrics.await.expect("served");
    let read = async |path: &str| {
        let sent = http().get(format!("{}{path}", metrics.url())).send().await.expect("sent");
        (sent.status().as_u16(), sent.text().await.expect("text"))
    };
    assert_eq!(read("/v1/orders").await.0, 404, "this listener serves nothing else");
    assert_eq!(fixture.get("/metrics").await.status(), 404, "and the broker no metrics");
    let (status, text) = read("/metrics").await;
    assert_eq!(status, 200);
    assert_eq!(Ok(&text), fixture.broker.metrics().as_ref(), "it is not among what is counted");
    for line in [
        "assay_broker_requests_total{method=\"POST\",route=\"/v1/orders\",status=\"201\"} 1",
        "assay_broker_requests_total{method=\"GET\",route=\"/v1/orders\",status=\"200\"} 1",
        "assay_broker_requests_total{method=\"GET\",route=\"/v1/orders\",status=\"400\"} 2",
        "assay_broker_requests_total{method=\"GET\",route=\"unknown\",status=\"404\"} 2",
        "assay_broker_requests_total{method=\"other\",route=\"/v1/envelopes/{sha256}\",status=\"405\"} 1",
        "assay_broker_refused_total{problem=\"request-unsigned\"} 1",
        "assay_broker_refused_total{problem=\"capability-revoked\"} 0",
        "assay_broker_book_entries{kind=\"order\"} 1",
        "assay_broker_book_entries{kind=\"wrap\"} 1",
        "assay_broker_blob_bytes 20",
        "# TYPE assay_broker_request_duration_seconds histogram",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let log = fixture.watch.log();
    assert!(log.lines().count() > 10, "a log that is empty shows nothing");
    let secrets = [
        canary.to_owned(),
        format!("{name:x}"),
        format!("{account:x}"),
        format!("{:x}", key(9).address()),
        format!("{:x}", B256::repeat_byte(0x5a)),
        format!("{:x}", wrapped.signature),
        "a wrapped key".to_owned(),
    ];
    for secret in secrets {
        for (what, held) in [("the metrics", &text), ("the log", &log)] {
            let held = held.to_ascii_lowercase();
            assert!(!held.contains(&secret.to_ascii_lowercase()), "{secret} is in {what}\n{held}");
        }
    }
}

#[tokio::test]
async fn a_chain_is_read_only_as_it_is_written() {
    let fixture = Fixture::new().await;
    let text = chain(|_| {}).to_string();
    let read: CapabilityChain = text.parse().expect("as written");
    assert_eq!(read.to_string(), text);
    for place in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[place] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        if let Ok(other) = changed.parse::<CapabilityChain>() {
            assert_eq!(other.to_string(), changed, "what is read is written the same");
            assert_ne!(
                other, read,
                "a changed byte is a changed chain, which its signatures refuse"
            );
        }
    }
    for end in 0..text.len() {
        assert!(text[..end].parse::<CapabilityChain>().is_err(), "cut off at {end}");
    }
    let spaced = text.replacen(':', ": ", 1);
    assert!(spaced.parse::<CapabilityChain>().is_err(), "other spelling, same content");
    for header in ["", "[]", "{}", "[1]", &"[".repeat(4_000), &"x".repeat(5_000)] {
        assert!(header.parse::<CapabilityChain>().is_err());
        let sent = http().get(fixture.url("/v1/offers"));
        let mut sent = sent.header("assay-capabilities", header);
        let signed = assay_protocol::SignedRequest::sign(
            ("GET", "/v1/offers"),
            B256::ZERO,
            (Role::Anyone, B256::ZERO, NOW),
            &deployment(),
            (&key(1), None),
        );
        for (name, value) in signed.expect("signed").headers() {
            sent = sent.header(name, value);
        }
        let found = kind(sent.send().await.expect("sent")).await;
        assert_eq!(found, ProblemKind::CapabilityMalformed);
    }
}

#[tokio::test]
async fn a_client_without_a_key_gets_what_is_public() {
    let fixture = Fixture::new().await;
    let client = fixture.client().with_access(Access::public());
    client.market().await.expect("public");
    client.health().await.expect("public");
    assert_eq!(client.log_object("key").await.expect("public"), None);
    client.post_order(&order(1, 1)).await.expect("an order's signature is its own");
    let asked = client.offers().await;
    assert!(matches!(asked, Err(assay_broker_client::Error::Config(_))), "{asked:?}");
    let (root, image) = slot(b"x");
    assert!(client.put_slot(root, image).await.is_err());
}
