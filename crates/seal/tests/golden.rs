//! What was sealed once opens for ever: the recorded envelopes and wraps of every suite
//! (spec/vectors.md).

mod common;

use std::path::PathBuf;

use assay_seal::envelope::{Header, Suite, open, seal};
use assay_seal::{
    ContentKey, SealKeys, Wrap, WrapContext, WrapSuite, open_output, output_key, seal_output,
};
use assay_types::{Hash, Salt, sha256};
use common::Seeded;
use serde::{Deserialize, Serialize};

/// `vectors/envelopes/1.json`.
#[derive(PartialEq, Debug, Serialize, Deserialize)]
struct Recorded {
    envelopes: Vec<Envelope>,
    wraps: Vec<Wrapped>,
}

#[derive(PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    suite: u8,
    content_key: String,
    cells_root: Hash,
    /// Of the plaintext, whose byte i is i mod 251.
    length: usize,
    /// Where it is an output.
    input_salt: Option<String>,
    /// Whole where it is short.
    envelope: Option<String>,
    envelope_sha256: Hash,
}

#[derive(PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wrapped {
    suite: u8,
    account_secret: String,
    job: Hash,
    slot: u8,
    envelope: Hash,
    policy: Hash,
    owner: String,
    recipient: String,
    content_key: String,
    wrap: String,
}

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/envelopes/1.json"))
}

fn recorded() -> Recorded {
    let text = std::fs::read(file()).expect("vectors");
    serde_json::from_slice(&text).expect("envelopes and wraps")
}

fn array<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).expect("hexadecimal").try_into().expect("its size")
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

#[test]
fn recorded_envelopes_open() {
    let recorded = recorded().envelopes;
    let suites: Vec<u8> = recorded.iter().map(|one| one.suite).collect();
    assert_eq!(suites, [1, 1, 1, 2, 2, 2], "every suite has envelopes");
    // Whatever can be sealed today, in the same bytes: with them the long ones can be opened too.
    let again = record().envelopes;
    for (one, again) in recorded.iter().zip(&again) {
        assert_eq!(one, again, "sealing gives other bytes than it did");
        let Some(envelope) = &one.envelope else { continue };
        let envelope = hex::decode(envelope).expect("hexadecimal");
        let header = Header::from_bytes(&envelope).expect("a header");
        assert_eq!(Some(header.suite()), Suite::of(one.suite));
        assert_eq!(header.cells_root(), one.cells_root);
        let key = ContentKey::from_bytes(array(&one.content_key));
        let opened = open(&key, &envelope).expect("what was sealed once opens for ever");
        assert_eq!(*opened, plaintext(one.length));
        if let Some(salt) = &one.input_salt {
            let opened = open_output(&Salt(array(salt)), &envelope).expect("an output");
            assert_eq!(*opened, plaintext(one.length));
        }
    }
}

#[test]
fn recorded_wraps_open() {
    let recorded = recorded().wraps;
    let suites: Vec<u8> = recorded.iter().map(|one| one.suite).collect();
    assert_eq!(suites, [1, 2], "every suite has a wrap");
    for one in recorded {
        let wrap = Wrap::from_bytes(&hex::decode(&one.wrap).expect("hexadecimal")).expect("a wrap");
        assert_eq!(Some(wrap.suite()), WrapSuite::of(one.suite));
        let context = WrapContext {
            job: one.job,
            slot: one.slot,
            envelope: one.envelope,
            policy: one.policy,
            owner: array(&one.owner),
            recipient: array(&one.recipient),
        };
        let keys = SealKeys::derive(&array(&one.account_secret));
        let key = wrap.open(&keys, &context).expect("what was wrapped once opens for ever");
        assert_eq!(hex::encode(key.as_bytes()), one.content_key);
    }
}

fn record() -> Recorded {
    let mut rng = Seeded::new(2026);
    let (cells_root, salt) = (Hash([0xce; 32]), Salt([0x5a; 24]));
    let mut envelopes = Vec::new();
    for length in [0, 200, 150_000] {
        let key = ContentKey::draw(&mut rng);
        let sealed = seal(&key, &plaintext(length), cells_root, &mut rng).expect("small");
        envelopes.push(envelope(1, &key, length, None, &sealed));
    }
    for length in [0, 200, 150_000] {
        let sealed = seal_output(&salt, &plaintext(length), cells_root).expect("small");
        envelopes.push(envelope(2, &output_key(&salt), length, Some(salt), &sealed));
    }
    let key = ContentKey::draw(&mut rng);
    let (keys, context) = (common::account(3), common::context());
    let wraps = [WrapSuite::X25519, WrapSuite::XWing].map(|suite| {
        let offered = keys.public().only(|one| one == suite as u8).expect("offered");
        let wrap = Wrap::seal(&key, &offered, &context, &mut rng).expect("good keys");
        Wrapped {
            suite: suite as u8,
            account_secret: hex::encode([3; 32]),
            job: context.job,
            slot: context.slot,
            envelope: context.envelope,
            policy: context.policy,
            owner: hex::encode(context.owner),
            recipient: hex::encode(context.recipient),
            content_key: hex::encode(key.as_bytes()),
            wrap: hex::encode(wrap.to_bytes()),
        }
    });
    Recorded { envelopes, wraps: wraps.into() }
}

fn envelope(
    suite: u8,
    key: &ContentKey,
    length: usize,
    input_salt: Option<Salt>,
    sealed: &[u8],
) -> Envelope {
    Envelope {
        suite,
        content_key: hex::encode(key.as_bytes()),
        cells_root: Hash([0xce; 32]),
        length,
        input_salt: input_salt.map(|salt| hex::encode(salt.0)),
        envelope: (sealed.len() < 1_000).then(|| hex::encode(sealed)),
        envelope_sha256: sha256(sealed),
    }
}

/// For a suite that is new, into a file that is new: `cargo test -p assay-privacy --test golden --
/// --ignored`.
#[test]
#[ignore = "writes vectors/envelopes; what is there is never changed"]
fn write() {
    assert!(!file().exists(), "recorded envelopes are never changed");
    std::fs::create_dir_all(file().parent().expect("a folder")).expect("made");
    let text = serde_json::to_string_pretty(&record()).expect("plain structs") + "\n";
    std::fs::write(file(), text).expect("written");
}
