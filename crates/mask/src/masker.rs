//! A plan at work on a table.

use super::MaskError;
use super::groups::{Counted, Measure, Sizes, group_of};
use super::keyed::{MasterKey, NoToken, Pseudonyms, Tokens, Use};
use super::plan::{Action, ActionKind, Generalise, How, Plan, Suppress, Unreadable};
use super::redact::Redactor;
use super::rows::{Row, write};

/// What masking has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Rows read, without the header.
    pub rows_in: u64,
    /// Rows written, without the header.
    pub rows_out: u64,
    /// Rows left out because their group was small.
    pub rows_dropped: u64,
    /// Rows written with their quasi-identifiers emptied because their group was small.
    pub rows_blanked: u64,
    /// For each column, in the table's order.
    pub columns: Vec<ColumnEffect>,
    /// How anonymous the result is; `None` if the plan names no quasi-identifiers.
    pub measure: Option<Measure>,
    /// The quasi-identifiers, in the plan's order.
    pub quasi_identifiers: Vec<String>,
    /// The sensitive columns, in the plan's order: those of [`Measure::diversity`].
    pub sensitive: Vec<String>,
}

/// What masking has done to a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnEffect {
    /// The column.
    pub column: String,
    /// What the plan does with it.
    pub action: ActionKind,
    /// Of the rows written, how many cells are not what they were; for a dropped column, all.
    pub changed: u64,
}

/// Masks the rows of a table.
pub struct Masker {
    columns: Vec<Column>,
    quasi_identifiers: Vec<usize>,
    sensitive: Vec<usize>,
    suppress: Option<Suppress>,
    sizes: Sizes,
    blank: assay_types::Hash,
    /// Rows that are blank, or would be if all small groups were blanked; reckoned at the first row
    /// that is masked.
    blanks: Option<u64>,
    counted: Counted,
    /// The row at hand, cell by cell.
    cells: Vec<String>,
    rows_in: u64,
    rows_out: u64,
    rows_dropped: u64,
    rows_blanked: u64,
}

struct Column {
    name: String,
    kind: ActionKind,
    work: Work,
    unreadable: Unreadable,
    changed: u64,
}

/// An action with its key.
enum Work {
    Keep,
    Drop,
    Pseudonym(Pseudonyms),
    Token(Box<Tokens>),
    Generalise(Generalise),
    Redact(Redactor),
}

impl Masker {
    /// Holds a plan against a table's header.
    ///
    /// # Errors
    ///
    /// [`MaskError::Unnamed`], [`MaskError::Blanks`] and [`MaskError::Absent`] if the two do not
    /// belong together.
    pub fn new(plan: Plan, master: &MasterKey, header: &Row) -> Result<Self, MaskError> {
        let Plan { owner, purpose, quasi_identifiers, sensitive, suppress, mut columns } = plan;
        let mut taken = Vec::new();
        for (number, name) in (1..).zip(header.cells()) {
            let Some(action) = columns.remove(name) else {
                let bare = name.trim();
                return Err(match columns.contains_key(bare) {
                    true => MaskError::Blanks { column: number, name: bare.to_owned() },
                    false => MaskError::Unnamed { column: number },
                });
            };
            taken.push(Column::new(name, action, master, &owner, &purpose));
        }
        if let Some(column) = columns.into_keys().next() {
            return Err(MaskError::Absent { column });
        }
        let find = |name: &String| {
            let at = taken.iter().position(|column| column.name == *name);
            at.unwrap_or_else(|| unreachable!("a plan's roles are of its columns, all found"))
        };
        let quasi_identifiers: Vec<_> = quasi_identifiers.iter().map(find).collect();
        let sensitive: Vec<_> = sensitive.iter().map(find).collect();
        Ok(Masker {
            blank: group_of(quasi_identifiers.iter().map(|_| "")),
            counted: Counted::new(sensitive.len() as u32),
            cells: vec![String::new(); taken.len()],
            columns: taken,
            quasi_identifiers,
            sensitive,
            suppress,
            sizes: Sizes::default(),
            blanks: None,
            rows_in: 0,
            rows_out: 0,
            rows_dropped: 0,
            rows_blanked: 0,
        })
    }

    /// Whether each row must be counted before the first is masked.
    pub fn counts_first(&self) -> bool {
        self.suppress.is_some()
    }

    /// Takes note of a row's group.
    ///
    /// # Errors
    ///
    /// [`MaskError::Cell`], [`MaskError::Domain`] and [`MaskError::Groups`].
    pub fn count(&mut self, row: &Row) -> Result<(), MaskError> {
        for (at, cell) in row.cells().enumerate() {
            if self.quasi_identifiers.contains(&at) {
                self.columns[at].mask(row.number, cell, &mut self.cells[at])?;
            }
        }
        self.sizes.add(self.group())
    }

    /// Writes the header of the masked table.
    pub fn header(&self, crlf: bool, out: &mut Vec<u8>) {
        let kept = self.columns.iter().filter(|column| column.kind != ActionKind::Drop);
        write(kept.map(|column| column.name.as_str()), crlf, out);
    }

