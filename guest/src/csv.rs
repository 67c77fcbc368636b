//! Tables in CSV (RFC 4180): a header, then rows of as many fields.
//!
//! The one reader of tables: programs read by it what masking and disclosing on a host read by it
//! too, so that no two of them see different cells in the same bytes (spec/guest.md#tables).

use crate::cells::Cells;
use crate::{Error, Output, OutputFull, bail};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// A table read row by row, in place: the memory for one row is all it holds.
pub struct Table<'a> {
    rows: TableReader,
    rest: &'a [u8],
    header: Vec<Vec<u8>>,
}

impl<'a> Table<'a> {
    /// Reads the header. Errors as [`TableReader::read`], and if there is none.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let (mut rows, mut rest) = (TableReader::default(), bytes);
        if !rows.read(&mut rest)? && !rows.end()? {
            return Err(TableError::Empty.into());
        }
        let row = rows.row();
        let header = (0..row.len()).map(|index| row.field(index).to_vec()).collect();
        Ok(Self { rows, rest, header })
    }

    /// The index of the column with this name. Errors if there is none, and says which there are.
    pub fn column(&self, name: &str) -> Result<usize, Error> {
        if let Some(index) = self.header.iter().position(|column| column == name.as_bytes()) {
            return Ok(index);
        }
        let columns = self.column_names();
        if self.header.iter().any(|column| column.trim_ascii() == name.as_bytes()) {
            bail!(
                "the table has the column {name:?} with blanks around its name, remove them: it has {columns:?}"
            );
        }
        bail!("the table has no column {name:?}, it has {columns}")
    }

    fn column_names(&self) -> alloc::string::String {
        alloc::string::String::from_utf8_lossy(&self.header.join(&b", "[..])).into_owned()
    }

    /// The next row, or `None` after the last. Errors as [`TableReader::read`].
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, Error> {
        let is_row = self.rows.read(&mut self.rest)? || self.rows.end()?;
        Ok(is_row.then(|| self.rows.row()))
    }
}

/// Why bytes are no table. No variant holds a field's content: rows and columns are told by number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableError {
    /// There is no header.
    Empty,
    /// The bytes are no CSV as RFC 4180 has it.
    Form {
        /// Counted from 1, the header's.
        row: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// A row is not as wide as the header.
    Ragged {
        /// Counted from 1, the header's.
        row: u64,
        /// Its fields.
        has: u64,
        /// The header's.
        needs: u64,
    },
    /// Two columns have one name.
    Twice {
        /// The first, counted from 1.
        first: u64,
        /// The second.
        second: u64,
    },
    /// It is a table, and no CSV in UTF-8.
    Looks {
        /// Like what it looks.
        like: &'static str,
        /// What to do about it.
        next: &'static str,
    },
    /// A row passes a bound.
    Large {
        /// Counted from 1, the header's.
        row: u64,
        /// The bound.
        max: u64,
        /// What is counted.
        of: &'static str,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the table is empty: a header and rows of CSV are expected"),
            Self::Form { row, what } => write!(f, "row {row} is no CSV (RFC 4180): {what}"),
            Self::Ragged { row, has, needs } => {
                write!(f, "row {row} has {has} cells and the header {needs}")
            }
            Self::Twice { first, second } => {
                write!(f, "columns {first} and {second} have the same name")
            }
            Self::Looks { like, next } => write!(f, "the table looks like {like}: {next}"),
            Self::Large { row, max, of } => write!(f, "row {row} passes the bound of {max} {of}"),
        }
    }
}

impl core::error::Error for TableError {}

/// One row's fields, unquoted.
#[derive(Clone, Copy, Debug)]
pub struct Row<'r> {
    fields: &'r [u8],
    ends: &'r [usize],
    /// The row's number in the file, the header being 1. Empty lines don't count.
    pub number: u64,
}

impl<'r> Row<'r> {
    #[expect(clippy::len_without_is_empty, reason = "a row has at least one field")]
    /// How many fields the row has, at least one.
    pub fn len(self) -> usize {
        self.ends.len()
    }

