//! What sealed jobs need of a broker: terms, seal keys, envelopes, wraps, key services' refusals,
//! datasets and owners' documents.

mod common;
mod watch;

use alloy_primitives::{Address, B256, U256};
use assay_broker_client::Error;
use assay_market::{Account, SealedSlot, Terms};
use assay_protocol::{
    JsonObject, KeptWrap, KeyRefusal, KeyWrap, OwnerDocument, ProblemKind, Role, SealKeys,
    SignatureError, SignedDataset, SignedKeyRefusal, SignedOrder, SignedOwnerDocument,
    SignedSealKeys, SignedWrap, WRAP_RECIPIENTS_MAX, recipient_part,
};
use assay_storage::Kind;
use assay_types::{Hash, sha256};
use common::{Ask, Fixture, NOW, Setup, deployment, http, key, kind, order, refused, unsigned};

fn object(text: &str) -> JsonObject {
    text.parse().expect("an object")
}

fn digest(bytes: &[u8]) -> B256 {
    B256::new(sha256(bytes).0)
}

fn with_terms(nonce: u64, terms: &JsonObject) -> SignedOrder {
    let mut order = unsigned(key(1).address(), nonce);
    order.termsHash = SignedOrder::terms_hash(Some(terms));
    SignedOrder::sign_with(order, Some(terms.clone()), &deployment(), &key(1)).expect("signed")
}

