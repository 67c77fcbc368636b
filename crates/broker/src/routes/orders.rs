//! The order book.

use alloy_primitives::B256;
use assay_protocol::{ORDER_TERMS_BYTES_MAX, OrderEntry, OrdersPage, ProblemKind, SignedOrder};
use assay_storage::{Entry, Kind, OrderBook};
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::answer::{Answer, json, posted, stored, written};
use super::checks::check_size;
use super::page::page;
use super::parameters::{Name, Range};
use crate::body;
use crate::caller::Caller;
use crate::error::{Fail, Failure};
use crate::state::App;

/// Puts an order into the book, with its terms. Repeating is harmless. The request needs no
/// signature: the order has its own.
#[cfg_attr(feature = "openapi", utoipa::path(
    post,
    path = "/v1/orders",
    operation_id = "post_order",
    tag = "orders",
    request_body = SignedOrder,
    responses(
        (status = 201, body = assay_protocol::Posted, description = "It is in the book, durably"),
        (status = 200, body = assay_protocol::Posted, description = "It was in the book"),
    )
))]
pub(super) async fn post(State(app): State<App>, request: Request) -> Answer {
    let signed: SignedOrder = body::json(&app.limits, request).await?;
    let (deadline, now) = (signed.order.lockDeadline.to::<u64>(), app.now());
    if deadline < now {
        let detail = format_args!("the lock deadline is {deadline}, and the time is {now}");
        return Err(ProblemKind::OrderExpired.fail(detail));
    }
    if let Some(terms) = &signed.terms {
        check_size("an order's terms", terms, ORDER_TERMS_BYTES_MAX)?;
    }
    let (signed, id) = app.verify(signed, SignedOrder::verify).await?;
    let requester = signed.order.requester;
    app.admit(requester, requester, true)?;
    app.take_write(requester)?;
    let body = written(&signed);
    let put = app.book.put(Kind::Order, id.0, requester.into_array(), body).await?;
    Ok(posted(id, put))
}

/// Lists orders by sequence. Whoever reads all pages, and later continues after the last sequence,
/// misses no order.
#[cfg_attr(feature = "openapi", utoipa::path(
    get,
    path = "/v1/orders",
    operation_id = "orders",
    tag = "orders",
    params(
        ("after" = Option<u64>, Query, description = "The last sequence seen; 0 if unset"),
        ("limit" = Option<u64>, Query, description = "1 to 500; 100 if unset", minimum = 1, maximum = 500),
    ),
    responses((status = 200, body = OrdersPage))
))]
pub(super) async fn list(State(app): State<App>, _: Caller, range: Range) -> Answer {
    let read = |book: &dyn OrderBook, (after, limit)| book.orders(after, limit);
    let (orders, next) = page(&app, range, read, entry).await?;
    Ok(json(StatusCode::OK, &OrdersPage { orders, next }))
}

/// Returns an order by its job id.
#[cfg_attr(feature = "openapi", utoipa::path(
    get,
    path = "/v1/orders/{job_id}",
    operation_id = "order",
    tag = "orders",
    params(("job_id" = String, Path, description = "64 hex digits, with 0x or without")),
    responses((status = 200, body = OrderEntry))
))]
pub(super) async fn one(State(app): State<App>, _: Caller, Name(id): Name) -> Answer {
    Ok(json(StatusCode::OK, &entry(known(&app, id).await?)?))
}

/// An order in the book.
pub(super) async fn known(app: &App, id: B256) -> Result<Entry, Failure> {
    let found = app.blocking(move |app| app.book.order(id.0)).await??;
    found.ok_or_else(|| ProblemKind::OrderUnknown.fail(format_args!("the book has no order {id}")))
}

pub(super) fn entry(entry: Entry) -> Result<OrderEntry, Failure> {
    let SignedOrder { order, terms, signature } = stored(&entry.body)?;
    let (sequence, job_id) = (entry.sequence, entry.key.into());
    Ok(OrderEntry { sequence, job_id, order, terms, signature })
}
