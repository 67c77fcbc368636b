use alloc::string::{String, ToString};
use core::fmt;

/// Why a program refuses its input: a sentence for a person.
///
/// Any `core::error::Error` turns into one by `?`. A program that returns it exits with code 1, and
/// the message stands in scratch (spec/guest.md#messages).
pub struct Error(String);

impl Error {
    /// An error that says `message`.
    pub fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: core::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

/// Returns an [`Error`] made of a format string and its arguments.
#[macro_export]
macro_rules! bail {
    ($($message:tt)*) => {
        return Err($crate::Error::new(::core::format_args!($($message)*)))
    };
}
