//! What an owner keeps of the datasets that it publishes, and of those of others that they are made
//! of: versions with their policies, grants, revocations, and the ledger of uses (spec/policy.md,
//! spec/cli.md#home).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::Address;
use assay_policy::{
    DatasetName, Decision, Document, Form, GRANTS_MAX, Grant, Ledger, Permit, Policy, Publication,
    Release, ReleaseRequest, Revocation, Revoked, Rules, RulesError, Source, Spent,
};
use assay_types::{Account, Hash};
use serde::{Deserialize, Serialize};

use crate::base::files;
use crate::board::{Board, Version};
use crate::owner::sources;
use crate::{Error, Home, Result};

/// For how long an order that names a version is still good once another was published in its
/// place, in seconds: so that orders in flight are not refused. They are then under the stricter of
/// both policies.
pub const GRACE_SECS: u64 = 3_600;

/// An owner's datasets, in a folder.
#[derive(Clone, Debug)]
pub struct Datasets {
    owner: Address,
    folder: PathBuf,
    /// Where what it has taken over of other owners is; `None` for such an other owner's.
    others: Option<PathBuf>,
}

/// That a version was published, as it is kept: only such a one decides.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    /// The publication, by its digest.
    publication: Hash,
    /// When first, in Unix seconds.
    at: u64,
}

impl Datasets {
    /// An owner's, under a home.
    pub fn of(home: &Home, owner: Address) -> Self {
        Datasets { owner, folder: home.datasets(owner), others: Some(home.sources(owner)) }
    }

    /// What is kept here of an owner: this one's own, or what this one has taken over of another's.
    pub(crate) fn by(&self, owner: Address) -> Self {
        match &self.others {
            Some(others) if owner != self.owner => {
                Datasets { owner, folder: others.join(owner.to_string()), others: None }
            }
            _ => self.clone(),
        }
    }

    /// Whose they are.
    pub(crate) fn owner(&self) -> Address {
        self.owner
    }

    /// The version that decides of a dataset that another is made of.
    pub(crate) fn newest_of(&self, source: &Source) -> Result<Option<Version>> {
        self.by(source.owner.0.into()).in_force(source.name.as_str())
    }

    /// The version whose policy holds for what a dataset is made into: the newest that was
    /// published, or of one that never was, the newest.
    pub(crate) fn in_force(&self, name: &str) -> Result<Option<Version>> {
        let mut versions = versions_in(&self.folder.join(name))?;
        // What is kept of another owner's was published.
        if self.others.is_some() {
            for (at, version) in versions.iter().enumerate().rev() {
                if self.published_at(version)?.is_some() {
                    versions.truncate(at + 1);
                    break;
                }
            }
        }
        Ok(versions.pop())
    }

    /// All versions of all datasets, by name and version.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Damaged`].
    pub fn versions(&self) -> Result<Vec<Version>> {
        let mut versions = Vec::new();
        for folder in self.dataset_folders()? {
            versions.extend(versions_in(&folder)?);
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
        Ok(versions_in(&self.folder.join(name))?.pop())
    }

    /// Keeps a version; durable when it returns. The same again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn keep(&self, version: &Version) -> Result<()> {
        let said = version.publication.body();
        let folder = self.folder.join(said.name.as_str());
        // The policy first: a publication without one would be damage.
        let policy = folder.join(format!("{}.policy.json", said.version));
        files::write(&policy, version.policy.as_bytes())?;
        let publication = folder.join(format!("{}.publication.json", said.version));
        files::write(&publication, version.publication.as_bytes())
    }

