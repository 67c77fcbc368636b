//! `assay run`: a job from order to settlement, on a market of this machine or another.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use assay_market::{PriceTerms, Repricing};
use assay_merkle::{BLOB_BYTES_MAX, BlobError};
use assay_node::{
    DatasetTerms, DatasetUse, JobRecord, JobStatus, JobTerms, RunOutcome, Sealing, Version,
};
use assay_verify::exec::{message, step_limit};
use serde::Serialize;

use crate::output::amounts::dollars;
use crate::output::failure::Failure;
use crate::output::files::write_secret;
use crate::output::print::{print, print_bytes, say};
use crate::output::text::{grouped, json_line, table};
use crate::session::follow::{Ended, watch};
use crate::session::market::TakePart;
use crate::session::receipts::write_receipt;
use crate::session::requester::{Session, asked, nobody_offers};
use crate::session::runtime::block_on;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    at: TakePart,
    /// The program, an ELF file for the machine
    program: PathBuf,
    /// The input, any file. Input and output are sealed (encrypted) unless --public is given
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Use the result of an earlier job as the input, by the job's whole id. The order and the
    /// receipt show which job it was
    #[arg(long, value_name = "JOB", conflicts_with = "input")]
    input_of: Option<B256>,
    /// The dataset, any file, sealed as the input is
    #[arg(long, value_name = "FILE")]
    dataset: Option<PathBuf>,
    /// Another owner's dataset, used as its policy allows
    #[arg(long, value_name = "OWNER/NAME", conflicts_with = "dataset", requires = "purpose")]
    dataset_of: Option<DatasetName>,
    /// The purpose of the job: a word from the dataset's policy
    #[arg(long, value_name = "WORD", requires = "dataset_of")]
    purpose: Option<String>,
    /// Publish input, dataset and output unencrypted, for everyone and for good
    #[arg(long, conflicts_with_all = ["dataset_of", "beneficiary", "auditor"])]
    public: bool,
    /// Who may read the result [default: the account that orders]
    #[arg(long, value_name = "ADDRESS")]
    beneficiary: Option<Address>,
    /// An auditor that also gets the keys, to check the claim; repeat for several [default: the
    /// local market's auditor]
    #[arg(long, value_name = "ADDRESS")]
    auditor: Vec<Address>,
    /// How long the provider may take to open sealed inputs, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    begin_secs: u32,
    /// The lowest reputation that a provider may have, in basis points (spec/reputation.md)
    #[arg(long, value_name = "BPS", value_parser = clap::value_parser!(u16).range(..=10_000))]
    reputation_min: Option<u16>,
    /// Where to write the output; `-` for standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Where to write the receipt [default: receipts/JOB.json under the home]
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// How many steps the job may take, 1 to 2^45
    #[arg(long, value_name = "N", default_value_t = 1 << 30)]
    steps_max: u64,
    /// A fixed price, in millionths of a test dollar (the token's smallest unit) [default: metered,
    /// at the median quote]
    #[arg(long, value_name = "AMOUNT")]
    price: Option<u128>,
    /// How far the price may rise while nobody takes the order [default: it does not rise]
    #[arg(long, value_name = "AMOUNT")]
    price_max: Option<u128>,
    /// How much each rise adds, in basis points; more if providers ask for more
    #[arg(long, value_name = "BPS", default_value_t = 2_500)]
    raise_bps: u16,
    /// How long each price stands before it rises, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    raise_secs: u32,
    /// How much the provider stakes on the job, in the token's smallest unit
    #[arg(long, value_name = "AMOUNT", default_value_t = 100_000_000)]
    stake: u128,
    /// The only provider that may take the order [default: any]
    #[arg(long, value_name = "ADDRESS")]
    provider: Option<Address>,
    /// How long providers can take (lock) the order, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    lock_secs: u64,
    /// How long the run may take, in seconds [default: from --steps-max, at least 60]
    #[arg(long, value_name = "SECONDS")]
    run_secs: Option<u32>,
    /// First order the job from a provider that lies, to watch the dispute
    #[arg(long)]
    with_liar: bool,
}

/// A dataset by its owner and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DatasetName {
    pub(crate) owner: Address,
    pub(crate) name: String,
}

