//! Mutants of good documents through the parsers of what strangers send: none may crash, and what
//! is accepted is written as the same bytes.

use std::convert::Infallible;
use std::panic::catch_unwind;

use assay_disclosure::cells::{Disclosure, OutputOpening, ShownCell, Table, TableKey};
use assay_disclosure::sd_jwt::{self, Claims, Issued, Presented};
use assay_disclosure::statistics::{Budget, MicroEpsilon};
use assay_market::{Reason, SealedSlot, Terms};
use assay_mask::{MaskError, MaskStatement, Plan, Row, Rows};
use assay_policy::{
    ClauseReason, Document, Entry, Form, Grant, Policy, Publication, Revocation, never_permits,
};
use assay_protocol::{CapabilityChain, SignedRequest};
use assay_seal::envelope::{self, Header};
use assay_seal::rand_core::{TryCryptoRng, TryRng};
use assay_seal::{ContentKey, SealKeys, SealPublic, Wrap, WrapContext, output_key, seal_output};
use assay_types::{Account, Hash, Salt};
use fastrand::Rng;
use rayon::prelude::*;

/// Seeded bytes where the product draws secret ones: the same in every run, and no secret.
pub struct Seeded(Rng);

impl Seeded {
    /// By a seed.
    pub fn new(seed: u64) -> Self {
        Seeded(Rng::with_seed(seed))
    }
}

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.u32(..))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.u64(..))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Seeded {}

/// Mutants by one generator; their numbers seed it.
const BATCH: u64 = 1_000;

/// A parser, and what to feed it with.
pub struct Parser {
    /// What it reads.
    pub name: &'static str,
    /// Good documents, which are mutated.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Reads, and says whether it accepted. Panics if what it accepted is not written as the same
    /// bytes.
    pub check: fn(&[u8]) -> bool,
}

/// All of them.
pub const PARSERS: [Parser; 22] = [
    Parser { name: "envelope header", seeds: headers, check: read_header },
    Parser { name: "envelope", seeds: envelopes, check: open_envelope },
    Parser { name: "wrap", seeds: wraps, check: read_wrap },
    Parser { name: "seal keys", seeds: seal_keys, check: read_seal_keys },
    Parser { name: "presentation", seeds: presentations, check: read_presentation },
    Parser { name: "disclosure", seeds: disclosures, check: read_disclosure },
    Parser { name: "budget ledger", seeds: budgets, check: read_budget },
    Parser { name: "table", seeds: tables, check: read_table },
    Parser { name: "refusal", seeds: refusals, check: read_refusal },
    Parser { name: "clause reason", seeds: clause_reasons, check: read_clause_reason },
    Parser { name: "policy draft", seeds: policies, check: read_draft },
    Parser { name: "policy", seeds: policies, check: read_document::<Policy> },
    Parser { name: "publication", seeds: publications, check: read_document::<Publication> },
    Parser { name: "grant", seeds: grants, check: read_document::<Grant> },
    Parser { name: "revocation", seeds: revocations, check: read_document::<Revocation> },
    Parser { name: "ledger entry", seeds: entries, check: read_document::<Entry> },
    Parser { name: "order's terms", seeds: agreements, check: read_terms },
    Parser { name: "mask plan", seeds: plans, check: read_plan },
    Parser { name: "mask rows", seeds: mask_tables, check: read_rows },
    Parser { name: "mask statement", seeds: mask_statements, check: read_mask_statement },
    Parser { name: "capability", seeds: capabilities, check: read_capability },
    Parser { name: "request headers", seeds: requests, check: read_request },
];

const SALT: Salt = Salt([7; 24]);

const PRESENTED: &str = "example+sd-jwt";

/// A draft means one document, and that reads as itself.
fn read_draft(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(document) = Document::<Policy>::from_draft(text) else { return false };
    assert!(Document::<Policy>::from_bytes(document.as_bytes()).is_ok(), "a draft means none");
    let _ = never_permits(document.body(), 1);
    true
}

