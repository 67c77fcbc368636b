//! Where orders and blobs are.

mod key_reasons;
mod terms;
mod version;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use assay_broker::{Broker, Limits};
use assay_broker_client::BrokerClient;
use assay_contracts::Deployment;
use assay_contracts::Market;
use assay_machine::Program;
use assay_market::{Account, JobId, Offer, Refusal};
use assay_merkle::empty_slot;
use assay_policy::{Document, Form, Policy, Publication};
use assay_protocol::{
    HashedSlot, KeptWrap, KeyRefusal, KeyWrap, OwnerDocument, SealKeys, SignedDataset,
    SignedKeyRefusal, SignedOffer, SignedOrder, SignedOwnerDocument, SignedRefusal, SignedSealKeys,
    SignedWrap, SlotHasher, dataset_part, recipient_part,
};
use assay_seal::{SealPublic, WrapContext};
use assay_storage::{BlobKind, Blobs, BookLimits, FileBlobs, Kind, OrderBook, RedbBook};
use assay_types::{BlobRoot, Hash, ProgramId, sha256};
use serde::Serialize;
use tokio::sync::watch;

use crate::base::blocking::blocking;
use crate::base::env::Env;
use crate::base::ids::program_id;
use crate::{Error, Result};

pub use key_reasons::KeyReasons;
pub(crate) use terms::terms_of;
pub use version::Version;

/// How many orders are read at once.
const PAGE: usize = 500;

/// How much a board keeps of blobs, in bytes.
const BLOB_BYTES_MAX: u64 = 64 << 30;

/// The largest image of a slot, in bytes: all its leaves in one run (spec/machine.md#slot-images).
const SLOT_SIZE_MAX: u64 = (1 << 29) + (1 << 12);

/// What one step can add to the image of the output, in bytes: a leaf, and the head of its run.
const STEP_SIZE_MAX: u64 = 256 + 8;

/// The pause after a broker failed, however often its client had tried.
const BROKER_PAUSE: Duration = Duration::from_secs(1);

/// Orders, refusals, offers and blobs on disk.
#[derive(Clone)]
pub struct Store {
    book: Arc<dyn OrderBook>,
    blobs: Arc<dyn Blobs>,
}

/// Where a role finds orders, refusals, offers and blobs: in a store of its own, at a broker, or
/// both. With both, what the role has seen once it has, and a broker that dies takes nothing from
/// it. What is read is checked against its name by whoever reads it, so nobody needs to trust who
/// wrote it.
#[derive(Clone)]
pub struct Board {
    store: Option<Store>,
    deployment: Deployment,
    broker: Option<BrokerClient>,
}

impl Store {
    /// Opens the store in a folder, made if need be.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], for instance if another process has it open; [`Error::File`].
    pub fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| Error::file("making", folder, error))?;
        Ok(Store {
            book: RedbBook::open(folder.join("book.redb"), BookLimits::default())?.into(),
            blobs: FileBlobs::open(folder.join("blobs"), BLOB_BYTES_MAX)?.into(),
        })
    }

    /// The store as the broker of a market, to be served.
    pub fn as_broker(&self, env: &Env, deployment: &Deployment, limits: Limits) -> Broker {
        Broker::new(self.book.clone(), self.blobs.clone(), deployment.clone(), limits, env.clone())
    }
}

impl Board {
    /// A store that all roles of a market share.
    pub fn of_store(store: Store, deployment: &Deployment) -> Self {
        Board { store: Some(store), deployment: deployment.clone(), broker: None }
    }

    /// A broker; with a store for what was seen there.
    pub fn of_broker(broker: BrokerClient, store: Option<Store>) -> Self {
        Board { store, deployment: broker.deployment().clone(), broker: Some(broker) }
    }

    fn book(&self) -> Option<&dyn OrderBook> {
        self.store.as_ref().map(|store| &*store.book)
    }

