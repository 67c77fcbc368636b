//! Why a provider declines an order (spec/pricing.md#refusals).

use std::fmt;

use assay_types::{BlobRoot, ProgramId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::amount::text;
use crate::{Account, JobId};

/// A provider's word that it does not take an order, and why. What signs it lies elsewhere.
///
/// It is a statement by its provider and no more: nothing makes a reason true. It helps a
/// requester, who decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The order, by the id of the job that it would become.
    pub job: JobId,
    /// Who declines.
    pub provider: Account,
    /// Why.
    pub reason: Reason,
    /// When, in Unix seconds.
    pub at: u64,
}

/// A ground for declining, with the figures that matter. Displayed as a sentence that says what to
/// do, to the requester.
///
/// Amounts are in the token's smallest unit. A provider names the first ground that it finds, and
/// looks at the job's files last: `price_low` is what a price can mend, though something else may
/// be found then.
///
/// Grounds without figures have braces, so that unknown fields are refused there too: a ground of a
/// newer version is [`Reason::Other`], whatever else it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case", deny_unknown_fields, remote = "Self")]
pub enum Reason {
    /// It can no longer be locked.
    #[error(
        "the order could be locked until {lock_deadline}: sign it again with a later \
         lockDeadline"
    )]
    Expired {
        /// The last second for a lock.
        lock_deadline: u64,
    },
    /// Another order of this nonce was locked, or the requester cancelled it.
    #[error(
        "the order's nonce is used or cancelled: if that was not meant, sign it again with \
         a new nonce"
    )]
    NonceUsed {},
    /// Another provider has locked it.
    #[error("provider {provider} locked the order first: there is nothing to do")]
    Outpaced {
        /// Who.
        provider: Account,
    },
    /// It names another provider.
    #[error(
        "only provider {provider} may lock the order: wait for it, or sign again without \
         naming one"
    )]
    OtherProvider {
        /// Who may.
        provider: Account,
    },
    /// What it agrees besides the contract's fields can't be read, or contradicts them.
    #[error(
        "the order's terms cannot be followed ({cause}): sign the order again with right terms"
    )]
    TermsInvalid {
        /// What is wrong.
        cause: Cause,
    },
    /// Its inputs are sealed, and nobody could check the claim.
    #[error(
        "the inputs are sealed and no auditor is named that gets the keys: name one, or the data \
         owner itself"
    )]
    AuditorMissing {},
    /// This provider does not work under the order's verifier.
    #[error(
        "this provider does not work under verifier {verifier}: name another verifier, or \
         wait for another provider"
    )]
    VerifierUnknown {
        /// Its number in the registry.
        verifier: u16,
    },
    /// The window binds the stake for longer than the provider accepts.
    #[error(
        "the window of {window_secs} s is too long, this provider accepts {most_secs} s: \
         lower windowSecs"
    )]
    WindowLong {
        /// The order's.
        window_secs: u64,
        /// The provider's most.
        most_secs: u64,
    },
    /// The provider cannot finish in time.
    #[error(
        "this provider may need {needed_secs} s for the step limit and has {run_secs} s: \
         raise runSecs, or lower stepLimit"
    )]
    DeadlineNear {
        /// The order's time for the run.
        run_secs: u64,
        /// What the provider counts with.
        needed_secs: u64,
    },
    /// The provider could not re-run the job fast enough for its defence.
    #[error(
        "a claim is defended in {clock_secs} s, and this provider may need {needed_secs} s for \
         the step limit: lower stepLimit"
    )]
    ClockShort {
        /// What the dispute's clock leaves.
        clock_secs: u64,
        /// What the provider counts with.
        needed_secs: u64,
    },
    /// The order pays less for an output chunk than answering costs.
    #[error(
        "a demanded chunk pays {fee}, and this provider needs {needed} for its gas: raise \
         chunkFee"
    )]
    ChunkFeeLow {
        /// The order's.
        #[serde(with = "text")]
        fee: u128,
        /// The provider's least.
        #[serde(with = "text")]
        needed: u128,
    },
    /// The order wants a better record than the provider has.
    #[error(
        "the order asks for a reputation of {least} and this provider has {score} of 10000: \
         ask for less, or wait for another provider"
    )]
    ReputationLow {
        /// The provider's, in basis points.
        score: u16,
        /// The order's least.
        least: u16,
    },
    /// The market would refuse the lock, for a reason that has no code of its own.
    #[error("the market would refuse the lock ({cause}): sign the order again without that fault")]
    MarketRefuses {
        /// What it said.
        cause: Cause,
    },
    /// The program is not one.
    #[error(
        "the program cannot be run ({cause}): publish the ELF that the order's program id \
         names"
    )]
    ProgramInvalid {
        /// The order's.
        program: ProgramId,
        /// What is wrong with it.
        cause: Cause,
    },
    /// An input or dataset is not to be had.
    #[error(
        "the blob of root {root} is nowhere to be found: publish it, and keep it available \
         until the job is claimed"
    )]
    InputMissing {
        /// The order's.
        root: BlobRoot,
    },
    /// What was published is not the order's input or dataset.
    #[error(
        "the blob published for root {root} has root {found}: publish the right bytes, or \
         sign again with their root"
    )]
    InputMismatch {
        /// The order's.
        root: BlobRoot,
        /// What was found instead.
        found: BlobRoot,
    },
    /// The job's files do not fit.
    #[error(
        "the job needs {needed_size} bytes of disk and this provider has {free_size}: wait \
         for a larger one"
    )]
    DiskSmall {
        /// The job's, in bytes.
        needed_size: u64,
        /// What is free, in bytes.
        free_size: u64,
    },
    /// The job's inputs do not fit the provider's memory.
    #[error(
        "the job's inputs need {needed_size} bytes of memory and this provider gives a job \
         {free_size}: wait for a larger one, or write the data in fewer pages"
    )]
    MemorySmall {
        /// What the inputs need, in bytes.
        needed_size: u64,
        /// What the provider gives a job, in bytes.
        free_size: u64,
    },
    /// The provider has failed too often lately, and waits.
    #[error(
        "this provider has stopped after {failures} failures and takes no order before \
         {until}: wait, or find another"
    )]
    CircuitBreaker {
        /// How many in a row.
        failures: u32,
        /// When it takes orders again.
        until: u64,
    },
    /// The stake is more than the provider has free.
    #[error(
        "the order asks for a stake of {stake} and this provider has {free} free: lower the \
         stake, or wait for a larger provider"
    )]
    StakeHigh {
        /// The order's.
        #[serde(with = "text")]
        stake: u128,
        /// The provider's free stake.
        #[serde(with = "text")]
        free: u128,
    },
    /// With this stake the provider would put more at risk in a day than it allows itself.
    #[error(
        "with the order's stake this provider would have {at_risk} at risk today, and \
         allows itself {cap}: wait for tomorrow, or lower the stake"
    )]
    RiskCap {
        /// Today's, with the order's.
        #[serde(with = "text")]
        at_risk: u128,
        /// The provider's most for a day.
        #[serde(with = "text")]
        cap: u128,
    },
    /// The requester cannot pay.
    #[error(
        "the requester's purse holds {purse} and a lock takes {needed}: deposit the difference"
    )]
    PurseShort {
        /// What it holds.
        #[serde(with = "text")]
        purse: u128,
        /// What a lock takes from it: the price and the data owner's fee.
        #[serde(with = "text")]
        needed: u128,
    },
    /// The metered price's base does not pay, whatever the escrow.
    #[error(
        "the base of {base} does not cover the job at any price, this provider needs \
         {needed}: raise price.base, or fix the price"
    )]
    BaseLow {
        /// The order's.
        #[serde(with = "text")]
        base: u128,
        /// The provider's least, with the order's rate.
        #[serde(with = "text")]
        needed: u128,
    },
    /// The metered price's rate does not pay, whatever the escrow.
    #[error(
        "the rate of {per_mebistep} for 2^20 steps does not cover the run at any price, this \
         provider needs {needed}: raise price.mebistep, or fix the price"
    )]
    RateLow {
        /// The order's.
        #[serde(with = "text", rename = "mebistep")]
        per_mebistep: u128,
        /// The provider's least, with the order's base.
        #[serde(with = "text")]
        needed: u128,
    },
    /// The order never pays enough.
    #[error(
        "the order pays at most {at_most} and this provider needs {needed}: raise price.max \
         to that, or lower stepLimit"
    )]
    PriceLow {
        /// The escrow at which this provider would lock.
        #[serde(with = "text")]
        needed: u128,
        /// The escrow at the lock deadline: the most that the order ever pays.
        #[serde(with = "text")]
        at_most: u128,
    },
    /// A ground that this program does not know, or not with these figures. It is read and shown,
    /// never said.
    #[error(
        "it declines by a ground that this program does not know ({name}): use a newer version, \
         or ask the provider"
    )]
    #[serde(skip_deserializing)]
    Other {
        /// The code that it gave, as far as it can be shown.
        name: Cause,
    },
}

