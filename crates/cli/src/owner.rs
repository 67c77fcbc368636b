//! `assay data seal | publish | policy | grant | revoke | uses | list` and `assay keeper`: what a data owner does.

use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;
use assay_node::{Board, DevelopmentKeys, Home, Owner, RemoteMarket, Role, Version};
use assay_privacy::mask::{Commit, MaskStatement, Masked, Openings};
use assay_privacy::policy::{Allowed, Document, Grant, Policy, Revoked, Word, explain};
use assay_provenance::Envelope;
use assay_types::{Account, Hash, sha256};
use serde::Serialize;

use crate::failure::Failure;
use crate::market::TakePart;
use crate::text::{grouped, json, table};

#[derive(clap::Args)]
pub(crate) struct Seal {
    #[command(flatten)]
    at: TakePart,
    /// The data, any file of at most 2^29 - 32 bytes.
    file: PathBuf,
    /// What to call it.
    #[arg(long)]
    name: Word,
    /// The policy, JSON (spec/policy.md) [default: nobody may use it]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// What a job pays for its use, in the token's smallest unit.
    #[arg(long, value_name = "AMOUNT", default_value_t = 0)]
    fee: u128,
    /// What `assay data mask` stated of this very file, with FILE.openings beside it: `publish` says it in the log, and receipts of jobs
    /// over the dataset have it.
    #[arg(long, value_name = "FILE")]
    mask_statement: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Named {
    #[command(flatten)]
    at: TakePart,
    /// The dataset.
    name: Word,
}

#[derive(clap::Args)]
pub(crate) struct PolicyOf {
    #[command(flatten)]
    named: Named,
    /// Put this policy in its place, as a new version; `publish` publishes it.
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
    /// Who may order over it.
    #[arg(long, value_name = "ADDRESS")]
    to: Address,
    /// For what, in a word of the policy; once for each [default: whatever the policy lists]
    #[arg(long = "purpose", value_name = "WORD")]
    purposes: Vec<Word>,
    /// How many jobs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    uses: u64,
    /// For how long, in seconds.
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
    /// The dataset, all versions.
    #[arg(long)]
    all: bool,
    /// One version.
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Whatever an account was allowed.
    #[arg(long, value_name = "ADDRESS")]
    requester: Option<Address>,
    /// A grant, by its digest.
    #[arg(long, value_name = "DIGEST")]
    grant: Option<Hash>,
}

#[derive(clap::Args)]
pub(crate) struct Keeper {
    #[command(flatten)]
    at: TakePart,
    /// Blocks upon a lock's before a key goes out: a lock that a reorganisation takes back must have been given nothing.
    #[arg(long, value_name = "N", default_value_t = 1)]
    confirmations: u64,
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
    uses_spent: u64,
    uses_max: u64,
    micro_epsilon_spent: u64,
    micro_epsilon_max: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    explained: Vec<String>,
}

/// `assay.document/1`: a grant or a revocation.
#[derive(Serialize)]
struct Said {
    schema: &'static str,
    owner: Address,
    name: String,
    digest: Hash,
}

/// An owner on a market: by the key that is named, or on the local market its requester.
struct Session {
    owner: Owner,
    home: Home,
    there: Option<RemoteMarket>,
    signer: PrivateKeySigner,
}

impl Session {
    async fn open(at: &TakePart) -> Result<Self, Failure> {
        let home = at.home.open()?;
        let named = at.market.named()?;
        let signer = match (&named, at.key.is_given()) {
            (_, true) | (Some(_), _) => at.key.load(&home)?,
            (None, false) => DevelopmentKeys::open(&home)?.key(Role::Requester),
        };
        let there = match named {
            Some(there) => Some(there),
            None => RemoteMarket::running(&home).await?,
        };
        Ok(Session { owner: Owner::new(signer.clone(), &home), home, there, signer })
    }

    async fn board(&self) -> Result<Board, Failure> {
        Ok(self.market()?.board_of(&self.signer).await?)
    }

    fn market(&self) -> Result<&RemoteMarket, Failure> {
        self.there.as_ref().ok_or_else(|| {
            Failure::new(format!("no market runs under {}", self.home.path().display()))
                .next("start it with `assay up`, or name one with --market, --rpc and --deployment")
        })
    }

    fn row(&self, version: &Version, with_policy: bool) -> Result<Row, Failure> {
        let (said, policy) = (version.publication.said(), version.policy.said());
        let spent = self.owner.spent(&said.name)?;
        Ok(Row {
            owner: self.owner.account(),
            name: said.name.as_str().to_owned(),
            version: said.version,
            root: said.root.0,
            envelope: said.envelope_digest,
            envelope_bytes: said.envelope_size,
            masked: self.owner.mask(version)?.map(|mask| sha256(&mask.to_payload())),
            policy: said.policy,
            fee: said.fee.to_string(),
            uses_spent: spent.uses,
            uses_max: policy.uses_max,
            micro_epsilon_spent: spent.micro_epsilon,
            micro_epsilon_max: policy.budget.map(|budget| budget.total_micro_epsilon),
            explained: if with_policy { explain(policy) } else { Vec::new() },
        })
    }

    fn show(&self, versions: &[Version], policy: bool, as_json: bool) -> Result<String, Failure> {
        let rows = versions.iter().map(|version| self.row(version, policy));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        if as_json {
            return Ok(json(&Shown { schema: "assay.datasets/1", datasets: rows }));
        }
        Ok(rows.iter().map(Row::shown).collect::<Vec<_>>().join("\n"))
    }

