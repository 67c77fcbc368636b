//! Datasets: their documents and policies, published by their owners.

use alloy_primitives::Address;
use assay_protocol::{
    DOCUMENT_BODY_BYTES_MAX, DOCUMENT_BYTES_MAX, DOCUMENTS_LIMIT_MAX, DatasetEntry, DatasetsPage,
    ProblemKind, SignedDataset, dataset_part,
};
use assay_storage::{Entry, Kind, OrderBook};
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::answer::{Answer, json, put_by, stored, written};
use super::checks::check_size;
use super::page::page;
use super::parameters::{DatasetPlace, Range};
use crate::body;
use crate::caller::Caller;
use crate::error::{Fail, Failure};
use crate::state::{App, Shared};

/// Puts a dataset into the book. It replaces the owner's dataset of the same name if its version is
/// higher.
#[cfg_attr(feature = "openapi", utoipa::path(
    put,
    path = "/v1/datasets/{owner}/{name}",
    operation_id = "put_dataset",
    tag = "datasets",
    params(
        ("owner" = String, Path, description = "An address"),
        ("name" = String, Path, description = "1 to 64 lower-case letters, digits and -"),
    ),
    request_body = SignedDataset,
    responses(
        (status = 201, body = assay_protocol::EntryPut, description = "It is in the book, durably"),
        (status = 200, body = assay_protocol::EntryPut, description = "It was in the book"),
    )
))]
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    DatasetPlace(owner, name): DatasetPlace,
    request: Request,
) -> Answer {
    caller.must_be(owner)?;
    let signed: SignedDataset =
        body::json_within(&app.limits, request, DOCUMENT_BODY_BYTES_MAX).await?;
    let version = check_documents(&signed, &name)?;
    let checked = app.verify(signed, move |signed, deployment| signed.verify(owner, deployment));
    let (signed, ()) = checked.await?;
    let body = written(&signed);

    let _held = app.replacing.lock().await;
    let known =
        app.blocking(move |app| known(app, owner, &name).map(|found| (found, name))).await?;
    let (known, name) = known?;
    // What can't be read any more is replaced by what can.
    let known = known.and_then(|entry| stored::<SignedDataset>(&entry.body).ok());
    let is_older = |known: &SignedDataset| {
        known.name_and_version().is_some_and(|(_, known)| known >= version) && *known != signed
    };
    if known.as_ref().is_some_and(is_older) {
        return Err(ProblemKind::Superseded.fail("the book has this version, or a higher one"));
    }
    let (key, author) = (owner.into_word().0, owner.into_array());
    let put = app.book.put_part(Kind::Dataset, key, author, dataset_part(&name), body).await?;
    Ok(put_by(owner, put))
}

/// Returns a dataset.
#[cfg_attr(feature = "openapi", utoipa::path(
    get,
    path = "/v1/datasets/{owner}/{name}",
    operation_id = "dataset",
    tag = "datasets",
    params(
        ("owner" = String, Path, description = "An address"),
        ("name" = String, Path, description = "1 to 64 lower-case letters, digits and -"),
    ),
    responses((status = 200, body = DatasetEntry))
))]
pub(super) async fn one(
    State(app): State<App>,
    _: Caller,
    DatasetPlace(owner, name): DatasetPlace,
) -> Answer {
    let found = app.blocking(move |app| known(app, owner, &name)).await??;
    let found = found.ok_or_else(|| {
        ProblemKind::EntryUnknown.fail("the owner has published no dataset of this name")
    })?;
    Ok(json(StatusCode::OK, &entry(found)?))
}

/// Lists datasets by sequence. One that was replaced gets a new sequence, so it is listed again.
#[cfg_attr(feature = "openapi", utoipa::path(
    get,
    path = "/v1/datasets",
    operation_id = "datasets",
    tag = "datasets",
    params(
        ("after" = Option<u64>, Query, description = "The last sequence seen; 0 if unset"),
        ("limit" = Option<u64>, Query, description = "1 to 500, of which 50 are given; 50 if unset", minimum = 1, maximum = 500),
    ),
    responses((status = 200, body = DatasetsPage))
))]
pub(super) async fn list(State(app): State<App>, _: Caller, range: Range) -> Answer {
    let read = |book: &dyn OrderBook, (after, limit)| book.entries(Kind::Dataset, after, limit);
    let (datasets, next) = page(&app, range.within(DOCUMENTS_LIMIT_MAX), read, entry).await?;
    Ok(json(StatusCode::OK, &DatasetsPage { datasets, next }))
}

/// The version, if the documents have their sizes and the name is the path's: the owner's signature
/// is over the document, so nobody can show one dataset as another.
fn check_documents(signed: &SignedDataset, name: &str) -> Result<u64, Failure> {
    check_size("a dataset's document", &signed.document, DOCUMENT_BYTES_MAX)?;
    check_size("a policy", &signed.policy, DOCUMENT_BYTES_MAX)?;
    match signed.name_and_version() {
        Some((found, version)) if found == name => Ok(version),
        Some(_) => {
            Err(ProblemKind::BodyMalformed
                .fail("the name in the document is not the one in the path"))
        }
        None => {
            Err(ProblemKind::BodyMalformed.fail("a dataset's document needs a name and a version"))
        }
    }
}

fn known(app: &Shared, owner: Address, name: &str) -> Result<Option<Entry>, Failure> {
    let (key, author) = (owner.into_word().0, owner.into_array());
    Ok(app.book.entry(Kind::Dataset, key, author, dataset_part(name))?)
}

fn entry(entry: Entry) -> Result<DatasetEntry, Failure> {
    let SignedDataset { document, signature, policy, policy_signature } = stored(&entry.body)?;
    let (sequence, owner) = (entry.sequence, Address::new(entry.author));
    Ok(DatasetEntry { sequence, owner, document, signature, policy, policy_signature })
}
