//! `assay receipt present`, `presented`, `disclose`, `disclosed`, `statistics` and `budget`:
//! showing a part, and what may be told of many.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use assay_disclosure::cells::{Disclosure, OutputOpening, Place, ShownCell, Table, TableKey};
use assay_disclosure::statistics::{Entry, MicroEpsilon, Scale, Terms};
use assay_node::{
    DevelopmentKeys, Env, Role, budget_left, create_budget, kept_output_key, output_slot,
    presented_by, release_statistics, slot_of_image,
};
use assay_receipt::{
    Expected, JobSummary, Outcome, Presentation, PresentationCheck, Receipt, Standing, claim_names,
};
use assay_seal::{ContentKey, open_output_by};
use assay_types::{BlobRoot, Hash};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::home::{HomeArgument, KeyArgument};
use crate::market::TakePart;
use crate::receipt::{board, read, read_all, reader, trusted, write_file};
use crate::text::{grouped, harmless, json, table};

/// Bytes of a slot before those of its blob.
const BLOB_HEADER: usize = 32;

/// The endings of a job, in the words of the contract's events: all, so that none tells by being
/// there.
const ENDINGS: [&str; 4] = ["JobLapsed", "JobPaid", "JobSlashed", "JobUnwound"];

#[derive(clap::Args)]
pub(crate) struct Present {
    #[command(flatten)]
    home: HomeArgument,
    /// By whose word: the key that signs [default: the home's own requester]
    #[command(flatten)]
    key: KeyArgument,
    /// The receipt.
    receipt: PathBuf,
    /// What is shown besides job, digests, ending and verdict: `presenter`, `market`, `requester`,
    /// `provider`, `beneficiary`, `price`, `stake`, `steps`, `times`, `terms`, `statement-order`
    /// and so on; `all` for all
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    show: Vec<String>,
    /// For whom it is, as they asked for it.
    #[arg(long, value_name = "NAME", requires = "nonce")]
    audience: Option<String>,
    /// What they asked to be repeated, so that they know it is no copy.
    #[arg(long, value_name = "TEXT", requires = "audience")]
    nonce: Option<String>,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Presented {
    #[command(flatten)]
    home: HomeArgument,
    /// The presentation.
    file: PathBuf,
    /// The receipt that it is of, to compare.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Whom you trust, for what: `assay.trust/1` [default: trust.json under the home, if it is
    /// there]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Who you are, as you asked for it.
    #[arg(long, value_name = "NAME", requires = "nonce")]
    audience: Option<String>,
    /// What you asked to be repeated.
    #[arg(long, value_name = "TEXT", requires = "audience")]
    nonce: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct Disclose {
    #[command(flatten)]
    at: TakePart,
    /// The receipt.
    receipt: PathBuf,
    /// Where the output's key is: 64 hexadecimal digits, the file's first line [default: of the
    /// input that was sealed under the home]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The output slot's image [default: fetched from the home's market, or the one named]
    #[arg(long, value_name = "FILE")]
    slot: Option<PathBuf>,
    /// The table in the clear, to be sure that it is this one.
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Rows to show whole, such as 3 or 3,7-9; row 0 is the header.
    #[arg(long, value_name = "ROWS", value_delimiter = ',', required_unless_present = "cells")]
    rows: Vec<String>,
    /// Single cells to show, such as 3:0,7:2, by row and column from 0.
    #[arg(long, value_name = "CELLS", value_delimiter = ',')]
    cells: Vec<String>,
    /// Do not show the names of the columns that are shown.
    #[arg(long)]
    no_header: bool,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Disclosed {
    #[command(flatten)]
    home: HomeArgument,
    /// What was disclosed.
    file: PathBuf,
    /// The job's receipt.
    #[arg(long, value_name = "FILE")]
    receipt: PathBuf,
    /// Whom you trust, for what: `assay.trust/1` [default: trust.json under the home, if it is
    /// there]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Statistics {
    /// Receipts, or folders of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The ledger of the budget that pays for it (`assay receipt budget`).
    #[arg(long, value_name = "FILE")]
    ledger: PathBuf,
    /// What it costs, in millionths of epsilon: the less, the more noise.
    #[arg(long, value_name = "N")]
    epsilon_micro: u64,
    /// Whose part is hidden.
    #[arg(long, value_enum, default_value_t = Party::Requester)]
    party: Party,
    /// The most jobs of one party that count.
    #[arg(long, value_name = "N", default_value_t = 20)]
    jobs_per_party_max: u32,
    /// The most of one job's price that counts, in the token's smallest unit.
    #[arg(long, value_name = "AMOUNT", default_value_t = 100_000_000)]
    spend_per_job_max: u128,
    /// Counts below it are not shown.
    #[arg(long, value_name = "N", default_value_t = 10)]
    count_min: u32,
    /// The first second of the period, in Unix seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    from: u64,
    /// The last second of the period.
    #[arg(long, value_name = "SECONDS", default_value_t = u64::MAX)]
    to: u64,
}

#[derive(clap::Args)]
pub(crate) struct Budget {
    /// The ledger.
    file: PathBuf,
    /// Make it, with so many millionths of epsilon, for ever.
    #[arg(long, value_name = "N")]
    epsilon_micro: Option<u64>,
}

/// Whose part in the statistics can't be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Party {
    /// Who ordered.
    Requester,
    /// Who ran.
    Provider,
}

#[derive(Serialize)]
struct Made<'a> {
    schema: &'static str,
    job: B256,
    file: &'a Path,
    shown: Vec<String>,
}

#[derive(Serialize)]
struct Judged<'a> {
    schema: &'static str,
    standing: &'static str,
    #[serde(flatten)]
    presentation: &'a Presentation,
}

