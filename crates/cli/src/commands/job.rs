//! `assay job` and `assay quote`: what was ordered from here, how it stands and why, and what an
//! order would cost.

use alloy_primitives::B256;
use assay_market::{Explanation, Facts};
use assay_node::{JobEvent, JobRecord, JobStatus, ProviderRecord, RunOutcome, provider_record};
use serde::Serialize;

use crate::output::amounts::{dollars, of_10000, price};
use crate::output::events::{sentence, status};
use crate::output::failure::Failure;
use crate::output::files::write_secret;
use crate::output::print::print_bytes;
use crate::output::text::{grouped, json, table};
use crate::session::follow::{Ended, claimed_outcome, last_outcome, watch};
use crate::session::market::TakePart;
use crate::session::requester::{Session, on_market};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List the jobs that you ordered from this home
    List(TakePart),
    /// Show an order and what has happened to its job
    Show(One),
    /// Follow a job to its end
    Watch(One),
    /// Explain why nobody takes an order, or how its job ended, and which price would fill it
    Why(One),
    /// Cancel an order that no provider has taken (locked)
    Cancel(One),
    /// Read the result of a job whose beneficiary you are
    Output(Output),
    /// Publish the public keys with which results are sealed for you. Do it once, before others
    /// name you as the beneficiary
    Receive(TakePart),
}

#[derive(clap::Args)]
pub(crate) struct Output {
    #[command(flatten)]
    at: TakePart,
    /// The job's id; of a job that was ordered from this home its first four digits do
    job: String,
    /// Where to write the result [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<std::path::PathBuf>,
    /// Read what is there even if the program gave no answer: it did not exit with code 0
    #[arg(long)]
    unanswered: bool,
}

#[derive(clap::Args)]
pub(crate) struct One {
    #[command(flatten)]
    at: TakePart,
    /// The job's id, or at least its first four digits
    job: String,
}

#[derive(Serialize)]
struct Jobs {
    schema: &'static str,
    jobs: Vec<Job>,
}

#[derive(Serialize)]
struct Job {
    job: B256,
    status: JobStatus,
    done: bool,
    price_max: String,
    /// How its run ended, if it was claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<RunOutcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<Facts>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<JobEvent>,
    /// The score of the provider that has the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    reputation: Option<u16>,
}

#[derive(Serialize)]
struct Why {
    schema: &'static str,
    job: B256,
    #[serde(flatten)]
    explanation: Explanation,
}

/// The result as its beneficiary reads it.
fn output(arguments: &Output) -> Result<String, Failure> {
    let output = on_market(&arguments.at, async |session| {
        let job = match arguments.job.parse() {
            Ok(whole) => whole,
            Err(_) => find(session.requester().records()?, &arguments.job)?.job_id,
        };
        let outcome = claimed_outcome(session, job).await?;
        if let Some(outcome) = outcome.filter(|one| !one.is_success() && !arguments.unanswered) {
            return Err(Failure::unanswered(format!("the job has no result: {outcome}"))
                .cause("what its program left behind is no answer")
                .next("`assay job show` tells what happened; --unanswered reads what is there"));
        }
        Ok(session.requester().output(job).await?)
    })?;
    match &arguments.output {
        Some(path) => write_secret(path, &output)?,
        None => print_bytes(&output)?,
    }
    Ok(String::new())
}

/// Publishes the account's seal keys.
fn receive(at: &TakePart) -> Result<String, Failure> {
    on_market(at, async |session| {
        session.requester().publish_seal_keys().await?;
        Ok(table(&[("receives", session.requester().contracts().account().to_string())]))
    })
}

pub(crate) fn run(command: &Command, as_json: bool) -> Result<String, Failure> {
    let (at, wanted) = match command {
        Command::Output(arguments) => return output(arguments),
        Command::Receive(at) => return receive(at),
        Command::List(at) => (at, None),
        Command::Show(one) | Command::Watch(one) | Command::Why(one) | Command::Cancel(one) => {
            (&one.at, Some(&one.job))
        }
    };
    on_market(at, async |session| {
        let records = session.requester().records()?;
        let Some(wanted) = wanted else { return list(session, &records, as_json).await };
        let mut record = find(records, wanted)?;
        match command {
            Command::Show(_) => show(session, &record, as_json).await,
            Command::Why(_) => why(session, &record, as_json).await,
            Command::Watch(_) => {
                let Ended { status, outcome } = watch(session, &mut record, as_json).await?;
                let job = job(session, &record, status, false).await?;
                let job = Job { outcome, ..job };
                Ok(if as_json { String::new() } else { shown(&job) })
            }
            Command::Cancel(_) | Command::List(_) | Command::Output(_) | Command::Receive(_) => {
                let now = session.requester().facts(&record).await?.status;
                if now != JobStatus::None {
                    return Err(Failure::new(
                        "a provider has locked the order, so it cannot be cancelled",
                    )
                    .cause(format!("the job's status: {}", status(now)))
                    .next("`assay job show` tells what happened"));
                }
                session.requester().cancel(&record).await?;
                show(session, &record, as_json).await
            }
        }
    })
}

