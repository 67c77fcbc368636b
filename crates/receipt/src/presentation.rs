//! Presentations: a part of a receipt, by the word of who shows it
//! (spec/disclosure.md#presentations).

use std::collections::BTreeSet;
use std::fmt::Display;

use alloy_primitives::{Address, B256, eip191_hash_message};
use assay_disclosure::sd_jwt::{self, Disclosure, Issued, Presented, SdJwtError};
use assay_protocol::verify_account;
use assay_types::Hash;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::dsse::{Envelope, RoleKey};
use crate::receipt::Receipt;
use crate::statement::{Binding, Statement, binding_text};
use crate::summary::JobSummary;
use crate::trust::Trust;
use crate::verify::{Check, Outcome, Standing, verify};

/// What kind of token a presentation is.
pub const PRESENTATION_TYPE: &str = "assay-receipt+sd-jwt";

/// Digests come in multiples of it, so that their number does not tell the number of statements.
const DIGESTS_MULTIPLE: usize = 32;

/// The claims that are always shown, besides those about the presentation itself.
const ALWAYS: [&str; 8] =
    ["job", "receipt", "program", "inputRoot", "datasetRoot", "outputRoot", "ending", "verdict"];

/// The claims about the presentation itself.
const OWN: [&str; 2] = ["iat", "cnf"];

