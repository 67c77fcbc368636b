//! `assay data`: what an owner does with data before others may use it.

mod owner;

use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use assay_node::{MaskDone, MaskFiles, mask_key, mask_table, new_mask_key};
use assay_receipt::RoleKey;
use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::text::{grouped, json, table};
use crate::session::home::HomeArgument;
use crate::session::keys::KeyArgument;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Mask a table: a plan says what happens to each column (spec/mask.md)
    Mask(Mask),
    /// Seal (encrypt) data as a new version of a dataset. Nothing is published; the key stays under the
    /// home
    Seal(owner::Seal),
    /// Publish a dataset's newest version: the sealed data and the policy
    Publish(owner::Named),
    /// Show a dataset's policy in sentences, or replace it
    Policy(owner::PolicyOf),
    /// Let an account order jobs over a dataset, within its policy
    Grant(owner::GrantTo),
    /// Stop the release of keys at once
    Revoke(owner::Revoke),
    /// Show your datasets, and how much of them was used
    Uses(owner::Uses),
}

pub(crate) fn run(command: &Command, as_json: bool) -> Result<String, Failure> {
    match command {
        Command::Mask(arguments) => mask(arguments, as_json),
        Command::Seal(arguments) => owner::seal(arguments, as_json),
        Command::Publish(arguments) => owner::publish(arguments, as_json),
        Command::Policy(arguments) => owner::policy(arguments, as_json),
        Command::Grant(arguments) => owner::grant(arguments, as_json),
        Command::Revoke(arguments) => owner::revoke(arguments, as_json),
        Command::Uses(at) => owner::uses(at, as_json),
    }
}

#[derive(clap::Args)]
pub(crate) struct Mask {
    #[command(flatten)]
    home: HomeArgument,
    #[command(flatten)]
    signer: KeyArgument,
    /// The table: a CSV file with a header, in UTF-8. It is read twice
    table: PathBuf,
    /// The plan (assay.mask-plan/1). It must name every column
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// Where to write the masked table
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Where to write a statement of the masking, signed if an account is given. The salts of its
    /// commitments go to FILE.openings: keep them secret
    #[arg(long, value_name = "FILE")]
    statement: Option<PathBuf>,
    /// The masking key: 64 hex digits [default: keys/mask-key under the home, created on first use]
    #[arg(long, value_name = "FILE", conflicts_with = "new_key")]
    key: Option<PathBuf>,
    /// Create a masking key in a new file, and use it
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    output: PathBuf,
    rows_in: u64,
    rows_out: u64,
    rows_dropped: u64,
    rows_blanked: u64,
    columns: Vec<Column>,
    quasi_identifiers: Vec<String>,
    groups: Option<u64>,
    k: Option<u64>,
    sensitive: Vec<Sensitive>,
    key: PathBuf,
    statement: Option<PathBuf>,
    openings: Option<PathBuf>,
    signed_by: Option<Address>,
}

#[derive(Serialize)]
struct Column {
    column: String,
    action: &'static str,
    changed: u64,
}

#[derive(Serialize)]
struct Sensitive {
    column: String,
    distinct_l: u64,
    entropy_l_hundredths: u64,
}

fn mask(arguments: &Mask, as_json: bool) -> Result<String, Failure> {
    let files = MaskFiles {
        plan: arguments.plan.clone(),
        table: arguments.table.clone(),
        output: arguments.output.clone(),
        statement: arguments.statement.clone(),
    };
    apart(&files)?;
    let signer = signer(arguments)?;
    let (path, key) = key(arguments)?;
    let signing = signer.as_ref().map(|(account, key)| (*account, key));
    let done = mask_table(&files, &key, signing)?;
    let report = Report::new(&files, path, signer.map(|(account, _)| account), done);
    Ok(if as_json { json(&report) } else { report.shown() })
}

/// No file is written over another that is read or written: the table may be the only copy.
fn apart(files: &MaskFiles) -> Result<(), Failure> {
    let real = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok();
        let beside = || folder.and_then(|folder| Some(folder.join(path.file_name()?)));
        path.canonicalize().ok().or_else(beside).unwrap_or_else(|| path.to_owned())
    };
    let openings = files.openings();
    let mut seen = vec![real(&files.plan), real(&files.table)];
    for path in [Some(&files.output), files.statement.as_ref(), openings.as_ref()] {
        let Some(path) = path else { continue };
        let place = real(path);
        if seen.contains(&place) {
            return Err(Failure::file(
                "write",
                path,
                "this command reads or writes another of its files there",
            )
            .next("give each file a different name"));
        }
        seen.push(place);
    }
    Ok(())
}

