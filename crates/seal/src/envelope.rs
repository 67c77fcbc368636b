//! Envelopes: data in authenticated chunks under a content key, in a stream or by place
//! (spec/envelope.md).

use std::ops::Range;

use assay_types::{Hash, Salt, Tag, sha256};
use hpke::rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::aead::{Cipher, Nonce};
use crate::kdf::{hkdf, hmac};
use crate::keys::{ContentKey, output_key};

const TAG: Tag = *b"assays\x01\x01";

/// Size of a header in bytes.
pub const HEADER_SIZE: usize = 120;

/// What sealing adds to each chunk: the AEAD's tag, 16 bytes.
pub const CHUNK_TAG_SIZE: u64 = 16;

/// Chunks have 2^16 bytes or more, up to 2^22; the last of an envelope has what is left.
pub const CHUNK_BITS_MIN: u8 = 16;
/// See [`CHUNK_BITS_MIN`].
pub const CHUNK_BITS_MAX: u8 = 22;

/// The most bytes that one envelope seals, 2^40. AES-GCM under one key keeps far from its bound
/// (NIST SP 800-38D).
pub const PLAINTEXT_MAX: u64 = 1 << 40;

const CHUNK_KEY: &[u8] = b"assay chunk key, version 1\n";
const COMMITMENT: &[u8] = b"assay key commitment, version 1\n";
const OUTPUT_SALT: &[u8] = b"assay output envelope salt, version 1\n";

/// What encrypts the chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Suite {
    /// AES-256-GCM under a salt that is drawn: what owners seal.
    Aes256Gcm = 1,
    /// ChaCha20-Poly1305 under a salt that follows from key and plaintext: what programs seal.
    ChaCha20Poly1305 = 2,
}

/// What an envelope says of itself, in the clear: 120 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    suite: Suite,
    chunk_bits: u8,
    length: u64,
    salt: [u8; 32],
    cells_root: Hash,
    commitment: [u8; 32],
}

/// What is to be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    length: u64,
    chunk_bits: u8,
    cells_root: Hash,
}

/// Seals chunk by chunk.
pub struct Sealer {
    chunks: Chunks,
    next: u64,
}

/// Opens chunk by chunk, in order or by place.
pub struct Opener {
    chunks: Chunks,
    next: u64,
}

/// Why bytes are no envelope, or do not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// It does not begin with the tag of an envelope, version 1.
    #[error("this is no envelope: it does not begin with a tag that is known here")]
    Tag,
    /// A suite that is not known here.
    #[error("the envelope is sealed by suite {0}, which this version does not know: update it")]
    Suite(u8),
    /// A chunk size that the suite does not have.
    #[error("chunks of 2^{0} bytes are not among those that envelopes of this suite have")]
    ChunkBits(u8),
    /// Bytes that must be zero are not.
    #[error("the envelope's header has something where version 1 has zeros")]
    Reserved,
    /// More than an envelope holds.
    #[error(
        "{0} bytes do not fit an envelope: it holds at most 2^40, and a job's output half a gigabyte"
    )]
    Length(u64),
    /// The envelope is not as large as its header says.
    #[error("the envelope should have {expected} bytes and has {came}: fetch it again")]
    Size {
        /// By the header.
        expected: u64,
        /// Seen.
        came: u64,
    },
    /// The key is another envelope's.
    #[error("the key does not belong to this envelope")]
    Key,
    /// A chunk was changed, or belongs to another place or envelope.
    #[error("chunk {0} does not open: it was changed, or is not of this place in this envelope")]
    Chunk(u64),
    /// A chunk has another size than its place asks for.
    #[error("chunk {index} should have {expected} bytes and has {came}")]
    ChunkSize {
        /// The chunk.
        index: u64,
        /// By the header.
        expected: u64,
        /// Seen.
        came: u64,
    },
    /// There is no such chunk.
    #[error("the envelope has {chunks} chunks, and no chunk {index}")]
    NoChunk {
        /// What was asked for.
        index: u64,
        /// How many there are.
        chunks: u64,
    },
    /// Chunks are missing at the end.
    #[error("the envelope has {chunks} chunks, and only {came} came")]
    Missing {
        /// By the header.
        chunks: u64,
        /// Seen.
        came: u64,
    },
    /// A program's output has another suite.
    #[error("outputs are sealed by suite 2, this envelope by suite {0}: open it as the data it is")]
    OutputSuite(u8),
    /// An output's salt does not follow from what was sealed.
    #[error(
        "the output was not sealed as programs seal: its salt does not follow from what it holds"
    )]
    OutputSalt,
    /// A public output is not sealed.
    #[error("the input's salt is zero, so the job is public and its output is not sealed")]
    Public,
}

