//! What showing parts of results and receipts needs of the world: the system's randomness, the
//! clock, a ledger that lasts.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use alloy_signer_local::PrivateKeySigner;
use assay_disclosure::statistics::{Budget, Entry, MicroEpsilon, Statistics, Terms};
use assay_receipt::{PresentationError, Receipt, present};
use assay_types::{BlobRoot, Clock as _, sha256};

use crate::base::env::Env;
use crate::base::files;
use crate::job::images::slot_bytes;
use crate::log::recorder::bound_key;
use crate::{Board, Error, Result};

/// Shows a part of a receipt, by an account's word (spec/disclosure.md#presentations).
///
/// # Errors
///
/// [`Error::Randomness`], [`Error::Signing`]; within, [`PresentationError`].
pub fn presented_by(
    env: &Env,
    signer: &PrivateKeySigner,
    receipt: &Receipt,
    show: &BTreeSet<String>,
    audience: Option<(&str, &str)>,
) -> Result<Result<String, PresentationError>> {
    let (key, binding) = bound_key(signer, receipt.market)?;
    let now = env.unix_secs();
    with_randomness(env, |random| {
        present(receipt, show, &key, Some(&binding), audience, now, random)
    })
}

/// The bytes of an output's slot from their start, as a board has them; zeros follow. Whoever uses
/// them must compare the root.
///
/// # Errors
///
/// [`Error::InputMissing`], [`Error::Image`]; as the board's.
pub async fn output_slot(board: &Board, root: BlobRoot) -> Result<Vec<u8>> {
    let image = board.slot(root).await?;
    slot_bytes(&image.ok_or(Error::InputMissing { root })?)
}

/// The same from a slot's image (spec/machine.md#slot-images).
///
/// # Errors
///
/// [`Error::Image`].
pub fn slot_of_image(image: &[u8]) -> Result<Vec<u8>> {
    slot_bytes(image)
}

/// Makes the ledger of a privacy budget. One that is there already stays as it is.
///
/// # Errors
///
/// [`Error::File`] if there is one.
pub fn create_budget(path: &Path, total: MicroEpsilon) -> Result<()> {
    let _lock = lock(path)?;
    if path.exists() {
        let there = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(Error::file("making", path, there));
    }
    files::write(path, Budget::new(total).to_bytes())
}

/// What is left of a budget, and what there was, in millionths of epsilon.
///
/// # Errors
///
/// [`Error::File`], [`Error::Budget`].
pub fn budget_left(path: &Path) -> Result<(u64, u64)> {
    let budget = budget(path)?;
    Ok((budget.left(), budget.total()))
}

/// Pays for a release of statistics, and makes it once the payment is durable.
///
/// # Errors
///
/// [`Error::Statistics`], before anything is paid; [`Error::Budget`], [`Error::File`],
/// [`Error::Randomness`].
pub fn release_statistics<C: Copy + Ord>(
    env: &Env,
    ledger: &Path,
    terms: &Terms,
    entries: &[Entry<C>],
    classes: &[C],
    purpose: &str,
) -> Result<Statistics<C>> {
    terms.check()?;
    {
        // Held from reading to writing, so that two releases can't spend the same epsilon.
        let _lock = lock(ledger)?;
        let after = budget(ledger)?.spend(terms.epsilon, purpose, env.unix_secs());
        let after = after.map_err(|source| Error::Budget { path: ledger.to_owned(), source })?;
        files::write(ledger, after.to_bytes())?;
    }
    Ok(with_randomness(env, |random| terms.release(entries, classes, random))??)
}

fn budget(path: &Path) -> Result<Budget> {
    let failed = |source| Error::file("reading", path, source);
    let missing = || failed(std::io::Error::from(std::io::ErrorKind::NotFound));
    let bytes = files::read(path)?.ok_or_else(missing)?;
    Budget::from_bytes(&bytes).map_err(|source| Error::Budget { path: path.to_owned(), source })
}

