//! A data owner at work.

use alloy_signer_local::PrivateKeySigner;
use assay_node::{Board, DevelopmentKeys, Home, Owner, RemoteMarket, Role};

use crate::output::failure::Failure;
use crate::session::market::TakePart;

/// An owner on a market: by the key that is named, or on the local market its requester.
pub(crate) struct OwnerSession {
    pub(crate) owner: Owner,
    pub(crate) home: Home,
    pub(crate) there: Option<RemoteMarket>,
    pub(crate) signer: PrivateKeySigner,
}

impl OwnerSession {
    pub(crate) async fn open(at: &TakePart) -> Result<Self, Failure> {
        let home = at.home.open()?;
        let named = at.named()?;
        let signer = match (&named, at.key.is_given()) {
            (_, true) | (Some(_), _) => at.key.load(&home)?,
            (None, false) => DevelopmentKeys::open(&home)?.key(Role::Requester),
        };
        let there = match named {
            Some(there) => Some(there),
            None => at.running(&home).await?,
        };
        Ok(OwnerSession { owner: Owner::new(signer.clone(), &home), home, there, signer })
    }

    pub(crate) async fn board(&self) -> Result<Board, Failure> {
        Ok(self.market()?.board_of(&self.signer).await?)
    }

    pub(crate) fn market(&self) -> Result<&RemoteMarket, Failure> {
        self.there.as_ref().ok_or_else(|| {
            Failure::new(format!("no market runs under {}", self.home.path().display()))
                .next("start it with `assay up`, or name one with --market, --rpc and --deployment")
        })
    }
}