pub(crate) fn present(arguments: &Present, as_json: bool) -> Result<String, Failure> {
    let receipt = read(&arguments.receipt)?;
    let mut show: BTreeSet<String> = arguments.show.iter().cloned().collect();
    if show.remove("all") {
        show.extend(claim_names(&receipt));
        show.insert("presenter".into());
    }
    let home = arguments.home.open()?;
    let signer = match arguments.key.is_given() {
        true => arguments.key.load(&home)?,
        false => DevelopmentKeys::open(&home)?.key(Role::Requester),
    };
    let audience = arguments.audience.as_deref().zip(arguments.nonce.as_deref());
    let made =
        presented_by(&Env::system(), &signer, &receipt, &show, audience)?.map_err(|error| {
            Failure::new("the receipt can't be presented").cause(error).next(
                "`assay verify` checks it, `assay receipt present --help` lists what can be shown",
            )
        })?;
    let Some(path) = &arguments.output else { return Ok(made + "\n") };
    write_file(path, made.as_bytes())?;
    let shown = show.into_iter().collect::<Vec<_>>();
    let job = receipt.job;
    if as_json {
        return Ok(json(&Made { schema: "assay.present/1", job, file: path, shown }));
    }
    Ok(table(&[
        ("presentation", path.display().to_string()),
        ("by", signer.address().to_string()),
        (
            "shows",
            ["job, digests, ending, verdict"]
                .into_iter()
                .map(str::to_owned)
                .chain(shown)
                .collect::<Vec<_>>()
                .join(", "),
        ),
    ]))
}

