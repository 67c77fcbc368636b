//! Errors as a person or a script gets them: what failed, why, what to do next.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

/// A command that could not be done, or a check that does not hold.
#[derive(Debug, Serialize)]
pub struct Failure {
    schema: &'static str,
    error: String,
    cause: Option<String>,
    next: Option<String>,
    exit_code: u8,
}

impl Failure {
    /// A command that could not be done: exit code 1.
    pub fn new(error: impl Display) -> Self {
        let error = error.to_string();
        Failure { schema: "assay.error/1", error, cause: None, next: None, exit_code: 1 }
    }

    /// A check that does not hold: exit code 3.
    pub fn refused(error: impl Display) -> Self {
        Failure { exit_code: 3, ..Failure::new(error) }
    }

    /// A job that was run and paid for, whose program gave no answer: exit code 4.
    pub fn unanswered(error: impl Display) -> Self {
        Failure { exit_code: 4, ..Failure::new(error) }
    }

    /// A file that can't be used.
    pub fn file(verb: &str, path: &Path, cause: impl Display) -> Self {
        Failure::new(format!("cannot {verb} {}", path.display())).cause(cause)
    }

    /// Says why.
    pub fn cause(self, cause: impl Display) -> Self {
        Failure { cause: Some(cause.to_string()), ..self }
    }

    /// Says what to do.
    pub fn next(self, next: impl Display) -> Self {
        Failure { next: Some(next.to_string()), ..self }
    }

    /// What failed.
    pub fn error(&self) -> &str {
        &self.error
    }

    /// What failed and why, in one line.
    pub fn sentence(&self) -> String {
        match &self.cause {
            Some(cause) => format!("{}: {cause}", self.error),
            None => self.error.clone(),
        }
    }

    /// What to do, if that is known.
    pub fn next_step(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Prints to standard error and gives the exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        if json {
            eprintln!("{}", crate::text::json(self).trim_end());
        } else {
            eprintln!("error: {}", self.error);
            self.cause.iter().for_each(|cause| eprintln!("cause: {cause}"));
            self.next.iter().for_each(|next| eprintln!("next:  {next}"));
        }
        ExitCode::from(self.exit_code)
    }
}
