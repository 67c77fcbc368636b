//! `assay data seal | publish | policy | grant | revoke | uses`: what a data owner does with
//! datasets.

use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use assay_mask::{Commit, MaskStatement, Masked, Openings};
use assay_node::{MadeOf, Owner, SourceName, Version, clock_secs};
use assay_policy::{
    Allowed, Change, Document, Grant, Policy, Revoked, Word, explain, explain_changes,
    never_permits,
};
use assay_receipt::{Envelope, Receipt, Statement};
use assay_types::{Account, Hash, sha256};
use serde::Serialize;

use crate::output::amounts::dollars;
use crate::output::failure::Failure;
use crate::output::text::{grouped, json, table};
use crate::session::market::TakePart;
use crate::session::owner::OwnerSession;
use crate::session::runtime::block_on;

#[derive(clap::Args)]
pub(crate) struct Seal {
    #[command(flatten)]
    at: TakePart,
    /// The data, any file of at most 2^29 - 32 bytes
    file: PathBuf,
    /// The dataset's name
    #[arg(long)]
    name: Word,
    /// The policy, a JSON file (spec/policy.md) [default: nobody may use the dataset; with --from:
    /// what all sources permit]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A dataset that the data was made from: NAME for your own, OWNER/NAME for another's; repeat
    /// for several. Their rules stay in force: the policy becomes the strictest of all, and each
    /// job counts against each
    #[arg(long, value_name = "DATASET")]
    from: Vec<SourceName>,
    /// What a job pays for using the dataset, in the token's smallest unit
    #[arg(long, value_name = "AMOUNT", default_value_t = 0)]
    fee: u128,
    /// The statement that `assay data mask` wrote for this file, with FILE.openings beside it.
    /// `publish` puts the statement into the log and into receipts of jobs over the dataset
    #[arg(long, value_name = "FILE")]
    mask_statement: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Named {
    #[command(flatten)]
    at: TakePart,
    /// The dataset's name
    name: Word,
}

#[derive(clap::Args)]
pub(crate) struct PolicyOf {
    #[command(flatten)]
    named: Named,
    /// Replace the policy with this one. It applies once you run `publish`. Orders under the old
    /// policy are accepted for an hour more, under the stricter of both; `revoke --version` ends
    /// them at once
    #[arg(long, value_name = "FILE")]
    set: Option<PathBuf>,
    /// What a job pays from the new version on, in the token's smallest unit [default: as before]
    #[arg(long, value_name = "AMOUNT", requires = "set")]
    fee: Option<u128>,
}

#[derive(clap::Args)]
pub(crate) struct GrantTo {
    #[command(flatten)]
    named: Named,
    /// The account that may order jobs
    #[arg(long, value_name = "ADDRESS")]
    to: Address,
    /// A purpose that is allowed, in a word of the policy; repeat for several [default: all that
    /// the policy lists]
    #[arg(long = "purpose", value_name = "WORD")]
    purposes: Vec<Word>,
    /// How many jobs
    #[arg(long, value_name = "N", default_value_t = 1)]
    uses: u64,
    /// For how long, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30 * 86_400)]
    secs: u64,
}

#[derive(clap::Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    what: RevokedArgument,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct RevokedArgument {
    /// Revoke the dataset, all versions
    #[arg(long)]
    all: bool,
    /// Revoke one version
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Revoke all that an account was allowed
    #[arg(long, value_name = "ADDRESS")]
    requester: Option<Address>,
    /// Revoke one grant, by its digest
    #[arg(long, value_name = "DIGEST")]
    grant: Option<Hash>,
}

#[derive(clap::Args)]
pub(crate) struct Uses {
    #[command(flatten)]
    at: TakePart,
    /// Check that the ledger still counts the job of this receipt; repeat for several
    #[arg(long, value_name = "FILE")]
    receipt: Vec<PathBuf>,
}