/// The job of an id, of how it begins, or of its short form as a terminal shows it.
fn find(records: Vec<JobRecord>, wanted: &str) -> Result<JobRecord, Failure> {
    let wanted = wanted.trim_start_matches("0x").to_ascii_lowercase();
    let (begin, end) = wanted.split_once('…').unwrap_or((&wanted, ""));
    let is_it = |record: &JobRecord| {
        let id = format!("{:x}", record.job_id);
        begin.len() >= 4 && id.starts_with(begin) && id.ends_with(end)
    };
    let mut found: Vec<_> = records.into_iter().filter(is_it).collect();
    match (found.pop(), found.is_empty()) {
        (Some(record), true) => Ok(record),
        (Some(_), false) => Err(Failure::new("several jobs have such an id")
            .cause(format!("{} other jobs", found.len()))
            .next("give more digits of the id")),
        (None, _) => Err(Failure::new("no such job was ordered from this home")
            .cause(format!("no job id matches {wanted:?}"))
            .next("`assay job list` shows the jobs; give at least four digits")),
    }
}

async fn list(session: &Session, records: &[JobRecord], as_json: bool) -> Result<String, Failure> {
    let mut jobs = Vec::new();
    for record in records {
        let status = session.requester().facts(record).await?.status;
        jobs.push(job(session, record, status, false).await?);
    }
    if as_json {
        return Ok(json(&Jobs { schema: "assay.jobs/1", jobs }));
    }
    let line = |job: &Job| {
        let is_over = job.done && job.status == JobStatus::None;
        let status = if is_over { "came to nothing".to_owned() } else { status(job.status) };
        format!("{}  {status}\n", job.job)
    };
    Ok(jobs.iter().map(line).collect())
}

async fn show(session: &Session, record: &JobRecord, as_json: bool) -> Result<String, Failure> {
    let status = session.requester().facts(record).await?.status;
    let job = job(session, record, status, true).await?;
    if as_json {
        return Ok(json(&Jobs { schema: "assay.jobs/1", jobs: vec![job] }));
    }
    Ok(shown(&job))
}

async fn job(
    session: &Session,
    record: &JobRecord,
    status: JobStatus,
    with_all: bool,
) -> Result<Job, Failure> {
    let contracts = session.requester().contracts();
    let (mut facts, mut events, mut reputation) = (None, Vec::new(), None);
    if with_all {
        facts = Some(session.requester().facts(record).await?);
        let (head, _) = contracts.client().head().await?;
        let blocks = contracts.deployment.from_block..=head;
        events = assay_node::events(contracts, record.job_id, blocks).await?;
        if let Some(provider) = facts.as_ref().and_then(|facts: &Facts| facts.provider) {
            let ProviderRecord { reputation: found, .. } =
                provider_record(contracts, provider.0.into()).await?;
            reputation = Some(found.score);
        }
    }
    let price_max = record.signed.order.price.max.to_string();
    let (job, done, outcome) = (record.job_id, record.is_done, last_outcome(&events));
    Ok(Job { job, status, done, price_max, outcome, facts, events, reputation })
}

fn shown(job: &Job) -> String {
    let mut rows = vec![("job", job.job.to_string()), ("status", status(job.status))];
    if let Some(outcome) = job.outcome {
        rows.push(("run", outcome.to_string()));
    }
    if let Some(facts) = &job.facts {
        rows.push(("price", price(&facts.terms)));
        rows.push(("step limit", grouped(facts.step_limit)));
        rows.push(("stake", dollars(facts.stake)));
        if let (Some(provider), Some(score)) = (facts.provider, job.reputation) {
            rows.push(("provider", format!("{provider}, reputation {}", of_10000(score))));
        }
    }
    let events: String = job.events.iter().map(|e| sentence(e) + "\n").collect();
    table(&rows) + &events
}

async fn why(session: &Session, record: &JobRecord, as_json: bool) -> Result<String, Failure> {
    let explanation = session.requester().why(record).await?;
    let job = record.job_id;
    if as_json {
        return Ok(json(&Why { schema: "assay.why/1", job, explanation }));
    }
    let mut text = String::new();
    for finding in &explanation.findings {
        match finding.provider {
            Some(provider) => text += &format!("{provider}: {}\n", finding.text),
            None => text += &format!("{}\n", finding.text),
        }
    }
    for (owner, why) in session.requester().board().key_refusals(job).await? {
        text += &format!("{owner} gave no key: {why}\n");
    }
    if let Some(price) = explanation.price_needed {
        text += &format!("a price of {price} ({}) would fill it\n", dollars(price));
    }
    Ok(text + &format!("next: {}\n", explanation.next))
}
