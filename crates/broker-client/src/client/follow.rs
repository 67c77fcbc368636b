//! Following orders as they arrive.

use std::time::Duration;

use assay_protocol::OrderEntry;
use reqwest::{Method, Response};

use super::BrokerClient;
use super::entries::check_ascending;
use super::orders::check_order;
use super::request::{Call, unreachable_by};
use crate::error::{Error, Result};

/// A stream that says nothing for so long is dead: a living one says something every 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// One event of a stream in bytes, at most.
const EVENT_BYTES_MAX: usize = 64 << 10;

impl BrokerClient {
    /// Follows the book: orders as they arrive, each once and in order, after a sequence.
    pub fn follow(&self, after: u64) -> Follow {
        Follow { client: self.clone(), after, stream: None, failures: 0 }
    }

    /// An event's order, which must come after the last one.
    async fn event(&self, after: u64, data: &str) -> Result<OrderEntry> {
        let order: OrderEntry = serde_json::from_str(data)
            .map_err(|error| Error::bad_answer(format!("an event does not parse: {error}")))?;
        check_ascending(after, [order.sequence].into_iter())?;
        self.checked(order, check_order).await
    }
}

/// Orders as they arrive. After a break it continues where it was: each order comes once, and none
/// is missed.
#[derive(Debug)]
pub struct Follow {
    client: BrokerClient,
    after: u64,
    stream: Option<(Response, Vec<u8>)>,
    failures: u32,
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
    /// [`Error::BadAnswer`]; [`Error::Refused`] for what is not transient; [`Error::Unreachable`]
    /// when the retries are used up. It may be called again after each.
    pub async fn next(&mut self) -> Result<OrderEntry> {
        loop {
            match self.step().await {
                Ok(Some(order)) => {
                    self.failures = 0;
                    return Ok(order);
                }
                Ok(None) => {}
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
        let Some((response, buffer)) = &mut self.stream else {
            self.stream = Some((self.connect().await?, Vec::new()));
            return Ok(None);
        };
        if let Some((event, end)) = first_event(buffer) {
            let order = match data_of(&event) {
                Some(data) => Some(self.client.event(self.after, &data).await?),
                None => None,
            };
            // Only now: who dropped the future in between gets the event again.
            buffer.drain(..end);
            self.after = order.as_ref().map_or(self.after, |order| order.sequence);
            return Ok(order);
        }
        if buffer.len() > EVENT_BYTES_MAX {
            return Err(Error::bad_answer("an event is too long"));
        }
        let ended = |what: &str| Error::Unreachable { what: what.to_owned() };
        let piece = tokio::time::timeout(SILENCE_MAX, response.chunk()).await;
        let piece =
            piece.map_err(|_| ended("its event stream fell silent"))?.map_err(unreachable_by)?;
        buffer.extend(piece.ok_or_else(|| ended("its event stream ended"))?);
        Ok(None)
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

/// The first whole event of a buffer, and where it ends: at an empty line.
fn first_event(buffer: &[u8]) -> Option<(String, usize)> {
    let end = buffer.windows(2).position(|pair| pair == b"\n\n")? + 2;
    Some((String::from_utf8_lossy(&buffer[..end]).into_owned(), end))
}

/// An event's data; none in a comment.
fn data_of(event: &str) -> Option<String> {
    let data = event.lines().filter_map(|line| line.strip_prefix("data:"));
    let data: Vec<_> = data.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    (!data.is_empty()).then(|| data.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_at_empty_lines_wherever_pieces_end() {
        let text = b":\n\nid: 7\nevent: order\ndata: {\"a\":1}\n\nid: 8";
        let (mut buffer, mut data) = (Vec::new(), Vec::new());
        for byte in text {
            buffer.push(*byte);
            if let Some((event, end)) = first_event(&buffer) {
                buffer.drain(..end);
                data.push(data_of(&event));
            }
        }
        assert_eq!(data, [None, Some("{\"a\":1}".to_owned())]);
        assert_eq!(buffer, b"id: 8");
    }
}