    /// Keeps that a version was published: from the next decision on it decides. The same again
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Damaged`].
    pub fn keep_published(&self, version: &Version, at: u64) -> Result<()> {
        if self.published_at(version)?.is_some() {
            return Ok(());
        }
        let publication = version.publication.digest();
        files::write_json(&self.published_path(version), &Published { publication, at })
    }

    /// When a version was first published, in Unix seconds; `None` for a draft.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Damaged`].
    pub fn published_at(&self, version: &Version) -> Result<Option<u64>> {
        let path = self.published_path(version);
        let published: Option<Published> = files::read_json(&path)?;
        let is_other =
            |published: &Published| published.publication != version.publication.digest();
        if published.as_ref().is_some_and(is_other) {
            return Err(Error::damaged(&path, "another version was published under this number"));
        }
        Ok(published.map(|published| published.at))
    }

    fn published_path(&self, version: &Version) -> PathBuf {
        let said = version.publication.body();
        self.folder.join(said.name.as_str()).join(format!("{}.published.json", said.version))
    }

    /// Refuses a grant to an account that has [`GRANTS_MAX`] of the dataset which are neither
    /// expired nor revoked.
    pub(crate) fn check_grants(&self, grant: &Grant, now: u64) -> Result<()> {
        let name = grant.name.as_str();
        let revocations = self.revocations(name)?;
        let revoked: BTreeSet<_> = revocations.iter().map(|said| said.body().revokes).collect();
        let grants = self.grants(name)?;
        let counting = grants.iter().filter(|other| {
            let said = other.body();
            said.requester == grant.requester
                && now <= said.expires_at
                && !revoked.contains(&Revoked::Grant(other.digest()))
        });
        match counting.count() {
            counting if counting < GRANTS_MAX => Ok(()),
            _ => Err(RulesError::GrantsMany(grant.requester).into()),
        }
    }

    /// Keeps a grant; the next decision heeds it.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn keep_grant(&self, grant: &Document<Grant>) -> Result<()> {
        self.keep_document(grant.body().name.as_str(), "grant", grant)
    }

    /// Keeps a revocation; the next decision heeds it.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn keep_revocation(&self, revocation: &Document<Revocation>) -> Result<()> {
        self.keep_document(revocation.body().name.as_str(), "revocation", revocation)
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

    /// The digests that the ledger has ended with, one after the other: statements of releases name
    /// them.
    ///
    /// # Errors
    ///
    /// As [`Datasets::ledger`].
    pub fn ledger_heads(&self) -> Result<BTreeSet<Hash>> {
        let path = self.ledger_path();
        let bytes = whole_lines(&path)?;
        ledger_of(&path, &bytes)?;
        let releases = lines_of(&bytes).filter_map(|line| Release::from_line(line).ok());
        Ok(releases.filter_map(|release| Some(release.entries().last()?.digest())).collect())
    }

    /// What was spent of a dataset, over all versions.
    ///
    /// # Errors
    ///
    /// As [`Datasets::ledger`].
    pub fn spent(&self, dataset: &DatasetName) -> Result<Spent> {
        Ok(self.ledger()?.spent(dataset))
    }

    /// Keeps an owner's signatures over a version, as they came.
    pub(crate) fn keep_signed(&self, version: &Version, signed: &[u8]) -> Result<()> {
        let said = version.publication.body();
        let file = format!("{}.signed.json", said.version);
        files::write(&self.folder.join(said.name.as_str()).join(file), signed)
    }

    fn keep_document<T: Form>(&self, name: &str, kind: &str, document: &Document<T>) -> Result<()> {
        let file = format!("{}.{kind}.json", document.digest());
        let path = self.folder.join(name).join(file);
        // It is named by its digest, so what is there is the same.
        if path.exists() { Ok(()) } else { files::write(&path, document.as_bytes()) }
    }

    /// The rules of a version as its owner has them now, without those of what it is made of; if a
    /// newer one was published in its place, under the stricter of both.
    fn rules(&self, version: Version, newer: Option<&Document<Policy>>) -> Result<Rules> {
        let Version { publication, policy } = version;
        let name = publication.body().name.as_str().to_owned();
        let unfit = |error: RulesError| Error::damaged(&self.folder.join(&name), error);
        let rules = match newer {
            None => Rules::new(publication, policy),
            Some(newer) => Rules::superseded(publication, &policy, newer),
        };
        let mut rules = rules.map_err(unfit)?;
        for revocation in self.revocations(&name)? {
            rules.revoke(&revocation).map_err(unfit)?;
        }
        rules.grant_all(self.grants(&name)?).map_err(unfit)?;
        Ok(rules)
    }

    /// All files that rules are made of.
    fn rule_files(&self) -> Result<BTreeSet<PathBuf>> {
        let mut folders = self.dataset_folders()?;
        if let Some(others) = &self.others {
            for owner in entries(others)? {
                folders.extend(entries(&owner)?);
            }
        }
        let mut files = BTreeSet::new();
        for folder in folders {
            files.extend(listed(&folder, ".json")?);
        }
        Ok(files)
    }

    fn dataset_folders(&self) -> Result<Vec<PathBuf>> {
        Ok(entries(&self.folder)?.into_iter().filter(|path| path.is_dir()).collect())
    }

    fn ledger_path(&self) -> PathBuf {
        self.folder.join("ledger")
    }
}

/// All versions in a dataset's folder, the newest last.
fn versions_in(folder: &Path) -> Result<Vec<Version>> {
    let mut versions = Vec::new();
    for path in listed(folder, ".publication.json")? {
        let policy = path.to_string_lossy().replace(".publication.json", ".policy.json");
        let publication = document(&path)?;
        versions.push(Version { publication, policy: document(Path::new(&policy))? });
    }
    versions.sort_by_key(order_of);
    Ok(versions)
}

