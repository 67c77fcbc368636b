#![doc = include_str!("../README.md")]
#![cfg_attr(target_os = "none", no_std, no_main)]

assay_guest::main!(assay_program_montecarlo::run);
