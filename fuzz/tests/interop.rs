//! Other people's tools check our artefacts. `cargo xtask test` installs them and says where
//! (`ASSAY_PYTHON`); in CI they must be there.

#[path = "../../crates/receipt/tests/common/mod.rs"]
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use alloy_primitives::{Address, B256, hex};
use assay_fuzz::parsers::Seeded;
use assay_mask::MaskStatement;
use assay_receipt::{JobSummary, MarketId, Masked, Statement, prov, ro_crate};
use assay_seal::{ContentKey, SealKeys, Wrap, WrapContext, envelope, output_key, seal_output};
use assay_storage::LogFiles;
use assay_tlog::{
    AddCheckpoint, COSIGNED, KeyKind, LogProof, NoteKey, Policy, Reader, Storage, Witness,
};
use assay_types::{Hash, Salt};
use world::{Ending, World};

/// What a script of this folder prints; `None` where nothing can run it.
fn python(script: &str, arguments: &[&str]) -> Option<String> {
    let Some(python) = std::env::var_os("ASSAY_PYTHON") else {
        assert!(std::env::var_os("CI").is_none(), "in CI others' tools must check our artefacts");
        eprintln!("skipped: `cargo xtask test` installs what runs {script}");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let done = Command::new(python).arg(&script).args(arguments).output().expect("it starts");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}: {errors}", script.display());
    Some(String::from_utf8(done.stdout).expect("text"))
}

#[test]
fn another_tool_reads_the_log_and_checks_its_proofs() {
    // Three levels of tiles.
    let size: u64 = 66_000;
    let folder = tempfile::tempdir().expect("a folder");
    let key = NoteKey::new("log.example/assay", KeyKind::Log, &[7; 32]).expect("a key");
    let files = LogFiles::open(folder.path()).expect("a log");
    let mut log = assay_tlog::Log::open(files, key.clone()).expect("begun");
    let entries: Vec<_> = (0..size).map(|number| format!("entry {number}").into_bytes()).collect();
    entries.chunks(3_001).for_each(|batch| drop(log.add(batch).expect("added")));
    let note = log.checkpoint().expect("there is one").to_vec();
    drop(log);

    let files = LogFiles::open(folder.path()).expect("a log");
    let policy = Policy::of_log(key.vkey().clone()).expect("a policy");
    let tree = policy.open(&note).expect("signed").checkpoint;
    let reader = Reader::new(&files, &tree);
    let hex =
        |path: Vec<assay_types::Hash>| path.iter().map(|h| hex::encode(h.0)).collect::<Vec<_>>();
    let places = (0..size).step_by(size as usize / 400);
    let inclusion: Vec<_> = places
        .clone()
        .map(|index| (index, hex(reader.prove_inclusion(index).expect("proved"))))
        .collect();
    let consistency: Vec<_> = places
        .map(|index| (index + 1, hex(reader.prove_consistency(index + 1).expect("proved"))))
        .collect();
    let said = serde_json::json!({ "inclusion": inclusion, "consistency": consistency });
    std::fs::write(folder.path().join("said.json"), said.to_string()).expect("written");

    let witness = NoteKey::new("witness.example", KeyKind::Witness, &[9; 32]).expect("a key");
    let watched = tempfile::tempdir().expect("a folder");
    let store = LogFiles::open(watched.path()).expect("a folder");
    let witness = Witness::new(store, witness, vec![key.vkey().clone()]).expect("a witness");
    let request = AddCheckpoint { old_size: 0, consistency: Vec::new(), checkpoint: note.clone() };
    let line = witness.add_checkpoint(&request.to_bytes(), 1_800_000_000).expect("cosigned");
    let cosigned = [note, line].concat();
    assert!(files.replace(COSIGNED, None, &cosigned).expect("written"));
    let path = reader.prove_inclusion(4_711).expect("proved");
    let proof = LogProof { index: 4_711, path, checkpoint: cosigned };
    std::fs::write(folder.path().join("one.tlog-proof"), proof.to_bytes()).expect("written");

    let folder = folder.path().to_str().expect("text");
    let keys = [key.vkey().to_string(), witness.vkey().to_string()];
    let Some(checked) = python("tlog.py", &[folder, &size.to_string(), &keys[0], &keys[1]]) else {
        return;
    };
    let counts = format!("{size} {} {}", inclusion.len(), consistency.len());
    assert_eq!(checked.trim(), counts, "it has checked all of it");
}