    fn said(&self, name: &Word, digest: Hash, as_json: bool) -> String {
        let (owner, name) = (self.owner.account(), name.as_str().to_owned());
        if as_json {
            return json(&Said { schema: "assay.document/1", owner, name, digest });
        }
        table(&[("dataset", format!("{owner}/{name}")), ("digest", digest.to_string())])
    }
}

impl Row {
    fn shown(&self) -> String {
        let spent = match self.micro_epsilon_max {
            Some(most) => format!("{} of {most} millionths of epsilon", self.micro_epsilon_spent),
            None => "not counted".to_owned(),
        };
        let rows = table(&[
            ("dataset", format!("{}/{}, version {}", self.owner, self.name, self.version)),
            ("root", self.root.to_string()),
            ("sealed", format!("{} bytes, {}", grouped(self.envelope_bytes), self.envelope)),
            (
                "masked",
                self.masked.map_or("nobody says so".to_owned(), |mask| format!("statement {mask}")),
            ),
            ("policy", self.policy.to_string()),
            ("fee", self.fee.clone()),
            ("uses", format!("{} of {}", self.uses_spent, self.uses_max)),
            ("budget", spent),
        ]);
        self.explained.iter().fold(rows, |rows, line| rows + "  " + line + "\n")
    }
}

pub(crate) fn seal(arguments: &Seal, as_json: bool) -> Result<String, Failure> {
    let data = std::fs::read(&arguments.file).map_err(|error| {
        Failure::file("read", &arguments.file, error).next("give the file to seal")
    })?;
    let policy = match &arguments.policy {
        Some(path) => read_policy(path)?,
        None => Policy::deny_all().finish().map_err(Failure::new)?,
    };
    let mask =
        arguments.mask_statement.as_deref().map(|path| read_mask(path, &data)).transpose()?;
    crate::block_on(async {
        let session = Session::open(&arguments.at).await?;
        let name = arguments.name.clone();
        if let Some(mask) = &mask {
            session.owner.check_mask(mask)?;
        }
        let version = session.owner.seal(name, data, policy, arguments.fee).await?;
        if let Some(mask) = &mask {
            session.owner.keep_mask(&version, mask)?;
        }
        session.show(&[version], true, as_json)
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
        Failure::new(format!("{} states no masking of this file", path.display()))
            .cause(why)
            .next("give the statement and the masked table of one `assay data mask`")
    };
    let mask = MaskStatement::from_payload(&payload);
    let mask = mask.ok_or_else(|| unfit("it is no statement of a masking (spec/mask.md)"))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".openings");
    let openings: Openings = serde_json::from_slice(&read(Path::new(&beside))?)
        .map_err(|_| unfit("its openings do not parse"))?;
    if Commit::to(Masked::Output, &openings.output, data) != mask.output {
        return Err(unfit("its commitment to the masked table is to another one"));
    }
    Ok(mask)
}

pub(crate) fn publish(arguments: &Named, as_json: bool) -> Result<String, Failure> {
    crate::block_on(async {
        let session = Session::open(&arguments.at).await?;
        let market = session.market()?;
        let version = market.publish(&session.owner, &session.signer, &arguments.name).await?;
        session.show(&[version], false, as_json)
    })
}

pub(crate) fn policy(arguments: &PolicyOf, as_json: bool) -> Result<String, Failure> {
    let set = arguments.set.as_deref().map(read_policy).transpose()?;
    crate::block_on(async {
        let session = Session::open(&arguments.named.at).await?;
        let name = &arguments.named.name;
        let newest = session.owner.newest(name)?;
        let version = match set {
            Some(policy) => {
                let fee = arguments.fee.unwrap_or(newest.publication.said().fee);
                session.owner.amend(name, policy, fee)?
            }
            None => newest,
        };
        session.show(&[version], true, as_json)
    })
}

pub(crate) fn grant(arguments: &GrantTo, as_json: bool) -> Result<String, Failure> {
    crate::block_on(async {
        let session = Session::open(&arguments.named.at).await?;
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
            expires_at: assay_node::clock_secs() + arguments.secs,
        };
        let grant = session.owner.grant(&board, grant).await?;
        Ok(session.said(name, grant.digest(), as_json))
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
    crate::block_on(async {
        let session = Session::open(&arguments.named.at).await?;
        let board = session.board().await?;
        let name = &arguments.named.name;
        let revocation = session.owner.revoke(&board, name, revokes).await?;
        Ok(session.said(name, revocation.digest(), as_json))
    })
}

pub(crate) fn uses(at: &TakePart, as_json: bool) -> Result<String, Failure> {
    crate::block_on(async {
        let session = Session::open(at).await?;
        let versions = session.owner.datasets().versions()?;
        if versions.is_empty() && !as_json {
            let owner = session.owner.account();
            return Ok(format!("{owner} has no datasets here; `assay data seal` makes one\n"));
        }
        session.show(&versions, false, as_json)
    })
}

pub(crate) fn keeper(arguments: &Keeper) -> Result<String, Failure> {
    crate::block_on(async {
        let session = Session::open(&arguments.at).await?;
        let market = session.market()?;
        let confirmations = arguments.confirmations;
        let keeper = market.keeper(session.signer.clone(), &session.home, confirmations).await?;
        crate::print(&format!("keeper     {}\n", session.owner.account()))?;
        crate::daemons::until_stopped(|stop| keeper.run(stop)).await;
        Ok(String::new())
    })
}

/// A policy as people write it: spaces and order are free, and a missing field permits nothing.
fn read_policy(path: &std::path::Path) -> Result<Document<Policy>, Failure> {
    let next = "see spec/policy.md for what a policy says";
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::file("read", path, error).next(next))?;
    Document::from_draft(&text).map_err(|error| Failure::file("use", path, error).next(next))
}