fn order_of(version: &Version) -> (String, u64) {
    let said = version.publication.body();
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

/// The ledger's releases, a line each, and how many bytes they take.
fn read_ledger(path: &Path) -> Result<(Ledger, u64)> {
    let bytes = whole_lines(path)?;
    Ok((ledger_of(path, &bytes)?, bytes.len() as u64))
}

fn ledger_of(path: &Path, bytes: &[u8]) -> Result<Ledger> {
    Ledger::from_lines(lines_of(bytes)).map_err(|error| Error::damaged(path, error))
}

/// A ledger's file. A last line without its end was never acknowledged, so no key went out for it,
/// and it counts for nothing: neither for a dataset nor for any that this is made of.
fn whole_lines(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = files::read(path)?.unwrap_or_default();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    bytes.truncate(whole);
    Ok(bytes)
}

fn lines_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// The rules and the ledger of an owner, at work: one process decides at a time.
pub(crate) struct Decider {
    datasets: Datasets,
    state: Mutex<State>,
}

struct State {
    ledger: Ledger,
    file: File,
    /// Whether the file may hold what the ledger does not: then nothing is decided until it is
    /// opened again.
    is_poisoned: bool,
    rules: AllRules,
    /// The files that the rules were made of.
    seen: BTreeSet<PathBuf>,
}

/// The rules of all datasets.
#[derive(Default)]
struct AllRules {
    /// By what an order names, the envelope and the policy; of several versions the newest first.
    by_key: BTreeMap<(Hash, Hash), Vec<InForce>>,
    /// Folders of datasets that can't be decided about, and why.
    unfit: BTreeMap<PathBuf, String>,
    /// What orders name of those, as far as it can be read.
    unfit_keys: BTreeMap<(Hash, Hash), PathBuf>,
}

/// The rules of a version that was published.
struct InForce {
    rules: Rules,
    /// The last second in which they decide, if another version was published in its place.
    until: Option<u64>,
}

/// What datasets are made of, by their rules; `None` for what can't be read.
type Parts = BTreeMap<DatasetName, Option<Arc<Rules>>>;

impl Decider {
    /// Takes the owner's ledger, which no other process may have.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] for a ledger that is not whole; [`Error::File`], also if another process
    /// has it.
    pub(crate) fn open(datasets: Datasets) -> Result<Self> {
        let path = datasets.ledger_path();
        std::fs::create_dir_all(&datasets.folder)
            .map_err(|error| Error::file("making", &datasets.folder, error))?;
        let failed = |source| Error::file("opening", &path, source);
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        // It names everyone who was given a key.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(source) => failed(source),
            TryLockError::WouldBlock => Error::Damaged {
                path: path.clone(),
                what: "another key service has it open; stop that one first".into(),
            },
        })?;
        let (ledger, whole) = read_ledger(&path)?;
        file.set_len(whole).map_err(failed)?;
        let (rules, seen) = (AllRules::default(), BTreeSet::new());
        let state = Mutex::new(State { ledger, file, is_poisoned: false, rules, seen });
        Ok(Decider { datasets, state })
    }

    /// Decides about a dataset's key under a policy; `None` if no version that has it is published,
    /// or others have been in its place for too long. One version that permits is enough; if none
    /// does, the newest one's reasons are given.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] for a dataset with a document that is not whole, and after a failure of
    /// [`Decider::release`]; [`Error::File`].
    pub(crate) fn decide(
        &self,
        key: (Hash, Hash),
        asked: &ReleaseRequest,
    ) -> Result<Option<Decision>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.decide_in(&mut state, key, asked)
    }

    /// Decides again, and spends what the release costs: between the two nobody else spends, and
    /// what the owner has taken back by then is taken back. If it permits it is durable when this
    /// returns, and the key may go out; if it fails, no key may.
    ///
    /// # Errors
    ///
    /// As [`Decider::decide`].
    pub(crate) fn release(
        &self,
        key: (Hash, Hash),
        asked: &ReleaseRequest,
        recipient: Account,
    ) -> Result<Option<Decision>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let decision = self.decide_in(&mut state, key, asked)?;
        if let Some(Decision::Permit(permit)) = &decision {
            self.spend(&mut state, permit, recipient, asked.now)?;
        }
        Ok(decision)
    }

    fn decide_in(
        &self,
        state: &mut State,
        key: (Hash, Hash),
        asked: &ReleaseRequest,
    ) -> Result<Option<Decision>> {
        self.check_whole(state)?;
        self.refresh(state, asked.now)?;
        if let Some(folder) = state.rules.unfit_keys.get(&key) {
            let why = state.rules.unfit.get(folder).map_or("", String::as_str);
            return Err(Error::damaged(folder, why));
        }
        let versions = state.rules.by_key.get(&key).into_iter().flatten();
        let in_force =
            versions.filter(|version| version.until.is_none_or(|until| asked.now <= until));
        let mut refused = None;
        for version in in_force {
            match version.rules.decide(asked, &state.ledger) {
                Decision::Refuse(reasons) => {
                    refused.get_or_insert(Decision::Refuse(reasons));
                }
                permitted @ Decision::Permit(_) => return Ok(Some(permitted)),
            }
        }
        Ok(refused)
    }

    /// After a failed write nobody knows what the file holds, and an entry behind a torn one would
    /// spoil the ledger.
    fn check_whole(&self, state: &State) -> Result<()> {
        if !state.is_poisoned {
            return Ok(());
        }
        let what = "an entry could not be written, so what it holds is unknown; mend the disk, then start the key service again";
        Err(Error::damaged(&self.datasets.ledger_path(), what))
    }

    /// Looks what other owners now say of what a dataset is made of, if the board can be read; else
    /// what is kept goes on to hold.
    pub(crate) async fn look(&self, board: &Board, key: (Hash, Hash), now: u64) -> Result<()> {
        let sources = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            self.refresh(&mut state, now)?;
            let versions = state.rules.by_key.get(&key).into_iter().flatten();
            let sources = versions.flat_map(|version| &version.rules.publication().body().sources);
            sources.cloned().collect::<BTreeSet<_>>()
        };
        let own = Account(self.datasets.owner().into_array());
        for source in sources.iter().filter(|source| source.owner != own) {
            let looked = sources::take_over(board, &self.datasets, &source.dataset()).await;
            if let Err(error) = looked {
                tracing::warn!(%error, "what another owner says of its data is not read");
            }
        }
        Ok(())
    }

    /// Writes what a release costs to the ledger.
    fn spend(&self, state: &mut State, permit: &Permit, recipient: Account, at: u64) -> Result<()> {
        let path = self.datasets.ledger_path();
        let release = state.ledger.next(permit, recipient, at)?;
        // It went out before, and goes out again for nothing.
        let Some(release) = release else { return Ok(()) };
        let failed = |source| Error::file("writing", &path, source);
        // Its entries are one line, so that a crash leaves all of them or none.
        let line = [&release.to_line()[..], b"\n"].concat();
        // Until it is known to be there, whole, nothing else is decided: what is on the disk after
        // a failure is unknown, and may change once more.
        state.is_poisoned = true;
        state.file.write_all(&line).and_then(|()| state.file.sync_all()).map_err(failed)?;
        state.ledger.apply(&release).map_err(|error| Error::damaged(&path, error))?;
        state.is_poisoned = false;
        Ok(())
    }

    /// The newest digest in the ledger, which a release is said with: so entries that are missing
    /// at its end show.
    pub(crate) fn head(&self) -> Hash {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).ledger.head()
    }

    /// Reads the rules again if a file has come or gone: a revocation holds for the next decision.
    /// What one dataset lacks stops no other.
    fn refresh(&self, state: &mut State, now: u64) -> Result<()> {
        let seen = self.datasets.rule_files()?;
        // A damaged file that is restored keeps its name.
        if seen == state.seen && state.rules.unfit.is_empty() {
            return Ok(());
        }
        let (mut all, mut parts) = (AllRules::default(), Parts::new());
        for folder in self.datasets.dataset_folders()? {
            match self.load(&folder, now, &mut parts, &mut all.unfit) {
                Ok(loaded) => {
                    for (key, version) in loaded {
                        all.by_key.entry(key).or_default().push(version);
                    }
                }
                Err(error) => {
                    all.unfit_keys.extend(keys_in(&folder).map(|key| (key, folder.clone())));
                    all.unfit.insert(folder, error.to_string());
                }
            }
        }
        if all.unfit != state.rules.unfit {
            for (folder, why) in &all.unfit {
                tracing::error!(folder = %folder.display(), why, "no key of this dataset goes out");
            }
        }
        (state.rules, state.seen) = (all, seen);
        Ok(())
    }

    /// The rules of a dataset's published versions, the newest first, without those whose time is
    /// over.
    fn load(
        &self,
        folder: &Path,
        now: u64,
        parts: &mut Parts,
        unfit: &mut BTreeMap<PathBuf, String>,
    ) -> Result<Vec<((Hash, Hash), InForce)>> {
        let (mut loaded, mut newest, mut until) = (Vec::new(), None, None);
        for version in versions_in(folder)?.into_iter().rev() {
            // A draft decides nothing.
            let Some(at) = self.datasets.published_at(&version)? else { continue };
            if until.is_some_and(|until| until < now) {
                break;
            }
            let said = version.publication.body();
            let (key, number) = ((said.envelope_digest, said.policy), said.version);
            let (policy, made_of) = (version.policy.clone(), said.sources.clone());
            let mut rules = match self.datasets.rules(version, newest.as_ref()) {
                Ok(rules) => rules,
                Err(error) if newest.is_some() => {
                    tracing::warn!(%error, number, "orders under an older version are refused");
                    continue;
                }
                Err(error) => return Err(error),
            };
            for source in &made_of {
                if let Some(part) = self.part(source, parts, unfit) {
                    rules.source(part).map_err(|error| Error::damaged(folder, error))?;
                }
            }
            loaded.push((key, InForce { rules, until }));
            newest.get_or_insert(policy);
            until = Some(at.saturating_add(GRACE_SECS));
        }
        Ok(loaded)
    }

    /// The rules of what a dataset is made of, as they are now; `None` if they can't be had, and
    /// then nothing that is made of it goes out.
    fn part(
        &self,
        source: &Source,
        parts: &mut Parts,
        unfit: &mut BTreeMap<PathBuf, String>,
    ) -> Option<Arc<Rules>> {
        let place = match parts.entry(source.dataset()) {
            Entry::Occupied(known) => return known.get().clone(),
            Entry::Vacant(place) => place,
        };
        let datasets = self.datasets.by(source.owner.0.into());
        let rules = datasets
            .in_force(source.name.as_str())
            .and_then(|version| version.map(|version| datasets.rules(version, None)).transpose());
        let rules = rules.unwrap_or_else(|error| {
            unfit.insert(datasets.folder.join(source.name.as_str()), error.to_string());
            None
        });
        place.insert(rules.map(Arc::new)).clone()
    }
}

