//! Tables as bytes: CSV by RFC 4180, UTF-8, rows one at a time.
//!
//! csv-core reads whatever it is given; masking must not guess where a cell ends, so bytes that RFC
//! 4180 does not know are refused first.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, WriteResult, Writer};

use super::MaskError;

/// The most bytes of a row's cells.
pub const ROW_BYTES_MAX: u64 = 1 << 20;

/// The most columns.
pub const CELL_COLUMNS_MAX: u64 = 4096;

/// What some systems write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A row as it was read.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// Counted from 1, the header's.
    pub number: u64,
    text: &'a str,
    ends: &'a [usize],
}

impl<'a> Row<'a> {
    /// Its cells in order.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let (text, ends) = (self.text, self.ends);
        (0..ends.len()).map(move |i| &text[if i == 0 { 0 } else { ends[i - 1] }..ends[i]])
    }
}

/// Reads rows from chunks of any size, in the memory of one row.
pub struct Rows {
    reader: Reader,
    form: Form,
    /// The first bytes, until it is clear whether they are a byte order mark.
    start: Option<Vec<u8>>,
    /// Whether a byte has come after it.
    begun: bool,
    bytes: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    ended: usize,
    row: u64,
    width: Option<u64>,
}

impl Default for Rows {
    fn default() -> Self {
        Rows {
            reader: ReaderBuilder::new().build(),
            form: Form::default(),
            start: Some(Vec::new()),
            begun: false,
            bytes: vec![0; 1 << 12],
            filled: 0,
            ends: vec![0; 1 << 5],
            ended: 0,
            row: 0,
            width: None,
        }
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
        chunk: &[u8],
        each: &mut impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(start) = &mut self.start else { return self.parse(chunk, each) };
        start.extend(chunk);
        if start.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(start) {
            return Ok(());
        }
        self.begin(each)
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
        self.begin(each)?;
        self.form.end()?;
        while self.record(&mut &[][..], each)? {}
        if self.row == 0 { Err(MaskError::Empty.into()) } else { Ok(()) }
    }

    fn begin<E: From<MaskError>>(
        &mut self,
        each: &mut impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.start.take().unwrap_or_default();
        self.parse(start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&start), each)
    }

    fn parse<E: From<MaskError>>(
        &mut self,
        chunk: &[u8],
        each: &mut impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        self.form.check(chunk)?;
        // csv-core drops a mark of its own from the first bytes that it sees, if they come at once:
        // it sees one.
        let (first, rest) = chunk.split_at(chunk.len().min(usize::from(!self.begun)));
        self.begun |= !chunk.is_empty();
        for mut piece in [first, rest] {
            // To csv-core, no bytes mean the end.
            while !piece.is_empty() {
                self.record(&mut piece, each)?;
            }
        }
        Ok(())
    }

    /// Reads on to the next record's end or the chunk's; false once the table has ended.
    fn record<E: From<MaskError>>(
        &mut self,
        chunk: &mut &[u8],
        each: &mut impl FnMut(Row) -> Result<(), E>,
    ) -> Result<bool, E> {
        let (bytes, ends) = (&mut self.bytes[self.filled..], &mut self.ends[self.ended..]);
        let (result, read, written, ended) = self.reader.read_record(chunk, bytes, ends);
        *chunk = &chunk[read..];
        self.filled += written;
        self.ended += ended;
        let row = self.row + 1;
        match result {
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull => grow(&mut self.bytes, row, ROW_BYTES_MAX, "bytes")?,
            ReadRecordResult::OutputEndsFull => {
                grow(&mut self.ends, row, CELL_COLUMNS_MAX, "columns")?;
            }
            ReadRecordResult::End => return Ok(false),
            ReadRecordResult::Record => {
                self.row = row;
                let width = *self.width.get_or_insert(self.ended as u64);
                let (bytes, ends) = (&self.bytes[..self.filled], &self.ends[..self.ended]);
                each(checked(row, width, bytes, ends)?)?;
                (self.filled, self.ended) = (0, 0);
            }
        }
        Ok(true)
    }
}

fn grow<T: Clone + Default>(
    buffer: &mut Vec<T>,
    row: u64,
    max: u64,
    of: &'static str,
) -> Result<(), MaskError> {
    let size = buffer.len() as u64 * 2;
    if size > max {
        return Err(MaskError::TooLarge { row, max, of });
    }
    buffer.resize(size as usize, T::default());
    Ok(())
}