/// `assay.datasets/1`.
#[derive(Serialize)]
struct Shown {
    schema: &'static str,
    datasets: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    owner: Address,
    name: String,
    version: u64,
    root: Hash,
    envelope: Hash,
    envelope_bytes: u64,
    /// What names the statement of the masking that it came of; null if it came of none.
    masked: Option<Hash>,
    policy: Hash,
    fee: String,
    published_at: Option<u64>,
    uses_spent: u64,
    uses_max: u64,
    micro_epsilon_spent: u64,
    micro_epsilon_max: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<Made>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stricter: Vec<Stricter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    explained: Vec<String>,
}

/// What a dataset was made of.
#[derive(Serialize)]
struct Made {
    owner: Address,
    name: String,
    version: u64,
    policy: Hash,
    is_own: bool,
    uses_spent: u64,
    uses_max: Option<u64>,
    micro_epsilon_spent: u64,
    micro_epsilon_max: Option<u64>,
    is_laxer: bool,
}

/// A clause that became stricter than was asked for.
#[derive(Serialize)]
struct Stricter {
    clause: &'static str,
    asked: String,
    holds: String,
}

/// `assay.document/1`: a grant or a revocation.
#[derive(Serialize)]
struct Signed {
    schema: &'static str,
    owner: Address,
    name: String,
    digest: Hash,
}

fn row(session: &OwnerSession, version: &Version, with_policy: bool) -> Result<Row, Failure> {
    let (said, policy) = (version.publication.body(), version.policy.body());
    let spent = session.owner.spent(&said.name)?;
    Ok(Row {
        owner: session.owner.account(),
        name: said.name.as_str().to_owned(),
        version: said.version,
        root: said.root.0,
        envelope: said.envelope_digest,
        envelope_bytes: said.envelope_size,
        masked: session.owner.mask(version)?.map(|mask| sha256(&mask.to_payload())),
        policy: said.policy,
        fee: said.fee.to_string(),
        published_at: session.owner.datasets().published_at(version)?,
        uses_spent: spent.uses,
        uses_max: policy.uses_max,
        micro_epsilon_spent: spent.micro_epsilon,
        micro_epsilon_max: policy.budget.map(|budget| budget.total_micro_epsilon),
        sources: session.owner.made_of(version)?.into_iter().map(Made::from).collect(),
        stricter: Vec::new(),
        warnings: warnings(version),
        explained: if with_policy { explain(policy) } else { Vec::new() },
    })
}

/// A version that was made from a draft, with what became stricter than that.
fn show_made(
    session: &OwnerSession,
    version: &Version,
    draft: Option<&Document<Policy>>,
    as_json: bool,
) -> Result<String, Failure> {
    let mut row = row(session, version, true)?;
    let changes = draft.map(|draft| explain_changes(draft.body(), version.policy.body()));
    row.stricter = changes.unwrap_or_default().into_iter().map(Stricter::from).collect();
    // Who gives a policy means some job to pass it; without one the dataset is closed on purpose.
    if draft.is_some() {
        let why = never_permits(version.policy.body(), clock_secs());
        row.warnings
            .extend(why.iter().map(|why| format!("No job can ever pass the policy: {why}.")));
    }
    Ok(shown(vec![row], as_json))
}

fn show(
    session: &OwnerSession,
    versions: &[Version],
    policy: bool,
    as_json: bool,
) -> Result<String, Failure> {
    let rows = versions.iter().map(|version| row(session, version, policy));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(shown(rows, as_json))
}

fn signed(session: &OwnerSession, name: &Word, digest: Hash, as_json: bool) -> String {
    let (owner, name) = (session.owner.account(), name.as_str().to_owned());
    if as_json {
        return json(&Signed { schema: "assay.document/1", owner, name, digest });
    }
    table(&[("dataset", format!("{owner}/{name}")), ("digest", digest.to_string())])
}

