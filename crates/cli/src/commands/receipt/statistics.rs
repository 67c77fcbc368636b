//! `assay receipt statistics` and `budget`: what may be told of many jobs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use assay_disclosure::statistics::{Entry, MicroEpsilon, Scale, Terms};
use assay_node::{Env, budget_left, create_budget, release_statistics};
use assay_receipt::JobSummary;
use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::text::{grouped, json, table};
use crate::session::receipts::read_all;

/// The endings of a job, in the words of the contract's events: all, so that none tells by being
/// there.
const ENDINGS: [&str; 4] = ["JobLapsed", "JobPaid", "JobSlashed", "JobUnwound"];

#[derive(clap::Args)]
pub(crate) struct Statistics {
    /// Receipts, or folders of receipts
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The ledger of the privacy budget that pays for the release (`assay receipt budget`)
    #[arg(long, value_name = "FILE")]
    ledger: PathBuf,
    /// How much of the budget to spend, in millionths of epsilon. Less means more noise
    #[arg(long, value_name = "N")]
    epsilon_micro: u64,
    /// Whose part is hidden
    #[arg(long, value_enum, default_value_t = Party::Requester)]
    party: Party,
    /// How many jobs of one party count at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    jobs_per_party_max: u32,
    /// How much of one job's price counts at most, in the token's smallest unit
    #[arg(long, value_name = "AMOUNT", default_value_t = 100_000_000)]
    spend_per_job_max: u128,
    /// Counts below this are not shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    count_min: u32,
    /// The first second of the period, in Unix seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    from: u64,
    /// The last second of the period, in Unix seconds
    #[arg(long, value_name = "SECONDS", default_value_t = u64::MAX)]
    to: u64,
}

#[derive(clap::Args)]
pub(crate) struct Budget {
    /// The ledger
    file: PathBuf,
    /// Create the ledger, with this many millionths of epsilon. They are never refilled
    #[arg(long, value_name = "N")]
    epsilon_micro: Option<u64>,
}

/// Whose part in the statistics can't be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Party {
    /// The party that ordered
    Requester,
    /// The party that ran the job
    Provider,
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
    let lives = read_all(&arguments.files, None)?.into_iter().map(|(_, life)| life);
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
        Failure::new("the epsilon is out of range").cause(error).next("1000000 is an epsilon of 1")
    })
}

/// A budget that is spent is a check that does not hold; all else could not be done.
fn unpaid(error: assay_node::Error, ledger: &Path) -> Failure {
    use assay_disclosure::statistics::BudgetError;
    use assay_node::Error;
    match error {
        Error::Budget { source: spent @ BudgetError::Spent { .. }, .. } => {
            Failure::refused("nothing is released: the privacy budget does not suffice")
                .cause(spent)
                .next("spend less, or release nothing more about these parties")
        }
        Error::Budget { source, .. } => Failure::file("use", ledger, source)
            .next("restore the newest copy; if that is lost, the budget counts as spent"),
        Error::File { verb: "making", source, .. } => Failure::file("make", ledger, source)
            .next("a budget is never created again; leave out --epsilon-micro to see what is left"),
        Error::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Failure::file("read", ledger, source)
                .next("create it once: `assay receipt budget FILE --epsilon-micro N`")
        }
        Error::Statistics(error) => Failure::new("cannot make these statistics")
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
