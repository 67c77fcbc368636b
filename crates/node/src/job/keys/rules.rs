//! What an owner's rules are to who gives the keys.

use std::convert::Infallible;
use std::future::Future;

use assay_market::Account;
use assay_policy::{Decision, ReleaseRequest};
use assay_types::Hash;

use crate::Result;
use crate::board::Board;

/// The rules of an owner's datasets, and the ledger of what their uses cost. A version of a dataset
/// is named by its envelope's digest and its policy's.
pub(crate) trait DatasetRules: Send + Sync + 'static {
    /// Takes in what other owners now say of what a version is made of, as far as the board can be
    /// read.
    fn refresh(
        &self,
        board: &Board,
        version: (Hash, Hash),
        now: u64,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Decides about a version's key; `None` if the version is not in force.
    fn decide(&self, version: (Hash, Hash), asked: &ReleaseRequest) -> Result<Option<Decision>>;

    /// Decides again, with nothing between, and spends what the release costs: if that permits, it
    /// is durable when it returns, and only then may the key go out.
    fn release(
        &self,
        version: (Hash, Hash),
        asked: &ReleaseRequest,
        recipient: Account,
    ) -> Result<Option<Decision>>;

    /// The newest digest in the ledger.
    fn head(&self) -> Hash;
}

/// Of who gives the keys of inputs alone.
impl DatasetRules for Infallible {
    async fn refresh(&self, _: &Board, _: (Hash, Hash), _: u64) -> Result<()> {
        match *self {}
    }

    fn decide(&self, _: (Hash, Hash), _: &ReleaseRequest) -> Result<Option<Decision>> {
        match *self {}
    }

    fn release(&self, _: (Hash, Hash), _: &ReleaseRequest, _: Account) -> Result<Option<Decision>> {
        match *self {}
    }

    fn head(&self) -> Hash {
        match *self {}
    }
}
