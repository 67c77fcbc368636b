//! The prebuilt programs on all example data give the recorded roots: in debug and release builds (xtask runs both), on one
//! thread and on two. What the outputs should be was computed by other means (programs/*/expected).

use assay_fuzz::programs::{EXAMPLES, Recorded, prebuilt, results, root};
use rayon::ThreadPoolBuilder;

fn recorded() -> Vec<Recorded> {
    let text = std::fs::read_to_string(root().join("vectors/programs.json")).expect("vectors");
    serde_json::from_str(&text).expect("a list of results")
}

fn check(threads: usize) {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    let results = pool.install(results).expect("every example runs");
    assert_eq!(results.len(), EXAMPLES.len());
    for (result, recorded) in results.iter().zip(recorded()) {
        assert_eq!(*result, recorded, "if the programs changed: cargo xtask vectors");
    }
}

#[test]
fn all_roots_on_one_thread() {
    check(1);
}

#[test]
fn all_roots_on_two_threads() {
    check(2);
}

/// Outputs of public data are public; two runs of one program differ only by their inputs.
#[test]
fn examples_exit_as_they_should() {
    let codes: Vec<u32> = recorded().iter().map(|result| result.exit_code).collect();
    assert_eq!(codes, [0, 0, 0, 0, 0, 0, 0, 1, 1]);
    for example in &EXAMPLES {
        assert!(prebuilt(example.program).is_ok(), "{} is a program", example.program);
    }
}