/// What an owner may not expect of a version.
fn warnings(version: &Version) -> Vec<String> {
    let is_open = version.policy.body().providers.accounts == Allowed::Any;
    let evadable = version.publication.body().fee > 0 && is_open;
    evadable.then(|| FEE_EVADABLE.to_owned()).into_iter().collect()
}

fn shown(rows: Vec<Row>, as_json: bool) -> String {
    if as_json {
        return json(&Shown { schema: "assay.datasets/1", datasets: rows });
    }
    rows.iter().map(Row::shown).collect::<Vec<_>>().join("\n")
}

fn budget(spent: u64, most: Option<u64>) -> String {
    match most {
        Some(most) => format!("{spent} of {most} millionths of epsilon"),
        None => "not counted".to_owned(),
    }
}

impl From<MadeOf> for Made {
    fn from(made: MadeOf) -> Self {
        let policy = made.policy.as_ref().map(Document::body);
        let budget = policy.and_then(|policy| policy.budget);
        Made {
            owner: made.source.owner.0.into(),
            name: made.source.name.as_str().to_owned(),
            version: made.source.version,
            policy: made.source.policy,
            is_own: made.is_own,
            uses_spent: made.spent.uses,
            uses_max: policy.map(|policy| policy.uses_max),
            micro_epsilon_spent: made.spent.micro_epsilon,
            micro_epsilon_max: budget.map(|budget| budget.total_micro_epsilon),
            is_laxer: made.is_laxer,
        }
    }
}

impl From<Change> for Stricter {
    fn from(change: Change) -> Self {
        Stricter { clause: change.clause.code(), asked: change.before, holds: change.after }
    }
}

impl Made {
    fn shown(&self) -> String {
        let uses = match self.uses_max {
            Some(most) => format!("{} of {most} uses", self.uses_spent),
            None => "its policy is not stored here, so no key is released".to_owned(),
        };
        let spent = budget(self.micro_epsilon_spent, self.micro_epsilon_max);
        let whose = if self.is_own { "" } else { ", here" };
        format!(
            "{}/{}, version {}: {uses}, budget {spent}{whose}",
            self.owner, self.name, self.version
        )
    }
}

/// What is true of sources of another owner.
const OTHERS: &str = "Another owner's policy applies as last read, until it expires. Its grants and revocations are read from the broker before each key \
                      is released; if the broker is unreachable, the last ones read apply. Your key service counts uses and budget by itself: it does not know \
                      what others used.";

const FEE_EVADABLE: &str = "The fee can be evaded unless the policy lists providers. It is paid with the result, so a provider could take the key, let the job lapse \
                            and pay nothing; a use is still counted. List the providers that you trust in providers.accounts.";

const DRAFT: &str = "A draft: it has no effect until you run `assay data publish`.";

const LAXER: &str = "The policy permits more than a source's policy does now, so no key is released. Make it as strict with \
                     `assay data policy NAME --set FILE`, then publish it.";

impl Row {
    fn shown(&self) -> String {
        let spent = budget(self.micro_epsilon_spent, self.micro_epsilon_max);
        let rows = table(&[
            ("dataset", format!("{}/{}, version {}", self.owner, self.name, self.version)),
            ("root", self.root.to_string()),
            ("sealed", format!("{} bytes, {}", grouped(self.envelope_bytes), self.envelope)),
            (
                "masked",
                self.masked.map_or("no statement".to_owned(), |mask| format!("statement {mask}")),
            ),
            ("policy", self.policy.to_string()),
            ("fee", self.fee.parse().map_or_else(|_| self.fee.clone(), dollars)),
            ("uses", format!("{} of {}", self.uses_spent, self.uses_max)),
            ("budget", spent),
        ]);
        let made = self.sources.iter().map(|made| table(&[("made of", made.shown())]));
        let stricter = self.stricter.iter().map(|stricter| {
            let Stricter { clause, asked, holds } = stricter;
            table(&[("stricter", format!("{clause}: {holds} (asked for: {asked})"))])
        });
        let notes = [
            (self.sources.iter().any(|made| !made.is_own), OTHERS),
            (self.sources.iter().any(|made| made.is_laxer), LAXER),
            (self.published_at.is_none(), DRAFT),
        ];
        let notes = notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note.to_owned());
        let warnings = self.warnings.iter().map(|warning| format!("Warning: {warning}"));
        let lines = notes
            .chain(warnings)
            .chain(self.explained.iter().cloned())
            .map(|line| format!("  {line}\n"));
        rows + &made.chain(stricter).chain(lines).collect::<String>()
    }
}