/// The longest unknown code that is shown, in bytes.
const NAME_SIZE_MAX: usize = 64;

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Reason::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = Map::<String, Value>::deserialize(deserializer)?;
        let code = said.get("code").and_then(Value::as_str).map(str::to_owned);
        match (Reason::deserialize(Value::Object(said)), code) {
            (Ok(known), _) => Ok(known),
            // A newer peer's word is a word all the same: one of them must not hide the others.
            (Err(_), Some(code)) => Ok(Reason::Other { name: Cause::new(&code, NAME_SIZE_MAX) }),
            (Err(error), None) => Err(D::Error::custom(error)),
        }
    }
}

impl Reason {
    /// The ground's name, as in JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::Expired { .. } => "expired",
            Reason::NonceUsed {} => "nonce_used",
            Reason::Outpaced { .. } => "outpaced",
            Reason::OtherProvider { .. } => "other_provider",
            Reason::TermsInvalid { .. } => "terms_invalid",
            Reason::AuditorMissing {} => "auditor_missing",
            Reason::VerifierUnknown { .. } => "verifier_unknown",
            Reason::WindowLong { .. } => "window_long",
            Reason::DeadlineNear { .. } => "deadline_near",
            Reason::ClockShort { .. } => "clock_short",
            Reason::ChunkFeeLow { .. } => "chunk_fee_low",
            Reason::ReputationLow { .. } => "reputation_low",
            Reason::MarketRefuses { .. } => "market_refuses",
            Reason::ProgramInvalid { .. } => "program_invalid",
            Reason::InputMissing { .. } => "input_missing",
            Reason::InputMismatch { .. } => "input_mismatch",
            Reason::DiskSmall { .. } => "disk_small",
            Reason::MemorySmall { .. } => "memory_small",
            Reason::CircuitBreaker { .. } => "circuit_breaker",
            Reason::StakeHigh { .. } => "stake_high",
            Reason::RiskCap { .. } => "risk_cap",
            Reason::PurseShort { .. } => "purse_short",
            Reason::BaseLow { .. } => "base_low",
            Reason::RateLow { .. } => "rate_low",
            Reason::PriceLow { .. } => "price_low",
            Reason::Other { .. } => "other",
        }
    }

    /// The escrow at which the price would not have stood in this provider's way, if that is what
    /// did.
    pub fn price_needed(&self) -> Option<u128> {
        match self {
            Reason::PriceLow { needed, .. } => Some(*needed),
            _ => None,
        }
    }
}

