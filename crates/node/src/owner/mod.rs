//! A data owner: seals what it has, publishes the ciphertext under a policy, and says to whom else
//! keys may go or no longer.

pub(crate) mod datasets;
pub(crate) mod disclosure;
pub(crate) mod masking;
pub(crate) mod sources;

use std::collections::BTreeSet;
use std::path::PathBuf;

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use assay_mask::MaskStatement;
use assay_policy::{
    DatasetName, Document, Grant, Policy, Publication, Revocation, Revoked, Source, Spent, Word,
};
use assay_receipt::{Masked, Statement};
use assay_types::Account;

use crate::base::files;
use crate::board::{Board, Version};
use crate::chain::contracts::clock_secs;
use crate::job::sealed::seal_bytes;
use crate::job::vault::Vault;
use crate::log::recorder::Recorder;
use crate::owner::datasets::Datasets;
use crate::owner::sources::{MadeOf, SourceName};
use crate::{Error, Home, Result};

/// An owner of datasets, at work on a market.
pub struct Owner {
    signer: PrivateKeySigner,
    home: Home,
    datasets: Datasets,
}

impl Owner {
    /// The owner whose key this is, with what it keeps under a home.
    pub fn new(signer: PrivateKeySigner, home: &Home) -> Self {
        let datasets = Datasets::of(home, signer.address());
        Owner { signer, home: home.clone(), datasets }
    }

    /// Its account.
    pub fn account(&self) -> Address {
        self.signer.address()
    }

    /// What it keeps.
    pub fn datasets(&self) -> &Datasets {
        &self.datasets
    }

    /// Seals data as a new version of a dataset. Nothing is published, and the key stays here.
    ///
    /// # Errors
    ///
    /// [`Error::Job`] if it does not fit a slot; [`Error::File`], [`Error::Damaged`].
    pub async fn seal(
        &self,
        name: Word,
        data: Vec<u8>,
        policy: Document<Policy>,
        fee: u128,
    ) -> Result<Version> {
        self.seal_as(name, data, policy, fee, BTreeSet::new()).await
    }

    /// Seals data that was made of other datasets, as [`Owner::seal`] does, under the stricter rule
    /// on every point of a draft and all of them; without a draft, of them alone. Those of other
    /// owners are read at the board, and kept.
    ///
    /// # Errors
    ///
    /// As [`Owner::seal`]; [`Error::Job`] if one is not to be had, or they are too many;
    /// [`Error::Store`], [`Error::Broker`].
    pub async fn combine(
        &self,
        board: Option<&Board>,
        name: Word,
        data: Vec<u8>,
        (made_of, draft): (&[SourceName], Option<Document<Policy>>),
        fee: u128,
    ) -> Result<Version> {
        let sources = sources::resolve(board, &self.datasets, made_of).await?;
        let policy = sources::strictest(draft, &sources)?;
        let sources = sources.into_iter().map(|(source, _)| source).collect();
        self.seal_as(name, data, policy, fee, sources).await
    }

    async fn seal_as(
        &self,
        name: Word,
        data: Vec<u8>,
        policy: Document<Policy>,
        fee: u128,
        sources: BTreeSet<Source>,
    ) -> Result<Version> {
        let (secret, envelope) = seal_bytes(data).await?;
        Vault::at(self.home.vault()).put(&secret)?;
        files::write(&self.envelope(&name, secret.envelope), &envelope)?;
        let publication = Publication {
            owner: Account(self.account().into_array()),
            version: self.next_version(&name)?,
            name,
            root: secret.root,
            envelope_digest: secret.envelope,
            envelope_size: secret.bytes,
            policy: policy.digest(),
            fee,
            sources,
        };
        self.keep(publication, policy)
    }