pub(crate) fn seal(arguments: &Seal, as_json: bool) -> Result<String, Failure> {
    let data = std::fs::read(&arguments.file).map_err(|error| {
        Failure::file("read", &arguments.file, error).next("give the file to seal")
    })?;
    let draft = arguments.policy.as_deref().map(read_policy).transpose()?;
    let mask =
        arguments.mask_statement.as_deref().map(|path| read_mask(path, &data)).transpose()?;
    block_on(async {
        let session = OwnerSession::open(&arguments.at).await?;
        let (name, from, owner) = (arguments.name.clone(), &arguments.from, &session.owner);
        if let Some(mask) = &mask {
            owner.check_mask(mask)?;
        }
        let kept = |version: &Version| match &mask {
            Some(mask) => owner.keep_mask(version, mask),
            None => Ok(()),
        };
        if from.is_empty() {
            let nothing = || Policy::deny_all().finish().map_err(Failure::new);
            let policy = draft.clone().map_or_else(nothing, Ok)?;
            let version = owner.seal(name, data, policy, arguments.fee).await?;
            kept(&version)?;
            return show_made(&session, &version, draft.as_ref(), as_json);
        }
        let is_others = from.iter().any(|from| from.owner.is_some_and(|of| of != owner.account()));
        // One's own sources may be made of others'.
        let board =
            if is_others || session.there.is_some() { Some(session.board().await?) } else { None };
        let made = (from.as_slice(), draft.clone());
        let version = owner.combine(board.as_ref(), name, data, made, arguments.fee).await?;
        kept(&version)?;
        show_made(&session, &version, draft.as_ref(), as_json)
    })
}

/// What was stated of a masking, if the data is what came of it.
fn read_mask(path: &Path, data: &[u8]) -> Result<MaskStatement, Failure> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            Failure::file("read", path, error).next("give what `assay data mask --statement` wrote")
        })
    };
    let stated = read(path)?;
    // Signed, or as it is where nobody signed: who seals says it anew.
    let payload = match Envelope::from_bytes(&stated) {
        Ok(envelope) => envelope.open().map_err(Failure::new)?.0,
        Err(_) => stated,
    };
    let unfit = |why: &str| {
        Failure::new(format!("{} is not the statement of how this file was masked", path.display()))
            .cause(why)
            .next("give the statement and the masked table of one run of `assay data mask`")
    };
    let mask = MaskStatement::from_payload(&payload);
    let mask = mask.ok_or_else(|| unfit("it is not a masking statement (spec/mask.md)"))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".openings");
    let openings: Openings = serde_json::from_slice(&read(Path::new(&beside))?)
        .map_err(|_| unfit("its openings do not parse"))?;
    if Commit::to(Masked::Output, &openings.output, data) != mask.output {
        return Err(unfit("it is the statement of another masked table"));
    }
    Ok(mask)
}

pub(crate) fn publish(arguments: &Named, as_json: bool) -> Result<String, Failure> {
    block_on(async {
        let session = OwnerSession::open(&arguments.at).await?;
        let market = session.market()?;
        let version = market.publish(&session.owner, &session.signer, &arguments.name).await?;
        show(&session, &[version], false, as_json)
    })
}