    /// A field's bytes. Panics if `index >= len()`.
    pub fn field(self, index: usize) -> &'r [u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.fields[start..self.ends[index]]
    }
}

/// Reads a table from pieces of any size, in the memory of one row: records, of which the first is
/// a header of names that all differ, and the others are as wide as it.
#[derive(Default)]
pub struct TableReader {
    records: RecordReader,
    width: u64,
}

impl TableReader {
    /// A reader that refuses rows of more bytes or fields.
    pub fn with_bounds(bytes_max: u64, fields_max: u64) -> Self {
        Self { records: RecordReader { bytes_max, fields_max, ..Default::default() }, width: 0 }
    }

    /// Reads on to the end of a row, which [`Self::row`] then is, or of the input: then it is
    /// false. Errors with a [`TableError`].
    pub fn read(&mut self, input: &mut &[u8]) -> Result<bool, TableError> {
        let is_row = self.records.read(input);
        self.checked(is_row)
    }

    /// Says that there is no more input; true if a last row had no line end. Errors with a
    /// [`TableError`]; not if there was no row.
    pub fn end(&mut self) -> Result<bool, TableError> {
        let is_row = self.records.end();
        self.checked(is_row)
    }

    /// The row that was read last.
    pub fn row(&self) -> Row<'_> {
        self.records.row()
    }

    fn checked(&mut self, is_row: Result<bool, TableError>) -> Result<bool, TableError> {
        let is_header = self.width == 0;
        if is_header && is_row != Ok(false) {
            self.check_looks()?;
        }
        if !is_row? {
            return Ok(false);
        }
        let row = self.records.row();
        let (number, has) = (row.number, row.len() as u64);
        if is_header {
            check_names(row)?;
            self.width = has;
        } else if has != self.width {
            return Err(TableError::Ragged { row: number, has, needs: self.width });
        } else if has == 1 && self.records.is_after_blank {
            let what = "an empty line before it, which may be an empty cell: write it as \"\"";
            return Err(TableError::Form { row: number, what });
        }
        Ok(true)
    }

    /// Whether the header is one of a table that was saved otherwise; also where it could not be
    /// read.
    fn check_looks(&self) -> Result<(), TableError> {
        let (text, ends) = (&self.records.fields[..], &self.records.ends[..]);
        let first = &text[..ends.first().copied().unwrap_or(text.len())];
        let looks = |like, next| Err(TableError::Looks { like, next });
        if text.contains(&0) || text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
            return looks("UTF-16", "save it as UTF-8");
        }
        if core::str::from_utf8(text).is_err() {
            return looks("Latin-1 (Windows-1252)", "save it as UTF-8");
        }
        if first.len() <= 5 && first.starts_with(b"sep=") {
            return looks("a spreadsheet's export", "remove its first line, sep=");
        }
        if ends.len() == 1 && !self.records.is_quoted {
            if first.contains(&b';') {
                return looks(
                    "one with semicolons between its cells",
                    "write commas, and points in numbers",
                );
            }
            if first.contains(&b'\t') {
                return looks("one with tabs between its cells", "write commas");
            }
        }
        Ok(())
    }
}

fn check_names(header: Row<'_>) -> Result<(), TableError> {
    let mut seen = BTreeMap::new();
    for index in 0..header.len() {
        if let Some(first) = seen.insert(header.field(index), index) {
            let [first, second] = [first, index].map(|index| index as u64 + 1);
            return Err(TableError::Twice { first, second });
        }
    }
    Ok(())
}

/// Reads records from pieces of any size: rows as CSV has them (RFC 4180, LF also alone), whatever
/// they mean. A byte order mark before the first is skipped, and so are empty lines.
pub struct RecordReader {
    at: At,
    fields: Vec<u8>,
    ends: Vec<usize>,
    number: u64,
    bytes_max: u64,
    fields_max: u64,
    /// The record is whole, and the next byte begins another.
    is_given: bool,
    /// The record has a field in quotes.
    is_quoted: bool,
    /// An empty line stands between the record and the one before.
    is_after_blank: bool,
}

