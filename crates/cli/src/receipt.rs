//! `assay verify`, `assay replay` and `assay receipt`: what a job leaves behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy_signer_local::PrivateKeySigner;
use assay_node::{
    Board, DevelopmentKeys, Home, JobFiles, JobRecord, Replayed, Role, Store, replay_files,
};
use assay_receipt::{
    Audit, Check, Graph, JobSummary, Move, Moved, Outcome, Receipt, ReleasedSlot, Report, Standing,
    Statement, Trust, anchored, open_lineage, prov, ro_crate, summaries_of_log,
};
use assay_types::sha256;
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;

use crate::disclose;
use crate::failure::Failure;
use crate::home::HomeArgument;
use crate::market::{Session, TakePart};
use crate::run::dollars;
use crate::text::{grouped, json, table};

#[derive(clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    home: HomeArgument,
    /// The receipt.
    file: PathBuf,
    /// Whom you trust, for what: `assay.trust/1` [default: trust.json under the home, if it is
    /// there]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Only check that the receipt does not contradict itself.
    #[arg(long, conflicts_with = "trust")]
    no_trust: bool,
}

#[derive(clap::Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    at: TakePart,
    /// The receipt.
    file: PathBuf,
    /// The program's ELF; without it, all that the job reads is fetched from the home's market, or
    /// the one named.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// The input, if the job has one.
    #[arg(long, value_name = "FILE", requires = "program")]
    input: Option<PathBuf>,
    /// The dataset, if the job has one.
    #[arg(long, value_name = "FILE", requires = "program")]
    dataset: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show the life of a job as its receipt tells it.
    Show {
        /// The receipt.
        file: PathBuf,
    },
    /// Write what receipts tell in another form: a view, which proves nothing by itself.
    Export {
        #[command(flatten)]
        from: Source,
        /// The form.
        #[arg(long, value_enum)]
        format: Format,
        /// Where to write it: a file, or for an RO-Crate a folder [default: standard output]
        #[arg(long, value_name = "PATH")]
        output: Option<PathBuf>,
    },
    /// Sum up receipts over a period: jobs, parties by pseudonym, assurance, disputes, outcomes.
    Audit {
        #[command(flatten)]
        source: Source,
        /// The first second of the period, in Unix seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        from: u64,
        /// The last second of the period.
        #[arg(long, value_name = "SECONDS", default_value_t = u64::MAX)]
        to: u64,
    },
    /// Show a part of a receipt, by your word: an SD-JWT (RFC 9901).
    Present(disclose::Present),
    /// Check such a presentation.
    Presented(disclose::Presented),
    /// Show rows or cells of a job's sealed table, and nothing of the others.
    Disclose(disclose::Disclose),
    /// Check shown cells against what the job was settled with: needs two files and no network.
    Disclosed(disclose::Disclosed),
    /// Release statistics over receipts with differential privacy, and pay for them from a budget.
    Statistics(disclose::Statistics),
    /// Make the ledger of a privacy budget, or show what is left of one.
    Budget(disclose::Budget),
}

/// What is told of: receipts, or a whole log.
#[derive(clap::Args)]
pub(crate) struct Source {
    #[command(flatten)]
    home: HomeArgument,
    /// Receipts, or folders of them.
    #[arg(required_unless_present = "log")]
    files: Vec<PathBuf>,
    /// A whole log instead, by what is said in it: its folder, or its place in an object store
    /// (s3://BUCKET/PREFIX).
    #[arg(long, value_name = "PLACE", conflicts_with = "files")]
    log: Option<String>,
    /// Whose log it is: `assay.trust/1` [default: trust.json under the home]
    #[arg(long, value_name = "FILE", requires = "log")]
    trust: Option<PathBuf>,
}

impl Source {
    fn lives(&self) -> Result<Vec<JobSummary>, Failure> {
        let Some(place) = &self.log else {
            return Ok(read_all(&self.files)?.into_iter().map(|(_, life)| life).collect());
        };
        let home = self.home.open()?;
        let (_, policy) = crate::log::trusted(self.trust.as_deref(), &home)?;
        let storage = assay_node::log_at(place)?;
        Ok(summaries_of_log(assay_node::entries_of(&storage, policy.log())?))
    }
}

