//! What a broker counts, as Prometheus reads it (its text format, version 0.0.4). Labels are
//! routes' shapes, statuses, and names that are in the source: nothing that came with a request.

use std::fmt::{self, Write};

use assay_protocol::ProblemKind;
use assay_storage::Kind;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::counts::{BUCKETS_MICROS, Counts};
use crate::error::Failure;
use crate::state::{App, Shared};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics` and nothing else.
pub(crate) fn router(app: App) -> Router {
    Router::new().route("/metrics", get(answer)).with_state(app)
}

async fn answer(State(app): State<App>) -> Result<Response, Failure> {
    let text = app.blocking(text).await??;
    Ok(([(header::CONTENT_TYPE, TEXT)], text).into_response())
}

/// All that is counted.
pub(crate) fn text(app: &Shared) -> Result<String, Failure> {
    let mut out = Out(String::new());
    {
        let counts = app.served.counts();
        out.answers(&counts);
        out.durations(&counts);
    }
    out.head("refused_total", "counter", "Requests that were refused, by problem.");
    for kind in ProblemKind::ALL {
        out.line(
            "refused_total",
            format_args!("{{problem=\"{}\"}}", kind.name()),
            app.refused.of(*kind),
        );
    }
    out.head("book_entries", "gauge", "Entries in the book, by kind.");
    for kind in Kind::ALL {
        let label = kind.to_string().replace("'s", "").replace(' ', "_");
        out.line("book_entries", format_args!("{{kind=\"{label}\"}}"), app.book.len(kind)?);
    }
    out.gauge("book_sequence", "The newest sequence of the book.", *app.book.newest().borrow());
    out.gauge("blob_bytes", "Bytes of blobs that are held.", app.blobs.bytes_total());
    out.gauge("blob_bytes_max", "Bytes of blobs at most.", app.blobs.bytes_max());
    if let Some(size) = log_size(app) {
        out.gauge("log_entries", "Entries in the log, by its newest checkpoint.", size);
    }
    Ok(out.0)
}

/// The second line of a checkpoint (c2sp.org/tlog-checkpoint).
fn log_size(app: &Shared) -> Option<u64> {
    let checkpoint = app.log.as_ref()?.sequencer.checkpoint().borrow().clone();
    std::str::from_utf8(&checkpoint).ok()?.lines().nth(1)?.parse().ok()
}

/// Text as it is written.
struct Out(String);

impl Out {
    fn answers(&mut self, counts: &Counts) {
        self.head("requests_total", "counter", "Requests that were answered.");
        for ((method, route, status), count) in &counts.answers {
            let labels =
                format_args!("{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}");
            self.line("requests_total", labels, *count);
        }
    }

    fn durations(&mut self, counts: &Counts) {
        let name = "request_duration_seconds";
        self.head(name, "histogram", "Time until an answer begins.");
        for (route, histogram) in &counts.durations {
            for (count, end) in histogram.buckets.iter().zip(BUCKETS_MICROS) {
                let labels = format_args!("_bucket{{route=\"{route}\",le=\"{}\"}}", Secs(end));
                self.line(name, labels, *count);
            }
            let labels = format_args!("_bucket{{route=\"{route}\",le=\"+Inf\"}}");
            self.line(name, labels, histogram.count);
            self.line(name, format_args!("_sum{{route=\"{route}\"}}"), Secs(histogram.micros));
            self.line(name, format_args!("_count{{route=\"{route}\"}}"), histogram.count);
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        self.line(name, format_args!(""), value);
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a string does not fail.
        let _ = writeln!(self.0, "# HELP assay_broker_{name} {help}");
        let _ = writeln!(self.0, "# TYPE assay_broker_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: fmt::Arguments<'_>, value: impl fmt::Display) {
        let _ = writeln!(self.0, "assay_broker_{name}{labels} {value}");
    }
}

/// Microseconds as seconds.
struct Secs(u64);

impl fmt::Display for Secs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        match micros {
            0 => write!(f, "{secs}"),
            _ => f.write_str(format!("{secs}.{micros:06}").trim_end_matches('0')),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::counts::Served;

    #[test]
    fn times_are_in_seconds_and_buckets_are_cumulative() {
        let shown = [0, 1, 1_000, 1_500_000, 10_000_000].map(|micros| Secs(micros).to_string());
        assert_eq!(shown, ["0", "0.000001", "0.001", "1.5", "10"]);
        let served = Served::default();
        for millis in [1, 7, 60_000] {
            served.count("GET", "/v1/offers", 200, Duration::from_millis(millis));
        }
        let mut out = Out(String::new());
        out.durations(&served.counts());
        for line in [
            "_bucket{route=\"/v1/offers\",le=\"0.001\"} 1",
            "_bucket{route=\"/v1/offers\",le=\"0.005\"} 1",
            "_bucket{route=\"/v1/offers\",le=\"0.01\"} 2",
            "_bucket{route=\"/v1/offers\",le=\"10\"} 2",
            "_bucket{route=\"/v1/offers\",le=\"+Inf\"} 3",
            "_sum{route=\"/v1/offers\"} 60.008",
            "_count{route=\"/v1/offers\"} 3",
        ] {
            let line = format!("assay_broker_request_duration_seconds{line}\n");
            assert!(out.0.contains(&line), "{line} is not in\n{}", out.0);
        }
    }
}