fn signer(arguments: &Mask) -> Result<Option<(Address, RoleKey)>, Failure> {
    if !arguments.signer.is_given() {
        return Ok(None);
    }
    if arguments.statement.is_none() {
        return Err(Failure::new("there is nothing to sign")
            .cause("an account is given, but no --statement")
            .next("give --statement FILE too"));
    }
    let signer = arguments.signer.load(&arguments.home.open()?)?;
    Ok(Some((signer.address(), RoleKey::derive(&signer.to_bytes().0))))
}

/// The masking key and where it lies. A named file must be there: a slip of the pen must not make
/// new pseudonyms.
fn key(arguments: &Mask) -> Result<(PathBuf, assay_node::MasterKey), Failure> {
    if let Some(path) = &arguments.new_key {
        return Ok((path.clone(), new_mask_key(path)?));
    }
    if let Some(path) = arguments.key.as_ref().filter(|path| !path.is_file()) {
        return Err(Failure::file("read", path, "there is no such file")
            .next("give the key's file, or --new-key FILE to create one"));
    }
    let path = match &arguments.key {
        Some(path) => path.clone(),
        None => arguments.home.open()?.mask_key(),
    };
    let key = mask_key(&path)?;
    Ok((path, key))
}

impl Report {
    fn new(files: &MaskFiles, key: PathBuf, signed_by: Option<Address>, done: MaskDone) -> Self {
        let effect = done.effect;
        let measure = effect.measure;
        let diversity = measure.iter().flat_map(|measure| measure.diversity.iter());
        let sensitive = effect.sensitive.into_iter().zip(diversity);
        let sensitive = sensitive.map(|(column, &(distinct_l, entropy_l_hundredths))| Sensitive {
            column,
            distinct_l,
            entropy_l_hundredths,
        });
        let columns = effect.columns.into_iter().map(|effect| Column {
            column: effect.column,
            action: effect.action.name(),
            changed: effect.changed,
        });
        Report {
            schema: "assay.mask/1",
            output: files.output.clone(),
            rows_in: effect.rows_in,
            rows_out: effect.rows_out,
            rows_dropped: effect.rows_dropped,
            rows_blanked: effect.rows_blanked,
            columns: columns.collect(),
            quasi_identifiers: effect.quasi_identifiers,
            groups: measure.as_ref().map(|measure| measure.groups),
            k: measure.as_ref().and_then(|measure| measure.k),
            sensitive: sensitive.collect(),
            key,
            statement: files.statement.clone(),
            openings: files.openings(),
            signed_by,
        }
    }

    fn shown(&self) -> String {
        let mut lines = vec![
            ("output", self.output.display().to_string()),
            (
                "rows",
                format!(
                    "{} in, {} out; suppressed: {} dropped, {} blanked",
                    grouped(self.rows_in),
                    grouped(self.rows_out),
                    grouped(self.rows_dropped),
                    grouped(self.rows_blanked)
                ),
            ),
        ];
        for column in &self.columns {
            let Column { column, action, changed } = column;
            lines.push((
                "column",
                format!("{column}: {action}, {} cells changed", grouped(*changed)),
            ));
        }
        if let Some(groups) = self.groups {
            let k = self.k.map_or("none, there are no rows".to_owned(), grouped);
            let over = self.quasi_identifiers.join(", ");
            lines.push(("k-anonymity", format!("{k}, over {over}: {} groups", grouped(groups))));
        }
        for Sensitive { column, distinct_l, entropy_l_hundredths: l } in &self.sensitive {
            let l = format!("{}.{:02}", l / 100, l % 100);
            lines.push(("l-diversity", format!("{column}: distinct {distinct_l}, entropy {l}")));
        }
        lines.push(("key", self.key.display().to_string()));
        if let (Some(statement), Some(openings)) = (&self.statement, &self.openings) {
            let by = self.signed_by.map_or("not signed".to_owned(), |by| format!("signed by {by}"));
            lines.push(("statement", format!("{}, {by}", statement.display())));
            lines.push(("keep", format!("{}: it holds salts; keep it secret", openings.display())));
        }
        table(&lines)
    }
}