/// In what form receipts are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// W3C PROV, as PROV-JSON.
    Prov,
    /// A Process Run RO-Crate of one receipt.
    RoCrate,
    /// OpenLineage run events, one a line.
    Openlineage,
    /// The lineage of all jobs, for Graphviz.
    Dot,
    /// The lineage of all jobs, as a picture.
    Svg,
}

#[derive(Serialize)]
struct Verified<'a> {
    schema: &'static str,
    job: alloy_primitives::B256,
    #[serde(flatten)]
    report: &'a Report,
}

#[derive(Serialize)]
struct Compared {
    schema: &'static str,
    job: alloy_primitives::B256,
    same: bool,
    steps: u64,
    final_state: String,
    trace_root: String,
    output_root: String,
}

pub(crate) fn verify(arguments: &Verify, as_json: bool) -> Result<String, Failure> {
    let receipt = read(&arguments.file)?;
    let trust = trust(arguments)?;
    let report = assay_receipt::verify(&receipt, trust.as_ref());
    let text = if as_json {
        json(&Verified { schema: "assay.verify/1", job: receipt.job, report: &report })
    } else {
        let lines: String = report.checks.iter().map(line).collect();
        lines + &table(&[("standing", standing(report.standing).to_owned())])
    };
    let refused = report.checks.iter().find(|check| check.outcome == Outcome::Refused);
    let failure = match report.standing {
        Standing::Vouched => return Ok(text),
        Standing::Consistent if arguments.no_trust => return Ok(text),
        Standing::Refused => Failure::refused("the receipt does not hold")
            .next("do not rely on it; ask for the receipt again, from another source"),
        Standing::Consistent => Failure::refused("nobody whom you trust vouches for the receipt")
            .next(
                "give --trust FILE with the keys that you pin, or --no-trust to look at it alone",
            ),
    };
    crate::print(&text)?;
    Err(match refused {
        Some(check) => failure.cause(&check.what),
        None => failure,
    })
}

fn trust(arguments: &Verify) -> Result<Option<Trust>, Failure> {
    if arguments.no_trust { Ok(None) } else { trusted(&arguments.home, arguments.trust.as_deref()) }
}

/// The trust file that was named, or the home's, if there is one.
pub(crate) fn trusted(home: &HomeArgument, named: Option<&Path>) -> Result<Option<Trust>, Failure> {
    let path = match named {
        Some(path) => Some(path.to_owned()),
        None => Some(home.open()?.trust()).filter(|path| path.is_file()),
    };
    let Some(path) = path else { return Ok(None) };
    let failed = |verb, error: &dyn std::fmt::Display| {
        Failure::file(verb, &path, error).next("see spec/receipt.md for what a trust file holds")
    };
    let bytes = crate::home::read_bounded(&path)?;
    Trust::from_bytes(&bytes).map(Some).map_err(|error| failed("use", &error))
}

fn line(check: &Check) -> String {
    let outcome = match check.outcome {
        Outcome::Held => "held",
        Outcome::Refused => "REFUSED",
        Outcome::NotChecked => "not checked",
    };
    let by = check.by.as_ref().map(|by| format!(" [{by}]")).unwrap_or_default();
    format!("{outcome:<12} {}{by}\n", check.what)
}

pub(crate) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Vouched => "vouched for by those whom you trust",
        Standing::Consistent => "contradicts itself nowhere; nobody whom you trust vouches for it",
        Standing::Refused => "refused",
    }
}

