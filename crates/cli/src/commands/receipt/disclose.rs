//! `assay receipt present`, `presented`, `disclose`, `disclosed`, `statistics` and `budget`:
//! showing a part, and what may be told of many.

use assay_verify::verify::{read_receipt, standing};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use assay_disclosure::cells::{Disclosure, OutputOpening, Place, ShownCell, Table, TableKey};
use assay_node::{kept_output_key, output_slot, slot_of_image};
use assay_receipt::{JobSummary, Outcome, Receipt, Standing};
use assay_seal::{ContentKey, open_output_by};
use assay_types::{BlobRoot, Hash};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::commands::receipt::made::Made;
use crate::output::failure::Failure;
use crate::output::files::{read_file, write_secret};
use crate::output::print::print_bytes;
use crate::output::text::{harmless, json, table};
use crate::session::home::HomeArgument;
use crate::session::market::TakePart;
use crate::session::receipts::{board, reader};
use crate::session::runtime::block_on;
use crate::session::trust::trusted;

/// Bytes of a slot before those of its blob.
const BLOB_HEADER: usize = 32;

#[derive(clap::Args)]
pub(crate) struct Disclose {
    #[command(flatten)]
    at: TakePart,
    /// The receipt
    receipt: PathBuf,
    /// The file whose first line is the output's key, 64 hex digits [default: the key under the
    /// home that ordered the job]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The image of the output slot [default: fetch it from the job's market]
    #[arg(long, value_name = "FILE")]
    slot: Option<PathBuf>,
    /// The decrypted table, to check that it is the one in the output
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Rows to disclose whole, such as 3 or 3,7-9; row 0 is the header
    #[arg(long, value_name = "ROWS", value_delimiter = ',', required_unless_present = "cells")]
    rows: Vec<String>,
    /// Cells to disclose, as ROW:COLUMN from 0, such as 3:0,7:2
    #[arg(long, value_name = "CELLS", value_delimiter = ',')]
    cells: Vec<String>,
    /// Do not disclose the header cells of the disclosed columns
    #[arg(long)]
    no_header: bool,
    /// Where to write the disclosure [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Disclosed {
    #[command(flatten)]
    home: HomeArgument,
    /// The disclosure
    file: PathBuf,
    /// The job's receipt
    #[arg(long, value_name = "FILE")]
    receipt: PathBuf,
    /// The trust file (assay.trust/1): whom you trust, and for what [default: trust.json under the
    /// home, if it is there]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
}

pub(crate) fn disclose(arguments: &Disclose, as_json: bool) -> Result<String, Failure> {
    let receipt = read_receipt(&arguments.receipt)?;
    let (_, root) = settled(&receipt)?;
    let key = match &arguments.key_file {
        Some(path) => output_key(path)?,
        None => kept_output_key(&arguments.at.home.open()?, &receipt.order)?.ok_or_else(|| {
            Failure::new("the home has no key for this job's output")
                .next("give --key-file FILE, or --home with the folder that ordered the job")
        })?,
    };
    let failed = |cause: &dyn std::fmt::Display| {
        Failure::new("cannot disclose the cells")
            .cause(cause)
            .next("check the receipt, the slot and the key")
    };
    let slot = match &arguments.slot {
        Some(path) => slot_of_image(&read_file(path)?).map_err(|error| failed(&error))?,
        None => block_on(async {
            let board = board(&arguments.at, &reader(&arguments.at)?).await?;
            Ok(output_slot(&board, root).await?)
        })?,
    };
    let output = OutputOpening::of_slot(&slot);
    if output.root() != root {
        return Err(failed(&format!(
            "the slot's root is {}, and the job's output has {root}",
            output.root()
        )));
    }
    output.cells_root().map_err(|error| failed(&error))?;
    let plaintext = open_output_by(&key, envelope(&slot)).map_err(|error| failed(&error))?;
    if let Some(path) = &arguments.table
        && read_file(path)? != **plaintext
    {
        return Err(failed(&format!("{} is not the table in the output", path.display())));
    }
    let cells = Table::from_csv(&plaintext).map_err(|error| failed(&error))?;
    let places = places(arguments, &cells)?;
    let job = Hash(receipt.job.0);
    let table_key = TableKey::derive(key.as_bytes());
    let made = Disclosure::new(job, &output, &cells, &table_key, &places);
    let made = made.map_err(|error| failed(&error))?;
    let Some(path) = &arguments.output else {
        print_bytes(&made.to_bytes())?;
        return Ok(String::new());
    };
    write_secret(path, &made.to_bytes())?;
    let shown: Vec<String> =
        places.iter().map(|place| format!("{}:{}", place.row(), place.column())).collect();
    if as_json {
        let job = receipt.job;
        return Ok(json(&Made { schema: "assay.disclose/1", job, file: path, shown }));
    }
    Ok(table(&[("disclosure", path.display().to_string()), ("cells", shown.join(", "))]))
}

/// The envelope in a slot, behind the blob's header, which says how long it is.
fn envelope(slot: &[u8]) -> &[u8] {
    let Some((length, _)) = slot.split_first_chunk() else { return &[] };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let rest = slot.get(BLOB_HEADER..).unwrap_or_default();
    rest.get(..length).unwrap_or(rest)
}

