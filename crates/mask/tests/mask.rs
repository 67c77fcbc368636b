//! Masking as a whole: a plan and a table in, a table, its measure and a statement out.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

use std::collections::BTreeMap;

use assay_guest::csv::TableError;
use assay_mask::{
    Commit, Effect, MaskError, MaskStatement, Masked, Masker, MasterKey, Openings, Plan, Row, Rows,
};
use zeroize::Zeroizing;

const HEAD: &str = "schema = \"assay.mask-plan/1\"\n\
                    owner = \"0x4dF9c73604c2eaD7d936fFB90dB0ccd268b06833\"\n";

fn rows(table: &[u8], mut each: impl FnMut(Row) -> Result<(), MaskError>) -> Result<(), MaskError> {
    let mut rows = Rows::default();
    for chunk in table.chunks(97) {
        rows.read(chunk, &mut each)?;
    }
    rows.end(&mut each)
}

/// Masks as the command does: twice through the table if groups are to be counted.
fn mask(plan: &[u8], key: u8, table: &[u8]) -> Result<(String, Effect), MaskError> {
    let mut plan = Some(Plan::from_toml(plan)?);
    let key = MasterKey::new(Zeroizing::new([key; 32]));
    let mut masker: Option<Masker> = None;
    let mut out = Vec::new();
    rows(table, |row| match &mut masker {
        Some(masker) if masker.counts_first() => masker.count(&row),
        Some(_) => Ok(()),
        None => {
            masker = Some(Masker::new(plan.take().unwrap(), &key, &row)?);
            Ok(())
        }
    })?;
    let mut masker = masker.unwrap();
    let mut is_header = true;
    rows(table, |row| {
        if std::mem::take(&mut is_header) {
            masker.header(false, &mut out);
            return Ok(());
        }
        masker.mask(&row, false, &mut out)
    })?;
    Ok((String::from_utf8(out).unwrap(), masker.effect()))
}

fn plan(rest: &str) -> Vec<u8> {
    format!("{HEAD}purpose = \"study\"\n{rest}").into_bytes()
}

#[test]
fn each_column_goes_its_way() {
    let plan = plan(
        r#"
        quasi_identifiers = ["born", "age", "code", "town"]
        sensitive = ["ill"]
        [columns]
        name = { action = "drop" }
        id = { action = "pseudonym" }
        card = { action = "token", alphabet = "digits" }
        born = { action = "generalise", date = "decade" }
        age = { action = "generalise", bins = { width = 10, above = 90 } }
        code = { action = "generalise", prefix = 2 }
        town = { action = "generalise", places = { levels = 1, hierarchy = { Soho = "London", Kew = "London" } } }
        ill = { action = "keep" }
        note = { action = "redact", names = ["Ada"] }
        "#,
    );
    let table = "name,id,card,born,age,code,town,ill,note\n\
                 Ada,7,4111-1111,1815-12-10,36,W1F,Soho,\"flu, bad\",Ada wrote to a@b.c\n\
                 Bob,8,4111-1112,1817-01-01,38,W1G,Kew,none,\n\
                 Ada,7,,,,,,none,fine\n";
    let (masked, effect) = mask(&plan, 1, table.as_bytes()).unwrap();
    let lines: Vec<_> = masked.lines().collect();
    assert_eq!(lines[0], "id,card,born,age,code,town,ill,note");
    let one: Vec<_> = lines[1].splitn(3, ',').collect();
    assert_eq!(one[0].len(), 32, "a pseudonym");
    assert_eq!((one[1].len(), &one[1][4..5]), (9, "-"), "a token keeps its form");
    assert_eq!(one[2], "1810s,30..40,W1,London,\"flu, bad\",[name] wrote to [email]");
    assert!(lines[3].starts_with(one[0]), "one person, one pseudonym");
    assert!(lines[3].ends_with(",,,,,,none,fine"), "an empty cell stays empty: {}", lines[3]);
    assert_eq!((effect.rows_in, effect.rows_out), (3, 3));
    let changed: Vec<_> = effect.columns.iter().map(|column| column.changed).collect();
    assert_eq!(changed, [3, 3, 2, 2, 2, 2, 2, 0, 1]);
    let measure = effect.measure.unwrap();
    assert_eq!((measure.groups, measure.k), (2, Some(1)));
    assert_eq!(measure.diversity, [(1, 100)], "the group of blanks has one illness");
}