/// Why nothing can be presented, or a file is no presentation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresentationError {
    /// The receipt does not hold by itself.
    #[error("the receipt does not hold; `assay verify` says what is wrong with it")]
    Receipt,
    /// There is no such claim to show.
    #[error("the receipt has nothing by the name {name:?} to show; it has {there}")]
    Name {
        /// What was asked for.
        name: String,
        /// What there is.
        there: String,
    },
    /// The presenter's binding is of another key or market.
    #[error("the binding is not of the key that signs, on the receipt's market")]
    Binding,
    /// It is no SD-JWT, or does not hold as one.
    #[error(transparent)]
    Token(#[from] SdJwtError),
    /// A claim that every presentation shows is not there, or is not what it must be.
    #[error("it does not show {0}, as every presentation does: it is another kind of token")]
    Missing(&'static str),
    /// A claim that is not known.
    #[error("it shows {0:?}, which no presentation of this version has")]
    Unknown(String),
}

/// What a receipt says, as claims.
struct Facts {
    always: Map<String, Value>,
    by_choice: Vec<(String, Value)>,
}

impl Facts {
    fn of(receipt: &Receipt) -> Option<Self> {
        let summary = JobSummary::of(receipt)?;
        let order = &receipt.order.order;
        let claimed = receipt.claim.as_ref().and_then(crate::verify::claim_of);
        let root = |root: B256| Value::from(hex::encode(root));
        let always = json!({
            "job": receipt.job,
            "receipt": receipt.digest(),
            "program": root(order.programId),
            "inputRoot": root(order.inputRoot),
            "datasetRoot": root(order.datasetRoot),
            "outputRoot": claimed.as_ref().map(|claimed| root(claimed.output_root)),
            "ending": summary.ending,
            "verdict": summary.verdict(),
        });
        let Value::Object(always) = always else { return None };
        let named = |(name, value): (&str, Value)| (name.to_owned(), value);
        let paid = summary.paid.map(|paid| paid.to_string());
        let mut by_choice = Vec::from([
            ("market", json!(receipt.market)),
            ("requester", json!(order.requester)),
            ("provider", json!(summary.provider)),
            ("beneficiary", json!(order.beneficiary)),
            ("price", json!({ "max": order.price.max.to_string(), "paid": paid })),
            ("stake", json!(order.stake.to_string())),
            ("steps", json!(summary.steps)),
            (
                "times",
                json!({ "claimedSecs": summary.claimed_secs, "endedSecs": summary.ended_secs }),
            ),
            (
                "terms",
                json!({
                    "stepLimit": order.stepLimit,
                    "windowSecs": order.windowSecs,
                    "verifier": order.verifierId,
                }),
            ),
        ])
        .into_iter()
        .map(named)
        .collect();
        statements(receipt, &mut by_choice);
        Some(Facts { always, by_choice })
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let chosen = || self.by_choice.iter().find(|(own, _)| own == name).map(|(_, value)| value);
        self.always.get(name).or_else(chosen)
    }
}

/// Statements about the job, each under a name of its own.
fn statements(receipt: &Receipt, claims: &mut Vec<(String, Value)>) {
    for logged in receipt.log.iter().flat_map(|log| &log.statements) {
        let said = logged.envelope.statement().filter(|(said, _)| said.job().is_some());
        let Some((said, _)) = said else { continue };
        let first = format!("statement-{}", said.name());
        let is_taken = |name: &String| claims.iter().any(|(own, _)| own == name);
        let others = (2..).map(|number: u32| format!("{first}-{number}"));
        let name = std::iter::once(first.clone()).chain(others).find(|name| !is_taken(name));
        claims.extend(name.map(|name| (name, json!(logged.envelope))));
    }
}

/// The names of what can be shown of a receipt; `presenter` besides.
pub fn claim_names(receipt: &Receipt) -> Vec<String> {
    let facts = Facts::of(receipt);
    facts.into_iter().flat_map(|facts| facts.by_choice).map(|(name, _)| name).collect()
}

/// Shows a part of a receipt that holds: the presenter's key signs it, `random` fills buffers with
/// random bytes for salts. A binding of the key to the presenter's account is one more claim,
/// `presenter`. With an audience and a nonce the presentation is bound to them.
///
/// # Errors
///
/// [`PresentationError::Receipt`], [`PresentationError::Name`], [`PresentationError::Binding`].
pub fn present(
    receipt: &Receipt,
    show: &BTreeSet<String>,
    key: &RoleKey,
    binding: Option<&Binding>,
    audience: Option<(&str, &str)>,
    now_secs: u64,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<String, PresentationError> {
    if verify(receipt, None).standing == Standing::Refused {
        return Err(PresentationError::Receipt);
    }
    let Facts { mut always, mut by_choice } =
        Facts::of(receipt).ok_or(PresentationError::Receipt)?;
    if let Some(binding) = binding {
        if binding.key != key.public() || binding.market != receipt.market {
            return Err(PresentationError::Binding);
        }
        by_choice.push(("presenter".to_owned(), json!(binding)));
    }
    let is_there = |name: &&String| by_choice.iter().any(|(own, _)| own == *name);
    if let Some(name) = show.iter().find(|name| !is_there(name)) {
        let there: Vec<&str> = by_choice.iter().map(|(name, _)| name.as_str()).collect();
        return Err(PresentationError::Name { name: name.clone(), there: there.join(", ") });
    }
    always.insert("iat".into(), now_secs.into());
    always.insert("cnf".into(), sd_jwt::confirmation(key.public()));
    let mut disclosures = Vec::new();
    for (name, value) in &by_choice {
        let mut salt = [0; sd_jwt::DISCLOSURE_SALT_SIZE];
        random(&mut salt);
        disclosures.push(Disclosure::new(name, value, salt)?);
    }
    let count = disclosures.len().next_multiple_of(DIGESTS_MULTIPLE) - disclosures.len();
    let mut decoys = vec![Hash::default(); count];
    decoys.iter_mut().for_each(|decoy| random(&mut decoy.0));
    let sign = |bytes: &[u8]| key.sign(bytes);
    let issued =
        Issued::sign(PRESENTATION_TYPE, key.public(), always, disclosures, &decoys, &sign)?;
    let shown = issued.show(|name| show.contains(name));
    Ok(match audience {
        None => shown,
        Some((audience, nonce)) => sd_jwt::bind(&shown, audience, nonce, now_secs, &sign),
    })
}

/// What was looked at in a presentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PresentationCode {
    /// The token is signed, and each disclosure belongs to it.
    Signature,
    /// It was made for who reads it.
    KeyBinding,
    /// Whose key signed it.
    Presenter,
    /// A statement that is shown.
    Statement,
    /// The market is the one that the reader asks for.
    Market,
    /// The receipt holds, and says the same.
    Receipt,
}

/// One line of what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PresentationCheck {
    /// What was looked at.
    pub code: PresentationCode,
    /// What came of it.
    pub outcome: Outcome,
    /// In words.
    pub what: String,
    /// By whose key.
    pub by: Option<String>,
}

/// What the reader holds a presentation against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected<'a> {
    /// The receipt.
    pub receipt: Option<&'a Receipt>,
    /// Whom the reader trusts.
    pub trust: Option<&'a Trust>,
    /// The audience and the nonce that the reader asked for.
    pub audience: Option<(&'a str, &'a str)>,
}

/// A presentation whose signature and disclosures hold, with what else was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Presentation {
    /// The key that signed it.
    pub key: Hash,
    /// What it shows.
    pub claims: Map<String, Value>,
    /// The lines.
    pub checks: Vec<PresentationCheck>,
}

