//! Following orders as they arrive.
//!
//! What can't be read is reported once and passed over: one order must not keep all that come after
//! it from anyone. Where the stream itself can't be read, the book is read page by page up to its
//! end, and then followed again.

use std::collections::VecDeque;
use std::time::Duration;

use assay_protocol::OrderEntry;
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::BrokerClient;
use super::entries::check_ascending;
use super::event_stream::{Event, EventStream};
use super::orders::check_order;
use super::request::{Call, unreachable_by};
use crate::error::{Error, Result};

/// A stream that says nothing for so long is dead: a living one says something every 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// How many orders are asked for in a page.
const PAGE: u64 = 100;

impl BrokerClient {
    /// Follows the book: orders as they arrive, each once and in order, after a sequence.
    pub fn follow(&self, after: u64) -> Follow {
        Follow {
            client: self.clone(),
            after,
            stream: None,
            is_paging: false,
            ready: VecDeque::new(),
            failures: 0,
        }
    }

    /// An order as it came, which must come after the last one.
    async fn order_of(&self, after: u64, text: &str) -> Result<OrderEntry> {
        let order: OrderEntry = serde_json::from_str(text)
            .map_err(|error| Error::bad_answer(format!("it does not parse: {error}")))?;
        check_ascending(after, [order.sequence].into_iter())?;
        self.checked(order, check_order).await
    }
}

/// Orders as they arrive. After a break it continues where it was: each order comes once, and none
/// that can be read is missed.
#[derive(Debug)]
pub struct Follow {
    client: BrokerClient,
    after: u64,
    stream: Option<Stream>,
    /// The stream can't be read, so pages are, up to the book's end.
    is_paging: bool,
    /// What pages have brought, each with its sequence.
    ready: VecDeque<(u64, Result<OrderEntry>)>,
    failures: u32,
}

#[derive(Debug)]
struct Stream {
    response: Response,
    /// What has come and was not read yet, last byte first.
    bytes: Vec<u8>,
    events: EventStream,
    /// The event that is being checked: who drops the future meanwhile gets it again.
    event: Option<Event>,
}

/// A page, of which any order may be one that can't be read.
#[derive(Deserialize)]
struct Page {
    orders: Vec<Box<RawValue>>,
    next: Option<u64>,
}

/// All that must be read of an order to pass over it.
#[derive(Deserialize)]
struct Place {
    sequence: u64,
}

impl Follow {
    /// The sequence to continue after, for whoever keeps it over a restart.
    pub fn after(&self) -> u64 {
        self.after
    }

    /// The next order, whenever it comes. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`Error::EntryUnreadable`] for an order that can't be read, once; [`Error::BadAnswer`] where
    /// nothing can; [`Error::Refused`] for what is not transient; [`Error::Unreachable`] when the
    /// retries are used up. It may be called again after each.
    pub async fn next(&mut self) -> Result<OrderEntry> {
        loop {
            match self.step().await {
                Ok(Some(order)) => {
                    self.failures = 0;
                    return Ok(order);
                }
                Ok(None) => {}
                // The others are in order.
                Err(error @ Error::EntryUnreadable { .. }) => return Err(error),
                Err(error) => {
                    self.stream = None;
                    if !error.is_retryable() || self.failures >= self.client.config.retries {
                        self.failures = 0;
                        return Err(error);
                    }
                    let pause = self.client.pause(self.failures, &error);
                    self.failures += 1;
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// An order, or `None` if there is more to read first.
    async fn step(&mut self) -> Result<Option<OrderEntry>> {
        if let Some((sequence, order)) = self.ready.pop_front() {
            self.after = sequence;
            return order.map(Some).map_err(|error| unreadable(sequence, error));
        }
        if self.is_paging {
            self.read_page().await?;
            return Ok(None);
        }
        let Some(stream) = &mut self.stream else {
            let response = self.connect().await?;
            let (bytes, events, event) = (Vec::new(), EventStream::default(), None);
            self.stream = Some(Stream { response, bytes, events, event });
            return Ok(None);
        };
        if let Some(event) = &stream.event {
            let order = self.client.order_of(self.after, &event.data).await;
            let place = event.id.as_ref().and_then(|id| id.parse().ok());
            let event = stream.event.take();
            return match (order, place) {
                (Ok(order), _) => {
                    self.after = order.sequence;
                    Ok(Some(order))
                }
                (Err(error @ Error::BadAnswer { .. }), Some(place)) if place > self.after => {
                    self.after = place;
                    Err(unreadable(place, error))
                }
                // Nobody knows where to go on.
                (Err(error @ Error::BadAnswer { .. }), _) => Err(self.page_after(error)),
                (Err(error), _) => {
                    stream.event = event;
                    Err(error)
                }
            };
        }
        while let Some(byte) = stream.bytes.pop() {
            match stream.events.take(byte) {
                Ok(None) => {}
                Ok(Some(event)) => {
                    stream.event = Some(event);
                    return Ok(None);
                }
                Err(error) => {
                    let error = Error::bad_answer(error.to_string());
                    return Err(self.page_after(error));
                }
            }
        }
        let ended = |what: &str| Error::Unreachable { what: what.to_owned() };
        let piece = tokio::time::timeout(SILENCE_MAX, stream.response.chunk()).await;
        let piece =
            piece.map_err(|_| ended("its event stream fell silent"))?.map_err(unreachable_by)?;
        let piece = piece.ok_or_else(|| ended("its event stream ended"))?;
        stream.bytes.extend(piece.iter().rev());
        Ok(None)
    }

    /// What is wrong with the stream; from now on pages are read instead.
    fn page_after(&mut self, error: Error) -> Error {
        self.is_paging = true;
        error
    }

    /// Reads a page, each order of it for itself; the last one ends the paging.
    async fn read_page(&mut self) -> Result<()> {
        let path = format!("/v1/orders?after={}&limit={PAGE}", self.after);
        let page: Page = self.client.read(&path).await?;
        let (mut after, mut ready) = (self.after, VecDeque::new());
        for text in &page.orders {
            // What has no place can't be passed over, and the next page begins after it anyway.
            let Ok(Place { sequence }) = serde_json::from_str(text.get()) else { continue };
            check_ascending(after, [sequence].into_iter())?;
            let order = match self.client.order_of(after, text.get()).await {
                Err(error) if !matches!(error, Error::BadAnswer { .. }) => return Err(error),
                order => order,
            };
            ready.push_back((sequence, order));
            after = sequence;
        }
        match page.next {
            Some(next) if next <= self.after => {
                return Err(Error::bad_answer("its list does not end"));
            }
            Some(next) if ready.is_empty() => self.after = next,
            Some(_) => {}
            None => self.is_paging = false,
        }
        self.ready = ready;
        Ok(())
    }

    async fn connect(&self) -> Result<Response> {
        let url = format!("/v1/orders/events?after={}", self.after);
        // Without an end: what is silent is noticed while reading.
        let call = Call { timeout: Duration::MAX, ..self.client.call(Method::GET, &url) };
        let attempt = self.client.attempt(&call, &|request| request);
        let connected = tokio::time::timeout(self.client.config.request_timeout, attempt);
        let silent = |_| Error::Unreachable { what: "it does not answer in time".to_owned() };
        connected.await.map_err(silent)?
    }
}

fn unreadable(sequence: u64, error: Error) -> Error {
    match error {
        Error::BadAnswer { what } => Error::EntryUnreadable { sequence, what },
        other => other,
    }
}