#[test]
fn a_plan_and_a_table_belong_together() {
    let keep = plan("[columns]\na = { action = \"keep\" }\nb = { action = \"keep\" }");
    let cases: [(&[u8], MaskError); 5] = [
        (b"a,b,c\n1,2,3\n", MaskError::Unnamed { column: 3 }),
        (b"a\n1\n", MaskError::Absent { column: "b".into() }),
        (b"a,b,a\n1,2,3\n", TableError::Twice { first: 1, second: 3 }.into()),
        (b"a, b \n1,2\n", MaskError::Blanks { column: 2, name: "b".into() }),
        (b"", MaskError::Empty),
    ];
    for (table, error) in cases {
        assert_eq!(mask(&keep, 1, table).map(|_| ()), Err(error));
    }
    assert_eq!(mask(&keep, 1, b"b,a\n").unwrap().0, "b,a\n", "a table may have no rows");
    assert_eq!(mask(&keep, 1, b"b,a\n").unwrap().1.measure, None);
}

/// The same files are refused by a program: programs/csvstats.
#[test]
fn a_table_that_is_damaged_or_saved_otherwise_is_refused() {
    let files: [(&[u8], &str); 6] = [
        (
            include_bytes!("tables/unclosed.csv"),
            "row 3 is no CSV (RFC 4180): a quote that is never",
        ),
        (include_bytes!("tables/dup.csv"), "columns 1 and 2 have the same name"),
        (include_bytes!("tables/ragged.csv"), "row 3 has 1 cells and the header 2"),
        (include_bytes!("tables/sep.csv"), "a spreadsheet's export: remove its first line"),
        (include_bytes!("tables/semi.csv"), "semicolons between its cells"),
        (include_bytes!("tables/utf16.csv"), "UTF-16"),
    ];
    for (table, expect) in files {
        let names = ["name", "amount", "note"].into_iter();
        let names = names.filter(|name| table.windows(name.len()).any(|at| at == name.as_bytes()));
        let columns: String =
            names.map(|name| format!("{name} = {{ action = \"keep\" }}\n")).collect();
        let columns = if columns.is_empty() { "name = { action = \"keep\" }" } else { &columns };
        let error = mask(&plan(&format!("[columns]\n{columns}")), 1, table).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
        assert!(!error.next_step().is_empty());
    }
}

#[test]
fn what_cant_be_read_is_refused_or_blanked_as_the_plan_says() {
    let text = |what: &str| {
        plan(&format!("[columns]\na = {{ action = {what} }}\nb = {{ action = \"keep\" }}"))
    };
    let cases = [
        ("\"generalise\", date = \"year\"", "tomorrow"),
        ("\"generalise\", bins = { width = 1 }", "many"),
        ("\"generalise\", places = { levels = 1, hierarchy = { a = \"b\" } }", "x"),
        ("\"token\", alphabet = \"digits\"", "12345x"),
        ("\"token\", alphabet = \"digits\"", "12345"),
    ];
    for (what, cell) in cases {
        let table = format!("a,b\n,1\n{cell},2\n");
        let error = mask(&text(what), 1, table.as_bytes()).unwrap_err();
        assert!(!error.to_string().contains(&format!("{cell}\"")), "{error} repeats the cell");
        match &error {
            MaskError::Cell { row: 3, column, .. } | MaskError::Domain { row: 3, column } => {
                assert_eq!(column, "a");
            }
            other => panic!("{other}"),
        }
        let blank = format!("{what}, unreadable = \"blank\"");
        assert_eq!(mask(&text(&blank), 1, table.as_bytes()).unwrap().0, "a,b\n,1\n,2\n");
    }
}

