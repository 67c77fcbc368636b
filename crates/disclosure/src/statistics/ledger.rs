//! The ledger of a privacy budget: what was spent, in a chain of lines that only grows
//! (spec/disclosure.md#budgets).

use assay_types::{Hash, sha256};
use serde::{Deserialize, Serialize};

use super::MicroEpsilon;

/// What a ledger begins with.
pub const BUDGET_SCHEMA: &str = "assay.budget/1";

/// The longest ledger, in bytes.
const BUDGET_BYTES_MAX: usize = 1 << 24;

/// Why a ledger is no good, or nothing can be spent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// Another version, or no ledger.
    #[error("it is no ledger of a privacy budget of a version that is known here")]
    Foreign,
    /// A line does not parse, is not written as it must be, or does not follow the one before.
    #[error(
        "line {0} of the ledger was changed or cut off: restore it, or the budget counts as spent"
    )]
    Line(usize),
    /// The lines spend more than there is.
    #[error("line {0} of the ledger spends more than was left")]
    Overdrawn(usize),
    /// There is not enough left.
    #[error(
        "the privacy budget is spent: {left} millionths of epsilon are left of {total}, and {asked} were asked for; it is never refunded"
    )]
    Spent {
        /// What was asked for.
        asked: u64,
        /// What is left.
        left: u64,
        /// What there was.
        total: u64,
    },
    /// The ledger is longer than any is.
    #[error("the ledger has more than 2^24 bytes")]
    Long,
}

/// A budget and what was spent of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    text: Vec<u8>,
    total: u64,
    spent: u64,
    /// SHA-256 of the last line.
    last: Hash,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Begins {
    schema: String,
    budget_micro: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spend {
    micro: u64,
    /// What it was spent on.
    purpose: String,
    /// When, in Unix seconds.
    secs: u64,
    /// SHA-256 of the line before.
    after: Hash,
}

impl Budget {
    /// A budget of which nothing is spent.
    pub fn new(total: MicroEpsilon) -> Self {
        let total = total.micro();
        let text = line(&Begins { schema: BUDGET_SCHEMA.to_owned(), budget_micro: total });
        Budget { last: sha256(&text), text, total, spent: 0 }
    }

    /// Reads a ledger.
    ///
    /// # Errors
    ///
    /// [`BudgetError`], but not [`BudgetError::Spent`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BudgetError> {
        if bytes.len() > BUDGET_BYTES_MAX {
            return Err(BudgetError::Long);
        }
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let first = lines.next().unwrap_or_default();
        let begins: Begins = serde_json::from_slice(first).map_err(|_| BudgetError::Foreign)?;
        let total = MicroEpsilon::new(begins.budget_micro).map_err(|_| BudgetError::Line(1))?;
        if begins.schema != BUDGET_SCHEMA {
            return Err(BudgetError::Foreign);
        }
        let mut budget = Budget::new(total);
        if budget.text != first {
            return Err(BudgetError::Line(1));
        }
        for (number, own) in (2..).zip(lines) {
            let spend: Spend =
                serde_json::from_slice(own).map_err(|_| BudgetError::Line(number))?;
            let again = Spend { after: budget.last, ..spend };
            if line(&again) != own {
                return Err(BudgetError::Line(number));
            }
            if again.micro == 0 || again.micro > budget.left() {
                return Err(BudgetError::Overdrawn(number));
            }
            budget.append(&again);
        }
        Ok(budget)
    }

    /// The ledger.
    pub fn to_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The ledger after one more release. Nothing may be released before these bytes are durable.
    ///
    /// # Errors
    ///
    /// [`BudgetError::Spent`], [`BudgetError::Long`].
    pub fn spend(&self, cost: MicroEpsilon, purpose: &str, secs: u64) -> Result<Self, BudgetError> {
        let (asked, left, total) = (cost.micro(), self.left(), self.total);
        if asked > left {
            return Err(BudgetError::Spent { asked, left, total });
        }
        let mut after = self.clone();
        after.append(&Spend { micro: asked, purpose: purpose.to_owned(), secs, after: self.last });
        if after.text.len() > BUDGET_BYTES_MAX { Err(BudgetError::Long) } else { Ok(after) }
    }

    /// What there was, in millionths of epsilon.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What is left, likewise.
    pub fn left(&self) -> u64 {
        self.total - self.spent
    }

    fn append(&mut self, spend: &Spend) {
        let line = line(spend);
        self.spent += spend.micro;
        self.last = sha256(&line);
        self.text.extend_from_slice(&line);
    }
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_vec(value);
    let mut line = text.unwrap_or_else(|error| unreachable!("plain structs: {error}"));
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micro(amount: u64) -> MicroEpsilon {
        MicroEpsilon::new(amount).expect("an epsilon")
    }

    fn spent() -> Budget {
        let budget = Budget::new(micro(100));
        let budget = budget.spend(micro(40), "jobs of May", 1).expect("enough");
        budget.spend(micro(50), "jobs of June", 2).expect("enough")
    }

    #[test]
    fn what_is_spent_stays_spent() {
        let budget = Budget::from_bytes(spent().to_bytes()).expect("read");
        assert_eq!((budget.total(), budget.left()), (100, 10));
        let refused = budget.spend(micro(11), "more", 3);
        assert_eq!(refused, Err(BudgetError::Spent { asked: 11, left: 10, total: 100 }));
        let last = budget.spend(micro(10), "the rest", 3).expect("just enough");
        assert!(Budget::from_bytes(last.to_bytes()).expect("read").spend(micro(1), "", 4).is_err());
    }

    #[test]
    fn a_ledger_that_was_changed_or_cut_within_a_line_is_refused() {
        let bytes = spent().to_bytes().to_vec();
        for at in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[at] ^= 1;
            // The last line is bound by nothing that follows: its own text can be changed by who
            // can write the file.
            let is_last = bytes[at..].iter().filter(|byte| **byte == b'\n').count() == 1;
            assert!(is_last || Budget::from_bytes(&bent).is_err(), "byte {at} was taken");
            let whole = at > 0 && bytes[at - 1] == b'\n';
            assert!(whole || Budget::from_bytes(&bytes[..at]).is_err(), "cut off at {at}");
        }
    }

    #[test]
    fn other_files_and_impossible_ledgers_are_refused() {
        assert_eq!(Budget::from_bytes(b""), Err(BudgetError::Foreign));
        let newer = b"{\"schema\":\"assay.budget/2\",\"budgetMicro\":5}\n";
        assert_eq!(Budget::from_bytes(newer), Err(BudgetError::Foreign));
        let mut forged = Budget::new(micro(5));
        let after = forged.last;
        forged.append(&Spend { micro: 3, purpose: String::new(), secs: 0, after });
        let after = forged.last;
        forged.append(&Spend { micro: 3, purpose: String::new(), secs: 0, after });
        assert_eq!(Budget::from_bytes(&forged.text), Err(BudgetError::Overdrawn(3)));
        let mut nothing = Budget::new(micro(5));
        let after = nothing.last;
        nothing.append(&Spend { micro: 0, purpose: String::new(), secs: 0, after });
        assert_eq!(Budget::from_bytes(&nothing.text), Err(BudgetError::Overdrawn(2)));
    }
}