pub(crate) fn replay(arguments: &Replay, as_json: bool) -> Result<String, Failure> {
    let receipt = read(&arguments.file)?;
    let claimed = claimed(&receipt)?;
    let order = receipt.order.order.clone();
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.enable_steady_tick(Duration::from_millis(100));
    let found = crate::block_on(async {
        match &arguments.program {
            Some(_) if receipt.order.order.beginSecs != 0 => {
                Err(Failure::new("the job's inputs are sealed, and files have not their salts").next(
                    "leave out --program, under the home that ordered it or with --account of one that was given keys",
                ))
            }
            Some(program) => {
                let read = |path: &PathBuf| {
                    let read = std::fs::read(path);
                    read.map_err(|error| Failure::file("read", path, error).next("give a file"))
                };
                let input = arguments.input.as_ref().map(read).transpose()?;
                let dataset = arguments.dataset.as_ref().map(read).transpose()?;
                let files = JobFiles { program: read(program)?, input, dataset };
                Ok(replay_files(files, &order).await?)
            }
            None => {
                let (home, key) = (arguments.at.home.open()?, reader(&arguments.at)?);
                let board = board(&arguments.at, &key).await?;
                Ok(assay_node::replay(&board, &key, &home, &receipt.order).await?)
            }
        }
    });
    bar.finish_and_clear();
    let found = found?;
    let same = found == claimed;
    let text = if as_json {
        json(&Compared {
            schema: "assay.replay/1",
            job: receipt.job,
            same,
            steps: found.steps,
            final_state: found.final_state.to_string(),
            trace_root: found.trace_root.to_string(),
            output_root: found.output_root.to_string(),
        })
    } else {
        let result =
            if same { "the run is what was claimed: the result is right" } else { "DIFFERS" };
        table(&[
            ("job", receipt.job.to_string()),
            ("steps", grouped(found.steps)),
            ("final state", found.final_state.to_string()),
            ("output", found.output_root.to_string()),
            ("result", result.to_owned()),
        ])
    };
    if same {
        return Ok(text);
    }
    crate::print(&text)?;
    Err(Failure::refused("the job comes to something else than was claimed")
        .cause(format!("the claim says state {}", claimed.final_state))
        .next("do not rely on the result; its provider lied, or the receipt is not the chain's"))
}

/// What the claim in a receipt says of the run.
fn claimed(receipt: &Receipt) -> Result<Replayed, Failure> {
    let nothing = || {
        Failure::refused("the receipt has no claim to compare with")
            .next("a job that nobody claimed has no result; `assay verify` says how it ended")
    };
    let report = assay_receipt::verify(receipt, None);
    if report.standing == Standing::Refused {
        return Err(Failure::refused("the receipt does not hold")
            .next("see `assay verify` for what is wrong with it"));
    }
    let claim = receipt.claim.as_ref().ok_or_else(nothing)?;
    let claim = assay_receipt::claim_of(claim).ok_or_else(nothing)?;
    Ok(Replayed {
        final_state: assay_types::Hash(claim.finalState.0),
        trace_root: assay_types::Hash(claim.traceRoot.0),
        output_root: assay_types::BlobRoot(assay_types::Hash(claim.outputRoot.0)),
        steps: claim.steps,
    })
}

/// Where what a job reads can be fetched.
pub(crate) async fn board(at: &TakePart, key: &PrivateKeySigner) -> Result<Board, Failure> {
    let home = at.home.open()?;
    if let Ok(there) = at.there(&home).await {
        return Ok(there.board_of(key).await?);
    }
    let missing = || {
        Failure::new(format!("there is no market under {}", home.path().display()))
            .next("give --program, --input and --dataset, or name the job's market")
    };
    if !home.deployment().is_file() {
        return Err(missing());
    }
    let deployment = crate::market::deployment(&home.deployment())?;
    Ok(Board::of_store(Store::open(&home.board())?, &deployment))
}

/// As whom a replay reads: sealed inputs open to who has sealed them, and to whom their keys were
/// released.
pub(crate) fn reader(at: &TakePart) -> Result<PrivateKeySigner, Failure> {
    let home = at.home.open()?;
    if at.key.is_given() {
        return at.key.load(&home);
    }
    match at.named()? {
        None => Ok(DevelopmentKeys::open(&home)?.key(Role::Requester)),
        // Any account may read what is public: one that is nobody's tells the broker nothing.
        Some(_) => Ok(PrivateKeySigner::random()),
    }
}

pub(crate) fn run(command: &Command, as_json: bool) -> Result<String, Failure> {
    match command {
        Command::Show { file } => {
            let receipt = read(file)?;
            Ok(if as_json { json(&receipt) } else { shown(&receipt) })
        }
        Command::Export { from, format, output } => export(from, *format, output.as_deref()),
        Command::Audit { source, from, to } => {
            let audit = Audit::of(&source.lives()?, *from..=*to);
            Ok(if as_json {
                json(&Audited { schema: "assay.audit/1", audit })
            } else {
                audit.markdown()
            })
        }
        Command::Present(arguments) => disclose::present(arguments, as_json),
        Command::Presented(arguments) => disclose::presented(arguments, as_json),
        Command::Disclose(arguments) => disclose::disclose(arguments, as_json),
        Command::Disclosed(arguments) => disclose::disclosed(arguments, as_json),
        Command::Statistics(arguments) => disclose::statistics(arguments, as_json),
        Command::Budget(arguments) => disclose::budget(arguments, as_json),
    }
}