#[test]
fn pseudonyms_join_tables_of_one_purpose_only() {
    let masked = |owner: &str, purpose: &str, column: &str, group: &str| {
        let plan = format!(
            "schema = \"assay.mask-plan/1\"\nowner = \"{owner}\"\npurpose = \"{purpose}\"\n\
             [columns]\n{column} = {{ action = \"pseudonym\", group = \"{group}\" }}\n"
        );
        let (masked, _) = mask(plan.as_bytes(), 1, format!("{column}\nAda\n").as_bytes()).unwrap();
        masked.lines().nth(1).unwrap().to_owned()
    };
    let (one, other) = (
        "0x4dF9c73604c2eaD7d936fFB90dB0ccd268b06833",
        "0x0000000000000000000000000000000000000001",
    );
    let first = masked(one, "study", "patient", "person");
    assert_eq!(first, masked(one, "study", "subject", "person"), "another table, same group");
    assert_eq!(first, masked(&one.to_lowercase(), "study", "patient", "person"), "same owner");
    assert_ne!(first, masked(one, "sales", "patient", "person"), "another purpose");
    assert_ne!(first, masked(other, "study", "patient", "person"), "another owner");
    assert_ne!(first, masked(one, "study", "patient", "patient"), "another group");
}

/// Recounts a result with nothing of the product's but its reader.
fn recount(masked: &str, quasi: &[usize], sensitive: usize) -> (Option<u64>, u64, Option<u64>) {
    let mut groups: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    let mut is_header = true;
    rows(masked.as_bytes(), |row| {
        let cells: Vec<_> = row.cells().map(str::to_owned).collect();
        if !std::mem::take(&mut is_header) {
            let group = quasi.iter().map(|&at| cells[at].clone()).collect();
            groups.entry(group).or_default().push(cells[sensitive].clone());
        }
        Ok(())
    })
    .unwrap();
    let distinct = |values: &Vec<String>| {
        let mut values = values.clone();
        values.sort();
        values.dedup();
        values.len() as u64
    };
    (
        groups.values().map(|rows| rows.len() as u64).min(),
        groups.len() as u64,
        groups.values().map(distinct).min(),
    )
}

#[test]
fn the_anonymity_that_is_claimed_holds_on_the_result() {
    let mut random = fastrand::Rng::with_seed(11);
    let (mut dropped, mut blanked) = (0, 0);
    for round in 0..400 {
        let k = random.u64(2..8);
        let how = if round % 2 == 0 { "drop" } else { "blank" };
        let mut table = String::from("age,town,ill\n");
        let rows_in = random.u64(0..120);
        for _ in 0..rows_in {
            let (age, town) = (random.u32(0..60), random.choice(["A1", "A2", "B1", ""]).unwrap());
            table += &format!("{age},{town},{}\n", random.u32(0..4));
        }
        let plan = plan(&format!(
            "quasi_identifiers = [\"town\", \"age\"]\nsensitive = [\"ill\"]\n\
             suppress = {{ k = {k}, how = \"{how}\" }}\n[columns]\n\
             age = {{ action = \"generalise\", bins = {{ width = 10 }} }}\n\
             town = {{ action = \"generalise\", prefix = 1 }}\nill = {{ action = \"keep\" }}\n"
        ));
        let (masked, effect) = mask(&plan, 1, table.as_bytes()).unwrap();
        let measure = effect.measure.unwrap();
        let (least, groups, distinct) = recount(&masked, &[0, 1], 2);
        assert_eq!((measure.k, measure.groups), (least, groups), "{table}\nbecame\n{masked}");
        assert_eq!(measure.diversity[0].0, distinct.unwrap_or(0), "{masked}");
        assert!(
            measure.diversity[0].1 <= 100 * measure.diversity[0].0,
            "entropy l is at most distinct l"
        );
        assert!(
            least.is_none_or(|least| least >= k),
            "a group of {least:?} is below {k}:\n{masked}"
        );
        assert_eq!(effect.rows_in, rows_in);
        assert_eq!(effect.rows_out + effect.rows_dropped, rows_in, "each row has a fate");
        assert_eq!(masked.lines().count() as u64, effect.rows_out + 1);
        dropped += effect.rows_dropped;
        blanked += effect.rows_blanked;
    }
    assert!(dropped > 100 && blanked > 100, "both ways were taken: {dropped}, {blanked}");
}

