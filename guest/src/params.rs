use crate::{Decimal, Error, bail};
use alloc::vec::Vec;
use core::str::FromStr;

/// The parameters at the start of an input: `key=value` lines up to an empty line or the end
/// (spec/guest.md#parameters).
///
/// Take each by name, then call [`finish`](Self::finish): a key nobody took is an error, so a
/// typing mistake can't pass for a default.
pub struct Params<'a> {
    left: Vec<(&'a str, &'a str)>,
}

impl<'a> Params<'a> {
    /// Splits an input into its parameters and the body after the empty line. Errors on a line that
    /// is no `key=value`, on a key that comes twice, and on bytes that are no UTF-8.
    pub fn split(input: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        let mut left: Vec<(&str, &str)> = Vec::new();
        let mut rest = input;
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let line = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            let Ok(line) = core::str::from_utf8(line) else {
                bail!("parameter line {} is not UTF-8", left.len() + 1);
            };
            let line = line.trim();
            if line.is_empty() {
                break;
            }
            let Some((key, value)) = line.split_once('=') else {
                bail!("parameter line {} is not key=value: {line:?}", left.len() + 1);
            };
            let (key, value) = (key.trim(), value.trim());
            if left.iter().any(|(known, _)| *known == key) {
                bail!("the parameter {key} is given twice");
            }
            left.push((key, value));
        }
        Ok((Self { left }, rest))
    }

    /// Takes a parameter's text, if it is there.
    pub fn text(&mut self, key: &str) -> Option<&'a str> {
        let index = self.left.iter().position(|(known, _)| *known == key)?;
        Some(self.left.swap_remove(index).1)
    }

    /// Takes a parameter that must be there.
    pub fn required(&mut self, key: &str) -> Result<&'a str, Error> {
        match self.text(key) {
            Some(value) => Ok(value),
            None => bail!("the parameter {key} is missing: give it as a line {key}=..."),
        }
    }

    /// Takes an integer, or the default if it is not there.
    pub fn integer<T: FromStr>(&mut self, key: &str, default: T) -> Result<T, Error> {
        let Some(value) = self.text(key) else { return Ok(default) };
        match value.parse() {
            Ok(number) => Ok(number),
            Err(_) => bail!("the parameter {key} is not a fitting whole number: {value:?}"),
        }
    }

    /// Takes a list of decimals separated by commas, or the default if it is not there.
    pub fn decimals(&mut self, key: &str, default: &str) -> Result<Vec<Decimal>, Error> {
        let value = self.text(key).unwrap_or(default);
        let parse = |field: &str| match Decimal::parse(field.as_bytes()) {
            Ok(decimal) => Ok(decimal),
            Err(error) => bail!("the parameter {key} has {field:?}: {error}"),
        };
        value.split(',').map(parse).collect()
    }

    /// Ends the reading: errors if a parameter is left that nobody took.
    pub fn finish(self) -> Result<(), Error> {
        match self.left.first() {
            Some((key, _)) => bail!("this program has no parameter {key}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn splits_parameters_from_the_body() {
        let (mut params, body) =
            Params::split(b"seed = 7 \r\nname=a=b\r\n\r\nbody\n\nmore").unwrap();
        assert_eq!(params.integer("seed", 0u32).unwrap(), 7);
        assert_eq!(params.text("name"), Some("a=b"));
        assert_eq!(params.integer("absent", 5u32).unwrap(), 5);
        params.finish().unwrap();
        assert_eq!(body, b"body\n\nmore");
    }

    #[test]
    fn needs_no_body_and_no_parameters() {
        assert_eq!(Params::split(b"a=1").unwrap().1, b"");
        assert_eq!(Params::split(b"\nbody").unwrap().1, b"body");
        assert_eq!(Params::split(b"").unwrap().1, b"");
    }

    #[test]
    fn refuses_mistakes_by_name() {
        let error = |input: &[u8]| Params::split(input).err().map(|error| error.to_string());
        assert_eq!(error(b"a=1\na=2").as_deref(), Some("the parameter a is given twice"));
        assert_eq!(error(b"a=1\nb").as_deref(), Some("parameter line 2 is not key=value: \"b\""));
        let (params, _) = Params::split(b"sede=7").unwrap();
        let error = params.finish().unwrap_err().to_string();
        assert_eq!(error, "this program has no parameter sede");
    }
}
