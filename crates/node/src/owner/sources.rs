//! What data is made of: other datasets, of its owner or of others, whose rules go on to hold
//! (spec/policy.md#two-datasets-combined).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::str::FromStr;

use alloy_primitives::Address;
use assay_policy::{
    DatasetName, Document, Grant, Policy, Revocation, Source, Spent, Word, is_as_strict, stricter,
};
use assay_types::Account;

use crate::board::{Board, Version};
use crate::owner::datasets::Datasets;
use crate::{Error, Result};

/// A dataset as a person names it: `NAME`, the owner's own, or `OWNER/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceName {
    /// Whose; `None` for the owner's own.
    pub owner: Option<Address>,
    /// What its owner calls it.
    pub name: Word,
}

/// Why a text names no dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a dataset is NAME, one of your own, or OWNER/NAME, by the owner's address: write it so")]
pub struct SourceNameError;

impl FromStr for SourceName {
    type Err = SourceNameError;

    fn from_str(text: &str) -> Result<Self, SourceNameError> {
        let (owner, name) = match text.split_once('/') {
            Some((owner, name)) => (Some(owner.parse().map_err(|_| SourceNameError)?), name),
            None => (None, text),
        };
        Ok(SourceName { owner, name: name.parse().map_err(|_| SourceNameError)? })
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner {
            Some(owner) => write!(f, "{owner}/{}", self.name),
            None => self.name.fmt(f),
        }
    }
}

/// What data is made of, as it stands now.
#[derive(Clone, Debug)]
pub struct MadeOf {
    /// What the publication says of it.
    pub source: Source,
    /// Its newest policy that is known here; `None` if none is, and then no key goes out.
    pub policy: Option<Document<Policy>>,
    /// Whether it is the same owner's. Of another's, only what is spent here is known.
    pub is_own: bool,
    /// What is spent of it, as far as the ledger here knows.
    pub spent: Spent,
    /// Whether the policy of what was made of it permits more, so that no key goes out until it is
    /// published again.
    pub is_laxer: bool,
}

/// Takes over what another owner publishes of a dataset now: its newest version, its grants and its
/// revocations. `None` if it publishes no such dataset.
pub(crate) async fn take_over(
    board: &Board,
    datasets: &Datasets,
    dataset: &DatasetName,
) -> Result<Option<Version>> {
    let (owner, name) = (Address::from(dataset.owner.0), dataset.name.as_str());
    let kept = datasets.by(owner);
    let Some((version, signed)) = board.signed_dataset(owner, name).await? else { return Ok(None) };
    let number = |version: &Version| version.publication.body().version;
    let newest = kept.newest(name)?;
    // A broker can show an older one. What is known once goes on to hold.
    if newest.as_ref().is_none_or(|newest| number(newest) < number(&version)) {
        let signed = serde_json::to_vec(&signed).map_err(|error| Error::Job(error.to_string()))?;
        kept.keep_signed(&version, &signed)?;
        kept.keep(&version)?;
    }
    let ours = |of: Account, called: &Word| of == dataset.owner && *called == dataset.name;
    for revocation in board.documents::<Revocation>(owner, "revocation").await? {
        if ours(revocation.body().owner, &revocation.body().name) {
            kept.keep_revocation(&revocation)?;
        }
    }
    for grant in board.documents::<Grant>(owner, "grant").await? {
        if ours(grant.body().owner, &grant.body().name) {
            kept.keep_grant(&grant)?;
        }
    }
    kept.newest(name)
}

/// What data is made of that is made of these, with what they are made of, each by its newest
/// policy.
pub(crate) async fn resolve(
    board: Option<&Board>,
    datasets: &Datasets,
    named: &[SourceName],
) -> Result<Vec<(Source, Document<Policy>)>> {
    let mut found = BTreeMap::new();
    let mut parts = Vec::new();
    for SourceName { owner, name } in named {
        let owner = Account(owner.unwrap_or(datasets.owner()).into_array());
        let dataset = DatasetName { owner, name: name.clone() };
        let version = newest(board, datasets, &dataset).await?;
        parts.extend(version.publication.body().sources.iter().cloned());
        let number = version.publication.body().version;
        let source =
            Source { owner, name: name.clone(), version: number, policy: version.policy.digest() };
        found.insert(dataset, (source, version.policy));
    }
    for part in parts {
        match found.entry(part.dataset()) {
            // Taken of two versions, it ends with the older.
            Entry::Occupied(mut found) => {
                let source = &mut found.get_mut().0;
                source.version = source.version.min(part.version);
            }
            Entry::Vacant(place) => {
                let policy = newest(board, datasets, place.key()).await?.policy;
                place.insert((Source { policy: policy.digest(), ..part }, policy));
            }
        }
    }
    Ok(found.into_values().collect())
}

