//! What a job starts from.

use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use assay_contracts::{Market, RunOutcome};
use assay_machine::{Program, slot};
use assay_market::SealedSlot;
use assay_merkle::{PAGE_SIZE, Page, empty_slot};
use assay_protocol::SignedOrder;
use assay_seal::ContentKey;
use assay_types::{BlobRoot, Hash};
use zeroize::Zeroizing;

use crate::base::blocking::blocking;
use crate::base::ids::program_id;
use crate::board::{Board, terms_of};
use crate::job::executor::{Executor, InProcess, JobImages, JobRun};
use crate::job::images::{Image, has_salt, public_blob};
use crate::job::sealed::{Opener, open_image};
use crate::job::vault::Vault;
use crate::{Error, Home, Result};

/// A job at its first step, fetched, opened if it is sealed, and checked against the order's roots.
///
/// # Errors
///
/// [`Error::Program`], [`Error::InputMissing`], [`Error::KeyMissing`], [`Error::KeyUnusable`],
/// [`Error::SealBroken`], [`Error::InputMismatch`]; [`Error::Terms`], [`Error::StepLimit`],
/// [`Error::Image`] for what is not what the order says.
pub(crate) async fn start(
    board: &Board,
    opener: &Opener,
    signed: &SignedOrder,
    executor: &dyn Executor,
) -> Result<Box<dyn JobRun>> {
    let order = &signed.order;
    let terms = terms_of(signed)?;
    let job = board.job_id(order);
    let (input, dataset) = (blob(order.inputRoot), blob(order.datasetRoot));
    // Keys first: who waits for one asks often, and the rest is large.
    let input_key = key(board, opener, job, slot::INPUT, input, terms.input).await?;
    let dataset_key = key(board, opener, job, slot::DATASET, dataset, terms.dataset).await?;
    let program = board.program(order).await?;
    let is_sealed = input_key.is_some();
    let input_image = image(board, input, input_key).await?;
    if is_sealed && !input_image.as_ref().is_some_and(|image| has_salt(image)) {
        // The SDK would take the job for a public one and leave its output, and what that tells of
        // a dataset, in the clear.
        let cause = "it has no salt, so the output would not be sealed".to_owned();
        return Err(Error::SealBroken { root: input, cause });
    }
    let dataset_image = image(board, dataset, dataset_key).await?;
    let (input, dataset) = ((input, input_image), (dataset, dataset_image));
    executor.start(JobImages { program, step_limit: order.stepLimit, input, dataset }).await
}

/// A job that was run again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// What it came to.
    pub found: Replayed,
    /// The first page of its scratch slot, where programs leave a message (spec/guest.md#messages).
    pub last_words: Box<Page>,
}

/// What a job comes to when it is run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The final state's hash.
    pub final_state: Hash,
    /// The root of the top trace.
    pub trace_root: Hash,
    /// The output slot's root.
    pub output_root: BlobRoot,
    /// How many steps it took.
    pub steps: u64,
    /// How it ended.
    pub outcome: RunOutcome,
}

/// What a job reads, as somebody has it at hand: the program's ELF, and public inputs.
#[derive(Clone, Debug)]
pub struct JobFiles {
    /// The program's ELF.
    pub program: Vec<u8>,
    /// The input's bytes, if there is one.
    pub input: Option<Vec<u8>>,
    /// The dataset's bytes, if there is one.
    pub dataset: Option<Vec<u8>>,
}

/// Runs an order's job again, from files.
///
/// # Errors
///
/// [`Error::Program`] and [`Error::InputMismatch`] for files that are not the order's;
/// [`Error::StepLimit`], [`Error::Blob`].
pub async fn replay_files(files: JobFiles, order: &Market::Order) -> Result<Replay> {
    let order = order.clone();
    let job = blocking(move || {
        let wanted = program_id(&order);
        let cause = |cause: String| Error::Program { id: wanted, cause };
        let program =
            Program::from_elf(&files.program).map_err(|error| cause(error.to_string()))?;
        if program.id() != wanted {
            return Err(cause(format!("the file is program {}", program.id())));
        }
        let image = |bytes: Option<Vec<u8>>| -> Result<_> {
            bytes.map(|bytes| Ok(Zeroizing::new(public_blob(&bytes)?.1))).transpose()
        };
        Ok(JobImages {
            program,
            step_limit: order.stepLimit,
            input: (blob(order.inputRoot), image(files.input)?),
            dataset: (blob(order.datasetRoot), image(files.dataset)?),
        })
    });
    Ok(replayed(InProcess::default().start(job.await?).await?).await)
}

/// Runs an order's job again, with what a board has, as an account that may open what is sealed:
/// with the keys of what was sealed under a home, or with those that were released to it.
///
/// # Errors
///
/// [`Error::Program`], [`Error::InputMissing`], [`Error::KeyMissing`], [`Error::KeyUnusable`],
/// [`Error::SealBroken`], [`Error::InputMismatch`]; as the board's.
pub async fn replay(
    board: &Board,
    key: &PrivateKeySigner,
    home: &Home,
    signed: &SignedOrder,
) -> Result<Replay> {
    let opener = Opener::of(key).with(Vault::at(home.vault()));
    Ok(replayed(start(board, &opener, signed, &InProcess::default()).await?).await)
}

