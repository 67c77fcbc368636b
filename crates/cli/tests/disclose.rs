//! What is shown in part, and told of many, as a person or a script does it.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors");

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
        command.env("ASSAY_HOME", self.path("home")).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.assay(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a command that must fail in a way that it explains, and gives its error.
    fn error(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.assay(&[arguments, &["--json"]].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        let error: Value = serde_json::from_str(&said).unwrap();
        assert!(error["cause"].is_string() && error["next"].is_string(), "{said}");
        said
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn receipt(name: &str) -> String {
    format!("{VECTORS}/receipts/1/{name}/receipt.json")
}

fn golden(name: &str) -> String {
    format!("{VECTORS}/disclosures/1/{name}")
}

#[test]
fn a_part_of_a_receipt_is_shown_and_checked() {
    let home = Home::new();
    let (receipt, file) = (receipt("paid"), home.path("part.sd-jwt"));
    let show = ["receipt", "present", &receipt, "--output", &file, "--show", "price,presenter"];
    let asked = ["--audience", "bank.example", "--nonce", "n-1"];
    let made = home.json(&[&show[..], &asked].concat());
    assert_eq!(made["shown"], serde_json::json!(["presenter", "price"]));

    let alone = home.json(&["receipt", "presented", &file]);
    assert_eq!(alone["standing"], "word", "alone it is a word");
    assert!(alone["claims"].get("price").is_some() && alone["claims"].get("stake").is_none());
    let with = ["receipt", "presented", &file, "--receipt", &receipt];
    let compared = home.json(&[&with[..], &asked].concat());
    assert_eq!(compared["standing"], "compared");
    let words = text(&home.assay(&["receipt", "presented", &file]).stdout);
    assert!(
        words.contains("the word of who holds the key"),
        "it must say what it does not prove: {words}"
    );

    let other = self::receipt("slashed");
    home.assay_refuses(&["receipt", "presented", &file, "--receipt", &other]);
    home.assay_refuses(&["receipt", "presented", &file, "--audience", "me", "--nonce", "n-1"]);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    home.error(3, &["receipt", "presented", &file]);
    home.error(1, &["receipt", "present", &receipt, "--show", "nonsense"]);
    let all = home.assay(&["receipt", "present", &receipt, "--show", "all"]);
    assert!(all.status.success() && all.stdout.ends_with(b"~\n"), "{}", text(&all.stderr));
}

impl Home {
    /// Runs a check that says line by line what it found, and that it does not hold.
    fn assay_refuses(&self, arguments: &[&str]) {
        let output = self.assay(arguments);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(said.contains("REFUSED"), "{said}");
    }
}

#[test]
fn rows_of_a_sealed_table_are_shown_and_checked() {
    let home = Home::new();
    let [receipt, slot, key, table, trust] =
        ["receipt.json", "output.slot", "output.key", "output.csv", "trust.json"].map(golden);
    let file = home.path("rows.json");
    let base = ["receipt", "disclose", &receipt, "--slot", &slot, "--key-file", &key];
    let made =
        home.json(&[&base[..], &["--table", &table, "--rows", "2", "--output", &file]].concat());
    assert_eq!(made["shown"].as_array().unwrap().len(), 12, "a row and the names of its columns");
    assert_eq!(
        std::fs::read(&file).unwrap(),
        std::fs::read(golden("disclosure.json")).unwrap(),
        "the same cells of the same output are shown by the same bytes"
    );
    let check = ["receipt", "disclosed", &file, "--receipt", &receipt, "--trust", &trust];
    let seen = home.json(&check);
    assert_eq!((&seen["receipt"], &seen["cells"][6]["value"]), (&"vouched".into(), &"Oslo".into()));

    let one =
        home.json(&[&base[..], &["--cells", "3:0", "--no-header", "--output", &file]].concat());
    assert_eq!(one["shown"], serde_json::json!(["3:0"]));
    let seen = home.json(&check);
    assert_eq!(seen["cells"], serde_json::json!([{ "row": 3, "column": 0, "value": "Rome, IT" }]));
    let shown = std::fs::read_to_string(&file).unwrap();
    assert!(!shown.contains("Oslo"), "no hint of the others");

    home.error(3, &["receipt", "disclosed", &file, "--receipt", &self::receipt("paid")]);
    let mut bytes = shown.into_bytes();
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    home.error(3, &check);
    for wrong in
        [["--rows", "4"], ["--rows", "2-1"], ["--rows", "x"], ["--cells", "1:6"], ["--cells", "1"]]
    {
        home.error(1, &[&base[..], &wrong].concat());
    }
    std::fs::write(home.path("key"), "00".repeat(32)).unwrap();
    let stranger = home.path("key");
    home.error(
        1,
        &["receipt", "disclose", &receipt, "--slot", &slot, "--key-file", &stranger, "--rows", "1"],
    );
    home.error(
        1,
        &["receipt", "disclose", &receipt, "--slot", &key, "--key-file", &key, "--rows", "1"],
    );
    home.error(
        1,
        &["receipt", "disclose", &receipt, "--slot", &slot, "--key-file", &slot, "--rows", "1"],
    );
    let missed = self::receipt("missed");
    home.error(
        3,
        &["receipt", "disclose", &missed, "--slot", &slot, "--key-file", &key, "--rows", "1"],
    );
}

#[test]
fn statistics_are_paid_for_and_refused_when_the_budget_is_spent() {
    let home = Home::new();
    let (ledger, folder) = (home.path("people.budget"), home.path("receipts"));
    std::fs::create_dir(&folder).unwrap();
    for name in ["paid", "slashed", "missed"] {
        std::fs::copy(receipt(name), Path::new(&folder).join(format!("{name}.json"))).unwrap();
    }
    let ask = ["receipt", "statistics", &folder, "--ledger", &ledger, "--epsilon-micro", "600000"];
    home.error(1, &ask);
    let made = home.json(&["receipt", "budget", &ledger, "--epsilon-micro", "1000000"]);
    assert_eq!(made["left_micro"], 1_000_000);
    let released = home.json(&ask);
    let endings: Vec<&String> = released["jobs"].as_object().unwrap().keys().collect();
    assert_eq!(
        endings,
        ["JobLapsed", "JobPaid", "JobSlashed", "JobUnwound"],
        "also those that no job had"
    );
    assert_eq!(released["left_micro"], 400_000);
    assert_eq!(released["jobs_scale"], "20000000/200000");
    let said = home.error(3, &ask);
    assert!(
        said.contains("400000") && !said.contains("JobPaid"),
        "nothing but what is left: {said}"
    );
    assert_eq!(home.json(&["receipt", "budget", &ledger])["left_micro"], 400_000);
    home.error(1, &["receipt", "budget", &ledger, "--epsilon-micro", "5"]);
    home.error(1, &[&ask[..6], &["0"]].concat());
    std::fs::write(&ledger, "no ledger").unwrap();
    home.error(1, &ask);
}

#[test]
fn files_that_are_something_else_are_refused_with_a_reason() {
    let home = Home::new();
    let (receipt, trust) = (receipt("paid"), golden("trust.json"));
    let missing = home.path("missing");
    let files: [(&str, PathBuf); 4] = [
        ("empty", "empty".into()),
        ("text", "text".into()),
        ("json", "json".into()),
        ("bytes", "bytes".into()),
    ];
    for (name, content) in
        [("empty", &b""[..]), ("text", b"hello"), ("json", b"{}"), ("bytes", b"\xff\0")]
    {
        std::fs::write(home.path(name), content).unwrap();
    }
    for (_, file) in &files {
        let file = home.path(file.to_str().unwrap());
        home.error(3, &["receipt", "presented", &file]);
        home.error(3, &["receipt", "disclosed", &file, "--receipt", &receipt]);
        home.error(3, &["receipt", "present", &file]);
        home.error(1, &["receipt", "budget", &file]);
        home.error(1, &["receipt", "presented", &receipt, "--trust", &file]);
    }
    for file in [&missing, &trust] {
        let expect = if *file == missing { 1 } else { 3 };
        home.error(expect, &["receipt", "presented", file]);
        home.error(expect, &["receipt", "disclosed", file, "--receipt", &receipt]);
    }
}
