//! Envelopes: what opens, what is refused, and that nothing is ever sealed twice under one key and
//! nonce.

mod common;

use std::collections::BTreeSet;

use assay_seal::envelope::{
    CHUNK_TAG_SIZE, EnvelopeError, HEADER_SIZE, Header, Opener, PLAINTEXT_MAX, Sealer, Shape,
    Suite, open, seal,
};
use assay_seal::{ContentKey, open_output, open_output_by, output_key, seal_output};
use assay_types::{Hash, Salt};
use common::{Seeded, key, plaintext};

const CHUNK: usize = 1 << 16;

/// Around every edge of a chunk.
const LENGTHS: [usize; 9] =
    [0, 1, 31, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 3 * CHUNK + 5];

fn sealed(length: usize, seed: u64) -> Vec<u8> {
    seal(&key(7), &plaintext(length), Hash([9; 32]), &mut Seeded::new(seed)).expect("small enough")
}

fn output(length: usize) -> Vec<u8> {
    seal_output(&Salt([3; 24]), &plaintext(length), Hash([9; 32])).expect("small enough")
}

#[test]
fn what_is_sealed_opens() {
    for length in LENGTHS {
        let envelope = sealed(length, 1);
        let header = Header::from_bytes(&envelope).expect("a header");
        assert_eq!(header.envelope_size(), envelope.len() as u64);
        assert_eq!((header.suite(), header.length()), (Suite::Aes256Gcm, length as u64));
        assert_eq!(header.cells_root(), Hash([9; 32]));
        assert_eq!(**open(&key(7), &envelope).expect("opens"), plaintext(length));
        let output = output(length);
        assert_eq!(**open_output(&Salt([3; 24]), &output).expect("opens"), plaintext(length));
        let by_key = open_output_by(&output_key(&Salt([3; 24])), &output);
        assert_eq!(**by_key.expect("opens"), plaintext(length), "a beneficiary has only the key");
    }
}

#[test]
fn streams_are_the_same_bytes_as_the_whole() {
    let (length, mut rng) = (3 * CHUNK + 5, Seeded::new(1));
    let shape = Shape::new(length as u64).expect("small").with_cells_root(Hash([9; 32]));
    let mut sealer = Sealer::new(&key(7), &shape, &mut rng);
    let mut envelope = sealer.header().to_bytes().to_vec();
    for part in plaintext(length).chunks(CHUNK) {
        let mut chunk = part.to_vec();
        sealer.seal(&mut chunk).expect("in order");
        envelope.extend(chunk);
    }
    sealer.finish().expect("all chunks came");
    assert_eq!(envelope, sealed(length, 1));
}

#[test]
fn any_chunk_opens_alone() {
    for bits in [16, 17, 22] {
        let length = 3 * (1 << bits) + 99;
        let shape = Shape::new(length).expect("small").with_chunk_bits(bits).expect("a size");
        let mut sealer = Sealer::new(&key(7), &shape, &mut Seeded::new(1));
        let all = plaintext(length as usize);
        let mut envelope = sealer.header().to_bytes().to_vec();
        for part in all.chunks(1 << bits) {
            let mut chunk = part.to_vec();
            sealer.seal(&mut chunk).expect("in order");
            envelope.extend(chunk);
        }
        let header = Header::from_bytes(&envelope).expect("a header");
        let opener = Opener::new(&key(7), header.clone()).expect("its key");
        for index in [3, 0, 2, 1] {
            let at = header.sealed_range(index).expect("there");
            let mut chunk = envelope[at.start as usize..at.end as usize].to_vec();
            opener.open_at(index, &mut chunk).expect("opens");
            let at = header.plain_range(index).expect("there");
            assert_eq!(chunk, all[at.start as usize..at.end as usize], "chunk {index}");
        }
        assert_eq!(
            opener.open_at(4, &mut vec![0; 16]),
            Err(EnvelopeError::NoChunk { index: 4, chunks: 4 })
        );
        assert_eq!(header.sealed_range(4), Err(EnvelopeError::NoChunk { index: 4, chunks: 4 }));
    }
}

/// Every byte of a header, of chunks that are whole and cut, of tags: each single bit where the
/// envelope is small, one bit of each byte where it has two chunks.
#[test]
fn every_single_byte_change_is_refused() {
    for envelope in [sealed(40, 1), sealed(0, 1), output(40), output(0)] {
        for at in 0..envelope.len() {
            for bit in 0..8 {
                let mut changed = envelope.clone();
                changed[at] ^= 1 << bit;
                assert!(open_any(&changed).is_err(), "byte {at}, bit {bit} does not count");
            }
        }
    }
    for envelope in [sealed(CHUNK + 40, 1), output(CHUNK + 40)] {
        let mut changed = envelope;
        for at in 0..changed.len() {
            changed[at] ^= 0x10;
            assert!(open_any(&changed).is_err(), "byte {at} does not count");
            changed[at] ^= 0x10;
        }
        assert!(open_any(&changed).is_ok(), "nothing is changed any more");
    }
}

