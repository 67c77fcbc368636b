//! Receipts: sound ones hold, and nothing about one can be changed.

mod common;

use assay_receipt::{
    Code, Outcome, Receipt, ReceiptError, Report, Standing, Trust, TrustError, verify,
    without_noise,
};
use common::{Ending, Twist, World};
use serde_json::Value;

const MUTATIONS: u64 = 10_000;

fn refused(report: &Report) -> Vec<Code> {
    let refused = report.checks.iter().filter(|check| check.outcome == Outcome::Refused);
    refused.map(|check| check.code).collect()
}

#[test]
fn sound_receipts_are_vouched_for() {
    let mut world = World::new(1);
    for (nonce, ending) in
        [(1, Ending::Paid), (2, Ending::Slashed), (3, Ending::Missed), (4, Ending::Late)]
    {
        let receipt = world.job(nonce, ending);
        let read = Receipt::from_bytes(&receipt.to_bytes()).expect("as it was written");
        assert_eq!(read, receipt);
        let report = verify(&receipt, Some(&world.trust()));
        assert_eq!(refused(&report), [], "{report:#?}");
        assert_eq!(report.standing, Standing::Vouched, "{report:#?}");
        let correct = report.checks.iter().find(|check| check.code == Code::Result);
        assert!(
            correct.is_none_or(|check| check.outcome == Outcome::NotChecked),
            "no proof, no verdict"
        );
        assert_eq!(verify(&receipt, None).standing, Standing::Consistent);
        // A dispute takes some 0.9 kB a move.
        let size = receipt.to_bytes().len();
        let size_max = match ending {
            Ending::Missed | Ending::Paid | Ending::Late => 20_000,
            Ending::Slashed => 35_000,
        };
        assert!(size < size_max, "a receipt of {size} bytes");
    }
}

/// The contract pays at most the order's highest price and exactly its fee; or a bounty, and no
/// fee.
#[test]
fn a_payment_that_the_order_does_not_allow_is_refused() {
    let mut world = World::new(1);
    let trust = world.trust();
    let amounts = [[1_000, 0, 70], [0, 1_000, 70], [10, 0, 70], [1_500, 0, 0]];
    for (nonce, amounts) in (1..).zip(amounts) {
        let report = verify(&world.job_paying(nonce, amounts), Some(&trust));
        assert_eq!(report.standing, Standing::Vouched, "{amounts:?}: {report:#?}");
    }
    let amounts = [
        [1_001, 0, 70],
        [900, 101, 70],
        [900, 100, 0],
        [900, 100, 69],
        [900, 100, 71],
        [1_499, 0, 0],
        [1_500, 1, 0],
        [1_500, 0, 70],
    ];
    for (nonce, amounts) in (10..).zip(amounts) {
        let report = verify(&world.job_paying(nonce, amounts), Some(&trust));
        assert_eq!(refused(&report).first(), Some(&Code::Settlement), "{amounts:?}: {report:#?}");
    }
    let receipt = world.job(30, Ending::Paid);
    let report = verify(&receipt, Some(&trust));
    let settlement = report.checks.iter().find(|check| check.code == Code::Settlement);
    let said = settlement.map(|check| check.what.clone()).unwrap_or_default();
    let owner = world.data_owner();
    assert!(said.contains(&format!("{owner} 70 for its data")), "the fee is not shown: {said}");
}

