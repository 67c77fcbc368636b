//! Offers of providers.

use alloy_primitives::Address;
use assay_protocol::{
    OFFER_SECS_MAX, OfferEntry, OfferPut, OffersPage, ProblemKind, SignedOffer, TERMS_BYTES_MAX,
};
use assay_storage::{Entry, Kind, OrderBook};
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::answer::{Answer, created, json, stored, written};
use super::checks::check_size;
use super::page::page;
use super::parameters::{Account, Range};
use crate::body;
use crate::caller::Caller;
use crate::error::{Fail, Failure};
use crate::state::App;

/// Puts a provider's offer into the book. It replaces the provider's earlier offer if it expires
/// later, so nobody can put an old offer back.
#[cfg_attr(feature = "openapi", utoipa::path(
    put,
    path = "/v1/offers/{provider}",
    operation_id = "put_offer",
    tag = "offers",
    params(("provider" = String, Path, description = "An address")),
    request_body = SignedOffer,
    responses(
        (status = 201, body = OfferPut, description = "It is in the book, durably"),
        (status = 200, body = OfferPut, description = "It was in the book"),
    )
))]
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    Account(provider): Account,
    request: Request,
) -> Answer {
    caller.must_be(provider)?;
    let signed: SignedOffer = body::json(&app.limits, request).await?;
    check_size("an offer's terms", &signed.offer, TERMS_BYTES_MAX)?;
    let now = app.now();
    if signed.until < now || signed.until > now + OFFER_SECS_MAX {
        let detail = format_args!(
            "an offer must expire within {OFFER_SECS_MAX} seconds, and the time is {now}"
        );
        return Err(ProblemKind::TimeImplausible.fail(detail));
    }
    let checked = app.verify(signed, move |signed, deployment| signed.verify(provider, deployment));
    let (signed, ()) = checked.await?;
    let body = written(&signed);

    let _held = app.replacing.lock().await;
    check_newer(&app, provider, &signed).await?;
    let key = provider.into_word();
    let put = |body| app.book.put(Kind::Offer, key.0, provider.into_array(), body);
    let put = match put(body.clone()).await {
        Err(assay_storage::Error::Full { .. }) if remove_expired(&app).await? => put(body).await?,
        other => other?,
    };
    let answer = OfferPut { provider, sequence: put.sequence };
    Ok(json(created(put.is_new), &answer))
}

/// Lists the offers that have not expired, by sequence.
#[cfg_attr(feature = "openapi", utoipa::path(
    get,
    path = "/v1/offers",
    operation_id = "offers",
    tag = "offers",
    params(
        ("after" = Option<u64>, Query, description = "The last sequence seen; 0 if unset"),
        ("limit" = Option<u64>, Query, description = "1 to 500; 100 if unset", minimum = 1, maximum = 500),
    ),
    responses((status = 200, body = OffersPage))
))]
pub(super) async fn list(State(app): State<App>, _: Caller, range: Range) -> Answer {
    let now = app.now();
    let read = |book: &dyn OrderBook, (after, limit)| book.offers_after(after, limit);
    let (mut offers, next) = page(&app, range, read, entry).await?;
    offers.retain(|offer| offer.until >= now);
    Ok(json(StatusCode::OK, &OffersPage { offers, next }))
}

async fn check_newer(app: &App, provider: Address, signed: &SignedOffer) -> Result<(), Failure> {
    let known = app.blocking(move |app| app.book.offer(provider.into_array())).await??;
    let Some(Ok(known)) = known.map(entry) else { return Ok(()) };
    let same = (&known.offer, known.until) == (&signed.offer, signed.until);
    if same || signed.until > known.until {
        return Ok(());
    }
    let detail =
        format_args!("the book has an offer of this provider that expires at {}", known.until);
    Err(ProblemKind::OfferSuperseded.fail(detail))
}

/// True if there was any.
async fn remove_expired(app: &App) -> Result<bool, Failure> {
    let now = app.now();
    let all = app.blocking(|app| app.book.offers()).await??;
    let mut any = false;
    for offer in all.into_iter().filter_map(|found| entry(found).ok()) {
        if offer.until < now {
            any |= app.book.remove_offer(offer.provider.into_array()).await?;
        }
    }
    Ok(any)
}

fn entry(entry: Entry) -> Result<OfferEntry, Failure> {
    let SignedOffer { offer, until, signature } = stored(&entry.body)?;
    let provider = Address::new(entry.author);
    Ok(OfferEntry { sequence: entry.sequence, provider, offer, until, signature })
}
