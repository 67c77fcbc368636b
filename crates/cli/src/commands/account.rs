//! `assay account`: keys at rest, and what their accounts hold on a market.

use std::path::PathBuf;

use alloy_primitives::Address;
use assay_chain::keystore;
use assay_node::Contracts;
use serde::Serialize;

use crate::output::amounts::dollars;
use crate::output::failure::Failure;
use crate::output::text::{json, table};
use crate::output::times::time;
use crate::session::home::HomeArgument;
use crate::session::keys::PasswordArgument;
use crate::session::market::TakePart;
use crate::session::requester::on_market;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Create an account: a random key in a keystore (web3, version 3), under a password
    New {
        #[command(flatten)]
        home: HomeArgument,
        #[command(flatten)]
        password: PasswordArgument,
    },
    /// List the accounts whose keystores are under the home
    List {
        #[command(flatten)]
        home: HomeArgument,
    },
    /// Show what an account has in its purse and at stake
    Funds(TakePart),
    /// Move tokens from the purse, or from the stake, back to the account. A stake is taken out of
    /// use first, and comes back by the same command after the contract's delay
    Withdraw(Withdraw),
}

#[derive(clap::Args)]
pub(crate) struct Withdraw {
    #[command(flatten)]
    at: TakePart,
    /// From where
    from: Place,
    /// How much, in the token's smallest unit [default: all that is free]
    amount: Option<u128>,
}

/// Where an account's tokens are besides.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Place {
    /// What orders are paid from. Orders that wait need theirs
    Purse,
    /// What is at stake for no job
    Stake,
}

/// `assay.funds/1`.
#[derive(Serialize)]
struct Shown {
    schema: &'static str,
    account: Address,
    tokens: String,
    purse: String,
    stake_free: String,
    stake_reserved: String,
    unbonding: String,
    unbonding_ready_at: Option<u64>,
}

#[derive(Serialize)]
struct Account {
    account: Address,
    keystore: PathBuf,
}

#[derive(Serialize)]
struct Accounts {
    schema: &'static str,
    accounts: Vec<Account>,
}

pub(crate) fn run(command: &Command, as_json: bool) -> Result<String, Failure> {
    let accounts = match command {
        Command::New { home, password } => {
            let (keystore, key) = keystore::create(&home.open()?.keys(), password.choose())?;
            vec![Account { account: key.address(), keystore }]
        }
        Command::List { home } => list(&home.open()?.keys())?,
        Command::Funds(at) => {
            return on_market(at, async |session| {
                funds(session.requester().contracts(), as_json).await
            });
        }
        Command::Withdraw(arguments) => {
            return on_market(&arguments.at, async |session| {
                let contracts = session.requester().contracts();
                withdraw(contracts, arguments.from, arguments.amount).await?;
                funds(contracts, as_json).await
            });
        }
    };
    if as_json {
        return Ok(json(&Accounts { schema: "assay.accounts/1", accounts }));
    }
    let line = |account: &Account| format!("{}  {}\n", account.account, account.keystore.display());
    Ok(accounts.iter().map(line).collect())
}

async fn withdraw(contracts: &Contracts, from: Place, amount: Option<u128>) -> Result<(), Failure> {
    let account = contracts.account();
    let held = contracts.funds(account).await?;
    let (free, what) = match from {
        Place::Purse => (held.purse, "the purse holds"),
        Place::Stake => (held.stake_free, "of the stake is free"),
    };
    if let Some(amount) = amount.filter(|amount| *amount > free) {
        return Err(Failure::new(format!("{} cannot be withdrawn", dollars(amount)))
            .cause(format!("{what} {}", dollars(free)))
            .next("give no more than that, or no amount to withdraw all of it"));
    }
    match from {
        Place::Purse => contracts.withdraw_purse(amount.unwrap_or(free)).await?,
        Place::Stake => {
            let out = contracts.unbonding(account).await?;
            let (_, now) = contracts.last_block().await?;
            let is_ready = out.amount > 0 && out.ready_at <= now.max(contracts.now());
            match amount.unwrap_or(free) {
                // What has waited goes first: more would make it wait anew.
                _ if is_ready => contracts.withdraw_stake().await?,
                0 => {}
                amount => contracts.unbond(amount).await?,
            }
        }
    }
    Ok(())
}

/// What the account holds on the market.
async fn funds(contracts: &Contracts, as_json: bool) -> Result<String, Failure> {
    let account = contracts.account();
    let (held, out) = (contracts.funds(account).await?, contracts.unbonding(account).await?);
    if as_json {
        return Ok(json(&Shown {
            schema: "assay.funds/1",
            account,
            tokens: held.tokens.to_string(),
            purse: held.purse.to_string(),
            stake_free: held.stake_free.to_string(),
            stake_reserved: held.stake_reserved.to_string(),
            unbonding: out.amount.to_string(),
            unbonding_ready_at: (out.amount > 0).then_some(out.ready_at),
        }));
    }
    let mut rows = vec![
        ("account", account.to_string()),
        ("tokens", dollars(held.tokens)),
        ("purse", dollars(held.purse)),
        (
            "stake",
            format!("{} free, {} for jobs", dollars(held.stake_free), dollars(held.stake_reserved)),
        ),
    ];
    if out.amount > 0 {
        let ready = time(out.ready_at);
        rows.push((
            "unbonding",
            format!("{}, to be withdrawn from {ready} on", dollars(out.amount)),
        ));
    }
    Ok(table(&rows))
}

/// Keystores are named for their accounts; other files are none of ours.
fn list(folder: &std::path::Path) -> Result<Vec<Account>, Failure> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::file("read", folder, error)),
    };
    let mut accounts = Vec::new();
    for entry in entries {
        let keystore = entry.map_err(|error| Failure::file("read", folder, error))?.path();
        let name = keystore.file_stem().and_then(|name| name.to_str());
        let is_json = keystore.extension().is_some_and(|extension| extension == "json");
        let account = name.filter(|_| is_json).and_then(|name| name.parse().ok());
        accounts.extend(account.map(|account| Account { account, keystore }));
    }
    accounts.sort_by_key(|account| account.account);
    Ok(accounts)
}
