//! Datasets, and what else their owners publish.

use alloy_primitives::Address;
use assay_contracts::Deployment;
use assay_protocol::{
    DOCUMENTS_LIMIT_MAX, DatasetEntry, DatasetsPage, EntryPut, OwnerDocumentEntry,
    OwnerDocumentsPage, ProblemKind, SignedDataset, SignedOwnerDocument,
};
use reqwest::Method;

use super::BrokerClient;
use crate::error::{Error, Result};

impl BrokerClient {
    /// Puts a dataset into the book, under the name in its document; true if it is new there.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a document without a name and a version, and as every call.
    pub async fn put_dataset(
        &self,
        owner: Address,
        dataset: &SignedDataset,
    ) -> Result<(EntryPut, bool)> {
        let (name, _) = dataset.name_and_version().ok_or_else(|| {
            Error::Config("a dataset's document needs a name (a-z, 0-9, -) and a version".into())
        })?;
        let path = format!("/v1/datasets/{owner}/{name}");
        self.write(Method::PUT, &path, dataset, |put: &EntryPut| put.account == owner).await
    }

    /// A dataset; `None` if its owner has published none of that name.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for a dataset that its owner did not sign, and as every call.
    pub async fn dataset(&self, owner: Address, name: &str) -> Result<Option<DatasetEntry>> {
        let (path, name) = (format!("/v1/datasets/{owner}/{name}"), name.to_owned());
        self.find(&path, ProblemKind::EntryUnknown, move |found: &DatasetEntry, market| {
            let known = found.signed().name_and_version();
            if found.owner != owner || known.is_none_or(|(known, _)| known != name) {
                return Err(Error::bad_answer("it is another dataset"));
            }
            check_dataset(found, market)
        })
        .await
    }

    /// All datasets.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for a dataset that its owner did not sign, and as every call.
    pub async fn datasets(&self) -> Result<Vec<DatasetEntry>> {
        let open = |page: DatasetsPage| (page.datasets, page.next);
        self.list("/v1/datasets", DOCUMENTS_LIMIT_MAX, open, check_dataset).await
    }

    /// Puts an owner's document into the book; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn post_owner_document(
        &self,
        owner: Address,
        document: &SignedOwnerDocument,
    ) -> Result<(EntryPut, bool)> {
        let path = format!("/v1/owners/{owner}/documents");
        self.write(Method::POST, &path, document, |put: &EntryPut| put.account == owner).await
    }

    /// An owner's documents, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for a document that the owner did not sign, and as every call.
    pub async fn owner_documents(&self, owner: Address) -> Result<Vec<OwnerDocumentEntry>> {
        let path = format!("/v1/owners/{owner}/documents");
        let open = |page: OwnerDocumentsPage| (page.documents, page.next);
        self.list(&path, DOCUMENTS_LIMIT_MAX, open, move |entry, market| {
            Ok(entry.signed().verify(owner, market).map(drop)?)
        })
        .await
    }
}

fn check_dataset(dataset: &DatasetEntry, deployment: &Deployment) -> Result<()> {
    Ok(dataset.signed().verify(dataset.owner, deployment)?)
}
