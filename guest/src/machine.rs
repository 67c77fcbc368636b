//! The machine side: entry, slots, heap, messages, exit. The only unsafe code of the SDK.
//!
//! What makes it sound: one hart, no interrupts, so nothing runs at the same time; every address of
//! the slots is mapped (spec/machine.md#memory); and the program's own objects live in slot 0, so
//! the other slots are touched by nobody but the functions below.
#![expect(unsafe_code, reason = "slots are raw memory, and an entry point has an address")]

use crate::blob::{self, HEADER_BYTES, MAX_BYTES, Salt};
use crate::seal::{self, CHUNK_BYTES, Seal, TAG_BYTES};
use crate::{Error, Output};
use core::alloc::{GlobalAlloc, Layout};
use core::arch::{asm, global_asm};
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::ptr;
use talc::{TalcCell, source::Manual};

const SCRATCH: usize = 0x2000_0000;
const INPUT: usize = 0x4000_0000;
const DATASET: usize = 0x6000_0000;
const OUTPUT: usize = 0x8000_0000;
const SPARE: usize = 0xa000_0000;

const EXIT: u32 = 93;
const EXIT_REFUSED: u32 = 1;
const EXIT_PANICKED: u32 = 101;

const MESSAGE_TAG: &[u8; 8] = b"assaye\x01\x01";
const MESSAGE_HEADER_BYTES: usize = 12;
const MESSAGE_MAX_BYTES: usize = 4096;

unsafe extern "Rust" {
    // `assay_guest::main!` defines it in the program.
    fn __assay_main(input: &[u8], dataset: &[u8], output: &mut Output) -> Result<(), Error>;
}

unsafe extern "C" {
    static mut __heap_start: u8;
    static mut __heap_end: u8;
}

global_asm!(
    ".section .text.start, \"ax\"",
    ".globl _start",
    "_start:",
    "    la sp, __stack_top",
    "    call {start}",
    start = sym start,
);

extern "C" fn start() -> ! {
    HEAP.claim();
    let mut output = Output::new(OutputSlot::open());
    // SAFETY: `main!` defined it with this signature; a program without it does not link.
    match unsafe { __assay_main(input(), dataset(), &mut output) } {
        Ok(()) => exit(0),
        Err(error) => fail(EXIT_REFUSED, format_args!("{error}")),
    }
}

/// The input's bytes, where they lie. A length beyond the slot is cut to it.
pub fn input() -> &'static [u8] {
    blob_bytes(INPUT)
}

/// The dataset's bytes, where they lie; empty for a job without one. A length beyond the slot is
/// cut to it.
pub fn dataset() -> &'static [u8] {
    blob_bytes(DATASET)
}

fn blob_bytes(slot: usize) -> &'static [u8] {
    let header = ptr::with_exposed_provenance::<u32>(slot);
    // SAFETY: the slot's first 8 bytes are mapped and aligned, and nothing ever writes to this
    // slot, so the bytes live as long as the program.
    unsafe {
        let length = match header.add(1).read() {
            0 => header.read().min(MAX_BYTES),
            _ => MAX_BYTES,
        };
        core::slice::from_raw_parts(header.cast::<u8>().add(HEADER_BYTES as usize), length as usize)
    }
}

fn salt(slot: usize) -> Salt {
    // SAFETY: the header is mapped, and no one writes to an input slot.
    unsafe { ptr::with_exposed_provenance::<Salt>(slot + 8).read() }
}

/// Ends the program with a code. What was written is the output, sealed if the job is private.
pub fn exit(code: u32) -> ! {
    OutputSlot::seal();
    end(code)
}

fn end(code: u32) -> ! {
    // SAFETY: the machine's one system call; it does not return.
    unsafe { asm!("ecall", in("a7") EXIT, in("a0") code, options(noreturn, nostack)) }
}

/// Where the output is written. Public: the output slot, whose header is a valid blob's after every
/// call. Private: the spare slot, so that the output slot never holds a byte in the clear, even
/// where a run traps or runs out of steps; it is then an empty blob, until [`seal`](Self::seal).
pub(crate) struct OutputSlot {
    length: usize,
    is_private: bool,
}

/// What waits in the spare slot: its length (u32), at 4 a salt, at 32 the root of its cells, at 64
/// the bytes. A claim shows the slot's root beside the output's, so without the salt whoever
/// guesses an output could check the guess.
const WAITING_SALT: usize = SPARE + 4;
const WAITING_ROOT: usize = SPARE + 32;
const WAITING: usize = SPARE + 64;

impl OutputSlot {
    /// Derives the salt, so that whatever follows, even running out of steps, leaves a salted
    /// output.
    fn open() -> Self {
        let input_salt = salt(INPUT);
        let salt = blob::output_salt(&input_salt, &salt(DATASET));
        // A public output keeps its zeros unwritten.
        if salt != [0; 24] {
            // SAFETY: the output slot's header is mapped, and only this type uses the slot.
            unsafe { ptr::with_exposed_provenance_mut::<Salt>(OUTPUT + 8).write(salt) }
        }
        let is_private = is_private(&input_salt);
        if is_private {
            let salt = seal::waiting_salt(&input_salt);
            // SAFETY: the spare slot is mapped, and only this type uses it.
            unsafe { ptr::with_exposed_provenance_mut::<Salt>(WAITING_SALT).write(salt) }
        }
        Self { length: 0, is_private }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The most bytes that may be appended in all.
    pub(crate) fn max_bytes(&self) -> u32 {
        if self.is_private { seal::MAX_BYTES } else { MAX_BYTES }
    }

    /// The key that the output will be sealed under; nothing for a public one.
    pub(crate) fn output_key(&self) -> Option<[u8; 32]> {
        self.is_private.then(|| seal::output_key(&salt(INPUT)))
    }

    /// Appends bytes; the caller keeps within `max_bytes`.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        debug_assert!(self.length + bytes.len() <= self.max_bytes() as usize);
        let (length, start) = match self.is_private {
            true => (SPARE, WAITING),
            false => (OUTPUT, OUTPUT + HEADER_BYTES as usize),
        };
        // SAFETY: within the slot by the bound above; `bytes` lies in another slot, as this one is
        // lent to nobody.
        unsafe {
            let end = ptr::with_exposed_provenance_mut::<u8>(start + self.length);
            end.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            self.length += bytes.len();
            ptr::with_exposed_provenance_mut::<u32>(length).write(self.length as u32);
        }
    }

