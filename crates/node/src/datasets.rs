//! What an owner keeps of the datasets that it publishes, and of those of others that they are made of: versions with their policies,
//! grants, revocations, and the ledger of uses (spec/policy.md, spec/cli.md#home).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::Address;
use assay_privacy::policy::{
    DatasetName, Decision, Document, Form, Grant, Ledger, Permit, Policy, Publication, Release,
    ReleaseRequest, Revocation, Rules, RulesError, Source, Spent,
};
use assay_types::{Account, Hash};

use crate::board::Board;
use crate::{Error, Home, Result, files, sources};

/// An owner's datasets, in a folder.
#[derive(Clone, Debug)]
pub struct Datasets {
    owner: Address,
    folder: PathBuf,
    /// Where what it has taken over of other owners is; `None` for such an other owner's.
    others: Option<PathBuf>,
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

    /// The newest version of a dataset that another is made of.
    pub(crate) fn newest_of(&self, source: &Source) -> Result<Option<Version>> {
        self.by(source.owner.0.into()).newest(source.name.as_str())
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

    /// The digests that the ledger has ended with, one after the other: statements of releases name them.
    ///
    /// # Errors
    ///
    /// As [`Datasets::ledger`].
    pub fn ledger_heads(&self) -> Result<BTreeSet<Hash>> {
        let path = self.ledger_path();
        self.ledger()?;
        let bytes = files::read(&path)?.unwrap_or_default();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let releases = lines.filter_map(|line| Release::from_line(line).ok());
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
        let said = version.publication.said();
        let file = format!("{}.signed.json", said.version);
        files::write(&self.folder.join(said.name.as_str()).join(file), signed)
    }

    fn keep_document<T: Form>(&self, name: &str, kind: &str, document: &Document<T>) -> Result<()> {
        let file = format!("{}.{kind}.json", document.digest());
        let path = self.folder.join(name).join(file);
        // It is named by its digest, so what is there is the same.
        if path.exists() { Ok(()) } else { files::write(&path, document.as_bytes()) }
    }

    /// The rules of a version as its owner has them now, without those of what it is made of.
    fn rules(&self, Version { publication, policy }: Version) -> Result<Rules> {
        let name = publication.said().name.as_str().to_owned();
        let unfit = |error: RulesError| Error::damaged(&self.folder.join(&name), error);
        let mut rules = Rules::new(publication, policy).map_err(unfit)?;
        for grant in self.grants(&name)? {
            match rules.grant(grant) {
                // What another owner says must not stop this one's keeper: a grant too many is none.
                Err(RulesError::GrantsMany(_)) if self.others.is_none() => {}
                granted => granted.map_err(unfit)?,
            }
        }
        for revocation in self.revocations(&name)? {
            rules.revoke(&revocation).map_err(unfit)?;
        }
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

/// The ledger's releases, a line each, and how many bytes they take. A last line without its end was never acknowledged, so no key
/// went out for it, and it counts for nothing: neither for a dataset nor for any that this is made of.
fn read_ledger(path: &Path) -> Result<(Ledger, u64)> {
    let bytes = files::read(path)?.unwrap_or_default();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let ledger = Ledger::from_lines(lines).map_err(|error| Error::damaged(path, error))?;
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

    /// Looks what other owners now say of what a dataset is made of, if the board can be read; else what is kept goes on to hold.
    pub(crate) async fn look(&self, board: &Board, key: (Hash, Hash)) -> Result<()> {
        let sources = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            self.refresh(&mut state)?;
            let rules = state.rules.get(&key);
            rules.map_or(BTreeSet::new(), |rules| rules.publication().said().sources.clone())
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

    /// Spends what a release costs. When this returns it is durable, and the key may go out; if it fails, no key may.
    pub(crate) fn spend(&self, permit: &Permit, recipient: Account, at: u64) -> Result<()> {
        let path = self.datasets.ledger_path();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let release = state.ledger.next(permit, recipient, at);
        let release = release.map_err(|error| Error::Refused(error.to_string()))?;
        // It went out before, and goes out again for nothing.
        let Some(release) = release else { return Ok(()) };
        let failed = |source| Error::file("writing", &path, source);
        // Its entries are one line, so that a crash leaves all of them or none.
        let line = [&release.to_line()[..], b"\n"].concat();
        let written = state.file.write_all(&line).and_then(|()| state.file.sync_all());
        if let Err(source) = written {
            // What is on the disk is unknown, so the ledger is read again before anything else is decided.
            let (ledger, whole) = read_ledger(&path)?;
            state.file.set_len(whole).map_err(failed)?;
            state.ledger = ledger;
            return Err(failed(source));
        }
        state.ledger.apply(&release).map_err(|error| Error::damaged(&path, error))
    }

    /// The newest digest in the ledger, which a release is said with: so entries that are missing at its end show.
    pub(crate) fn head(&self) -> Hash {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).ledger.head()
    }

    /// Reads the rules again if a file has come or gone: a revocation holds for the next decision.
    fn refresh(&self, state: &mut State) -> Result<()> {
        let seen = self.datasets.rule_files()?;
        if seen == state.seen {
            return Ok(());
        }
        let versions = self.datasets.versions()?;
        let mut newest = BTreeMap::new();
        for source in versions.iter().flat_map(|version| &version.publication.said().sources) {
            let name = source.dataset();
            if !newest.contains_key(&name)
                && let Some(version) = self.datasets.newest_of(source)?
            {
                let datasets = self.datasets.by(source.owner.0.into());
                newest.insert(name, Arc::new(datasets.rules(version)?));
            }
        }
        let mut all = BTreeMap::new();
        for version in versions {
            let said = version.publication.said();
            let key = (said.envelope_digest, said.policy);
            let sources: Vec<_> = said.sources.iter().map(Source::dataset).collect();
            let mut rules = self.datasets.rules(version)?;
            for source in sources.iter().filter_map(|name| newest.get(name)) {
                let unfit = |error| Error::damaged(&self.datasets.folder, error);
                rules.source(Arc::clone(source)).map_err(unfit)?;
            }
            all.insert(key, rules);
        }
        (state.rules, state.seen) = (all, seen);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use assay_privacy::policy::{Allowed, Guarantees, Output, OutputClass};
    use assay_types::{BlobRoot, JobId, ProgramId};

    use super::*;

    const OWNER: Address = Address::repeat_byte(1);

    const PROVIDER: Account = Account([2; 20]);

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
            .uses(uses, 100)
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

    fn source(version: &Version) -> Source {
        let Publication { owner, name, version, policy, .. } = version.publication.said().clone();
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

    #[test]
    fn a_crash_leaves_all_entries_of_a_release_or_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let datasets = Datasets::of(&Home::at(folder.path()), OWNER);
        let parts = ["visits", "weather"].map(|name| version(name, policy(5), BTreeSet::new()));
        let both = version("both", policy(5), parts.iter().map(source).collect());
        for version in parts.iter().chain([&both]) {
            datasets.keep(version).expect("kept");
        }
        let key = (both.publication.said().envelope_digest, both.policy.digest());
        let spend = |decider: &Decider, number: u8| {
            let decision = decider.decide(key, &asked(number)).expect("decided");
            let Some(Decision::Permit(permit)) = decision else { panic!("refused: {decision:?}") };
            decider.spend(&permit, PROVIDER, 1).expect("spent");
        };
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
                // The keeper goes on from there: the same release is made again, for all or for nothing.
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
        let datasets = Datasets::of(&Home::at(folder.path()), OWNER);
        let other = Address::repeat_byte(9);
        let theirs = version("visits", policy(2), BTreeSet::new());
        let said = theirs.publication.said().clone();
        let said = Publication { owner: Account(other.into_array()), ..said };
        let publication = Document::new(said).expect("a publication");
        let theirs = Version { publication, ..theirs };
        let both = version("both", policy(2), BTreeSet::from([source(&theirs)]));
        datasets.keep(&both).expect("kept");
        let decider = Decider::open(datasets.clone()).expect("opened");
        let key = (both.publication.said().envelope_digest, both.policy.digest());
        let permits = || {
            let decision = decider.decide(key, &asked(1)).expect("decided");
            matches!(decision, Some(Decision::Permit(_)))
        };
        assert!(!permits(), "nothing is known of what it is made of");
        let kept = datasets.by(other);
        kept.keep(&theirs).expect("kept");
        assert_eq!(datasets.versions().expect("read").len(), 1, "another's is not one's own");
        assert!(permits(), "without a restart");
        let grant = |number| {
            let owner = Account(other.into_array());
            let (name, requester) = ("visits".parse().expect("a word"), Account([7; 20]));
            let purposes = Allowed::Any;
            Document::new(Grant {
                owner,
                name,
                number,
                requester,
                purposes,
                uses_max: 1,
                expires_at: 9,
            })
        };
        for number in 0..=assay_privacy::policy::GRANTS_MAX as u64 {
            kept.keep_grant(&grant(number).expect("a grant")).expect("kept");
        }
        assert!(permits(), "another owner's many grants stop a keeper");
        let owner = Account(other.into_array());
        let (name, revokes) =
            ("visits".parse().expect("a word"), assay_privacy::policy::Revoked::All);
        let revoked = Document::new(Revocation { owner, name, revokes }).expect("a revocation");
        kept.keep_revocation(&revoked).expect("kept");
        assert!(!permits(), "revoked is revoked");
    }
}