    /// Takes over the broker's orders as they come, until told to stop. Without a broker there is
    /// nothing to do.
    pub(crate) async fn follow(&self, env: &Env, mut stop: watch::Receiver<bool>) {
        let Some(broker) = &self.broker else { return };
        let mut orders = broker.follow(0);
        loop {
            let next = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                next = orders.next() => next,
            };
            let taken = match next {
                Ok(order) => self.keep_order(order.job_id, &order.signed()).await,
                Err(error) => Err(error.into()),
            };
            match taken {
                Ok(()) => {}
                Err(Error::Broker(error @ assay_broker_client::Error::EntryUnreadable { .. })) => {
                    tracing::warn!(%error, "an order is passed over");
                }
                Err(error) => {
                    tracing::warn!(%error, "the broker's orders do not come in");
                    env.sleep(BROKER_PAUSE).await;
                }
            }
        }
    }

    /// Changes when there are new orders.
    pub(crate) fn newest(&self) -> Option<watch::Receiver<u64>> {
        self.book().map(OrderBook::newest)
    }

    /// The job ids of the next orders after a place in the book, with their places.
    pub(crate) fn orders(&self, after: u64) -> Result<Vec<(u64, B256)>> {
        let Some(book) = self.book() else { return Ok(Vec::new()) };
        let entries = book.orders(after, PAGE)?;
        Ok(entries.into_iter().map(|entry| (entry.sequence, entry.key.into())).collect())
    }

    /// An order by its job id. What can't be read, for instance because an older version took it,
    /// is reported and is none: it must not stop what is done for the others.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub(crate) fn order(&self, id: B256) -> Result<Option<SignedOrder>> {
        let Some(book) = self.book() else { return Ok(None) };
        Ok(book.order(id.0)?.and_then(|entry| {
            let order = parse::<SignedOrder>(&entry.body);
            order.inspect_err(|error| tracing::warn!(%id, %error, "an order is passed over")).ok()
        }))
    }

    /// Removes an order that is over from the account's own store, with its refusals and wraps.
    /// Gives whether it was there.
    pub(crate) async fn remove_order(&self, id: B256) -> Result<bool> {
        match self.book() {
            Some(book) => Ok(book.remove_order(id.0).await?),
            None => Ok(false),
        }
    }

    /// Posts an order. The same again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Broker`].
    pub async fn put_order(&self, id: B256, order: &SignedOrder) -> Result<()> {
        self.keep_order(id, order).await?;
        if let Some(broker) = &self.broker {
            broker.post_order(order).await?;
        }
        Ok(())
    }

    async fn keep_order(&self, id: B256, order: &SignedOrder) -> Result<()> {
        self.keep(Kind::Order, id.0, order.order.requester.into_array(), order).await
    }

    /// Publishes a program's ELF.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Broker`].
    pub async fn put_program(&self, program: &Program, elf: Vec<u8>) -> Result<()> {
        let id = program.id();
        self.keep_blob(BlobKind::Program, id.0.0, elf.clone()).await?;
        if let Some(broker) = &self.broker {
            broker.put_program(id, elf).await?;
        }
        Ok(())
    }

    /// Publishes a slot's image.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Broker`].
    pub async fn put_slot(&self, root: BlobRoot, image: Vec<u8>) -> Result<()> {
        let kept = self.keep_blob(BlobKind::Slot, root.0.0, image.clone()).await;
        // A full disk here must not keep it from others.
        if let Some(broker) = &self.broker {
            broker.put_slot(root, image).await?;
        }
        kept
    }

    /// An order's id on this market.
    pub(crate) fn job_id(&self, order: &Market::Order) -> B256 {
        assay_contracts::job_id(&self.deployment, order)
    }

    /// An order by its job id, from wherever it is.
    pub(crate) async fn find_order(&self, id: B256) -> Result<Option<SignedOrder>> {
        if let Some(kept) = self.order(id)? {
            return Ok(Some(kept));
        }
        let Some(broker) = &self.broker else { return Ok(None) };
        let found = broker.order(id).await?.map(|entry| entry.signed());
        // A broker can't name another order by this id: the signature is over it.
        Ok(found.filter(|found| found.verify(&self.deployment) == Ok(id)))
    }

    /// Publishes the keys to which an account wants things sealed, unless they are there.
    pub(crate) async fn put_seal_keys(
        &self,
        signer: &PrivateKeySigner,
        keys: &SealPublic,
        now: u64,
    ) -> Result<()> {
        let account = signer.address();
        if self.seal_keys(account).await?.as_ref() == Some(keys) {
            return Ok(());
        }
        let said = SealKeys { keys: text_object(&keys.to_bytes())?, from: now };
        let signed = SignedSealKeys::sign(said, &self.deployment, signer)?;
        let key = account.into_word().0;
        self.keep(Kind::SealKeys, key, account.into_array(), &signed).await?;
        if let Some(broker) = &self.broker {
            broker.put_seal_keys(account, &signed).await?;
        }
        Ok(())
    }

    /// The keys to which an account wants things sealed, if it has published some that this version
    /// can read.
    pub(crate) async fn seal_keys(&self, account: Address) -> Result<Option<SealPublic>> {
        let signed: Option<SignedSealKeys> = match (&self.broker, self.book()) {
            (Some(broker), _) => broker.seal_keys(account).await?.map(|entry| entry.signed()),
            (None, Some(book)) => {
                let (key, author) = (account.into_word().0, account.into_array());
                let kept = book.entry(Kind::SealKeys, key, author, [0; 32])?;
                kept.map(|entry| parse(&entry.body)).transpose()?
            }
            (None, None) => None,
        };
        let signed = signed.filter(|keys| keys.verify(account, &self.deployment).is_ok());
        Ok(signed.and_then(|signed| SealPublic::from_bytes(signed.keys.as_str().as_bytes()).ok()))
    }

    /// Publishes an envelope under its SHA-256.
    pub(crate) async fn put_envelope(&self, digest: Hash, envelope: Vec<u8>) -> Result<()> {
        self.keep_blob(BlobKind::Envelope, digest.0, envelope.clone()).await?;
        if let Some(broker) = &self.broker {
            broker.put_envelope(digest.0.into(), envelope).await?;
        }
        Ok(())
    }

    /// Whether an envelope is to be had.
    pub(crate) async fn has_envelope(&self, digest: Hash) -> Result<bool> {
        if let Some(Store { blobs, .. }) = self.store.clone()
            && blocking(move || blobs.size(BlobKind::Envelope, digest.0)).await?.is_some()
        {
            return Ok(true);
        }
        match &self.broker {
            Some(broker) => Ok(broker.has_envelope(digest.0.into()).await?),
            None => Ok(false),
        }
    }

    /// An envelope. What is not of its name is none.
    pub(crate) async fn envelope(&self, digest: Hash) -> Result<Option<Vec<u8>>> {
        let kept = self.blob(BlobKind::Envelope, digest.0).await?;
        let found = match (kept, &self.broker) {
            (None, Some(broker)) => {
                let found = broker.envelope(digest.0.into()).await?;
                if let Some(envelope) = &found {
                    self.try_keep_blob(BlobKind::Envelope, digest.0, envelope).await;
                }
                found
            }
            (kept, _) => kept,
        };
        Ok(found.filter(|envelope| sha256(envelope) == digest))
    }

    /// Publishes a wrapped key for who may open it. An owner's first for a job, recipient and slot
    /// stays; gives the digest of the one that does, as far as it is known here.
    pub(crate) async fn put_wrap(
        &self,
        signer: &PrivateKeySigner,
        context: &WrapContext,
        wrap: Vec<u8>,
    ) -> Result<Hash> {
        let (job_id, recipient) = (context.job.0.into(), context.recipient.into());
        let (owner, slot) = (context.owner.into(), context.slot);
        let mut wrap = KeyWrap { job_id, owner, recipient, slot, wrap: wrap.into() };
        let mut signed = SignedWrap::sign(&wrap, &self.deployment, signer)?;
        if let Some(book) = self.book() {
            let (part, author) = (recipient_part(recipient, slot), context.owner);
            let kept = json(&KeptWrap { slot, signed: signed.clone() })?;
            book.put_part(Kind::Wrap, context.job.0, author, part, kept).await?;
            if let Some(first) = book.entry(Kind::Wrap, context.job.0, author, part)? {
                signed = parse::<KeptWrap>(&first.body)?.signed;
                wrap.wrap = signed.wrap.clone();
            }
        }
        if let Some(broker) = &self.broker {
            broker.put_wrap(&wrap, &signed).await?;
        }
        Ok(sha256(&wrap.wrap))
    }

    /// The key of a job's slot that its owner has wrapped for an account, signed by the owner. Only
    /// that one is read, checked and kept: what others have put beside it costs nobody anything.
    pub(crate) async fn wrap(
        &self,
        job: B256,
        recipient: Address,
        (owner, slot): (Address, u8),
    ) -> Result<Option<Vec<u8>>> {
        if let Some(book) = self.book() {
            let (author, part) = (owner.into_array(), recipient_part(recipient, slot));
            let kept = book.entry(Kind::Wrap, job.0, author, part)?;
            let kept = kept.map(|entry| parse::<KeptWrap>(&entry.body)).transpose()?;
            // An owner's first stays, here and there.
            if let Some(KeptWrap { signed, .. }) = kept
                && signed.verify((job, recipient, slot), &self.deployment).is_ok()
            {
                return Ok(Some(signed.wrap.to_vec()));
            }
        }
        let Some(broker) = &self.broker else { return Ok(None) };
        let Some(found) = broker.wrap(job, recipient, (owner, slot)).await? else {
            return Ok(None);
        };
        let kept = KeptWrap { slot, signed: found.signed() };
        self.keep_wrap(job, recipient, &kept).await?;
        Ok(Some(found.wrap.to_vec()))
    }

    async fn keep_wrap(&self, job: B256, recipient: Address, wrap: &KeptWrap) -> Result<()> {
        if let Some(book) = self.book() {
            let part = recipient_part(recipient, wrap.slot);
            let author = wrap.signed.owner.into_array();
            book.put_part(Kind::Wrap, job.0, author, part, json(wrap)?).await?;
        }
        Ok(())
    }

    /// Says, signed, why an account gets no key of a job. The first reason stays.
    pub(crate) async fn refuse_key(
        &self,
        signer: &PrivateKeySigner,
        job_id: B256,
        recipient: Address,
        reasons: &impl Serialize,
        at: u64,
    ) -> Result<()> {
        let owner = signer.address();
        let reason = object(reasons)?;
        let said = KeyRefusal { job_id, owner, recipient, reason, at };
        let signed = SignedKeyRefusal::sign(said, &self.deployment, signer)?;
        if let Some(book) = self.book() {
            let (part, body) = (recipient_part(recipient, 0), json(&signed)?);
            book.put_part(Kind::KeyRefusal, job_id.0, owner.into_array(), part, body).await?;
        }
        if let Some(broker) = &self.broker {
            broker.post_key_refusal(&signed).await?;
        }
        Ok(())
    }

    /// Why key services gave no keys of a job, by owner. What is not signed by its owner is left
    /// out.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Broker`].
    pub async fn key_refusals(&self, job: B256) -> Result<Vec<(Address, KeyReasons)>> {
        let signed: Vec<SignedKeyRefusal> = match (&self.broker, self.book()) {
            (Some(broker), _) => {
                let found = broker.key_refusals(job).await?;
                found.iter().map(|entry| entry.signed()).collect()
            }
            (None, Some(book)) => {
                let page = (0, KEY_REFUSALS_MAX);
                let found = book.entries_about(Kind::KeyRefusal, job.0, page, &|_, _| true)?;
                found.iter().map(|entry| parse(&entry.body)).collect::<Result<_>>()?
            }
            (None, None) => Vec::new(),
        };
        let refusals = signed.into_iter().filter_map(|signed| {
            signed.verify(&self.deployment).ok()?;
            let reasons = serde_json::from_str(signed.refusal.reason.as_str()).ok()?;
            Some((signed.refusal.owner, reasons))
        });
        Ok(refusals.collect())
    }

    /// Publishes what describes a dataset, and its policy.
    pub(crate) async fn put_dataset(
        &self,
        signer: &PrivateKeySigner,
        version: &Version,
    ) -> Result<()> {
        let document = text_object(version.publication.as_bytes())?;
        let policy = text_object(version.policy.as_bytes())?;
        let signed = SignedDataset::sign(document, policy, &self.deployment, signer)?;
        let owner = signer.address();
        if let Some(book) = self.book() {
            let part = dataset_part(version.publication.body().name.as_str());
            let (key, body) = (owner.into_word().0, json(&signed)?);
            book.put_part(Kind::Dataset, key, owner.into_array(), part, body).await?;
        }
        if let Some(broker) = &self.broker {
            broker.put_dataset(owner, &signed).await?;
        }
        Ok(())
    }

    /// What an owner publishes of a dataset, if it does, and its policy is the published one.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Broker`]; [`Error::DatasetInvalid`].
    pub async fn dataset(&self, owner: Address, name: &str) -> Result<Option<Version>> {
        Ok(self.signed_dataset(owner, name).await?.map(|(version, _)| version))
    }

    /// [`Board::dataset`], with its owner's signatures.
    pub(crate) async fn signed_dataset(
        &self,
        owner: Address,
        name: &str,
    ) -> Result<Option<(Version, SignedDataset)>> {
        let signed: Option<SignedDataset> = match (&self.broker, self.book()) {
            (Some(broker), _) => broker.dataset(owner, name).await?.map(|entry| entry.signed()),
            (None, Some(book)) => {
                let (key, author) = (owner.into_word().0, owner.into_array());
                let kept = book.entry(Kind::Dataset, key, author, dataset_part(name))?;
                kept.map(|entry| parse(&entry.body)).transpose()?
            }
            (None, None) => None,
        };
        let Some(signed) = signed else { return Ok(None) };
        let unfit = |what: &dyn std::fmt::Display| Error::DatasetInvalid {
            name: name.to_owned(),
            cause: what.to_string(),
        };
        signed.verify(owner, &self.deployment).map_err(|error| unfit(&error))?;
        let publication = Document::<Publication>::from_bytes(signed.document.as_str().as_bytes());
        let policy = Document::<Policy>::from_bytes(signed.policy.as_str().as_bytes());
        let publication = publication.map_err(|error| unfit(&error))?;
        let policy = policy.map_err(|error| unfit(&error))?;
        let said = publication.body();
        if said.owner.0 != owner.into_array() || said.name.as_str() != name {
            return Err(unfit(&"it was published as another"));
        }
        if said.policy != policy.digest() {
            return Err(unfit(&"its policy is another than it says"));
        }
        Ok(Some((Version { publication, policy }, signed)))
    }

    /// Publishes a document of an owner: a grant or a revocation.
    pub(crate) async fn put_document(
        &self,
        signer: &PrivateKeySigner,
        kind: &str,
        document: &[u8],
    ) -> Result<()> {
        let said = OwnerDocument { kind: kind.to_owned(), document: text_object(document)? };
        let signed = SignedOwnerDocument::sign(said, &self.deployment, signer)?;
        let owner = signer.address();
        if let Some(book) = self.book() {
            let part = signed.verify(owner, &self.deployment);
            let part = part.map_err(|error| Error::NotObject(error.to_string()))?;
            let (key, body) = (owner.into_word().0, json(&signed)?);
            book.put_part(Kind::OwnerDocument, key, owner.into_array(), part.0, body).await?;
        }
        if let Some(broker) = &self.broker {
            broker.post_owner_document(owner, &signed).await?;
        }
        Ok(())
    }

    /// The documents of a kind that an owner has published. What it did not sign is left out.
    pub(crate) async fn documents<T: Form>(
        &self,
        owner: Address,
        kind: &str,
    ) -> Result<Vec<Document<T>>> {
        let signed: Vec<SignedOwnerDocument> = match (&self.broker, self.book()) {
            (Some(broker), _) => {
                let found = broker.owner_documents(owner).await?;
                found.iter().map(|entry| entry.signed()).collect()
            }
            (None, Some(book)) => {
                let (key, page) = (owner.into_word().0, (0, usize::MAX));
                let found = book.entries_about(Kind::OwnerDocument, key, page, &|_, _| true)?;
                found.iter().map(|entry| parse(&entry.body)).collect::<Result<_>>()?
            }
            (None, None) => Vec::new(),
        };
        let holds = |signed: &&SignedOwnerDocument| {
            signed.kind == kind && signed.verify(owner, &self.deployment).is_ok()
        };
        let read = |signed: &SignedOwnerDocument| {
            Document::from_bytes(signed.document.as_str().as_bytes()).ok()
        };
        Ok(signed.iter().filter(holds).filter_map(read).collect())
    }

    async fn keep(
        &self,
        kind: Kind,
        key: [u8; 32],
        author: [u8; 20],
        entry: &impl Serialize,
    ) -> Result<()> {
        if let Some(book) = self.book() {
            book.put(kind, key, author, json(entry)?).await?;
        }
        Ok(())
    }

    /// Keeps what was fetched. Without room it is there all the same, and is fetched again the next
    /// time.
    async fn try_keep_blob(&self, kind: BlobKind, name: [u8; 32], content: &[u8]) {
        if let Err(error) = self.keep_blob(kind, name, content.to_vec()).await {
            tracing::warn!(%error, "what a broker has could not be kept");
        }
    }

    async fn keep_blob(&self, kind: BlobKind, name: [u8; 32], content: Vec<u8>) -> Result<()> {
        let Some(Store { blobs, .. }) = self.store.clone() else { return Ok(()) };
        blocking(move || blobs.put(kind, name, &content)).await?;
        Ok(())
    }

    /// The program that an order names.
    pub(crate) async fn program(&self, order: &Market::Order) -> Result<Program> {
        let id = program_id(order);
        let elf = self.elf(id).await?;
        let refused = |cause: String| Error::Program { id, cause };
        let elf = elf.ok_or_else(|| refused("nobody has published it".into()))?;
        let program = Program::from_elf(&elf).map_err(|error| refused(error.to_string()))?;
        if program.id() == id {
            Ok(program)
        } else {
            Err(refused(format!("what was published is program {}", program.id())))
        }
    }

    async fn elf(&self, id: ProgramId) -> Result<Option<Vec<u8>>> {
        let kept = self.blob(BlobKind::Program, id.0.0).await?;
        let (None, Some(broker)) = (&kept, &self.broker) else { return Ok(kept) };
        let found = broker.program(id).await?;
        if let Some(elf) = &found {
            self.try_keep_blob(BlobKind::Program, id.0.0, elf).await;
        }
        Ok(found)
    }

    /// A slot's image. Whoever loads it must compare the root.
    pub(crate) async fn slot(&self, root: BlobRoot) -> Result<Option<Vec<u8>>> {
        let kept = self.blob(BlobKind::Slot, root.0.0).await?;
        let (None, Some(broker)) = (&kept, &self.broker) else { return Ok(kept) };
        let found = broker.slot(root).await?;
        if let Some(image) = &found {
            self.try_keep_blob(BlobKind::Slot, root.0.0, image).await;
        }
        Ok(found)
    }

    /// Sees to it that a slot's image is here and has its root, without holding it in memory. Tells
    /// what it takes; `None` if it is not to be had.
    ///
    /// # Errors
    ///
    /// [`Error::InputMismatch`], [`Error::Image`] for what is here and is another;
    /// [`Error::Store`], [`Error::Broker`].
    pub(crate) async fn fetch_slot(&self, root: BlobRoot) -> Result<Option<FetchedSlot>> {
        if let Some(Store { blobs, .. }) = self.store.clone()
            && let Some(kept) = blocking(move || kept_slot(&*blobs, root)).await?
        {
            return Ok(Some(kept));
        }
        let Some(broker) = &self.broker else { return Ok(None) };
        let mut draft = match self.store.clone() {
            Some(Store { blobs, .. }) => Some(blocking(move || blobs.begin(BlobKind::Slot)).await?),
            None => None,
        };
        let mut size = 0;
        let keep = |piece: &[u8]| {
            size += piece.len() as u64;
            let kept = draft.as_mut().map_or(Ok(()), |draft| draft.write(piece));
            kept.map_err(std::io::Error::other)
        };
        let Some(HashedSlot { pages, .. }) = broker.slot_to(root, keep).await? else {
            return Ok(None);
        };
        if let Some(draft) = draft {
            blocking(move || draft.finish(root.0.0)).await?;
        }
        Ok(Some(FetchedSlot { size, pages }))
    }

    /// How much room is left where blobs are kept, in bytes; `None` where none are.
    pub(crate) async fn free_size(&self) -> Result<Option<u64>> {
        let Some(Store { blobs, .. }) = self.store.clone() else { return Ok(None) };
        Ok(Some(blocking(move || blobs.free_size()).await))
    }

    /// Whether what is found elsewhere is kept here.
    pub(crate) fn has_store(&self) -> bool {
        self.store.is_some()
    }

    /// Whether there is a broker, which may be away or hang.
    pub(crate) fn has_broker(&self) -> bool {
        self.broker.is_some()
    }

    /// The blobs that are kept beside a broker's, for the account's own use; `None` where others
    /// read them too.
    pub(crate) fn own_blobs(&self) -> Option<&Arc<dyn Blobs>> {
        self.broker.as_ref()?;
        self.store.as_ref().map(|store| &store.blobs)
    }

    /// The most that a job's files can still add to what is kept, in bytes. The size of what is
    /// elsewhere is only known once it is here, and of an output only that no step writes more than
    /// one leaf.
    pub(crate) async fn size_needed(&self, order: &Market::Order) -> Result<u64> {
        let mut needed = order.stepLimit.saturating_mul(STEP_SIZE_MAX).min(SLOT_SIZE_MAX);
        for root in [order.inputRoot, order.datasetRoot] {
            if root.0 != empty_slot().0.0 && !self.has_slot(BlobRoot(Hash(root.0))).await? {
                needed += SLOT_SIZE_MAX;
            }
        }
        Ok(needed)
    }

    async fn has_slot(&self, root: BlobRoot) -> Result<bool> {
        let Some(Store { blobs, .. }) = self.store.clone() else { return Ok(false) };
        Ok(blocking(move || blobs.size(BlobKind::Slot, root.0.0)).await?.is_some())
    }

    async fn blob(&self, kind: BlobKind, name: [u8; 32]) -> Result<Option<Vec<u8>>> {
        let Some(Store { blobs, .. }) = self.store.clone() else { return Ok(None) };
        Ok(blocking(move || blobs.get(kind, name)).await?)
    }

    /// Says, signed, why a provider declines an order. Its first reason stays.
    pub(crate) async fn refuse(&self, signer: &PrivateKeySigner, refusal: &Refusal) -> Result<()> {
        let said = assay_protocol::Refusal {
            job_id: refusal.job.0.into(),
            provider: refusal.provider.0.into(),
            reason: object(&refusal.reason)?,
            at: refusal.at,
        };
        let signed = SignedRefusal::sign(said, &self.deployment, signer)?;
        self.keep(Kind::Refusal, refusal.job.0, refusal.provider.0, &signed).await?;
        if let Some(broker) = &self.broker {
            broker.post_refusal(&signed).await?;
        }
        Ok(())
    }

    /// Why providers decline an order. What is not signed by its provider, or gives a reason that
    /// this version does not know, is left out.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Broker`]; [`Error::BoardDamaged`].
    pub async fn refusals(&self, id: B256) -> Result<Vec<Refusal>> {
        let signed: Vec<SignedRefusal> = match (&self.broker, self.book()) {
            (Some(broker), _) => {
                let found = broker.refusals(id).await?.unwrap_or_default();
                found.iter().map(|entry| entry.signed()).collect()
            }
            (None, Some(book)) => {
                let found = book.refusals(id.0)?;
                found.iter().map(|entry| parse(&entry.body)).collect::<Result<_>>()?
            }
            (None, None) => Vec::new(),
        };
        let holds = |signed: &&SignedRefusal| signed.verify(&self.deployment).is_ok();
        let refusals =
            signed.iter().filter(holds).filter_map(|SignedRefusal { refusal, .. }| {
                Some(Refusal {
                    job: JobId(refusal.job_id.0),
                    provider: Account(refusal.provider.into_array()),
                    reason: serde_json::from_str(refusal.reason.as_str()).ok()?,
                    at: refusal.at,
                })
            });
        Ok(refusals.collect())
    }

    /// Says, signed, what a provider works for.
    pub(crate) async fn offer(&self, signer: &PrivateKeySigner, offer: &Offer) -> Result<()> {
        let said = assay_protocol::Offer { offer: object(offer)?, until: offer.until };
        let signed = SignedOffer::sign(said, &self.deployment, signer)?;
        let provider = signer.address();
        let key = provider.into_word().0;
        self.keep(Kind::Offer, key, provider.into_array(), &signed).await?;
        if let Some(broker) = &self.broker {
            broker.put_offer(provider, &signed).await?;
        }
        Ok(())
    }

    /// What providers say that they work for. What is not signed by its provider, or not in terms
    /// that this version knows, is left out.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Broker`]; [`Error::BoardDamaged`].
    pub async fn offers(&self) -> Result<Vec<Offer>> {
        let signed: Vec<([u8; 20], SignedOffer)> = match (&self.broker, self.book()) {
            (Some(broker), _) => {
                let found = broker.offers().await?;
                found.iter().map(|entry| (entry.provider.into_array(), entry.signed())).collect()
            }
            (None, Some(book)) => {
                let found = book.offers()?;
                let signed = found.iter().map(|entry| Ok((entry.author, parse(&entry.body)?)));
                signed.collect::<Result<_>>()?
            }
            (None, None) => Vec::new(),
        };
        let offers = signed.into_iter().filter_map(|(provider, signed)| {
            signed.verify(provider.into(), &self.deployment).ok()?;
            let offer: Offer = serde_json::from_str(signed.offer.as_str()).ok()?;
            (offer.provider.0 == provider && offer.until == signed.until).then_some(offer)
        });
        Ok(offers.collect())
    }
}