#[test]
fn a_statement_binds_tables_that_it_does_not_show() {
    let plan = plan(
        "quasi_identifiers = [\"CANARYcolumn\"]\n[columns]\nCANARYcolumn = { action = \"generalise\", prefix = 0 }\n\
         b = { action = \"redact\", names = [\"CANARYname\"] }\n",
    );
    let table = b"CANARYcolumn,b\nCANARYcell,CANARYname\n";
    let (masked, effect) = mask(&plan, 1, table).unwrap();
    let openings = Openings::new([[1; 32], [2; 32], [3; 32]]);
    let commitments = [
        Commit::to(Masked::Input, &openings.input, table),
        Commit::to(Masked::Output, &openings.output, masked.as_bytes()),
        Commit::to(Masked::Plan, &openings.plan, &plan),
    ];
    let statement = MaskStatement::new("0x00", commitments, &effect);
    let payload = statement.to_payload();
    assert_eq!(MaskStatement::from_payload(&payload), Some(statement));
    let text = String::from_utf8(payload.clone()).unwrap();
    assert!(!text.contains("CANARY") && !text.contains("study"), "{text} tells of the data");
    for bytes in [&table[..], masked.as_bytes(), &plan] {
        assert!(
            !text.contains(&assay_types::sha256(bytes).to_string()),
            "a bare hash can be guessed"
        );
    }
    let salt = |byte| Openings::new([[byte; 32]; 3]).input;
    assert_ne!(
        Commit::to(Masked::Input, &salt(1), table),
        Commit::to(Masked::Input, &salt(2), table)
    );
    assert_ne!(
        Commit::to(Masked::Input, &salt(1), table),
        Commit::to(Masked::Output, &salt(1), table)
    );
    for at in 0..payload.len() {
        let mut changed = payload.clone();
        changed[at] ^= 1;
        let read = MaskStatement::from_payload(&changed);
        assert!(read.is_none_or(|read| read.to_payload() == changed), "byte {at}: two forms");
    }
    assert_eq!(format!("{openings:?}").matches("private").count(), 3, "salts are not shown");
}

/// A second of damaged plans and tables: errors, never a panic; and what is masked is a table of as
/// many columns.
#[test]
fn damage_gives_errors() {
    let good_plan = plan(
        r#"
        quasi_identifiers = ["born", "age"]
        sensitive = ["ill"]
        suppress = { k = 2, how = "blank" }
        [columns]
        id = { action = "token", alphabet = "digits" }
        born = { action = "generalise", date = "year", unreadable = "blank" }
        age = { action = "generalise", bins = { width = "2.5", origin = -1 }, unreadable = "blank" }
        town = { action = "generalise", places = { levels = 2, hierarchy = { a = "b", b = "c" }, other = "" } }
        ill = { action = "keep" }
        note = { action = "redact", names = ["Ada L"] }
        "#,
    );
    let good_table = "id,born,age,town,ill,note\r\n123-456,1912-06-23,41,a,\"x \"\"y\"\"\",\"Ada L, 555 0100\"\r\n\
                      654 321,1912-06-23,41.5,c,ü,z@z\r\n"
        .as_bytes();
    assert!(mask(&good_plan, 1, good_table).is_ok());
    let mut random = fastrand::Rng::with_seed(23);
    let (mut refused, mut masked) = (0, 0);
    for round in 0..1200 {
        let mut bytes = [good_plan.clone(), good_table.to_vec()];
        let [plan, table] = &mut bytes;
        let target = if round % 2 == 0 { &mut *plan } else { &mut *table };
        for _ in 0..random.usize(1..4) {
            if target.is_empty() {
                break;
            }
            let at = random.usize(..target.len());
            match random.u32(..4) {
                0 => target[at] ^= 1 << random.u32(..8),
                1 => drop(target.remove(at)),
                2 => target.insert(at, *random.choice(b"\",\n\r=[]{}0\xff").unwrap()),
                _ => target.truncate(at.max(1)),
            }
        }
        match mask(plan, 1, table) {
            Ok((result, effect)) => {
                masked += 1;
                let kept = effect.columns.len();
                rows(result.as_bytes(), |row| {
                    assert_eq!(row.cells().len(), kept, "a cell became two:\n{result}");
                    Ok(())
                })
                .unwrap();
            }
            Err(error) => {
                refused += 1;
                assert!(!error.next_step().is_empty());
            }
        }
    }
    assert!(refused > 300 && masked > 30, "both happen: {refused}, {masked}");
}
