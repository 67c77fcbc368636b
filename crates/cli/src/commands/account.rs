//! `assay account`: keys at rest.

use std::path::PathBuf;

use alloy_primitives::Address;
use assay_chain::keystore;
use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::text::json;
use crate::session::home::HomeArgument;
use crate::session::keys::PasswordArgument;

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
    };
    if as_json {
        return Ok(json(&Accounts { schema: "assay.accounts/1", accounts }));
    }
    let line = |account: &Account| format!("{}  {}\n", account.account, account.keystore.display());
    Ok(accounts.iter().map(line).collect())
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
