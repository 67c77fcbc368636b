//! A requester at work on a market.

use alloy_primitives::{Address, B256};
use assay_market::Asked;
use assay_node::{DevelopmentKeys, LocalMarket, MarketPlan, Requester, Role};

use crate::output::failure::Failure;
use crate::session::market::TakePart;
use crate::session::runtime::block_on;

/// How fast a run is taken to be at the least, in steps a second, when its time is not set.
const STEPS_PER_SEC: u64 = 10_000_000;

/// The least time for a run, in seconds, when it is not set.
const RUN_SECS_MIN: u64 = 60;

/// What an order of so many steps, such a stake, and perhaps a time for its run asks for.
pub(crate) fn asked(step_limit: u64, stake: u128, run_secs: Option<u32>) -> Asked {
    let secs = (step_limit / STEPS_PER_SEC).max(RUN_SECS_MIN);
    let run_secs = run_secs.unwrap_or(u32::try_from(secs).unwrap_or(u32::MAX));
    Asked { step_limit, stake, run_secs }
}

/// Why nobody takes such an order at any price.
pub(crate) fn nobody_offers() -> Failure {
    Failure::new("no provider offers to run such a job").cause(
        "no provider is there, none has that much free stake, or none is done within --run-secs",
    )
}

/// A requester at work on a market.
pub(crate) enum Session {
    /// On a market of this process.
    Here(Box<LocalMarket>),
    /// On another's.
    There {
        requester: Box<Requester>,
        /// The auditor of the local market, if it is that.
        auditor: Option<Address>,
    },
}

impl Session {
    /// On the market that was named; else on the one that runs under the home; else on the home's
    /// own, started here.
    pub(crate) async fn open(at: &TakePart, with_liar: bool) -> Result<Self, Failure> {
        let TakePart { home, key, .. } = at;
        let home = &home.open()?;
        let (there, signer, auditor) = match at.named()? {
            Some(there) => (Some(there), Some(key.load(home)?), None),
            None => match at.running(home).await? {
                Some(there) => {
                    let keys = DevelopmentKeys::open(home)?;
                    let signer = match key.is_given() {
                        true => key.load(home)?,
                        false => keys.key(Role::Requester),
                    };
                    (Some(there), Some(signer), Some(keys.key(Role::Auditor).address()))
                }
                None => (None, None, None),
            },
        };
        if let (Some(there), Some(signer)) = (there, signer) {
            if with_liar {
                return Err(Failure::new(
                    "--with-liar works only in a market that this command starts",
                )
                .cause("a market is running already, and the order would go there")
                .next("give another --home, or stop the market with `assay down`"));
            }
            let requester = Box::new(there.requester(signer, home).await?);
            return Ok(Session::There { requester, auditor });
        }
        if at.capability.is_some() {
            return Err(Failure::new("--capability needs a broker")
                .cause("no market runs, so this command would start its own, without a broker")
                .next("start a market with `assay up`, or leave --capability out"));
        }
        if at.key.is_given() {
            return Err(Failure::new("no market runs that this account could take part in")
                .cause("this command would start its own, where the home's own account orders")
                .next("start a market with `assay up`, name one, or leave the account out"));
        }
        let plan = MarketPlan { with_liar, ..MarketPlan::default() };
        Ok(Session::Here(Box::new(LocalMarket::open(home, &plan).await?)))
    }

    pub(crate) fn requester(&self) -> &Requester {
        match self {
            Session::Here(market) => market.requester(),
            Session::There { requester, .. } => requester,
        }
    }

    /// The auditor of the local market, if it is that.
    pub(crate) fn auditor(&self) -> Option<Address> {
        match self {
            Session::Here(market) => Some(market.auditor()),
            Session::There { auditor, .. } => *auditor,
        }
    }

    /// The provider that lies, if there is one.
    pub(crate) fn liar(&self) -> Option<Address> {
        match self {
            Session::Here(market) => market.liar(),
            Session::There { .. } => None,
        }
    }

    /// How many steps a job has taken that runs in this process.
    pub(crate) fn steps(&self, job: B256) -> Option<u64> {
        match self {
            Session::Here(market) => market.progress().steps(job),
            Session::There { .. } => None,
        }
    }

    pub(crate) async fn close(self) -> Result<(), Failure> {
        match self {
            Session::Here(market) => Ok(market.close().await?),
            Session::There { .. } => Ok(()),
        }
    }
}

/// Opens a session, does the work, and closes it.
pub(crate) fn on_market<T>(
    at: &TakePart,
    work: impl AsyncFnOnce(&Session) -> Result<T, Failure>,
) -> Result<T, Failure> {
    block_on(async {
        let session = Session::open(at, false).await?;
        let done = work(&session).await;
        session.close().await?;
        done
    })
}
