//! The names of accounts that the home knows.

use std::ffi::OsString;

use alloy_primitives::Address;
use assay_node::{DevelopmentKeys, Home, LIAR, MarketPlan, Role};

use crate::output::terminal::Names;
use crate::session::home::folder;
use crate::session::settings::option;

/// Names for the accounts of the home's own market, and `you` for the account that signs; and
/// whether the home has keys yet. Finding them makes none.
pub(crate) fn names(line: &[OsString]) -> (Names, bool) {
    let signer = option(line, "--account").and_then(|account| account.to_str()?.parse().ok());
    let you = signer.map(|account: Address| (account, "you".to_owned()));
    let named = option(line, "--home").or_else(|| std::env::var_os("ASSAY_HOME"));
    let home = folder(named.map(Into::into)).map(Home::at);
    let home = home.filter(|home| home.development_seed().is_file());
    let keys = home.and_then(|home| DevelopmentKeys::open(&home).ok());
    let local = keys.as_ref().map(|keys| local(keys, signer.is_none()));
    (Names::new(you.into_iter().chain(local.into_iter().flatten())), keys.is_some())
}

fn local(keys: &DevelopmentKeys, is_you: bool) -> Vec<(Address, String)> {
    let requester = if is_you { "you" } else { "requester" };
    let mut roles = vec![
        (Role::Requester, requester.to_owned()),
        (Role::Auditor, "auditor".to_owned()),
        (Role::Provider(LIAR), "liar".to_owned()),
        (Role::Operator, "operator".to_owned()),
        (Role::Deployer, "deployer".to_owned()),
    ];
    let providers = MarketPlan::default().providers.len();
    roles.extend(
        (0..)
            .take(providers)
            .map(|number| (Role::Provider(number), format!("provider-{}", u16::from(number) + 1))),
    );
    roles.into_iter().map(|(role, name)| (keys.key(role).address(), name)).collect()
}
