//! Where orders and blobs are.

use std::path::Path;

use alloy_primitives::B256;
use assay_chain::contracts::Market;
use assay_machine::Program;
use assay_market::Refusal;
use assay_store::{BlobKind, Blobs, Book, BookLimits, Kind};
use assay_types::BlobRoot;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::inputs::program_id;
use crate::role::blocking;
use crate::{Error, Result};

/// How many orders are read at once.
const PAGE: usize = 500;

/// How much a board keeps of blobs, in bytes.
const BLOB_BYTES_MAX: u64 = 64 << 30;

/// An order and its requester's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedOrder {
    /// What is ordered.
    pub order: Market::Order,
    /// 65 bytes, or what a contract account takes.
    pub signature: alloy_primitives::Bytes,
}

/// A broker's store, opened in this process: where roles meet. What is read is checked against its name by whoever reads
/// it, so nobody needs to trust who wrote it.
#[derive(Clone)]
pub struct Board {
    /// Orders and refusals.
    book: Book,
    /// Programs and slots.
    blobs: Blobs,
}

impl Board {
    /// Opens the store in a folder, made if need be.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::File`].
    pub fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| Error::file("making", folder, error))?;
        Ok(Board {
            book: Book::open(folder.join("book.redb"), BookLimits::default())?,
            blobs: Blobs::open(folder.join("blobs"), BLOB_BYTES_MAX)?,
        })
    }

    /// Changes when there are new orders.
    pub(crate) fn newest(&self) -> watch::Receiver<u64> {
        self.book.newest()
    }

    /// The job ids of the next orders after a place in the book, with their places.
    pub(crate) fn orders(&self, after: u64) -> Result<Vec<(u64, B256)>> {
        let entries = self.book.orders(after, PAGE)?;
        Ok(entries.into_iter().map(|entry| (entry.sequence, entry.key.into())).collect())
    }

    /// An order by its job id.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]; [`Error::Job`] if what is there is no order.
    pub fn order(&self, id: B256) -> Result<Option<SignedOrder>> {
        self.book.order(id.0)?.map(|entry| parse(&entry.body)).transpose()
    }

    /// Posts an order. The same again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn put_order(&self, id: B256, order: &SignedOrder) -> Result<()> {
        let author = order.order.requester.into_array();
        self.book.put(Kind::Order, id.0, author, json(order)?).await?;
        Ok(())
    }

    /// Publishes a program's ELF.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn put_program(&self, program: &Program, elf: Vec<u8>) -> Result<()> {
        self.put_blob(BlobKind::Program, program.id().0.0, elf).await
    }

    /// Publishes a slot's image.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn put_slot(&self, root: BlobRoot, image: Vec<u8>) -> Result<()> {
        self.put_blob(BlobKind::Slot, root.0.0, image).await
    }

    async fn put_blob(&self, kind: BlobKind, name: [u8; 32], content: Vec<u8>) -> Result<()> {
        let blobs = self.blobs.clone();
        blocking(move || blobs.put(kind, name, &content)).await??;
        Ok(())
    }

    /// The program that an order names.
    pub(crate) async fn program(&self, order: &Market::Order) -> Result<Program> {
        let id = program_id(order);
        let elf = self.blob(BlobKind::Program, id.0.0).await?;
        let refused = |cause: String| Error::Program { id, cause };
        let elf = elf.ok_or_else(|| refused("nobody has published it".into()))?;
        let program = Program::from_elf(&elf).map_err(|error| refused(error.to_string()))?;
        if program.id() == id {
            Ok(program)
        } else {
            Err(refused(format!("what was published is program {}", program.id())))
        }
    }

    /// A slot's image. Whoever loads it must compare the root.
    pub(crate) async fn slot(&self, root: BlobRoot) -> Result<Option<Vec<u8>>> {
        self.blob(BlobKind::Slot, root.0.0).await
    }

    async fn blob(&self, kind: BlobKind, name: [u8; 32]) -> Result<Option<Vec<u8>>> {
        let blobs = self.blobs.clone();
        Ok(blocking(move || blobs.get(kind, name)).await??)
    }

    /// Posts why an order is declined.
    pub(crate) async fn refuse(&self, refusal: Refusal) -> Result<()> {
        let (job, author) = (refusal.job.0, refusal.provider.0);
        self.book.put(Kind::Refusal, job, author, json(&refusal)?).await?;
        Ok(())
    }

    /// Why providers decline an order.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]; [`Error::Job`] if what is there is no refusal.
    pub fn refusals(&self, id: B256) -> Result<Vec<Refusal>> {
        self.book.refusals(id.0)?.iter().map(|entry| parse(&entry.body)).collect()
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::Job(error.to_string()))
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| Error::Job(format!("on the board: {error}")))
}