/// The longest cause, in bytes.
pub const CAUSE_SIZE_MAX: usize = 256;

/// What a program said was wrong: one line of at most [`CAUSE_SIZE_MAX`] bytes. It comes from
/// strangers and is shown on terminals and pages, so whatever would move or reorder text becomes a
/// space, and the rest is cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Cause(String);

impl Cause {
    fn new(text: &str, size_max: usize) -> Self {
        let shown = |c: char| if c.is_control() || reorders(c) { ' ' } else { c };
        let mut line = String::new();
        for c in text.chars().map(shown) {
            if line.len() + c.len_utf8() > size_max {
                break;
            }
            line.push(c);
        }
        Cause(line)
    }
}

impl From<&str> for Cause {
    fn from(text: &str) -> Self {
        Cause::new(text, CAUSE_SIZE_MAX)
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character has other text shown in another order, or on another line.
fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
pub(crate) mod tests {
    use assay_types::Hash;

    use super::*;

    /// One reason for each ground, in the order of the table in spec/pricing.md.
    pub(crate) fn every_reason() -> Vec<Reason> {
        let provider = Account([0x11; 20]);
        let root = |byte| BlobRoot(Hash([byte; 32]));
        let cause = Cause::from("not an ELF");
        vec![
            Reason::Expired { lock_deadline: 1 },
            Reason::NonceUsed {},
            Reason::Outpaced { provider },
            Reason::OtherProvider { provider },
            Reason::TermsInvalid { cause: cause.clone() },
            Reason::AuditorMissing {},
            Reason::VerifierUnknown { verifier: 9 },
            Reason::WindowLong { window_secs: 20, most_secs: 10 },
            Reason::DeadlineNear { run_secs: 10, needed_secs: 20 },
            Reason::ClockShort { clock_secs: 10, needed_secs: 20 },
            Reason::ChunkFeeLow { fee: 1, needed: 2 },
            Reason::ReputationLow { score: 4000, least: 5000 },
            Reason::MarketRefuses { cause: cause.clone() },
            Reason::DiskSmall { needed_size: 20, free_size: 10 },
            Reason::MemorySmall { needed_size: 20, free_size: 10 },
            Reason::ProgramInvalid { program: ProgramId(Hash([1; 32])), cause },
            Reason::InputMissing { root: root(2) },
            Reason::InputMismatch { root: root(2), found: root(3) },
            Reason::CircuitBreaker { failures: 3, until: 100 },
            Reason::StakeHigh { stake: 20, free: 10 },
            Reason::RiskCap { at_risk: 20, cap: 10 },
            Reason::PurseShort { purse: 10, needed: 20 },
            Reason::BaseLow { base: 10, needed: 20 },
            Reason::RateLow { per_mebistep: 10, needed: 20 },
            Reason::PriceLow { needed: u128::MAX, at_most: 10 },
        ]
    }

    /// The codes in the first column of the table under a heading.
    pub(crate) fn codes_of<'a>(spec: &'a str, heading: &str) -> Vec<&'a str> {
        let lines = spec.lines().skip_while(|line| *line != heading).skip(1);
        let section = lines.take_while(|line| !line.starts_with("## "));
        let cells = section.filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        cells.flat_map(|cell| cell.split('`').step_by(2).filter(|code| !code.is_empty())).collect()
    }