impl Presentation {
    /// Reads a presentation and looks at all of it.
    ///
    /// # Errors
    ///
    /// [`PresentationError::Token`], [`PresentationError::Missing`],
    /// [`PresentationError::Unknown`]. What does not hold otherwise is a line of
    /// [`checks`](Self::checks).
    pub fn from_bytes(bytes: &[u8], expected: Expected<'_>) -> Result<Self, PresentationError> {
        let presented = Presented::from_bytes(bytes, PRESENTATION_TYPE, None)?;
        let claims = &presented.claims;
        let needed = ALWAYS.into_iter().chain(OWN);
        if let Some(missing) = needed.clone().find(|name| !claims.contains_key(*name)) {
            return Err(PresentationError::Missing(missing));
        }
        let disclosed: BTreeSet<&str> =
            presented.disclosed.iter().flatten().map(|n| &**n).collect();
        // What every presentation shows must be signed as it is: a disclosure could be left out.
        if let Some(hidden) = needed.clone().find(|name| disclosed.contains(name)) {
            return Err(PresentationError::Missing(hidden));
        }
        if claims.get("cnf") != Some(&sd_jwt::confirmation(presented.key)) {
            return Err(PresentationError::Missing("cnf"));
        }
        let mut judge = Judge { presented: &presented, expected, checks: Vec::new() };
        judge.names(&needed.collect())?;
        judge.signature();
        judge.binding();
        judge.presenter();
        judge.statements();
        judge.market();
        judge.receipt();
        let checks = judge.checks;
        Ok(Presentation { key: presented.key, claims: presented.claims, checks })
    }

    /// Whether something in it is wrong.
    pub fn is_refused(&self) -> bool {
        self.checks.iter().any(|check| check.outcome == Outcome::Refused)
    }

    /// Whether it was held against the receipt.
    pub fn is_compared(&self) -> bool {
        let held = |check: &PresentationCheck| {
            check.code == PresentationCode::Receipt && check.outcome == Outcome::Held
        };
        self.checks.iter().any(held)
    }
}

struct Judge<'a> {
    presented: &'a Presented,
    expected: Expected<'a>,
    checks: Vec<PresentationCheck>,
}

