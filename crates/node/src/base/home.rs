//! Where a node keeps its state.

use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256, hex};

/// The folder of a local market (spec/cli.md#home).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// The home at a path, which need not be there yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Home(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The embedded chain.
    pub fn chain(&self) -> PathBuf {
        self.0.join("chain/chain.redb")
    }

    /// Where the market's contracts are on it.
    pub fn deployment(&self) -> PathBuf {
        self.0.join("chain/deployment.json")
    }

    /// Where a running chain is served.
    pub fn running(&self) -> PathBuf {
        self.0.join("chain/running.json")
    }

    /// Orders, programs and blobs.
    pub fn board(&self) -> PathBuf {
        self.0.join("board")
    }

    /// What an account's provider or auditor has seen at a broker.
    pub fn store(&self, account: Address) -> PathBuf {
        self.0.join("stores").join(account.to_string())
    }

    /// The market's log.
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// What is known of logs that others keep.
    pub fn known_logs(&self) -> PathBuf {
        self.0.join("known-logs")
    }

    /// The seed of the log's key.
    pub fn log_seed(&self) -> PathBuf {
        self.0.join("keys/log-seed")
    }

    /// The owner's secret that pseudonyms and tokens of masked tables depend on.
    pub fn mask_key(&self) -> PathBuf {
        self.0.join("keys/mask-key")
    }

    /// What a witness has cosigned.
    pub fn witness(&self) -> PathBuf {
        self.0.join("witness")
    }

    /// The seed of a witness's key.
    pub fn witness_seed(&self) -> PathBuf {
        self.0.join("keys/witness-seed")
    }

    /// A job's receipt.
    pub fn receipt(&self, job: B256) -> PathBuf {
        self.0.join("receipts").join(format!("{}.json", hex::encode(job)))
    }

    /// Whom this home's receipts are to be believed by.
    pub fn trust(&self) -> PathBuf {
        self.0.join("trust.json")
    }

    /// The orders that were signed here.
    pub fn jobs(&self) -> PathBuf {
        self.0.join("jobs")
    }

    /// The images of outputs that were found at a broker.
    pub fn outputs(&self) -> PathBuf {
        self.0.join("outputs")
    }

    /// What an auditor must remember of the games it plays.
    pub fn challenges(&self) -> PathBuf {
        self.0.join("challenges")
    }

    /// The keys of what was sealed here.
    pub fn vault(&self) -> PathBuf {
        self.0.join("vault")
    }

    /// What owners keep of the datasets that they publish, and have spent of them.
    pub fn datasets(&self, owner: Address) -> PathBuf {
        self.0.join("datasets").join(owner.to_string())
    }

    /// What an owner has taken over of other owners' datasets, of which its own are made.
    pub fn sources(&self, owner: Address) -> PathBuf {
        self.0.join("sources").join(owner.to_string())
    }

    /// Keystores, each named for its account.
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// The seed of the local market's own keys.
    pub fn development_seed(&self) -> PathBuf {
        self.0.join("keys/development-seed")
    }
}
