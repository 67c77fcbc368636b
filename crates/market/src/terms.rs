//! What an order agrees besides what the contract reads (spec/pricing.md#terms).

use assay_types::{Hash, sha256};
use serde::{Deserialize, Serialize};

use crate::Account;

/// What [`Terms`] begin with.
pub const TERMS_SCHEMA: &str = "assay.terms/1";

/// The most auditors that an order names.
pub const AUDITORS_MAX: usize = 16;

/// The most bytes of a purpose.
pub const PURPOSE_SIZE_MAX: usize = 64;

/// What was agreed off chain. The order's `termsHash` is the SHA-256 of its text, so a provider, an
/// auditor and a data owner that act on an order act on these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// [`TERMS_SCHEMA`].
    pub schema: String,
    /// How the input is sealed; null if it is public.
    #[serde(deserialize_with = "present")]
    pub input: Option<SealedSlot>,
    /// How the dataset is sealed; null if it is public, or there is none.
    #[serde(deserialize_with = "present")]
    pub dataset: Option<SealedSlot>,
    /// The job whose result the input is, by the requester's word: under seal the two have no root
    /// in common. Null for no job's.
    #[serde(deserialize_with = "present")]
    pub input_of: Option<Hash>,
    /// Who gets the keys besides the provider, to check the claim, ascending.
    pub auditors: Vec<Account>,
    /// The least reputation of a provider, in basis points; null for any.
    #[serde(deserialize_with = "present")]
    pub reputation_min: Option<u16>,
}

/// A slot's image under seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedSlot {
    /// The SHA-256 of the envelope, by which it is found.
    pub envelope: Hash,
    /// The envelope's size in bytes.
    pub bytes: u64,
    /// Who holds the key and decides about it.
    pub owner: Account,
    /// The digest of the owner's policy that is agreed to; null for an input, about which the
    /// requester decides by ordering.
    #[serde(deserialize_with = "present")]
    pub policy: Option<Hash>,
    /// What it is to be used for, at most [`PURPOSE_SIZE_MAX`] bytes; null where there is no
    /// policy.
    #[serde(deserialize_with = "present")]
    pub purpose: Option<String>,
}

/// Why terms are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// The text is not the JSON of terms, or not the text that these terms would be written as.
    #[error("the terms are not in their one form ({0}): write them as spec/pricing.md#terms says")]
    Form(String),
    /// The auditors are too many, or not ascending.
    #[error("terms name at most {AUDITORS_MAX} auditors, each once, ascending")]
    Auditors,
    /// A purpose is empty or too long, or stands without a policy, or is missing beside one.
    #[error("a policy and a purpose of 1 to {PURPOSE_SIZE_MAX} bytes go together")]
    Purpose,
    /// An input under a policy.
    #[error("an input has no policy: a dataset goes into the dataset slot")]
    InputPolicy,
    /// A reputation beyond the scale.
    #[error("a reputation is at most 10000")]
    Reputation,
}

impl Terms {
    /// Terms of a public order of anyone.
    pub fn open() -> Self {
        Terms {
            schema: TERMS_SCHEMA.to_owned(),
            input: None,
            dataset: None,
            input_of: None,
            auditors: Vec::new(),
            reputation_min: None,
        }
    }

    /// Whether an order that agrees nothing more needs no terms.
    pub fn is_open(&self) -> bool {
        *self == Terms::open()
    }

    /// Whether the provider must be given keys before it can run.
    pub fn is_sealed(&self) -> bool {
        self.input.is_some() || self.dataset.is_some()
    }

    /// The sealed slots, with their numbers (spec/machine.md#memory).
    pub fn slots(&self) -> impl Iterator<Item = (u8, &SealedSlot)> {
        let slots = [(2, &self.input), (3, &self.dataset)];
        slots.into_iter().filter_map(|(number, slot)| Some((number, slot.as_ref()?)))
    }

