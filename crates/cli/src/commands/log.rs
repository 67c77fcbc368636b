//! `assay log`: a transparency log as its reader meets it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay_receipt::{Receipt, TrustedLog, anchored};
use assay_tlog::{Checkpoint, Known, Policy, Storage, fsck};
use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::files::read_bounded;
use crate::output::print::print;
use crate::output::text::{grouped, json, table};
use crate::session::deployment::read_deployment;
use crate::session::home::HomeArgument;
use crate::session::runtime::block_on;
use crate::session::trust::trusted_log;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check a whole log: signatures, every entry, every tile, and that it extends every earlier
    /// state that is known
    Fsck(Fsck),
}

#[derive(clap::Args)]
pub(crate) struct Fsck {
    #[command(flatten)]
    home: HomeArgument,
    /// The log, or a mirror of it: a folder, or s3://BUCKET/PREFIX [default: log under the home]
    place: Option<String>,
    /// The trust file (assay.trust/1): whose log it is, and whose cosignatures count [default:
    /// trust.json under the home]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Earlier states of the log, from anchors, witnesses or receipts: a JSON array of source,
    /// size, root
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
    /// A checkpoint that the log signed, as a mirror or a witness has kept it; repeat for several.
    /// The log must extend it
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// A receipt whose checkpoint and anchor the log must extend; repeat for several
    #[arg(long = "receipt", value_name = "FILE")]
    receipts: Vec<PathBuf>,
    /// The JSON-RPC URL of the chain that the log is anchored on. The log must extend every anchor.
    /// If the URL holds a secret, set ASSAY_RPC instead
    #[arg(
        long,
        value_name = "URL",
        env = "ASSAY_RPC",
        hide_env_values = true,
        requires = "deployment"
    )]
    rpc: Option<String>,
    /// The market's contract addresses: the file that `assay chain deploy` wrote
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
            .next("give the folder in which the log's checkpoint is"));
    }
    let (trusted, policy) = trusted_log(arguments.trust.as_deref(), &home)?;
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
    print(&text)?;
    Err(Failure::refused("the log is not sound")
        .cause(first)
        .next("rely on nothing beyond its last cosigned checkpoint; compare the log with a mirror"))
}

/// Trees that files say the log had.
fn known(arguments: &Fsck, policy: &Policy) -> Result<Vec<Known>, Failure> {
    let failed = |path: &PathBuf, error: &dyn std::fmt::Display| Failure::file("use", path, error);
    let mut known: Vec<Known> = match &arguments.known {
        None => Vec::new(),
        Some(path) => {
            serde_json::from_slice(&read_bounded(path)?).map_err(|error| failed(path, &error))?
        }
    };
    let log = Policy::of_log(policy.log().clone());
    let log = log.map_err(|error| Failure::new("cannot use the log's key").cause(error))?;
    for path in &arguments.checkpoints {
        let opened = log.open(&read_bounded(path)?).map_err(|error| failed(path, &error))?;
        let Checkpoint { size, root, .. } = opened.checkpoint;
        known.push(Known { source: format!("the checkpoint {}", path.display()), size, root });
    }
    for path in &arguments.receipts {
        let receipt =
            Receipt::from_bytes(&read_bounded(path)?).map_err(|error| failed(path, &error))?;
        let part = receipt.log.ok_or_else(|| failed(path, &"it holds nothing from a log"))?;
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
    let deployment = read_deployment(path)?;
    let operators = match trusted.operator {
        Some(operator) => vec![operator],
        // A log whose entries can't be read has faults of its own.
        None => assay_node::operators_of(storage, policy.log(), &deployment).unwrap_or_default(),
    };
    if operators.is_empty() {
        return Err(Failure::new("it is not known who anchors this log")
            .cause("neither the trust file (log.operator) nor the log names the account")
            .next("name the account in the trust file, or leave --rpc out"));
    }
    let origin = policy.log().name().to_owned();
    block_on(async { Ok(assay_node::anchored_trees(rpc, &deployment, &origin, &operators).await?) })
}
