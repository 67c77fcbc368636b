//! What a job starts from.

use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use assay_contracts::Market;
use assay_dispute::{Claim, Tracer};
use assay_machine::{
    Engine, Interpreter, Machine, Program, Run, State, StepLimit, slot, slot_pages,
};
use assay_market::SealedSlot;
use assay_merkle::{BlobHeader, PAGE_SIZE, Page, blob_root, empty_slot, write_image};
use assay_protocol::SignedOrder;
use assay_seal::ContentKey;
use assay_types::{BlobRoot, Hash, Salt};
use zeroize::Zeroizing;

use crate::base::ids::program_id;
use crate::board::{Board, terms_of};
use crate::job::sealed::{Opener, open_image};
use crate::job::vault::Vault;
use crate::role::blocking;
use crate::{Error, Home, Result};

/// A slot's image in memory, wiped when dropped: it may be somebody's secret.
type Image = Zeroizing<Vec<u8>>;

/// A job at its first step, fetched, opened if it is sealed, and checked against the order's roots.
///
/// # Errors
///
/// [`Error::Program`], [`Error::InputMissing`], [`Error::KeyMissing`], [`Error::KeyUnusable`],
/// [`Error::SealBroken`], [`Error::InputMismatch`]; [`Error::Job`] for what is not what the order
/// says.
pub(crate) async fn start<E: Engine + Clone + Send + 'static>(
    board: &Board,
    opener: &Opener,
    signed: &SignedOrder,
    engine: impl FnOnce(Machine) -> E + Send + 'static,
) -> Result<(Program, Tracer<E>)> {
    let order = &signed.order;
    let terms = terms_of(signed)?;
    let job = board.job_id(order);
    let (input, dataset) = (blob(order.inputRoot), blob(order.datasetRoot));
    // Keys first: who waits for one asks often, and the rest is large.
    let input_key = key(board, opener, job, slot::INPUT, input, terms.input).await?;
    let dataset_key = key(board, opener, job, slot::DATASET, dataset, terms.dataset).await?;
    let program = board.program(order).await?;
    let is_sealed = input_key.is_some();
    let root = input;
    let input = image(board, input, input_key).await?;
    if is_sealed && !input.as_ref().is_some_and(|image| has_salt(image)) {
        // The SDK would take the job for a public one and leave its output, and what that tells of
        // a dataset, in the clear.
        let cause = "it has no salt, so the output would not be sealed".to_owned();
        return Err(Error::SealBroken { root, cause });
    }
    let dataset = image(board, dataset, dataset_key).await?;
    let order = order.clone();
    blocking(move || begin(program, input, dataset, &order, engine)).await?
}

