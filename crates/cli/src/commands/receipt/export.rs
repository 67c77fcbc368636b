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
use crate::session::trust::trusted_log;

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
    /// The trust file (assay.trust/1) that says whose log it is [default: trust.json under the
    /// home]
    #[arg(long, value_name = "FILE", requires = "log")]
    trust: Option<PathBuf>,
}

impl Source {
    pub(super) fn lives(&self) -> Result<Vec<JobSummary>, Failure> {
        let Some(place) = &self.log else {
            return Ok(read_all(&self.files)?.into_iter().map(|(_, life)| life).collect());
        };
        let home = self.home.open()?;
        let (_, policy) = trusted_log(self.trust.as_deref(), &home)?;
        let storage = assay_node::log_at(place)?;
        Ok(summaries_of_log(assay_node::entries_of(&storage, policy.log())?))
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
        return Err(Failure::new("an RO-Crate holds one receipt, in a folder")
            .next("give one receipt, and --output FOLDER"));
    };
    write_file(&folder.join("receipt.json"), &receipt.to_bytes())?;
    let metadata = folder.join("ro-crate-metadata.json");
    write_file(&metadata, json(&ro_crate(life)).as_bytes())?;
    Ok(format!("{}\n", metadata.display()))
}
