//! Receipts: read, written, and what their jobs read.

use std::path::{Path, PathBuf};

use alloy_signer_local::PrivateKeySigner;
use assay_node::{Board, DevelopmentKeys, Home, JobRecord, Role, Store};
use assay_receipt::{JobSummary, Receipt, Standing, Trust};
use assay_verify::verify::read_receipt;

use crate::output::failure::Failure;
use crate::output::files::write_file;
use crate::output::print::say;
use crate::session::deployment::read_deployment;
use crate::session::market::TakePart;
use crate::session::requester::Session;

/// Receipts that contradict themselves nowhere, from files and folders, by name. With a trust file
/// those alone that it vouches for; the others are named on standard error.
pub(crate) fn read_all(
    files: &[PathBuf],
    trust: Option<&Trust>,
) -> Result<Vec<(Receipt, JobSummary)>, Failure> {
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
    let mut read = Vec::new();
    for path in &paths {
        let receipt = read_receipt(path)?;
        let refused = assay_receipt::verify(&receipt, None).standing == Standing::Refused;
        let life = JobSummary::of(&receipt).filter(|_| !refused).ok_or_else(|| {
            Failure::refused(format!("{} does not hold", path.display()))
                .next("`assay verify` says what is wrong with it; leave it out")
        })?;
        let is_vouched = |trust: &Trust| {
            assay_receipt::verify(&receipt, Some(trust)).standing == Standing::Vouched
        };
        match trust.is_none_or(is_vouched) {
            true => read.push((receipt, life)),
            false => say(&format!(
                "left out   {}: nobody whom you trust vouches for it; --no-trust counts it",
                path.display()
            )),
        }
    }
    Ok(read)
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
    let deployment = read_deployment(&home.deployment())?;
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

/// Writes a job's receipt, and with the first one whom its readers may trust.
pub(crate) async fn write_receipt(
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
    Ok(write_file(&home.trust(), &market.requester().trust().to_bytes())?)
}
