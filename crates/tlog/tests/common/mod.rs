//! A storage in memory that can fail and tear as disks do, and logs to look at.

#![allow(dead_code, reason = "each test file uses its share")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use assay_tlog::{Checkpoint, KeyKind, Log, NoteKey, Policy, Storage, StorageError};

#[derive(Default)]
pub(crate) struct Disk {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// How many more writes succeed, and what decides how the next one fails.
    fuse: Mutex<Option<(u32, fastrand::Rng)>>,
}

impl Disk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// After so many writes one is torn and all later ones fail, until the fuse is drawn.
    pub(crate) fn fail_after(&self, writes: u32, seed: u64) {
        *self.fuse.lock().expect("a lock") = Some((writes, fastrand::Rng::with_seed(seed)));
    }

    pub(crate) fn mend(&self) {
        *self.fuse.lock().expect("a lock") = None;
    }

    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.objects.lock().expect("a lock").clone()
    }

    pub(crate) fn set(&self, name: &str, bytes: Option<Vec<u8>>) {
        let mut objects = self.objects.lock().expect("a lock");
        match bytes {
            Some(bytes) => objects.insert(name.to_owned(), bytes),
            None => objects.remove(name),
        };
    }

    /// `None` if the write may go on; otherwise what decides how it is torn.
    fn burn(&self) -> Option<fastrand::Rng> {
        let mut fuse = self.fuse.lock().expect("a lock");
        let (left, rng) = fuse.as_mut()?;
        match left.checked_sub(1) {
            Some(fewer) => {
                *left = fewer;
                None
            }
            None => Some(rng.fork()),
        }
    }
}

fn torn() -> StorageError {
    StorageError("the disk failed".into())
}

impl Storage for Disk {
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.objects.lock().expect("a lock").get(name).cloned())
    }

    fn has_any(&self, folder: &str) -> Result<bool, StorageError> {
        let prefix = format!("{folder}/");
        Ok(self.objects.lock().expect("a lock").keys().any(|name| name.starts_with(&prefix)))
    }

    fn put_all(&self, new: &[(String, Vec<u8>)]) -> Result<(), StorageError> {
        let failing = self.burn();
        let mut objects = self.objects.lock().expect("a lock");
        let Some(mut rng) = failing else {
            objects.extend(new.iter().cloned());
            return Ok(());
        };
        for (name, bytes) in new {
            match rng.u8(0..4) {
                0 => {}
                1 => {
                    drop(objects.insert(name.clone(), bytes[..rng.usize(0..bytes.len())].to_vec()))
                }
                2 => {
                    let mut spoilt = bytes.clone();
                    rng.fill(&mut spoilt);
                    objects.insert(name.clone(), spoilt);
                }
                _ => drop(objects.insert(name.clone(), bytes.clone())),
            }
        }
        Err(torn())
    }

    fn replace(&self, name: &str, old: Option<&[u8]>, new: &[u8]) -> Result<bool, StorageError> {
        let failing = self.burn();
        let mut objects = self.objects.lock().expect("a lock");
        if objects.get(name).map(Vec::as_slice) != old {
            return Ok(false);
        }
        match failing {
            // A rename happens or not, and who asked is told nothing either way.
            Some(mut rng) => {
                if rng.bool() {
                    objects.insert(name.to_owned(), new.to_owned());
                }
                Err(torn())
            }
            None => {
                objects.insert(name.to_owned(), new.to_owned());
                Ok(true)
            }
        }
    }

    fn remove_all(&self, folder: &str) -> Result<(), StorageError> {
        if self.burn().is_some() {
            return Err(torn());
        }
        let prefix = format!("{folder}/");
        self.objects.lock().expect("a lock").retain(|name, _| !name.starts_with(&prefix));
        Ok(())
    }
}

pub(crate) fn log_key() -> NoteKey {
    NoteKey::new("log.example/assay", KeyKind::Log, &[7; 32]).expect("a key")
}

pub(crate) fn witness_key(number: u8) -> NoteKey {
    let name = format!("witness-{number}.example");
    NoteKey::new(&name, KeyKind::Witness, &[number; 32]).expect("a key")
}

pub(crate) fn entry(number: u64) -> Vec<u8> {
    format!("entry {number}").into_bytes()
}

/// A log of so many entries, added in batches of uneven sizes.
pub(crate) fn log_of(size: u64) -> (Arc<Disk>, Log<Arc<Disk>>) {
    let disk = Disk::new();
    let mut log = Log::open(disk.clone(), log_key()).expect("begun");
    let mut done = 0;
    while done < size {
        let batch = (done % 97 + 1).min(size - done);
        let entries: Vec<_> = (done..done + batch).map(entry).collect();
        log.add(&entries).expect("added");
        done += batch;
    }
    (disk, log)
}

pub(crate) fn checkpoint(disk: &Arc<Disk>) -> Checkpoint {
    let note = disk.get("checkpoint").expect("read").expect("there is one");
    let policy = Policy::of_log(log_key().vkey().clone()).expect("a policy");
    policy.open(&note).expect("signed").checkpoint
}
