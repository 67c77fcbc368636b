//! The prebuilt programs on all example data give the recorded roots: in debug and release builds
//! (xtask runs both), on one thread and on two. What the outputs should be was computed by other
//! means (programs/*/expected).

use assay_fuzz::programs::{EXAMPLES, check, prebuilt, recorded};

#[test]
fn all_roots_on_one_thread() {
    check(1).expect("as recorded");
}

#[test]
fn all_roots_on_two_threads() {
    check(2).expect("as recorded");
}

/// Outputs of public data are public; two runs of one program differ only by their inputs.
#[test]
fn examples_exit_as_they_should() {
    let codes: Vec<u32> =
        recorded().expect("vectors").iter().map(|result| result.exit_code).collect();
    assert_eq!(codes, [0, 0, 0, 0, 0, 0, 0, 1, 1]);
    for example in &EXAMPLES {
        assert!(prebuilt(example.program).is_ok(), "{} is a program", example.program);
    }
}