#[derive(Serialize)]
struct Audited {
    schema: &'static str,
    #[serde(flatten)]
    audit: Audit,
}

fn export(from: &Source, format: Format, output: Option<&Path>) -> Result<String, Failure> {
    if format == Format::RoCrate {
        return ro_crate_of(&read_all(&from.files)?, output);
    }
    let lives = from.lives()?;
    let text = match format {
        Format::Prov => json(&prov(&lives)),
        Format::Openlineage => {
            lives.iter().map(|life| format!("{}\n", open_lineage(life))).collect()
        }
        Format::Dot => Graph::of(&lives).dot(),
        Format::Svg | Format::RoCrate => Graph::of(&lives).svg(),
    };
    match output {
        None => Ok(text),
        Some(path) => {
            write_file(path, text.as_bytes())?;
            Ok(format!("{}\n", path.display()))
        }
    }
}

fn ro_crate_of(
    receipts: &[(Receipt, JobSummary)],
    output: Option<&Path>,
) -> Result<String, Failure> {
    let ([(receipt, life)], Some(folder)) = (receipts, output) else {
        return Err(Failure::new("an RO-Crate is a folder for one receipt")
            .next("give one receipt, and --output FOLDER"));
    };
    write_file(&folder.join("receipt.json"), &receipt.to_bytes())?;
    let metadata = folder.join("ro-crate-metadata.json");
    write_file(&metadata, json(&ro_crate(life)).as_bytes())?;
    Ok(format!("{}\n", metadata.display()))
}

/// Receipts that contradict themselves nowhere, from files and folders, by name.
pub(crate) fn read_all(files: &[PathBuf]) -> Result<Vec<(Receipt, JobSummary)>, Failure> {
    let mut paths = Vec::new();
    for file in files {
        if file.is_dir() {
            let failed = |error| Failure::file("read", file, error).next("check the folder");
            let entries = std::fs::read_dir(file).map_err(failed)?;
            let found = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
            let mut found = found.map_err(failed)?;
            found.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
            found.sort();
            paths.extend(found);
        } else {
            paths.push(file.clone());
        }
    }
    let sound = |path: &PathBuf| {
        let receipt = read(path)?;
        let refused = assay_receipt::verify(&receipt, None).standing == Standing::Refused;
        let life = JobSummary::of(&receipt).filter(|_| !refused).ok_or_else(|| {
            Failure::refused(format!("{} does not hold", path.display()))
                .next("see `assay verify` for what is wrong with it, and leave it out")
        })?;
        Ok((receipt, life))
    };
    paths.iter().map(sound).collect()
}

