//! Getting a log's checkpoints cosigned, and witnessing those of others.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use assay_broker::HostedLog;
use assay_broker_client::{Cosigned, WitnessClient};
use assay_contracts::Deployment;
use assay_storage::LogFiles;
use assay_tlog::{
    AddCheckpoint, CHECKPOINT, COSIGNED, CheckpointError, NoteKey, Policy, Reader, Storage, Vkey,
    Witness,
};
use tokio::sync::watch;

use crate::base::blocking::blocking;
use crate::base::env::Env;
use crate::base::files;
use crate::log::objects::{open_objects, read_objects};
use crate::log::recorder::{PublicLog, check_goes_on, unreadable};
use crate::{Error, Home, Result};

/// How often witnesses are asked at the most, and again when some did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// A witness that a log asks.
#[derive(Clone)]
pub struct AskedWitness {
    /// Where it is.
    pub client: WitnessClient,
    /// Its key: another's signature is none.
    pub key: Vkey,
}

/// Has a log's new checkpoints cosigned, until told to stop. A witness that is away is asked again,
/// and holds nobody up.
pub async fn keep_cosigned(
    env: &Env,
    log: HostedLog,
    witnesses: Vec<AskedWitness>,
    mut stop: watch::Receiver<bool>,
) {
    let mut newest = log.sequencer.checkpoint();
    let mut last = vec![0; witnesses.len()];
    loop {
        let note = newest.borrow_and_update().to_vec();
        let whole = match cosign(&log, &witnesses, &mut last, &note).await {
            Ok(whole) => whole,
            Err(error) => {
                tracing::warn!(%error, "a checkpoint could not be cosigned");
                false
            }
        };
        let next = async {
            env.sleep(PAUSE).await;
            if whole {
                let _ = newest.changed().await;
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = next => {}
        }
    }
}

/// Refuses a log that does not go on from what was cosigned of it: by the note that is kept beside
/// it, and by what its witnesses say. One that is away is not waited for.
///
/// # Errors
///
/// [`Error::LogRolledBack`], [`Error::LogForked`], [`Error::LogContradicted`];
/// [`Error::LogUnreadable`].
pub async fn check_cosigned(log: &HostedLog, witnesses: &[AskedWitness]) -> Result<()> {
    let note = log.sequencer.checkpoint().borrow().to_vec();
    let (files, key, newest) = (log.files.clone(), log.key.clone(), note.clone());
    let checked = blocking(move || {
        let policy = Policy::of_log(key).map_err(unreadable)?;
        let tree = policy.open(&newest).map_err(unreadable)?.checkpoint;
        let Some(cosigned) = files.get(COSIGNED).map_err(unreadable)? else { return Ok(()) };
        let cosigned = policy.open(&cosigned).map_err(unreadable)?.checkpoint;
        check_goes_on(&files, &tree, (cosigned.size, cosigned.root), "cosigned")
    });
    checked.await?;
    for witness in witnesses {
        match ask(log, witness, &mut 0, &note).await {
            Ok(_) => {}
            Err(
                error @ (Error::LogRolledBack { .. }
                | Error::LogForked { .. }
                | Error::LogContradicted(_)),
            ) => return Err(error),
            Err(error) => {
                tracing::warn!(witness = witness.key.name(), %error, "not asked what it knows");
            }
        }
    }
    Ok(())
}

/// Asks each witness once; true if all have cosigned.
async fn cosign(
    log: &HostedLog,
    witnesses: &[AskedWitness],
    last: &mut [u64],
    note: &[u8],
) -> Result<bool> {
    // Each witness's own line and no other: of what strangers may send along, the notes of all
    // would have too much.
    let mut cosigned = note.to_vec();
    for (witness, last) in witnesses.iter().zip(last) {
        match ask(log, witness, last, note).await {
            Ok(line) => cosigned.extend(line),
            Err(error) => tracing::warn!(witness = witness.key.name(), %error, "no cosignature"),
        }
    }
    if cosigned.len() == note.len() {
        return Ok(witnesses.is_empty());
    }
    let keys = witnesses.iter().map(|witness| witness.key.clone()).collect();
    let policy = Policy::new(log.key.clone(), keys, 0).map_err(unreadable)?;
    let signed = policy.open(&cosigned).map_err(unreadable)?.cosignatures.len();
    let files = log.files.clone();
    let stored = blocking(move || {
        let old = files.get(COSIGNED)?;
        files.replace(COSIGNED, old.as_deref(), &cosigned)
    });
    stored.await.map_err(unreadable)?;
    Ok(signed == witnesses.len())
}

/// A witness's signature line.
async fn ask(
    log: &HostedLog,
    witness: &AskedWitness,
    last: &mut u64,
    note: &[u8],
) -> Result<Vec<u8>> {
    // Where it stands is known after one refusal at most.
    for _ in 0..2 {
        let (key, files, checkpoint, old_size) =
            (log.key.clone(), log.files.clone(), note.to_vec(), *last);
        let asked = blocking(move || {
            let tree =
                Policy::of_log(key).map_err(unreadable)?.open(&checkpoint).map_err(unreadable)?;
            let size = tree.checkpoint.size;
            if old_size > size {
                return Err(Error::LogRolledBack { how: "cosigned", seen: old_size, size });
            }
            let reader = Reader::new(&files, &tree.checkpoint);
            let consistency = reader.prove_consistency(old_size).map_err(unreadable)?;
            Ok::<_, Error>((AddCheckpoint { old_size, consistency, checkpoint }, size))
        });
        let (asked, size) = asked.await?;
        match witness.client.add_checkpoint(&asked).await.map_err(of_witness)? {
            Cosigned::Lines(lines) => {
                let keys = vec![witness.key.clone()];
                let invalid = |error: CheckpointError| Error::WitnessInvalid(error.to_string());
                let policy = Policy::new(log.key.clone(), keys, 1).map_err(invalid)?;
                let opened = policy.open(&[note, &lines].concat()).map_err(invalid)?;
                *last = size;
                return Ok(opened.cosignatures.into_iter().flat_map(|one| one.line).collect());
            }
            Cosigned::Stale(size) => *last = size,
            Cosigned::Contradicts(why) => return Err(Error::LogContradicted(why)),
        }
    }
    Err(Error::WitnessBusy)
}

/// The client's words are a broker's.
fn of_witness(error: assay_broker_client::Error) -> Error {
    match error {
        assay_broker_client::Error::Unreachable { what } => Error::WitnessAway(what),
        other => other.into(),
    }
}

/// A witness with a key of its own under a home, that keeps its state there too, or in an object
/// store (`s3://BUCKET/PREFIX`).
///
/// # Errors
///
/// [`Error::Store`], for instance if another process has it open; [`Error::File`],
/// [`Error::Damaged`], [`Error::Randomness`]; [`Error::LogKey`] for a name that is none,
/// [`Error::LogUnreadable`] for the keys of no log.
pub fn open_witness(
    env: &Env,
    home: &Home,
    name: &str,
    logs: Vec<Vkey>,
    url: Option<&str>,
) -> Result<Witness<Arc<dyn Storage>>> {
    let seed = files::seed(&home.witness_seed())?;
    let key = NoteKey::new(name, assay_tlog::KeyKind::Witness, &seed)?;
    let storage: Arc<dyn Storage> = match url {
        Some(url) => open_objects(env, url)?,
        None => Arc::new(LogFiles::open(home.witness())?),
    };
    Witness::new(storage, key, logs).map_err(unreadable)
}

/// A log to read, whoever writes to it: in a folder, or in an object store if it is named by an
/// URL.
///
/// # Errors
///
/// [`Error::Store`].
pub fn log_at(place: &str) -> Result<Arc<dyn Storage>> {
    Ok(match place.starts_with("s3://") {
        true => read_objects(place)?,
        false => Arc::new(LogFiles::read_only(place)),
    })
}

/// The accounts that a log's own key says, in the log, anchor it in a deployment's contract.
///
/// # Errors
///
/// [`Error::LogUnreadable`].
pub fn operators_of(
    storage: &Arc<dyn Storage>,
    log: &Vkey,
    deployment: &Deployment,
) -> Result<Vec<Address>> {
    PublicLog::read_operators(storage, log, deployment)
}

/// Every entry of a log, in order, checked against its checkpoint.
///
/// # Errors
///
/// [`Error::LogUnreadable`].
pub fn entries_of(storage: &Arc<dyn Storage>, log: &Vkey) -> Result<Vec<Vec<u8>>> {
    let note = storage.get(CHECKPOINT).map_err(unreadable)?;
    let note = note.ok_or_else(|| unreadable("it has no checkpoint"))?;
    let tree = Policy::of_log(log.clone()).map_err(unreadable)?.open(&note).map_err(unreadable)?;
    let reader = Reader::new(storage, &tree.checkpoint);
    (0..tree.checkpoint.size).map(|index| reader.entry(index).map_err(unreadable)).collect()
}
