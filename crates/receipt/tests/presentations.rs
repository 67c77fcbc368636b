//! Presentations: what is chosen is shown, nothing else is, and nothing about one can be changed.

mod common;

use std::collections::BTreeSet;

use assay_receipt::{
    Expected, Outcome, Presentation, PresentationCode, PresentationError, Receipt, RoleKey, Trust,
    claim_names, present,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use common::{Ending, World};

fn random() -> impl FnMut(&mut [u8]) {
    let mut generator = fastrand::Rng::with_seed(1);
    move |buffer| generator.fill(buffer)
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn shown(receipt: &Receipt, show: &[&str]) -> String {
    let key = RoleKey::derive(&[5; 32]);
    present(receipt, &names(show), &key, None, None, 1_800_000_200, &mut random()).expect("made")
}

fn outcomes(presentation: &Presentation, code: PresentationCode) -> Vec<Outcome> {
    let of_code = presentation.checks.iter().filter(|check| check.code == code);
    of_code.map(|check| check.outcome).collect()
}

fn read(text: &str, receipt: Option<&Receipt>, trust: Option<&Trust>) -> Presentation {
    let expected = Expected { receipt, trust, audience: None };
    Presentation::from_bytes(text.as_bytes(), expected).expect("a presentation")
}

#[test]
fn what_is_chosen_is_shown_and_nothing_else() {
    let mut world = World::new(1);
    let receipt = world.job(1, Ending::Paid);
    let presentation = read(&shown(&receipt, &["price", "statement-verdict"]), None, None);
    let claims: BTreeSet<&str> = presentation.claims.keys().map(String::as_str).collect();
    let expect = BTreeSet::from([
        "job",
        "receipt",
        "program",
        "inputRoot",
        "datasetRoot",
        "outputRoot",
        "ending",
        "verdict",
        "iat",
        "cnf",
        "price",
        "statement-verdict",
    ]);
    assert_eq!(claims, expect);
    assert_eq!(presentation.claims["ending"], "JobPaid");
    assert_eq!(presentation.claims["verdict"], "agrees");
    assert_eq!(presentation.claims["price"]["paid"], "900");
    assert!(!presentation.is_refused() && !presentation.is_compared());
    let receipt_line = outcomes(&presentation, PresentationCode::Receipt);
    assert_eq!(receipt_line, [Outcome::NotChecked], "alone it is the presenter's word");
    assert_eq!(outcomes(&presentation, PresentationCode::Presenter), [Outcome::NotChecked]);
    assert_eq!(outcomes(&presentation, PresentationCode::Statement), [Outcome::Held]);
}

#[test]
fn every_claim_of_every_ending_is_what_the_receipt_says() {
    let mut world = World::new(1);
    let mut digests = BTreeSet::new();
    for (nonce, ending) in [(1, Ending::Paid), (2, Ending::Slashed), (3, Ending::Missed)] {
        let receipt = world.job(nonce, ending);
        let all = claim_names(&receipt);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let text = shown(&receipt, &all);
        let alone = read(&text, Some(&receipt), None);
        assert!(alone.is_compared() && !alone.is_refused(), "{:#?}", alone.checks);
        let trusted = read(&text, Some(&receipt), Some(&world.trust()));
        assert!(trusted.is_compared() && !trusted.is_refused(), "{:#?}", trusted.checks);
        assert_eq!(outcomes(&trusted, PresentationCode::Market), [Outcome::Held]);
        let payload = text.split('.').nth(1).expect("a token");
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64url");
        let payload: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        digests.insert(payload["_sd"].as_array().expect("digests").len());
    }
    assert_eq!(digests, BTreeSet::from([32]), "the number of hidden claims must not be told");
}

#[test]
fn a_presentation_of_another_receipt_or_of_lies_is_refused() {
    let mut world = World::new(1);
    let receipt = world.job(1, Ending::Paid);
    let text = shown(&receipt, &["price"]);
    let other = world.job(2, Ending::Paid);
    assert!(read(&text, Some(&other), None).is_refused());
    let elsewhere = World::new(9).trust();
    let market = shown(&receipt, &["market"]);
    assert!(read(&market, None, Some(&elsewhere)).is_refused(), "another market than is trusted");
    // Same digest, other content: only a receipt whose digest fits is a receipt.
    let mut forged = receipt.clone();
    forged.order.order.stake =
        forged.order.order.stake.saturating_add(alloy_primitives::aliases::U96::from(1));
    assert!(read(&text, Some(&forged), None).is_refused(), "a receipt that does not hold");
    let bad =
        present(&forged, &names(&[]), &RoleKey::derive(&[5; 32]), None, None, 1, &mut random());
    assert_eq!(bad, Err(PresentationError::Receipt));
}

#[test]
fn a_key_speaks_for_whom_a_binding_says() {
    let mut world = World::new(1);
    let receipt = world.job(1, Ending::Paid);
    let (key, binding) = world.requester_key();
    let show = |show: &[&str]| {
        let binding = Some(&binding);
        present(&receipt, &names(show), &key, binding, None, 1, &mut random()).expect("made")
    };
    let named = read(&show(&["presenter"]), None, None);
    assert_eq!(outcomes(&named, PresentationCode::Presenter), [Outcome::Held]);
    let hidden = show(&[]);
    assert_eq!(
        outcomes(&read(&hidden, None, None), PresentationCode::Presenter),
        [Outcome::NotChecked]
    );
    let by_receipt = read(&hidden, Some(&receipt), None);
    assert_eq!(outcomes(&by_receipt, PresentationCode::Presenter), [Outcome::Held]);
    let stranger = RoleKey::derive(&[5; 32]);
    let lent = present(
        &receipt,
        &names(&["presenter"]),
        &stranger,
        Some(&binding),
        None,
        1,
        &mut random(),
    );
    assert_eq!(lent, Err(PresentationError::Binding));
}

#[test]
fn it_is_for_whom_it_was_made() {
    let mut world = World::new(1);
    let receipt = world.job(1, Ending::Paid);
    let key = RoleKey::derive(&[5; 32]);
    let made = |audience| {
        present(&receipt, &names(&[]), &key, None, audience, 7, &mut random()).expect("made")
    };
    let check = |text: &str, audience| {
        let expected = Expected { audience, ..Expected::default() };
        let read = Presentation::from_bytes(text.as_bytes(), expected).expect("a presentation");
        outcomes(&read, PresentationCode::KeyBinding)
    };
    let (bound, unbound) = (made(Some(("bank.example", "n1"))), made(None));
    assert_eq!(check(&bound, Some(("bank.example", "n1"))), [Outcome::Held]);
    assert_eq!(check(&bound, Some(("bank.example", "n2"))), [Outcome::Refused], "a replay");
    assert_eq!(check(&bound, Some(("other.example", "n1"))), [Outcome::Refused]);
    assert_eq!(check(&bound, None), [Outcome::NotChecked]);
    assert_eq!(check(&unbound, Some(("bank.example", "n1"))), [Outcome::Refused]);
    assert_eq!(check(&unbound, None), []);
}

#[test]
fn every_change_of_a_byte_is_refused() {
    let mut world = World::new(1);
    let receipt = world.job(1, Ending::Missed);
    let key = RoleKey::derive(&[5; 32]);
    let audience = Some(("a", "n"));
    let text = present(&receipt, &names(&["stake"]), &key, None, audience, 7, &mut random());
    let bytes = text.expect("made").into_bytes();
    let expected = Expected { receipt: None, trust: None, audience };
    let holds = |bytes: &[u8]| {
        Presentation::from_bytes(bytes, expected).is_ok_and(|read| !read.is_refused())
    };
    assert!(holds(&bytes));
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        for byte in [bytes[at] ^ 1, bytes[at] ^ 2, b'~', b'.', b'A', b'=', b'\n', 0xff] {
            bent[at] = byte;
            assert_eq!(holds(&bent), bent == bytes, "byte {at} as {byte} was taken");
        }
        bent.remove(at);
        assert!(!holds(&bent) && !holds(&bytes[..at]), "without byte {at} it was taken");
    }
}

#[test]
fn what_is_not_there_can_not_be_shown() {
    let mut world = World::new(1);
    let receipt = world.job(1, Ending::Missed);
    let key = RoleKey::derive(&[5; 32]);
    for name in ["statement-claim", "job", "nonsense", "presenter", "_sd"] {
        let made = present(&receipt, &names(&[name]), &key, None, None, 7, &mut random());
        assert!(matches!(made, Err(PresentationError::Name { .. })), "{name}: {made:?}");
    }
    let foreign = Presentation::from_bytes(b"a.b.c~", Expected::default());
    assert!(matches!(foreign, Err(PresentationError::Token(_))), "{foreign:?}");
}