impl std::str::FromStr for DatasetName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (owner, name) = text.split_once('/').ok_or("give a dataset as OWNER/NAME")?;
        let owner =
            owner.parse().map_err(|error| format!("{owner:?} is not an account: {error}"))?;
        Ok(DatasetName { owner, name: name.to_owned() })
    }
}

/// The first line of `--json`.
#[derive(Serialize)]
struct Ordered {
    schema: &'static str,
    job: B256,
    event: &'static str,
    price_max: u128,
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Done<'a> {
    schema: &'static str,
    job: B256,
    event: &'static str,
    status: JobStatus,
    outcome: Option<RunOutcome>,
    output: Option<&'a Path>,
    output_bytes: usize,
    receipt: &'a Path,
}

/// Exit codes of programs that leave a message (spec/guest.md#exit-codes).
const REFUSED: u32 = 1;
const PANICKED: u32 = 101;

/// Up to which step limit a job is run again here for its message: a minute at the most.
const MESSAGE_STEPS_MAX: u64 = 1 << 32;

pub(crate) fn run(arguments: &Arguments, as_json: bool) -> Result<String, Failure> {
    step_limit(arguments.steps_max)?;
    let read = |path: &PathBuf| slot_file(path);
    let program = read(&arguments.program)?;
    let input = arguments.input.as_ref().map(read).transpose()?;
    let dataset = arguments.dataset.as_ref().map(read).transpose()?;
    block_on(async {
        let market = Session::open(&arguments.at, arguments.with_liar).await?;
        let asked = asked(arguments.steps_max, arguments.stake, arguments.run_secs);
        let price = match arguments.price {
            Some(price) => PriceTerms::fixed(price),
            None => {
                let quote = market.requester().quote(asked).await?;
                if let Some(median) = quote.median.filter(|_| !as_json) {
                    let (price, count) = (dollars(median.price), quote.providers);
                    say(&format!("quoted     at most {price}, the median of {count} providers"));
                }
                quote.median.map(|quoted| quoted.metered()).ok_or_else(|| {
                    nobody_offers().next(
                        "lower --stake, raise --run-secs, wait for other providers, or give --price",
                    )
                })?
            }
        };
        let input = match arguments.input_of {
            Some(job) => Some(result_of(&market, job).await?),
            None => input,
        };
        let terms = JobTerms {
            program,
            input,
            input_of: arguments.input_of,
            dataset: datasets(&market, arguments, dataset).await?,
            sealing: sealing(&market, arguments)?,
            reputation_min: arguments.reputation_min,
            step_limit: arguments.steps_max,
            price,
            data_fee: None,
            stake: arguments.stake,
            provider: arguments.provider,
            lock_secs: arguments.lock_secs,
            run_secs: asked.run_secs,
            window_secs: None,
            repricing: arguments.price_max.map(|price_max| Repricing {
                raise_bps: arguments.raise_bps,
                every_secs: arguments.raise_secs,
                price_max,
                times_max: u8::MAX,
            }),
        };
        let done = go(&market, arguments, &terms, as_json).await;
        market.close().await?;
        done
    })
}

/// What an earlier job came to.
async fn result_of(market: &Session, job: B256) -> Result<Vec<u8>, Failure> {
    market.requester().output(job).await.map_err(|error| {
        Failure::new(format!("cannot read the result of job {job}"))
            .cause(error)
            .next("give the whole id of a job that was paid and whose beneficiary you are")
    })
}

/// The dataset that the arguments name.
async fn datasets(
    market: &Session,
    arguments: &Arguments,
    own: Option<Vec<u8>>,
) -> Result<DatasetTerms, Failure> {
    let (Some(name), Some(purpose)) = (&arguments.dataset_of, &arguments.purpose) else {
        return Ok(own.map_or(DatasetTerms::None, DatasetTerms::Own));
    };
    let version = market.requester().board().dataset(name.owner, &name.name).await?;
    let version = version.ok_or_else(|| {
        Failure::new(format!("{} has published no dataset {:?} here", name.owner, name.name))
            .next("ask the owner for the dataset's name")
    })?;
    let Version { publication, policy } = version;
    let (publication, policy) = (publication.body().clone(), Some(policy));
    let purpose = purpose.clone();
    Ok(DatasetTerms::Of(Box::new(DatasetUse { publication, policy, purpose })))
}

