//! Tables as bytes: the SDK's reader of CSV, so that a program finds the cells that were masked;
//! and UTF-8, rows one at a time, each within bounds (spec/mask.md#tables).

use std::convert::Infallible;

use assay_guest::csv::{TableReader, put_field};

use super::MaskError;

/// The most bytes of a row's cells.
pub const ROW_BYTES_MAX: u64 = 1 << 20;

/// The most columns.
pub const CELL_COLUMNS_MAX: u64 = 4096;

/// A row as it was read: at least one cell, as many as the header, all UTF-8.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// Counted from 1, the header's.
    pub number: u64,
    cells: &'a [&'a str],
}

impl<'a> Row<'a> {
    /// Its cells in order.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        self.cells.iter().copied()
    }
}

/// Reads rows from chunks of any size, in the memory of one row.
pub struct Rows(TableReader);

impl Default for Rows {
    fn default() -> Self {
        Rows(TableReader::with_bounds(ROW_BYTES_MAX, CELL_COLUMNS_MAX))
    }
}

impl Rows {
    /// Takes the next bytes and gives each row that they complete.
    ///
    /// # Errors
    ///
    /// What is wrong with the table, or what `each` returns.
    pub fn read<E: From<MaskError>>(
        &mut self,
        mut chunk: &[u8],
        each: &mut impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        while self.0.read(&mut chunk).map_err(MaskError::from)? {
            self.give(each)?;
        }
        Ok(())
    }

    /// Says that there are no more bytes.
    ///
    /// # Errors
    ///
    /// As [`Self::read`]; [`MaskError::Empty`] if there was not even a header.
    pub fn end<E: From<MaskError>>(
        &mut self,
        each: &mut impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.0.end().map_err(MaskError::from)? {
            self.give(each)?;
        }
        if self.0.row().number == 0 { Err(MaskError::Empty.into()) } else { Ok(()) }
    }

    fn give<E: From<MaskError>>(
        &self,
        each: &mut impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let read = self.0.row();
        let cell = |index| {
            let utf8 = MaskError::Utf8 { row: read.number, column: index as u64 + 1 };
            std::str::from_utf8(read.field(index)).map_err(|_| utf8)
        };
        let cells = (0..read.len()).map(cell).collect::<Result<Vec<_>, _>>()?;
        each(Row { number: read.number, cells: &cells })
    }
}

/// Writes a row as CSV, quoted where need be, ended by LF or CRLF.
pub(super) fn write<'a>(cells: impl Iterator<Item = &'a str>, crlf: bool, out: &mut Vec<u8>) {
    let start = out.len();
    let mut put = |part: &[u8]| {
        out.extend(part);
        Ok::<_, Infallible>(())
    };
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            let Ok(()) = put(b",");
        }
        let Ok(()) = put_field(cell.as_bytes(), &mut put);
    }
    // A line without anything would be no row to a reader.
    if out.len() == start {
        out.extend(b"\"\"");
    }
    out.extend(if crlf { &b"\r\n"[..] } else { b"\n" });
}

#[cfg(test)]
mod tests {
    use assay_guest::csv::TableError;

    use super::*;

    fn read(bytes: &[u8], chunk: usize) -> Result<Vec<Vec<String>>, MaskError> {
        let mut rows = Rows::default();
        let mut all = Vec::new();
        let mut each = |row: Row| {
            all.push(row.cells().map(str::to_owned).collect());
            Ok::<_, MaskError>(())
        };
        for chunk in bytes.chunks(chunk) {
            rows.read(chunk, &mut each)?;
        }
        rows.end(&mut each)?;
        Ok(all)
    }

    #[test]
    fn rows_are_the_same_however_the_bytes_come() {
        let table = "\u{feff}a,\"b \"\"c\"\"\",\"d\r\ne\"\r\n,\"\",ü\n1,2,3".as_bytes();
        let expect = vec![vec!["a", "b \"c\"", "d\r\ne"], vec!["", "", "ü"], vec!["1", "2", "3"]];
        for chunk in 1..=table.len() {
            assert_eq!(read(table, chunk).unwrap(), expect, "chunks of {chunk} bytes");
        }
        // A second mark is text.
        let table = "\u{feff}\u{feff}a,b\n1,2".as_bytes();
        let expect = vec![vec!["\u{feff}a", "b"], vec!["1", "2"]];
        for chunk in 1..=table.len() {
            assert_eq!(read(table, chunk).unwrap(), expect, "chunks of {chunk} bytes");
        }
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_reason() {
        let csv = |row, what| MaskError::Table(TableError::Form { row, what });
        let ragged = |row, has, needs| MaskError::Table(TableError::Ragged { row, has, needs });
        let twice = MaskError::Table(TableError::Twice { first: 1, second: 2 });
        let cases: [(&[u8], MaskError); 11] = [
            (b"", MaskError::Empty),
            (b"\xef\xbb\xbf", MaskError::Empty),
            (b"a,b\n1\n", ragged(2, 1, 2)),
            (b"a,b\n1,2,3", ragged(2, 3, 2)),
            (b"a,a\n1,2", twice),
            (b"a\nx\"y\n", csv(2, "a quote within a cell without quotes")),
            (b"a\n\"x\"y\n", csv(2, "text after a closing quote")),
            (b"a\n\"x\n", csv(2, "a quote that is never closed")),
            (b"a\rb\n", csv(1, "a carriage return without a line feed")),
            (b"a\n\xff\n", MaskError::Utf8 { row: 2, column: 1 }),
            (b"a,b\n\xc3,\xbc\n", MaskError::Utf8 { row: 2, column: 1 }),
        ];
        for (table, error) in cases {
            for chunk in [1, 2, 100] {
                assert_eq!(read(table, chunk), Err(error.clone()), "{table:?} by {chunk}");
            }
        }
        let long = [b"a\n\"", "x".repeat(ROW_BYTES_MAX as usize + 1).as_bytes()].concat();
        let of = "bytes";
        assert_eq!(
            read(&[&long, &b"\"\n"[..]].concat(), 1000),
            Err(MaskError::Table(TableError::Large { row: 2, max: ROW_BYTES_MAX, of }))
        );
        let wide = ",".repeat(CELL_COLUMNS_MAX as usize);
        let of = "columns";
        assert_eq!(
            read(wide.as_bytes(), 1000),
            Err(MaskError::Table(TableError::Large { row: 1, max: CELL_COLUMNS_MAX, of }))
        );
    }

    #[test]
    fn what_is_written_reads_as_the_same() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..2000 {
            let mut cell = || -> String {
                (0..random.usize(..6))
                    .map(|_| random.choice(['"', ',', '\n', '\r', 'x', 'ü', '\u{feff}']).unwrap())
                    .collect()
            };
            let header = ["h".to_owned(), "i".to_owned()];
            let row: Vec<String> = vec![cell(), cell()];
            for width in [2, 1] {
                let mut out = Vec::new();
                for row in [&header[..width], &row[..width]] {
                    write(row.iter().map(String::as_str), width == 1, &mut out);
                }
                assert_eq!(read(&out, 7).unwrap(), [&header[..width], &row[..width]], "{out:?}");
            }
        }
    }
}