fn refusals() -> Vec<Vec<u8>> {
    let reasons = [
        r#"{"code":"price_low","needed":"1200000","at_most":"900000"}"#,
        r#"{"code":"nonce_used"}"#,
        r#"{"code":"moon_wrong","phase":[1,{"a":null}]}"#,
    ];
    reasons.map(|reason| reason.as_bytes().to_vec()).into()
}

/// What is shown of a stranger's reason is short, and moves no terminal.
fn read_refusal(bytes: &[u8]) -> bool {
    let Ok(reason) = serde_json::from_slice::<Reason>(bytes) else { return false };
    let shown = reason.to_string();
    assert!(shown.len() < 1_000 && !shown.contains(char::is_control), "{shown:?}");
    assert!(!reason.code().is_empty());
    true
}

fn clause_reasons() -> Vec<Vec<u8>> {
    let reasons = [
        r#"{"clause":"verifiers","verifier":2}"#,
        r#"{"clause":"uses_max"}"#,
        r#"{"clause":"fee","owner":"0x0101010101010101010101010101010101010101","fee":"5"}"#,
        r#"{"clause":"moon","phase":[1,{"a":null}]}"#,
    ];
    reasons.map(|reason| reason.as_bytes().to_vec()).into()
}

fn read_clause_reason(bytes: &[u8]) -> bool {
    let Ok(reason) = serde_json::from_slice::<ClauseReason>(bytes) else { return false };
    let shown = reason.to_string();
    assert!(shown.len() < 1_000 && !shown.contains(char::is_control), "{shown:?}");
    true
}

fn read_document<T: Form>(bytes: &[u8]) -> bool {
    let Ok(document) = Document::<T>::from_bytes(bytes) else { return false };
    assert_eq!(document.as_bytes(), bytes, "a document has two forms");
    true
}

/// Documents as people write them, in their one form.
fn drafted<T: Form>(drafts: &[&str]) -> Vec<Vec<u8>> {
    let written = |draft: &&str| Document::<T>::from_draft(draft).ok();
    drafts.iter().filter_map(written).map(|document| document.as_bytes().to_vec()).collect()
}

fn policies() -> Vec<Vec<u8>> {
    let full = r#"{"version":1,"programs":{"0707070707070707070707070707070707070707070707070707070707070707":
        {"group_min":5,"output_size_max":100,"steps_constant":true}},
        "providers":{"accounts":["0x0101010101010101010101010101010101010101"],"stake_min":"7","measurements":"any"},
        "requesters":"any","beneficiaries":"any","purposes":["audit","research"],"verifiers":[1,2],
        "auditors":{"accounts":"any","least":1},"uses_max":3,"expires_at":4000000000,
        "output":{"class":"sealed","size_max":100,"step_limit_max":99,"steps_constant":true,"group_min":5},
        "budget":{"total_micro_epsilon":9,"cost_micro_epsilon":3},
        "cedar":["permit (principal, action, resource) when { context.window_secs >= 600 };"]}"#;
    drafted::<Policy>(&["{}", full])
}

fn publications() -> Vec<Vec<u8>> {
    drafted::<Publication>(&[
        r#"{"owner":"0x0101010101010101010101010101010101010101","name":"people","version":1,
        "root":"0202020202020202020202020202020202020202020202020202020202020202",
        "envelope_digest":"0303030303030303030303030303030303030303030303030303030303030303","envelope_size":9,
        "policy":"0404040404040404040404040404040404040404040404040404040404040404","fee":"5","sources":[]}"#,
        r#"{"owner":"0x0101010101010101010101010101010101010101","name":"people","version":1,
        "root":"0202020202020202020202020202020202020202020202020202020202020202",
        "envelope_digest":"0303030303030303030303030303030303030303030303030303030303030303","envelope_size":9,
        "policy":"0404040404040404040404040404040404040404040404040404040404040404","fee":"5","sources":[
        {"owner":"0x0101010101010101010101010101010101010101","name":"visits","version":2,
        "policy":"0505050505050505050505050505050505050505050505050505050505050505"},
        {"owner":"0x0606060606060606060606060606060606060606","name":"people","version":3,
        "policy":"0505050505050505050505050505050505050505050505050505050505050505"}]}"#,
    ])
}