#[test]
fn a_reader_decides_whom_it_believes() {
    let mut world = World::new(1);
    let receipt = world.job(1, Ending::Paid);
    let trust = world.trust();
    let standing = |trust: &Trust| verify(&receipt, Some(trust)).standing;
    let stranger = Trust { observers: [World::new(9).requester()].into(), ..trust.clone() };
    assert_eq!(standing(&stranger), Standing::Consistent, "a stranger vouches for nothing");
    let nobody = Trust { observers: Default::default(), ..trust.clone() };
    assert_eq!(standing(&nobody), Standing::Consistent);
    let blocks = [receipt.claim.as_ref(), Some(&receipt.settlement)].into_iter().flatten();
    let headers = blocks.map(|proof| proof.check().expect("proved").block_hash).collect();
    let pinned = Trust { headers, ..nobody.clone() };
    assert_eq!(standing(&pinned), Standing::Vouched, "pinned headers need no observer");
    let one = pinned.headers.first().copied().into_iter().collect();
    assert_eq!(
        standing(&Trust { headers: one, ..nobody }),
        Standing::Consistent,
        "both blocks count"
    );
    let elsewhere = Trust { market: World::new(9).trust().market, ..trust.clone() };
    assert_eq!(refused(&verify(&receipt, Some(&elsewhere))), [Code::Market]);
    let other_log = Trust { log: World::new(9).trust().log, ..trust.clone() };
    assert_eq!(refused(&verify(&receipt, Some(&other_log))), [Code::Checkpoint]);
    let other_verifiers = Trust { verifiers: [2, 3].into(), ..trust.clone() };
    assert_eq!(
        refused(&verify(&receipt, Some(&other_verifiers))),
        [Code::Verifier],
        "a market can have a verifier that passes any claim"
    );
    let text = String::from_utf8(trust.to_bytes()).expect("text");
    let older: Value = serde_json::from_str(&text).expect("JSON");
    let mut older = older.as_object().expect("an object").clone();
    older.remove("verifiers").expect("it is written");
    let older = Trust::from_bytes(&serde_json::to_vec(&older).expect("JSON")).expect("read");
    assert_eq!(older.verifiers, [1].into(), "one that names none takes the first alone");
    let mut unseen = trust.clone();
    let log = unseen.log.as_mut().expect("a log");
    log.witnesses.extend(World::new(9).trust().log.expect("a log").witnesses);
    log.quorum = 2;
    assert_eq!(refused(&verify(&receipt, Some(&unseen))), [Code::Checkpoint], "too few witnesses");

    let text = String::from_utf8(trust.to_bytes()).expect("text");
    assert_eq!(Trust::from_bytes(text.as_bytes()).expect("as it was written"), trust);
    let changed = |from: &str, to: &str| Trust::from_bytes(text.replacen(from, to, 1).as_bytes());
    assert!(matches!(changed("trust/1", "trust/2"), Err(TrustError::Version(_))));
    assert!(matches!(changed("log-1.example", "log-2.example"), Err(TrustError::Key(..))));
    assert!(matches!(
        changed("\"observerQuorum\": 1", "\"observerQuorum\": 2"),
        Err(TrustError::Quorum { .. })
    ));
    assert!(matches!(
        changed("\"observerQuorum\": 1", "\"observerQuorum\": 0"),
        Err(TrustError::Quorum { .. })
    ));
    assert!(matches!(changed("{", "["), Err(TrustError::Form(_))));
}

#[test]
fn what_is_no_receipt_says_so() {
    let receipt = World::new(1).job(1, Ending::Paid).to_bytes();
    let read = |bytes: &[u8]| Receipt::from_bytes(bytes).expect_err("no receipt");
    assert_eq!(read(b""), ReceiptError::Empty);
    assert_eq!(read(b"\x7fELF"), ReceiptError::Foreign);
    assert_eq!(read(b"{}"), ReceiptError::Foreign);
    assert_eq!(read(b"{\"schema\":\"assay.exec/1\"}"), ReceiptError::Foreign);
    let newer = b"{\"schema\":\"assay.receipt/2\",\"more\":1}";
    assert_eq!(read(newer), ReceiptError::Version("assay.receipt/2".into()));
    assert!(matches!(read(&receipt[..receipt.len() / 2]), ReceiptError::Form(_)));
    assert!(matches!(read(&receipt[..receipt.len() - 1]), ReceiptError::Form(_)));
    assert!(matches!(read(&[&receipt[..], b"\n"].concat()), ReceiptError::Form(_)));
    let pretty: Value = serde_json::from_slice(&receipt).expect("JSON");
    let pretty = serde_json::to_vec_pretty(&pretty).expect("JSON");
    assert!(matches!(read(&pretty), ReceiptError::Form(_)), "one meaning, one form");
    assert!(matches!(read(&vec![b' '; 2 << 20]), ReceiptError::Long(_)));
    // Nothing nested makes the reader run out of stack.
    assert_eq!(read(&vec![b'['; 1 << 20]), ReceiptError::Foreign);
}

