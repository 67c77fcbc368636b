//! What an owner keeps of the datasets that it publishes: versions with their policies, grants, revocations, and the ledger of uses
//! (spec/policy.md, spec/cli.md#home).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use alloy_primitives::Address;
use assay_privacy::policy::{
    DatasetName, Decision, Document, Form, Grant, Ledger, Permit, Policy, Publication,
    ReleaseRequest, Revocation, Rules, Spent,
};
use assay_types::{Account, Hash};

use crate::{Error, Home, Result, files};

/// An owner's datasets, in a folder.
#[derive(Clone, Debug)]
pub struct Datasets {
    folder: PathBuf,
}

/// A version of a dataset.
#[derive(Clone, Debug)]
pub struct Version {
    /// What is published.
    pub publication: Document<Publication>,
    /// Under what policy.
    pub policy: Document<Policy>,
}

impl Datasets {
    /// An owner's, under a home.
    pub fn of(home: &Home, owner: Address) -> Self {
        Datasets { folder: home.datasets(owner) }
    }

    /// All versions of all datasets, by name and version.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Damaged`].
    pub fn versions(&self) -> Result<Vec<Version>> {
        let mut versions = Vec::new();
        for folder in self.dataset_folders()? {
            for path in listed(&folder, ".publication.json")? {
                let policy = path.to_string_lossy().replace(".publication.json", ".policy.json");
                let publication = document(&path)?;
                versions.push(Version { publication, policy: document(Path::new(&policy))? });
            }
        }
        versions.sort_by_key(order_of);
        Ok(versions)
    }

    /// The newest version of a dataset.
    ///
    /// # Errors
    ///
    /// As [`Datasets::versions`].
    pub fn newest(&self, name: &str) -> Result<Option<Version>> {
        let mut versions = self.versions()?;
        versions.retain(|version| version.publication.said().name.as_str() == name);
        Ok(versions.pop())
    }

    /// Keeps a version; durable when it returns. The same again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn keep(&self, version: &Version) -> Result<()> {
        let said = version.publication.said();
        let folder = self.folder.join(said.name.as_str());
        // The policy first: a publication without one would be damage.
        let policy = folder.join(format!("{}.policy.json", said.version));
        files::write(&policy, version.policy.as_bytes())?;
        let publication = folder.join(format!("{}.publication.json", said.version));
        files::write(&publication, version.publication.as_bytes())
    }

    /// Keeps a grant; the next decision heeds it.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn keep_grant(&self, grant: &Document<Grant>) -> Result<()> {
        self.keep_document(grant.said().name.as_str(), "grant", grant)
    }

    /// Keeps a revocation; the next decision heeds it.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn keep_revocation(&self, revocation: &Document<Revocation>) -> Result<()> {
        self.keep_document(revocation.said().name.as_str(), "revocation", revocation)
    }

    /// The grants of a dataset.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Damaged`].
    pub fn grants(&self, name: &str) -> Result<Vec<Document<Grant>>> {
        listed(&self.folder.join(name), ".grant.json")?.iter().map(|path| document(path)).collect()
    }

    /// The revocations of a dataset.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Damaged`].
    pub fn revocations(&self, name: &str) -> Result<Vec<Document<Revocation>>> {
        let paths = listed(&self.folder.join(name), ".revocation.json")?;
        paths.iter().map(|path| document(path)).collect()
    }

    /// What was spent so far.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Damaged`].
    pub fn ledger(&self) -> Result<Ledger> {
        Ok(read_ledger(&self.ledger_path())?.0)
    }

    /// What was spent of a dataset, over all versions.
    ///
    /// # Errors
    ///
    /// As [`Datasets::ledger`].
    pub fn spent(&self, dataset: &DatasetName) -> Result<Spent> {
        Ok(self.ledger()?.spent(dataset))
    }

    fn keep_document<T: Form>(&self, name: &str, kind: &str, document: &Document<T>) -> Result<()> {
        let file = format!("{}.{kind}.json", document.digest());
        files::write(&self.folder.join(name).join(file), document.as_bytes())
    }

    fn dataset_folders(&self) -> Result<Vec<PathBuf>> {
        Ok(entries(&self.folder)?.into_iter().filter(|path| path.is_dir()).collect())
    }

    fn ledger_path(&self) -> PathBuf {
        self.folder.join("ledger")
    }
}

fn order_of(version: &Version) -> (String, u64) {
    let said = version.publication.said();
    (said.name.as_str().to_owned(), said.version)
}

fn document<T: Form>(path: &Path) -> Result<Document<T>> {
    let missing = || Error::damaged(path, "it is missing");
    let bytes = files::read(path)?.ok_or_else(missing)?;
    Document::from_bytes(&bytes).map_err(|error| Error::damaged(path, error))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::file("reading", folder, source);
    let found = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.map_err(failed)?,
    };
    let paths = found.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = paths.map_err(failed)?;
    paths.sort();
    Ok(paths)
}

