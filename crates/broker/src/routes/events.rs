//! Orders as they arrive, as server-sent events (WHATWG HTML, 9.2).

use std::convert::Infallible;
use std::time::Duration;

use assay_protocol::ProblemKind;
use assay_storage::Entry;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::unfold;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::answer::Answer;
use super::orders::entry;
use super::parameters::{Range, malformed};
use crate::caller::Caller;
use crate::connection::Stopping;
use crate::error::{Fail, Failure};
use crate::state::App;

/// Orders read from the book at once.
const BATCH: usize = 64;

/// A comment is sent when nothing else was for so long, so that both sides notice a dead
/// connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

impl<S: Send + Sync> FromRequestParts<S> for Follower {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Follower(parts.extensions.get::<Stopping>().cloned()))
    }
}

/// Who follows.
pub(super) struct Follower(Option<Stopping>);

/// Streams orders as they arrive: first those in the book after `after`, then each new one.
///
/// An event's id is its order's sequence. A client that reconnects sends `Last-Event-ID`, which
/// replaces `after`.
#[cfg_attr(feature = "openapi", utoipa::path(
    get,
    path = "/v1/orders/events",
    operation_id = "follow_orders",
    tag = "orders",
    params(
        ("after" = Option<u64>, Query, description = "The last sequence seen; 0 if unset"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The last sequence seen"),
    ),
    responses((
        status = 200,
        body = String,
        content_type = "text/event-stream",
        description = "Events `order`; the data is an OrderEntry"
    ))
))]
pub(super) async fn follow(
    State(app): State<App>,
    _: Caller,
    range: Range,
    Follower(stopping): Follower,
    headers: HeaderMap,
) -> Answer {
    let place = app.followers.clone().try_acquire_owned();
    let busy =
        || ProblemKind::Busy.fail("too many event streams are open").after(Duration::from_secs(5));
    let mut feed = Feed {
        after: last_event(&headers)?.unwrap_or(range.after),
        newest: app.book.newest(),
        batch: Vec::new().into_iter(),
        stopping,
        _place: place.map_err(|_| busy())?,
        app,
    };
    // A broken book is an answer; later it can only be an end.
    feed.read().await?;
    let events =
        unfold(feed, async |mut feed| Some((Ok::<_, Infallible>(feed.next().await?), feed)));
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // nginx would gather events into blocks.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(([unbuffered], sse).into_response())
}

fn last_event(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(id) = headers.get("last-event-id") else { return Ok(None) };
    let id = id.to_str().ok().and_then(|id| id.parse().ok());
    id.map(Some).ok_or_else(|| malformed("last-event-id must be a decimal number"))
}

struct Feed {
    app: App,
    after: u64,
    newest: watch::Receiver<u64>,
    batch: std::vec::IntoIter<Entry>,
    stopping: Option<Stopping>,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    /// The next order's event; none when the server stops or the book fails.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(next) = self.batch.next() {
                self.after = next.sequence;
                // What an older version took and this one can't read must stop nobody.
                let Some(event) = event(next) else { continue };
                return Some(event);
            }
            if self.stopping.as_ref().is_some_and(|Stopping(stop)| *stop.borrow()) {
                return None;
            }
            self.read().await.ok()?;
            if self.batch.len() == 0 {
                tokio::select! {
                    changed = self.newest.changed() => changed.ok()?,
                    () = Stopping::wait(&mut self.stopping) => return None,
                }
            }
        }
    }

    async fn read(&mut self) -> Result<(), Failure> {
        // Seen before it is read: what is committed in between wakes us again.
        self.newest.borrow_and_update();
        let after = self.after;
        self.batch =
            self.app.blocking(move |app| app.book.orders(after, BATCH)).await??.into_iter();
        Ok(())
    }
}

/// An order's event; none for what can't be read, which [`stored`](super::answer::stored) reports.
///
/// INVARIANT: the data has no line break. Outside strings JSON objects have none, and inside them
/// they are escaped.
fn event(order: Entry) -> Option<Event> {
    let order = entry(order).ok()?;
    let data = serde_json::to_string(&order).ok()?;
    Some(Event::default().id(order.sequence.to_string()).event("order").data(data))
}