/// A receipt as JSON, payloads as text: an object's fields would come back in another order.
fn as_value(receipt: &Receipt) -> Value {
    let mut value = serde_json::to_value(receipt).expect("JSON");
    for (place, logged) in receipt.log.iter().flat_map(|log| &log.statements).enumerate() {
        let (payload, _) = logged.envelope.open().expect("signed");
        let payload = String::from_utf8(payload).expect("text");
        value["log"]["statements"][place]["payload"] = payload.into();
    }
    value
}

/// A receipt as JSON, to be changed by a forger, who knows how to make the digest fit.
fn forged(receipt: &Receipt, change: impl FnOnce(&mut Value)) -> Result<Receipt, ReceiptError> {
    let mut value = as_value(receipt);
    change(&mut value);
    let changed: Receipt =
        serde_json::from_value(value).map_err(|e| ReceiptError::Form(e.to_string()))?;
    Receipt::from_bytes(&changed.sealed().to_bytes())
}

#[test]
fn each_forgery_is_refused_for_its_reason() {
    let mut world = World::new(1);
    let (one, two) = (world.job(1, Ending::Paid), world.job(2, Ending::Paid));
    let mut elsewhere = World::new(2);
    let foreign = elsewhere.job(1, Ending::Paid);
    let trust = world.trust();
    let of = as_value;
    let (two, foreign) = (of(&two), of(&foreign));
    let swap = |field: &'static str, from: &Value| {
        let from = from[field].clone();
        move |value: &mut Value| value[field] = from
    };
    type Change = Box<dyn FnOnce(&mut Value)>;
    let cases: Vec<(&str, Code, Change)> = vec![
        ("another job's order", Code::Order, Box::new(swap("order", &two))),
        ("another job's claim", Code::Claim, Box::new(swap("claim", &two))),
        ("another job's settlement", Code::Settlement, Box::new(swap("settlement", &two))),
        ("another job's log", Code::Statement, Box::new(swap("log", &two))),
        ("another job's id", Code::Order, Box::new(swap("job", &two))),
        ("another market", Code::Market, Box::new(swap("market", &foreign))),
        ("another market's claim", Code::Claim, Box::new(swap("claim", &foreign))),
        ("another market's log", Code::Checkpoint, Box::new(swap("log", &foreign))),
        ("no claim", Code::Claim, Box::new(|value| value["claim"] = Value::Null)),
        (
            "a claim for a settlement",
            Code::Settlement,
            Box::new(|value| value["settlement"] = value["claim"].clone()),
        ),
        (
            "another event of the receipt",
            Code::Settlement,
            Box::new(|value| value["settlement"]["log"] = 0.into()),
        ),
        (
            "another transaction of the block",
            Code::Settlement,
            Box::new(|value| value["settlement"]["transactionIndex"] = 2.into()),
        ),
        (
            "another job's anchor",
            Code::Anchor,
            Box::new({
                let anchor = two["log"]["anchor"]["event"].clone();
                move |value| value["log"]["anchor"]["event"] = anchor
            }),
        ),
        (
            "another market's anchor",
            Code::Anchor,
            Box::new({
                let anchor = foreign["log"]["anchor"]["event"].clone();
                move |value| value["log"]["anchor"]["event"] = anchor
            }),
        ),
        (
            "a claim for an anchor",
            Code::Anchor,
            Box::new(|value| value["log"]["anchor"]["event"] = value["claim"].clone()),
        ),
        (
            "an older checkpoint",
            Code::Inclusion,
            Box::new({
                let old = of(&World::new(1).job(1, Ending::Missed));
                move |value| value["log"]["checkpoint"] = old["log"]["checkpoint"].clone()
            }),
        ),
        (
            "statements in another order",
            Code::Inclusion,
            Box::new(|value| {
                let index = value["log"]["statements"][3]["index"].clone();
                value["log"]["statements"][4]["index"] = index;
            }),
        ),
        (
            "a statement by another key",
            Code::Envelope,
            Box::new(|value| {
                let key = value["log"]["statements"][1]["key"].clone();
                value["log"]["statements"][3]["key"] = key;
            }),
        ),
        (
            "a payload with another's signature",
            Code::Envelope,
            Box::new(|value| {
                let payload = value["log"]["statements"][4]["payload"].clone();
                value["log"]["statements"][3]["payload"] = payload;
            }),
        ),
    ];
    for (name, code, change) in cases {
        let changed = forged(&one, change).unwrap_or_else(|error| panic!("{name}: {error}"));
        let report = verify(&changed, Some(&trust));
        assert_eq!(report.standing, Standing::Refused, "{name}");
        assert!(refused(&report).contains(&code), "{name}: {:?}", refused(&report));
    }
}

