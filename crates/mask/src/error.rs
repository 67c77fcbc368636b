//! What can be wrong with a plan or a table. No variant holds a cell's content: rows and columns
//! are told by number, or by the plan's own names.

use assay_guest::csv::TableError;

/// Why a table is not masked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// The plan does not parse.
    #[error("line {line} of the plan: {what}")]
    PlanForm {
        /// Counted from 1.
        line: u64,
        /// What does not fit.
        what: String,
    },
    /// The plan parses, and makes no sense.
    #[error("the plan contradicts itself: {0}")]
    Plan(String),
    /// There is no header.
    #[error("the table is empty: it has not even a header")]
    Empty,
    /// What is wrong with it as a table.
    #[error(transparent)]
    Table(TableError),
    /// A cell is not text.
    #[error("row {row}, column {column} is not UTF-8")]
    Utf8 {
        /// Counted from 1, the header's.
        row: u64,
        /// Counted from 1.
        column: u64,
    },
    /// A column that the plan does not name: nothing leaves by accident.
    #[error("the plan does not name column {column} of the table")]
    Unnamed {
        /// Counted from 1.
        column: u64,
    },
    /// A column of the plan that the table has with blanks around its name.
    #[error("the name of column {column} of the table is {name:?} with blanks around it")]
    Blanks {
        /// Counted from 1.
        column: u64,
        /// The plan's name.
        name: String,
    },
    /// A column of the plan that is not in the table.
    #[error("the table has no column {column:?}, which the plan names")]
    Absent {
        /// The plan's name.
        column: String,
    },
    /// A cell that its column's action can't read.
    #[error("row {row}, column {column:?}: {what}")]
    Cell {
        /// Counted from 1, the header's.
        row: u64,
        /// The plan's name.
        column: String,
        /// What was expected.
        what: &'static str,
    },
    /// A cell that has too few possible values to be a token.
    #[error(
        "row {row}, column {column:?}: fewer than 1,000,000 values have this form, so a token could be guessed"
    )]
    Domain {
        /// Counted from 1, the header's.
        row: u64,
        /// The plan's name.
        column: String,
    },
    /// More groups than are counted.
    #[error("there are more than {max} different {of}")]
    Groups {
        /// The bound.
        max: u64,
        /// What is counted.
        of: &'static str,
    },
    /// Somebody else's key is to sign.
    #[error("the plan's owner is another account than the one that signs")]
    Owner,
    /// The two readings differ.
    #[error("the table changed while it was read")]
    Changed,
}

impl MaskError {
    /// What to do about it.
    pub fn next_step(&self) -> &'static str {
        match self {
            MaskError::PlanForm { .. } | MaskError::Plan(_) => {
                "see spec/mask.md for what a plan may say"
            }
            MaskError::Empty => "give a table whose first row names its columns",
            MaskError::Table(why) => match why {
                TableError::Ragged { .. } => "give each row as many cells as the header has",
                TableError::Twice { .. } => "rename one of the columns",
                TableError::Looks { .. } => "a plan reads CSV with commas, in UTF-8",
                TableError::Large { .. } => {
                    "split the table; a quote that is never closed also does this"
                }
                _ => "write the table anew with quotes as RFC 4180 has them",
            },
            MaskError::Utf8 { .. } => {
                "convert the table to UTF-8; spreadsheets often write Latin-1 (Windows-1252)"
            }
            MaskError::Blanks { .. } => "remove the blanks in the table's first row",
            MaskError::Unnamed { .. } => {
                "give it an action in the plan, `drop` if in doubt; or the plan is for another table"
            }
            MaskError::Absent { .. } => "take it out of the plan; or the plan is for another table",
            MaskError::Cell { .. } => {
                "mend the cell, or say `unreadable = \"blank\"` of the column to empty such cells"
            }
            MaskError::Domain { .. } => {
                "use a pseudonym where no format must be kept, or say `unreadable = \"blank\"`"
            }
            MaskError::Groups { .. } => "generalise the quasi-identifiers further, or name fewer",
            MaskError::Owner => "sign with the owner's account, or name this one in the plan",
            MaskError::Changed => "mask it again while nobody writes to it",
        }
    }
}

impl From<TableError> for MaskError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Empty => MaskError::Empty,
            error => MaskError::Table(error),
        }
    }
}