async fn newest(
    board: Option<&Board>,
    datasets: &Datasets,
    dataset: &DatasetName,
) -> Result<Version> {
    let owner = Address::from(dataset.owner.0);
    if owner == datasets.owner() {
        let missing =
            || Error::Job(format!("there is no dataset {:?} here", dataset.name.as_str()));
        let name = dataset.name.as_str();
        let newest = datasets.newest(name)?.ok_or_else(missing)?;
        // The data is what was sealed last, its policy the one that holds.
        let policy = datasets.in_force(name)?.map_or(newest.policy, |version| version.policy);
        return Ok(Version { publication: newest.publication, policy });
    }
    let apart = || Error::Job(format!("{dataset} is another owner's: name a market to read it at"));
    let missing = || Error::Job(format!("nobody publishes {dataset} here"));
    take_over(board.ok_or_else(apart)?, datasets, dataset).await?.ok_or_else(missing)
}

/// The sources as they are known here now, each by its newest policy.
pub(crate) fn as_kept<'a>(
    datasets: &Datasets,
    sources: impl IntoIterator<Item = &'a Source>,
) -> Result<Vec<(Source, Document<Policy>)>> {
    let kept = |source: &Source| {
        let missing = || Error::Job(format!("nothing is kept here of {}", source.dataset()));
        let policy = datasets.newest_of(source)?.ok_or_else(missing)?.policy;
        Ok((Source { policy: policy.digest(), ..source.clone() }, policy))
    };
    sources.into_iter().map(kept).collect()
}

/// The stricter rule of a draft and all sources on every point; without a draft, of the sources
/// alone.
pub(crate) fn strictest(
    draft: Option<Document<Policy>>,
    sources: &[(Source, Document<Policy>)],
) -> Result<Document<Policy>> {
    let unfit = |error: assay_policy::DocumentError| Error::Job(error.to_string());
    let mut policies = draft.iter().chain(sources.iter().map(|(_, policy)| policy));
    let nothing = || Policy::deny_all().finish().map_err(unfit);
    let first = policies.next().map_or_else(nothing, |first| Ok(first.clone()))?;
    policies.try_fold(first, |so_far, policy| stricter(&so_far, policy)).map_err(unfit)
}

/// What a version is made of, with what is known of it here.
pub(crate) fn made_of(datasets: &Datasets, version: &Version) -> Result<Vec<MadeOf>> {
    let said = version.publication.body();
    let ledger = datasets.ledger()?;
    let made = said.sources.iter().map(|source| {
        let policy = datasets.newest_of(source)?.map(|newest| newest.policy);
        let is_laxer = policy.as_ref().is_none_or(|policy| !is_as_strict(&version.policy, policy));
        let (is_own, spent) = (source.owner == said.owner, ledger.spent(&source.dataset()));
        Ok(MadeOf { source: source.clone(), policy, is_own, spent, is_laxer })
    });
    made.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_are_named_by_owner_and_name() {
        let owner = "0x4dF9c73604c2eaD7d936fFB90dB0ccd268b06833";
        for named in ["visits", &format!("{owner}/visits")] {
            let read: SourceName = named.parse().expect("a name");
            assert_eq!(read.to_string(), named);
            assert_eq!(read.owner.is_some(), named.contains('/'));
        }
        for bad in ["", "/", "Visits", "me/visits", &format!("{owner}/"), &format!("{owner}/a/b")] {
            assert_eq!(bad.parse::<SourceName>(), Err(SourceNameError), "{bad}");
        }
    }
}
