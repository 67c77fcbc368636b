//! What exports, graphs and audits tell of jobs.

mod common;

use alloy_primitives::B256;
use assay_receipt::{Audit, Graph, JobSummary, PERIOD_ALL, open_lineage, prov, summaries_of_log};
use common::{Ending, World};

fn lives() -> Vec<JobSummary> {
    let mut world = World::new(1);
    let endings = [Ending::Paid, Ending::Slashed, Ending::Missed];
    (1..)
        .zip(endings)
        .map(|(n, ending)| JobSummary::of(&world.job(n, ending)).expect("sound"))
        .collect()
}

/// Three jobs, each reading what the one before gave out.
fn chain() -> Vec<JobSummary> {
    let life = &lives()[0];
    let link = |number: u8| JobSummary {
        job: B256::repeat_byte(number),
        input: Some(B256::repeat_byte(0x80 + number)),
        output: Some(B256::repeat_byte(0x81 + number)),
        ..life.clone()
    };
    (1..=3).map(link).collect()
}

#[test]
fn a_life_is_what_the_events_say() {
    let lives = lives();
    let of = |life: &JobSummary| (life.ending, life.paid, life.output.is_some(), life.steps);
    assert_eq!(of(&lives[0]), ("JobPaid", Some(900), true, Some(12_345)));
    assert_eq!(
        of(&lives[1]),
        ("JobSlashed", None, false, Some(12_345)),
        "a refuted output is none"
    );
    assert_eq!(of(&lives[2]), ("JobSlashed", None, false, None));
}

#[test]
fn a_whole_log_tells_the_lives_that_its_receipts_prove() {
    let mut world = World::new(1);
    let endings = [Ending::Paid, Ending::Slashed, Ending::Missed];
    let receipts: Vec<_> = (1..).zip(endings).map(|(n, ending)| world.job(n, ending)).collect();
    let mut proved: Vec<_> =
        receipts.iter().map(|one| JobSummary::of(one).expect("sound")).collect();
    proved.iter_mut().for_each(|life| life.claimed_secs = None);
    proved.sort_by_key(|life| life.job);
    assert_eq!(summaries_of_log(world.entries()), proved);
    // Without the bindings nobody has said anything.
    assert_eq!(summaries_of_log(world.entries().split_off(3)), []);
}

#[test]
fn chained_jobs_are_one_graph() {
    let chain = chain();
    let document = prov(&chain);
    let slots = document["entity"].as_object().expect("entities");
    let slots = slots.keys().filter(|name| name.starts_with("assay:slot/")).count();
    assert_eq!(slots, 5, "the dataset, and four slots of which two are shared");
    let states = document["wasGeneratedBy"].as_object().expect("relations").values();
    let states = states.filter(|one| {
        let entity = one["prov:entity"].as_str().unwrap_or_default();
        entity.starts_with("assay:trace/") || entity.starts_with("assay:state/")
    });
    assert_eq!(states.count(), 6, "each run's intermediate states hang on its trace");
    let graph = Graph::of(&chain);
    let dot = graph.dot();
    let edges = dot.lines().filter(|line| line.contains("->")).count();
    assert_eq!(edges, 9, "{dot}");
    assert!(dot.contains(&format!("\"job {}\" -> \"slot {}\"", "01".repeat(32), "82".repeat(32))));
    let svg = graph.svg();
    assert_eq!(svg.matches("marker-end").count(), 9, "nine edges have their arrows");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    // What follows lies further to the right.
    let column = |job: u8| {
        let title = format!("<title>job {}</title><rect x=\"", format!("{job:02x}").repeat(32));
        let (_, rest) = svg.split_once(&title).expect("it is there");
        rest.split('"').next().expect("a number").parse::<u32>().expect("a number")
    };
    assert!(column(1) < column(2) && column(2) < column(3));
    assert!(svg.contains(">output, input</text>"), "what is both is called both");
    no_line_goes_through_a_box(&svg, 8);
}

