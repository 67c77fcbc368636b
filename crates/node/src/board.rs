//! Where orders and blobs are.

use std::path::Path;
use std::time::Duration;

use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use assay_api::{Broker, BrokerClient, Limits, SignedOffer, SignedOrder, SignedRefusal};
use assay_chain::Deployment;
use assay_chain::contracts::Market;
use assay_machine::Program;
use assay_market::{Account, JobId, Offer, Refusal};
use assay_merkle::empty_slot;
use assay_store::{BlobKind, Blobs, Book, BookLimits, Kind};
use assay_types::{BlobRoot, Hash, ProgramId};
use serde::Serialize;
use tokio::sync::watch;

use crate::inputs::program_id;
use crate::role::blocking;
use crate::{Error, Result};

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
    book: Book,
    blobs: Blobs,
}

/// Where a role finds orders, refusals, offers and blobs: in a store of its own, at a broker, or both. With both, what the role
/// has seen once it has, and a broker that dies takes nothing from it. What is read is checked against its name by whoever reads
/// it, so nobody needs to trust who wrote it.
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
            book: Book::open(folder.join("book.redb"), BookLimits::default())?,
            blobs: Blobs::open(folder.join("blobs"), BLOB_BYTES_MAX)?,
        })
    }

    /// The store as the broker of a market, to be served.
    pub fn as_broker(&self, deployment: &Deployment, limits: Limits) -> Broker {
        Broker::new(self.book.clone(), self.blobs.clone(), deployment.clone(), limits)
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

    fn book(&self) -> Option<&Book> {
        self.store.as_ref().map(|store| &store.book)
    }

    /// Takes over the broker's orders as they come, until told to stop. Without a broker there is nothing to do.
    pub(crate) async fn follow(&self, mut stop: watch::Receiver<bool>) {
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
            if let Err(error) = taken {
                tracing::warn!(%error, "the broker's orders do not come in");
                tokio::time::sleep(BROKER_PAUSE).await;
            }
        }
    }

    /// Changes when there are new orders.
    pub(crate) fn newest(&self) -> Option<watch::Receiver<u64>> {
        self.book().map(Book::newest)
    }

    /// The job ids of the next orders after a place in the book, with their places.
    pub(crate) fn orders(&self, after: u64) -> Result<Vec<(u64, B256)>> {
        let Some(book) = self.book() else { return Ok(Vec::new()) };
        let entries = book.orders(after, PAGE)?;
        Ok(entries.into_iter().map(|entry| (entry.sequence, entry.key.into())).collect())
    }

    /// An order by its job id.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]; [`Error::Job`] if what is there is no order.
    pub(crate) fn order(&self, id: B256) -> Result<Option<SignedOrder>> {
        let Some(book) = self.book() else { return Ok(None) };
        book.order(id.0)?.map(|entry| parse(&entry.body)).transpose()
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
    pub async fn put_program(
        &self,
        _: &PrivateKeySigner,
        program: &Program,
        elf: Vec<u8>,
    ) -> Result<()> {
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
    pub async fn put_slot(
        &self,
        _: &PrivateKeySigner,
        root: BlobRoot,
        image: Vec<u8>,
    ) -> Result<()> {
        self.keep_blob(BlobKind::Slot, root.0.0, image.clone()).await?;
        if let Some(broker) = &self.broker {
            broker.put_slot(root, image).await?;
        }
        Ok(())
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

    async fn keep_blob(&self, kind: BlobKind, name: [u8; 32], content: Vec<u8>) -> Result<()> {
        let Some(Store { blobs, .. }) = self.store.clone() else { return Ok(()) };
        blocking(move || blobs.put(kind, name, &content)).await??;
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
            self.keep_blob(BlobKind::Program, id.0.0, elf.clone()).await?;
        }
        Ok(found)
    }

    /// A slot's image. Whoever loads it must compare the root.
    pub(crate) async fn slot(&self, root: BlobRoot) -> Result<Option<Vec<u8>>> {
        let kept = self.blob(BlobKind::Slot, root.0.0).await?;
        let (None, Some(broker)) = (&kept, &self.broker) else { return Ok(kept) };
        let found = broker.slot(root).await?;
        if let Some(image) = &found {
            self.keep_blob(BlobKind::Slot, root.0.0, image.clone()).await?;
        }
        Ok(found)
    }

    /// How much room is left where blobs are kept, in bytes; `None` where none are, or the system does not say.
    pub(crate) async fn free_size(&self) -> Result<Option<u64>> {
        let Some(Store { blobs, .. }) = self.store.clone() else { return Ok(None) };
        blocking(move || blobs.free_size()).await
    }

    /// The most that a job's files can still add to what is kept, in bytes. The size of what is elsewhere is only known once it is
    /// here, and of an output only that no step writes more than one leaf.
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
        Ok(blocking(move || blobs.size(BlobKind::Slot, root.0.0)).await??.is_some())
    }

    async fn blob(&self, kind: BlobKind, name: [u8; 32]) -> Result<Option<Vec<u8>>> {
        let Some(Store { blobs, .. }) = self.store.clone() else { return Ok(None) };
        Ok(blocking(move || blobs.get(kind, name)).await??)
    }

    /// Says, signed, why a provider declines an order. Its first reason stays.
    pub(crate) async fn refuse(&self, signer: &PrivateKeySigner, refusal: &Refusal) -> Result<()> {
        let said = assay_api::Refusal {
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

    /// Why providers decline an order. What is not signed by its provider, or gives a reason that this version does not know, is
    /// left out.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Broker`]; [`Error::Job`] if what is there is no refusal.
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
        let said = assay_api::Offer { offer: object(offer)?, until: offer.until };
        let signed = SignedOffer::sign(said, &self.deployment, signer)?;
        let provider = signer.address();
        let key = provider.into_word().0;
        self.keep(Kind::Offer, key, provider.into_array(), &signed).await?;
        if let Some(broker) = &self.broker {
            broker.put_offer(provider, &signed).await?;
        }
        Ok(())
    }

    /// What providers say that they work for. What is not signed by its provider, or not in terms that this version knows, is
    /// left out.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Broker`]; [`Error::Job`] if what is there is no offer.
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

fn object(value: &impl Serialize) -> Result<assay_api::JsonObject> {
    let text = serde_json::to_string(value).map_err(|error| Error::Job(error.to_string()))?;
    text.parse().map_err(|error| Error::Job(format!("{error}")))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::Job(error.to_string()))
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| Error::Job(format!("on the board: {error}")))
}
