//! `assay receipt`: what a job leaves behind.

mod disclose;
mod export;
mod made;
mod present;
mod show;
mod statistics;

use std::path::PathBuf;

use assay_receipt::Audit;
use assay_verify::verify::read_receipt;
use export::{Audited, Format, Source, export};

use crate::output::failure::Failure;
use crate::output::text::json;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show what happened to a job, by its receipt
    Show {
        /// The receipt
        file: PathBuf,
        /// List every move of a dispute, not only its outcome
        #[arg(long)]
        moves: bool,
    },
    /// Export receipts in another form. An export proves nothing by itself
    Export {
        #[command(flatten)]
        from: Source,
        /// The form
        #[arg(long, value_enum)]
        format: Format,
        /// The file to write, or for an RO-Crate the folder [default: standard output]
        #[arg(long, value_name = "PATH")]
        output: Option<PathBuf>,
    },
    /// Sum up receipts over a period: jobs, parties by pseudonym, assurance, disputes, outcomes
    Audit {
        #[command(flatten)]
        source: Source,
        /// The first second of the period, in Unix seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        from: u64,
        /// The last second of the period, in Unix seconds
        #[arg(long, value_name = "SECONDS", default_value_t = u64::MAX)]
        to: u64,
    },
    /// Show parts of a receipt in a signed presentation: an SD-JWT (RFC 9901)
    Present(present::Present),
    /// Check a presentation
    Presented(present::Presented),
    /// Disclose rows or cells of a job's sealed table, and nothing of the others
    Disclose(disclose::Disclose),
    /// Check disclosed cells against the job's settled output: needs two files and no network
    Disclosed(disclose::Disclosed),
    /// Release statistics over receipts with differential privacy, paid from a privacy budget
    Statistics(statistics::Statistics),
    /// Create a privacy budget, or show what is left of one
    Budget(statistics::Budget),
}

pub(crate) fn run(command: &Command, as_json: bool) -> Result<String, Failure> {
    match command {
        Command::Show { file, moves } => {
            let receipt = read_receipt(file)?;
            Ok(if as_json { json(&receipt) } else { show::shown(&receipt, *moves) })
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
        Command::Present(arguments) => present::present(arguments, as_json),
        Command::Presented(arguments) => present::presented(arguments, as_json),
        Command::Disclose(arguments) => disclose::disclose(arguments, as_json),
        Command::Disclosed(arguments) => disclose::disclosed(arguments, as_json),
        Command::Statistics(arguments) => statistics::statistics(arguments, as_json),
        Command::Budget(arguments) => statistics::budget(arguments, as_json),
    }
}