#[test]
fn what_is_said_must_be_for_this_job_and_by_who_can_know() {
    let report = |twist, ending| {
        let mut world = World::new(1);
        world.twist = Some(twist);
        let receipt = world.job(1, ending);
        let report = verify(&receipt, Some(&world.trust()));
        // Who makes a receipt leaves it out, and what is left is sound.
        let kept = without_noise(receipt);
        let is_sound = verify(&kept, None).standing == Standing::Consistent;
        (refused(&report), is_sound)
    };
    use Ending::{Missed, Paid, Slashed};
    let cases = [
        // Without it nobody has seen the anchor.
        (Twist::SettledElsewhere, Paid, Code::Statement, false),
        (Twist::JudgedByProvider, Paid, Code::Speaker, true),
        (Twist::SealedForOthers, Paid, Code::Speaker, true),
        (Twist::LockedForMore, Paid, Code::Statement, true),
        (Twist::RanToAnother, Paid, Code::Statement, true),
        (Twist::RanAnother, Paid, Code::Statement, true),
        (Twist::JudgedTheLock, Paid, Code::Link, true),
        (Twist::ClaimedAfterwards, Paid, Code::Claim, false),
        (Twist::ClaimedAfterwards, Slashed, Code::Claim, false),
        (Twist::FellOfAnother, Slashed, Code::Claim, false),
    ];
    for (twist, ending, code, can_be_left_out) in cases {
        let (codes, is_sound) = report(twist, ending);
        assert!(codes.contains(&code), "{twist:?}: {codes:?}");
        assert_eq!(is_sound, can_be_left_out, "{twist:?}");
    }
    assert_eq!(report(Twist::SealedForAuditor, Paid), (vec![], true));

    let mut world = World::new(1);
    world.twist = Some(Twist::StillOpen);
    let open = verify(&world.job(1, Missed), Some(&world.trust()));
    assert_eq!(refused(&open), []);
    let told = open.checks.iter().find(|check| check.code == Code::Result).expect("a line");
    assert!(told.what.contains("another delivered it late"), "{told:?}");
}

/// What each part of a receipt is refused for, whatever was changed in it.
fn reasons(field: &str) -> &'static [Code] {
    match field {
        "market" => &[Code::Market],
        "job" | "order" => &[Code::Order],
        // Of a header that still proves the event, statements say that it is another block.
        "claim" => &[Code::Claim, Code::Window, Code::Statement],
        "settlement" => &[Code::Settlement, Code::Window, Code::Statement],
        "anchor" => &[Code::Anchor, Code::Statement],
        _ => &[
            Code::Checkpoint,
            Code::Inclusion,
            Code::Envelope,
            Code::Binding,
            Code::Speaker,
            Code::Statement,
            Code::Link,
            Code::Anchor,
        ],
    }
}

/// The part in which two receipts differ.
fn changed_part(one: &Receipt, other: &Receipt) -> String {
    let [one, other] = [one, other].map(|receipt| serde_json::to_value(receipt).expect("JSON"));
    let fields = one.as_object().expect("an object").keys();
    let mut changed = fields.filter(|field| *field != "digest" && one[*field] != other[*field]);
    changed.next().expect("something has changed").clone()
}

