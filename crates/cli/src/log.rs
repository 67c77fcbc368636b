//! `assay log`: a transparency log as its reader meets it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay_node::{Env, Home};
use assay_receipt::{Receipt, Trust, TrustedLog, anchored};
use assay_tlog::{Checkpoint, Known, Policy, Storage, fsck};
use serde::Serialize;

use crate::failure::Failure;
use crate::home::HomeArgument;
use crate::text::{grouped, json, table};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check a whole log: signatures, every entry, every tile, and that it goes on from what it is
    /// known to have been.
    Fsck(Fsck),
}

#[derive(clap::Args)]
pub(crate) struct Fsck {
    #[command(flatten)]
    home: HomeArgument,
    /// The log's folder or a mirror's, or its place in an object store (s3://BUCKET/PREFIX)
    /// [default: log under the home]
    place: Option<String>,
    /// Whose log it is, and whose cosignatures count: `assay.trust/1` [default: trust.json under
    /// the home]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Trees that the log is known to have had, from anchors, witnesses or receipts: a JSON array
    /// of `source`, `size`, `root`.
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
    /// A checkpoint that the log has signed, as a mirror or a witness's state has kept it; once for
    /// each. The log must go on from it.
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// A receipt whose checkpoint and anchor the log must go on from; once for each.
    #[arg(long = "receipt", value_name = "FILE")]
    receipts: Vec<PathBuf>,
    /// The JSON-RPC endpoint of the chain that the log is anchored on: it must go on from every
    /// anchor. May hold a secret: better in ASSAY_RPC than as an argument.
    #[arg(
        long,
        value_name = "URL",
        env = "ASSAY_RPC",
        hide_env_values = true,
        requires = "deployment"
    )]
    rpc: Option<String>,
    /// Where the market's contracts are on it, as `assay chain deploy` wrote it.
    #[arg(long, value_name = "FILE", env = "ASSAY_DEPLOYMENT")]
    deployment: Option<PathBuf>,
}

#[derive(Serialize)]
struct Checked {
    schema: &'static str,
    size: Option<u64>,
    root: Option<String>,
    entries: u64,
    tiles: u64,
    known: u64,
    cosigned: Option<u64>,
    faults: Vec<String>,
}

pub(crate) fn run(command: &Command, as_json: bool) -> Result<String, Failure> {
    let Command::Fsck(arguments) = command;
    let home = arguments.home.open()?;
    let place = match &arguments.place {
        Some(place) => place.clone(),
        None => home.log().display().to_string(),
    };
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format!("cannot use the log at {place}")).cause(error)
    };
    if !place.starts_with("s3://") && !Path::new(&place).is_dir() {
        return Err(failed(&"there is no such folder")
            .next("give the folder that has the log's checkpoint"));
    }
    let (trusted, policy) = trusted(arguments.trust.as_deref(), &home)?;
    let storage = assay_node::log_at(&place)?;
    let mut known = known(arguments, &policy)?;
    known.extend(anchors(arguments, &trusted, &policy, &storage)?);
    let report = fsck(&storage, &policy, &known)
        .map_err(|error| failed(&error).next("check that it can be read"))?;
    let checked = Checked {
        schema: "assay.fsck/1",
        size: report.checkpoint.as_ref().map(|tree| tree.size),
        root: report.checkpoint.as_ref().map(|tree| tree.root.to_string()),
        entries: report.entries,
        tiles: report.tiles,
        known: report.known,
        cosigned: report.cosigned,
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
            (
                "cosigned",
                checked
                    .cosigned
                    .map_or("no".to_owned(), |size| format!("{} entries", grouped(size))),
            ),
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

/// Whose log it is.
pub(crate) fn trusted(path: Option<&Path>, home: &Home) -> Result<(TrustedLog, Policy), Failure> {
    let path = path.map_or_else(|| home.trust(), Path::to_owned);
    let failed = |error: &dyn std::fmt::Display| Failure::file("use", &path, error);
    let trust = Trust::from_bytes(&read(&path)?).map_err(|error| failed(&error))?;
    let policy = trust.policy().map_err(|error| failed(&error))?;
    match (trust.log, policy) {
        (Some(log), Some(policy)) => Ok((log, policy)),
        _ => Err(failed(&"it names no log").next("give --trust FILE with the log's key")),
    }
}

/// Trees that files say the log had.
fn known(arguments: &Fsck, policy: &Policy) -> Result<Vec<Known>, Failure> {
    let failed = |path: &PathBuf, error: &dyn std::fmt::Display| Failure::file("use", path, error);
    let mut known: Vec<Known> = match &arguments.known {
        None => Vec::new(),
        Some(path) => serde_json::from_slice(&read(path)?).map_err(|error| failed(path, &error))?,
    };
    let log = Policy::of_log(policy.log().clone());
    let log = log.map_err(|error| Failure::new("cannot use the log's key").cause(error))?;
    for path in &arguments.checkpoints {
        let opened = log.open(&read(path)?).map_err(|error| failed(path, &error))?;
        let Checkpoint { size, root, .. } = opened.checkpoint;
        known.push(Known { source: format!("the checkpoint {}", path.display()), size, root });
    }
    for path in &arguments.receipts {
        let receipt = Receipt::from_bytes(&read(path)?).map_err(|error| failed(path, &error))?;
        let part = receipt.log.ok_or_else(|| failed(path, &"it has no part of a log"))?;
        let opened = log.open(part.checkpoint.as_bytes()).map_err(|error| failed(path, &error))?;
        let Checkpoint { size, root, .. } = opened.checkpoint;
        known.push(Known { source: format!("the receipt {}", path.display()), size, root });
        if let Some(anchor) = &part.anchor {
            let anchored = anchored(&anchor.event).map_err(|error| failed(path, &error))?;
            let source = format!("the anchor in {}", path.display());
            known.push(Known { source, size: anchored.size, root: anchored.root });
        }
    }
    Ok(known)
}

/// Trees that the log's operator has anchored on a chain.
fn anchors(
    arguments: &Fsck,
    trusted: &TrustedLog,
    policy: &Policy,
    storage: &Arc<dyn Storage>,
) -> Result<Vec<Known>, Failure> {
    let (Some(rpc), Some(path)) = (&arguments.rpc, &arguments.deployment) else {
        return Ok(Vec::new());
    };
    let deployment = crate::market::deployment(path)?;
    let operators = match trusted.operator {
        Some(operator) => vec![operator],
        // A log whose entries can't be read has faults of its own.
        None => assay_node::operators_of(storage, policy.log(), &deployment).unwrap_or_default(),
    };
    if operators.is_empty() {
        return Err(Failure::new("nobody is known to anchor this log")
            .cause("neither the trust file (log.operator) nor the log says whose anchors count")
            .next("name the account in the trust file, or leave --rpc out"));
    }
    let origin = policy.log().name().to_owned();
    crate::block_on(async {
        Ok(assay_node::anchored_trees(&Env::system(), rpc, &deployment, &origin, &operators)
            .await?)
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    crate::home::read_bounded(path)
}