/// What orders name of a dataset that is damaged, as far as it can be read.
fn keys_in(folder: &Path) -> impl Iterator<Item = (Hash, Hash)> {
    let paths = listed(folder, ".publication.json").unwrap_or_default().into_iter();
    paths.filter_map(|path| {
        let publication: Document<Publication> = document(&path).ok()?;
        Some((publication.body().envelope_digest, publication.body().policy))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use assay_policy::{Allowed, Clause, ClauseReason, Guarantees, Output, OutputClass};
    use assay_types::{BlobRoot, JobId, ProgramId};

    use super::*;

    const OWNER: Address = Address::repeat_byte(1);

    const PROVIDER: Account = Account([2; 20]);

    const EXPIRES_AT: u64 = 1_000_000;

    fn policy(uses: u64) -> Document<Policy> {
        let guarantees = Guarantees { output_size_max: 1, ..Guarantees::default() };
        Policy::deny_all()
            .program(ProgramId(Hash([3; 32])), guarantees)
            .providers(Allowed::Any, 0)
            .parties(Allowed::Any, Allowed::Any, Allowed::Any)
            .assurance(Allowed::Any, Allowed::Any, 0)
            .output(Output {
                class: OutputClass::Public,
                size_max: 1,
                step_limit_max: 1,
                ..Output::default()
            })
            .uses(uses, EXPIRES_AT)
            .finish()
            .expect("a policy")
    }

    fn version(name: &str, policy: Document<Policy>, sources: BTreeSet<Source>) -> Version {
        let publication = Publication {
            owner: Account(OWNER.into_array()),
            name: name.parse().expect("a word"),
            version: 1,
            root: BlobRoot(Hash([4; 32])),
            envelope_digest: assay_types::sha256(name.as_bytes()),
            envelope_size: 1,
            policy: policy.digest(),
            fee: 0,
            sources,
        };
        Version { publication: Document::new(publication).expect("a publication"), policy }
    }

    /// The next version of the same data.
    fn next(version: &Version, policy: &Document<Policy>, fee: u128) -> Version {
        let said = version.publication.body().clone();
        let (number, digest) = (said.version + 1, policy.digest());
        let said = Publication { version: number, policy: digest, fee, ..said };
        let publication = Document::new(said).expect("a publication");
        Version { publication, policy: policy.clone() }
    }

    fn key(version: &Version) -> (Hash, Hash) {
        (version.publication.body().envelope_digest, version.policy.digest())
    }

    /// An owner's datasets, published at second 1.
    fn published(folder: &Path, versions: &[&Version]) -> Datasets {
        let datasets = Datasets::of(&Home::at(folder), OWNER);
        for version in versions {
            datasets.keep(version).expect("kept");
            datasets.keep_published(version, 1).expect("kept");
        }
        datasets
    }

    fn grant_of(owner: Account, number: u64, expires_at: u64) -> Document<Grant> {
        let (name, requester) = ("visits".parse().expect("a word"), PROVIDER);
        let purposes = Allowed::Any;
        let grant = Grant { owner, name, number, requester, purposes, uses_max: 1, expires_at };
        Document::new(grant).expect("a grant")
    }

    fn source(version: &Version) -> Source {
        let Publication { owner, name, version, policy, .. } = version.publication.body().clone();
        Source { owner, name, version, policy }
    }

    fn asked(number: u8) -> ReleaseRequest {
        ReleaseRequest {
            job: JobId([number; 32]),
            requester: PROVIDER,
            provider: PROVIDER,
            beneficiary: PROVIDER,
            auditors: BTreeSet::new(),
            program: ProgramId(Hash([3; 32])),
            dataset: BlobRoot(Hash([4; 32])),
            data_owner: None,
            data_fee: 0,
            input_sealed: true,
            output_sealed: true,
            step_limit: 1,
            verifier: 1,
            window_secs: 1,
            stake: 0,
            purpose: None,
            measurement: None,
            now: 1,
        }
    }

    fn spend(decider: &Decider, key: (Hash, Hash), asked: &ReleaseRequest) {
        let decision = decider.release(key, asked, PROVIDER).expect("spent");
        assert!(matches!(decision, Some(Decision::Permit(_))), "refused: {decision:?}");
    }

    #[test]
    fn what_changed_since_a_decision_counts_as_it_is_spent() {
        let folder = tempfile::tempdir().expect("a folder");
        let visits = version("visits", policy(2), BTreeSet::new());
        let datasets = published(folder.path(), &[&visits]);
        let decider = Decider::open(datasets.clone()).expect("opened");
        let key = key(&visits);
        let refused = |number: u8| {
            let decision = decider.release(key, &asked(number), PROVIDER).expect("decided");
            matches!(decision, Some(Decision::Refuse(_)))
        };
        for number in 1..=4 {
            assert_eq!(told(&decider, key, &asked(number)), Some(vec![]), "all are permitted");
        }
        spend(&decider, key, &asked(1));
        let owner = Account(OWNER.into_array());
        // Others spend what was left.
        spend(&decider, key, &asked(2));
        assert!(refused(3), "more goes out than the policy allows");
        spend(&decider, key, &asked(2));
        // The owner takes it back: not even what was given before goes out again.
        let (name, revokes) = ("visits".parse().expect("a word"), Revoked::All);
        let revoked = Document::new(Revocation { owner, name, revokes }).expect("a revocation");
        datasets.keep_revocation(&revoked).expect("kept");
        let ledger = std::fs::read(datasets.ledger_path()).expect("read");
        assert!(refused(1) && refused(4), "a key goes out that its owner has taken back");
        assert_eq!(std::fs::read(datasets.ledger_path()).expect("read"), ledger);
    }

    #[test]
    fn a_crash_leaves_all_entries_of_a_release_or_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let parts = ["visits", "weather"].map(|name| version(name, policy(5), BTreeSet::new()));
        let both = version("both", policy(5), parts.iter().map(source).collect());
        let datasets = published(folder.path(), &[&parts[0], &parts[1], &both]);
        let key = key(&both);
        let spend = |decider: &Decider, number: u8| spend(decider, key, &asked(number));
        let open = || Decider::open(datasets.clone()).expect("opened");
        let uses = || {
            ["both", "visits", "weather"].map(|name| {
                let name = name.parse().expect("a word");
                let dataset = DatasetName { owner: Account(OWNER.into_array()), name };
                datasets.spent(&dataset).expect("read").uses
            })
        };
        let decider = open();
        spend(&decider, 1);
        let first = std::fs::read(datasets.ledger_path()).expect("read");
        spend(&decider, 2);
        drop(decider);
        let second = std::fs::read(datasets.ledger_path()).expect("read");
        assert_eq!(uses(), [2; 3]);
        for end in first.len()..=second.len() {
            std::fs::write(datasets.ledger_path(), &second[..end]).expect("cut");
            let whole = end == second.len();
            assert_eq!(uses(), [1 + u64::from(whole); 3], "cut after {end} bytes");
            if end % 97 == 0 || whole {
                // The key service goes on from there: the same release is made again, for all or
                // for nothing.
                spend(&open(), 2);
                assert_eq!(uses(), [2; 3], "cut after {end} bytes, and released again");
                let ledger = std::fs::read(datasets.ledger_path()).expect("read");
                assert_eq!(ledger, second, "the same entries");
            }
        }
    }

    #[test]
    fn what_others_say_is_kept_apart_and_stops_no_keeper() {
        let folder = tempfile::tempdir().expect("a folder");
        let other = Address::repeat_byte(9);
        let theirs = version("visits", policy(2), BTreeSet::new());
        let said = theirs.publication.body().clone();
        let said = Publication { owner: Account(other.into_array()), ..said };
        let publication = Document::new(said).expect("a publication");
        let theirs = Version { publication, ..theirs };
        let both = version("both", policy(2), BTreeSet::from([source(&theirs)]));
        let datasets = published(folder.path(), &[&both]);
        let decider = Decider::open(datasets.clone()).expect("opened");
        let key = key(&both);
        let permits = || {
            let decision = decider.decide(key, &asked(1)).expect("decided");
            matches!(decision, Some(Decision::Permit(_)))
        };
        assert!(!permits(), "nothing is known of what it is made of");
        let kept = datasets.by(other);
        kept.keep(&theirs).expect("kept");
        assert_eq!(datasets.versions().expect("read").len(), 1, "another's is not one's own");
        assert!(permits(), "without a restart");
        for number in 0..=GRANTS_MAX as u64 {
            kept.keep_grant(&grant_of(Account(other.into_array()), number, 9)).expect("kept");
        }
        assert!(permits(), "another owner's many grants stop a key service");
        let owner = Account(other.into_array());
        let (name, revokes) = ("visits".parse().expect("a word"), Revoked::All);
        let revoked = Document::new(Revocation { owner, name, revokes }).expect("a revocation");
        kept.keep_revocation(&revoked).expect("kept");
        assert!(!permits(), "revoked is revoked");
    }

    /// What a key's order is told: that it is permitted, by which clauses not, or `None` if its
    /// version is not in force.
    fn told(decider: &Decider, key: (Hash, Hash), asked: &ReleaseRequest) -> Option<Vec<Clause>> {
        match decider.decide(key, asked).expect("decided")? {
            Decision::Permit(_) => Some(Vec::new()),
            Decision::Refuse(reasons) => Some(reasons.iter().map(ClauseReason::clause).collect()),
        }
    }

    fn paying(data_fee: u128, now: u64) -> ReleaseRequest {
        let data_owner = Some(Account(OWNER.into_array()));
        ReleaseRequest { data_owner, data_fee, now, ..asked(1) }
    }

    #[test]
    fn drafts_decide_nothing_and_a_newer_fee_waits_for_orders_in_flight() {
        let folder = tempfile::tempdir().expect("a folder");
        let datasets = Datasets::of(&Home::at(folder.path()), OWNER);
        let first = version("visits", policy(5), BTreeSet::new());
        datasets.keep(&first).expect("kept");
        let decider = Decider::open(datasets.clone()).expect("opened");
        assert_eq!(told(&decider, key(&first), &paying(0, 1)), None, "nobody was told of it");
        datasets.keep_published(&first, 1).expect("kept");
        assert_eq!(told(&decider, key(&first), &paying(0, 1)), Some(vec![]), "without a restart");
        // Both have the same policy, so an order names both.
        let dearer = next(&first, &first.policy, 7);
        datasets.keep(&dearer).expect("kept");
        let cheap = |now| told(&decider, key(&first), &paying(0, now));
        assert_eq!(cheap(2), Some(vec![]), "a fee that nobody could know refuses an order");
        datasets.keep_published(&dearer, 1_000).expect("kept");
        let last = 1_000 + GRACE_SECS;
        assert_eq!(cheap(last), Some(vec![]), "signed before the fee rose");
        assert_eq!(cheap(last + 1), Some(vec![Clause::Fee]), "the old fee is good for ever");
        assert_eq!(told(&decider, key(&first), &paying(7, last + 1)), Some(vec![]));
        datasets.keep_published(&dearer, 9_000).expect("kept");
        assert_eq!(cheap(last + 1), Some(vec![Clause::Fee]), "publishing again is no new grace");
        drop(decider);
        let decider = Decider::open(datasets).expect("opened");
        let cheap = told(&decider, key(&first), &paying(0, last + 1));
        assert_eq!(cheap, Some(vec![Clause::Fee]), "a restart forgets what was published");
    }

    #[test]
    fn a_newer_policy_holds_for_orders_that_name_the_older_and_ends_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = version("visits", policy(5), BTreeSet::new());
        let datasets = published(folder.path(), &[&first]);
        let strict = Policy { budget: None, ..policy(2).body().clone() }.budget(3, 2);
        let strict = strict.providers(Allowed::Any, 10).finish().expect("a policy");
        let second = next(&first, &strict, 0);
        datasets.keep(&second).expect("kept");
        let decider = Decider::open(datasets.clone()).expect("opened");
        let bold = ReleaseRequest { stake: 9, now: 3_000, ..asked(1) };
        assert_eq!(told(&decider, key(&first), &bold), Some(vec![]), "a draft decides");
        datasets.keep_published(&second, 2_000).expect("kept");
        let refused = told(&decider, key(&first), &bold);
        assert_eq!(refused, Some(vec![Clause::StakeMin]), "the old terms by naming them");
        let safe = ReleaseRequest { stake: 10, ..bold };
        let decision = decider.decide(key(&first), &safe).expect("decided");
        let Some(Decision::Permit(permit)) = decision else { panic!("in flight: {decision:?}") };
        assert_eq!(permit.micro_epsilon(), 2, "without a budget by naming the old policy");
        assert_eq!(permit.policy(), first.policy.digest(), "the order's");
        spend(&decider, key(&first), &safe);
        let again = ReleaseRequest { job: JobId([2; 32]), ..safe.clone() };
        assert_eq!(told(&decider, key(&first), &again), Some(vec![Clause::Budget]));
        // What is stopped by hand is stopped in the meantime too.
        let over = ReleaseRequest { now: 2_000 + GRACE_SECS + 1, ..safe.clone() };
        assert_eq!(told(&decider, key(&first), &over), None, "old terms are good for ever");
        assert_eq!(told(&decider, key(&second), &over), Some(vec![]));
        let (owner, name) = (Account(OWNER.into_array()), "visits".parse().expect("a word"));
        let revoked = Revocation { owner, name, revokes: Revoked::Version(1) };
        datasets.keep_revocation(&Document::new(revoked).expect("signed")).expect("kept");
        assert_eq!(told(&decider, key(&first), &safe), Some(vec![Clause::RevokedVersion]));
        assert_eq!(told(&decider, key(&second), &safe), Some(vec![]));
    }

    #[test]
    fn a_damaged_document_stops_its_own_dataset_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let [visits, weather] =
            ["visits", "weather"].map(|name| version(name, policy(5), BTreeSet::new()));
        let both = version("both", policy(5), BTreeSet::from([source(&visits)]));
        let datasets = published(folder.path(), &[&visits, &weather, &both]);
        let decider = Decider::open(datasets.clone()).expect("opened");
        let kept = grant_of(Account(OWNER.into_array()), 1, EXPIRES_AT);
        let path = datasets.folder.join("visits").join(format!("{}.grant.json", kept.digest()));
        std::fs::write(&path, "{").expect("written");
        assert_eq!(told(&decider, key(&weather), &asked(1)), Some(vec![]), "the others go on");
        let stopped = decider.decide(key(&visits), &asked(1));
        assert!(
            matches!(&stopped, Err(Error::Damaged { what, .. }) if what.contains("grant.json")),
            "with its reason: {stopped:?}"
        );
        assert_eq!(
            told(&decider, key(&both), &asked(1)),
            Some(vec![Clause::SourcesPolicy]),
            "whatever it says must not be passed over"
        );
        // Restored under its name, it counts again without a restart.
        datasets.keep_grant(&kept).expect("kept");
        std::fs::write(&path, kept.as_bytes()).expect("restored");
        assert_eq!(told(&decider, key(&visits), &asked(1)), Some(vec![]));
        assert_eq!(told(&decider, key(&both), &asked(1)), Some(vec![]));
    }

    #[test]
    fn a_grant_too_many_is_refused_before_it_is_kept_and_stops_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let visits = version("visits", policy(5_000), BTreeSet::new());
        let datasets = published(folder.path(), &[&visits]);
        let owner = Account(OWNER.into_array());
        // Expired and revoked ones count for nothing, and displace none that counts.
        for number in 0..100 {
            datasets.keep_grant(&grant_of(owner, number, 5)).expect("kept");
            let revoked = grant_of(owner, 100 + number, EXPIRES_AT);
            datasets.keep_grant(&revoked).expect("kept");
            let (name, revokes) = (revoked.body().name.clone(), Revoked::Grant(revoked.digest()));
            let revocation = Document::new(Revocation { owner, name, revokes });
            datasets.keep_revocation(&revocation.expect("signed")).expect("kept");
        }
        for number in 0..GRANTS_MAX as u64 {
            let grant = grant_of(owner, 1_000 + number, 100);
            datasets.check_grants(grant.body(), 6).expect("not too many");
            datasets.keep_grant(&grant).expect("kept");
        }
        let many = grant_of(owner, 9_999, 100);
        let refused = datasets.check_grants(many.body(), 6);
        assert!(matches!(refused, Err(Error::Rules(RulesError::GrantsMany(_)))), "{refused:?}");
        datasets.check_grants(many.body(), 101).expect("all expired by then");
        let decider = Decider::open(datasets.clone()).expect("opened");
        for number in 0..GRANTS_MAX as u8 {
            let asked = ReleaseRequest { now: 6, ..asked(number) };
            spend(&decider, key(&visits), &asked);
        }
        datasets.keep_grant(&many).expect("kept all the same");
        let last = ReleaseRequest { now: 6, ..asked(200) };
        let told = told(&decider, key(&visits), &last);
        assert!(told.is_some(), "one grant too many stops the key service");
    }

    #[test]
    fn after_a_failed_write_nothing_is_decided_until_the_ledger_is_opened_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let visits = version("visits", policy(5), BTreeSet::new());
        let datasets = published(folder.path(), &[&visits]);
        let decider = Decider::open(datasets.clone()).expect("opened");
        spend(&decider, key(&visits), &asked(1));
        let second = || decider.release(key(&visits), &asked(2), PROVIDER);
        // A handle that can't write or be cut, for a disk that fails; what it left there is half a
        // line.
        let path = datasets.ledger_path();
        let broken = File::open(&path).expect("opened");
        let whole = {
            let mut state = decider.state.lock().expect("no panic");
            std::mem::replace(&mut state.file, broken)
        };
        let failed = second();
        assert!(matches!(failed, Err(Error::File { .. })), "{failed:?}");
        (&whole).write_all(b"{\"schema\":").expect("written");
        decider.state.lock().expect("no panic").file = whole;
        let behind = second();
        assert!(matches!(&behind, Err(Error::Damaged { .. })), "behind a torn line: {behind:?}");
        let decided = decider.decide(key(&visits), &asked(3));
        assert!(matches!(&decided, Err(Error::Damaged { .. })), "{decided:?}");
        drop(decider);
        let decider = Decider::open(datasets.clone()).expect("opened");
        spend(&decider, key(&visits), &asked(2));
        drop(decider);
        Decider::open(datasets).expect("the ledger is whole");
    }
}