/// A row of text, as wide as the header.
fn checked<'a>(
    number: u64,
    needs: u64,
    bytes: &'a [u8],
    ends: &'a [usize],
) -> Result<Row<'a>, MaskError> {
    if ends.len() as u64 != needs {
        return Err(MaskError::Ragged { row: number, has: ends.len() as u64, needs });
    }
    let mut from = 0;
    for (column, &end) in (1..).zip(ends) {
        // Each for itself: two halves of a character in two cells are no character.
        std::str::from_utf8(&bytes[from..end])
            .map_err(|_| MaskError::Utf8 { row: number, column })?;
        from = end;
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_| MaskError::Utf8 { row: number, column: 1 })?;
    Ok(Row { number, text, ends })
}

/// Whether bytes are CSV as RFC 4180 has it, with LF also alone.
#[derive(Default)]
struct Form {
    at: At,
    rows: u64,
}

#[derive(Clone, Copy, Default)]
enum At {
    #[default]
    Row,
    Cell,
    Bare,
    Quoted,
    Closed,
    Return,
}

impl Form {
    fn check(&mut self, bytes: &[u8]) -> Result<(), MaskError> {
        for &byte in bytes {
            self.at = match (self.at, byte) {
                (At::Quoted, b'"') => At::Closed,
                (At::Quoted, _) => At::Quoted,
                (At::Row, b'\r' | b'\n') => return self.wrong("an empty line"),
                (At::Row | At::Cell | At::Closed, b'"') => At::Quoted,
                (At::Bare, b'"') => return self.wrong("a quote within a cell without quotes"),
                (At::Return, b'\n') => At::Row,
                (At::Return, _) => return self.wrong("a carriage return without a line feed"),
                (_, b',') => At::Cell,
                (_, b'\r') => At::Return,
                (_, b'\n') => At::Row,
                (At::Closed, _) => return self.wrong("text after a closing quote"),
                (At::Row | At::Cell | At::Bare, _) => At::Bare,
            };
            self.rows += u64::from(matches!(self.at, At::Row));
        }
        Ok(())
    }

    fn end(&self) -> Result<(), MaskError> {
        match self.at {
            At::Quoted => self.wrong("a quote that is never closed"),
            At::Return => self.wrong("a carriage return without a line feed"),
            _ => Ok(()),
        }
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T, MaskError> {
        Err(MaskError::Csv { row: self.rows + 1, what })
    }
}

/// Writes a row as CSV, quoted where need be, ended by LF or CRLF.
pub(super) fn write<'a>(cells: impl Iterator<Item = &'a str>, crlf: bool, out: &mut Vec<u8>) {
    let mut writer = Writer::new();
    let mut is_first = true;
    for cell in cells {
        if !is_first {
            put(out, 8, |space| writer.delimiter(space));
        }
        is_first = false;
        // At worst each byte is a quote, doubled, between two more.
        put(out, 2 * cell.len() + 8, |space| {
            let (result, _, written) = writer.field(cell.as_bytes(), space);
            (result, written)
        });
    }
    // A row that is one empty cell gets its quotes here.
    put(out, 8, |space| writer.finish(space));
    out.extend(if crlf { &b"\r\n"[..] } else { b"\n" });
}

fn put(out: &mut Vec<u8>, space: usize, write: impl FnOnce(&mut [u8]) -> (WriteResult, usize)) {
    let start = out.len();
    out.resize(start + space, 0);
    let (result, written) = write(&mut out[start..]);
    assert_eq!(result, WriteResult::InputEmpty, "the space is enough");
    out.truncate(start + written);
}

#[cfg(test)]
mod tests {
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
        let csv = |row, what| MaskError::Csv { row, what };
        let cases: [(&[u8], MaskError); 11] = [
            (b"", MaskError::Empty),
            (b"\xef\xbb\xbf", MaskError::Empty),
            (b"a,b\n1\n", MaskError::Ragged { row: 2, has: 1, needs: 2 }),
            (b"a,b\n1,2,3", MaskError::Ragged { row: 2, has: 3, needs: 2 }),
            (b"a\n\nb\n", csv(2, "an empty line")),
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
            Err(MaskError::TooLarge { row: 2, max: ROW_BYTES_MAX, of })
        );
        let wide = ",".repeat(CELL_COLUMNS_MAX as usize);
        let of = "columns";
        assert_eq!(
            read(wide.as_bytes(), 1000),
            Err(MaskError::TooLarge { row: 1, max: CELL_COLUMNS_MAX, of })
        );
    }

    #[test]
    fn what_is_written_reads_as_the_same() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..2000 {
            let mut cell = || -> String {
                (0..random.usize(..6))
                    .map(|_| random.choice(['"', ',', '\n', '\r', 'x', 'ü']).unwrap())
                    .collect()
            };
            let row: Vec<String> = vec![cell(), cell()];
            for row in [&row[..], &row[..1]] {
                let mut out = Vec::new();
                write(row.iter().map(String::as_str), row.len() == 1, &mut out);
                assert_eq!(read(&out, 7).unwrap(), [row], "{out:?}");
            }
        }
    }
}
