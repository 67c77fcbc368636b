//! Seal keys: the public keys of accounts, for which others seal data.

use assay_protocol::{ProblemKind, SEAL_KEYS_BYTES_MAX, SealKeysEntry, SignedSealKeys};
use assay_storage::{Entry, Kind};
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::answer::{Answer, json, put_by, stored, written};
use super::checks::{check_past, check_size};
use super::parameters::Account;
use crate::body;
use crate::caller::Caller;
use crate::error::{Fail, Failure};
use crate::state::{App, Shared};

/// Puts an account's seal keys into the book. They replace its earlier ones if their `from` is
/// later.
#[cfg_attr(feature = "openapi", utoipa::path(
    put,
    path = "/v1/seal-keys/{account}",
    operation_id = "put_seal_keys",
    tag = "sealing",
    params(("account" = String, Path, description = "An address")),
    request_body = SignedSealKeys,
    responses(
        (status = 201, body = assay_protocol::EntryPut, description = "They are in the book, durably"),
        (status = 200, body = assay_protocol::EntryPut, description = "They were in the book"),
    )
))]
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    Account(account): Account,
    request: Request,
) -> Answer {
    caller.must_be(account)?;
    let signed: SignedSealKeys = body::json(&app.limits, request).await?;
    check_size("seal keys", &signed.keys, SEAL_KEYS_BYTES_MAX)?;
    check_past(&app, signed.from)?;
    let checked = app.verify(signed, move |signed, deployment| signed.verify(account, deployment));
    let (signed, ()) = checked.await?;
    let body = written(&signed);

    let (key, author) = (account.into_word().0, account.into_array());
    let _held = app.replacing.lock().await;
    let known = app.blocking(move |app| known(app, key, author)).await??;
    // What can't be read any more is replaced by what can.
    let known = known.and_then(|entry| stored::<SignedSealKeys>(&entry.body).ok());
    if known.is_some_and(|known| known.from >= signed.from && known != signed) {
        return Err(ProblemKind::Superseded
            .fail("the book has keys of this account that are as new, or newer"));
    }
    let put = app.book.put(Kind::SealKeys, key, author, body).await?;
    Ok(put_by(account, put))
}

/// Returns an account's seal keys.
#[cfg_attr(feature = "openapi", utoipa::path(
    get,
    path = "/v1/seal-keys/{account}",
    operation_id = "seal_keys",
    tag = "sealing",
    params(("account" = String, Path, description = "An address")),
    responses((status = 200, body = SealKeysEntry))
))]
pub(super) async fn one(State(app): State<App>, _: Caller, Account(account): Account) -> Answer {
    let (key, author) = (account.into_word().0, account.into_array());
    let found = app.blocking(move |app| known(app, key, author)).await??;
    let found = found
        .ok_or_else(|| ProblemKind::EntryUnknown.fail("the account has published no seal keys"))?;
    let SignedSealKeys { keys, from, signature } = stored(&found.body)?;
    let entry = SealKeysEntry { sequence: found.sequence, account, keys, from, signature };
    Ok(json(StatusCode::OK, &entry))
}

fn known(app: &Shared, key: [u8; 32], author: [u8; 20]) -> Result<Option<Entry>, Failure> {
    Ok(app.book.entry(Kind::SealKeys, key, author, [0; 32])?)
}