/// The same with the slots' images at hand.
fn begin<E: Engine + Clone>(
    program: Program,
    input: Option<Image>,
    dataset: Option<Image>,
    order: &Market::Order,
    engine: impl FnOnce(Machine) -> E,
) -> Result<(Program, Tracer<E>)> {
    let images = [(slot::INPUT, input), (slot::DATASET, dataset)];
    let machine = machine(&program, order.stepLimit, &images)?;
    let limit = machine.cpu.step_limit;
    let mut run = Run::new(engine(machine));
    let (input, dataset) = (blob(order.inputRoot), blob(order.datasetRoot));
    for (slot, root) in [(slot::INPUT, input), (slot::DATASET, dataset)] {
        let found = run.slot_root(slot);
        if found != root {
            return Err(Error::InputMismatch { root, found });
        }
    }
    if run.state() != State::initial(&program, input, dataset, limit) {
        unreachable!("a machine of these roots has another state than they say");
    }
    Ok((program, Tracer::new(run)))
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
/// [`Error::Job`].
pub async fn replay_files(files: JobFiles, order: &Market::Order) -> Result<Replayed> {
    let order = order.clone();
    let run = blocking(move || {
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
        let (input, dataset) = (image(files.input)?, image(files.dataset)?);
        begin(program, input, dataset, &order, Interpreter::new)
    });
    replayed(run.await??.1).await
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
) -> Result<Replayed> {
    let opener = Opener::of(key).with(Vault::at(home.vault()));
    replayed(start(board, &opener, signed, Interpreter::new).await?.1).await
}

async fn replayed(mut tracer: Tracer<Interpreter>) -> Result<Replayed> {
    blocking(move || {
        let claim = Claim::of(&mut tracer);
        Replayed {
            final_state: claim.end.hash().0,
            trace_root: claim.trace_root,
            output_root: claim.output_root,
            steps: claim.end.cpu.step,
        }
    })
    .await
}

/// Whether the blob of a slot's image has a salt.
fn has_salt(image: &[u8]) -> bool {
    let mut is_salted = false;
    let read = assay_merkle::read_image(image, |leaf, bytes| {
        is_salted |= leaf == 0 && bytes[8..32].iter().any(|byte| *byte != 0);
    });
    read.is_ok() && is_salted
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

fn machine(program: &Program, step_limit: u64, images: &[(u32, Option<Image>)]) -> Result<Machine> {
    let limit = StepLimit::new(step_limit).map_err(|error| Error::Job(error.to_string()))?;
    let mut machine = Machine::new(program, limit);
    for (slot, image) in images {
        if let Some(image) = image {
            let put = machine.memory.put_image(*slot, image);
            put.map_err(|error| Error::Job(format!("a published slot: {error}")))?;
        }
    }
    Ok(machine)
}

/// Public bytes as a blob: its root, and its slot's image.
///
/// # Errors
///
/// [`Error::Job`] if they are too long for a slot.
pub(crate) fn public_blob(bytes: &[u8]) -> Result<(BlobRoot, Vec<u8>)> {
    salted_blob(Salt::PUBLIC, bytes)
}

/// The same with a salt, without which the root tells nothing of what could be guessed.
///
/// # Errors
///
/// [`Error::Job`] if they are too long for a slot.
pub(crate) fn salted_blob(salt: Salt, bytes: &[u8]) -> Result<(BlobRoot, Vec<u8>)> {
    let root = blob_root(salt, bytes).map_err(|error| Error::Job(error.to_string()))?;
    Ok((root, image_of(&blob_bytes(salt, bytes)?)))
}

/// A blob as its slot holds it: header and bytes. Wiped when dropped.
pub(crate) fn blob_bytes(salt: Salt, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let header = BlobHeader::new(bytes.len() as u64, salt);
    let header = header.map_err(|error| Error::Job(error.to_string()))?;
    let mut content = Zeroizing::new(Vec::with_capacity(bytes.len() + 32));
    content.extend(header.to_bytes());
    content.extend(bytes);
    Ok(content)
}

/// The image of a slot that begins with these bytes.
pub(crate) fn image_of(content: &[u8]) -> Vec<u8> {
    let page =
        |piece: &[u8]| -> Page { std::array::from_fn(|k| piece.get(k).copied().unwrap_or(0)) };
    let pages: Vec<Page> = content.chunks(PAGE_SIZE as usize).map(page).collect();
    written(pages.iter().enumerate().map(|(number, page)| (number as u32, page)))
}

/// The image of a run's output slot.
pub(crate) fn output_image<E: Engine>(engine: &E) -> Vec<u8> {
    written(slot_pages(engine, slot::OUTPUT))
}

/// A slot's bytes from its start, as its image has them; zeros follow.
///
/// # Errors
///
/// [`Error::Job`] if it is no image.
pub(crate) fn slot_bytes(image: &[u8]) -> Result<Vec<u8>> {
    let mut memory = Vec::new();
    let put = |leaf: u32, bytes: &assay_merkle::Leaf| {
        let at = leaf as usize * bytes.len();
        memory.resize(memory.len().max(at + bytes.len()), 0);
        memory[at..at + bytes.len()].copy_from_slice(bytes);
    };
    assay_merkle::read_image(image, put).map_err(|error| Error::Job(error.to_string()))?;
    Ok(memory)
}

/// The blob that a slot's image holds, if the image has the root.
///
/// # Errors
///
/// [`Error::Job`] if it has another root, or holds no blob.
pub(crate) fn blob_of(root: BlobRoot, image: &[u8]) -> Result<Vec<u8>> {
    let job = |what: String| Error::Job(what);
    let mut memory = slot_bytes(image)?;
    memory.resize(memory.len().max(32), 0);
    let (header, bytes) = memory.split_first_chunk().unwrap_or_else(|| unreachable!("32 bytes"));
    let header = BlobHeader::from_bytes(header).map_err(|error| job(error.to_string()))?;
    let length = usize::try_from(header.length()).map_err(|error| job(error.to_string()))?;
    let mut bytes = bytes.to_vec();
    if bytes.iter().skip(length).any(|byte| *byte != 0) {
        return Err(job("the output holds bytes after its blob's end".into()));
    }
    bytes.resize(length, 0);
    let found = blob_root(header.salt(), &bytes).map_err(|error| job(error.to_string()))?;
    if found != root {
        return Err(job(format!("what was published as slot {root} is {found}")));
    }
    Ok(bytes)
}

fn blob(root: alloy_primitives::B256) -> BlobRoot {
    BlobRoot(Hash(root.0))
}

fn written<'a>(pages: impl Iterator<Item = (u32, &'a Page)> + Clone) -> Vec<u8> {
    let mut image = Vec::new();
    let written: std::result::Result<(), std::convert::Infallible> = write_image(pages, |bytes| {
        image.extend(bytes);
        Ok(())
    });
    written.unwrap_or_else(|never| match never {});
    image
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes, U256};
    use assay_contracts::Deployment;
    use assay_machine::Interpreter;

    use super::*;
    use crate::Store;

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
        let begin = || start(&board, &opener, &signed, Interpreter::new);

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

    #[test]
    fn a_blob_without_a_salt_is_told_from_one_with() {
        for content in [&b""[..], b"a secret", &[0; 5_000]] {
            let image = |salt| salted_blob(salt, content).expect("it fits").1;
            assert!(has_salt(&image(Salt([7; 24]))));
            assert!(!has_salt(&image(Salt::PUBLIC)), "its output would not be sealed");
        }
        assert!(!has_salt(b"no image") && !has_salt(b""));
    }
}
