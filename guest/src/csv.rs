//! Tables in CSV (RFC 4180): a header, then rows of as many fields.

use crate::cells::Cells;
use crate::{Error, Output, OutputFull, bail};
use alloc::{vec, vec::Vec};
use core::fmt::{self, Write};
use csv_core::{ReadRecordResult, Reader};

/// A table read row by row, in place: the memory for one row is all it holds.
pub struct Table<'a> {
    rows: Rows<'a>,
    header: Vec<Vec<u8>>,
}

/// One row's fields, unquoted.
#[derive(Clone, Copy)]
pub struct Row<'r> {
    fields: &'r [u8],
    ends: &'r [usize],
    /// The row's number in the file, the header being 1. Empty lines don't count.
    pub number: u32,
}

struct Rows<'a> {
    reader: Reader,
    rest: &'a [u8],
    fields: Vec<u8>,
    ends: Vec<usize>,
    number: u32,
}

impl<'a> Table<'a> {
    /// Reads the header. Errors if there is none.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut rows = Rows {
            reader: Reader::new(),
            rest: bytes,
            fields: vec![0; 256],
            ends: vec![0; 16],
            number: 0,
        };
        let Some(header) = rows.next() else {
            bail!("the table is empty: a header and rows of CSV are expected");
        };
        let header = (0..header.len()).map(|index| header.field(index).to_vec()).collect();
        Ok(Self { rows, header })
    }

    /// The index of the column with this name. Errors if there is none, and says which there are.
    pub fn column(&self, name: &str) -> Result<usize, Error> {
        match self.header.iter().position(|column| column == name.as_bytes()) {
            Some(index) => Ok(index),
            None => bail!("the table has no column {name:?}, it has {}", self.column_names()),
        }
    }

    fn column_names(&self) -> alloc::string::String {
        alloc::string::String::from_utf8_lossy(&self.header.join(&b", "[..])).into_owned()
    }

    /// The next row, or `None` after the last. Errors on a row with another number of fields than the header.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, Error> {
        let expected = self.header.len();
        match self.rows.next() {
            Some(row) if row.len() != expected => {
                bail!("row {} has {} fields, the header has {expected}", row.number, row.len())
            }
            row => Ok(row),
        }
    }
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

impl Rows<'_> {
    fn next(&mut self) -> Option<Row<'_>> {
        let (mut written, mut fields) = (0, 0);
        loop {
            let (result, read, bytes, ends) = self.reader.read_record(
                self.rest,
                &mut self.fields[written..],
                &mut self.ends[fields..],
            );
            self.rest = &self.rest[read..];
            written += bytes;
            fields += ends;
            match result {
                // An empty rest tells the reader that this is the end.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::End => return None,
                ReadRecordResult::Record => {
                    self.number += 1;
                    return Some(Row {
                        fields: &self.fields[..written],
                        ends: &self.ends[..fields],
                        number: self.number,
                    });
                }
            }
        }
    }
}

/// What some editors put before a text; a reader skips it at the start of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Writes a table as it comes, a header and rows, and in a private job commits to each of its cells, so that the beneficiary can show
/// some of them later and nothing of the others (spec/disclosure.md#cells).
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

    /// Appends a field to the row. Errors if the output is full, or the row beyond 1024 fields in a private job.
    pub fn field(&mut self, field: &[u8]) -> Result<(), Error> {
        if self.fields > 0 {
            self.output.write(b",")?;
        }
        self.is_blank = self.fields == 0 && field.is_empty();
        self.fields += 1;
        if let Some(cells) = &mut self.cells {
            cells.cell(field)?;
        }
        // Else a reader would take the mark for the file's and lose it.
        if field.starts_with(BYTE_ORDER_MARK) {
            write_quoted(self.output, field)?;
        } else {
            write_field(self.output, field)?;
        }
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
    if !field.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        return output.write(field);
    }
    write_quoted(output, field)
}

fn write_quoted(output: &mut Output, field: &[u8]) -> Result<(), OutputFull> {
    output.write(b"\"")?;
    for part in field.split_inclusive(|byte| *byte == b'"') {
        output.write(part)?;
        if part.ends_with(b"\"") {
            output.write(b"\"")?;
        }
    }
    output.write(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
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

    #[test]
    fn says_what_is_wrong_with_a_table() {
        assert!(Table::new(b"").is_err());
        assert!(Table::new(b"\n\n").is_err());
        let mut table = Table::new(b"a,b\n1\n").unwrap();
        let error = table.column("c").unwrap_err().to_string();
        assert_eq!(error, "the table has no column \"c\", it has a, b");
        let error = table.next_row().err().unwrap().to_string();
        assert_eq!(error, "row 2 has 1 fields, the header has 2");
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
            let mut table = Rows {
                reader: Reader::new(), rest: output.as_bytes(), fields: vec![0; 4], ends: vec![0; 2], number: 0,
            };
            for row in &rows {
                let read = table.next().unwrap();
                let fields: Vec<&[u8]> = (0..read.len()).map(|index| read.field(index)).collect();
                let expect: Vec<&[u8]> = row[..width].iter().map(|field| field.as_bytes()).collect();
                prop_assert_eq!(fields, expect, "or its cells could not be shown");
            }
            prop_assert!(table.next().is_none());
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
