//! Plans: what becomes of each column (spec/mask.md#plans).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::MaskError;
use super::generalise::{Bins, DateUnit, Places};
use super::keyed::Alphabet;
use super::redact::{Pattern, Redactor};
use super::rows::CELL_COLUMNS_MAX;

/// What a plan says that it is.
pub const PLAN_SCHEMA: &str = "assay.mask-plan/1";

/// The largest plan, in bytes.
pub const PLAN_BYTES_MAX: u64 = 1 << 22;

/// The longest purpose or group, in bytes.
const WORDS_BYTES_MAX: usize = 256;

/// The most that k can be.
const K_MAX: u64 = 1_000_000;

/// A plan that makes sense. It may hold names of people, so it is never shown.
pub struct Plan {
    /// `0x` and 40 digits, in lower case.
    pub(super) owner: String,
    pub(super) purpose: String,
    pub(super) quasi_identifiers: Vec<String>,
    pub(super) sensitive: Vec<String>,
    pub(super) suppress: Option<Suppress>,
    pub(super) columns: BTreeMap<String, Action>,
}

/// What becomes of rows whose group is small.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suppress {
    pub(super) k: u64,
    pub(super) how: How,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    /// The rows go.
    Drop,
    /// Their quasi-identifiers are emptied.
    Blank,
}

/// What becomes of a cell that can't be read as its action needs.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unreadable {
    /// The table is refused.
    #[default]
    Refuse,
    /// The cell is emptied.
    Blank,
}

/// What becomes of a column.
pub(super) enum Action {
    Keep,
    Drop,
    Pseudonym { group: String },
    Token { alphabet: Alphabet, separators: String, group: String, unreadable: Unreadable },
    Generalise { how: Generalise, unreadable: Unreadable },
    Redact(Redactor),
}

pub(super) enum Generalise {
    Date(DateUnit),
    Bins(Bins),
    Prefix(u32),
    Places(Places),
}

/// An action's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// As it was.
    Keep,
    /// Gone.
    Drop,
    /// A keyed pseudonym.
    Pseudonym,
    /// A keyed token of the same form.
    Token,
    /// Less precise.
    Generalise,
    /// Text without what points at somebody.
    Redact,
}

impl ActionKind {
    /// As a plan writes it.
    pub fn name(self) -> &'static str {
        match self {
            ActionKind::Keep => "keep",
            ActionKind::Drop => "drop",
            ActionKind::Pseudonym => "pseudonym",
            ActionKind::Token => "token",
            ActionKind::Generalise => "generalise",
            ActionKind::Redact => "redact",
        }
    }
}

impl Action {
    pub(super) fn kind(&self) -> ActionKind {
        match self {
            Action::Keep => ActionKind::Keep,
            Action::Drop => ActionKind::Drop,
            Action::Pseudonym { .. } => ActionKind::Pseudonym,
            Action::Token { .. } => ActionKind::Token,
            Action::Generalise { .. } => ActionKind::Generalise,
            Action::Redact(_) => ActionKind::Redact,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPlan {
    schema: String,
    owner: String,
    purpose: String,
    #[serde(default)]
    quasi_identifiers: Vec<String>,
    #[serde(default)]
    sensitive: Vec<String>,
    suppress: Option<Suppress>,
    columns: BTreeMap<String, WrittenAction>,
}

// Braces where there is nothing: serde lets unknown fields pass beside a unit.
#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum WrittenAction {
    Keep {},
    Drop {},
    Pseudonym {
        group: Option<String>,
    },
    Token {
        alphabet: Alphabet,
        separators: Option<String>,
        group: Option<String>,
        #[serde(default)]
        unreadable: Unreadable,
    },
    Generalise {
        date: Option<DateUnit>,
        bins: Option<Bins>,
        prefix: Option<u32>,
        places: Option<Places>,
        #[serde(default)]
        unreadable: Unreadable,
    },
    Redact {
        patterns: Option<Vec<Pattern>>,
        #[serde(default)]
        names: Vec<String>,
    },
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plan({} columns)", self.columns.len())
    }
}

impl Plan {
    /// Reads a plan, at most [`PLAN_BYTES_MAX`] of TOML.
    ///
    /// # Errors
    ///
    /// [`MaskError::PlanForm`] and [`MaskError::Plan`].
    pub fn from_toml(bytes: &[u8]) -> Result<Self, MaskError> {
        let wrong = |line, what: &str| MaskError::PlanForm { line, what: what.to_owned() };
        if bytes.len() as u64 > PLAN_BYTES_MAX {
            return Err(wrong(1, "a plan has at most 4 MiB"));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| wrong(line_at(bytes, error.valid_up_to()), "it is not UTF-8"))?;
        let written: WrittenPlan = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            wrong(line_at(bytes, at), &tellable(error.message()))
        })?;
        if written.schema != PLAN_SCHEMA {
            return Err(wrong(1, "its schema is not \"assay.mask-plan/1\""));
        }
        Plan::new(written).map_err(MaskError::Plan)
    }

    /// The account whose data it is: `0x` and 40 digits in lower case.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// What the masked data is for.
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    fn new(written: WrittenPlan) -> Result<Self, String> {
        let owner = written.owner.to_ascii_lowercase();
        let digits = owner.strip_prefix("0x").unwrap_or_default();
        if digits.len() != 40 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err("the owner is an account: 0x and 40 hexadecimal digits".into());
        }
        words("the purpose", &written.purpose)?;
        if written.columns.is_empty() || written.columns.len() as u64 > CELL_COLUMNS_MAX {
            return Err(format!("it names 1 to {CELL_COLUMNS_MAX} columns"));
        }
        let columns = written.columns.into_iter().map(|(name, action)| {
            let action = Action::new(&name, action);
            action.map_err(|what| format!("column {name:?}: {what}")).map(|action| (name, action))
        });
        let plan = Plan {
            owner,
            purpose: written.purpose,
            quasi_identifiers: written.quasi_identifiers,
            sensitive: written.sensitive,
            suppress: written.suppress,
            columns: columns.collect::<Result<_, _>>()?,
        };
        plan.check()?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for name in self.quasi_identifiers.iter().chain(&self.sensitive) {
            match self.columns.get(name) {
                None => return Err(format!("column {name:?} has a role and no action")),
                Some(Action::Drop) => {
                    return Err(format!("column {name:?} is dropped, so it has no role"));
                }
                Some(_) if !seen.insert(name) => {
                    return Err(format!("column {name:?} has two roles"));
                }
                Some(_) => {}
            }
        }
        if self.quasi_identifiers.is_empty() && !self.sensitive.is_empty() {
            return Err("it names sensitive columns and no quasi-identifiers".into());
        }
        if let Some(suppress) = self.suppress {
            if self.quasi_identifiers.is_empty() {
                return Err("to suppress small groups, it names quasi-identifiers".into());
            }
            if !(2..=K_MAX).contains(&suppress.k) {
                return Err(format!("k is 2 to {K_MAX}"));
            }
        }
        if self.columns.values().all(|action| matches!(action, Action::Drop)) {
            return Err("it drops every column".into());
        }
        Ok(())
    }
}