#[derive(Clone, Copy)]
enum At {
    /// The first bytes of the file; so many are those of a byte order mark.
    Start(usize),
    /// Before a record.
    Row,
    /// Before a field that follows a comma.
    Field,
    /// In a field without quotes.
    Bare,
    /// In a field with quotes.
    Quoted,
    /// After a quote in such a field: its end, or the first of two.
    Closed,
    /// After a carriage return.
    Return,
}

impl Default for RecordReader {
    fn default() -> Self {
        Self {
            at: At::Start(0),
            fields: Vec::new(),
            ends: Vec::new(),
            number: 0,
            bytes_max: u64::MAX,
            fields_max: u64::MAX,
            is_given: false,
            is_quoted: false,
            is_after_blank: false,
        }
    }
}

impl RecordReader {
    /// Reads on to the end of a record, which [`Self::row`] then is, or of the input: then it is
    /// false. Errors with [`TableError::Form`] and [`TableError::Large`].
    pub fn read(&mut self, input: &mut &[u8]) -> Result<bool, TableError> {
        if self.is_given {
            self.begin();
        }
        while let Some((&byte, rest)) = input.split_first() {
            match (self.at, byte) {
                (At::Start(read), _) if byte == BYTE_ORDER_MARK[read] => {
                    let is_whole = read + 1 == BYTE_ORDER_MARK.len();
                    self.at = if is_whole { At::Row } else { At::Start(read + 1) };
                }
                (At::Start(read), _) => {
                    self.give_mark_back(read);
                    continue;
                }
                (At::Bare, b'"') => return self.wrong("a quote within a cell without quotes"),
                (At::Quoted, b'"') => self.at = At::Closed,
                (At::Closed, b'"') => {
                    self.push(b"\"")?;
                    self.at = At::Quoted;
                }
                (At::Row | At::Field, b'"') => {
                    self.is_quoted = true;
                    self.at = At::Quoted;
                }
                (At::Return, b'\n') | (At::Row, b'\n') => {
                    *input = rest;
                    if self.end_record() {
                        return Ok(true);
                    }
                    continue;
                }
                (At::Return, _) => return self.wrong(RETURN_ALONE),
                (At::Row, b'\r') => self.at = At::Return,
                (At::Quoted, _) => {
                    let length = input.iter().position(|byte| *byte == b'"');
                    self.take(input, length)?;
                    continue;
                }
                (_, b',') => {
                    self.end_field()?;
                    self.at = At::Field;
                }
                (_, b'\r') => {
                    self.end_field()?;
                    self.at = At::Return;
                }
                (_, b'\n') => {
                    self.end_field()?;
                    *input = rest;
                    return Ok(self.end_record());
                }
                (At::Closed, _) => return self.wrong("text after a closing quote"),
                (At::Row | At::Field | At::Bare, _) => {
                    self.at = At::Bare;
                    let is_end = |byte: &u8| matches!(byte, b',' | b'"' | b'\r' | b'\n');
                    let length = input.iter().position(is_end);
                    self.take(input, length)?;
                    continue;
                }
            }
            *input = rest;
        }
        Ok(false)
    }

    /// Says that there is no more input; true if a last record had no line end. Errors as
    /// [`Self::read`].
    pub fn end(&mut self) -> Result<bool, TableError> {
        match self.at {
            At::Row => return Ok(false),
            At::Start(read) => self.give_mark_back(read),
            At::Quoted => return self.wrong("a quote that is never closed"),
            At::Return => return self.wrong(RETURN_ALONE),
            At::Field | At::Bare | At::Closed => {}
        }
        if matches!(self.at, At::Row) {
            return Ok(false);
        }
        self.end_field()?;
        Ok(self.end_record())
    }

