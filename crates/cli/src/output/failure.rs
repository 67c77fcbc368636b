//! Failures, from the errors of all that the commands use.

use std::fmt::Display;
use std::path::Path;

use assay_verify::failure::Failure as Told;

/// A command that could not be done, or a check that does not hold: what failed, why, what to do.
#[derive(Debug)]
pub(crate) struct Failure(Told);

impl Failure {
    /// A command that could not be done: exit code 1.
    pub(crate) fn new(error: impl Display) -> Self {
        Failure(Told::new(error))
    }

    /// A check that does not hold: exit code 3.
    pub(crate) fn refused(error: impl Display) -> Self {
        Failure(Told::refused(error))
    }

    /// A job that was run and paid for, whose program gave no answer: exit code 4.
    pub(crate) fn unanswered(error: impl Display) -> Self {
        Failure(Told::unanswered(error))
    }

    /// A file that can't be used.
    pub(crate) fn file(verb: &str, path: &Path, cause: impl Display) -> Self {
        Failure(Told::file(verb, path, cause))
    }

    /// Says why.
    pub(crate) fn cause(self, cause: impl Display) -> Self {
        Failure(self.0.cause(cause))
    }

    /// Says what to do.
    pub(crate) fn next(self, next: impl Display) -> Self {
        Failure(self.0.next(next))
    }
}

impl std::ops::Deref for Failure {
    type Target = Told;

    fn deref(&self) -> &Told {
        &self.0
    }
}

impl From<Told> for Failure {
    fn from(failure: Told) -> Self {
        Failure(failure)
    }
}

impl From<assay_chain::Error> for Failure {
    /// The errors of a chain say what to do in their own text.
    fn from(error: assay_chain::Error) -> Self {
        let failure = Failure::new(&error);
        match std::error::Error::source(&error) {
            Some(cause) if !failure.error().contains(&cause.to_string()) => failure.cause(cause),
            _ => failure,
        }
    }
}

impl From<assay_broker_client::Error> for Failure {
    /// A refusal has its name, its reason and its next step.
    fn from(error: assay_broker_client::Error) -> Self {
        let assay_broker_client::Error::Refused(problem) = &error else {
            return Failure::new(error);
        };
        let name = problem.kind().map_or("unknown", assay_protocol::ProblemKind::name);
        Failure::new(format!("the broker refused ({name}): {}", problem.title))
            .cause(&problem.detail)
            .next(&problem.next)
    }
}

impl From<assay_protocol::SignError> for Failure {
    fn from(error: assay_protocol::SignError) -> Self {
        Failure::new(error)
    }
}

impl From<assay_broker::Error> for Failure {
    fn from(error: assay_broker::Error) -> Self {
        let assay_broker::Error::Io { source, .. } = &error else { return Failure::new(error) };
        Failure::new(&error).cause(source)
    }
}

impl From<assay_node::Error> for Failure {
    fn from(error: assay_node::Error) -> Self {
        use assay_node::Error;
        let failure = match &error {
            Error::File { source, .. } => {
                Failure::new(&error).cause(source).next("check the folder's permissions and space")
            }
            Error::Damaged { .. } => {
                Failure::new(&error).next("restore the file from a backup, or give another --home")
            }
            Error::Funds { .. } => {
                Failure::new(&error).next("lower the price, or fund the account")
            }
            Error::Mask(error) => {
                Failure::new("cannot mask the table").cause(error).next(error.next_step())
            }
            Error::Policy { dataset, reasons } => {
                let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
                Failure::new(format!("the owner's policy does not allow this use of {dataset}"))
                    .cause(reasons.join("; "))
                    .next("nothing was posted or paid; change --provider, --purpose, --auditor, --stake or --steps-max, or ask the owner")
            }
            Error::MarketHangs { pid, .. } => Failure::new(&error)
                .cause("it is stopped, or its machine is overloaded")
                .next(format!(
                    "wait, or end it with `kill -9 {pid}`: its state survives, and the next start cleans up"
                )),
            Error::InputMissing { .. } => {
                Failure::new(&error).next("ask the provider to publish it while the window is open")
            }
            _ => Failure::new(&error),
        };
        match error {
            Error::Chain(error) => error.into(),
            Error::Broker(error) => error.into(),
            _ => failure,
        }
    }
}