fn grants() -> Vec<Vec<u8>> {
    drafted::<Grant>(&[
        r#"{"owner":"0x0101010101010101010101010101010101010101","name":"people","number":1,
        "requester":"0x0202020202020202020202020202020202020202","purposes":["audit"],"uses_max":2,"expires_at":9}"#,
    ])
}

fn revocations() -> Vec<Vec<u8>> {
    drafted::<Revocation>(&[
        r#"{"owner":"0x0101010101010101010101010101010101010101","name":"people","revokes":"all"}"#,
        r#"{"owner":"0x0101010101010101010101010101010101010101","name":"people","revokes":{"version":3}}"#,
    ])
}

fn entries() -> Vec<Vec<u8>> {
    drafted::<Entry>(&[r#"{"sequence":0,
        "previous":"0000000000000000000000000000000000000000000000000000000000000000",
        "owner":"0x0101010101010101010101010101010101010101","name":"people","version":1,
        "policy":"0404040404040404040404040404040404040404040404040404040404040404","grant":null,"through":null,
        "job":"0x0505050505050505050505050505050505050505050505050505050505050505",
        "recipient":"0x0202020202020202020202020202020202020202","uses":1,"micro_epsilon":3,"at":9}"#])
}

fn agreements() -> Vec<Vec<u8>> {
    let slot = SealedSlot {
        envelope: Hash([1; 32]),
        bytes: 70_000,
        owner: Account([2; 20]),
        policy: Some(Hash([3; 32])),
        purpose: Some("research".to_owned()),
    };
    let own = SealedSlot { policy: None, purpose: None, ..slot.clone() };
    let auditors = vec![Account([4; 20]), Account([5; 20])];
    let sealed = Terms { input: Some(own), dataset: Some(slot), auditors, ..Terms::open() };
    [Terms::open(), sealed].iter().map(|terms| terms.to_text().into_bytes()).collect()
}

fn read_terms(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(terms) = Terms::from_text(text) else { return false };
    assert_eq!(terms.to_text(), text, "the same terms have two forms");
    true
}

/// Short ones: a mutant of a whole plan is mostly read in vain, and costs ten times as much. The
/// example is among them once.
fn plans() -> Vec<Vec<u8>> {
    let head = "schema = \"assay.mask-plan/1\"\nowner = \"0x4df9c73604c2ead7d936ffb90db0ccd268b06833\"\npurpose = \"p\"\n";
    let columns = [
        r#"a = { action = "drop" }
b = { action = "pseudonym", group = "g" }"#,
        r#"a = { action = "token", alphabet = "digits", separators = " -", unreadable = "blank" }"#,
        r#"a = { action = "generalise", date = "year" }
b = { action = "generalise", prefix = 2 }"#,
        r#"a = { action = "generalise", bins = { width = 10, origin = "0.5", below = 18, above = 90 } }"#,
        r#"a = { action = "generalise", places = { levels = 1, other = "?", hierarchy = { Soho = "London" } } }"#,
        r#"a = { action = "redact", patterns = ["email"], names = ["Ada"] }"#,
        r#"a = { action = "redact", names = ["Zo\u00eb", "Dr. (Who)"] }"#,
    ];
    let roles = "quasi_identifiers = [\"a\"]\nsuppress = { k = 3, how = \"drop\" }\n";
    let short = columns.map(|columns| format!("{head}[columns]\n{columns}\n"));
    let grouped = format!(
        "{head}{roles}[columns]\na = {{ action = \"keep\" }}\nb = {{ action = \"keep\" }}\n"
    );
    let example = include_str!("../../examples/data/clinic-visits.plan.toml").to_owned();
    short.into_iter().chain([grouped, example]).map(String::into_bytes).collect()
}

fn read_plan(bytes: &[u8]) -> bool {
    Plan::from_toml(bytes).is_ok()
}

fn mask_tables() -> Vec<Vec<u8>> {
    vec![b"a,b\n1,\"2,\"\"3\"\n4,5".to_vec(), b"\xef\xbb\xbfx\r\n\"\"\r\n".to_vec()]
}

/// Whatever is read as a table is one: rows as wide as the first, and the same wherever the bytes
/// are cut.
fn read_rows(bytes: &[u8]) -> bool {
    let read = |pieces: &[&[u8]]| -> Result<Vec<Vec<String>>, MaskError> {
        let mut found = Vec::new();
        let mut each = |row: Row<'_>| -> Result<(), MaskError> {
            found.push(row.cells().map(str::to_owned).collect());
            Ok(())
        };
        let mut rows = Rows::default();
        for piece in pieces {
            rows.read(piece, &mut each)?;
        }
        rows.end(&mut each)?;
        Ok(found)
    };
    let whole = read(&[bytes]);
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    let cut = read(&[first, rest]);
    let Ok(rows) = whole else {
        assert!(cut.is_err(), "it is a table only in pieces");
        return false;
    };
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "a row is narrower");
    assert!(cut.is_ok_and(|cut| cut == rows), "the cut shows");
    true
}