pub(crate) fn presented(arguments: &Presented, as_json: bool) -> Result<String, Failure> {
    let bytes = read_file(&arguments.file)?;
    // What is printed to a terminal ends with a line feed, and a presentation does not.
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let receipt = arguments.receipt.as_deref().map(read).transpose()?;
    let trust = trusted(&arguments.home, arguments.trust.as_deref())?;
    let audience = arguments.audience.as_deref().zip(arguments.nonce.as_deref());
    let expected = Expected { receipt: receipt.as_ref(), trust: trust.as_ref(), audience };
    let presentation = Presentation::from_bytes(bytes, expected).map_err(|error| {
        Failure::refused(format!("{} is no presentation that holds", arguments.file.display()))
            .cause(error)
            .next("do not rely on it; ask for it again")
    })?;
    let standing = match (presentation.is_refused(), presentation.is_compared()) {
        (true, _) => "refused",
        (false, true) => "compared",
        (false, false) => "word",
    };
    let text = if as_json {
        json(&Judged { schema: "assay.presented/1", standing, presentation: &presentation })
    } else {
        told(&presentation, standing)
    };
    if standing != "refused" {
        return Ok(text);
    }
    crate::print(&text)?;
    let wrong = presentation.checks.iter().find(|check| check.outcome == Outcome::Refused);
    let failure = Failure::refused("the presentation does not hold")
        .next("do not rely on it; ask for the receipt itself");
    Err(match wrong {
        Some(check) => failure.cause(&check.what),
        None => failure,
    })
}

fn told(presentation: &Presentation, standing: &str) -> String {
    let mut text = String::new();
    for (name, value) in &presentation.claims {
        let value = match value {
            serde_json::Value::String(plain) => plain.clone(),
            _ if name.starts_with("statement-") || name == "cnf" => continue,
            other => other.to_string(),
        };
        // Strings of a stranger, for a terminal.
        let _ = writeln!(text, "{name:<14} {}", harmless(value.as_bytes()));
    }
    text += &presentation.checks.iter().map(line).collect::<String>();
    text + &table(&[(
        "standing",
        match standing {
            "refused" => "refused",
            "compared" => "it says what the receipt says",
            _ => "the word of who holds the key, about a receipt that is not here; no more",
        }
        .to_owned(),
    )])
}

fn line(check: &PresentationCheck) -> String {
    let outcome = match check.outcome {
        Outcome::Held => "held",
        Outcome::Refused => "REFUSED",
        Outcome::NotChecked => "not checked",
    };
    let by = check.by.as_ref().map(|by| format!(" [{by}]")).unwrap_or_default();
    format!("{outcome:<12} {}{by}\n", harmless(check.what.as_bytes()))
}

pub(crate) fn disclose(arguments: &Disclose, as_json: bool) -> Result<String, Failure> {
    let receipt = read(&arguments.receipt)?;
    let (_, root) = settled(&receipt)?;
    let key = match &arguments.key_file {
        Some(path) => output_key(path)?,
        None => kept_output_key(&arguments.at.home.open()?, &receipt.order)?.ok_or_else(|| {
            Failure::new("there is no key of this job's output under the home")
                .next("give --key-file FILE, or the --home that the job was ordered under")
        })?,
    };
    let failed = |cause: &dyn std::fmt::Display| {
        Failure::new("the cells can't be shown")
            .cause(cause)
            .next("check the receipt, the slot and the key")
    };
    let slot = match &arguments.slot {
        Some(path) => slot_of_image(&read_file(path)?).map_err(|error| failed(&error))?,
        None => crate::block_on(async {
            let board = board(&arguments.at, &reader(&arguments.at)?).await?;
            Ok(output_slot(&board, root).await?)
        })?,
    };
    let output = OutputOpening::of_slot(&slot);
    if output.root() != root {
        return Err(failed(&format!(
            "the slot has root {}, the job's output {root}",
            output.root()
        )));
    }
    output.cells_root().map_err(|error| failed(&error))?;
    let plaintext = open_output_by(&key, envelope(&slot)).map_err(|error| failed(&error))?;
    if let Some(path) = &arguments.table
        && read_file(path)? != **plaintext
    {
        return Err(failed(&format!("{} is not what the output holds", path.display())));
    }
    let cells = Table::from_csv(&plaintext).map_err(|error| failed(&error))?;
    let places = places(arguments, &cells)?;
    let job = Hash(receipt.job.0);
    let table_key = TableKey::derive(key.as_bytes());
    let made = Disclosure::new(job, &output, &cells, &table_key, &places);
    let made = made.map_err(|error| failed(&error))?;
    let Some(path) = &arguments.output else {
        crate::print_bytes(&made.to_bytes())?;
        return Ok(String::new());
    };
    write_file(path, &made.to_bytes())?;
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
        Failure::new(format!("{} has no key", path.display()))
            .cause("its first line is not 64 hexadecimal digits")
            .next("give the file that has the output's key")
    })?;
    Ok(ContentKey::from_bytes(*key))
}