    /// The record that was read last.
    pub fn row(&self) -> Row<'_> {
        Row { fields: &self.fields, ends: &self.ends, number: self.number }
    }

    fn begin(&mut self) {
        self.fields.clear();
        self.ends.clear();
        self.is_given = false;
        self.is_quoted = false;
        self.is_after_blank = false;
    }

    /// What began as a byte order mark was text.
    fn give_mark_back(&mut self, read: usize) {
        self.fields.extend_from_slice(&BYTE_ORDER_MARK[..read]);
        self.at = if read == 0 { At::Row } else { At::Bare };
    }

    /// Appends so many bytes of the input, or all.
    fn take(&mut self, input: &mut &[u8], length: Option<usize>) -> Result<(), TableError> {
        let (text, rest) = input.split_at(length.unwrap_or(input.len()));
        *input = rest;
        self.push(text)
    }

    fn push(&mut self, text: &[u8]) -> Result<(), TableError> {
        if (self.fields.len() + text.len()) as u64 > self.bytes_max {
            return self.large(self.bytes_max, "bytes");
        }
        self.fields.extend_from_slice(text);
        Ok(())
    }

    fn end_field(&mut self) -> Result<(), TableError> {
        if self.ends.len() as u64 == self.fields_max {
            return self.large(self.fields_max, "columns");
        }
        self.ends.push(self.fields.len());
        Ok(())
    }

    /// False for an empty line, which is no record.
    fn end_record(&mut self) -> bool {
        self.at = At::Row;
        let is_record = !self.ends.is_empty();
        self.number += u64::from(is_record);
        self.is_given = is_record;
        self.is_after_blank |= !is_record;
        is_record
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T, TableError> {
        Err(TableError::Form { row: self.number + 1, what })
    }

    fn large<T>(&self, max: u64, of: &'static str) -> Result<T, TableError> {
        Err(TableError::Large { row: self.number + 1, max, of })
    }
}

const RETURN_ALONE: &str = "a carriage return without a line feed";

/// What some editors put before a text; a reader skips it at the start of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Writes a table as it comes, a header and rows, and in a private job commits to each of its
/// cells, so that the beneficiary can show some of them later and nothing of the others
/// (spec/disclosure.md#cells).
pub struct TableWriter<'o> {
    output: &'o mut Output,
    /// None in a public job.
    cells: Option<Cells>,
    /// How many fields the row has so far.
    fields: u32,
    /// The row is one empty field so far.
    is_blank: bool,
    text: Vec<u8>,
}

impl<'o> TableWriter<'o> {
    /// A table, which is all that the output holds.
    pub fn new(output: &'o mut Output) -> Self {
        let cells = output.table_key().map(Cells::new);
        Self { output, cells, fields: 0, is_blank: true, text: Vec::new() }
    }

    /// Appends a field to the row. Errors if the output is full, or the row beyond 1024 fields in a
    /// private job.
    pub fn field(&mut self, field: &[u8]) -> Result<(), Error> {
        if self.fields > 0 {
            self.output.write(b",")?;
        }
        self.is_blank = self.fields == 0 && field.is_empty();
        self.fields += 1;
        if let Some(cells) = &mut self.cells {
            cells.cell(field)?;
        }
        write_field(self.output, field)?;
        Ok(())
    }

    /// Appends a field that is shown as text: a number.
    pub fn show(&mut self, value: impl fmt::Display) -> Result<(), Error> {
        let mut text = core::mem::take(&mut self.text);
        text.clear();
        // Appending to memory does not fail.
        let _ = write!(Appending(&mut text), "{value}");
        let done = self.field(&text);
        self.text = text;
        done
    }

    /// Ends the row. Errors if the output is full.
    pub fn end_row(&mut self) -> Result<(), Error> {
        // A line without anything would be no row to a reader.
        if self.fields > 0 && self.is_blank {
            self.output.write(b"\"\"")?;
        }
        self.output.write(b"\n")?;
        if let Some(cells) = &mut self.cells {
            cells.end_row();
        }
        self.fields = 0;
        self.is_blank = true;
        Ok(())
    }

    /// Ends the table: the root of its cells goes into the sealed output's header.
    pub fn finish(self) {
        if let Some(root) = self.cells.and_then(Cells::root) {
            self.output.set_cells_root(root);
        }
    }
}

/// Text that is appended to bytes.
struct Appending<'a>(&'a mut Vec<u8>);