impl Suite {
    /// The suite of a number, if it is known here.
    pub fn of(number: u8) -> Option<Self> {
        [Suite::Aes256Gcm, Suite::ChaCha20Poly1305].into_iter().find(|s| *s as u8 == number)
    }

    fn has_chunk_bits(self, bits: u8) -> bool {
        match self {
            Suite::Aes256Gcm => (CHUNK_BITS_MIN..=CHUNK_BITS_MAX).contains(&bits),
            Suite::ChaCha20Poly1305 => bits == CHUNK_BITS_MIN,
        }
    }

    /// Chunk key and key commitment.
    fn derive(self, key: &ContentKey, salt: &[u8; 32]) -> [Zeroizing<[u8; 32]>; 2] {
        let label = |label: &[u8]| [label, &[self as u8]].concat();
        hkdf(salt, key.as_bytes(), [&label(CHUNK_KEY), &label(COMMITMENT)])
    }
}

impl Shape {
    /// So many bytes, in chunks of 64 KiB.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Length`].
    pub fn new(length: u64) -> Result<Self, EnvelopeError> {
        if length > PLAINTEXT_MAX {
            return Err(EnvelopeError::Length(length));
        }
        Ok(Shape { length, chunk_bits: CHUNK_BITS_MIN, cells_root: Hash::default() })
    }

    /// Chunks of 2^`bits` bytes, 16 to 22.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::ChunkBits`].
    pub fn with_chunk_bits(self, bits: u8) -> Result<Self, EnvelopeError> {
        if !Suite::Aes256Gcm.has_chunk_bits(bits) {
            return Err(EnvelopeError::ChunkBits(bits));
        }
        Ok(Shape { chunk_bits: bits, ..self })
    }

    /// The root of the table's cells, which stands in the header in the clear.
    pub fn with_cells_root(self, cells_root: Hash) -> Self {
        Shape { cells_root, ..self }
    }
}

impl Header {
    /// A header of this key.
    fn new(suite: Suite, shape: &Shape, salt: [u8; 32], commitment: [u8; 32]) -> Self {
        let Shape { length, chunk_bits, cells_root } = *shape;
        Header { suite, chunk_bits, length, salt, cells_root, commitment }
    }

    /// Reads the first 120 bytes of an envelope.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Size`] for fewer bytes; `Tag`, `Suite`, `ChunkBits`, `Reserved`, `Length`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() >= TAG.len() && !bytes.starts_with(&TAG) {
            return Err(EnvelopeError::Tag);
        }
        let (expected, came) = (HEADER_SIZE as u64, bytes.len() as u64);
        let (bytes, _) = bytes
            .split_first_chunk::<HEADER_SIZE>()
            .ok_or(EnvelopeError::Size { expected, came })?;
        let field = |at: usize| std::array::from_fn(|i| bytes[at + i]);
        let suite = Suite::of(bytes[8]).ok_or(EnvelopeError::Suite(bytes[8]))?;
        let chunk_bits = bytes[9];
        if !suite.has_chunk_bits(chunk_bits) {
            return Err(EnvelopeError::ChunkBits(chunk_bits));
        }
        if bytes[10..16] != [0; 6] {
            return Err(EnvelopeError::Reserved);
        }
        let length = u64::from_le_bytes(std::array::from_fn(|i| bytes[16 + i]));
        if length > PLAINTEXT_MAX {
            return Err(EnvelopeError::Length(length));
        }
        let (salt, cells_root, commitment) = (field(24), Hash(field(56)), field(88));
        Ok(Header { suite, chunk_bits, length, salt, cells_root, commitment })
    }

    /// The header's bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[..8].copy_from_slice(&TAG);
        bytes[8] = self.suite as u8;
        bytes[9] = self.chunk_bits;
        bytes[16..24].copy_from_slice(&self.length.to_le_bytes());
        bytes[24..56].copy_from_slice(&self.salt);
        bytes[56..88].copy_from_slice(&self.cells_root.0);
        bytes[88..].copy_from_slice(&self.commitment);
        bytes
    }

    /// The envelope's digest, which wraps and grants name: SHA-256 of the header. Each chunk is
    /// bound to it.
    pub fn digest(&self) -> Hash {
        sha256(&self.to_bytes())
    }

    /// The suite.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// How many bytes are sealed.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The root of the table's cells, or zero.
    pub fn cells_root(&self) -> Hash {
        self.cells_root
    }

    /// How many chunks follow the header: one at least.
    pub fn chunks(&self) -> u64 {
        self.length.div_ceil(self.chunk_size()).max(1)
    }

    /// Bytes of plaintext in a chunk, except the last.
    pub fn chunk_size(&self) -> u64 {
        1 << self.chunk_bits
    }

    /// Size of the whole envelope in bytes.
    pub fn envelope_size(&self) -> u64 {
        HEADER_SIZE as u64 + self.length + self.chunks() * CHUNK_TAG_SIZE
    }

    /// Where a chunk's plaintext lies in the whole.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::NoChunk`].
    pub fn plain_range(&self, index: u64) -> Result<Range<u64>, EnvelopeError> {
        let chunks = self.chunks();
        if index >= chunks {
            return Err(EnvelopeError::NoChunk { index, chunks });
        }
        let start = index * self.chunk_size();
        Ok(start..self.length.min(start + self.chunk_size()))
    }

    /// Where a sealed chunk lies in the envelope.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::NoChunk`].
    pub fn sealed_range(&self, index: u64) -> Result<Range<u64>, EnvelopeError> {
        let plain = self.plain_range(index)?;
        let before = HEADER_SIZE as u64 + index * CHUNK_TAG_SIZE;
        Ok(before + plain.start..before + plain.end + CHUNK_TAG_SIZE)
    }
}