impl Judge<'_> {
    fn line(
        &mut self,
        code: PresentationCode,
        outcome: Outcome,
        what: impl Display,
        by: Option<String>,
    ) {
        self.checks.push(PresentationCheck { code, outcome, what: what.to_string(), by });
    }

    fn held(&mut self, code: PresentationCode, what: impl Display, by: impl Display) {
        self.line(code, Outcome::Held, what, Some(by.to_string()));
    }

    fn refused(&mut self, code: PresentationCode, what: impl Display) {
        self.line(code, Outcome::Refused, what, None);
    }

    fn not_checked(&mut self, code: PresentationCode, what: impl Display) {
        self.line(code, Outcome::NotChecked, what, None);
    }

    fn claim(&self, name: &str) -> Option<&Value> {
        self.presented.claims.get(name)
    }

    fn names(&self, needed: &BTreeSet<&str>) -> Result<(), PresentationError> {
        const CHOSEN: [&str; 10] = [
            "market",
            "requester",
            "provider",
            "beneficiary",
            "price",
            "stake",
            "steps",
            "times",
            "terms",
            "presenter",
        ];
        let is_known = |name: &str| {
            needed.contains(name) || CHOSEN.contains(&name) || name.starts_with("statement-")
        };
        match self.presented.claims.keys().find(|name| !is_known(name)) {
            Some(other) => Err(PresentationError::Unknown(other.clone())),
            None => Ok(()),
        }
    }

    fn signature(&mut self) {
        let shown = self.presented.disclosed.len();
        let what = format!("signed, with {shown} claims shown by choice");
        self.held(PresentationCode::Signature, what, format!("key {}", self.presented.key));
    }

    fn binding(&mut self) {
        let code = PresentationCode::KeyBinding;
        match (&self.presented.binding, self.expected.audience) {
            (None, None) => {}
            (None, Some(_)) => {
                self.refused(code, "it was made for nobody in particular: it may be a copy");
            }
            (Some(binding), None) => {
                let what = format!(
                    "it was made for {:?} with nonce {:?}: nobody asked whether that is you",
                    binding.audience, binding.nonce
                );
                self.not_checked(code, what);
            }
            (Some(binding), Some((audience, nonce))) => {
                if (binding.audience.as_str(), binding.nonce.as_str()) == (audience, nonce) {
                    let what = format!("made for {audience:?}, with the nonce that was asked for");
                    self.held(code, what, format!("key {}", self.presented.key));
                } else {
                    let what =
                        format!("it was made for {:?}, or with another nonce", binding.audience);
                    self.refused(code, what);
                }
            }
        }
    }

    fn presenter(&mut self) {
        let code = PresentationCode::Presenter;
        let key = self.presented.key;
        if let Some(claim) = self.claim("presenter") {
            let binding: Option<Binding> = serde_json::from_value(claim.clone()).ok();
            let holds = binding.as_ref().filter(|binding| binding.key == key).filter(|binding| {
                let text = binding_text(&binding.market, binding.account, binding.key);
                let hash = eip191_hash_message(text.as_bytes());
                verify_account(hash, &binding.signature, binding.account).is_ok()
            });
            match holds {
                None => self.refused(code, "the presenter's account has not signed for this key"),
                Some(binding) => {
                    let what = format!("the key speaks for account {}", binding.account);
                    self.held(code, what, format!("account {}", binding.account));
                }
            }
            return;
        }
        match self.expected.receipt.and_then(|receipt| account_of(receipt, key)) {
            Some(account) => {
                let what = format!("the key speaks for account {account}");
                self.held(code, what, "a binding in the receipt");
            }
            None => self.not_checked(code, "nobody says whose key it is: it may be anybody's"),
        }
    }

    fn statements(&mut self) {
        let code = PresentationCode::Statement;
        let job = self.claim("job").cloned();
        let names = self.presented.claims.iter();
        let shown: Vec<_> = names.filter(|(name, _)| name.starts_with("statement-")).collect();
        for (name, claim) in shown {
            let envelope: Option<Envelope> = serde_json::from_value(claim.clone()).ok();
            let said = envelope
                .and_then(|envelope| envelope.statement())
                .filter(|(said, _)| said.job().is_some_and(|of| Some(json!(of)) == job));
            match said {
                None => self.refused(code, format!("{name} is no signed statement of this job")),
                Some((said, key)) => {
                    let what = format!("{name}, as {} is to have said it", said.speaker());
                    self.held(code, what, format!("key {key}"));
                }
            }
        }
    }

    fn market(&mut self) {
        let Some(market) = self.expected.trust.and_then(|trust| trust.market) else { return };
        let code = PresentationCode::Market;
        let shown = self.claim("market").cloned();
        let presenter = self.claim("presenter").and_then(|claim| claim.get("market")).cloned();
        match [shown, presenter].into_iter().flatten().collect::<Vec<_>>().as_slice() {
            [] => self.not_checked(code, "it does not show of which market it is"),
            shown if shown.iter().all(|shown| *shown == json!(market)) => {
                self.held(code, format!("market {}", market.market), "the trust file");
            }
            _ => self.refused(code, "it is of another market than the trust file's"),
        }
    }

    fn receipt(&mut self) {
        let code = PresentationCode::Receipt;
        let digest = self.claim("receipt").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(receipt) = self.expected.receipt else {
            let what = format!(
                "the presenter's word: ask for receipt {digest} to see whether a chain and a log say so"
            );
            return self.not_checked(code, what);
        };
        if digest != receipt.digest().to_string() {
            let what = format!("it is of receipt {digest}, not of {}", receipt.digest());
            return self.refused(code, what);
        }
        let report = verify(receipt, self.expected.trust);
        let facts = Facts::of(receipt).filter(|_| report.standing != Standing::Refused);
        let Some(facts) = facts else {
            let wrong = report.checks.into_iter().find(|check| check.outcome == Outcome::Refused);
            let what = wrong.map_or_else(String::new, |Check { what, .. }| what);
            return self.refused(code, format!("the receipt does not hold: {what}"));
        };
        let own = OWN.into_iter().chain(["presenter"]).collect::<BTreeSet<_>>();
        let claims = self.presented.claims.iter().filter(|(name, _)| !own.contains(name.as_str()));
        let other = claims.into_iter().find(|(name, value)| facts.get(name) != Some(*value));
        if let Some((name, _)) = other {
            let what = format!("the receipt says something else of {name}");
            return self.refused(code, what);
        }
        let by = match report.standing {
            Standing::Vouched => "those whom the trust file trusts",
            _ => "the receipt alone, which nobody whom you trust vouches for",
        };
        self.held(code, "the receipt holds, and says all that is shown", by);
    }
}

/// The account that a receipt's bindings give a key to.
fn account_of(receipt: &Receipt, key: Hash) -> Option<Address> {
    // A receipt that does not hold binds nothing.
    if verify(receipt, None).standing == Standing::Refused {
        return None;
    }
    let mut statements = receipt.log.iter().flat_map(|log| &log.statements);
    statements.find_map(|logged| match logged.envelope.statement()?.0 {
        Statement::Binding(binding) if binding.key == key => Some(binding.account),
        _ => None,
    })
}
