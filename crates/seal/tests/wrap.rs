//! Wraps: who opens them, in which context, and that nothing in them may change.

mod common;

use assay_seal::{SealKeys, SealPublic, Wrap, WrapContext, WrapError, WrapSuite};
use assay_types::Hash;
use common::{Seeded, account, context, key};

/// What an account offers that has only X25519.
fn old(keys: &SealKeys) -> SealPublic {
    keys.public().only(|suite| suite == WrapSuite::X25519 as u8).expect("it offers that")
}

fn both(recipient: &SealKeys) -> [Wrap; 2] {
    [old(recipient), recipient.public()].map(|offered| {
        Wrap::seal(&key(7), &offered, &context(), &mut Seeded::new(1)).expect("a good key")
    })
}

#[test]
fn a_wrap_opens_for_its_recipient_only() {
    let [x25519, x_wing] = both(&account(1));
    assert_eq!((x25519.to_bytes().len(), x_wing.to_bytes().len()), (89, 1177));
    for wrap in [x25519, x_wing] {
        let read = Wrap::from_bytes(&wrap.to_bytes()).expect("as written");
        assert_eq!(read, wrap);
        let opened = read.open(&account(1), &context()).expect("for this account");
        assert_eq!(opened.as_bytes(), key(7).as_bytes());
        let stranger = wrap.open(&account(2), &context()).map(drop);
        assert_eq!(stranger, Err(WrapError::Closed), "a stranger reads the key");
    }
}

#[test]
fn the_best_suite_is_chosen_that_both_know() {
    let keys = account(1);
    let [by_old, by_new] = both(&keys);
    assert_eq!(by_old.suite(), WrapSuite::X25519, "all that the recipient offers");
    assert_eq!(by_new.suite(), WrapSuite::XWing, "a recording is safe from a quantum computer");

    // A suite of later: skipped where there is one that is known, and named where there is none.
    let json = String::from_utf8(keys.public().to_bytes()).expect("text");
    let later = r#"{"suite":200,"key":"00ff"}"#;
    let more = json.replace("]}", &format!(",{later}]}}"));
    let more = SealPublic::from_bytes(more.as_bytes()).expect("a later account");
    assert_eq!(more.suites().collect::<Vec<_>>(), [1, 2, 200]);
    let wrap = Wrap::seal(&key(7), &more, &context(), &mut Seeded::new(1)).expect("good keys");
    assert_eq!(wrap.suite(), WrapSuite::XWing);
    let only = SealPublic::from_bytes(format!(r#"{{"kems":[{later}]}}"#).as_bytes()).expect("one");
    let refused = Wrap::seal(&key(7), &only, &context(), &mut Seeded::new(1));
    assert_eq!(refused, Err(WrapError::NoSuite(vec![200])));
}

/// A context that differs in one field is another context.
#[test]
fn a_wrap_opens_in_its_context_only() {
    let fields: [fn(&mut WrapContext); 6] = [
        |context| context.job.0[31] ^= 1,
        |context| context.slot ^= 1,
        |context| context.envelope = Hash::default(),
        |context| context.policy.0[0] ^= 0x80,
        |context| context.owner[19] ^= 1,
        |context| context.recipient[0] ^= 1,
    ];
    for wrap in both(&account(1)) {
        for (number, change) in fields.iter().enumerate() {
            let mut other = context();
            change(&mut other);
            let opened = wrap.open(&account(1), &other).map(drop);
            assert_eq!(opened, Err(WrapError::Closed), "field {number} is not bound");
        }
    }
}

#[test]
fn every_single_byte_change_is_refused() {
    let keys = account(1);
    let refused = |bytes: &[u8]| {
        Wrap::from_bytes(bytes).and_then(|wrap| wrap.open(&keys, &context())).is_err()
    };
    for wrap in both(&keys) {
        let bytes = wrap.to_bytes();
        assert!(!refused(&bytes));
        for at in 0..bytes.len() {
            // All bits of the small one and of what is not ML-KEM's; of that one bit a byte.
            let bits = if bytes.len() < 100 || !(9..1097).contains(&at) { 0..8 } else { 3..4 };
            for bit in bits {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(refused(&changed), "byte {at}, bit {bit} does not count");
            }
            assert!(refused(&bytes[..at]), "cut at {at}");
        }
        assert!(refused(&[&bytes[..], &[0]].concat()), "longer");
    }
}

#[test]
fn bad_wraps_say_why() {
    let [bytes, _] = both(&account(1)).map(|wrap| wrap.to_bytes());
    let read = |bytes: &[u8]| Wrap::from_bytes(bytes).map(drop);
    assert_eq!(read(b""), Err(WrapError::Tag));
    assert_eq!(read(b"assayk\x02\x01"), Err(WrapError::Tag), "a later version");
    assert_eq!(read(b"assayk\x01\x01"), Err(WrapError::Size { expected: 9, came: 8 }));
    assert_eq!(read(b"assayk\x01\x01\x09"), Err(WrapError::Suite(9)));
    assert_eq!(read(&bytes[..88]), Err(WrapError::Size { expected: 89, came: 88 }));
    assert_eq!(read(&[&bytes[..], &[0]].concat()), Err(WrapError::Size { expected: 89, came: 90 }));
    let message = WrapError::Suite(9).to_string();
    assert!(message.contains("suite 9"), "who meets a new suite must know its number: {message}");
}

/// A key of small order gives everyone the same secret (RFC 7748, 6.1; RFC 9180, 7.1.4).
#[test]
fn a_key_that_shares_with_everyone_is_refused() {
    let zero = format!(r#"{{"kems":[{{"suite":1,"key":"{}"}}]}}"#, "00".repeat(32));
    let refused = match SealPublic::from_bytes(zero.as_bytes()) {
        Err(_) => true,
        Ok(public) => {
            let wrap = Wrap::seal(&key(7), &public, &context(), &mut Seeded::new(1));
            wrap == Err(WrapError::Recipient(1))
        }
    };
    assert!(refused, "anyone could open what is wrapped to it");
}

#[test]
fn no_two_wraps_share_an_encapsulated_key() {
    let mut rng = Seeded::new(1);
    let public = account(1).public();
    let [one, other] = [(); 2].map(|()| {
        Wrap::seal(&key(7), &public, &context(), &mut rng).expect("a good key").to_bytes()
    });
    assert_ne!(one[9..1129], other[9..1129]);
    assert_ne!(one[1129..], other[1129..]);
}