/// What sealing and opening share.
struct Chunks {
    header: Header,
    cipher: Cipher,
    digest: Hash,
}

impl Chunks {
    fn new(header: Header, key: &[u8; 32]) -> Self {
        let (cipher, digest) = (Cipher::new(header.suite, key), header.digest());
        Chunks { header, cipher, digest }
    }

    /// The chunk's number (u64 LE), three zeros, and whether it is the last: STREAM's nonce, under
    /// a key of this envelope alone.
    fn nonce(&self, index: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&index.to_le_bytes());
        nonce[11] = u8::from(index + 1 == self.header.chunks());
        nonce
    }

    fn check_size(&self, index: u64, came: usize, tag: u64) -> Result<(), EnvelopeError> {
        let range = self.header.plain_range(index)?;
        let (expected, came) = (range.end - range.start + tag, came as u64);
        if came == expected {
            return Ok(());
        }
        Err(EnvelopeError::ChunkSize { index, expected, came })
    }

    fn seal(&self, index: u64, chunk: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        self.check_size(index, chunk.len(), 0)?;
        self.cipher.seal(self.nonce(index), &self.digest.0, chunk);
        Ok(())
    }

    fn open(&self, index: u64, chunk: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        self.check_size(index, chunk.len(), CHUNK_TAG_SIZE)?;
        self.cipher.open(self.nonce(index), &self.digest.0, chunk).map_err(|_| {
            // What was decrypted before the tag was found wrong is nobody's to read.
            chunk.clear();
            EnvelopeError::Chunk(index)
        })
    }

    fn check_end(&self, next: u64) -> Result<(), EnvelopeError> {
        let chunks = self.header.chunks();
        if next == chunks { Ok(()) } else { Err(EnvelopeError::Missing { chunks, came: next }) }
    }
}

impl Sealer {
    /// Begins an envelope by AES-256-GCM. Its salt is drawn here, so even a key that is used again
    /// never meets a nonce again.
    pub fn new(key: &ContentKey, shape: &Shape, rng: &mut impl CryptoRng) -> Self {
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        Self::salted(Suite::Aes256Gcm, key, shape, salt)
    }

    fn salted(suite: Suite, key: &ContentKey, shape: &Shape, salt: [u8; 32]) -> Self {
        let [chunk_key, commitment] = suite.derive(key, &salt);
        let header = Header::new(suite, shape, salt, *commitment);
        Sealer { chunks: Chunks::new(header, &chunk_key), next: 0 }
    }

    /// The header: the envelope's first bytes.
    pub fn header(&self) -> &Header {
        &self.chunks.header
    }

    /// Seals the next chunk in place, 16 bytes longer. Every chunk but the last has
    /// [`Header::chunk_size`] bytes.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::ChunkSize`], [`EnvelopeError::NoChunk`]; the chunk is then as it was.
    pub fn seal(&mut self, chunk: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        self.chunks.seal(self.next, chunk)?;
        self.next += 1;
        Ok(())
    }

    /// Ends the envelope.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Missing`] if chunks are.
    pub fn finish(self) -> Result<(), EnvelopeError> {
        self.chunks.check_end(self.next)
    }
}

impl Opener {
    /// Begins to open an envelope.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Key`].
    pub fn new(key: &ContentKey, header: Header) -> Result<Self, EnvelopeError> {
        let [chunk_key, commitment] = header.suite.derive(key, &header.salt);
        if *commitment != header.commitment {
            return Err(EnvelopeError::Key);
        }
        Ok(Opener { chunks: Chunks::new(header, &chunk_key), next: 0 })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.chunks.header
    }

    /// Opens the next chunk in place, 16 bytes shorter.
    ///
    /// # Errors
    ///
    /// As [`open_at`](Self::open_at).
    pub fn open(&mut self, chunk: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        self.chunks.open(self.next, chunk)?;
        self.next += 1;
        Ok(())
    }

