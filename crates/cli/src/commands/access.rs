//! `assay access`: what one account lets another do at a broker in its name, narrowed, used, and
//! taken back (spec/access.md).

use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use assay_broker_client::{Access, BrokerClient};
use assay_contracts::Deployment;
use assay_machine::Program;
use assay_node::{DevelopmentKeys, Home, RemoteMarket, clock_secs};
use assay_protocol::{
    Capability, CapabilityChain, CapabilityError, Role, SignedCapability, SignedRevocation, Use,
};
use assay_types::sha256;
use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::files::write_secret;
use crate::output::print::{print, print_bytes};
use crate::output::text::{json, table};
use crate::output::times::time;
use crate::session::capability::read_capability;
use crate::session::deployment::read_deployment;
use crate::session::home::HomeArgument;
use crate::session::keys::KeyArgument;
use crate::session::market::TakePart;
use crate::session::runtime::block_on;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Let an account act in your name, within bounds: writes a capability
    Issue(Issue),
    /// Pass a capability on to another account, whole or in part
    Narrow(Narrow),
    /// Show what a capability allows, and check that it is valid
    Show(Show),
    /// Revoke a capability that you issued, and all that were narrowed from it
    Revoke(Revoke),
    /// Read a path of a broker
    Get(Get),
    /// Upload a blob to a broker
    Put(Put),
}

