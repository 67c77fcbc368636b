//! Masking as files: a plan, a table and a key in; a masked table, a statement and the salts of its
//! commitments out.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, hex};
use assay_mask::{
    Commit, CommitSalt, Effect, MaskError, MaskStatement, Masked, Masker, MasterKey, Openings,
    PLAN_BYTES_MAX, Plan, Row, Rows,
};
use assay_receipt::{Envelope, RoleKey};
use assay_types::Hash;

use crate::base::env::Env;
use crate::base::files::{self, Draft};
use crate::{Error, Result};

/// Bytes that are read and written at once.
const CHUNK_SIZE: usize = 1 << 16;

/// Which files masking reads and writes.
#[derive(Clone, Debug)]
pub struct MaskFiles {
    /// The plan, TOML.
    pub plan: PathBuf,
    /// The table, CSV with a header; read twice.
    pub table: PathBuf,
    /// Where the masked table goes.
    pub output: PathBuf,
    /// Where the statement goes, with its salts beside it.
    pub statement: Option<PathBuf>,
}

impl MaskFiles {
    /// Where the salts of the statement's commitments go: beside it, for the owner alone.
    pub fn openings(&self) -> Option<PathBuf> {
        let mut name = self.statement.clone()?.into_os_string();
        name.push(".openings");
        Some(name.into())
    }
}

/// What masking has come to.
#[derive(Clone, Debug)]
pub struct MaskDone {
    /// What was done, and how anonymous the result is.
    pub effect: Effect,
    /// The statement of it, if it was asked for.
    pub statement: Option<MaskStatement>,
}

/// The owner's masking key from its file, made the first time: 64 hexadecimal digits, readable by
/// the owner only.
///
/// # Errors
///
/// [`Error::File`], [`Error::Damaged`], [`Error::Randomness`].
pub fn mask_key(path: &Path) -> Result<MasterKey> {
    files::seed(path).map(MasterKey::new)
}

/// Makes a masking key in a file that must not be there: whoever replaces a key can't join what was
/// masked with it any more.
///
/// # Errors
///
/// As [`mask_key`]; also if there is a file.
pub fn new_mask_key(path: &Path) -> Result<MasterKey> {
    if path.exists() {
        let source = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(Error::file("making a key at", path, source));
    }
    mask_key(path)
}

/// Masks a table. Nothing is there under the output's name until it is whole. With a key that
/// signs, the statement is in an envelope; without, it is a bare payload.
///
/// # Errors
///
/// [`Error::Mask`] for what is wrong with the plan or the table, and [`Error::File`].
pub fn mask_table(
    env: &Env,
    files: &MaskFiles,
    key: &MasterKey,
    signer: Option<(Address, &RoleKey)>,
) -> Result<MaskDone> {
    let plan_bytes = read_plan(&files.plan)?;
    let plan = Plan::from_toml(&plan_bytes)?;
    let owner = plan.owner().to_owned();
    if signer.is_some_and(|(account, _)| hex::encode_prefixed(account) != owner) {
        return Err(MaskError::Owner.into());
    }
    let openings = Openings::new([env.random()?, env.random()?, env.random()?]);
    let (masker, before) = count(&files.table, &openings.input, plan, key)?;
    let mut draft = Draft::new(&files.output)?;
    let mut output = Commit::new(Masked::Output, &openings.output);
    let (effect, input) = write(&files.table, &openings.input, masker, before.crlf, |bytes| {
        output.update(bytes);
        draft.write(bytes)
    })?;
    if input.commitment != before.commitment {
        return Err(MaskError::Changed.into());
    }
    let plan = Commit::to(Masked::Plan, &openings.plan, &plan_bytes);
    let commitments = [input.commitment, output.finish(), plan];
    let statement = MaskStatement::new(&owner, commitments, &effect);
    if let (Some(path), Some(beside)) = (&files.statement, files.openings()) {
        files::write_json(&beside, &openings)?;
        let payload = statement.to_payload();
        let bytes = match signer {
            Some((_, key)) => Envelope::sign(&payload, key).to_bytes(),
            None => payload,
        };
        files::write(path, &bytes)?;
    }
    draft.put()?;
    Ok(MaskDone { effect, statement: files.statement.is_some().then_some(statement) })
}

fn read_plan(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Error::file("reading", path, source);
    let mut bytes = Vec::new();
    // One byte more than there may be, so that the plan's own bound is seen to be passed.
    let file = File::open(path).map_err(failed)?;
    file.take(PLAN_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// A table that was read to its end.
struct Seen {
    commitment: Hash,
    /// Whether its first line ends with CRLF.
    crlf: bool,
}

/// The first reading: the header meets the plan, and groups are counted.
fn count(table: &Path, salt: &CommitSalt, plan: Plan, key: &MasterKey) -> Result<(Masker, Seen)> {
    let (mut plan, mut masker) = (Some(plan), None);
    let seen = read(table, salt, &mut |row: Row| {
        match (&mut masker, plan.take()) {
            (None, Some(plan)) => masker = Some(Masker::new(plan, key, &row)?),
            (Some(masker), _) if masker.counts_first() => masker.count(&row)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((masker.ok_or(MaskError::Empty)?, seen))
}

/// The second: rows are written.
fn write(
    table: &Path,
    salt: &CommitSalt,
    mut masker: Masker,
    crlf: bool,
    mut put: impl FnMut(&[u8]) -> Result<()>,
) -> Result<(Effect, Seen)> {
    let mut buffer = Vec::with_capacity(2 * CHUNK_SIZE);
    masker.header(crlf, &mut buffer);
    let mut is_header = true;
    let seen = read(table, salt, &mut |row: Row| {
        if std::mem::take(&mut is_header) {
            return Ok(());
        }
        masker.mask(&row, crlf, &mut buffer)?;
        if buffer.len() >= CHUNK_SIZE {
            put(&buffer)?;
            buffer.clear();
        }
        Ok(())
    })?;
    put(&buffer)?;
    Ok((masker.effect(), seen))
}

fn read(table: &Path, salt: &CommitSalt, each: &mut impl FnMut(Row) -> Result<()>) -> Result<Seen> {
    let failed = |source| Error::file("reading", table, source);
    let mut file = File::open(table).map_err(failed)?;
    let mut commit = Commit::new(Masked::Input, salt);
    let (mut rows, mut chunk) = (Rows::default(), vec![0; CHUNK_SIZE]);
    let (mut last, mut crlf) = (0, None);
    loop {
        let size = file.read(&mut chunk).map_err(failed)?;
        let bytes = &chunk[..size];
        if size == 0 {
            rows.end(each)?;
            return Ok(Seen { commitment: commit.finish(), crlf: crlf.unwrap_or(false) });
        }
        if crlf.is_none() {
            let line = bytes.iter().position(|&byte| byte == b'\n');
            crlf = line.map(|at| if at == 0 { last == b'\r' } else { bytes[at - 1] == b'\r' });
        }
        last = bytes[size - 1];
        commit.update(bytes);
        rows.read(bytes, each)?;
    }
}