/// Holds off others until it is dropped. The ledger itself is replaced by each write, so a file
/// beside it is locked.
fn lock(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    files::lock(Path::new(&name))
}

/// Runs what draws from the system's randomness. If the system has none at any time, nothing of the
/// result is given.
fn with_randomness<T>(env: &Env, work: impl FnOnce(&mut dyn FnMut(&mut [u8])) -> T) -> Result<T> {
    let mut failed = None;
    let mut draws: u64 = 0;
    let mut random = |buffer: &mut [u8]| {
        if let Err(error) = env.fill(buffer) {
            failed = Some(error);
            // What is drawn is thrown away, but whatever waits for a certain draw must end: so it
            // is no constant.
            draws += 1;
            let filler = sha256(&draws.to_le_bytes()).0;
            buffer.iter_mut().zip(filler.iter().cycle()).for_each(|(byte, next)| *byte = *next);
        }
    };
    let done = work(&mut random);
    match failed {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_disclosure::statistics::BudgetError;

    fn terms(micro: u64) -> Terms {
        let epsilon = MicroEpsilon::new(micro).expect("an epsilon");
        Terms { jobs_per_party_max: 5, spend_per_job_max: 1_000, count_min: 10, epsilon }
    }

    fn release(ledger: &Path, micro: u64) -> Result<()> {
        let entry = |n: u8| Entry { job: [n; 32], party: [n; 20], class: n % 2, spend: 10 };
        let entries: Vec<_> = (0..200).map(entry).collect();
        release_statistics(&Env::system(), ledger, &terms(micro), &entries, &[0, 1], "a test")
            .map(drop)
    }

    #[test]
    fn a_spent_budget_stays_spent_whoever_asks_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = folder.path().join("people.budget");
        assert!(matches!(release(&ledger, 9), Err(Error::File { .. })), "no ledger, no release");
        create_budget(&ledger, MicroEpsilon::new(1_000_000).expect("an epsilon")).expect("made");
        release(&ledger, 600_000).expect("enough");
        // Nothing is kept in memory: each call reads the file as a new process would.
        assert_eq!(budget_left(&ledger).expect("read"), (400_000, 1_000_000));
        let spent = BudgetError::Spent { asked: 600_000, left: 400_000, total: 1_000_000 };
        let refused = release(&ledger, 600_000);
        assert!(
            matches!(&refused, Err(Error::Budget { source, .. }) if *source == spent),
            "{refused:?}"
        );
        assert_eq!(budget_left(&ledger).expect("read").0, 400_000, "a refusal costs nothing");
        release(&ledger, 400_000).expect("the rest");
        assert!(release(&ledger, 3).is_err(), "nothing is left");
        let again = create_budget(&ledger, MicroEpsilon::new(5).expect("an epsilon"));
        assert!(matches!(again, Err(Error::File { .. })), "a ledger is not begun anew");
    }

    #[test]
    fn a_question_that_can_not_be_answered_costs_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = folder.path().join("people.budget");
        create_budget(&ledger, MicroEpsilon::new(100).expect("an epsilon")).expect("made");
        assert!(matches!(release(&ledger, 2), Err(Error::Statistics(_))));
        assert_eq!(budget_left(&ledger).expect("read").0, 100);
        std::fs::write(&ledger, b"{}").expect("written");
        assert!(
            matches!(release(&ledger, 9), Err(Error::Budget { .. })),
            "a damaged ledger gives nothing"
        );
    }

    #[test]
    fn two_at_once_can_not_spend_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = folder.path().join("people.budget");
        create_budget(&ledger, MicroEpsilon::new(100).expect("an epsilon")).expect("made");
        let done = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| release(&ledger, 30))).collect();
            let ended = threads.into_iter().map(|thread| thread.join().expect("it ends"));
            ended.filter(Result::is_ok).count()
        });
        assert_eq!(done, 3, "of 100 there are three times 30");
        assert_eq!(budget_left(&ledger).expect("read").0, 10);
    }
}
