//! The short, seeded part of `cargo xtask fuzz machine`.

use assay_fuzz::differential::{Tally, compare};
use assay_fuzz::qemu;

#[test]
fn random_programs_agree_with_rrs_lib() {
    let mut total = Tally::default();
    for seed in 1_000_000..1_001_500 {
        total.add(compare(seed).unwrap_or_else(|difference| panic!("{difference}")));
    }
    // Were the generator to go dull, these would notice.
    assert_eq!(total.programs, 1500);
    assert!(total.instructions > 500_000, "too few instructions: {total:?}");
    assert!(total.trapped > 300, "too few traps: {total:?}");
    assert!(total.exited > 50, "too few exits: {total:?}");
    assert!(total.out_of_steps > 300, "too few limits reached: {total:?}");
    assert!(total.witnesses > 500, "too few witnesses: {total:?}");
}

#[test]
fn random_programs_agree_with_qemu() {
    let Some(emulator) = qemu::find() else {
        eprintln!("skipped: qemu-riscv32 is not installed (Debian: qemu-user)");
        return;
    };
    let instructions: u64 = (0..40)
        .map(|seed| qemu::compare(&emulator, &std::env::temp_dir(), seed))
        .map(|result| result.unwrap_or_else(|difference| panic!("{difference}")))
        .sum();
    assert!(instructions > 40_000, "too few instructions: {instructions}");
}