#[test]
fn others_check_what_is_said_of_a_job() {
    let mut world = World::new(3);
    world.job(1, Ending::Slashed);
    let receipt = world.job(2, Ending::Paid);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("receipt.json");
    std::fs::write(&path, receipt.to_bytes()).expect("written");
    let Some(kinds) = python("statements.py", &[path.to_str().expect("text")]) else { return };
    let expected = [
        "urn:assay:binding:v1",
        "urn:assay:binding:v1",
        "urn:assay:binding:v1",
        "urn:assay:operator:v1",
        "urn:assay:order:v1",
        "urn:assay:lock:v1",
        "https://slsa.dev/provenance/v1",
        "urn:assay:claim:v1",
        "urn:assay:verdict:v1",
        "urn:assay:settlement:v1",
    ];
    assert_eq!(
        kinds.split_whitespace().collect::<Vec<_>>(),
        expected,
        "they have checked all of it"
    );
}

#[test]
fn others_read_what_data_was_masked_by() {
    let hash = |byte| Hash([byte; 32]);
    let owner = Address::repeat_byte(9);
    let mask = MaskStatement {
        owner: hex::encode_prefixed(owner),
        input: hash(1),
        output: hash(2),
        plan: hash(3),
        rows_in: 14,
        rows_out: 12,
        rows_dropped: 2,
        rows_blanked: 0,
        actions: Vec::new(),
        anonymity: None,
    };
    let market = MarketId {
        chain_id: 1,
        genesis_hash: B256::repeat_byte(4),
        market: Address::repeat_byte(5),
    };
    let (root, envelope) = (B256::repeat_byte(6), B256::repeat_byte(7));
    let said = Statement::Masked(Box::new(Masked { market, owner, root, envelope, mask }));
    let payload = said.to_payload();
    assert_eq!(Statement::from_payload(&payload), Ok(said), "one form");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("payload.json");
    std::fs::write(&path, payload).expect("written");
    let Some(told) = python("masked.py", &[path.to_str().expect("text")]) else { return };
    assert_eq!(told.trim(), "urn:assay:masked:v1 dataset");
}

#[test]
fn others_read_the_exports() {
    let mut world = World::new(3);
    let endings = [Ending::Paid, Ending::Slashed, Ending::Missed];
    let receipts: Vec<_> =
        (1..).zip(endings).map(|(nonce, ending)| world.job(nonce, ending)).collect();
    let lives: Vec<JobSummary> =
        receipts.iter().map(|one| JobSummary::of(one).expect("sound")).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("prov.json"), prov(&lives).to_string()).expect("written");
    for (life, receipt) in lives.iter().zip(&receipts) {
        let name = hex::encode(life.job);
        std::fs::create_dir(path(&name)).expect("made");
        let crate_ = path(&name).join("ro-crate-metadata.json");
        std::fs::write(crate_, ro_crate(life).to_string()).expect("written");
        std::fs::write(path(&name).join("receipt.json"), receipt.to_bytes()).expect("written");
        let arguments = [path("prov.json"), path(&name)].map(|path| path.display().to_string());
        let Some(records) = python("exports.py", &[&arguments[0], &arguments[1]]) else { return };
        // Program, input, dataset and output; two accounts; three jobs with three uses, an account
        // and a commission each; and of the one that was paid, what came out of it and from what,
        // its trace and its final state.
        assert_eq!(records.trim(), (4 + 2 + 3 + 9 + 3 + 3 + 1 + 2 + 4).to_string());
    }
}