/// How the job is sealed: by default.
fn sealing(market: &Session, arguments: &Arguments) -> Result<Option<Sealing>, Failure> {
    if arguments.public {
        return Ok(None);
    }
    let mut auditors: BTreeSet<Address> = arguments.auditor.iter().copied().collect();
    if auditors.is_empty() {
        auditors.extend(market.auditor());
    }
    if auditors.is_empty() {
        return Err(Failure::new("a sealed job needs an auditor that can check the claim")
            .cause("without one nobody could challenge a false claim")
            .next("give --auditor ADDRESS, or --public to publish the data unencrypted"));
    }
    let (beneficiary, begin_secs) = (arguments.beneficiary, arguments.begin_secs);
    Ok(Some(Sealing { auditors, beneficiary, begin_secs }))
}

async fn go(
    market: &Session,
    arguments: &Arguments,
    terms: &JobTerms,
    as_json: bool,
) -> Result<String, Failure> {
    if let Some(liar) = market.liar() {
        let terms = JobTerms { provider: Some(liar), ..terms.clone() };
        let (record, Ended { status, .. }) =
            follow(market, &terms, arguments.price, as_json).await?;
        let home = arguments.at.home.open()?;
        write_receipt(market, &home, &record, &home.receipt(record.job_id)).await?;
        market.requester().finish(&record).await?;
        if status != JobStatus::Refuted {
            return Err(Failure::refused(format!(
                "the liar's job ended as {status:?}, not as refuted"
            )));
        }
    }
    let (record, Ended { status, outcome }) =
        follow(market, terms, arguments.price, as_json).await?;
    if status != JobStatus::Paid {
        market.requester().finish(&record).await?;
        return Err(unpaid(market, &record, status).await);
    }
    // What a program left that gave no answer goes nowhere: a result of before stays as it was.
    let failed = outcome.filter(|outcome| !outcome.is_success());
    let output = match failed {
        Some(_) => None,
        None => Some(market.requester().output(record.job_id).await?),
    };
    let to_stdout = arguments.output.as_deref() == Some(Path::new("-"));
    if let (Some(path), Some(output)) = (arguments.output.as_ref().filter(|_| !to_stdout), &output)
    {
        write_secret(path, output)?;
    }
    let home = arguments.at.home.open()?;
    let receipt = arguments.receipt.clone().unwrap_or_else(|| home.receipt(record.job_id));
    write_receipt(market, &home, &record, &receipt).await?;
    market.requester().finish(&record).await?;
    let shown = if as_json {
        json_line(&Done {
            schema: "assay.run/1",
            job: record.job_id,
            event: "done",
            status,
            outcome,
            output: arguments.output.as_deref().filter(|_| output.is_some()),
            output_bytes: output.as_ref().map_or(0, Vec::len),
            receipt: &receipt,
        })
    } else {
        match &output {
            Some(output) if to_stdout => {
                print_bytes(output)?;
                String::new()
            }
            output => report(arguments, &record, output.as_deref(), &receipt),
        }
    };
    match failed {
        Some(outcome) => {
            // Standard output is for an answer, and there is none.
            if to_stdout && !as_json {
                say(shown.trim_end())
            } else {
                print(&shown)?
            }
            Err(unanswered(market, &record, outcome).await)
        }
        None => Ok(shown),
    }
}

/// Where to find what became of a job, for people.
fn report(
    arguments: &Arguments,
    record: &JobRecord,
    output: Option<&[u8]>,
    receipt: &Path,
) -> String {
    let written = arguments.output.as_ref().map_or_else(
        || "not written; --output FILE writes it".to_owned(),
        |path| path.display().to_string(),
    );
    let output = match output {
        Some(output) => format!("{} bytes, {written}", grouped(output.len() as u64)),
        None => "none".to_owned(),
    };
    table(&[
        ("job", record.job_id.to_string()),
        ("output", output),
        ("receipt", receipt.display().to_string()),
    ])
}