fn listed(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut paths = entries(folder)?;
    paths.retain(|path| path.to_string_lossy().ends_with(ending));
    Ok(paths)
}

/// The ledger's entries, a line each, and how many bytes they take. A last line without its end was never acknowledged, so no key
/// went out for it, and it counts for nothing.
fn read_ledger(path: &Path) -> Result<(Ledger, u64)> {
    let bytes = files::read(path)?.unwrap_or_default();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let ledger = Ledger::from_entries(lines).map_err(|error| Error::damaged(path, error))?;
    Ok((ledger, whole as u64))
}

/// The rules and the ledger of an owner, at work: one process decides at a time.
pub(crate) struct Decider {
    datasets: Datasets,
    state: Mutex<State>,
}

struct State {
    ledger: Ledger,
    file: File,
    rules: BTreeMap<(Hash, Hash), Rules>,
    /// The files that the rules were made of.
    seen: BTreeSet<PathBuf>,
}

impl Decider {
    /// Takes the owner's ledger, which no other process may have.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] for a ledger that is not whole; [`Error::File`], also if another process has it.
    pub(crate) fn open(datasets: Datasets) -> Result<Self> {
        let path = datasets.ledger_path();
        std::fs::create_dir_all(&datasets.folder)
            .map_err(|error| Error::file("making", &datasets.folder, error))?;
        let failed = |source| Error::file("opening", &path, source);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(source) => failed(source),
            TryLockError::WouldBlock => Error::Damaged {
                path: path.clone(),
                what: "another keeper has it open; stop that one first".into(),
            },
        })?;
        let (ledger, whole) = read_ledger(&path)?;
        file.set_len(whole).map_err(failed)?;
        let (rules, seen) = (BTreeMap::new(), BTreeSet::new());
        let state = Mutex::new(State { ledger, file, rules, seen });
        Ok(Decider { datasets, state })
    }

    /// Decides about a dataset's key under a policy; `None` for a version that is not kept here.
    pub(crate) fn decide(
        &self,
        (envelope, policy): (Hash, Hash),
        asked: &ReleaseRequest,
    ) -> Result<Option<Decision>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut state)?;
        let rules = state.rules.get(&(envelope, policy));
        Ok(rules.map(|rules| rules.decide(asked, &state.ledger)))
    }

    /// Spends what a release costs. When this returns it is durable, and the key may go out; if it fails, no key may.
    pub(crate) fn spend(&self, permit: &Permit, recipient: Account, at: u64) -> Result<()> {
        let path = self.datasets.ledger_path();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = state.ledger.next(permit, recipient, at);
        let entry = entry.map_err(|error| Error::Refused(error.to_string()))?;
        // It went out before, and goes out again for nothing.
        let Some(entry) = entry else { return Ok(()) };
        let failed = |source| Error::file("writing", &path, source);
        let line = [entry.as_bytes(), b"\n"].concat();
        let written = state.file.write_all(&line).and_then(|()| state.file.sync_all());
        if let Err(source) = written {
            // What is on the disk is unknown, so the ledger is read again before anything else is decided.
            let (ledger, whole) = read_ledger(&path)?;
            state.file.set_len(whole).map_err(failed)?;
            state.ledger = ledger;
            return Err(failed(source));
        }
        state.ledger.apply(&entry).map_err(|error| Error::damaged(&path, error))
    }

    /// The newest digest in the ledger, which a release is said with: so entries that are missing at its end show.
    pub(crate) fn head(&self) -> Hash {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).ledger.head()
    }

    /// Reads the rules again if a file has come or gone: a revocation holds for the next decision.
    fn refresh(&self, state: &mut State) -> Result<()> {
        let mut seen = BTreeSet::new();
        for folder in self.datasets.dataset_folders()? {
            seen.extend(listed(&folder, ".json")?);
        }
        if seen == state.seen {
            return Ok(());
        }
        let mut all = BTreeMap::new();
        for Version { publication, policy } in self.datasets.versions()? {
            let name = publication.said().name.as_str().to_owned();
            let key = (publication.said().envelope_digest, policy.digest());
            let unfit = |error: assay_privacy::policy::RulesError| {
                Error::damaged(&self.datasets.folder.join(&name), error)
            };
            let mut rules = Rules::new(publication, policy).map_err(unfit)?;
            for grant in self.datasets.grants(&name)? {
                rules.grant(grant).map_err(unfit)?;
            }
            for revocation in self.datasets.revocations(&name)? {
                rules.revoke(&revocation).map_err(unfit)?;
            }
            all.insert(key, rules);
        }
        (state.rules, state.seen) = (all, seen);
        Ok(())
    }
}
