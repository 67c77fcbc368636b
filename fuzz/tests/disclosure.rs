//! Cells of what a program really sealed: the prebuilt csvstats commits to its table as
//! `assay-privacy` does, and one row of it is shown against the settled output. Disclosures of
//! every version that was ever written keep checking (`vectors/disclosures/VERSION`).

#[path = "../../crates/receipt/tests/common/mod.rs"]
mod world;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use assay_disclosure::cells::{Disclosure, OutputOpening, Table, TableKey};
use assay_fuzz::programs::{loaded_as, prebuilt};
use assay_machine::{
    Engine, Interpreter, Status, StepLimit, blob_bytes, slot, slot_blob, slot_pages,
};
use assay_merkle::write_image;
use assay_receipt::{JobSummary, Receipt};
use assay_seal::{output_key, seal_output};
use assay_types::{BlobRoot, Hash, Salt};
use world::{Ending, World};

const INPUT_SALT: Salt = Salt([0x61; 24]);

const INPUT: &str = "value=temp\ngroup=city\nquantiles=0.5\n\ncity,temp\n\"Rome, IT\",20\n\"Rome, IT\",22\nOslo,7\nOslo,9\nLima,18\n";

const TABLE: &str = "group,count,mean,min,max,q0.5\nLima,1,18,18,18,18\nOslo,2,8,7,9,7\n\"Rome, IT\",2,21,20,22,20\n";

/// What csvstats leaves in the output slot under a salt.
fn run(salt: Salt) -> Interpreter {
    let program = prebuilt("csvstats").expect("prebuilt");
    let data = [(INPUT.as_bytes(), salt), (&b""[..], Salt::PUBLIC)];
    let machine = loaded_as(&program, data, StepLimit::MAX).expect("it fits");
    let mut engine = Interpreter::new(machine);
    engine.run_until(u64::MAX);
    assert_eq!(engine.cpu().status, Status::Exited { code: 0 });
    engine
}

fn output(engine: &Interpreter) -> Vec<u8> {
    let header = slot_blob(engine, slot::OUTPUT).expect("the output is a blob");
    blob_bytes(engine, slot::OUTPUT, header).flatten().copied().collect()
}

fn key() -> TableKey {
    TableKey::derive(output_key(&INPUT_SALT).as_bytes())
}

#[test]
fn a_program_commits_to_its_table_as_its_reader_does() {
    assert_eq!(output(&run(Salt::PUBLIC)), TABLE.as_bytes(), "a public table is as it was");
    let root = Table::from_csv(TABLE.as_bytes()).expect("a table").root(&key());
    let ours = seal_output(&INPUT_SALT, TABLE.as_bytes(), root).expect("sealed");
    assert_eq!(
        output(&run(INPUT_SALT)),
        ours,
        "the machine and this computer must seal the same bytes"
    );
}

#[test]
fn a_row_of_a_program_s_table_is_shown_against_the_settled_output() {
    let engine = run(INPUT_SALT);
    let slot: Vec<u8> =
        slot_pages(&engine, slot::OUTPUT).flat_map(|(_, page)| page).copied().collect();
    let opening = OutputOpening::of_slot(&slot);
    let mut world = World::new(1);
    world.output_root = opening.root().0.0.into();
    let receipt = world.job(1, Ending::Paid);
    let table = Table::from_csv(TABLE.as_bytes()).expect("a table");
    let places: BTreeSet<_> = [0, 2].into_iter().flat_map(|row| table.row(row)).collect();
    let job = Hash(receipt.job.0);
    let made = Disclosure::new(job, &opening, &table, &key(), &places).expect("made");
    let read = Disclosure::from_bytes(&made.to_bytes()).expect("good");
    let life = JobSummary::of(&receipt).expect("sound");
    let settled = BlobRoot(Hash(life.output.expect("paid").0));
    assert_eq!(read.is_of(job, settled), Ok(()));
    let values: Vec<_> = read.cells().iter().filter_map(|cell| cell.value()).collect();
    assert_eq!(values.len(), 12);
    assert_eq!(values[6], b"Oslo");
    let text = String::from_utf8(made.to_bytes()).expect("text");
    assert!(!text.contains("Rome") && !text.contains("Lima"), "other rows are not shown");
    assert_eq!(text.matches("\"value\"").count(), 12, "and no other cell");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/disclosures")
}

#[test]
fn golden_disclosures_check_for_ever() {
    let read = |name: &str| std::fs::read(folder().join("1").join(name)).expect("there");
    let receipt = Receipt::from_bytes(&read("receipt.json")).expect("a receipt");
    let shown = Disclosure::from_bytes(&read("disclosure.json")).expect("good");
    let life = JobSummary::of(&receipt).expect("sound");
    let settled = BlobRoot(Hash(life.output.expect("paid").0));
    assert_eq!(shown.is_of(Hash(receipt.job.0), settled), Ok(()));
}

/// Writes that of the current version if it is not there: receipt, trust, slot image, output key,
/// disclosure.
#[test]
#[ignore = "run once for a new version"]
fn write_golden_disclosure() {
    let folder = folder().join("1");
    if folder.exists() {
        return;
    }
    std::fs::create_dir_all(&folder).expect("made");
    let engine = run(INPUT_SALT);
    let pages: Vec<_> = slot_pages(&engine, slot::OUTPUT).collect();
    let slot: Vec<u8> = pages.iter().flat_map(|(_, page)| page.iter()).copied().collect();
    let opening = OutputOpening::of_slot(&slot);
    let mut world = World::new(1);
    world.output_root = opening.root().0.0.into();
    let receipt = world.job(1, Ending::Paid);
    let table = Table::from_csv(TABLE.as_bytes()).expect("a table");
    let places: BTreeSet<_> = [0, 2].into_iter().flat_map(|row| table.row(row)).collect();
    let made = Disclosure::new(Hash(receipt.job.0), &opening, &table, &key(), &places);
    let mut image = Vec::new();
    let written = write_image(pages.into_iter(), |bytes| {
        image.extend_from_slice(bytes);
        Ok::<(), std::convert::Infallible>(())
    });
    written.expect("memory takes it");
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("written");
    write("receipt.json", &receipt.to_bytes());
    write("trust.json", &world.trust().to_bytes());
    write("output.slot", &image);
    write(
        "output.key",
        format!("{}\n", hex::encode(output_key(&INPUT_SALT).as_bytes())).as_bytes(),
    );
    write("output.csv", TABLE.as_bytes());
    write("disclosure.json", &made.expect("made").to_bytes());
}