    pub(crate) fn set_cells_root(&mut self, root: [u8; 32]) {
        if self.is_private {
            // SAFETY: the spare slot is mapped, and only this type uses it.
            unsafe { ptr::with_exposed_provenance_mut::<[u8; 32]>(WAITING_ROOT).write(root) }
        }
    }

    /// Seals what waits, into the output slot. A public output is there already.
    fn seal() {
        let input_salt = salt(INPUT);
        if !is_private(&input_salt) {
            return;
        }
        // SAFETY: the length is what `append` wrote, so the bytes are within the spare slot, and
        // nobody writes there any more; the envelope is within the output slot by
        // `seal::MAX_BYTES`, which nothing else borrows.
        let (waiting, root, envelope) = unsafe {
            let length = ptr::with_exposed_provenance::<u32>(SPARE).read().min(seal::MAX_BYTES);
            let start = OUTPUT + HEADER_BYTES as usize;
            let size = seal::envelope_bytes(length as usize);
            (
                core::slice::from_raw_parts(ptr::with_exposed_provenance(WAITING), length as usize),
                &*ptr::with_exposed_provenance::<[u8; 32]>(WAITING_ROOT),
                core::slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut(start), size),
            )
        };
        let sealing = Seal::new(&input_salt, waiting, root);
        let (header, sealed) = envelope.split_at_mut(seal::HEADER_BYTES);
        header.copy_from_slice(sealing.header());
        let chunks = sealed.chunks_mut(CHUNK_BYTES + TAG_BYTES);
        for (index, chunk) in chunks.enumerate() {
            let start = index * CHUNK_BYTES;
            // From slot to slot: not for a moment does the output slot hold a byte in the clear.
            sealing.chunk(index, &waiting[start..start + chunk.len() - TAG_BYTES], chunk);
        }
        // SAFETY: the output slot's header is mapped. The length comes last, so an envelope that
        // was cut is never a blob's.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(OUTPUT).write(envelope.len() as u32) }
    }

    /// Empties the output, so that half an answer can't pass for one. The salt stays.
    fn clear() {
        let header = ptr::with_exposed_provenance_mut::<u32>(OUTPUT);
        // SAFETY: the length is what `append` wrote, so this clears what was written, within the
        // slot.
        unsafe {
            let length = header.read().min(MAX_BYTES) as usize;
            header.write(0);
            header.cast::<u8>().add(HEADER_BYTES as usize).write_bytes(0, length);
        }
    }
}

/// Whether the output is sealed: the input has a salt, so there is a key that only those know who
/// have it.
fn is_private(input_salt: &Salt) -> bool {
    *input_salt != [0; 24]
}

/// Leaves a message for people in scratch (spec/guest.md#messages), empties the output and exits.
fn fail(code: u32, message: fmt::Arguments<'_>) -> ! {
    OutputSlot::clear();
    let mut text = Message { length: 0 };
    // It only fails when full, and a cut message is better than none.
    let _ = text.write_fmt(message);
    text.finish();
    end(code)
}

/// A message in scratch: tag (8), length (u32 LE), then at most 4096 bytes of UTF-8.
struct Message {
    length: usize,
}

impl Message {
    fn finish(self) {
        let scratch = ptr::with_exposed_provenance_mut::<u8>(SCRATCH);
        // SAFETY: scratch is mapped and lent to nobody.
        unsafe {
            scratch.cast::<[u8; 8]>().write(*MESSAGE_TAG);
            scratch.add(8).cast::<u32>().write(self.length as u32);
        }
    }
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let space = MESSAGE_MAX_BYTES - self.length;
        let kept = text.floor_char_boundary(space);
        let scratch = ptr::with_exposed_provenance_mut::<u8>(SCRATCH);
        // SAFETY: header and message together are 4108 bytes of scratch, which is lent to nobody.
        unsafe {
            let end = scratch.add(MESSAGE_HEADER_BYTES + self.length);
            end.copy_from_nonoverlapping(text.as_ptr(), kept);
        }
        self.length += kept;
        if kept == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // A panic while this one is formatted would come back here for ever; the stack would end in a
    // trap, which says as much. Running out of memory arrives here too, and formatting takes no
    // heap.
    fail(EXIT_PANICKED, format_args!("{info}"))
}

/// The heap: from the end of the program's data to the end of slot 0.
struct Heap(TalcCell<Manual>);

// SAFETY: one hart and no interrupts, so nothing is ever shared between threads.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(TalcCell::new(Manual));

impl Heap {
    fn claim(&self) {
        let start = &raw mut __heap_start;
        let size = (&raw mut __heap_end).addr() - start.addr();
        // SAFETY: the linker script leaves this range to the heap, and `start` claims it once.
        unsafe { self.0.claim(start, size) };
    }
}

// SAFETY: every call goes to the allocator that keeps the contract.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the callee's.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the callee's.
        unsafe { self.0.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract is the callee's.
        unsafe { self.0.realloc(memory, layout, size) }
    }
}