/// Why a job that was paid has no answer. A program's message is in no claim, so the job is run
/// again here to read it, if that takes no longer than [`MESSAGE_STEPS_MAX`] steps.
async fn unanswered(market: &Session, record: &JobRecord, outcome: RunOutcome) -> Failure {
    let (job, limit) = (record.job_id, grouped(record.signed.order.stepLimit));
    let failure = match outcome {
        RunOutcome::OutOfSteps => {
            return Failure::unanswered("the program ran out of steps")
                .cause(format!("it had not ended after {limit} steps, which were paid for"))
                .next("order it again with a higher --steps-max, or with a smaller input");
        }
        RunOutcome::Exited { code: REFUSED } => {
            Failure::unanswered("the program refused what it was given")
        }
        RunOutcome::Exited { code: PANICKED } => Failure::unanswered("the program panicked"),
        RunOutcome::Trapped => Failure::unanswered("the program trapped"),
        outcome => Failure::unanswered(format!("the program gave no answer: it {outcome}")),
    };
    let leaves_message = matches!(outcome, RunOutcome::Exited { code: REFUSED | PANICKED });
    let is_short = record.signed.order.stepLimit <= MESSAGE_STEPS_MAX;
    let again = match leaves_message && is_short {
        true => market.requester().replay(record).await.ok(),
        false => None,
    };
    match again.and_then(|again| message(&*again.last_words)) {
        Some(message) => failure.cause(message).next(
            "mend the input or the program, and try it with `assay exec` before you order again",
        ),
        None => failure.cause(format!("the run {outcome}, and it was paid for")).next(format!(
            "`assay exec` or `assay replay` tells more; `assay job output {job} --unanswered` reads what it left"
        )),
    }
}

/// Orders a job and follows it to its end.
async fn follow(
    market: &Session,
    terms: &JobTerms,
    price: Option<u128>,
    as_json: bool,
) -> Result<(JobRecord, Ended), Failure> {
    // A price that was quoted is none of what was asked for: it may be another the next time.
    let key = market.requester().key(terms, price.is_none());
    let mut record = market.requester().order(key, terms).await?;
    let job = record.job_id;
    if as_json {
        let price_max = record.signed.order.price.max.to();
        let _ =
            print(&json_line(&Ordered { schema: "assay.run/1", job, event: "ordered", price_max }));
    } else {
        say(&format!("ordered    {job}"));
    }
    let ended = watch(market, &mut record, as_json).await?;
    Ok((record, ended))
}

/// Why a job did not come to an answer.
async fn unpaid(market: &Session, record: &JobRecord, status: JobStatus) -> Failure {
    if status != JobStatus::None {
        let failure = Failure::new(format!("the job ended without a result, as {status:?}"))
            .next("the price is back in your purse; order the job again");
        let refusals = market.requester().board().key_refusals(record.job_id).await;
        return match refusals.unwrap_or_default().first() {
            Some((owner, why)) => failure.cause(format!("{owner} gave no key: {why}")),
            None => failure,
        };
    }
    let failure = Failure::new("no provider took the order in time; nothing was paid");
    let refusals = market.requester().board().refusals(record.job_id).await.unwrap_or_default();
    let needed = refusals.iter().filter_map(|refusal| refusal.reason.price_needed()).min();
    // Of several reasons, the one that takes the least to mend.
    let nearest =
        refusals.iter().min_by_key(|refusal| refusal.reason.price_needed().unwrap_or(u128::MAX));
    let failure = match nearest {
        Some(refusal) => failure.cause(&refusal.reason),
        None => failure,
    };
    match needed {
        Some(needed) => failure.next(format!("order again with --price {needed}")),
        None => failure,
    }
}

/// A file that goes into a slot. One that is too large, or has no end, is told before it fills the
/// memory.
fn slot_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::file("read", path, error).next("give a file");
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut length = file.metadata().map_err(failed)?.len();
    let mut bytes = Vec::new();
    if length <= BLOB_BYTES_MAX {
        file.take(BLOB_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        length = bytes.len() as u64;
    }
    match length > BLOB_BYTES_MAX {
        true => Err(Failure::file("use", path, BlobError::TooLong(length))
            .next("split the file, and order a job for each part")),
        false => Ok(bytes),
    }
}