    /// Writes a masked row, or nothing if it is left out.
    ///
    /// # Errors
    ///
    /// As [`Self::count`].
    pub fn mask(&mut self, row: &Row, crlf: bool, out: &mut Vec<u8>) -> Result<(), MaskError> {
        self.rows_in += 1;
        for (at, cell) in row.cells().enumerate() {
            self.columns[at].mask(row.number, cell, &mut self.cells[at])?;
        }
        let mut group = self.group();
        match self.fate(&group) {
            Some(How::Drop) => {
                self.rows_dropped += 1;
                return Ok(());
            }
            Some(How::Blank) => {
                self.rows_blanked += 1;
                self.quasi_identifiers.iter().for_each(|&at| self.cells[at].clear());
                group = self.blank;
            }
            None => {}
        }
        self.rows_out += 1;
        for ((column, was), is) in self.columns.iter_mut().zip(row.cells()).zip(&self.cells) {
            column.changed += u64::from(column.kind == ActionKind::Drop || was != is);
        }
        if !self.quasi_identifiers.is_empty() {
            let cells = self.sensitive.iter().map(|&at| self.cells[at].as_str());
            self.counted.add(group, cells)?;
        }
        let kept = self.columns.iter().zip(&self.cells);
        let kept = kept.filter(|(column, _)| column.kind != ActionKind::Drop);
        write(kept.map(|(_, cell)| cell.as_str()), crlf, out);
        Ok(())
    }

    /// What was done, once all rows are masked.
    pub fn effect(self) -> Effect {
        let names = |of: &[usize]| of.iter().map(|&at| self.columns[at].name.clone()).collect();
        let has_groups = !self.quasi_identifiers.is_empty();
        Effect {
            rows_in: self.rows_in,
            rows_out: self.rows_out,
            rows_dropped: self.rows_dropped,
            rows_blanked: self.rows_blanked,
            measure: has_groups.then(|| self.counted.measure()),
            quasi_identifiers: names(&self.quasi_identifiers),
            sensitive: names(&self.sensitive),
            columns: self
                .columns
                .into_iter()
                .map(|Column { name, kind, changed, .. }| ColumnEffect {
                    column: name,
                    action: kind,
                    changed,
                })
                .collect(),
        }
    }

    fn group(&self) -> assay_types::Hash {
        group_of(self.quasi_identifiers.iter().map(|&at| self.cells[at].as_str()))
    }

    /// What becomes of a row of a small group. All blanked rows are one group, with those that were
    /// blank anyway: if even that is small, they go.
    fn fate(&mut self, group: &assay_types::Hash) -> Option<How> {
        let suppress = self.suppress?;
        if self.sizes.of(group) >= suppress.k {
            return None;
        }
        let (sizes, blank) = (&self.sizes, &self.blank);
        let blanks = *self.blanks.get_or_insert_with(|| sizes.small(suppress.k, blank));
        match suppress.how {
            How::Blank if blanks >= suppress.k => Some(How::Blank),
            _ => Some(How::Drop),
        }
    }
}

impl Column {
    fn new(name: &str, action: Action, master: &MasterKey, owner: &str, purpose: &str) -> Self {
        let kind = action.kind();
        let (work, unreadable) = match action {
            Action::Keep => (Work::Keep, Unreadable::Refuse),
            Action::Drop => (Work::Drop, Unreadable::Refuse),
            Action::Redact(redactor) => (Work::Redact(redactor), Unreadable::Refuse),
            Action::Generalise { how, unreadable } => (Work::Generalise(how), unreadable),
            Action::Pseudonym { group } => {
                let of = Use { owner, purpose, group: &group };
                (Work::Pseudonym(Pseudonyms::new(master, of)), Unreadable::Refuse)
            }
            Action::Token { alphabet, separators, group, unreadable } => {
                let of = Use { owner, purpose, group: &group };
                (Work::Token(Box::new(Tokens::new(master, of, alphabet, separators))), unreadable)
            }
        };
        Column { name: name.to_owned(), kind, work, unreadable, changed: 0 }
    }

    /// Writes what becomes of a cell. An empty cell says that there is no value, and stays empty.
    fn mask(&self, row: u64, cell: &str, out: &mut String) -> Result<(), MaskError> {
        out.clear();
        if cell.is_empty() {
            return Ok(());
        }
        let wrong = |what| MaskError::Cell { row, column: self.name.clone(), what };
        let done = match &self.work {
            Work::Keep => {
                out.push_str(cell);
                Ok(())
            }
            Work::Drop => Ok(()),
            Work::Pseudonym(pseudonyms) => {
                pseudonyms.write(cell, out);
                Ok(())
            }
            Work::Redact(redactor) => {
                redactor.write(cell, out);
                Ok(())
            }
            Work::Token(tokens) => tokens.write(cell, out).map_err(|why| match why {
                NoToken::Domain => MaskError::Domain { row, column: self.name.clone() },
                NoToken::Length => wrong("a token has at most 256 characters besides separators"),
                NoToken::Character => {
                    wrong("a character is neither in the token's alphabet nor a separator")
                }
            }),
            Work::Generalise(how) => how.write(cell, out).map_err(wrong),
        };
        if done.is_err() && self.unreadable == Unreadable::Blank {
            out.clear();
            return Ok(());
        }
        done
    }
}

impl Generalise {
    fn write(&self, cell: &str, out: &mut String) -> Result<(), &'static str> {
        let (done, expected) = match self {
            Generalise::Date(unit) => {
                (unit.write(cell, out), "no date such as 2026-01-31 or 2026/01/31")
            }
            Generalise::Bins(bins) => (
                bins.write(cell, out),
                "no decimal number of at most 18 digits and 9 after the point",
            ),
            Generalise::Places(places) => (
                places.write(cell, out),
                "a place that the hierarchy does not have, and the plan names no `other`",
            ),
            Generalise::Prefix(characters) => {
                out.extend(cell.chars().take(*characters as usize));
                (Some(()), "")
            }
        };
        done.ok_or(expected)
    }
}