pub(crate) async fn replayed(mut run: Box<dyn JobRun>) -> Replay {
    blocking(move || {
        let claim = run.claim(&mut |_| ());
        let (status, code) = claim.end.cpu.status.numbers();
        let found = Replayed {
            final_state: claim.end.hash().0,
            trace_root: claim.trace_root,
            output_root: claim.output_root,
            steps: claim.end.cpu.step,
            outcome: RunOutcome::new(status, code),
        };
        let (last_words, _) = run.end_page(slot::base(slot::SCRATCH) / PAGE_SIZE);
        Replay { found, last_words }
    })
    .await
}

/// What opens a slot's envelope; none for a slot that is public or empty.
async fn key(
    board: &Board,
    opener: &Opener,
    job: B256,
    slot: u32,
    root: BlobRoot,
    sealed: Option<SealedSlot>,
) -> Result<Option<(Hash, ContentKey)>> {
    let Some(sealed) = sealed.filter(|_| root != empty_slot()) else { return Ok(None) };
    let owner = sealed.owner;
    let key = opener.key(board, job, slot as u8, &sealed).await?;
    let key = key.ok_or(Error::KeyMissing { root, owner })?;
    Ok(Some((sealed.envelope, key)))
}

/// A slot's image; the empty slot needs none.
async fn image(
    board: &Board,
    root: BlobRoot,
    sealed: Option<(Hash, ContentKey)>,
) -> Result<Option<Image>> {
    if root == empty_slot() {
        return Ok(None);
    }
    if let Some((envelope, key)) = sealed {
        return open_image(board, root, envelope, key).await.map(Some);
    }
    let image = board.slot(root).await?;
    image.map(|image| Some(Zeroizing::new(image))).ok_or(Error::InputMissing { root })
}

fn blob(root: alloy_primitives::B256) -> BlobRoot {
    BlobRoot(Hash(root.0))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes, U256};
    use assay_contracts::Deployment;

    use super::*;
    use crate::Store;
    use crate::job::images::blob_of;

    const WORDCOUNT: &[u8] = include_bytes!("../../../../programs/prebuilt/wordcount.elf");

    fn deployment() -> Deployment {
        Deployment {
            schema: assay_contracts::DEPLOYMENT_SCHEMA.to_owned(),
            chain_id: 31_337,
            genesis_hash: B256::ZERO,
            from_block: 0,
            token: Address::ZERO,
            market: Address::ZERO,
            stakes: Address::ZERO,
            verifiers: Address::ZERO,
            disputes: Address::ZERO,
            step: Address::ZERO,
            anchors: Address::ZERO,
            fraud_proofs: 1,
        }
    }

    fn order(program: &Program, input: BlobRoot) -> Market::Order {
        let price = Market::Price {
            min: Default::default(),
            max: Default::default(),
            base: Default::default(),
            mebistep: Default::default(),
            rampStartAt: Default::default(),
            rampSecs: 0,
        };
        Market::Order {
            requester: Address::ZERO,
            provider: Address::ZERO,
            beneficiary: Address::ZERO,
            programId: B256::from(program.id().0.0),
            inputRoot: B256::from(input.0.0),
            datasetRoot: B256::from(empty_slot().0.0),
            termsHash: B256::ZERO,
            nonce: U256::ZERO,
            stepLimit: 1 << 20,
            verifierId: 1,
            lockDeadline: Default::default(),
            beginSecs: 0,
            runSecs: 1,
            windowSecs: 1,
            stake: Default::default(),
            lapseFee: Default::default(),
            chunkFee: Default::default(),
            dataOwner: Address::ZERO,
            dataFee: Default::default(),
            compensationBps: 0,
            bountyBps: 0,
            price,
        }
    }

    #[tokio::test]
    async fn what_was_published_is_checked_against_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let board = Board::of_store(store, &deployment());
        let signer = PrivateKeySigner::random();
        let program = Program::from_elf(WORDCOUNT).expect("a program");
        let (one, image_of_one) = public_blob(b"one").expect("a blob");
        let (two, image_of_two) = public_blob(b"two").expect("a blob");
        let order = order(&program, one);
        let signed = SignedOrder { order, terms: None, signature: Bytes::new() };
        let opener = Opener::of(&signer);
        let executor = InProcess::default();
        let begin = || start(&board, &opener, &signed, &executor);

        assert!(matches!(begin().await, Err(Error::Program { .. })), "nobody has published it");
        board.put_program(&program, WORDCOUNT.to_vec()).await.expect("published");
        let missing = begin().await.err();
        assert!(
            matches!(missing, Some(Error::InputMissing { root }) if root == one),
            "{missing:?}"
        );
        board.put_slot(one, image_of_two.clone()).await.expect("published");
        let other = begin().await.err();
        let Some(Error::InputMismatch { root, found }) = other else { panic!("{other:?}") };
        assert_eq!((root, found), (one, two));

        assert_eq!(blob_of(one, &image_of_one).expect("a blob"), b"one");
        assert!(blob_of(one, &image_of_two).is_err(), "an output of another root is no output");
    }
}