fn places(arguments: &Disclose, cells: &Table) -> Result<BTreeSet<Place>, Failure> {
    let wrong = |what: &str| {
        Failure::new(format!("{what:?} names nothing in the table"))
            .cause(format!("the table has {} rows, counted from 0", cells.rows()))
            .next("name rows as 3 or 7-9, and cells as ROW:COLUMN")
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
            .next("see `assay verify` for what is wrong with it"));
    }
    let life = JobSummary::of(receipt);
    let root = life.as_ref().and_then(|life| life.output);
    life.zip(root).map(|(life, root)| (life, BlobRoot(Hash(root.0)))).ok_or_else(|| {
        Failure::refused("the job was not settled with an output")
            .cause("its claim fell, nobody claimed, or its output is empty")
            .next("`assay receipt show` tells how it ended")
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
            .next("do not rely on it; ask for it again")
    };
    let shown = Disclosure::from_bytes(&read_file(&arguments.file)?);
    let shown = shown.map_err(|error| refused(&error))?;
    let receipt = read(&arguments.receipt)?;
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
    let by = crate::receipt::standing(report.standing);
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

#[derive(Serialize)]
struct Released {
    schema: &'static str,
    party: &'static str,
    epsilon_micro: u64,
    left_micro: u64,
    count_min: u32,
    jobs_per_party_max: u32,
    spend_per_job_max: String,
    jobs: BTreeMap<&'static str, Option<i64>>,
    parties: Option<i64>,
    spend: Option<String>,
    jobs_scale: String,
    parties_scale: String,
    spend_scale: String,
}

pub(crate) fn statistics(arguments: &Statistics, as_json: bool) -> Result<String, Failure> {
    let epsilon = epsilon(arguments.epsilon_micro)?;
    let terms = Terms {
        jobs_per_party_max: arguments.jobs_per_party_max,
        spend_per_job_max: arguments.spend_per_job_max,
        count_min: arguments.count_min,
        epsilon,
    };
    let period = arguments.from..=arguments.to;
    let lives = read_all(&arguments.files)?.into_iter().map(|(_, life)| life);
    let entries: Vec<_> = lives
        .filter(|life| period.contains(&life.ended_secs))
        .map(|life| Entry {
            job: life.job.0,
            party: who(arguments.party, &life).into_array(),
            class: life.ending,
            spend: life.paid.unwrap_or(0),
        })
        .collect();
    let party = match arguments.party {
        Party::Requester => "requester",
        Party::Provider => "provider",
    };
    let purpose =
        format!("jobs that ended from {} to {}, by {party}", arguments.from, arguments.to);
    let made =
        release_statistics(&Env::system(), &arguments.ledger, &terms, &entries, &ENDINGS, &purpose);
    let made = made.map_err(|error| unpaid(error, &arguments.ledger))?;
    let (left, _) = budget_left(&arguments.ledger)?;
    let small = |count: Option<i128>| {
        // Noise beyond 2^63 has no chance; cut off, it is no less private.
        count.map(|count| i64::try_from(count).unwrap_or(i64::MAX))
    };
    let released = Released {
        schema: "assay.statistics/1",
        party,
        epsilon_micro: epsilon.micro(),
        left_micro: left,
        count_min: terms.count_min,
        jobs_per_party_max: terms.jobs_per_party_max,
        spend_per_job_max: terms.spend_per_job_max.to_string(),
        jobs: made.jobs.into_iter().map(|(ending, count)| (ending, small(count))).collect(),
        parties: small(made.parties),
        spend: made.spend.map(|spend| spend.to_string()),
        jobs_scale: scale(made.jobs_scale),
        parties_scale: scale(made.parties_scale),
        spend_scale: scale(made.spend_scale),
    };
    Ok(if as_json { json(&released) } else { released.told() })
}

impl Released {
    fn told(&self) -> String {
        let few = format!("fewer than {}, or so by chance", self.count_min);
        let number =
            |count: Option<i64>| count.map_or(few.clone(), |count| format!("about {count}"));
        let mut rows: Vec<(&str, String)> =
            self.jobs.iter().map(|(ending, count)| (*ending, number(*count))).collect();
        rows.push(("parties", number(self.parties)));
        let spend = self.spend.as_ref().map_or(few.clone(), |spend| format!("about {spend}"));
        rows.push(("spend", spend));
        let noise = format!(
            "discrete Laplace, scale {} for jobs, {} for parties, {} for spend",
            self.jobs_scale, self.parties_scale, self.spend_scale
        );
        rows.push(("noise", noise));
        let [cost, left] = [self.epsilon_micro, self.left_micro].map(grouped);
        rows.push(("epsilon", format!("{cost} millionths spent, {left} left")));
        table(&rows)
    }
}

fn who(party: Party, life: &JobSummary) -> Address {
    match party {
        Party::Requester => life.requester,
        Party::Provider => life.provider,
    }
}

fn scale(scale: Scale) -> String {
    format!("{}/{}", scale.numerator, scale.denominator)
}

fn epsilon(micro: u64) -> Result<MicroEpsilon, Failure> {
    MicroEpsilon::new(micro).map_err(|error| {
        Failure::new("no such epsilon").cause(error).next("1000000 is an epsilon of 1")
    })
}

/// A budget that is spent is a check that does not hold; all else could not be done.
fn unpaid(error: assay_node::Error, ledger: &Path) -> Failure {
    use assay_disclosure::statistics::BudgetError;
    use assay_node::Error;
    match error {
        Error::Budget { source: spent @ BudgetError::Spent { .. }, .. } => {
            Failure::refused("nothing is released: the privacy budget does not pay for it")
                .cause(spent)
                .next("ask for less, or for nothing more of these people")
        }
        Error::Budget { source, .. } => Failure::file("use", ledger, source)
            .next("restore it as it was last; if that is lost, its budget counts as spent"),
        Error::File { verb: "making", source, .. } => Failure::file("make", ledger, source)
            .next("a budget is never begun anew: without --epsilon-micro you see what is left"),
        Error::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Failure::file("read", ledger, source)
                .next("make it, once: `assay receipt budget FILE --epsilon-micro N`")
        }
        Error::Statistics(error) => Failure::new("no such statistics can be made")
            .cause(error)
            .next("see spec/disclosure.md#statistics for the bounds"),
        other => Failure::from(other),
    }
}

#[derive(Serialize)]
struct Left<'a> {
    schema: &'static str,
    file: &'a Path,
    budget_micro: u64,
    left_micro: u64,
}

pub(crate) fn budget(arguments: &Budget, as_json: bool) -> Result<String, Failure> {
    let file = &arguments.file;
    if let Some(micro) = arguments.epsilon_micro {
        create_budget(file, epsilon(micro)?).map_err(|error| unpaid(error, file))?;
    }
    let (left_micro, budget_micro) = budget_left(file).map_err(|error| unpaid(error, file))?;
    if as_json {
        return Ok(json(&Left { schema: "assay.epsilon/1", file, budget_micro, left_micro }));
    }
    let [left, total] = [left_micro, budget_micro].map(grouped);
    Ok(table(&[
        ("ledger", file.display().to_string()),
        ("left", format!("{left} of {total} millionths of epsilon")),
    ]))
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::file("read", path, error).next("give a file"))
}
