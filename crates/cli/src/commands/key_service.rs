//! `assay key-service`: keys of sealed data to lock holders.

use crate::output::failure::Failure;
use crate::output::print::print;
use crate::session::market::TakePart;
use crate::session::owner::OwnerSession;
use crate::session::runtime::{block_on, until_stopped};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    at: TakePart,
}

pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    block_on(async {
        let session = OwnerSession::open(&arguments.at).await?;
        let market = session.market()?;
        let key_service = market.key_service(session.signer.clone(), &session.home).await?;
        print(&format!("key-service {}\n", session.owner.account()))?;
        until_stopped(|stop| key_service.run(stop)).await;
        Ok(String::new())
    })
}