/// The key of an output, from a file and never from an argument, which others could see.
fn output_key(path: &Path) -> Result<ContentKey, Failure> {
    let text = Zeroizing::new(read_file(path)?);
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(first, &mut *key).map_err(|_| {
        Failure::new(format!("{} does not begin with a key", path.display()))
            .cause("its first line is not 64 hex digits")
            .next("give the file with the output's key")
    })?;
    Ok(ContentKey::from_bytes(*key))
}

fn places(arguments: &Disclose, cells: &Table) -> Result<BTreeSet<Place>, Failure> {
    let wrong = |what: &str| {
        Failure::new(format!("{what:?} is not in the table"))
            .cause(format!("the table has {} rows, counted from 0", cells.rows()))
            .next("give rows as 3 or 7-9, and cells as ROW:COLUMN")
    };
    let mut places = BTreeSet::new();
    for text in &arguments.rows {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let (Ok(from), Ok(to)) = (from.parse(), to.parse()) else { return Err(wrong(text)) };
        if from > to || to >= cells.rows() {
            return Err(wrong(text));
        }
        places.extend((from..=to).flat_map(|row| cells.row(row)));
    }
    for text in &arguments.cells {
        let parts = text
            .split_once(':')
            .and_then(|(row, column)| Place::new(row.parse().ok()?, column.parse().ok()?));
        let place = parts.filter(|place| cells.cell(*place).is_some());
        places.insert(place.ok_or_else(|| wrong(text))?);
    }
    if !arguments.no_header {
        let names: Vec<_> =
            places.iter().filter_map(|place| Place::new(0, place.column())).collect();
        places.extend(names.into_iter().filter(|place| cells.cell(*place).is_some()));
    }
    Ok(places)
}

/// What a receipt that holds says was settled.
fn settled(receipt: &Receipt) -> Result<(JobSummary, BlobRoot), Failure> {
    if assay_receipt::verify(receipt, None).standing == Standing::Refused {
        return Err(Failure::refused("the receipt does not hold")
            .cause("it contradicts itself")
            .next("`assay verify` says what is wrong with it"));
    }
    let life = JobSummary::of(receipt);
    let root = life.as_ref().and_then(|life| life.output);
    life.zip(root).map(|(life, root)| (life, BlobRoot(Hash(root.0)))).ok_or_else(|| {
        Failure::refused("the job was not settled with an output")
            .cause("its claim was refuted, nobody claimed, or the output is empty")
            .next("`assay receipt show` says how the job ended")
    })
}

#[derive(Serialize)]
struct Cells<'a> {
    schema: &'static str,
    job: B256,
    output_root: BlobRoot,
    cells_root: Hash,
    receipt: Standing,
    cells: Vec<Cell<'a>>,
}

#[derive(Serialize)]
struct Cell<'a> {
    row: u32,
    column: u32,
    #[serde(flatten)]
    value: BTreeMap<&'a str, String>,
}

pub(crate) fn disclosed(arguments: &Disclosed, as_json: bool) -> Result<String, Failure> {
    let refused = |error: &dyn std::fmt::Display| {
        Failure::refused("the disclosure does not hold")
            .cause(error)
            .next("do not rely on it; ask for the disclosure again")
    };
    let shown = Disclosure::from_bytes(&read_file(&arguments.file)?);
    let shown = shown.map_err(|error| refused(&error))?;
    let receipt = read_receipt(&arguments.receipt)?;
    let (_, root) = settled(&receipt)?;
    shown.is_of(Hash(receipt.job.0), root).map_err(|error| refused(&error))?;
    let trust = trusted(&arguments.home, arguments.trust.as_deref())?;
    let report = assay_receipt::verify(&receipt, trust.as_ref());
    if report.standing == Standing::Refused {
        let wrong = report.checks.into_iter().find(|check| check.outcome == Outcome::Refused);
        return Err(refused(&wrong.map_or_else(String::new, |check| check.what)));
    }
    if as_json {
        return Ok(json(&Cells {
            schema: "assay.disclosed/1",
            job: receipt.job,
            output_root: shown.output_root,
            cells_root: shown.cells_root,
            receipt: report.standing,
            cells: shown.cells().iter().map(cell).collect(),
        }));
    }
    let mut text = String::new();
    for cell in shown.cells() {
        let place = cell.place();
        let value = harmless(&cell.value().unwrap_or_default()).replace('\n', "\\n");
        let _ = writeln!(text, "row {}, column {}: {value}", place.row(), place.column());
    }
    let by = standing(report.standing);
    let what = "the cells are of the output that the job was settled with, by its program's word";
    Ok(text
        + &table(&[
            ("job", receipt.job.to_string()),
            ("receipt", by.into()),
            ("cells", what.into()),
        ]))
}

fn cell(shown: &ShownCell) -> Cell<'static> {
    let bytes = shown.value().unwrap_or_default();
    let value = match String::from_utf8(bytes) {
        Ok(text) => ("value", text),
        Err(error) => ("bytes", hex::encode(error.as_bytes())),
    };
    let place = shown.place();
    Cell { row: place.row(), column: place.column(), value: BTreeMap::from([value]) }
}
