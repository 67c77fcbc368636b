//! Reading a stream of server-sent events as the standard says (WHATWG HTML, 9.2.6).

/// One event in bytes, at most.
const EVENT_BYTES_MAX: usize = 64 << 10;

/// An event that was dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// The last id that the stream has given, of this event or one before.
    pub(super) id: Option<String>,
    /// The lines of its data.
    pub(super) data: String,
}

/// An event of more than [`EVENT_BYTES_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {EVENT_BYTES_MAX} bytes")]
pub(super) struct TooLong;

/// What has come of a stream. Lines end with CR, LF or CRLF, wherever the pieces do.
#[derive(Debug, Default)]
pub(super) struct EventStream {
    line: Vec<u8>,
    /// The last line ended with a CR, so that an LF now ends no further one.
    was_cr: bool,
    is_begun: bool,
    id: Option<String>,
    /// The event's data so far; none if it has no data line.
    data: Option<String>,
}

impl EventStream {
    /// Takes in a byte; gives the event that it ends, if it ends one.
    ///
    /// # Errors
    ///
    /// [`TooLong`], after which the stream is of no more use.
    pub(super) fn take(&mut self, byte: u8) -> Result<Option<Event>, TooLong> {
        let was_cr = std::mem::replace(&mut self.was_cr, byte == b'\r');
        match byte {
            b'\n' if was_cr => Ok(None),
            b'\r' | b'\n' => Ok(self.end_line()),
            byte => {
                if self.line.len() + self.data.as_ref().map_or(0, String::len) >= EVENT_BYTES_MAX {
                    return Err(TooLong);
                }
                self.line.push(byte);
                Ok(None)
            }
        }
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        // A byte order mark may stand before the first line.
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        let line = if is_first { line.strip_prefix('\u{feff}').unwrap_or(&line) } else { &line };
        if line.is_empty() {
            return self.data.take().map(|data| Event { id: self.id.clone(), data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // `event` and `retry` are for others, an empty field is a comment, and what is unknown
            // is passed over.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(Option<String>, String)> {
        let mut stream = EventStream::default();
        let events = text.iter().filter_map(|byte| stream.take(*byte).expect("short"));
        events.map(|event| (event.id, event.data)).collect()
    }

    fn event(id: &str, data: &str) -> (Option<String>, String) {
        (Some(id.to_owned()), data.to_owned())
    }

    #[test]
    fn lines_end_with_cr_or_lf_or_both() {
        for end in ["\n", "\r", "\r\n"] {
            let text =
                ":|\u{20}|id: 7|event: order|data: {\"a\":1}||:||data:b|data|data:  c||id: 9|";
            let text = text.replace('|', end);
            let expected = [event("7", "{\"a\":1}"), event("7", "b\n\n c")];
            assert_eq!(read(text.as_bytes()), expected, "lines that end with {end:?}");
        }
        assert_eq!(read(b"data: 1\r\n\n"), [(None, "1".to_owned())], "CRLF is one end");
        assert_eq!(read(b"data: 1\n\r\n"), [(None, "1".to_owned())]);
    }

    #[test]
    fn what_is_no_field_is_passed_over() {
        assert_eq!(read("\u{feff}data: 1\n\n".as_bytes()), [(None, "1".to_owned())]);
        assert_eq!(read("\u{feff}\u{feff}data: 1\n\n".as_bytes()), [], "one mark, not two");
        assert_eq!(read(b"id: 1\0\n data: 0\nDATA: 2\nretry: 9\n\n\n"), []);
        assert_eq!(read(b"\n\n\ndata\n\n"), [(None, String::new())], "empty data is data");
        assert_eq!(read(b"data: \xff\n\n"), [(None, "\u{fffd}".to_owned())]);
    }

    #[test]
    fn an_event_without_an_end_is_not_kept_for_ever() {
        let mut stream = EventStream::default();
        let mut text = b"data: 1\n".iter().copied().cycle().take(4 * EVENT_BYTES_MAX);
        assert!(text.any(|byte| stream.take(byte) == Err(TooLong)));
        let mut stream = EventStream::default();
        assert!((0..=EVENT_BYTES_MAX).any(|_| stream.take(b'x').is_err()));
    }
}