/// A slot's image that was fetched and checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FetchedSlot {
    /// The image's size in bytes.
    pub(crate) size: u64,
    /// How many pages of the slot hold something.
    pub(crate) pages: u32,
}

/// What is read of a blob at once, in bytes.
const PIECE_SIZE: usize = 256 << 10;

/// A slot whose image is kept, if it has its root.
fn kept_slot(blobs: &dyn Blobs, root: BlobRoot) -> Result<Option<FetchedSlot>> {
    let Some((mut blob, size)) = blobs.open_blob(BlobKind::Slot, root.0.0)? else {
        return Ok(None);
    };
    let (mut hasher, mut piece) = (SlotHasher::new(), vec![0; PIECE_SIZE]);
    loop {
        let read = blob.read(&mut piece).map_err(|error| Error::BlobUnreadable { root, error })?;
        if read == 0 {
            break;
        }
        hasher.update(&piece[..read])?;
    }
    let HashedSlot { root: found, pages } = hasher.finish()?;
    if found == root {
        Ok(Some(FetchedSlot { size, pages }))
    } else {
        Err(Error::InputMismatch { root, found })
    }
}

/// The most refusals of one job's keys that are looked at.
const KEY_REFUSALS_MAX: usize = 256;

fn text_object(text: &[u8]) -> Result<assay_protocol::JsonObject> {
    let unfit = |error: &dyn std::fmt::Display| Error::NotObject(error.to_string());
    let text = std::str::from_utf8(text).map_err(|error| unfit(&error))?;
    text.parse().map_err(|error: assay_protocol::JsonObjectError| unfit(&error))
}

fn object(value: &impl Serialize) -> Result<assay_protocol::JsonObject> {
    text_object(&json(value)?)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::NotObject(error.to_string()))
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(Error::BoardDamaged)
}