/// Under seal an output and the input that is made of it are two slots, and the requester says that
/// they belong together.
#[test]
fn what_is_said_of_sealed_jobs_is_drawn_as_said() {
    let mut chain = chain();
    let plain = Graph::of(&chain);
    assert!(!plain.dot().contains("dotted") && !plain.svg().contains("\"1 3\""));
    let second = &mut chain[1];
    (second.input, second.input_of) = (Some(B256::repeat_byte(0xab)), Some(B256::repeat_byte(1)));
    let graph = Graph::of(&chain);
    let dot = graph.dot();
    let said: Vec<&str> = dot.lines().filter(|line| line.contains("dotted")).collect();
    let [said] = said[..] else { panic!("one edge is said: {said:?}") };
    assert!(said.contains(&format!("-> \"slot {}\"", "ab".repeat(32))), "{said}");
    assert_eq!(graph.svg().matches("\"1 3\"").count(), 1);
    // One's word for what is no job's here draws nothing.
    chain[1].input_of = Some(B256::repeat_byte(0xee));
    assert!(!Graph::of(&chain).dot().contains("dotted"));
}

/// Boxes keep clear of each other, and of the lines that go by.
fn no_line_goes_through_a_box(svg: &str, boxes: usize) {
    let numbers = |text: &str| -> Vec<i64> {
        let words = text.split(|c: char| !c.is_ascii_digit());
        words.filter_map(|word| word.parse().ok()).collect()
    };
    let corner = |line: &str| {
        let (_, rest) = line.split_once("<rect ").expect("a box");
        let place = numbers(rest);
        [place[0], place[1], place[0] + place[2], place[1] + place[3]]
    };
    let drawn: Vec<_> = svg.lines().filter(|line| line.starts_with("<g>")).map(corner).collect();
    assert_eq!(drawn.len(), boxes);
    for (n, [left, top, right, bottom]) in drawn.iter().enumerate() {
        for [other_left, other_top, ..] in &drawn[n + 1..] {
            let apart = other_left != left || (other_top - top).abs() > bottom - top;
            assert!(apart, "two boxes at {left}, {top}");
        }
        // A lane is from the eighth number of a path to the ninth.
        let lanes = svg.lines().filter(|line| line.contains(" H")).map(numbers);
        for lane in lanes {
            let (x, y) = (lane[6], lane[7]);
            let inside = (left..right).contains(&&x) && (top - 1..=*bottom).contains(&y);
            assert!(!inside, "a line goes through the box at {left}, {top}");
        }
        assert!(*left >= 0 && *top >= 0);
    }
}

#[test]
fn a_job_that_gives_out_what_it_took_in_makes_a_ring_that_ends() {
    let mut ring = chain();
    ring[2].output = ring[0].input;
    let svg = Graph::of(&ring).svg();
    assert!(svg.contains("Lineage of 3 jobs"));
}

#[test]
fn an_event_tells_a_run() {
    let lives = lives();
    let event = open_lineage(&lives[0]);
    assert_eq!(event["eventType"], "COMPLETE");
    assert_eq!(event["eventTime"], "2027-01-15T08:01:01Z");
    assert_eq!(
        (event["inputs"].as_array().map(Vec::len), event["outputs"].as_array().map(Vec::len)),
        (Some(2), Some(1))
    );
    let id = event["run"]["runId"].as_str().expect("an id");
    assert_eq!((id.len(), &id[14..15]), (36, "8"), "{id} is a UUID of version 8");
    assert_eq!(open_lineage(&lives[1])["eventType"], "FAIL");
}

#[test]
fn an_audit_counts_and_names_nobody() {
    let lives = lives();
    let audit = Audit::of(&lives, PERIOD_ALL);
    assert_eq!((audit.jobs, audit.paid, audit.unpaid), (3, 1, 2));
    assert_eq!((audit.agreed, audit.disputed), (1, 1));
    assert_eq!((audit.parties, audit.paid_amount.as_str(), audit.steps), (2, "900", 24_690));
    let moves: usize = audit.list.iter().map(|job| job.moves).sum();
    assert_eq!((audit.challenged, moves), (1, 7), "the refuted one was disputed");
    let text = audit.markdown();
    for address in [lives[0].requester, lives[0].provider] {
        assert!(!text.contains(&address.to_string()), "{text}");
    }
    assert_eq!(text.matches("party 1 | party 2").count(), 3, "{text}");
    assert_eq!(Audit::of(&lives, 0..=1_800_000_000).jobs, 0, "all ended later");
}
