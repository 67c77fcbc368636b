//! The `assay-verify` command as an auditor meets it: golden receipts, a forged one, a program, and
//! all of it where there is no network, no environment and an empty home.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The golden receipts: each folder of `vectors/receipts` is a version, each in it a receipt.
const GOLDEN: usize = 6;

#[test]
fn every_golden_receipt_holds_by_its_trust_file() {
    let folders = golden();
    assert_eq!(folders.len(), GOLDEN, "all golden receipts are found");
    for folder in folders {
        let (receipt, trust) = (folder.join("receipt.json"), folder.join("trust.json"));
        let output = verify(&[&receipt, Path::new("--trust"), &trust]);
        assert_eq!(output.status.code(), Some(0), "{}: {}", folder.display(), text(&output.stderr));
        assert!(text(&output.stdout).contains("vouched for by those whom you trust"));
        let output = verify(&[&receipt, Path::new("--no-trust"), Path::new("--json")]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["schema"], "assay.verify/1");
        assert_eq!(report["standing"], "consistent", "by nobody's word it is only consistent");
    }
}

#[test]
fn a_receipt_that_nobody_vouches_for_is_refused_without_a_word() {
    let receipt = golden().remove(0).join("receipt.json");
    let output = verify(&[&receipt]);
    assert_eq!(output.status.code(), Some(3), "no trust file is read unless it is named");
    assert!(text(&output.stderr).contains("give --trust FILE"), "{}", text(&output.stderr));
}

#[test]
fn a_forged_receipt_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for golden in golden() {
        let receipt = std::fs::read_to_string(golden.join("receipt.json")).unwrap();
        let forged = forged(&receipt);
        assert_ne!(forged, receipt, "there is something to forge");
        let file = folder.path().join("forged.json");
        std::fs::write(&file, forged).unwrap();
        let output = verify(&[&file, Path::new("--trust"), &golden.join("trust.json")]);
        assert_eq!(output.status.code(), Some(3), "{}: {}", golden.display(), text(&output.stdout));
        let output = verify(&[&file, Path::new("--no-trust"), Path::new("--json")]);
        assert_eq!(output.status.code(), Some(3), "nor does it agree with itself");
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["schema"], "assay.error/1");
    }
}

#[test]
fn wrong_arguments_are_told_apart_from_wrong_receipts() {
    assert_eq!(verify(&[]).status.code(), Some(2), "a receipt is needed");
    assert_eq!(verify(&[Path::new("nowhere.json")]).status.code(), Some(1));
}

#[test]
fn a_program_runs() {
    let output = command().args(wordcount()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let recorded = std::fs::read(root().join("vectors/programs.json")).unwrap();
    let recorded: serde_json::Value = serde_json::from_slice(&recorded).unwrap();
    let run = &recorded.as_array().unwrap()[0];
    assert_eq!(run["name"], "wordcount");
    for field in ["trace_root", "steps"] {
        assert_eq!(report[field], run[field], "{field} is of the run that README shows");
    }
}

/// A network namespace of its own has no interface that is up, not even loopback.
#[test]
fn nothing_but_the_files_is_needed() {
    let home = tempfile::tempdir().unwrap();
    let apart = || {
        let mut command = Command::new("unshare");
        command.args(["-rn", "env", "-i"]).arg(format!("HOME={}", home.path().display()));
        command.current_dir(home.path());
        command
    };
    match apart().arg("true").output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            eprintln!("SKIPPED: the kernel refuses a namespace: {}", text(&output.stderr).trim());
            return;
        }
        Err(error) => {
            eprintln!("SKIPPED: there is no unshare: {error}");
            return;
        }
    }
    let program = env!("CARGO_BIN_EXE_assay-verify");
    for golden in golden() {
        let mut command = apart();
        command.arg(program).arg(golden.join("receipt.json"));
        let output = command.arg("--trust").arg(golden.join("trust.json")).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    let output = apart().arg(program).args(wordcount()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(home.path().read_dir().unwrap().count(), 0, "nothing is left behind");
}

/// The receipt with the last digit of the job's program changed.
fn forged(receipt: &str) -> String {
    let mut receipt: serde_json::Value = serde_json::from_str(receipt).unwrap();
    let program = &mut receipt["order"]["order"]["programId"];
    let mut id = program.as_str().expect("an order names its program").to_owned();
    let last = if id.pop() == Some('0') { '1' } else { '0' };
    id.push(last);
    *program = id.into();
    serde_json::to_string(&receipt).unwrap()
}

fn golden() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for version in root().join("vectors/receipts").read_dir().unwrap() {
        let receipts = version.unwrap().path().read_dir().unwrap();
        found.extend(receipts.map(|receipt| receipt.unwrap().path()));
    }
    found.sort();
    found
}

fn wordcount() -> [std::ffi::OsString; 5] {
    let program = root().join("programs/prebuilt/wordcount.elf");
    let input = root().join("examples/data/pride-and-prejudice.txt");
    ["exec".into(), program.into(), "--input".into(), input.into(), "--json".into()]
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn verify(arguments: &[&Path]) -> Output {
    command().args(arguments).output().unwrap()
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_assay-verify"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