impl Write for Appending<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Writes one field, quoted if it has to be.
pub fn write_field(output: &mut Output, field: &[u8]) -> Result<(), OutputFull> {
    put_field(field, &mut |part| output.write(part))
}

/// Gives a field's bytes, quoted if it has to be, piece by piece.
pub fn put_field<E>(field: &[u8], put: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    // Else a reader would take the mark for the file's and lose it.
    let is_marked = field.starts_with(BYTE_ORDER_MARK);
    if !is_marked && !field.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        return put(field);
    }
    put(b"\"")?;
    for part in field.split_inclusive(|byte| *byte == b'"') {
        put(part)?;
        if part.ends_with(b"\"") {
            put(b"\"")?;
        }
    }
    put(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    #[test]
    fn reads_quotes_line_ends_and_a_last_line_without_one() {
        let mut table = Table::new(b"\xef\xbb\xbfa,b\r\n\"x, \"\"y\"\"\",1\r\n\nz,2").unwrap();
        assert_eq!(table.column("b").unwrap(), 1);
        let row = table.next_row().unwrap().unwrap();
        assert_eq!((row.field(0), row.field(1)), (&b"x, \"y\""[..], &b"1"[..]));
        let row = table.next_row().unwrap().unwrap();
        assert_eq!((row.field(0), row.number), (&b"z"[..], 3));
        assert!(table.next_row().unwrap().is_none());
    }

    /// Reads a table to its end.
    fn read(bytes: &[u8]) -> Result<Vec<Vec<String>>, String> {
        let mut table = Table::new(bytes).map_err(|error| error.to_string())?;
        let mut rows = Vec::new();
        while let Some(row) = table.next_row().map_err(|error| error.to_string())? {
            let text = |index| String::from_utf8_lossy(row.field(index)).into_owned();
            rows.push((0..row.len()).map(text).collect());
        }
        Ok(rows)
    }

    #[test]
    fn says_what_is_wrong_with_a_table() {
        let utf16 = "looks like UTF-16: save it as UTF-8";
        let cases: [(&[u8], &str); 21] = [
            (b"", "the table is empty"),
            (b"\n\r\n", "the table is empty"),
            (b"\xef\xbb\xbf", "the table is empty"),
            (b"a,b\n1\n", "row 2 has 1 cells and the header 2"),
            (b"a,b\n\n1,2,3", "row 2 has 3 cells and the header 2"),
            (b"a,b\n1,2\n3,\"4\n5,6\n", "row 3 is no CSV (RFC 4180): a quote that is never closed"),
            (b"a\nx\"y\n", "row 2 is no CSV (RFC 4180): a quote within a cell without quotes"),
            (b"a\n\"x\"y\n", "row 2 is no CSV (RFC 4180): text after a closing quote"),
            (b"a\rb\n", "row 1 is no CSV (RFC 4180): a carriage return without a line feed"),
            (b"a\nb\r", "row 2 is no CSV (RFC 4180): a carriage return without a line feed"),
            (b"a\n1\r\n\r\n2", "row 3 is no CSV (RFC 4180): an empty line before it"),
            (b"a,b,a\n", "columns 1 and 3 have the same name"),
            (b"a;b\n1;2,5\n", "looks like one with semicolons between its cells: write commas"),
            (b"a\tb\n", "looks like one with tabs between its cells: write commas"),
            (b"sep=,\na,b\n", "looks like a spreadsheet's export: remove its first line, sep="),
            (b"sep=;\r\na;b\n", "looks like a spreadsheet's export: remove its first line, sep="),
            (b"\xff\xfea\0,\0b\0\n\0", utf16),
            (b"\xff\xfea\0,\0b\0\r\0\n\0", utf16),
            (b"\xfe\xff\0a\0,\0b\0\n", utf16),
            (b"a\0,\0b\0\r\0\n\0", utf16),
            (b"stra\xdfe,b\n", "looks like Latin-1 (Windows-1252): save it as UTF-8"),
        ];
        for (table, expect) in cases {
            let error = read(table).unwrap_err();
            assert!(error.contains(expect), "{table:?}: {error}");
            let mut reader = TableReader::default();
            let mut bytes = table.chunks(1);
            let pieces = bytes.try_for_each(|mut byte| reader.read(&mut byte).map(|_| ()));
            let ended = pieces.and_then(|()| reader.end());
            let is_empty = expect == "the table is empty";
            assert!(is_empty || ended.unwrap_err().to_string() == error, "{table:?} in pieces");
        }
        let table = Table::new(b"a, b\n").unwrap();
        let error = table.column("c").unwrap_err().to_string();
        assert_eq!(error, "the table has no column \"c\", it has a,  b");
        let error = table.column("b").unwrap_err().to_string();
        assert!(error.contains("with blanks around its name"), "{error}");
    }

    #[test]
    fn what_only_looks_wrong_is_read() {
        let cases: [&[u8]; 6] = [
            b"a\n1\n2\n\n\r\n",
            b"a,b\n\n1,2\n\n",
            b"\"a;b\"\n1\n",
            b"a;b,c\n1,2\n",
            b"separator,b\n1,2\n",
            b"a\n\"\"\n",
        ];
        for table in cases {
            assert!(read(table).is_ok(), "{table:?}: {:?}", read(table));
        }
    }

    #[test]
    fn rows_are_the_same_however_the_bytes_come() {
        let table = "\u{feff}a,\"b \"\"c\"\"\",\"d\r\ne\"\r\n,\"\",ü\n\n1,2,3".as_bytes();
        let expect = read(table).unwrap();
        assert_eq!(expect, [["", "", "ü"], ["1", "2", "3"]]);
        for size in 1..=table.len() {
            let (mut reader, mut rows) = (TableReader::default(), Vec::new());
            let mut keep = |row: Row<'_>| {
                let text = |index| String::from_utf8_lossy(row.field(index)).into_owned();
                rows.push((0..row.len()).map(text).collect::<Vec<_>>());
            };
            for mut piece in table.chunks(size) {
                while reader.read(&mut piece).unwrap() {
                    keep(reader.row());
                }
            }
            if reader.end().unwrap() {
                keep(reader.row());
            }
            assert!(!reader.end().unwrap(), "the end comes once");
            assert_eq!(rows[1..], expect, "pieces of {size} bytes");
        }
    }

    proptest! {
        #[test]
        fn a_table_reads_back(rows in proptest::collection::vec(
            proptest::collection::vec("(\u{feff})?[a,\"\n\r ]{0,4}", 3), 0..6), width in 1usize..=3,
        ) {
            let mut output = Output::new();
            let mut writer = TableWriter::new(&mut output);
            for row in &rows {
                row[..width].iter().for_each(|field| writer.field(field.as_bytes()).unwrap());
                writer.end_row().unwrap();
            }
            writer.finish();
            prop_assume!(!rows.is_empty());
            let (mut table, mut rest) = (RecordReader::default(), output.as_bytes());
            for row in &rows {
                prop_assert!(table.read(&mut rest).unwrap());
                let read = table.row();
                let fields: Vec<&[u8]> = (0..read.len()).map(|index| read.field(index)).collect();
                let expect: Vec<&[u8]> = row[..width].iter().map(|field| field.as_bytes()).collect();
                prop_assert_eq!(fields, expect, "or its cells could not be shown");
            }
            prop_assert!(!table.read(&mut rest).unwrap() && !table.end().unwrap());
        }

        #[test]
        fn what_is_written_reads_back(field in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut output = Output::new();
            output.write(b"header\nx").unwrap();
            write_field(&mut output, b"").unwrap();
            output.write(b"\n").unwrap();
            // A lone empty field would be an empty line, which is no row.
            prop_assume!(!field.is_empty());
            write_field(&mut output, &field).unwrap();
            let mut table = Table::new(output.as_bytes()).unwrap();
            table.next_row().unwrap();
            let row = table.next_row().unwrap().unwrap();
            prop_assert_eq!(row.field(0), &field[..]);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(mut table) = Table::new(&bytes) {
                while let Ok(Some(_)) = table.next_row() {}
            }
        }
    }
}