impl Action {
    fn new(column: &str, written: WrittenAction) -> Result<Self, String> {
        let group = |named: Option<String>| {
            let group = named.unwrap_or_else(|| column.to_owned());
            words("a group", &group).map(|()| group)
        };
        Ok(match written {
            WrittenAction::Keep {} => Action::Keep,
            WrittenAction::Drop {} => Action::Drop,
            WrittenAction::Pseudonym { group: named } => Action::Pseudonym { group: group(named)? },
            WrittenAction::Token { alphabet, separators, group: named, unreadable } => {
                let separators = separators.unwrap_or_else(|| " -/.()+".to_owned());
                if separators.chars().any(|c| c.is_alphanumeric() || alphabet.has(c)) {
                    return Err("a separator is no letter or digit".into());
                }
                Action::Token { alphabet, separators, group: group(named)?, unreadable }
            }
            WrittenAction::Generalise { date, bins, prefix, places, unreadable } => {
                let how = match (date, bins, prefix, places) {
                    (Some(unit), None, None, None) => Generalise::Date(unit),
                    (None, Some(bins), None, None) => {
                        bins.check()?;
                        Generalise::Bins(bins)
                    }
                    (None, None, Some(prefix), None) => Generalise::Prefix(prefix),
                    (None, None, None, Some(places)) => {
                        places.check()?;
                        Generalise::Places(places)
                    }
                    _ => return Err("it says one of date, bins, prefix, places".into()),
                };
                Action::Generalise { how, unreadable }
            }
            WrittenAction::Redact { patterns, names } => {
                let patterns = patterns.unwrap_or_else(|| Pattern::ALL.to_vec());
                Action::Redact(Redactor::new(&patterns, &names)?)
            }
        })
    }
}

fn words(what: &str, text: &str) -> Result<(), String> {
    let fits = (1..=WORDS_BYTES_MAX).contains(&text.len());
    if fits && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!("{what} has 1 to {WORDS_BYTES_MAX} bytes and no control characters"))
}