/// The life of a job, from its order down.
fn shown(receipt: &Receipt) -> String {
    let order = &receipt.order.order;
    let price = dollars(order.price.max.to());
    let mut steps = vec![
        ("job", receipt.job.to_string()),
        ("ordered", format!("by {} for at most {price}", order.requester)),
        ("", format!("program {}", order.programId)),
        ("", format!("input   {}", order.inputRoot)),
    ];
    if let Some(earlier) = JobSummary::of(receipt).and_then(|life| life.input_of) {
        steps.push(("", format!("        the result of job {earlier}, by the requester's word")));
    }
    for logged in receipt.log.iter().flat_map(|log| &log.statements) {
        let Some((said, _)) = logged.envelope.statement() else { continue };
        if said.job().is_none() && !matches!(said, Statement::Masked(_)) {
            continue;
        }
        let speaker = said.speaker();
        let what = match &said {
            Statement::Locked(said) => format!("in block {}", said.block.number),
            Statement::Claimed(said) => {
                let (steps, block) = (grouped(said.steps), said.block.number);
                format!("{steps} steps, exit code {}, in block {block}", said.exit_code)
            }
            Statement::Ran(said) => {
                let facts: Vec<_> = said.host_facts().values().map(String::as_str).collect();
                // A provider need not say what it runs on.
                if facts.is_empty() { String::new() } else { format!("on {}", facts.join(", ")) }
            }
            Statement::Judged(said) => format!("{:?}", said.verdict).to_lowercase(),
            Statement::Moved(said) => moved(said),
            Statement::Released(said) => {
                let slot = match said.slot {
                    ReleasedSlot::Input => "input",
                    ReleasedSlot::Dataset => "dataset",
                };
                let to: Vec<_> = said.given.iter().map(|one| one.recipient.to_string()).collect();
                let under =
                    said.policy.map_or(String::new(), |policy| format!(" under policy {policy}"));
                format!("the key of the {slot} to {}{under}", to.join(" and "))
            }
            Statement::Settled(said) => format!("{} in block {}", said.event, said.block.number),
            Statement::Masked(said) => {
                let (mask, named) = (&said.mask, sha256(&said.mask.to_payload()));
                let k = mask.anonymity.as_ref().and_then(|anonymity| anonymity.k);
                let k = k.map_or(String::new(), |k| format!(", groups of {} at least", grouped(k)));
                let (rows_in, rows_out) = (grouped(mask.rows_in), grouped(mask.rows_out));
                format!("the dataset is {rows_out} masked rows of {rows_in}{k}, statement {named}")
            }
            Statement::Ordered(_) | Statement::Binding(_) | Statement::Operated(_) => String::new(),
        };
        steps.push(("  |", String::new()));
        let what = if what.is_empty() { what } else { format!(", {what}") };
        steps.push((said.name(), format!("by {speaker}{what} (entry {})", logged.index)));
    }
    let anchor = receipt.log.as_ref().and_then(|log| log.anchor.as_ref());
    if let Some(Ok(anchor)) = anchor.map(|anchor| anchored(&anchor.event)) {
        let (size, block) = (grouped(anchor.size), anchor.block.number);
        steps.push(("  |", String::new()));
        let what =
            format!("by {}, the log's first {size} entries, in block {block}", anchor.operator);
        steps.push(("anchored", what));
    }
    let checked = assay_receipt::verify(receipt, None).standing;
    let told = match checked {
        Standing::Refused => "it does not hold; see `assay verify`",
        _ => "`assay verify` tells who vouches for it",
    };
    steps.push(("receipt", told.to_owned()));
    let text = table(&steps);
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A move in a dispute, for people.
fn moved(said: &Moved) -> String {
    let what = match &said.made {
        Move::Commit { game, .. } => format!("opens game {game}"),
        Move::Point { level, position, .. } => {
            format!("points at segment {position} of level {level}")
        }
        Move::Demand { depth, index, .. } => format!("asks for node {index} at depth {depth}"),
        Move::Reveal { node } => format!("shows what lies under {node}"),
        Move::Answer { level, position, .. } => {
            format!("gives the tree of level {level}, segment {position}")
        }
        Move::Step { claimed, actual, .. } if claimed == actual => "the step is as claimed".into(),
        Move::Step { .. } => "the step is not as claimed".to_owned(),
        Move::End { game, outcome } => {
            let outcome = match outcome {
                5 => "the claim is false",
                6 => "the challenger has lost",
                _ => "it came to be pointless",
            };
            format!("game {game}: {outcome}")
        }
    };
    format!("{what}, in block {}", said.block.number)
}

pub(crate) fn read(path: &Path) -> Result<Receipt, Failure> {
    let bytes = crate::home::read_bounded(path)?;
    Receipt::from_bytes(&bytes).map_err(|error| {
        Failure::refused(format!("{} is no receipt that can be checked", path.display()))
            .cause(error)
            .next("ask for the file again; `assay run` writes them")
    })
}

/// Writes a job's receipt where the command says, and gives the path.
pub(crate) async fn write(
    market: &Session,
    arguments: &crate::run::Arguments,
    record: &JobRecord,
) -> Result<PathBuf, Failure> {
    let home = arguments.at.home.open()?;
    let path = arguments.receipt.clone().unwrap_or_else(|| home.receipt(record.job_id));
    put(market, &home, record, &path).await?;
    Ok(path)
}

/// The same for a job on the way, under the home.
pub(crate) async fn keep(
    market: &Session,
    arguments: &crate::run::Arguments,
    record: &JobRecord,
) -> Result<(), Failure> {
    let home = arguments.at.home.open()?;
    put(market, &home, record, &home.receipt(record.job_id)).await
}

async fn put(
    market: &Session,
    home: &Home,
    record: &JobRecord,
    path: &Path,
) -> Result<(), Failure> {
    let receipt = market.requester().receipt(record).await?;
    write_file(path, &receipt.to_bytes())?;
    // Whoever changes it means it: it is written once.
    if home.trust().exists() {
        return Ok(());
    }
    write_file(&home.trust(), &market.requester().trust().to_bytes())
}

pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error| Failure::file("write", path, error).next("check the folder and its space");
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, bytes).map_err(failed)
}