fn open_any(envelope: &[u8]) -> Result<(), EnvelopeError> {
    let key = match envelope[8] {
        1 => key(7),
        _ => output_key(&Salt([3; 24])),
    };
    open(&key, envelope).map(drop)
}

#[test]
fn cut_extended_and_reordered_envelopes_are_refused() {
    for (envelope, key) in
        [(sealed(2 * CHUNK + 40, 1), key(7)), (output(2 * CHUNK + 40), output_key(&Salt([3; 24])))]
    {
        let expected = envelope.len() as u64;
        for length in (0..envelope.len()).step_by(997).chain(0..HEADER_SIZE) {
            let cut = open(&key, &envelope[..length]);
            let Err(EnvelopeError::Size { came, .. }) = cut else {
                panic!("cut at {length}: {cut:?}")
            };
            assert_eq!(came, length as u64);
        }
        let longer = [&envelope[..], &[0]].concat();
        let came = expected + 1;
        assert_eq!(open(&key, &longer).map(drop), Err(EnvelopeError::Size { expected, came }));

        let chunk = CHUNK + CHUNK_TAG_SIZE as usize;
        let mut swapped = envelope.clone();
        let (first, second) = swapped[HEADER_SIZE..].split_at_mut(chunk);
        first.swap_with_slice(&mut second[..chunk]);
        assert_eq!(open(&key, &swapped).map(drop), Err(EnvelopeError::Chunk(0)), "an order");

        // Whole chunks left out, with a header that says so: the digest of the header is in every
        // chunk.
        let mut shorter = envelope[..HEADER_SIZE + chunk].to_vec();
        shorter[16..24].copy_from_slice(&(CHUNK as u64).to_le_bytes());
        assert_eq!(open(&key, &shorter).map(drop), Err(EnvelopeError::Chunk(0)), "a false end");
    }
}

#[test]
fn chunks_of_another_envelope_do_not_fit() {
    let [one, other] = [1, 2].map(|seed| sealed(2 * CHUNK, seed));
    for at in [HEADER_SIZE, HEADER_SIZE + CHUNK + CHUNK_TAG_SIZE as usize] {
        let mut mixed = one.clone();
        let end = at + CHUNK + CHUNK_TAG_SIZE as usize;
        mixed[at..end].copy_from_slice(&other[at..end]);
        assert!(
            matches!(open(&key(7), &mixed), Err(EnvelopeError::Chunk(_))),
            "the same bytes under the same key, but of another envelope"
        );
    }
    let mut mixed = one.clone();
    mixed[..HEADER_SIZE].copy_from_slice(&other[..HEADER_SIZE]);
    assert_eq!(open(&key(7), &mixed).map(drop), Err(EnvelopeError::Chunk(0)));
}

#[test]
fn an_envelope_has_one_key() {
    let envelope = sealed(40, 1);
    assert_eq!(open(&key(8), &envelope).map(drop), Err(EnvelopeError::Key));
    let output = output(40);
    assert_eq!(open_output(&Salt([4; 24]), &output).map(drop), Err(EnvelopeError::Key));
    // An envelope that claims another key's commitment does not open by that key either.
    let mut claimed = envelope.clone();
    let theirs = seal(&key(8), b"", Hash::default(), &mut Seeded::new(1)).expect("small");
    claimed[88..120].copy_from_slice(&theirs[88..120]);
    assert_eq!(open(&key(8), &claimed).map(drop), Err(EnvelopeError::Chunk(0)));
}

#[test]
fn a_stream_can_not_end_early_or_late() {
    let shape = Shape::new(CHUNK as u64 + 1).expect("small");
    let mut sealer = Sealer::new(&key(7), &shape, &mut Seeded::new(1));
    let header = sealer.header().clone();
    let mut first = plaintext(CHUNK);
    let small = sealer.seal(&mut vec![0; 5]);
    assert_eq!(small, Err(EnvelopeError::ChunkSize { index: 0, expected: 65_536, came: 5 }));
    sealer.seal(&mut first).expect("in order");
    let mut opener = Opener::new(&key(7), header.clone()).expect("its key");
    opener.open(&mut first.clone()).expect("in order");
    let missing = Err(EnvelopeError::Missing { chunks: 2, came: 1 });
    assert_eq!(opener.finish(), missing, "a cut stream passes for whole");
    let mut last = vec![1];
    sealer.seal(&mut last).expect("in order");
    assert_eq!(sealer.seal(&mut vec![1]), Err(EnvelopeError::NoChunk { index: 2, chunks: 2 }));
    sealer.finish().expect("all came");
    let unfinished = Sealer::new(&key(7), &shape, &mut Seeded::new(1));
    assert_eq!(unfinished.finish(), Err(EnvelopeError::Missing { chunks: 2, came: 0 }));
    let opener = Opener::new(&key(7), header).expect("its key");
    first[5] ^= 1;
    assert_eq!(opener.open_at(0, &mut first), Err(EnvelopeError::Chunk(0)));
    assert!(first.is_empty(), "what did not authenticate is not handed out");
}