fn line_at(bytes: &[u8], at: usize) -> u64 {
    1 + bytes[..at.min(bytes.len())].iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// What of a parser's message may be shown: what it says of keys. Of values it may repeat some,
/// such as a name to redact.
fn tellable(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let of_keys = ["unknown field", "missing field", "duplicate key", "unknown variant"];
    if of_keys.iter().any(|start| first.starts_with(start)) {
        return first.to_owned();
    }
    "it is no TOML, or a value is not of the type that belongs there".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "schema = \"assay.mask-plan/1\"\n\
                        owner = \"0x4dF9c73604c2eaD7d936fFB90dB0ccd268b06833\"\npurpose = \"study\"\n";

    fn plan(rest: &str) -> Result<Plan, MaskError> {
        Plan::from_toml(format!("{HEAD}{rest}").as_bytes())
    }

    fn cause(rest: &str) -> String {
        match plan(rest) {
            Ok(_) => panic!("this should be refused:\n{rest}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_plan_says_all_that_can_be_said() {
        let plan = plan(
            r#"
            quasi_identifiers = ["birth", "postcode", "city", "age"]
            sensitive = ["illness"]
            suppress = { k = 5, how = "blank" }
            [columns]
            name = { action = "drop" }
            id = { action = "pseudonym", group = "person" }
            card = { action = "token", alphabet = "digits", separators = " ", unreadable = "blank" }
            birth = { action = "generalise", date = "year" }
            age = { action = "generalise", bins = { width = 10, origin = "0.5", below = 18, above = 90 } }
            postcode = { action = "generalise", prefix = 3 }
            city = { action = "generalise", places = { levels = 1, other = "?", hierarchy = { Soho = "London" } } }
            illness = { action = "keep" }
            note = { action = "redact", patterns = ["email"], names = ["Ada"] }
            "#,
        );
        let plan = plan.unwrap();
        assert_eq!(plan.owner(), "0x4df9c73604c2ead7d936ffb90db0ccd268b06833");
        assert_eq!(format!("{plan:?}"), "Plan(9 columns)", "a plan may hold names");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        let cases = [
            ("", "missing field `columns`"),
            ("[columns]", "names 1 to"),
            (
                "colour = 1\n[columns]\na = { action = \"keep\" }",
                "line 4 of the plan: unknown field `colour`",
            ),
            ("[columns]\na = { action = \"keep\", date = \"year\" }", "unknown field `date`"),
            ("[columns]\na = { action = \"drop\", x = 1 }", "unknown field `x`"),
            ("[columns]\na = { action = \"hide\" }", "unknown variant"),
            ("[columns]\na = { }", "missing field `action`"),
            ("[columns]\na = { action = \"keep\" }\na = { action = \"drop\" }", "duplicate key"),
            ("[columns]\na = { action = \"generalise\" }", "one of date"),
            (
                "[columns]\na = { action = \"generalise\", date = \"year\", prefix = 1 }",
                "one of date",
            ),
            ("[columns]\na = { action = \"generalise\", date = \"day\" }", "unknown variant"),
            (
                "[columns]\na = { action = \"generalise\", bins = { width = 0.5 } }",
                "a value is not",
            ),
            ("[columns]\na = { action = \"generalise\", bins = { width = 0 } }", "wider than 0"),
            ("[columns]\na = { action = \"token\" }", "missing field `alphabet`"),
            (
                "[columns]\na = { action = \"token\", alphabet = \"digits\", separators = \"x\" }",
                "separator",
            ),
            ("[columns]\na = { action = \"redact\", patterns = [] }", "names a pattern"),
            ("[columns]\na = { action = \"drop\" }", "drops every column"),
            ("[columns]\na = { action = \"pseudonym\", group = \"\" }", "a group has"),
            ("sensitive = [\"a\"]\n[columns]\na = { action = \"keep\" }", "no quasi-identifiers"),
            ("quasi_identifiers = [\"b\"]\n[columns]\na = { action = \"keep\" }", "no action"),
            (
                "quasi_identifiers = [\"a\", \"a\"]\n[columns]\na = { action = \"keep\" }",
                "two roles",
            ),
            (
                "quasi_identifiers = [\"a\"]\n[columns]\na = { action = \"drop\" }\nb = { action = \"keep\" }",
                "is dropped",
            ),
            (
                "suppress = { k = 5, how = \"drop\" }\n[columns]\na = { action = \"keep\" }",
                "names quasi-identifiers",
            ),
            (
                "quasi_identifiers = [\"a\"]\nsuppress = { k = 1, how = \"drop\" }\n[columns]\na = { action = \"keep\" }",
                "k is 2",
            ),
        ];
        for (rest, expect) in cases {
            let cause = cause(rest);
            assert!(cause.contains(expect), "{rest}\ngives {cause:?}, not {expect:?}");
        }
        assert!(
            Plan::from_toml(
                b"schema = \"assay.mask-plan/2\"\nowner = \"\"\npurpose = \"\"\n[columns]\n"
            )
            .is_err()
        );
        assert!(Plan::from_toml(b"\xff").is_err());
        let large = " ".repeat(PLAN_BYTES_MAX as usize + 1);
        assert!(Plan::from_toml(large.as_bytes()).is_err());
    }

    #[test]
    fn errors_repeat_no_value_of_a_plan() {
        for rest in [
            "[columns]\na = { action = \"redact\", names = \"CANARY\" }",
            "[columns]\na = { action = \"redact\", names = [\"CANARY] }",
            "[columns]\na = { action = \"generalise\", places = { levels = 1, hierarchy = { \"CANARY\" = 1 } } }",
        ] {
            assert!(!cause(rest).contains("CANARY"), "a name to redact is in {:?}", cause(rest));
        }
    }
}
