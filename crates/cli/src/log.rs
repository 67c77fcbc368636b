//! `assay log`: a transparency log as its reader meets it.

use std::path::PathBuf;

use assay_node::fsck_log;
use assay_provenance::Trust;
use assay_tlog::Known;
use serde::Serialize;

use crate::failure::Failure;
use crate::home::HomeArgument;
use crate::text::{grouped, json, table};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check a whole log: signatures, every entry, every tile, and that it goes on from what it is known to have been.
    Fsck(Fsck),
}

#[derive(clap::Args)]
pub(crate) struct Fsck {
    #[command(flatten)]
    home: HomeArgument,
    /// The log's folder, or a mirror's [default: log under the home]
    folder: Option<PathBuf>,
    /// Whose log it is, and whose cosignatures count: `assay.trust/1` [default: trust.json under the home]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Trees that the log is known to have had, from anchors, witnesses or receipts: a JSON array of `source`, `size`, `root`.
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
}

#[derive(Serialize)]
struct Checked {
    schema: &'static str,
    size: Option<u64>,
    root: Option<String>,
    entries: u64,
    tiles: u64,
    known: u64,
    faults: Vec<String>,
}

pub(crate) fn run(command: &Command, as_json: bool) -> Result<String, Failure> {
    let Command::Fsck(arguments) = command;
    let home = arguments.home.open()?;
    let folder = arguments.folder.clone().unwrap_or_else(|| home.log());
    let trust = arguments.trust.clone().unwrap_or_else(|| home.trust());
    let read =
        |path: &PathBuf| std::fs::read(path).map_err(|error| Failure::file("read", path, error));
    let failed = |path: &PathBuf, error: &dyn std::fmt::Display| Failure::file("use", path, error);
    let policy = Trust::from_bytes(&read(&trust)?).and_then(|trust| trust.policy());
    let policy = policy.map_err(|error| failed(&trust, &error))?.ok_or_else(|| {
        failed(&trust, &"it names no log").next("give --trust FILE with the log's key")
    })?;
    let known: Vec<Known> = match &arguments.known {
        None => Vec::new(),
        Some(path) => serde_json::from_slice(&read(path)?).map_err(|error| failed(path, &error))?,
    };
    if !folder.is_dir() {
        return Err(Failure::file("read", &folder, "there is no such folder")
            .next("give the folder that has the log's checkpoint"));
    }
    let report = fsck_log(&folder, &policy, &known)
        .map_err(|error| failed(&folder, &error).next("check that it can be read"))?;
    let checked = Checked {
        schema: "assay.fsck/1",
        size: report.checkpoint.as_ref().map(|tree| tree.size),
        root: report.checkpoint.as_ref().map(|tree| tree.root.to_string()),
        entries: report.entries,
        tiles: report.tiles,
        known: report.known,
        faults: report.faults.iter().map(ToString::to_string).collect(),
    };
    let text = if as_json {
        json(&checked)
    } else {
        let faults: String =
            checked.faults.iter().map(|fault| format!("FAULT        {fault}\n")).collect();
        let rows = table(&[
            ("log", policy.log().to_string()),
            ("entries", grouped(checked.entries)),
            ("tiles", grouped(checked.tiles)),
            ("known trees", grouped(checked.known)),
            ("root", checked.root.clone().unwrap_or_else(|| "none".to_owned())),
        ]);
        rows + &faults
    };
    let Some(first) = checked.faults.first() else { return Ok(text) };
    crate::print(&text)?;
    Err(Failure::refused("the log is not sound")
        .cause(first)
        .next("rely on nothing that it says beyond its last cosigned checkpoint; compare it with a mirror"))
}