#[test]
fn headers_say_what_is_wrong() {
    let envelope = sealed(40, 1);
    let with = |at: usize, value: u8| {
        let mut bytes = envelope.clone();
        bytes[at] = value;
        Header::from_bytes(&bytes).map(drop)
    };
    assert_eq!(with(5, b'z'), Err(EnvelopeError::Tag));
    assert_eq!(with(6, 2), Err(EnvelopeError::Tag), "a later version");
    assert_eq!(with(8, 0), Err(EnvelopeError::Suite(0)));
    assert_eq!(with(8, 77), Err(EnvelopeError::Suite(77)));
    let message = with(8, 77).expect_err("unknown").to_string();
    assert!(message.contains("suite 77"), "who meets a new suite must know its number: {message}");
    assert_eq!(with(9, 15), Err(EnvelopeError::ChunkBits(15)));
    assert_eq!(with(9, 23), Err(EnvelopeError::ChunkBits(23)));
    assert_eq!(with(10, 1), Err(EnvelopeError::Reserved));
    assert_eq!(with(15, 1), Err(EnvelopeError::Reserved));
    assert_eq!(with(22, 1), Err(EnvelopeError::Length((1 << 48) + 40)));
    assert_eq!(Shape::new(PLAINTEXT_MAX + 1), Err(EnvelopeError::Length(PLAINTEXT_MAX + 1)));
    let mut output = output(40);
    output[9] = 17;
    assert_eq!(Header::from_bytes(&output), Err(EnvelopeError::ChunkBits(17)));
}

#[test]
fn only_what_programs_seal_passes_for_an_output() {
    let (salt, other) = (Salt([3; 24]), Salt([4; 24]));
    let key = output_key(&salt);
    assert_eq!(output(40), output(40), "every run of a job must seal the same bytes");
    assert_ne!(
        seal_output(&other, &plaintext(40), Hash([9; 32])).expect("small"),
        output(40),
        "another input gives another key"
    );
    let drawn = seal(&key, &plaintext(40), Hash::default(), &mut Seeded::new(1)).expect("small");
    assert_eq!(open_output(&salt, &drawn).map(drop), Err(EnvelopeError::OutputSuite(1)));
    assert_eq!(seal_output(&Salt::PUBLIC, b"", Hash::default()), Err(EnvelopeError::Public));
    assert_eq!(open_output(&Salt::PUBLIC, &output(40)).map(drop), Err(EnvelopeError::Public));
}

/// A crash and a restart draw again, so this is what they come to: the same bytes, sealed twice,
/// share no salt, and so no chunk key.
#[test]
fn no_two_sealings_share_key_and_nonce() {
    let mut rng = Seeded::new(5);
    let mut salts = BTreeSet::new();
    let mut commitments = BTreeSet::new();
    for _ in 0..100 {
        let envelope = seal(&key(7), &plaintext(40), Hash::default(), &mut rng).expect("small");
        salts.insert(envelope[24..56].to_vec());
        commitments.insert(envelope[88..120].to_vec());
    }
    assert_eq!(salts.len(), 100, "one key, used again, would meet a nonce again");
    assert_eq!(commitments.len(), 100, "what is derived from key and salt would be the same");
    let [one, other] = [(); 2].map(|()| ContentKey::draw(&mut rng));
    assert_ne!(one.as_bytes(), other.as_bytes(), "each sealing has a key of its own");

    // Programs can't draw; whatever differs between two outputs under one key gives another salt.
    let output = |bytes: &[u8], cells| {
        seal_output(&Salt([3; 24]), bytes, Hash(cells)).expect("small")[24..56].to_vec()
    };
    let outputs = [
        output(b"", [0; 32]),
        output(b"a", [0; 32]),
        output(b"ab", [0; 32]),
        output(b"a", [1; 32]),
        output(&[0], [0; 32]),
        output(&[0, 0], [0; 32]),
    ];
    assert_eq!(BTreeSet::from(outputs).len(), 6, "two outputs under one key stream");
}
