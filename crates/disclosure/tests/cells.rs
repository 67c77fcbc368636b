//! The SDK's cells and ours: a table that a program writes has the root that its reader computes.

use assay_disclosure::cells::{Table, TableKey};
use assay_guest::cells::{Cells, TableKey as GuestKey};

#[test]
fn the_sdk_and_the_privacy_crate_agree_on_every_shape() {
    let mut generator = fastrand::Rng::with_seed(11);
    for case in 0..60u8 {
        let columns = [1, 2, 3, 8, 31, 1024][usize::from(case) % 6];
        let rows: Vec<Vec<Vec<u8>>> = (0..generator.usize(1..20))
            .map(|_| {
                let width = generator.usize(1..=columns);
                let value = |_| (0..generator.usize(0..40)).map(|i| i as u8 ^ case).collect();
                (0..width).map(value).collect()
            })
            .collect();
        let mut cells = Cells::new(GuestKey::new(&[case; 32]));
        for row in &rows {
            row.iter().for_each(|cell| cells.cell(cell).expect("not too wide"));
            cells.end_row();
        }
        let table = Table::new(rows).expect("a table");
        let root = table.root(&TableKey::derive(&[case; 32]));
        assert_eq!(cells.root(), Some(root.0), "case {case}: a true table could not be shown");
    }
}