fn mask_statements() -> Vec<Vec<u8>> {
    let statement = |anonymity| MaskStatement {
        owner: "0x0101010101010101010101010101010101010101".to_owned(),
        input: Hash([1; 32]),
        output: Hash([2; 32]),
        plan: Hash([3; 32]),
        rows_in: 9,
        rows_out: 8,
        rows_dropped: 1,
        rows_blanked: 0,
        actions: vec![],
        anonymity,
    };
    let text = String::from_utf8(statement(None).to_payload()).unwrap_or_default();
    let full = text
        .replace("\"actions\":[]", "\"actions\":[{\"action\":\"redact\",\"columns\":1,\"changed\":7}]")
        .replace(
            "\"anonymity\":null",
            "\"anonymity\":{\"quasiIdentifiers\":2,\"groups\":3,\"k\":2,\"diversity\":[{\"distinctL\":2,\"entropyLHundredths\":193}]}",
        );
    vec![text.into_bytes(), full.into_bytes()]
}

fn read_mask_statement(bytes: &[u8]) -> bool {
    let Some(read) = MaskStatement::from_payload(bytes) else { return false };
    assert_eq!(read.to_payload(), bytes, "a statement has two forms");
    true
}

/// A chain of one and one of two. Whether signatures hold is seen in their use, which these never
/// come to.
fn capabilities() -> Vec<Vec<u8>> {
    let link = |[issuer, holder]: [&str; 2],
                role: &str,
                methods: &str,
                path: &str,
                parent: &str| {
        format!(
            "{{\"capability\":{{\"issuer\":\"0x{}\",\"holder\":\"0x{}\",\"role\":\"{role}\",\"methods\":\"{methods}\",\
             \"pathPrefix\":\"{path}\",\"notAfter\":2000000000,\"parent\":\"0x{}\"}},\"signature\":\"0x{}1b\"}}",
            issuer.repeat(20),
            holder.repeat(20),
            parent.repeat(32),
            "5a".repeat(64),
        )
    };
    let first = link(["01", "02"], "anyone", "GET,HEAD,POST,PUT", "/v1/", "00");
    let second = link(["02", "03"], "data owner", "GET", "/v1/wraps/0x12", "07");
    [format!("[{first}]"), format!("[{first},{second}]")].map(String::into_bytes).into()
}

