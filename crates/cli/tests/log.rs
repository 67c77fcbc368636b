//! Logs, anchors, receipts and what is none of them, as a person or a script meets them.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

use std::process::{Command, Output, Stdio};

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
        let commands: [&[&str]; 9] = [
            &["verify", &file, "--trust", &trust],
            &["verify", &file, "--no-trust"],
            &["verify", &good, "--trust", &file],
            &["replay", &file],
            &["receipt", "show", &file],
            &["receipt", "export", "--format", "prov", &file],
            &["receipt", "audit", &file],
            &["log", "fsck", &log, "--trust", &file],
            &["log", "fsck", &log, "--trust", &trust, "--known", &file],
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

#[test]
fn a_log_that_was_anchored_can_not_be_rolled_back_unnoticed() {
    let home = Home::new();
    home.done(&["up", "--detach", "--rpc-port", "0", "--port", "0"]);
    home.done(&["run", &program("sha256")]);
    let early = home.path("early");
    let copied = Command::new("cp").args(["-r", &home.path("home/log"), &early]).status();
    assert!(copied.unwrap().success());
    let deployment = home.path("home/chain/deployment.json");
    let rpc = home.json(&["status"])["rpc"].as_str().unwrap().to_owned();
    let fsck = |place: &str| {
        home.assay(&["log", "fsck", place, "--rpc", &rpc, "--deployment", &deployment, "--json"])
    };
    // The market anchors what was said since, within its interval, and a later receipt has the anchor.
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
    assert!(size(&receipt) < 20_000, "a receipt of {} bytes, its anchor included", size(&receipt));
    let open = home.path("open.json");
    home.done(&["run", &program("sha256"), "--public", "--receipt", &open]);
    assert!(size(&open) < 20_000, "a receipt of {} bytes, its anchor included", size(&open));
    // What was there before is a good log by itself, and a rolled-back one by what is on the chain, or in a receipt.
    assert!(size_of(&early) < size_of(&home.path("home/log")));
    let rolled = fsck(&early);
    assert_eq!(rolled.status.code(), Some(3));
    assert!(text(&rolled.stdout).contains("rolled back"), "{}", text(&rolled.stdout));
    let said = home.refused(&["log", "fsck", &early, "--receipt", &receipt]);
    assert!(said.contains("rolled back"), "{said}");
    home.done(&["log", "fsck", "--receipt", &receipt]);
}

#[test]
fn what_came_out_of_one_job_and_went_into_another_is_one_graph() {
    let home = Home::new();
    let (input, words) = (home.path("input"), home.path("words"));
    std::fs::write(&input, "one two two\n").unwrap();
    home.done(&["up", "--detach", "--rpc-port", "0", "--port", "0"]);
    // Public ones: what is sealed leaves a job as ciphertext, and goes into another under another root.
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