    /// Opens one chunk in place, whatever was opened before.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Chunk`], and the chunk is emptied; [`EnvelopeError::ChunkSize`],
    /// [`EnvelopeError::NoChunk`].
    pub fn open_at(&self, index: u64, chunk: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        self.chunks.open(index, chunk)
    }

    /// Ends the reading in order.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Missing`] if chunks are.
    pub fn finish(self) -> Result<(), EnvelopeError> {
        self.chunks.check_end(self.next)
    }
}

/// Seals bytes that are at hand, by AES-256-GCM.
///
/// # Errors
///
/// [`EnvelopeError::Length`].
pub fn seal(
    key: &ContentKey,
    plaintext: &[u8],
    cells_root: Hash,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, EnvelopeError> {
    let shape = Shape::new(plaintext.len() as u64)?.with_cells_root(cells_root);
    seal_all(Sealer::new(key, &shape, rng), plaintext)
}

/// Opens a whole envelope, by whichever suite.
///
/// # Errors
///
/// [`EnvelopeError`].
pub fn open(key: &ContentKey, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    let header = Header::from_bytes(envelope)?;
    let (expected, came) = (header.envelope_size(), envelope.len() as u64);
    if came != expected {
        return Err(EnvelopeError::Size { expected, came });
    }
    let mut opener = Opener::new(key, header)?;
    let mut plaintext = Zeroizing::new(Vec::with_capacity(envelope.len()));
    let mut chunk = Zeroizing::new(Vec::new());
    let size = (opener.header().chunk_size() + CHUNK_TAG_SIZE) as usize;
    for sealed in envelope[HEADER_SIZE..].chunks(size) {
        chunk.clear();
        chunk.extend_from_slice(sealed);
        opener.open(&mut chunk)?;
        plaintext.extend_from_slice(&chunk);
    }
    opener.finish()?;
    Ok(plaintext)
}

/// Seals a job's output as the SDK does in the program (spec/envelope.md#outputs): the same bytes,
/// always.
///
/// # Errors
///
/// [`EnvelopeError::Public`] for a salt of zeros; [`EnvelopeError::Length`].
pub fn seal_output(
    input_salt: &Salt,
    plaintext: &[u8],
    cells_root: Hash,
) -> Result<Vec<u8>, EnvelopeError> {
    if *input_salt == Salt::PUBLIC {
        return Err(EnvelopeError::Public);
    }
    let shape = Shape::new(plaintext.len() as u64)?.with_cells_root(cells_root);
    let key = output_key(input_salt);
    let salt = output_envelope_salt(&key, &cells_root, plaintext);
    seal_all(Sealer::salted(Suite::ChaCha20Poly1305, &key, &shape, salt), plaintext)
}

/// Opens a job's output: the bytes of the output blob, without the blob's header.
///
/// # Errors
///
/// [`EnvelopeError::Public`] for a salt of zeros, whose output is not sealed; else as
/// [`open_output_by`].
pub fn open_output(
    input_salt: &Salt,
    envelope: &[u8],
) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    if *input_salt == Salt::PUBLIC {
        return Err(EnvelopeError::Public);
    }
    open_output_by(&output_key(input_salt), envelope)
}

/// Opens a job's output by its key alone, as a beneficiary does.
///
/// # Errors
///
/// [`EnvelopeError`]: also if it opens, but is not what the SDK would have sealed.
pub fn open_output_by(
    key: &ContentKey,
    envelope: &[u8],
) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    let header = Header::from_bytes(envelope)?;
    if header.suite != Suite::ChaCha20Poly1305 {
        return Err(EnvelopeError::OutputSuite(header.suite as u8));
    }
    let plaintext = open(key, envelope)?;
    if output_envelope_salt(key, &header.cells_root, &plaintext) != header.salt {
        return Err(EnvelopeError::OutputSalt);
    }
    Ok(plaintext)
}

/// Two outputs under one key that differ in anything have different salts, so no chunk key meets a
/// nonce twice.
fn output_envelope_salt(key: &ContentKey, cells_root: &Hash, plaintext: &[u8]) -> [u8; 32] {
    *hmac(key.as_bytes(), &[OUTPUT_SALT, &cells_root.0, plaintext])
}

fn seal_all(mut sealer: Sealer, plaintext: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let header = sealer.header();
    let mut envelope = Vec::with_capacity(header.envelope_size() as usize);
    envelope.extend_from_slice(&header.to_bytes());
    let size = header.chunk_size() as usize;
    for index in 0..header.chunks() as usize {
        let start = index * size;
        let mut chunk = plaintext[start..plaintext.len().min(start + size)].to_vec();
        sealer.seal(&mut chunk)?;
        envelope.extend_from_slice(&chunk);
    }
    sealer.finish()?;
    Ok(envelope)
}