    #[test]
    fn every_reason_survives_json_under_its_code() {
        let reasons = every_reason();
        assert_eq!(reasons.len(), 24, "a ground is missing from the test");
        for reason in reasons {
            let json = serde_json::to_value(&reason).unwrap();
            assert_eq!(json["code"], reason.code());
            let refusal =
                Refusal { job: JobId([7; 32]), provider: Account([8; 20]), reason, at: 9 };
            let text = serde_json::to_string(&refusal).unwrap();
            assert_eq!(serde_json::from_str::<Refusal>(&text).unwrap(), refusal, "{text}");
        }
    }

    #[test]
    fn every_reason_says_what_to_do() {
        for reason in every_reason() {
            let sentence = reason.to_string();
            assert!(sentence.contains(": "), "no next step after the cause: {sentence}");
            assert!(!sentence.contains("  "), "{sentence}");
        }
    }

    #[test]
    fn every_ground_is_in_the_specification() {
        let spec = include_str!("../../../spec/pricing.md");
        let codes = codes_of(spec, "## Refusals");
        let expect: Vec<&str> = every_reason().iter().map(Reason::code).collect();
        assert_eq!(
            codes, expect,
            "the table of refusals, in the order in which grounds are looked at"
        );
    }

    #[test]
    fn a_newer_peers_ground_is_shown_as_another() {
        let long = "x".repeat(1000);
        let cases = [
            (r#"{"code":"price_high"}"#, "price_high"),
            (r#"{"code":"auditor_missing","to":"me"}"#, "auditor_missing"),
            (r#"{"code":"price_low","needed":5,"at_most":"1"}"#, "price_low"),
            (r#"{"code":"other","name":"x"}"#, "other"),
            (r#"{"code":"a\n\u001b[2J\u202eb","figures":[1,{"b":2}]}"#, "a  [2J b"),
            (&format!(r#"{{"code":"{long}"}}"#), &long[..NAME_SIZE_MAX]),
        ];
        for (text, name) in cases {
            let reason: Reason = serde_json::from_str(text).unwrap();
            assert_eq!(reason, Reason::Other { name: name.into() }, "{text}");
            assert_eq!(reason.code(), "other");
            assert!(reason.to_string().contains(name), "{reason}");
        }
        let page = r#"[{"code":"price_high"},{"code":"nonce_used"}]"#;
        let page: Vec<Reason> = serde_json::from_str(page).unwrap();
        assert_eq!(page[1], Reason::NonceUsed {}, "one unknown code must not hide a page");
        for bad in [r#"{"why":"expired"}"#, r#"{"code":7}"#, "[]", r#""expired""#] {
            assert!(serde_json::from_str::<Reason>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn causes_are_one_short_line() {
        let cause = Cause::from("bad\n\u{1b}[2Jthing\u{202e}");
        assert_eq!(cause.to_string(), "bad  [2Jthing ");
        let long = "é".repeat(200);
        assert_eq!(Cause::from(&*long).to_string(), "é".repeat(128));
        let read: Cause = serde_json::from_str(&format!("\"{long}\\n\"")).unwrap();
        assert_eq!(read.to_string().len(), CAUSE_SIZE_MAX, "also when read");
    }
}