#[derive(clap::Args)]
pub(crate) struct Issue {
    #[command(flatten)]
    by: By,
    /// The account that may act
    #[arg(long, value_name = "ADDRESS")]
    to: Address,
    /// The role in which it may act; `anyone` means any role
    #[arg(long, value_parser = role, default_value = "anyone")]
    role: Role,
    /// The HTTP methods that it may use: some of GET,HEAD,POST,PUT, in this order
    #[arg(long, value_name = "METHODS", default_value = "GET,HEAD")]
    methods: String,
    /// The path that it may use, with all paths below it
    #[arg(long, value_name = "PREFIX")]
    path: String,
    #[command(flatten)]
    end: End,
    /// Where to write the capability [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Narrow {
    #[command(flatten)]
    by: By,
    /// The capability, which you hold
    file: PathBuf,
    /// The account that may act
    #[arg(long, value_name = "ADDRESS")]
    to: Address,
    /// The role in which it may act [default: as before]
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// The HTTP methods that it may use [default: as before]
    #[arg(long, value_name = "METHODS")]
    methods: Option<String>,
    /// The path that it may use, with all paths below it [default: as before]
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    #[command(flatten)]
    end: End,
    /// Where to write the capability [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    market: Signed,
    /// The capability
    file: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    at: TakePart,
    /// The capability, or one that was narrowed from it. If you issued several links of it, the
    /// last is revoked
    file: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct Get {
    #[command(flatten)]
    at: TakePart,
    /// The path, such as /v1/orders?limit=10. Blobs are checked against their hashes; all else is
    /// shown as the broker sends it
    path: String,
    /// Where to write the answer [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Put {
    #[command(flatten)]
    at: TakePart,
    /// What the file is
    #[arg(value_enum)]
    kind: BlobKind,
    /// The file to upload
    file: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum BlobKind {
    /// A program's ELF file, stored under its id
    Program,
    /// Encrypted data, stored under its SHA-256
    Envelope,
}

/// For which market it is signed.
#[derive(clap::Args)]
struct Signed {
    #[command(flatten)]
    home: HomeArgument,
    /// The market's contract addresses: the file that `assay chain deploy` wrote [default: the
    /// home's market]
    #[arg(long, value_name = "FILE", env = "ASSAY_DEPLOYMENT")]
    deployment: Option<PathBuf>,
}

/// And by whom.
#[derive(clap::Args)]
struct By {
    #[command(flatten)]
    market: Signed,
    #[command(flatten)]
    key: KeyArgument,
}

/// Until when.
#[derive(clap::Args)]
struct End {
    /// How long it is valid, in seconds [default: 3600; for `narrow`, as before]
    #[arg(long, value_name = "SECONDS")]
    secs: Option<u64>,
    /// When it expires, in Unix seconds
    #[arg(long, value_name = "TIME", conflicts_with = "secs")]
    until: Option<u64>,
}

/// How long a capability holds if nobody says.
const SECS_DEFAULT: u64 = 3_600;

/// `assay.capability/1`.
#[derive(Serialize)]
struct Shown {
    schema: &'static str,
    /// Where it was written.
    file: Option<PathBuf>,
    /// `holds`, or the name of the problem that a broker would answer with.
    standing: &'static str,
    capabilities: Vec<Link>,
}

#[derive(Serialize)]
struct Link {
    issuer: Address,
    holder: Address,
    role: Role,
    methods: String,
    path_prefix: String,
    not_after: u64,
    hash: B256,
}

/// `assay.revocation/1`.
#[derive(Serialize)]
struct Revoked {
    schema: &'static str,
    issuer: Address,
    capability: B256,
    /// False if it was taken back before.
    new: bool,
}

pub(crate) fn run(command: &Command, as_json: bool) -> Result<String, Failure> {
    match command {
        Command::Issue(arguments) => issue(arguments, as_json),
        Command::Narrow(arguments) => narrow(arguments, as_json),
        Command::Show(arguments) => show(arguments, as_json),
        Command::Revoke(arguments) => revoke(arguments, as_json),
        Command::Get(arguments) => get(arguments),
        Command::Put(arguments) => put(arguments, as_json),
    }
}

fn issue(arguments: &Issue, as_json: bool) -> Result<String, Failure> {
    let (deployment, signer) = arguments.by.open()?;
    let capability = Capability {
        issuer: signer.address(),
        holder: arguments.to,
        role: arguments.role,
        methods: arguments.methods.clone(),
        path_prefix: arguments.path.clone(),
        not_after: arguments.end.at().unwrap_or_else(|| clock_secs() + SECS_DEFAULT),
        parent: B256::ZERO,
    };
    let signed = SignedCapability::sign(capability, &deployment, &signer)?;
    let chain = CapabilityChain::new(vec![signed]).map_err(unwritable)?;
    write(&chain, arguments.output.as_deref(), &deployment, as_json)
}

fn narrow(arguments: &Narrow, as_json: bool) -> Result<String, Failure> {
    let (deployment, signer) = arguments.by.open()?;
    let chain = read_capability(&arguments.file)?;
    let last = chain.last();
    if last.holder != signer.address() {
        return Err(Failure::refused("only the holder of a capability can narrow it")
            .cause(format!(
                "its holder is {}, and the key belongs to {}",
                last.holder,
                signer.address()
            ))
            .next("give the holder's key with --account or --keystore"));
    }
    let capability = Capability {
        issuer: signer.address(),
        holder: arguments.to,
        role: arguments.role.unwrap_or(last.role),
        methods: arguments.methods.clone().unwrap_or_else(|| last.methods.clone()),
        path_prefix: arguments.path.clone().unwrap_or_else(|| last.path_prefix.clone()),
        not_after: arguments.end.at().unwrap_or(last.not_after),
        parent: chain.hash(&deployment).map_err(assay_broker_client::Error::from)?,
    };
    capability.narrows(last, chain.capabilities().len()).map_err(does_not_hold)?;
    let mut links = chain.capabilities().to_vec();
    links.push(SignedCapability::sign(capability, &deployment, &signer)?);
    let chain = CapabilityChain::new(links).map_err(unwritable)?;
    // What it is narrowed from must hold as well.
    standing(&chain, &deployment).map_err(does_not_hold)?;
    write(&chain, arguments.output.as_deref(), &deployment, as_json)
}

fn show(arguments: &Show, as_json: bool) -> Result<String, Failure> {
    let (_, deployment) = arguments.market.open()?;
    let chain = read_capability(&arguments.file)?;
    let text = shown(&chain, None, &deployment, as_json)?;
    match standing(&chain, &deployment) {
        Ok(()) => Ok(text),
        Err(error) => {
            print(&text)?;
            Err(does_not_hold(error))
        }
    }
}

fn revoke(arguments: &Revoke, as_json: bool) -> Result<String, Failure> {
    let chain = read_capability(&arguments.file)?;
    let home = arguments.at.home.open()?;
    block_on(async {
        let (there, signer) = open(&arguments.at, &home).await?;
        let account = signer.address();
        let mut links = chain.capabilities().iter().rev();
        let issued = links.find(|link| link.capability.issuer == account);
        let none = || {
            Failure::new(format!("{account} has not issued this capability"))
                .cause(
                    "only an issuer of a capability, or of what it was narrowed from, can revoke it",
                )
                .next("give the key of an issuer; `assay access show` lists them")
        };
        let capability = issued.ok_or_else(none)?.capability.clone();
        let revocation = SignedRevocation::sign(capability, &there.deployment, &signer)?;
        let hash =
            revocation.verify(&there.deployment).map_err(assay_broker_client::Error::from)?;
        let (_, new) = there.broker(&signer).await?.revoke_capability(&revocation).await?;
        if as_json {
            let schema = "assay.revocation/1";
            return Ok(json(&Revoked { schema, issuer: account, capability: hash, new }));
        }
        let state = if new { "revoked" } else { "was revoked before" };
        Ok(table(&[("capability", hash.to_string()), ("state", state.to_owned())]))
    })
}

fn get(arguments: &Get) -> Result<String, Failure> {
    let home = arguments.at.home.open()?;
    let content = block_on(async {
        let broker = client(&arguments.at, &home).await?;
        read_path(&broker, &arguments.path).await
    })?;
    match &arguments.output {
        Some(path) => write_secret(path, &content)?,
        None => print_bytes(&content)?,
    }
    Ok(String::new())
}

/// Blobs by the calls that check them, the rest as it comes.
async fn read_path(broker: &BrokerClient, path: &str) -> Result<Vec<u8>, Failure> {
    let named = path.strip_prefix("/v1/").and_then(|rest| rest.split_once('/'));
    let found = match named {
        Some(("envelopes", name)) => match name.parse() {
            Ok(name) => broker.envelope(name).await?,
            Err(_) => return Ok(broker.unchecked(path).await?),
        },
        Some(("programs", name)) => match name.parse() {
            Ok(id) => broker.program(id).await?,
            Err(_) => return Ok(broker.unchecked(path).await?),
        },
        Some(("slots", name)) => match name.parse() {
            Ok(root) => broker.slot(root).await?,
            Err(_) => return Ok(broker.unchecked(path).await?),
        },
        _ if path.starts_with("/v1/") => return Ok(broker.unchecked(path).await?),
        _ => {
            return Err(Failure::new(format!("{path:?} is not a path of a broker"))
                .next("give a path that begins with /v1/; spec/broker.md lists them"));
        }
    };
    found.ok_or_else(|| {
        Failure::new("the broker has no such blob").next("check the name, or ask another broker")
    })
}

fn put(arguments: &Put, as_json: bool) -> Result<String, Failure> {
    let home = arguments.at.home.open()?;
    let file = &arguments.file;
    let content = std::fs::read(file)
        .map_err(|error| Failure::file("read", file, error).next("give the file to upload"))?;
    block_on(async {
        let broker = client(&arguments.at, &home).await?;
        let (path, new) = match arguments.kind {
            BlobKind::Envelope => {
                let name = B256::new(sha256(&content).0);
                (format!("/v1/envelopes/{name}"), broker.put_envelope(name, content).await?)
            }
            BlobKind::Program => {
                let program = Program::from_elf(&content).map_err(|error| {
                    Failure::file("use", file, error)
                        .next("give an ELF that `assay program build` made")
                })?;
                let id = program.id();
                (format!("/v1/programs/{id}"), broker.put_program(id, content).await?)
            }
        };
        if as_json {
            return Ok(json(&Stored { schema: "assay.stored/1", path, new }));
        }
        let state = if new { "stored" } else { "was there already" };
        Ok(table(&[("path", path), ("state", state.to_owned())]))
    })
}

/// `assay.stored/1`.
#[derive(Serialize)]
struct Stored {
    schema: &'static str,
    path: String,
    new: bool,
}

/// A client that asks all in the name of the capability's issuer, if one was given.
async fn client(at: &TakePart, home: &Home) -> Result<BrokerClient, Failure> {
    let (mut there, signer) = open(at, home).await?;
    let own = Access::new(&signer);
    let access = match there.capabilities.take() {
        Some(chain) => own.by(chain),
        None => own,
    };
    Ok(there.broker(access).await?)
}

/// The market, and the key that was named; on the local market, its requester's.
async fn open(at: &TakePart, home: &Home) -> Result<(RemoteMarket, PrivateKeySigner), Failure> {
    let is_named = at.named()?.is_some();
    let there = at.there(home).await?;
    let signer = match is_named || at.key.is_given() {
        true => at.key.load(home)?,
        false => DevelopmentKeys::open(home)?.key(assay_node::Role::Requester),
    };
    Ok((there, signer))
}

impl Signed {
    fn open(&self) -> Result<(Home, Deployment), Failure> {
        let home = self.home.open()?;
        let path = self.deployment.clone().unwrap_or_else(|| home.deployment());
        if self.deployment.is_none() && !path.exists() {
            return Err(Failure::new("it is not known for which market the capability is").next(
                "give --deployment FILE, or start a market of this machine with `assay up`",
            ));
        }
        Ok((home, read_deployment(&path)?))
    }
}

impl By {
    fn open(&self) -> Result<(Deployment, PrivateKeySigner), Failure> {
        let (home, deployment) = self.market.open()?;
        let is_local = self.market.deployment.is_none() && !self.key.is_given();
        let signer = match is_local {
            true => DevelopmentKeys::open(&home)?.key(assay_node::Role::Requester),
            false => self.key.load(&home)?,
        };
        Ok((deployment, signer))
    }
}

impl End {
    fn at(&self) -> Option<u64> {
        self.until.or_else(|| Some(clock_secs().saturating_add(self.secs?)))
    }
}

/// A role as it is signed; `data-owner` is easier to type than `data owner`.
fn role(text: &str) -> Result<Role, String> {
    text.replace('-', " ").parse().map_err(|_| {
        let names: Vec<_> = Role::ALL.iter().map(|role| role.as_str().replace(' ', "-")).collect();
        format!("not a role; give one of {}", names.join(", "))
    })
}

/// Writes it, or prints it where no file was named.
fn write(
    chain: &CapabilityChain,
    file: Option<&Path>,
    deployment: &Deployment,
    as_json: bool,
) -> Result<String, Failure> {
    let text = format!("{chain}\n");
    // The limit on what a header holds is a limit on what is worth writing.
    text.trim_end().parse::<CapabilityChain>().map_err(unwritable)?;
    let Some(file) = file else { return Ok(text) };
    write_secret(file, text.as_bytes())?;
    shown(chain, Some(file), deployment, as_json)
}

/// Whether a broker would take it from its holder, as far as can be told here: whether it was taken
/// back, the broker knows.
fn standing(chain: &CapabilityChain, deployment: &Deployment) -> Result<(), CapabilityError> {
    let last = chain.last();
    let method = last.methods.split(',').next().unwrap_or_default();
    let used = Use {
        signer: last.holder,
        role: last.role,
        method,
        path: &last.path_prefix,
        now: clock_secs(),
    };
    chain.check(used, deployment).map(drop)
}

fn shown(
    chain: &CapabilityChain,
    file: Option<&Path>,
    deployment: &Deployment,
    as_json: bool,
) -> Result<String, Failure> {
    let standing = standing(chain, deployment).err().map_or("holds", |error| error.kind().name());
    let links = chain.capabilities().iter().map(|link| {
        let Capability { issuer, holder, role, methods, path_prefix, not_after, .. } =
            link.capability.clone();
        let hash = link.capability.hash(deployment).map_err(assay_broker_client::Error::from)?;
        Ok(Link { issuer, holder, role, methods, path_prefix, not_after, hash })
    });
    let capabilities = links.collect::<Result<Vec<_>, Failure>>()?;
    if as_json {
        let (schema, file) = ("assay.capability/1", file.map(Path::to_owned));
        return Ok(json(&Shown { schema, file, standing, capabilities }));
    }
    let mut rows = Vec::new();
    for link in &capabilities {
        rows.push(("issuer", link.issuer.to_string()));
        rows.push(("  lets", link.holder.to_string()));
        rows.push(("  in role", link.role.to_string()));
        rows.push(("  do", format!("{} {}", link.methods, link.path_prefix)));
        rows.push(("  until", time(link.not_after)));
        rows.push(("  hash", link.hash.to_string()));
    }
    rows.push(("standing", standing.to_owned()));
    rows.extend(file.map(|file| ("file", file.display().to_string())));
    Ok(table(&rows))
}

/// What a broker would refuse, with what it would say.
fn does_not_hold(error: CapabilityError) -> Failure {
    let (title, next) = error.kind().advice();
    Failure::refused(format!("{title} ({})", error.kind().name())).cause(error).next(next)
}

/// What no capability can say.
fn unwritable(error: CapabilityError) -> Failure {
    let next = match error {
        CapabilityError::Form => {
            "give methods from GET,HEAD,POST,PUT in this order, and a path that begins with /v1/ and has no ?"
        }
        _ => "ask the first issuer for a capability of your own",
    };
    Failure::new("a capability cannot say this").cause(error).next(next)
}
