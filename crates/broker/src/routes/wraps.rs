//! Wraps: content keys, each encrypted for one account.

use alloy_primitives::{Address, B256};
use assay_machine::slot;
use assay_market::Terms;
use assay_protocol::{
    KeptWrap, Posted, ProblemKind, SignedOrder, SignedWrap, WRAP_BYTES_MAX, WRAP_RECIPIENTS_MAX,
    WrapEntry, WrapsPage, is_for, recipient_part,
};
use assay_storage::{Book, Entry, Kind};
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::answer::{Answer, json, posted, stored, written};
use super::orders;
use super::page::page;
use super::parameters::{JobAndRecipient, Range, WrapPlace};
use crate::body;
use crate::caller::{Caller, not_entitled};
use crate::error::{Fail, Failure};
use crate::state::App;

/// The slots that have keys (spec/machine.md#memory).
const INPUT: u8 = slot::INPUT as u8;
const DATASET: u8 = slot::DATASET as u8;
const OUTPUT: u8 = slot::OUTPUT as u8;

/// Puts a wrapped key into the book, if by the order the key of the slot is its owner's. The
/// owner's first wrap for a job, recipient and slot stays; later ones are ignored.
#[utoipa::path(
    put,
    path = "/v1/wraps/{job_id}/{recipient}/{slot}",
    operation_id = "put_wrap",
    tag = "sealing",
    params(
        ("job_id" = String, Path, description = "64 hex digits, with 0x or without"),
        ("recipient" = String, Path, description = "An address"),
        ("slot" = u8, Path, description = "The slot that the key is for"),
    ),
    request_body = SignedWrap,
    responses(
        (status = 201, body = Posted, description = "It is in the book, durably"),
        (status = 200, body = Posted, description = "The owner has put one before"),
    )
)]
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    WrapPlace(job_id, recipient, slot): WrapPlace,
    request: Request,
) -> Answer {
    let signed: SignedWrap = body::json(&app.limits, request).await?;
    let owner = signed.owner;
    caller.must_be(owner)?;
    if !(1..=WRAP_BYTES_MAX).contains(&signed.wrap.len()) {
        let detail = format_args!("a wrap must have 1 to {WRAP_BYTES_MAX} bytes");
        return Err(ProblemKind::BodyMalformed.fail(detail));
    }
    check_place(&known_order(&app, job_id).await?, owner, recipient, slot)?;
    let place = (job_id, recipient, slot);
    let checked = app.verify(signed, move |signed, deployment| signed.verify(place, deployment));
    let (signed, ()) = checked.await?;
    require_room(&app, job_id, owner, recipient, slot).await?;
    let (part, body) = (recipient_part(recipient, slot), written(&KeptWrap { slot, signed }));
    let put = app.book.put_part(Kind::Wrap, job_id.0, owner.into_array(), part, body).await?;
    Ok(posted(job_id, put))
}

/// Lists the keys of a job that are wrapped for a recipient. The recipient sees all, an owner those
/// it has wrapped; others are refused, whether there are any or not.
#[utoipa::path(
    get,
    path = "/v1/wraps/{job_id}/{recipient}",
    operation_id = "wraps",
    tag = "sealing",
    params(
        ("job_id" = String, Path, description = "64 hex digits, with 0x or without"),
        ("recipient" = String, Path, description = "An address"),
        ("after" = Option<u64>, Query, description = "The last sequence seen; 0 if unset"),
        ("limit" = Option<u64>, Query, description = "1 to 500; 100 if unset", minimum = 1, maximum = 500),
    ),
    responses((status = 200, body = WrapsPage))
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    JobAndRecipient(job_id, recipient): JobAndRecipient,
    range: Range,
) -> Answer {
    let account = caller.account;
    let wanted = move |author: &[u8; 20], part: &[u8; 32]| {
        is_for(recipient, part) && (account == recipient || author[..] == account[..])
    };
    let read = move |book: &Book, page| book.entries_about(Kind::Wrap, job_id.0, page, wanted);
    let (wraps, next) = page(&app, range, read, entry).await?;
    if account != recipient && wraps.is_empty() {
        return Err(not_entitled());
    }
    Ok(json(StatusCode::OK, &WrapsPage { wraps, next }))
}

