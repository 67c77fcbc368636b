//! `assay receipt export` and `audit`: what receipts tell, in other forms.

use std::path::{Path, PathBuf};

use assay_receipt::{
    Audit, Graph, JobSummary, Receipt, open_lineage, prov, ro_crate, summaries_of_log,
};

use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::files::write_file;
use crate::output::text::json;
use crate::session::home::HomeArgument;
use crate::session::receipts::read_all;
use crate::session::trust::{trusted, trusted_log};

/// What is told of: receipts, or a whole log.
#[derive(clap::Args)]
pub(crate) struct Source {
    #[command(flatten)]
    home: HomeArgument,
    /// Receipts, or folders of receipts
    #[arg(required_unless_present = "log")]
    files: Vec<PathBuf>,
    /// Read a whole log instead: its folder, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE", conflicts_with = "files")]
    log: Option<String>,
    /// The trust file (assay.trust/1): who must vouch for a receipt, and whose the log is [default:
    /// trust.json under the home]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Trust nobody: count every receipt that does not contradict itself
    #[arg(long, conflicts_with_all = ["trust", "log"])]
    no_trust: bool,
}

impl Source {
    pub(super) fn lives(&self) -> Result<Vec<JobSummary>, Failure> {
        let Some(place) = &self.log else {
            return Ok(self.receipts()?.into_iter().map(|(_, life)| life).collect());
        };
        let home = self.home.open()?;
        let (_, policy) = trusted_log(self.trust.as_deref(), &home)?;
        let storage = assay_node::log_at(place)?;
        Ok(summaries_of_log(assay_node::entries_of(&storage, policy.log())?))
    }
}

impl Source {
    /// The receipts that are to be counted.
    fn receipts(&self) -> Result<Vec<(Receipt, JobSummary)>, Failure> {
        if self.no_trust {
            return read_all(&self.files, None);
        }
        let trust = trusted(&self.home, self.trust.as_deref())?.ok_or_else(|| {
            Failure::new("no trust file says whose receipts count")
                .cause("--trust is not given, and the home has no trust.json")
                .next("give --trust FILE, or --no-trust to count all that do not contradict themselves")
        })?;
        read_all(&self.files, Some(&trust))
    }
}

/// In what form receipts are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// W3C PROV, as PROV-JSON
    Prov,
    /// A Process Run RO-Crate of one receipt
    RoCrate,
    /// OpenLineage run events, one per line
    Openlineage,
    /// The lineage of all jobs, for Graphviz
    Dot,
    /// The lineage of all jobs, as a picture
    Svg,
}

#[derive(Serialize)]
pub(super) struct Audited {
    pub(super) schema: &'static str,
    #[serde(flatten)]
    pub(super) audit: Audit,
}

pub(super) fn export(
    from: &Source,
    format: Format,
    output: Option<&Path>,
) -> Result<String, Failure> {
    if format == Format::RoCrate {
        return ro_crate_of(&from.receipts()?, output);
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
        return Err(Failure::new("an RO-Crate holds one receipt, in a folder")
            .next("give one receipt, and --output FOLDER"));
    };
    write_file(&folder.join("receipt.json"), &receipt.to_bytes())?;
    let metadata = folder.join("ro-crate-metadata.json");
    write_file(&metadata, json(&ro_crate(life)).as_bytes())?;
    Ok(format!("{}\n", metadata.display()))
}
