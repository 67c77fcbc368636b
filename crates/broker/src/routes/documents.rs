//! Further documents of data owners: grants, revocations.

use assay_protocol::{
    DOCUMENT_BODY_BYTES_MAX, DOCUMENT_BYTES_MAX, DOCUMENTS_LIMIT_MAX, EntryPut, NAME_BYTES_MAX,
    OwnerDocumentEntry, OwnerDocumentsPage, ProblemKind, SignedOwnerDocument, is_name,
};
use assay_storage::{Book, Entry, Kind};
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::answer::{Answer, json, put_by, stored, written};
use super::checks::check_size;
use super::page::page;
use super::parameters::{Account, Range};
use crate::body;
use crate::caller::Caller;
use crate::error::{Fail, Failure};
use crate::state::App;

/// Puts an owner's document into the book, where it stays. Repeating is harmless.
#[utoipa::path(
    post,
    path = "/v1/owners/{owner}/documents",
    operation_id = "post_owner_document",
    tag = "datasets",
    params(("owner" = String, Path, description = "An address")),
    request_body = SignedOwnerDocument,
    responses(
        (status = 201, body = EntryPut, description = "It is in the book, durably"),
        (status = 200, body = EntryPut, description = "It was in the book"),
    )
)]
pub(super) async fn post(
    State(app): State<App>,
    caller: Caller,
    Account(owner): Account,
    request: Request,
) -> Answer {
    caller.must_be(owner)?;
    let signed: SignedOwnerDocument =
        body::json_within(&app.limits, request, DOCUMENT_BODY_BYTES_MAX).await?;
    check_size("a document", &signed.document, DOCUMENT_BYTES_MAX)?;
    if !is_name(&signed.kind) {
        let detail = format_args!(
            "a document's kind must be 1 to {NAME_BYTES_MAX} lower-case letters, digits and -"
        );
        return Err(ProblemKind::BodyMalformed.fail(detail));
    }
    let checked = app.verify(signed, move |signed, deployment| signed.verify(owner, deployment));
    let (signed, hash) = checked.await?;
    let (key, author) = (owner.into_word().0, owner.into_array());
    let put = app.book.put_part(Kind::OwnerDocument, key, author, hash.0, written(&signed)).await?;
    Ok(put_by(owner, put))
}

/// Lists an owner's documents by sequence.
#[utoipa::path(
    get,
    path = "/v1/owners/{owner}/documents",
    operation_id = "owner_documents",
    tag = "datasets",
    params(
        ("owner" = String, Path, description = "An address"),
        ("after" = Option<u64>, Query, description = "The last sequence seen; 0 if unset"),
        ("limit" = Option<u64>, Query, description = "1 to 500, of which 50 are given; 50 if unset", minimum = 1, maximum = 500),
    ),
    responses((status = 200, body = OwnerDocumentsPage))
)]
pub(super) async fn list(
    State(app): State<App>,
    _: Caller,
    Account(owner): Account,
    range: Range,
) -> Answer {
    let key = owner.into_word().0;
    let read =
        move |book: &Book, page| book.entries_about(Kind::OwnerDocument, key, page, |_, _| true);
    let (documents, next) = page(&app, range.within(DOCUMENTS_LIMIT_MAX), read, entry).await?;
    Ok(json(StatusCode::OK, &OwnerDocumentsPage { documents, next }))
}

fn entry(entry: Entry) -> Result<OwnerDocumentEntry, Failure> {
    let SignedOwnerDocument { kind, document, signature } = stored(&entry.body)?;
    Ok(OwnerDocumentEntry { sequence: entry.sequence, kind, document, signature })
}