fn read_capability(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(chain) = text.parse::<CapabilityChain>() else { return false };
    assert_eq!(chain.to_string(), text, "a chain has two forms");
    // What a broker and a command ask of it next.
    let capability = chain.last();
    let parent = &chain.capabilities()[0].capability;
    let _ = capability.narrows(parent, 0);
    assert!(capability.narrows(capability, 0).is_ok(), "a capability widens itself");
    true
}

/// The headers of signed requests, a line each.
fn requests() -> Vec<Vec<u8>> {
    let plain = format!(
        "assay-account: 0x{}\nassay-role: provider\nassay-digest: 0x{}\nassay-nonce: 0x{}\nassay-expires: 2000000000\n\
         assay-signature: 0x{}1c\n",
        "01".repeat(20),
        "02".repeat(32),
        "03".repeat(32),
        "04".repeat(64),
    );
    let chains = capabilities().into_iter().filter_map(|chain| String::from_utf8(chain).ok());
    let lent = chains.map(|chain| format!("{plain}assay-capabilities: {chain}\n"));
    std::iter::once(plain.clone()).chain(lent).map(String::into_bytes).collect()
}

fn read_request(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let lines: Vec<_> = text.lines().filter_map(|line| line.split_once(": ")).collect();
    let find = |name: &str| lines.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
    let Ok(request) = SignedRequest::from_headers(find) else { return false };
    let headers = request.headers();
    let written = |name: &str| {
        headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(
        SignedRequest::from_headers(written).ok(),
        Some(request),
        "what is written reads otherwise"
    );
    true
}

fn envelopes() -> Vec<Vec<u8>> {
    let key = output_key(&SALT);
    let mut rng = Seeded::new(1);
    let drawn = |length: usize, rng: &mut Seeded| {
        envelope::seal(&key, &vec![3; length], Hash([5; 32]), rng).unwrap_or_default()
    };
    let programs = |length: usize| seal_output(&SALT, &vec![3; length], Hash::default());
    vec![
        drawn(0, &mut rng),
        drawn(50, &mut rng),
        drawn(70_000, &mut rng),
        programs(50).unwrap_or_default(),
    ]
}

/// Only the envelopes themselves open: whatever else does was forged.
fn open_envelope(bytes: &[u8]) -> bool {
    thread_local! {
        static GOOD: Vec<Vec<u8>> = envelopes();
    }
    let opened = envelope::open(&output_key(&SALT), bytes).is_ok();
    assert!(!opened || GOOD.with(|good| good.iter().any(|one| one == bytes)), "a forgery opens");
    opened
}

fn headers() -> Vec<Vec<u8>> {
    envelopes().into_iter().map(|envelope| envelope[..envelope::HEADER_SIZE].to_vec()).collect()
}

fn read_header(bytes: &[u8]) -> bool {
    let Ok(header) = Header::from_bytes(bytes) else { return false };
    assert_eq!(header.to_bytes()[..], bytes[..envelope::HEADER_SIZE], "a header has two forms");
    // What a reader asks of it next.
    let last = header.chunks() - 1;
    let end = header.sealed_range(last).map(|range| range.end);
    assert_eq!(end, Ok(header.envelope_size()), "the last chunk ends the envelope");
    assert!(header.plain_range(last + 1).is_err());
    true
}

fn wraps() -> Vec<Vec<u8>> {
    let keys = SealKeys::derive(&[1; 32]);
    let zero = Hash::default();
    let context = WrapContext {
        job: zero,
        slot: 2,
        envelope: zero,
        policy: zero,
        owner: [1; 20],
        recipient: [2; 20],
    };
    let old = keys.public().only(|suite| suite == 1);
    let mut rng = Seeded::new(2);
    let offers = [Ok(keys.public()), old].into_iter().flatten();
    let wrap = |offer| Wrap::seal(&ContentKey::from_bytes([9; 32]), &offer, &context, &mut rng);
    offers.flat_map(wrap).map(|wrap| wrap.to_bytes()).collect()
}

fn read_wrap(bytes: &[u8]) -> bool {
    let Ok(wrap) = Wrap::from_bytes(bytes) else { return false };
    assert_eq!(wrap.to_bytes(), bytes, "a wrap has two forms");
    true
}

fn seal_keys() -> Vec<Vec<u8>> {
    let keys = SealKeys::derive(&[1; 32]).public();
    let old = keys.only(|suite| suite == 1).map(|old| old.to_bytes()).unwrap_or_default();
    vec![keys.to_bytes(), old, br#"{"kems":[{"suite":7,"key":"0102"}]}"#.to_vec()]
}

fn read_seal_keys(bytes: &[u8]) -> bool {
    let Ok(keys) = SealPublic::from_bytes(bytes) else { return false };
    assert_eq!(keys.to_bytes(), bytes, "the same keys have two forms");
    true
}

/// Signatures that anybody can make, so that mutants get past them: by a key that is known.
fn presentations() -> Vec<Vec<u8>> {
    let visible = Claims::from_iter([("job".to_owned(), "1".into())]);
    let claims = ["price", "stake"].into_iter().zip([[1; 16], [2; 16]]);
    let claims = claims.map(|(name, salt)| sd_jwt::Disclosure::new(name, &name.into(), salt));
    let claims = claims.flatten().collect();
    let issued = Issued::sign(PRESENTED, Hash([6; 32]), visible, claims, &[], &|_| [0; 64]);
    let shown = issued.map(|issued| issued.show(|_| true)).unwrap_or_default();
    let bound = sd_jwt::bind(&shown, "a", "n", 1, &|_| [0; 64]);
    vec![shown.into_bytes(), bound.into_bytes()]
}

/// What is not signed is never taken; how far it was read shows in no crash.
fn read_presentation(bytes: &[u8]) -> bool {
    let read = Presented::from_bytes(bytes, PRESENTED, None);
    assert!(read.is_err(), "a forgery is taken");
    sd_jwt::claims_unverified(bytes).is_ok()
}

fn table() -> (Table, TableKey) {
    let table = Table::from_csv(b"name,city\nAda,\"London, UK\"\nC\xff,Rome\n");
    let table = table.unwrap_or_else(|error| unreachable!("a table: {error}"));
    (table, TableKey::derive(output_key(&SALT).as_bytes()))
}

fn disclosures() -> Vec<Vec<u8>> {
    let (table, key) = table();
    let sealed = seal_output(&SALT, b"a table", table.root(&key)).unwrap_or_default();
    let slot = [&(sealed.len() as u64).to_le_bytes()[..], &[4; 24], &sealed].concat();
    let opening = OutputOpening::of_slot(&slot);
    let show = |rows: &[u32]| {
        let places = rows.iter().flat_map(|row| table.row(*row)).collect();
        Disclosure::new(Hash([8; 32]), &opening, &table, &key, &places)
    };
    [show(&[1]), show(&[0, 2])].into_iter().flatten().map(|made| made.to_bytes()).collect()
}

/// Only the cells themselves hold, whatever job they are said to be of.
fn read_disclosure(bytes: &[u8]) -> bool {
    let Ok(read) = Disclosure::from_bytes(bytes) else { return false };
    assert_eq!(read.to_bytes(), bytes, "a disclosure has two forms");
    let (table, _) = table();
    let holds = |cell: &ShownCell| cell.value().as_deref() == table.cell(cell.place());
    assert!(read.cells().iter().all(holds), "a forged cell is taken");
    true
}

fn budgets() -> Vec<Vec<u8>> {
    let hundred = MicroEpsilon::new(100).map(Budget::new);
    let budget = hundred.unwrap_or_else(|error| unreachable!("a budget: {error}"));
    let cost = MicroEpsilon::new(40).map(|cost| budget.spend(cost, "a release", 1));
    let spent = cost.into_iter().flatten().map(|spent| spent.to_bytes().to_vec());
    std::iter::once(budget.to_bytes().to_vec()).chain(spent).collect()
}

fn read_budget(bytes: &[u8]) -> bool {
    let Ok(budget) = Budget::from_bytes(bytes) else { return false };
    assert_eq!(budget.to_bytes(), bytes, "a ledger has two forms");
    assert!(budget.left() <= budget.total());
    true
}

fn tables() -> Vec<Vec<u8>> {
    vec![b"a,b\n1,\"2,\"\"3\"\n\n4,5".to_vec(), b"\xef\xbb\xbfx\r\n\"\"\r\n".to_vec()]
}

fn read_table(bytes: &[u8]) -> bool {
    let Ok(table) = Table::from_csv(bytes) else { return false };
    let shown = table.row(0);
    assert!(shown.iter().all(|place| table.cell(*place).is_some()), "a row has cells");
    true
}

/// Feeds a parser with so many mutants, and says how many it accepted. `Err` has the bytes that
/// crashed it.
pub fn fuzz(parser: &Parser, count: u64, seed: u64) -> Result<u64, String> {
    let seeds = (parser.seeds)();
    if let Some(bad) = seeds.iter().position(|seed| !(parser.check)(seed)) {
        return Err(format!("{}: its good document {bad} is refused", parser.name));
    }
    let batches = (0..count.div_ceil(BATCH)).into_par_iter();
    let accepted = batches.map(|batch| {
        let mut rng = Rng::with_seed(seed.wrapping_add(batch).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let size = BATCH.min(count - batch * BATCH);
        let one = |_| {
            let mutant = mutate(&seeds, &mut rng);
            let checked = catch_unwind(|| (parser.check)(&mutant));
            checked.map(u64::from).map_err(|_| {
                let hex = hex::encode(&mutant);
                format!("{}: crashed by 0x{hex} (batch {batch} of seed {seed})", parser.name)
            })
        };
        (0..size).map(one).sum::<Result<u64, String>>()
    });
    accepted.sum()
}

/// A good document with one to four changes.
fn mutate(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..rng.u32(1..=4) {
        change(&mut bytes, seeds, rng);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut Rng) {
    const ODD: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, 1 << 40, (1 << 63) - 1, u64::MAX];
    let place = |bytes: &[u8], rng: &mut Rng| {
        // Half of the changes near the start, where the fields are.
        let end = if rng.bool() { bytes.len() } else { bytes.len().min(128) };
        rng.usize(..=end)
    };
    let at = place(bytes, rng);
    match rng.u32(..9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.u32(..8),
        1 if at < bytes.len() => bytes[at] = rng.u8(..),
        // Another digit, letter or quote: text stays text.
        2 if at < bytes.len() => {
            bytes[at] = *rng.choice(b"0123456789abcdefAF\"{}[]:, \\").unwrap_or(&0)
        }
        3 => bytes.insert(at, rng.u8(..)),
        4 => {
            let end = (at + rng.usize(..32)).min(bytes.len());
            bytes.drain(at..end);
        }
        5 => bytes.truncate(at),
        6 => {
            let end = (at + rng.usize(..64)).min(bytes.len());
            let copied = bytes[at..end].to_vec();
            let to = place(bytes, rng);
            bytes.splice(to..to, copied);
        }
        7 => {
            let other = &seeds[rng.usize(..seeds.len())];
            let from = rng.usize(..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            let odd = ODD[rng.usize(..ODD.len())].to_le_bytes();
            let end = (at + 8).min(bytes.len());
            bytes[at..end].copy_from_slice(&odd[..end - at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_parser_is_crashed_by_mutants() {
        for parser in &PARSERS {
            let seeds = (parser.seeds)();
            let good = seeds.iter().filter(|seed| (parser.check)(seed)).count();
            assert!(good > 0 && good == seeds.len(), "{}: not all seeds are good", parser.name);
            let accepted = fuzz(parser, 20_000, 6).expect("no mutant crashes it");
            assert!(accepted < 20_000, "{}: the mutants are no mutants", parser.name);
        }
    }
}