pub(crate) fn policy(arguments: &PolicyOf, as_json: bool) -> Result<String, Failure> {
    let set = arguments.set.as_deref().map(read_policy).transpose()?;
    block_on(async {
        let session = OwnerSession::open(&arguments.named.at).await?;
        let name = &arguments.named.name;
        let newest = session.owner.newest(name)?;
        let version = match &set {
            Some(policy) => {
                let fee = arguments.fee.unwrap_or(newest.publication.body().fee);
                session.owner.amend(name, policy.clone(), fee)?
            }
            None => newest,
        };
        show_made(&session, &version, set.as_ref(), as_json)
    })
}

pub(crate) fn grant(arguments: &GrantTo, as_json: bool) -> Result<String, Failure> {
    block_on(async {
        let session = OwnerSession::open(&arguments.named.at).await?;
        let board = session.board().await?;
        let name = &arguments.named.name;
        let number = session.owner.datasets().grants(name.as_str())?.len() as u64 + 1;
        let purposes = match arguments.purposes.as_slice() {
            [] => Allowed::Any,
            purposes => purposes.iter().cloned().collect(),
        };
        let grant = Grant {
            owner: Account(session.owner.account().into_array()),
            name: name.clone(),
            number,
            requester: Account(arguments.to.into_array()),
            purposes,
            uses_max: arguments.uses,
            expires_at: clock_secs() + arguments.secs,
        };
        let grant = session.owner.grant(&board, grant).await?;
        Ok(signed(&session, name, grant.digest(), as_json))
    })
}

pub(crate) fn revoke(arguments: &Revoke, as_json: bool) -> Result<String, Failure> {
    let what = &arguments.what;
    let revokes = match (what.version, what.requester, what.grant) {
        (Some(version), ..) => Revoked::Version(version),
        (_, Some(requester), _) => Revoked::Requester(Account(requester.into_array())),
        (.., Some(grant)) => Revoked::Grant(grant),
        (None, None, None) => Revoked::All,
    };
    block_on(async {
        let session = OwnerSession::open(&arguments.named.at).await?;
        let board = session.board().await?;
        let name = &arguments.named.name;
        let revocation = session.owner.revoke(&board, name, revokes).await?;
        Ok(signed(&session, name, revocation.digest(), as_json))
    })
}

pub(crate) fn uses(arguments: &Uses, as_json: bool) -> Result<String, Failure> {
    block_on(async {
        let session = OwnerSession::open(&arguments.at).await?;
        for path in &arguments.receipt {
            has_releases_of(&session.owner, path)?;
        }
        let versions = session.owner.datasets().versions()?;
        if versions.is_empty() && !as_json {
            let owner = session.owner.account();
            return Ok(format!("{owner} has no datasets here; `assay data seal` makes one\n"));
        }
        show(&session, &versions, false, as_json)
    })
}

/// A ledger that was put back from an older copy would let what was spent be spent again: receipts
/// tell how far it had come.
fn has_releases_of(owner: &Owner, path: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::file("read", path, error))?;
    let receipt = Receipt::from_bytes(&bytes).map_err(|error| Failure::file("use", path, error))?;
    let heads = owner.datasets().ledger_heads()?;
    for logged in receipt.log.iter().flat_map(|log| &log.statements) {
        let Some((Statement::Released(said), _)) = logged.envelope.statement() else { continue };
        if said.owner == owner.account() && said.ledger.is_some_and(|head| !heads.contains(&head)) {
            let what = format!("the ledger lacks a key release that {} records", path.display());
            return Err(Failure::refused(what)
                .cause("the end of the ledger is lost, or it was restored from an older copy")
                .next(
                    "restore the newest copy before a key service runs, or uses are granted twice",
                ));
        }
    }
    Ok(())
}

/// A policy as people write it: spaces and order are free, and a missing field permits nothing.
fn read_policy(path: &std::path::Path) -> Result<Document<Policy>, Failure> {
    let next = "see spec/policy.md for the form of a policy";
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::file("read", path, error).next(next))?;
    Document::from_draft(&text).map_err(|error| Failure::file("use", path, error).next(next))
}
