//! Receipts of every version that was ever written keep verifying:
//! `vectors/receipts/VERSION/NAME.json`, beside whom to trust.

mod common;

use std::path::{Path, PathBuf};

use assay_receipt::{Receipt, Standing, Trust, verify};
use common::{Ending, World};

/// More are added; none is ever changed or taken away.
const GOLDEN_MIN: usize = 6;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/receipts")
}

#[test]
fn golden_receipts_verify_for_ever() {
    let list = |path: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).expect("the golden receipts are there");
        entries.map(|entry| entry.expect("read").path()).collect()
    };
    let mut verified = 0;
    for version in list(&folder()) {
        for case in list(&version) {
            let read = |name: &str| std::fs::read(case.join(name)).expect("there");
            let receipt = Receipt::from_bytes(&read("receipt.json"));
            let receipt = receipt.unwrap_or_else(|error| panic!("{}: {error}", case.display()));
            let trust = Trust::from_bytes(&read("trust.json")).expect("a trust file");
            let report = verify(&receipt, Some(&trust));
            assert_eq!(report.standing, Standing::Vouched, "{}: {report:#?}", case.display());
            verified += 1;
        }
    }
    assert!(verified >= GOLDEN_MIN, "{verified} golden receipts of {GOLDEN_MIN}");
}

/// Writes those of the current version that are not there.
#[test]
#[ignore = "run once for a new version"]
fn write_golden_receipts() {
    for (name, ending) in [
        ("paid", Ending::Paid),
        ("late", Ending::Late),
        ("slashed", Ending::Slashed),
        ("missed", Ending::Missed),
    ] {
        let mut world = World::new(1);
        let receipt = world.job(1, ending);
        let folder = folder().join("1").join(name);
        if folder.exists() {
            continue;
        }
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join("receipt.json"), receipt.to_bytes()).expect("written");
        std::fs::write(folder.join("trust.json"), world.trust().to_bytes()).expect("written");
    }
}
