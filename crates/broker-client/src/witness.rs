//! A client of one witness of a log (c2sp.org/tlog-witness).

use std::time::Duration;

use assay_tlog::AddCheckpoint;

use crate::error::{Error, Result};

/// An answer in bytes, at most: signature lines.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How long a witness may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A witness's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cosigned {
    /// It cosigned: signature lines.
    Lines(Vec<u8>),
    /// It has last cosigned another size: this one.
    Stale(u64),
    /// It has cosigned a tree from which this one does not go on, in its words.
    Contradicts(String),
}

/// A client of one witness.
#[derive(Clone)]
pub struct WitnessClient {
    http: reqwest::Client,
    url: reqwest::Url,
}

impl WitnessClient {
    /// A client of the witness at a URL.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the URL is malformed.
    pub fn new(url: &str) -> Result<Self> {
        let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        let url = reqwest::Url::parse(&url)
            .map_err(|error| Error::Config(format!("the witness's URL does not parse: {error}")))?;
        // Fails only if a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Config(format!("no HTTP client: {error}")))?;
        Ok(WitnessClient { http, url })
    }

    /// Asks for a cosignature, once. The caller has to check the lines.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`]; [`Error::BadAnswer`] for a refusal.
    pub async fn add_checkpoint(&self, asked: &AddCheckpoint) -> Result<Cosigned> {
        let unreachable =
            |error: reqwest::Error| Error::Unreachable { what: error.without_url().to_string() };
        let sent = self.http.post(self.url.clone()).body(asked.to_bytes()).send().await;
        let mut response = sent.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            body.extend(piece);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(Error::bad_answer("a witness's answer is too long"));
            }
        }
        let text = String::from_utf8_lossy(&body);
        match status.as_u16() {
            200 => Ok(Cosigned::Lines(body)),
            409 if text.trim().parse::<u64>().is_ok() => {
                Ok(Cosigned::Stale(text.trim().parse().unwrap_or_default()))
            }
            409 | 422 => Ok(Cosigned::Contradicts(text.trim().to_owned())),
            _ => Err(Error::bad_answer(format!("a witness refuses ({status}): {}", text.trim()))),
        }
    }
}
