//! Logs, anchors, receipts and what is none of them, as a person or a script meets them.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

mod daemons;
mod nowhere;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use assay_tlog::{CHECKPOINT, COSIGNED};
use daemons::{ANYWHERE, Daemon, add, client, copy, cosigned, deployment_in, size_of};
use serde_json::Value;
use tempfile::TempDir;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Home(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn assay(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.args(arguments).stdin(Stdio::null()).current_dir(self.0.path());
        command.env("ASSAY_HOME", self.path("home"));
        // Nothing here may want a network: whoever asks this proxy is refused.
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command
                .env(proxy, "http://127.0.0.1:9")
                .env(proxy.to_lowercase(), "http://127.0.0.1:9");
        }
        command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1").output().unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.assay(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Runs a command that must not succeed, and gives all that it says.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.assay(arguments);
        let said = text(&output.stdout) + &text(&output.stderr);
        let code = output.status.code();
        assert!(matches!(code, Some(1 | 3)), "{arguments:?} ended with {code:?}: {said}");
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        said
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.assay(&["down"]);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn program(name: &str) -> String {
    format!("{ROOT}/programs/prebuilt/{name}.elf")
}

fn golden(name: &str) -> String {
    format!("{ROOT}/vectors/receipts/1/{name}")
}

/// Files that are not what a command wants.
fn wrong_files(home: &Home) -> Vec<(&'static str, String)> {
    let receipt = std::fs::read(golden("paid/receipt.json")).unwrap();
    let mut flipped = receipt.clone();
    flipped[receipt.len() / 3] ^= 4;
    let newer = text(&receipt).replacen("assay.receipt/1", "assay.receipt/2", 1);
    let junk: Vec<u8> =
        (0..5_000u32).map(|k| (k.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let files = [
        ("empty", Vec::new()),
        ("truncated", receipt[..receipt.len() / 2].to_vec()),
        ("tampered", flipped),
        ("binary", junk),
        ("other-json", b"{\"schema\":\"assay.exec/1\",\"steps\":7}".to_vec()),
        ("deep", vec![b'['; 200_000]),
        ("newer", newer.into_bytes()),
    ];
    let mut all = Vec::new();
    for (name, content) in files {
        let path = home.path(&format!("{name}.json"));
        std::fs::write(&path, content).unwrap();
        all.push((name, path));
    }
    let huge = home.path("huge.json");
    std::fs::File::create(&huge).unwrap().set_len(3 << 30).unwrap();
    all.push(("huge", huge));
    let folder = home.path("folder.json");
    std::fs::create_dir_all(&folder).unwrap();
    all.push(("folder", folder));
    all.push(("gone", home.path("gone.json")));
    all
}

#[test]
fn whatever_file_is_given_the_reason_is_said_and_nothing_panics() {
    let home = Home::new();
    let (good, trust) = (golden("paid/receipt.json"), golden("paid/trust.json"));
    let log = home.path("log");
    std::fs::create_dir(&log).unwrap();
    for (name, file) in wrong_files(&home) {
        let commands: [&[&str]; 10] = [
            &["verify", &file, "--trust", &trust],
            &["verify", &file, "--no-trust"],
            &["verify", &good, "--trust", &file],
            &["replay", &file],
            &["receipt", "show", &file],
            &["receipt", "export", "--format", "prov", &file],
            &["receipt", "audit", &file],
            &["log", "fsck", &log, "--trust", &file],
            &["log", "fsck", &log, "--trust", &trust, "--known", &file],
            &["log", "fsck", &log, "--trust", &trust, "--checkpoint", &file],
        ];
        for command in commands {
            // A folder of no receipts is no wrong file.
            if name == "folder" && matches!(command[1], "export" | "audit") {
                continue;
            }
            let said = home.refused(command);
            assert!(said.len() > 20, "{name}, {command:?} gives no reason: {said}");
        }
        home.refused(&["log", "fsck", &log, "--trust", &trust, "--receipt", &file]);
        home.refused(&["witness", "verify", &file]);
    }
    for (name, reason) in [
        ("empty", "is empty"),
        ("truncated", "cut off"),
        ("binary", "is no receipt"),
        ("other-json", "is no receipt"),
        ("newer", "does not know"),
        ("huge", "longer than"),
    ] {
        let said = home.refused(&["verify", &home.path(&format!("{name}.json")), "--no-trust"]);
        assert!(said.contains(reason), "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_anchored_can_not_be_rolled_back_or_forked_unnoticed() {
    let home = Home::new();
    home.done(&["up", "--detach", "--rpc-port", "0", "--port", "0"]);
    home.done(&["run", &program("sha256")]);
    let early = home.path("early");
    copy(home.path("home/log").as_ref(), early.as_ref());
    let deployment = home.path("home/chain/deployment.json");
    let rpc = home.json(&["status"])["rpc"].as_str().unwrap().to_owned();
    let fsck = |place: &str| {
        home.assay(&["log", "fsck", place, "--rpc", &rpc, "--deployment", &deployment, "--json"])
    };
    // The market anchors what was said since, within its interval, and a later receipt has the
    // anchor.
    let size_of = |place: &str| home.json(&["log", "fsck", place])["size"].as_u64().unwrap();
    let receipt = home.path("receipt.json");
    let began = std::time::Instant::now();
    let anchored = loop {
        home.done(&["run", &program("sha256"), "--receipt", &receipt]);
        let receipt: Value = serde_json::from_slice(&std::fs::read(&receipt).unwrap()).unwrap();
        let checked = fsck(&home.path("home/log"));
        assert!(checked.status.success(), "{}", text(&checked.stderr));
        let known = serde_json::from_slice::<Value>(&checked.stdout).unwrap()["known"].clone();
        if known.as_u64() >= Some(2) && !receipt["log"]["anchor"].is_null() {
            break known;
        }
        assert!(began.elapsed().as_secs() < 120, "{known} anchors");
        std::thread::sleep(std::time::Duration::from_secs(2));
    };
    let said = home.done(&["verify", &receipt]);
    assert!(said.contains("held         the log goes on from"), "{said}");
    assert!(home.done(&["receipt", "show", &receipt]).contains("anchored"), "{anchored} anchors");
    let size = |receipt: &str| std::fs::metadata(receipt).unwrap().len();
    // A sealed job says besides to whom keys were given.
    assert!(size(&receipt) < 22_000, "a receipt of {} bytes, its anchor included", size(&receipt));
    let open = home.path("open.json");
    home.done(&["run", &program("sha256"), "--public", "--receipt", &open]);
    assert!(size(&open) < 20_000, "a receipt of {} bytes, its anchor included", size(&open));
    // What was there before is a good log by itself, and a rolled-back one by what is on the chain,
    // or in a receipt.
    assert!(size_of(&early) < size_of(&home.path("home/log")));
    let rolled = fsck(&early);
    assert_eq!(rolled.status.code(), Some(3));
    assert!(text(&rolled.stdout).contains("rolled back"), "{}", text(&rolled.stdout));
    let said = home.refused(&["log", "fsck", &early, "--receipt", &receipt]);
    assert!(said.contains("rolled back"), "{said}");
    home.done(&["log", "fsck", "--receipt", &receipt]);
    // And so is one that went on from there by the same key, but differently, until it was larger.
    let fork = PathBuf::from(home.path("fork"));
    copy(early.as_ref(), &fork.join("home/log"));
    copy(home.path("home/keys/log-seed").as_ref(), &fork.join("home/keys/log-seed"));
    let broker = Daemon::broker(&fork, deployment.as_ref(), &ANYWHERE, &[]);
    let market = serde_json::from_slice(&std::fs::read(&deployment).unwrap()).unwrap();
    add(&client(&broker.url, &market), 0..size_of(&home.path("home/log"))).await;
    drop(broker);
    let fork = fork.join("home/log").to_str().unwrap().to_owned();
    assert!(size_of(&fork) > size_of(&home.path("home/log")), "and it is sound by itself");
    let forked = fsck(&fork);
    assert_eq!(forked.status.code(), Some(3));
    let said = text(&forked.stdout);
    assert!(said.contains("the anchor by") && said.contains("the log has forked"), "{said}");
    let said = home.refused(&["log", "fsck", &fork, "--receipt", &receipt]);
    assert!(said.contains("the log has forked"), "{said}");
    // Neither is begun again, by whom the chain knows more of.
    home.done(&["down"]);
    let (log, whole) = (home.path("home/log"), home.path("whole"));
    std::fs::rename(&log, &whole).unwrap();
    for (other, reason) in [(&early, "rolled back"), (&fork, "has forked")] {
        copy(other.as_ref(), log.as_ref());
        let said = home.refused(&["run", &program("sha256")]);
        assert!(said.contains("anchored") && said.contains(reason), "{said}");
        std::fs::remove_dir_all(&log).unwrap();
    }
    std::fs::rename(&whole, &log).unwrap();
    home.done(&["run", &program("sha256")]);
}

/// A log that a witness has seen, as its operator and the witness have it.
struct Seen {
    home: Home,
    folder: PathBuf,
    deployment: assay_contracts::Deployment,
    deployment_file: PathBuf,
}

impl Seen {
    fn new() -> Self {
        let home = Home::new();
        let folder = PathBuf::from(home.path("seen"));
        std::fs::create_dir(&folder).unwrap();
        let (deployment, deployment_file) = deployment_in(&folder);
        Seen { home, folder, deployment, deployment_file }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn broker(&self, name: &str, options: &[&str]) -> Daemon {
        let options = [&ANYWHERE, options].concat();
        Daemon::broker(&self.folder(name), &self.deployment_file, &options, &[])
    }

    fn client(&self, broker: &Daemon) -> assay_broker_client::BrokerClient {
        client(&broker.url, &self.deployment)
    }

    fn log(&self, name: &str) -> String {
        self.folder.join(name).join("home/log").to_str().unwrap().to_owned()
    }

    /// What a reader pins: the log's key, the witness's, and how many must have cosigned.
    fn trust(&self, log: &str, witness: &str, quorum: u8) -> String {
        let trust = serde_json::json!({
            "schema": "assay.trust/1",
            "log": { "key": log, "witnesses": [witness], "quorum": quorum },
        });
        let path = self.folder.join(format!("trust-{quorum}.json"));
        std::fs::write(&path, trust.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What the witness has cosigned last, as it keeps it.
    fn kept(&self) -> String {
        let state = self.folder("witness").join("home").join("witness/witness");
        let mut files = std::fs::read_dir(&state).unwrap();
        let file = files.next().expect("it has cosigned").unwrap().path();
        assert!(files.next().is_none(), "one log, one file");
        file.to_str().unwrap().to_owned()
    }
}

/// The entries of a log when it was copied.
const EARLY: u64 = 270;

/// And when a witness saw it.
const LATE: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_cosigns_no_fork_and_fsck_tells_forked_truncated_and_rolled_back_logs() {
    let seen = Seen::new();
    let broker = seen.broker("true", &[]);
    let log_key = broker.key.clone();
    add(&seen.client(&broker), 0..EARLY).await;
    drop(broker);
    for copied in ["forked", "longer", "early"] {
        copy(&seen.folder("true").join("home"), &seen.folder(copied).join("home"));
    }
    let witness = Daemon::witness(&seen.folder("witness"), &log_key, &ANYWHERE, &[]);
    let (listen, asked) = (witness.listen().to_owned(), format!("{}@{}", witness.key, witness.url));
    let broker = seen.broker("true", &["--witness", &asked]);
    add(&seen.client(&broker), EARLY..LATE).await;
    cosigned(&seen.client(&broker), &broker, LATE).await;
    // A witness that is killed has forgotten nothing.
    let (key, url) = (witness.key.clone(), witness.url.clone());
    drop(witness);
    let witness = Daemon::witness(&seen.folder("witness"), &log_key, &["--listen", &listen], &[]);
    assert_eq!((&witness.key, &witness.url), (&key, &url), "it is the same one");

    for (name, more, refusal) in [
        ("forked", LATE - EARLY, "another tree of 300 entries: the log has forked"),
        ("longer", LATE, "does not go on from the one of 300 entries"),
        ("early", 0, "it was rolled back"),
    ] {
        let other = seen.broker(name, &[]);
        let client = seen.client(&other);
        add(&client, 1_000_000..1_000_000 + more).await;
        drop(other);
        // It asks for its newest checkpoint, and for no smaller one before; and does not begin.
        let options = [&ANYWHERE, &["--witness", &asked][..]].concat();
        let said = Daemon::refused_broker(&seen.folder(name), &seen.deployment_file, &options);
        assert!(said.contains(refusal), "{said}");
        let other = seen.broker(name, &[]);
        assert_eq!(other.key, log_key, "the same log by name and key");
        assert_eq!(size_of(&seen.client(&other), COSIGNED).await, None, "{name} is cosigned");
    }
    drop(broker);
    let broker = seen.broker("true", &["--witness", &asked]);
    add(&seen.client(&broker), LATE..LATE + 1).await;
    cosigned(&seen.client(&broker), &broker, LATE + 1).await;
    drop((broker, witness));
    fsck_tells(&seen, &seen.trust(&log_key, &key, 0), &seen.trust(&log_key, &key, 1));
}

/// What fsck says of the same logs, by the witness's word; and of the true one when something is
/// lost.
fn fsck_tells(seen: &Seen, alone: &str, witnessed: &str) {
    let kept = seen.kept();
    let fsck = |log: &str, options: &[&str]| {
        let output = seen.home.assay(&[&["log", "fsck", log], options].concat());
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let sound = |log: &str, options: &[&str]| {
        let (code, said) = fsck(log, options);
        assert_eq!(code, Some(0), "{log} {options:?}: {said}");
    };
    let unsound = |log: &str, options: &[&str], reason: &str| {
        let (code, said) = fsck(log, options);
        assert_eq!(code, Some(3), "{log} {options:?}: {said}");
        assert!(said.contains(reason), "{log} {options:?} lacks {reason:?}: {said}");
    };
    sound(&seen.log("true"), &["--trust", witnessed, "--checkpoint", &kept]);
    let lacking = "there is no cosigned checkpoint; 1 of the known witnesses";
    for (name, reason) in [
        ("longer", "knows another tree of 301 entries: the log has forked"),
        ("forked", "knows 301 entries and the log has 300: it was rolled back"),
        ("early", "knows 301 entries and the log has 270: it was rolled back"),
    ] {
        let log = seen.log(name);
        sound(&log, &["--trust", alone]);
        unsound(&log, &["--trust", alone, "--checkpoint", &kept], reason);
        unsound(&log, &["--trust", witnessed], lacking);
    }
    // A cosignature for one history is none for another.
    let borrowed = std::fs::copy(&kept, Path::new(&seen.log("longer")).join(COSIGNED));
    borrowed.unwrap();
    unsound(&seen.log("longer"), &["--trust", witnessed], "the log has forked");

    type Spoil = fn(&Path, &Path);
    let lost: [(&str, Spoil, &str); 7] = [
        (
            "an old bundle",
            |log, _| remove(log, "tile/entries/000"),
            "entries/000 is missing: the log was truncated",
        ),
        (
            "the newest bundle",
            |log, _| remove(log, "tile/entries/001.p/45"),
            "entries/001.p/45 is missing: the log was truncated",
        ),
        ("a tile", |log, _| remove(log, "tile/0/000"), "0/000 is missing: the log was truncated"),
        (
            "half a bundle",
            |log, _| halve(log, "tile/entries/000"),
            "entries/000 is not what was logged",
        ),
        ("half a checkpoint", |log, _| halve(log, CHECKPOINT), "checkpoint is refused"),
        ("the checkpoint", |log, _| remove(log, CHECKPOINT), "there is no checkpoint"),
        (
            "the newest checkpoints",
            |log, early| go_back(log, early),
            "the cosigned checkpoint knows 301 entries and the log has 270: it was rolled back",
        ),
    ];
    for (what, spoil, reason) in lost {
        let cut = seen.folder("cut").join(what);
        copy(seen.log("true").as_ref(), &cut);
        spoil(&cut, seen.log("early").as_ref());
        unsound(cut.to_str().unwrap(), &["--trust", witnessed], reason);
        // Who takes the cosigned checkpoint away too is met by the witness's own.
        remove(&cut, COSIGNED);
        let own = reason.replace("the cosigned checkpoint", "");
        unsound(cut.to_str().unwrap(), &["--trust", alone, "--checkpoint", &kept], &own);
    }
}

fn go_back(log: &Path, early: &Path) {
    std::fs::copy(early.join(CHECKPOINT), log.join(CHECKPOINT)).unwrap();
}

fn remove(log: &Path, name: &str) {
    std::fs::remove_file(log.join(name)).unwrap();
}

fn halve(log: &Path, name: &str) {
    let bytes = std::fs::read(log.join(name)).unwrap();
    std::fs::write(log.join(name), &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn what_came_out_of_one_job_and_went_into_another_is_one_graph() {
    let home = Home::new();
    let (input, words) = (home.path("input"), home.path("words"));
    std::fs::write(&input, "one two two\n").unwrap();
    home.done(&["up", "--detach", "--rpc-port", "0", "--port", "0"]);
    // Public ones: what is sealed leaves a job as ciphertext, and goes into another under another
    // root.
    home.done(&["run", &program("wordcount"), "--public", "--input", &input, "--output", &words]);
    home.done(&["run", &program("sha256"), "--public", "--input", &words]);
    let receipts = home.path("home/receipts");
    let dot = home.done(&["receipt", "export", "--format", "dot", &receipts]);
    let edges: Vec<(&str, &str)> = dot
        .lines()
        .filter_map(|line| line.trim().trim_end_matches(';').split_once(" -> "))
        .collect();
    let chained = edges.iter().any(|(from, slot)| {
        from.starts_with("\"job ") && edges.iter().any(|(other, to)| other == slot && to != from)
    });
    assert!(chained, "no job reads what another gave out: {dot}");
    let svg = home.done(&["receipt", "export", "--format", "svg", &receipts]);
    assert!(svg.contains("Lineage of 2 jobs"), "{svg}");
    let prov: Value =
        serde_json::from_str(&home.done(&["receipt", "export", "--format", "prov", &receipts]))
            .unwrap();
    let derived = prov["wasDerivedFrom"].as_object().unwrap().values();
    let used: Vec<_> = prov["used"].as_object().unwrap().values().collect();
    let chained = derived.clone().any(|one| {
        let output = &one["prov:generatedEntity"];
        used.iter().any(|use_| &use_["prov:entity"] == output)
    });
    assert!(chained, "{prov}");
    // The log tells the same without any receipt.
    let log = home.path("home/log");
    assert_eq!(home.done(&["receipt", "export", "--format", "dot", "--log", &log]), dot);
    let lines = home.done(&["receipt", "export", "--format", "openlineage", "--log", &log]);
    assert_eq!(lines.lines().count(), 2);
    let report = home.done(&["receipt", "audit", &receipts]);
    assert!(report.starts_with("# Audit") && report.contains("2 jobs: 2 paid"), "{report}");
    let none = home.json(&["receipt", "audit", &receipts, "--to", "1000"]);
    assert_eq!(none["jobs"], 0, "the period counts");
}