    /// The same data under another policy or fee, as a new version, which decides nothing until it
    /// is published. If it is made of other datasets, it is under the stricter rule of all of them
    /// as well, as they are known here.
    ///
    /// # Errors
    ///
    /// [`Error::Job`] if there is no such dataset; [`Error::File`], [`Error::Damaged`].
    pub fn amend(&self, name: &Word, policy: Document<Policy>, fee: u128) -> Result<Version> {
        let newest = self.newest(name)?.publication.body().clone();
        let version = self.next_version(name)?;
        let sources = sources::as_kept(&self.datasets, &newest.sources)?;
        let policy = sources::strictest(Some(policy), &sources)?;
        let sources = sources.into_iter().map(|(source, _)| source).collect();
        self.keep(Publication { version, policy: policy.digest(), fee, sources, ..newest }, policy)
    }

    /// Publishes a dataset's newest version: the ciphertext, what describes it, and its policy.
    /// From then on it decides, and orders that name the one before are good for
    /// [`GRACE_SECS`](crate::GRACE_SECS), under the stricter of both.
    ///
    /// # Errors
    ///
    /// [`Error::Job`] if there is no such dataset, or it permits more than what it was made of;
    /// [`Error::Store`], [`Error::Broker`], [`Error::File`].
    pub async fn publish(&self, board: &Board, name: &Word) -> Result<Version> {
        let version = self.newest(name)?;
        self.check_sources(board, &version).await?;
        let digest = version.publication.body().envelope_digest;
        if !board.has_envelope(digest).await? {
            let path = self.envelope(name, digest);
            let gone = || Error::damaged(&path, "the sealed data is gone; seal it again");
            let envelope = files::read(&path)?.ok_or_else(gone)?;
            board.put_envelope(digest, envelope).await?;
        }
        board.put_dataset(&self.signer, &version).await?;
        // Only now does a key service decide by it: what nobody could read must refuse nobody's order.
        self.datasets.keep_published(&version, clock_secs())?;
        Ok(version)
    }

    /// Refuses what permits more than what it was made of, as that is now.
    async fn check_sources(&self, board: &Board, version: &Version) -> Result<()> {
        let own = Account(self.account().into_array());
        let sources = version.publication.body().sources.iter();
        for source in sources.filter(|source| source.owner != own) {
            sources::take_over(board, &self.datasets, &source.dataset()).await?;
        }
        match self.made_of(version)?.iter().find(|made| made.is_laxer) {
            None => Ok(()),
            Some(made) => Err(Error::Job(format!(
                "the policy permits more than that of {} does now: set it again, and it becomes as strict",
                made.source.dataset()
            ))),
        }
    }

    /// Lets an account order over a dataset, within its policy, and says so where key services and the
    /// account can read it.
    ///
    /// # Errors
    ///
    /// [`Error::Job`] for a grant that is none; [`Error::Rules`] if the account has too many;
    /// [`Error::File`], [`Error::Store`], [`Error::Broker`].
    pub async fn grant(&self, board: &Board, grant: Grant) -> Result<Document<Grant>> {
        let grant = Document::new(grant).map_err(|error| Error::Job(error.to_string()))?;
        self.newest(&grant.body().name)?;
        self.datasets.check_grants(grant.body(), clock_secs())?;
        // Kept first: what a key service heeds is what is here.
        self.datasets.keep_grant(&grant)?;
        board.put_document(&self.signer, "grant", grant.as_bytes()).await?;
        Ok(grant)
    }

    /// Stops keys from going out, at once.
    ///
    /// # Errors
    ///
    /// As [`Owner::grant`].
    pub async fn revoke(
        &self,
        board: &Board,
        name: &Word,
        revokes: Revoked,
    ) -> Result<Document<Revocation>> {
        let owner = Account(self.account().into_array());
        let revocation = Document::new(Revocation { owner, name: name.clone(), revokes });
        let revocation = revocation.map_err(|error| Error::Job(error.to_string()))?;
        self.newest(name)?;
        self.datasets.keep_revocation(&revocation)?;
        board.put_document(&self.signer, "revocation", revocation.as_bytes()).await?;
        Ok(revocation)
    }