/// Refuses wraps that the order does not foresee: strangers' wraps would hide the owner's.
fn check_place(
    order: &SignedOrder,
    owner: Address,
    recipient: Address,
    slot: u8,
) -> Result<(), Failure> {
    if ![INPUT, DATASET, OUTPUT].contains(&slot) {
        return Err(ProblemKind::WrapSlot.fail(format_args!("slot {slot} has no key")));
    }
    if !key_owners(order).contains(&(slot, owner)) {
        return Err(ProblemKind::KeyOwner
            .fail(format_args!("by the order, {owner} does not own the key of slot {slot}")));
    }
    if slot == OUTPUT && recipient != order.order.beneficiary {
        return Err(
            ProblemKind::WrapRecipient.fail(format_args!("{recipient} is not the beneficiary"))
        );
    }
    Ok(())
}

/// Who owns the key of which slot: the requester, and whom the terms name as a slot's owner. Terms
/// that do not parse name nobody.
fn key_owners(SignedOrder { order, terms, .. }: &SignedOrder) -> Vec<(u8, Address)> {
    let mut owners = [INPUT, DATASET, OUTPUT].map(|slot| (slot, order.requester)).to_vec();
    let terms = terms.as_ref().and_then(|terms| Terms::from_text(terms.as_str()).ok());
    let named = terms.iter().flat_map(Terms::slots);
    owners.extend(named.map(|(slot, sealed)| (slot, Address::from(sealed.owner.0))));
    owners
}

/// Refuses who has no key of a job at all.
pub(super) async fn require_key_owner(
    app: &App,
    job_id: B256,
    owner: Address,
) -> Result<(), Failure> {
    let order = known_order(app, job_id).await?;
    if key_owners(&order).iter().any(|(_, known)| *known == owner) {
        return Ok(());
    }
    Err(ProblemKind::KeyOwner
        .fail(format_args!("by the order, {owner} does not own a key of this job")))
}

/// Refuses one recipient too many. Puts at once may get past this: the owner's own, and within what
/// the book takes of it.
async fn require_room(
    app: &App,
    job_id: B256,
    owner: Address,
    recipient: Address,
    slot: u8,
) -> Result<(), Failure> {
    let own = recipient_part(recipient, slot);
    let others = move |author: &[u8; 20], part: &[u8; 32]| {
        author[..] == owner[..] && part[20] == slot && *part != own
    };
    let page = (0, WRAP_RECIPIENTS_MAX);
    let found = app.blocking(move |app| app.book.entries_about(Kind::Wrap, job_id.0, page, others));
    if found.await??.len() < WRAP_RECIPIENTS_MAX {
        return Ok(());
    }
    let detail =
        format_args!("one slot's key may be wrapped for {WRAP_RECIPIENTS_MAX} accounts at most");
    Err(ProblemKind::WrapRecipients.fail(detail))
}

async fn known_order(app: &App, id: B256) -> Result<SignedOrder, Failure> {
    stored(&orders::known(app, id).await?.body)
}

fn entry(entry: Entry) -> Result<WrapEntry, Failure> {
    let KeptWrap { slot, signed: SignedWrap { owner, wrap, signature } } = stored(&entry.body)?;
    Ok(WrapEntry { sequence: entry.sequence, owner, slot, wrap, signature })
}

/// Who ordered a job; `None` if the book has no such order.
pub(super) async fn requester_of(app: &App, job_id: B256) -> Result<Option<Address>, Failure> {
    let found = app.blocking(move |app| app.book.order(job_id.0)).await??;
    Ok(found.map(|order| Address::new(order.author)))
}
