//! A version of a dataset, as its owner publishes it.

use assay_policy::{Document, Policy, Publication};

/// A version of a dataset.
#[derive(Clone, Debug)]
pub struct Version {
    /// What is published.
    pub publication: Document<Publication>,
    /// Under what policy.
    pub policy: Document<Policy>,
}
