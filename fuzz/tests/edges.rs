//! Each edge by its name (assay_fuzz::edges says what is expected), and the recorded vectors.

use assay_fuzz::edges::edges;
use assay_fuzz::vectors::{Vector, files};
use assay_machine::{Instruction, OPCODES, verify_step};

/// A test for each name, and a check that none is missing.
macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let edges = edges();
            let edge = edges.iter().find(|edge| edge.name == stringify!($name)).unwrap();
            edge.check().unwrap_or_else(|difference| panic!("{difference}"));
        })*

        #[test]
        fn every_edge_has_a_test() {
            let tested = [$(stringify!($name)),*];
            let names: Vec<_> = edges().iter().map(|edge| edge.name).collect();
            assert_eq!(names, tested, "edges() and the list of tests differ");
        }
    };
}

tests! {
    div_min_by_minus_one
    rem_min_by_minus_one
    div_by_zero
    divu_by_zero
    rem_by_zero
    remu_by_zero
    div_rounds_to_zero
    rem_has_the_dividends_sign
    mulh_min_min
    mulhsu_negative_by_large
    mulhsu_large_by_negative
    mulhu_max_max
    mul_wraps
    sll_by_32_is_by_0
    srl_by_33_is_by_1
    sra_by_63_is_by_31
    sra_keeps_the_sign
    srl_drops_the_sign
    srai_keeps_the_sign
    srli_drops_the_sign
    sltiu_immediate_is_sign_extended
    slt_is_signed
    sltu_is_unsigned
    sub_wraps
    write_to_x0_is_lost
    x0_reads_as_zero
    auipc_adds_pc
    add_with_wrong_funct7
    sub_like_and_with_wrong_funct7
    slli_with_shamt_32
    srai_with_shamt_32
    slli_with_funct7_of_srai
    jalr_with_funct3_1
    branch_with_funct3_2
    load_with_funct3_3
    lwu_of_64_bit
    store_with_funct3_3
    addiw_of_64_bit
    word_zero
    word_ones
    compressed_word
    fence_i
    ebreak
    mret
    csr_read
    ecall_with_rd
    amo_word
    fence_ignores_its_fields
    jalr_with_rd_equal_rs1
    jalr_clears_bit_0
    jalr_to_bit_1_traps
    jal_to_bit_1_traps
    taken_branch_to_bit_1_traps
    branch_not_taken_to_bit_1
    jal_x0_writes_nothing
    jump_out_of_text_succeeds
    jump_wraps
    fetch_past_text_traps
    fetch_of_data_traps
    bgeu_is_unsigned
    bge_is_signed
    branch_back
    last_word_of_text
    lb_extends_the_sign
    lbu_does_not
    lh_extends_the_sign
    lhu_does_not
    lw_unaligned_traps
    lh_unaligned_traps
    lw_across_a_page_traps
    lhu_across_a_leaf_traps
    load_wraps_to_zero_zone
    load_wraps_to_high_zone
    load_below_program
    load_of_entry_word
    load_above_slots
    load_last_mapped
    load_untouched_is_zero
    load_from_text
    load_to_x0_still_traps
    sb_keeps_neighbours
    sh_keeps_neighbours
    sw_writes_all
    sw_to_new_page
    sw_to_input
    sw_unaligned_traps
    sh_unaligned_traps
    sw_across_a_page_traps
    store_into_text_traps
    store_into_last_text_byte
    store_after_text
    store_wraps_to_zero_zone
    store_above_slots
    store_below_program
    store_last_mapped
    unaligned_store_into_text_is_misaligned
    exit_with_zero
    exit_with_all_32_bits
    unknown_system_call_write
    unknown_system_call_zero
    exit_group_is_unknown
    exit_at_the_limit_exits
    trap_at_the_limit_traps
    limit_ends_a_run
    jump_at_the_limit
    add
    xor
    or
    and
    divu
    remu
    slti
    xori
    ori
    andi
    slli
    srli
    addi
    lui
    beq
    bne
    blt
    bltu
    lw
}

#[test]
fn every_instruction_is_an_edge() {
    let words: Vec<_> = edges().iter().map(|edge| Instruction::decode(edge.word).op).collect();
    for row in &OPCODES {
        assert!(words.contains(&row.op), "{} has no edge", row.mnemonic);
    }
}

#[test]
fn recorded_vectors_are_current_and_hold() {
    let mut count = 0;
    for (name, expected) in files().unwrap() {
        let path = format!("{}/../vectors/steps/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        let recorded: Vec<Vector> = serde_json::from_str(&text).unwrap();
        assert!(recorded == expected, "{name} is stale: run `cargo xtask vectors`");
        for vector in &recorded {
            let verified = verify_step(&vector.bytes().unwrap());
            assert_eq!(verified.is_ok(), vector.valid, "{name}: {}", vector.name);
        }
        count += recorded.len();
    }
    assert!(count > 180, "only {count} vectors");
}