/// One change to a receipt: what came of reading it, and what it may be refused for if it reads.
type Changed = (Result<Receipt, ReceiptError>, &'static [Code]);

fn bit_flipped(receipt: &Receipt, rng: &mut fastrand::Rng) -> Changed {
    let mut changed = receipt.to_bytes();
    let place = rng.usize(0..changed.len());
    changed[place] ^= 1 << rng.u8(0..8);
    if rng.bool() {
        let read = Receipt::from_bytes(&changed);
        assert!(read.is_err(), "the digest finds every flip");
        return (read, &[]);
    }
    // The forger makes the digest fit.
    match serde_json::from_slice::<Receipt>(&changed) {
        Ok(changed) => {
            let read = Receipt::from_bytes(&changed.sealed().to_bytes());
            let part = read.as_ref().ok().filter(|read| *read != receipt);
            let part = part.map(|read| changed_part(receipt, read));
            let codes = part.as_deref().map_or(&[][..], reasons);
            (read, codes)
        }
        Err(error) => (Err(ReceiptError::Form(error.to_string())), &[]),
    }
}

fn field_swapped(receipt: &Receipt, others: &[Value], rng: &mut fastrand::Rng) -> Changed {
    let other = rng.choice(others).expect("some");
    let fields = ["job", "market", "order", "claim", "settlement", "log", "anchor"];
    let field = fields[rng.usize(0..fields.len())];
    let changed = forged(receipt, |value| match field {
        "anchor" => value["log"]["anchor"]["event"] = other["log"]["anchor"]["event"].clone(),
        field => value[field] = other[field].clone(),
    });
    (changed, reasons(field))
}

fn reordered(receipt: &Receipt, rng: &mut fastrand::Rng) -> Changed {
    let (list, codes) = match rng.usize(0..3) {
        0 => ("/settlement/nodes", reasons("settlement")),
        1 => ("/log/hashes", &[Code::Inclusion, Code::Anchor][..]),
        _ => ("/log/statements", &[Code::Inclusion, Code::Binding][..]),
    };
    let changed = forged(receipt, |value| {
        let all = value.pointer_mut(list).and_then(Value::as_array_mut).expect("a list");
        // The first job of a log may be all of it, which needs no hashes.
        if !all.is_empty() {
            let (a, b) = (rng.usize(0..all.len()), rng.usize(0..all.len()));
            all.swap(a, b);
        }
    });
    (changed, codes)
}

fn checkpoint_replaced(receipt: &Receipt, others: &[Value], rng: &mut fastrand::Rng) -> Changed {
    let other = rng.choice(others).expect("some")["log"]["checkpoint"].clone();
    let changed = forged(receipt, |value| value["log"]["checkpoint"] = other);
    (changed, &[Code::Checkpoint, Code::Inclusion, Code::Anchor])
}

#[test]
fn ten_thousand_changes_are_refused_for_their_reasons() {
    let (mut world, mut elsewhere) = (World::new(1), World::new(2));
    let receipts: Vec<Receipt> = (1..=8).map(|nonce| world.job(nonce, Ending::Paid)).collect();
    let foreign = (1..=8).map(|nonce| elsewhere.job(nonce, Ending::Paid));
    let others: Vec<Value> =
        receipts.iter().cloned().chain(foreign).map(|one| as_value(&one)).collect();
    let trust = world.trust();
    let mut rng = fastrand::Rng::with_seed(0xa55a);
    let (mut counts, mut judged) = ([0u64; 5], [0u64; 5]);
    while counts.iter().sum::<u64>() < MUTATIONS {
        let receipt = &receipts[rng.usize(0..receipts.len())];
        let kind = rng.usize(0..counts.len());
        let (changed, codes) = match kind {
            0 => bit_flipped(receipt, &mut rng),
            1 => field_swapped(receipt, &others, &mut rng),
            2 => {
                let bytes = receipt.to_bytes();
                let read = Receipt::from_bytes(&bytes[..rng.usize(0..bytes.len())]);
                let is_right = matches!(
                    &read,
                    Err(ReceiptError::Empty | ReceiptError::Form(_) | ReceiptError::Foreign)
                );
                assert!(is_right, "{read:?}");
                (read, &[][..])
            }
            3 => reordered(receipt, &mut rng),
            _ => checkpoint_replaced(receipt, &others, &mut rng),
        };
        // Something may happen to be swapped for itself, or written otherwise.
        if changed.as_ref() == Ok(receipt) {
            continue;
        }
        counts[kind] += 1;
        let Ok(changed) = changed else { continue };
        judged[kind] += 1;
        let report = verify(&changed, Some(&trust));
        assert_eq!(report.standing, Standing::Refused, "kind {kind}: {report:#?}");
        let found = refused(&report);
        assert!(
            found.iter().any(|code| codes.contains(code)),
            "kind {kind} is refused for {found:?}, not for any of {codes:?}"
        );
    }
    assert!(counts.iter().all(|count| *count > 1_000), "{counts:?}");
    println!("changed {counts:?}, of which {judged:?} could be read and were refused by a line");
}

#[test]
fn a_dispute_is_told_move_by_move() {
    let mut world = World::new(1);
    let receipt = world.job(1, Ending::Slashed);
    let report = verify(&receipt, Some(&world.trust()));
    let told: Vec<_> = report.checks.iter().filter(|one| one.code == Code::Statement).collect();
    for name in ["challenge", "demand", "reveal", "opening", "answer", "step", "end of game"] {
        let line = told.iter().find(|one| one.what.starts_with(&format!("{name}, ")));
        assert!(line.is_some_and(|one| one.outcome == Outcome::Held), "{name}: {told:#?}");
    }
    let missing = report.checks.iter().any(|one| one.code == Code::Link);
    assert!(!missing, "each move follows one that is there: {report:#?}");
}

#[test]
fn an_anchor_is_held_by_whom_the_reader_believes() {
    let mut world = World::new(1);
    let receipt = world.job(1, Ending::Paid);
    let anchor = |trust: &Trust| {
        let report = verify(&receipt, Some(trust));
        report.checks.into_iter().find(|one| one.code == Code::Anchor).expect("a line")
    };
    let trust = world.trust();
    let held = anchor(&trust);
    assert_eq!(held.outcome, Outcome::Held, "{held:?}");
    assert!(held.what.contains("5 anchored entries, 5 of the receipt's 10"), "{held:?}");
    let nobody = Trust { observers: Default::default(), ..trust.clone() };
    assert_eq!(anchor(&nobody).outcome, Outcome::NotChecked, "an operator's word alone");
    let event = &receipt.log.as_ref().and_then(|log| log.anchor.as_ref()).expect("one").event;
    let block = event.check().expect("proved").block_hash;
    let pinned = Trust { headers: [block].into(), ..nobody };
    assert_eq!(anchor(&pinned).outcome, Outcome::Held, "a pinned block needs nobody");
    let none = world.job(2, Ending::Missed);
    let report = verify(&none, Some(&trust));
    assert_eq!(report.standing, Standing::Vouched, "an anchor may be missing");
}

#[test]
fn what_strangers_log_about_a_job_does_not_spoil_its_receipt() {
    let mut world = World::new(1);
    let receipt = world.job_with_noise(1, 200);
    let trust = world.trust();
    assert_eq!(verify(&receipt, Some(&trust)).standing, Standing::Refused);
    let kept = without_noise(receipt.clone());
    let report = verify(&kept, Some(&trust));
    assert_eq!(report.standing, Standing::Vouched, "{report:#?}");
    let statements = |receipt: &Receipt| receipt.log.as_ref().map(|log| log.statements.len());
    assert!(statements(&receipt) > Some(200) && statements(&kept) < Some(100));
    let observers = [World::observer().address()].into();
    let theirs = Trust { observers, ..trust.clone() };
    let report = verify(&kept, Some(&theirs));
    assert_eq!(report.standing, Standing::Vouched, "who has seen the end is not crowded out");
    assert_eq!(Receipt::from_bytes(&kept.to_bytes()).as_ref(), Ok(&kept));
    let clean = world.job(2, Ending::Paid);
    assert_eq!(without_noise(clean.clone()), clean, "what is sound stays as it is");
}