    /// The text, whose SHA-256 an order binds.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| unreachable!("plain fields: {error}"))
    }

    /// What an order's `termsHash` is.
    pub fn digest(&self) -> Hash {
        sha256(self.to_text().as_bytes())
    }

    /// Reads terms.
    ///
    /// # Errors
    ///
    /// [`TermsError`].
    pub fn from_text(text: &str) -> Result<Self, TermsError> {
        let form = |what: &dyn std::fmt::Display| TermsError::Form(what.to_string());
        let terms: Terms = serde_json::from_str(text).map_err(|error| form(&error))?;
        if terms.schema != TERMS_SCHEMA {
            return Err(form(&format_args!("schema {:?} is not known", terms.schema)));
        }
        if terms.to_text() != text {
            return Err(form(&"other white space or order"));
        }
        let ascend = terms.auditors.is_sorted_by(|a, b| a < b);
        if terms.auditors.len() > AUDITORS_MAX || !ascend {
            return Err(TermsError::Auditors);
        }
        // What the requester brings is its own to decide about, and a dataset has a slot of its
        // own.
        if terms.input.as_ref().is_some_and(|input| input.policy.is_some()) {
            return Err(TermsError::InputPolicy);
        }
        let fits = |slot: &SealedSlot| match (&slot.policy, &slot.purpose) {
            (None, None) => true,
            (Some(_), Some(purpose)) => (1..=PURPOSE_SIZE_MAX).contains(&purpose.len()),
            _ => false,
        };
        if !terms.slots().all(|(_, slot)| fits(slot)) {
            return Err(TermsError::Purpose);
        }
        if terms.reputation_min.is_some_and(|least| least > 10_000) {
            return Err(TermsError::Reputation);
        }
        Ok(terms)
    }
}

/// A field that may be null and must be there.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Terms {
        let slot = SealedSlot {
            envelope: Hash([1; 32]),
            bytes: 70_000,
            owner: Account([2; 20]),
            policy: None,
            purpose: None,
        };
        let dataset = SealedSlot {
            policy: Some(Hash([3; 32])),
            purpose: Some("research".into()),
            ..slot.clone()
        };
        Terms {
            input: Some(slot),
            dataset: Some(dataset),
            input_of: Some(Hash([6; 32])),
            auditors: vec![Account([4; 20]), Account([5; 20])],
            reputation_min: Some(7_000),
            ..Terms::open()
        }
    }

    #[test]
    fn terms_have_one_text() {
        for terms in [sealed(), Terms::open()] {
            let text = terms.to_text();
            assert_eq!(Terms::from_text(&text), Ok(terms.clone()));
            assert!(Terms::from_text(&text.replace(':', ": ")).is_err(), "white space");
            assert!(Terms::from_text(&text.replace("null", "null,\"more\":1")).is_err());
        }
        assert!(sealed().is_sealed() && !Terms::open().is_sealed() && Terms::open().is_open());
    }

    #[test]
    fn every_changed_byte_is_refused_or_another_agreement() {
        let text = sealed().to_text();
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                if let Ok(terms) = Terms::from_text(&changed) {
                    assert_ne!(terms.digest(), sealed().digest(), "byte {at}, bit {bit}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let refused = |change: fn(&mut Terms)| {
            let mut terms = sealed();
            change(&mut terms);
            Terms::from_text(&terms.to_text()).expect_err("refused")
        };
        assert_eq!(refused(|terms| terms.auditors.reverse()), TermsError::Auditors);
        assert_eq!(refused(|terms| terms.auditors[1] = terms.auditors[0]), TermsError::Auditors);
        let many = |terms: &mut Terms| terms.auditors = (0..17).map(|n| Account([n; 20])).collect();
        assert_eq!(refused(many), TermsError::Auditors);
        assert_eq!(refused(|terms| terms.reputation_min = Some(10_001)), TermsError::Reputation);
        let unpurposed = |terms: &mut Terms| {
            terms.dataset.as_mut().expect("one").purpose = None;
        };
        assert_eq!(refused(unpurposed), TermsError::Purpose);
        let input = |terms: &mut Terms| {
            let dataset = terms.dataset.clone();
            terms.input = dataset;
        };
        assert_eq!(refused(input), TermsError::InputPolicy);
        let long = |terms: &mut Terms| {
            terms.dataset.as_mut().expect("one").purpose = Some("x".repeat(65));
        };
        assert_eq!(refused(long), TermsError::Purpose);
        assert!(matches!(
            refused(|terms| terms.schema = "assay.terms/2".into()),
            TermsError::Form(_)
        ));
    }
}
