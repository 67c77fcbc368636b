//! Whose key signs.

use std::path::PathBuf;

use alloy_primitives::Address;
use assay_chain::keystore::{self, Password};
use assay_node::Home;

use crate::output::failure::Failure;

#[derive(clap::Args)]
pub(crate) struct PasswordArgument {
    /// The file whose first line is the keystore's password [default: ask on the terminal]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordArgument {
    /// The password: from the file or from the terminal, never from an argument, which others could
    /// see.
    pub(crate) fn ask(&self, prompt: &'static str) -> Password {
        match &self.password_file {
            Some(path) => Password::File(path.clone()),
            None => Password::Prompt(Box::new(move || rpassword::prompt_password(prompt))),
        }
    }

    /// The same for a new key: typed twice.
    pub(crate) fn choose(&self) -> Password {
        match &self.password_file {
            Some(path) => Password::File(path.clone()),
            None => Password::Prompt(Box::new(|| {
                let first = rpassword::prompt_password("New password: ")?;
                if rpassword::prompt_password("Again: ")? != first {
                    return Err(std::io::Error::other("the two passwords differ"));
                }
                Ok(first)
            })),
        }
    }
}

#[derive(clap::Args)]
pub(crate) struct KeyArgument {
    /// The key that signs, as a keystore file (web3, version 3)
    #[arg(long, value_name = "FILE", conflicts_with = "account")]
    keystore: Option<PathBuf>,
    /// The key that signs, by its account: one that `assay account list` shows
    #[arg(long, value_name = "ADDRESS")]
    account: Option<Address>,
    #[command(flatten)]
    password: PasswordArgument,
}

impl KeyArgument {
    /// Whether a key was named.
    pub(crate) fn is_given(&self) -> bool {
        self.keystore.is_some() || self.account.is_some()
    }

    /// The account that was named, where it was named and not its file.
    pub(crate) fn account_named(&self) -> Option<Address> {
        self.account
    }

    pub(crate) fn load(
        &self,
        home: &Home,
    ) -> Result<alloy_signer_local::PrivateKeySigner, Failure> {
        let path = self.file(home)?;
        Ok(keystore::load(&path, self.password.ask("Keystore password: "))?)
    }

    /// The keystore that was named, which must be there.
    pub(crate) fn file(&self, home: &Home) -> Result<PathBuf, Failure> {
        let path = match (&self.keystore, self.account) {
            (Some(path), _) => path.clone(),
            (None, Some(account)) => home.keys().join(format!("{account}.json")),
            (None, None) => {
                return Err(Failure::new("no key to sign with was given").next(
                    "give --keystore FILE or --account ADDRESS; `assay account new` makes one",
                ));
            }
        };
        if !path.is_file() {
            return Err(Failure::new(format!("there is no keystore at {}", path.display()))
                .next("`assay account list` shows the accounts that there are"));
        }
        Ok(path)
    }
}