    /// Whether a masking is this account's to state.
    ///
    /// # Errors
    ///
    /// [`Error::Job`] if it is another's.
    pub fn check_mask(&self, mask: &MaskStatement) -> Result<()> {
        if mask.owner.parse() == Ok(self.account()) {
            return Ok(());
        }
        Err(Error::Job(format!(
            "{} states the masking, and {} would seal: seal as the account of the plan",
            mask.owner,
            self.account()
        )))
    }

    /// Keeps the statement of a masking whose result was sealed as a version, to be said when that
    /// is published.
    ///
    /// # Errors
    ///
    /// [`Error::Job`] for the statement of another account; [`Error::File`].
    pub fn keep_mask(&self, version: &Version, mask: &MaskStatement) -> Result<()> {
        self.check_mask(mask)?;
        let said = version.publication.body();
        files::write(&self.mask_file(&said.name, said.envelope_digest), &mask.to_payload())
    }

    /// What was kept of the masking that a version came of; none if it came of none.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Damaged`].
    pub fn mask(&self, version: &Version) -> Result<Option<MaskStatement>> {
        let said = version.publication.body();
        let path = self.mask_file(&said.name, said.envelope_digest);
        let Some(payload) = files::read(&path)? else { return Ok(None) };
        let damaged =
            || Error::damaged(&path, "it is no statement of a masking; seal the data again");
        MaskStatement::from_payload(&payload).map(Some).ok_or_else(damaged)
    }

    /// Says in the log which masking a version came of; nothing if it came of none.
    ///
    /// # Errors
    ///
    /// As [`Owner::mask`]; [`Error::Store`], [`Error::Broker`].
    pub async fn say_mask(&self, recorder: &Recorder, version: &Version) -> Result<()> {
        let Some(mask) = self.mask(version)? else { return Ok(()) };
        let said = version.publication.body();
        let masked = Masked {
            market: recorder.market(),
            owner: self.account(),
            root: B256::new(said.root.0.0),
            envelope: B256::new(said.envelope_digest.0),
            mask,
        };
        recorder.say(&Statement::Masked(Box::new(masked))).await.map(drop)
    }

    /// What was spent of a dataset, over all versions.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Damaged`].
    pub fn spent(&self, name: &Word) -> Result<Spent> {
        let owner = Account(self.account().into_array());
        self.datasets.spent(&DatasetName { owner, name: name.clone() })
    }

    /// What a version is made of, with what is known of it here.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Damaged`].
    pub fn made_of(&self, version: &Version) -> Result<Vec<MadeOf>> {
        sources::made_of(&self.datasets, version)
    }

    /// A dataset's newest version.
    ///
    /// # Errors
    ///
    /// [`Error::Job`] if there is no such dataset; [`Error::File`], [`Error::Damaged`].
    pub fn newest(&self, name: &Word) -> Result<Version> {
        let missing = || Error::Job(format!("there is no dataset {:?} here", name.as_str()));
        self.datasets.newest(name.as_str())?.ok_or_else(missing)
    }

    fn next_version(&self, name: &Word) -> Result<u64> {
        let newest = self.datasets.newest(name.as_str())?;
        Ok(newest.map_or(1, |newest| newest.publication.body().version + 1))
    }

    fn keep(&self, publication: Publication, policy: Document<Policy>) -> Result<Version> {
        let publication = Document::new(publication);
        let publication = publication.map_err(|error| Error::Job(error.to_string()))?;
        let version = Version { publication, policy };
        self.datasets.keep(&version)?;
        Ok(version)
    }

    fn envelope(&self, name: &Word, digest: assay_types::Hash) -> PathBuf {
        let folder = self.home.datasets(self.account()).join(name.as_str());
        folder.join(format!("{digest}.sealed"))
    }

    fn mask_file(&self, name: &Word, digest: assay_types::Hash) -> PathBuf {
        self.envelope(name, digest).with_extension("mask")
    }
}