/// HPKE by pyhpke and cryptography, the chunks by cryptography: they open what we seal, and we open
/// what they do.
#[test]
fn others_open_what_we_seal_and_seal_what_we_open() {
    let (keys, key) = (SealKeys::derive(&[0x41; 32]), ContentKey::from_bytes([0x42; 32]));
    let context = WrapContext {
        job: Hash([1; 32]),
        slot: 3,
        envelope: Hash([2; 32]),
        policy: Hash([3; 32]),
        owner: [4; 20],
        recipient: [5; 20],
    };
    let mut rng = Seeded::new(1);
    let old = keys.public().only(|suite| suite == 1).expect("X25519");
    let wraps = [keys.public(), old].map(|offered| {
        let wrap = Wrap::seal(&key, &offered, &context, &mut rng).expect("good keys");
        hex::encode(wrap.to_bytes())
    });

    let folder = tempfile::tempdir().expect("a folder");
    let (cells, input_salt) = (Hash([0xce; 32]), Salt([0x43; 24]));
    let plaintext = |length: usize| (0..length).map(|at| (at % 251) as u8).collect::<Vec<_>>();
    let lengths = [0, 1, 65_535, 65_536, 65_537, 300_000];
    let mut envelopes = Vec::new();
    for length in lengths {
        let plain = plaintext(length);
        let drawn = envelope::seal(&key, &plain, cells, &mut rng).expect("small");
        let output = seal_output(&input_salt, &plain, cells).expect("small");
        for (name, bytes, key) in
            [("drawn", drawn, key.clone()), ("output", output, output_key(&input_salt))]
        {
            let file = format!("{name}-{length}");
            std::fs::write(folder.path().join(&file), bytes).expect("written");
            let digest = assay_types::sha256(&plain).to_string();
            let key = hex::encode(key.as_bytes());
            envelopes
                .push(serde_json::json!({ "file": file, "key": key, "plaintextSha256": digest }));
        }
    }
    let said = serde_json::json!({
        "secret": "41".repeat(32),
        "public": keys.public(),
        "contentKey": hex::encode(key.as_bytes()),
        "context": {
            "job": "01".repeat(32), "slot": "03", "envelope": "02".repeat(32), "policy": "03".repeat(32),
            "owner": "04".repeat(20), "recipient": "05".repeat(20),
        },
        "wraps": wraps,
        "envelopes": envelopes,
        "inputSalt": hex::encode(input_salt.0),
        "lengths": lengths,
    });
    std::fs::write(folder.path().join("said.json"), said.to_string()).expect("written");
    let Some(counts) = python("seal.py", &[folder.path().to_str().expect("text")]) else { return };
    assert_eq!(counts.trim(), "2 12", "they have opened all of it");

    let made = std::fs::read(folder.path().join("made.json")).expect("made");
    let made: BTreeMap<String, Vec<String>> = serde_json::from_slice(&made).expect("three lists");
    let bytes = |list: &str| made[list].iter().map(|one| hex::decode(one).expect("hexadecimal"));
    for wrap in bytes("wraps") {
        let opened = Wrap::from_bytes(&wrap).and_then(|wrap| wrap.open(&keys, &context));
        assert_eq!(opened.expect("it opens").as_bytes(), key.as_bytes());
    }
    let expected = lengths.iter().flat_map(|length| [plaintext(*length), plaintext(*length)]);
    assert!(
        bytes("envelopes")
            .map(|one| envelope::open(&key, &one).expect("it opens").to_vec())
            .eq(expected)
    );
    for (output, length) in bytes("outputs").zip(lengths) {
        let ours = seal_output(&input_salt, &plaintext(length), cells).expect("small");
        assert!(output == ours, "outputs have one form, whoever seals them");
    }
    assert_eq!(["wraps", "envelopes", "outputs"].map(|list| made[list].len()), [2, 12, 6]);
}

/// Presentations both ways: another library takes ours, and what another library presents is taken
/// here.
#[test]
fn another_library_reads_presentations_and_makes_some() {
    let mut world = World::new(3);
    let receipt = world.job(1, Ending::Paid);
    let (key, binding) = world.requester_key();
    let mut generator = fastrand::Rng::with_seed(3);
    let mut random = |buffer: &mut [u8]| generator.fill(buffer);
    let show = ["price", "presenter", "statement-verdict"].map(str::to_owned).into();
    let audience = Some(("auditor.example", "n-1"));
    let made = assay_receipt::present(
        &receipt,
        &show,
        &key,
        Some(&binding),
        audience,
        1_800_000_200,
        &mut random,
    );
    let folder = tempfile::tempdir().expect("a folder");
    let ours = folder.path().join("ours.json");
    let said = serde_json::json!({
        "text": made.expect("made"),
        "key": key.public(),
        "audience": "auditor.example",
        "nonce": "n-1",
    });
    std::fs::write(&ours, said.to_string()).expect("written");
    let Some(printed) = python("presentations.py", &[ours.to_str().expect("a path")]) else {
        return;
    };
    let theirs: serde_json::Value = serde_json::from_str(&printed).expect("JSON");

    let text = said["text"].as_str().expect("text").as_bytes();
    let expected = assay_receipt::Expected { audience, ..Default::default() };
    let read = assay_receipt::Presentation::from_bytes(text, expected).expect("ours");
    assert_eq!(
        theirs["claims"],
        serde_json::Value::from(read.claims),
        "two readers must see the same"
    );

    let text = theirs["text"].as_str().expect("text").as_bytes();
    let key = theirs["key"].as_str().expect("text").parse().expect("a key");
    let read = assay_disclosure::sd_jwt::Presented::from_bytes(text, "example+sd-jwt", Some(key));
    let read = read.expect("another library's presentation must be taken");
    assert_eq!(read.claims["price"], serde_json::json!({ "max": "1000", "paid": "900" }));
    assert_eq!(read.claims["lands"], serde_json::json!(["DE", "FR"]), "and not what is hidden");
    assert!(!read.claims.contains_key("stake"));
    let binding = read.binding.expect("bound");
    assert_eq!((&binding.audience[..], &binding.nonce[..]), ("assay.example", "n-7"));
}