#[tokio::test]
async fn an_order_comes_with_the_terms_that_it_names() {
    let fixture = Fixture::new().await;
    let client = fixture.client();
    // Byte for byte: spaces, spelling of numbers, order of members.
    let terms = object(r#"{"sealed" : true, "auditors":[], "a":1.50}"#);
    let signed = with_terms(1, &terms);
    assert_eq!(signed.order.termsHash, digest(terms.as_str().as_bytes()));
    let (posted, _) = client.post_order(&signed).await.expect("posted");
    let found = client.order(posted.job_id).await.expect("asked").expect("there");
    assert_eq!(found.signed(), signed);
    let page = client.orders_after(0, 10).await.expect("a page");
    assert_eq!(page.orders[0].terms, Some(terms.clone()));
    let next = client.follow(0).next().await.expect("followed");
    assert_eq!(next.terms, Some(terms.clone()));

    let post = async |signed: &SignedOrder| {
        let body = serde_json::to_vec(signed).expect("written");
        let sent =
            http().post(fixture.url("/v1/orders")).header("content-type", "application/json");
        kind(sent.body(body).send().await.expect("sent")).await
    };
    let without = SignedOrder { terms: None, ..with_terms(2, &terms) };
    assert_eq!(post(&without).await, ProblemKind::TermsMismatch, "a hash without terms");
    let added = SignedOrder { terms: Some(terms.clone()), ..order(1, 3) };
    assert_eq!(post(&added).await, ProblemKind::TermsMismatch, "terms without a hash");
    let other = object(r#"{"sealed":true,"auditors":[],"a":1.50}"#);
    let other = SignedOrder { terms: Some(other), ..with_terms(4, &terms) };
    assert_eq!(post(&other).await, ProblemKind::TermsMismatch, "the same in other bytes");
    let fits = object(&format!("{{\"a\":\"{}\"}}", "x".repeat(8_192 - 8)));
    client.post_order(&with_terms(5, &fits)).await.expect("8,192 bytes");
    let long = object(&format!("{{\"a\":\"{}\"}}", "x".repeat(8_193 - 8)));
    assert_eq!(post(&with_terms(6, &long)).await, ProblemKind::BodyMalformed);

    let mut named = unsigned(key(1).address(), 7);
    named.termsHash = B256::repeat_byte(1);
    let signed = SignedOrder::sign(named, &deployment(), &key(1));
    assert!(
        matches!(signed, Err(assay_protocol::SignError::Signature(SignatureError::Terms))),
        "{signed:?}"
    );
}

#[tokio::test]
async fn seal_keys_are_replaced_by_later_ones() {
    let fixture = Fixture::new().await;
    let (account, client) = (key(5).address(), fixture.client_of(5));
    assert_eq!(client.seal_keys(account).await.expect("asked"), None);
    let keys = |text: &str, from| {
        let keys = SealKeys { keys: object(text), from };
        SignedSealKeys::sign(keys, &deployment(), &key(5)).expect("signed")
    };
    let first = keys(r#"{"x25519" : "ab"}"#, NOW);
    let (put, is_new) = client.put_seal_keys(account, &first).await.expect("put");
    assert!(is_new);
    let again = client.put_seal_keys(account, &first).await.expect("harmless");
    assert_eq!(again, (put, false));
    let same_time = client.put_seal_keys(account, &keys("{}", NOW)).await;
    assert_eq!(refused(same_time), ProblemKind::Superseded);
    let second = keys("{}", NOW + 1);
    client.put_seal_keys(account, &second).await.expect("later");
    let old = client.put_seal_keys(account, &first).await;
    assert_eq!(refused(old), ProblemKind::Superseded, "nobody puts old keys back");
    let found = fixture.client().seal_keys(account).await.expect("asked").expect("there");
    assert_eq!((found.account, found.signed()), (account, second.clone()));
    let future = client.put_seal_keys(account, &keys("{}", NOW + 301)).await;
    assert_eq!(refused(future), ProblemKind::TimeImplausible);
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(8_193 - 8));
    let long = client.put_seal_keys(account, &keys(&long, NOW + 2)).await;
    assert_eq!(refused(long), ProblemKind::BodyMalformed);
    let mut forged = second;
    forged.from += 1;
    let forged = client.put_seal_keys(account, &forged).await;
    assert_eq!(refused(forged), ProblemKind::SignatureInvalid);
    let other = fixture.client().put_seal_keys(account, &first).await;
    assert_eq!(refused(other), ProblemKind::NotEntitled);
}

#[tokio::test]
async fn envelopes_go_to_the_disk_as_they_come() {
    let mut setup = Setup::default();
    setup.limits.envelope_bytes_max = 5 << 20;
    let fixture = Fixture::with(setup).await;
    let client = fixture.client();
    let content: Vec<u8> = (0..4_500_001u32).map(|i| (i % 251) as u8).collect();
    let name = digest(&content);
    assert_eq!(client.envelope(name).await.expect("asked"), None);
    assert!(!client.has_envelope(name).await.expect("asked"));
    let file = fixture.folder.path().join("sealed");
    std::fs::write(&file, &content).expect("written");
    assert!(client.put_envelope_file(name, &file).await.expect("put"), "new");
    assert!(!client.put_envelope_file(name, &file).await.expect("harmless"));
    assert!(client.has_envelope(name).await.expect("asked"));
    assert_eq!(client.envelope(name).await.expect("asked").as_deref(), Some(&content[..]));
    let mut pieces = Vec::new();
    let got = client.envelope_to(name, |piece| {
        pieces.extend_from_slice(piece);
        Ok(())
    });
    assert_eq!(got.await.expect("asked"), Some(content.len() as u64));
    assert!(pieces == content);
    let range = client.envelope_range(name, 1_000_000..3_000_001).await.expect("asked");
    assert_eq!(range.as_deref(), Some(&content[1_000_000..3_000_001]));
    let beyond = client.envelope_range(name, 4_500_000..4_500_002).await;
    assert!(matches!(beyond, Err(Error::BadAnswer { .. })), "it has one of these bytes");
    let beyond = client.envelope_range(name, 4_500_001..4_500_002).await;
    assert_eq!(refused(beyond), ProblemKind::RangeUnsatisfiable);

    // The same again, whole: it was there.
    let path = format!("/v1/envelopes/{name}");
    let again = fixture.send(Ask::binary("PUT", &path, content.clone())).await;
    assert_eq!(again.status(), 200);
    let small = b"small".to_vec();
    assert!(client.put_envelope(digest(&small), small).await.expect("put"));

    let refused = async |ask: Ask| kind(fixture.send(ask).await).await;
    let wrong = refused(Ask::binary("PUT", &path, b"other".to_vec())).await;
    assert_eq!(wrong, ProblemKind::BlobMismatch, "the signed digest is not the name");
    let another = digest(b"good");
    let changed = Ask {
        signed_body: Some(b"good".to_vec()),
        ..Ask::binary("PUT", &format!("/v1/envelopes/{another}"), b"evil".to_vec())
    };
    assert_eq!(refused(changed).await, ProblemKind::DigestMismatch);
    assert!(!client.has_envelope(another).await.expect("asked"), "nothing has taken its name");
    let large = vec![7; (5 << 20) + 1];
    let large = Ask::binary("PUT", &format!("/v1/envelopes/{}", digest(&large)), large);
    assert_eq!(refused(large).await, ProblemKind::BodyTooLarge);
    let left = std::fs::read_dir(fixture.folder.path().join("blobs/envelopes")).expect("read");
    assert_eq!(left.count(), 2, "what was refused leaves nothing");
}

/// An order of key 1 whose dataset's key is key 3's to give, for key 5 to check; its output is for
/// key 4.
fn sealed_order(nonce: u64) -> SignedOrder {
    let account = |number| Account(key(number).address().into_array());
    let dataset = SealedSlot {
        envelope: Hash([1; 32]),
        bytes: 70_000,
        owner: account(3),
        policy: Some(Hash([2; 32])),
        purpose: Some("research".into()),
    };
    let terms = Terms { dataset: Some(dataset), auditors: vec![account(5)], ..Terms::open() };
    let mut order = unsigned(key(1).address(), nonce);
    order.beneficiary = key(4).address();
    let terms = Some(object(&terms.to_text()));
    order.termsHash = SignedOrder::terms_hash(terms.as_ref());
    SignedOrder::sign_with(order, terms, &deployment(), &key(1)).expect("signed")
}

/// A key of a job's slot, wrapped by one account for another.
fn wrapped(
    id: B256,
    owner: u64,
    recipient: Address,
    slot: u8,
    text: &[u8],
) -> (KeyWrap, SignedWrap) {
    let (owner, number) = (key(owner).address(), owner);
    let wrap = KeyWrap { job_id: id, owner, recipient, slot, wrap: text.to_vec().into() };
    let signed = SignedWrap::sign(&wrap, &deployment(), &key(number)).expect("signed");
    (wrap, signed)
}

#[tokio::test]
async fn strangers_put_nothing_between_an_owner_and_its_recipients() {
    let fixture = Fixture::new().await;
    let signed = sealed_order(1);
    let id = signed.job_id(&deployment());
    fixture.client().post_order(&signed).await.expect("posted");
    let put = async |owner: u64, recipient: Address, slot| {
        let (wrap, signed) = wrapped(id, owner, recipient, slot, b"a key");
        fixture.client_of(owner).put_wrap(&wrap, &signed).await
    };
    let auditor = key(5).address();
    for stranger in 20..24 {
        for slot in [2, 3, 4] {
            let problem = refused(put(stranger, auditor, slot).await);
            assert_eq!(problem, ProblemKind::KeyOwner, "{stranger} floods the auditor");
        }
    }
    for slot in [0, 1, 5, 255] {
        assert_eq!(refused(put(1, auditor, slot).await), ProblemKind::WrapSlot, "{slot}");
    }
    assert_eq!(refused(put(3, auditor, 2).await), ProblemKind::KeyOwner, "another slot's owner");
    assert_eq!(refused(put(3, key(4).address(), 4).await), ProblemKind::KeyOwner);
    assert_eq!(refused(put(1, auditor, 4).await), ProblemKind::WrapRecipient);
    assert!(put(1, key(4).address(), 4).await.expect("the beneficiary's").1);
    assert!(put(3, auditor, 3).await.expect("the owner's").1);
    assert_eq!(fixture.book.len(Kind::Wrap).expect("read"), 2, "nothing else came into the book");

    // Of one slot by one owner, so many at most; what is there already stays harmless, and the
    // other slots have their own.
    for number in 1..WRAP_RECIPIENTS_MAX as u64 {
        put(3, key(100 + number).address(), 3).await.expect("one of them is the provider");
    }
    assert_eq!(refused(put(3, key(99).address(), 3).await), ProblemKind::WrapRecipients);
    assert!(!put(3, auditor, 3).await.expect("harmless").1);
    assert!(put(1, auditor, 2).await.expect("another slot and owner").1);
    assert!(put(1, auditor, 3).await.expect("another owner").1);
}

#[tokio::test]
async fn a_recipient_looks_at_nothing_but_what_it_waits_for() {
    let fixture = Fixture::new().await;
    let signed = sealed_order(1);
    let id = signed.job_id(&deployment());
    fixture.client().post_order(&signed).await.expect("posted");
    let (auditor, owner) = (key(5).address(), key(3).address());
    // In a book of old, or of a broker that takes anything: others' wraps, some of them not even
    // signed.
    for number in 0..1_200 {
        let slot = 3;
        let (_, mut signed) = wrapped(id, 20, auditor, slot, b"junk");
        signed.owner = Address::from_word(B256::from(U256::from(number + 1)));
        let body = serde_json::to_vec(&KeptWrap { slot, signed: signed.clone() }).expect("written");
        let (author, part) = (signed.owner.into_array(), recipient_part(auditor, slot));
        fixture.book.put_part(Kind::Wrap, id.0, author, part, body).await.expect("put");
    }
    let client = fixture.client_of(5);
    assert!(client.wraps(id, auditor).await.is_err(), "no load: this test would show nothing");
    assert_eq!(client.wrap(id, auditor, (owner, 3)).await.expect("asked"), None);
    let (wrap, signed) = wrapped(id, 3, auditor, 3, b"the key");
    fixture.client_of(3).put_wrap(&wrap, &signed).await.expect("put");
    let found = client.wrap(id, auditor, (owner, 3)).await.expect("others' junk is in the way");
    assert_eq!(found.map(|entry| entry.signed()), Some(signed));
    assert_eq!(client.wrap(id, auditor, (owner, 2)).await.expect("asked"), None);
}

#[tokio::test]
async fn wraps_are_their_owners_and_the_first_stays() {
    let fixture = Fixture::new().await;
    let client = fixture.client();
    let signed = sealed_order(1);
    let id = signed.job_id(&deployment());
    let recipient = key(5).address();
    let wrap = |owner, recipient, slot, text: &[u8]| wrapped(id, owner, recipient, slot, text);
    let (first, first_signed) = wrap(1, recipient, 2, b"first");
    let early = client.put_wrap(&first, &first_signed).await;
    assert_eq!(refused(early), ProblemKind::OrderUnknown);
    client.post_order(&signed).await.expect("posted");
    assert!(client.put_wrap(&first, &first_signed).await.expect("put").1);
    let (other, other_signed) = wrap(1, recipient, 2, b"other");
    assert!(!client.put_wrap(&other, &other_signed).await.expect("harmless").1, "the first stays");
    let (slot3, slot3_signed) = wrap(1, recipient, 3, b"another slot");
    assert!(client.put_wrap(&slot3, &slot3_signed).await.expect("put").1);
    let (theirs, theirs_signed) = wrap(3, recipient, 3, b"another owner");
    assert!(fixture.client_of(3).put_wrap(&theirs, &theirs_signed).await.expect("put").1);
    let (to6, to6_signed) = wrap(1, key(6).address(), 2, b"for another");
    assert!(client.put_wrap(&to6, &to6_signed).await.expect("put").1);

    let found = fixture.client_of(5).wraps(id, recipient).await.expect("asked");
    let found: Vec<_> = found.iter().map(|entry| (entry.slot, entry.signed())).collect();
    let expected = [(2, first_signed.clone()), (3, slot3_signed), (3, theirs_signed)];
    assert_eq!(found, expected);
    assert_eq!(client.wraps(id, recipient).await.expect("its own").len(), 2, "not another owner's");
    assert_eq!(fixture.client_of(3).wraps(id, recipient).await.expect("its own").len(), 1);
    assert!(fixture.client_of(7).wraps(id, key(7).address()).await.expect("none").is_empty());

    // A signature is for its job, recipient and slot.
    let moved = KeyWrap { slot: 3, ..first.clone() };
    assert_eq!(
        refused(client.put_wrap(&moved, &first_signed).await),
        ProblemKind::SignatureInvalid
    );
    let moved = KeyWrap { recipient: key(7).address(), ..first };
    assert_eq!(
        refused(client.put_wrap(&moved, &first_signed).await),
        ProblemKind::SignatureInvalid
    );
    let (long, long_signed) = wrap(1, key(8).address(), 2, &[7; 4_097]);
    assert_eq!(refused(client.put_wrap(&long, &long_signed).await), ProblemKind::BodyMalformed);
    let (most, most_signed) = wrap(1, key(8).address(), 2, &[7; 4_096]);
    assert!(client.put_wrap(&most, &most_signed).await.expect("4,096 bytes").1);

    fixture.book.remove_order(id.0).await.expect("removed");
    assert!(fixture.client_of(5).wraps(id, recipient).await.expect("none").is_empty());
}

#[tokio::test]
async fn a_keepers_refusal_is_for_those_it_concerns() {
    let fixture = Fixture::new().await;
    let signed = sealed_order(1);
    let id = signed.job_id(&deployment());
    fixture.client().post_order(&signed).await.expect("posted");
    let refuse = |recipient: u64, code: &str| {
        let refusal = KeyRefusal {
            job_id: id,
            owner: key(3).address(),
            recipient: key(recipient).address(),
            reason: object(&format!("{{\"code\":{code:?}}}")),
            at: NOW,
        };
        SignedKeyRefusal::sign(refusal, &deployment(), &key(3)).expect("signed")
    };
    let key_service = fixture.client_of(3);
    let (first, second) = (refuse(5, "budget-spent"), refuse(6, "expired"));
    assert!(key_service.post_key_refusal(&first).await.expect("posted").1);
    assert!(key_service.post_key_refusal(&second).await.expect("posted").1);
    assert!(!key_service.post_key_refusal(&refuse(5, "other")).await.expect("harmless").1);
    let seen = async |number| {
        let found = fixture.client_of(number).key_refusals(id).await.expect("asked");
        found.iter().map(|entry| entry.signed()).collect::<Vec<_>>()
    };
    assert_eq!(seen(1).await, [first.clone(), second.clone()], "who ordered sees all");
    assert_eq!(seen(3).await, [first.clone(), second.clone()], "whose they are, too");
    assert_eq!(seen(5).await, std::slice::from_ref(&first), "a recipient its own");
    assert_eq!(seen(9).await, [], "a stranger nothing");
    let nothing = fixture.client_of(9).key_refusals(B256::repeat_byte(1)).await.expect("asked");
    assert_eq!(nothing, [], "the same as of no order");
    let other = fixture.client().post_key_refusal(&first).await;
    assert_eq!(refused(other), ProblemKind::NotEntitled);
    let stranger = KeyRefusal { owner: key(9).address(), ..first.refusal.clone() };
    let stranger = SignedKeyRefusal::sign(stranger, &deployment(), &key(9)).expect("signed");
    let flooding = fixture.client_of(9).post_key_refusal(&stranger).await;
    assert_eq!(refused(flooding), ProblemKind::KeyOwner, "strangers hide the owner's");
    let unnamed = SignedKeyRefusal {
        refusal: KeyRefusal { reason: object("{}"), ..first.refusal.clone() },
        ..first.clone()
    };
    assert_eq!(refused(key_service.post_key_refusal(&unnamed).await), ProblemKind::BodyMalformed);
    let mut forged = first;
    forged.refusal.recipient = key(7).address();
    assert_eq!(refused(key_service.post_key_refusal(&forged).await), ProblemKind::SignatureInvalid);
}

#[tokio::test]
async fn datasets_are_replaced_by_higher_versions() {
    let fixture = Fixture::new().await;
    let (owner, client) = (key(3).address(), fixture.client_of(3));
    let dataset = |name: &str, version: u64, policy: &str| {
        let document = format!("{{\"name\":{name:?}, \"version\" : {version}}}");
        SignedDataset::sign(object(&document), object(policy), &deployment(), &key(3))
            .expect("signed")
    };
    assert_eq!(client.dataset(owner, "cohort").await.expect("asked"), None);
    let first = dataset("cohort", 1, r#"{"uses" : 3}"#);
    let (put, is_new) = client.put_dataset(owner, &first).await.expect("put");
    assert!(is_new);
    assert_eq!(client.put_dataset(owner, &first).await.expect("harmless"), (put, false));
    let same = client.put_dataset(owner, &dataset("cohort", 1, "{}")).await;
    assert_eq!(refused(same), ProblemKind::Superseded, "another policy is another version");
    let second = dataset("cohort", 2, "{}");
    client.put_dataset(owner, &second).await.expect("higher");
    assert_eq!(refused(client.put_dataset(owner, &first).await), ProblemKind::Superseded);
    client.put_dataset(owner, &dataset("other", 1, "{}")).await.expect("another name");
    let reader = fixture.client_of(9);
    let found = reader.dataset(owner, "cohort").await.expect("asked").expect("there");
    assert_eq!((found.owner, found.signed()), (owner, second));
    let names = |all: &[assay_protocol::DatasetEntry]| {
        all.iter().filter_map(|entry| entry.signed().name_and_version()).collect::<Vec<_>>()
    };
    let all = reader.datasets().await.expect("asked");
    assert_eq!(names(&all), [("cohort".to_owned(), 2), ("other".to_owned(), 1)]);

    for number in 0..60 {
        client.put_dataset(owner, &dataset(&format!("d{number}"), 1, "{}")).await.expect("put");
    }
    assert_eq!(reader.datasets().await.expect("asked").len(), 62, "over several pages");

    let put = async |name: &str, signed: &SignedDataset| {
        let path = format!("/v1/datasets/{owner}/{name}");
        let ask = Ask::json("PUT", &path, Role::DataOwner, signed).by(3);
        kind(fixture.send(ask).await).await
    };
    let moved = put("elsewhere", &first).await;
    assert_eq!(moved, ProblemKind::BodyMalformed, "one dataset can't be shown as another");
    assert_eq!(put("UPPER", &first).await, ProblemKind::ParameterMalformed);
    let bare = SignedDataset::sign(object("{}"), object("{}"), &deployment(), &key(3));
    assert_eq!(put("cohort", &bare.expect("signed")).await, ProblemKind::BodyMalformed);
    let mut swapped = dataset("cohort", 3, "{}");
    swapped.policy = object(r#"{"uses":1000}"#);
    assert_eq!(put("cohort", &swapped).await, ProblemKind::SignatureInvalid, "another policy");
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(65_537 - 8));
    assert_eq!(put("cohort", &dataset("cohort", 3, &long)).await, ProblemKind::BodyMalformed);
    let most = format!("{{\"a\":\"{}\"}}", "x".repeat(65_536 - 8));
    client.put_dataset(owner, &dataset("cohort", 3, &most)).await.expect("65,536 bytes");
    let other = fixture.client().put_dataset(owner, &first).await;
    assert_eq!(refused(other), ProblemKind::NotEntitled);
}

#[tokio::test]
async fn what_owners_say_stays() {
    let fixture = Fixture::new().await;
    let (owner, client) = (key(3).address(), fixture.client_of(3));
    let said = |kind: &str, text: &str| {
        let document = OwnerDocument { kind: kind.to_owned(), document: object(text) };
        SignedOwnerDocument::sign(document, &deployment(), &key(3)).expect("signed")
    };
    let documents = [
        said("grant", r#"{"to" : "a"}"#),
        said("revocation", r#"{"to" : "a"}"#),
        said("grant", r#"{"to":"a"}"#),
    ];
    let mut sequences = Vec::new();
    for document in &documents {
        let (put, is_new) = client.post_owner_document(owner, document).await.expect("posted");
        assert!(is_new, "another kind, or other bytes, is another document");
        sequences.push(put.sequence);
    }
    let (put, is_new) = client.post_owner_document(owner, &documents[0]).await.expect("harmless");
    assert_eq!((put.sequence, is_new), (sequences[0], false));
    let found = fixture.client_of(9).owner_documents(owner).await.expect("asked");
    assert_eq!(found.iter().map(|entry| entry.signed()).collect::<Vec<_>>(), documents);
    assert!(client.owner_documents(key(4).address()).await.expect("asked").is_empty());
    let odd = client.post_owner_document(owner, &said("a kind", "{}")).await;
    assert_eq!(refused(odd), ProblemKind::BodyMalformed);
    let mut forged = said("grant", "{}");
    forged.kind = "revocation".to_owned();
    let forged = client.post_owner_document(owner, &forged).await;
    assert_eq!(refused(forged), ProblemKind::SignatureInvalid);
    let other = fixture.client().post_owner_document(owner, &documents[0]).await;
    assert_eq!(refused(other), ProblemKind::NotEntitled);
}
