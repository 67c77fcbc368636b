//! The embedded chain with a market on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use assay_chain::{
    ChainClientConfig, Client, Config, DeploymentPlan, EmbeddedChain, Endpoint, RpcServer,
    RpcServerConfig, connect, serve,
};
use assay_contracts::{Deployment, DisputeTerms};
use assay_types::Clock;
use serde::{Deserialize, Serialize};

use crate::base::env::Env;
use crate::base::files;
use crate::{DevelopmentKeys, Home, Result, Role};

/// A chain that a process serves, as that process wrote it down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// The JSON-RPC endpoint.
    pub rpc: String,
    /// The broker's URL, where a whole market runs.
    pub broker: Option<String>,
    /// The process.
    pub pid: u32,
}

impl Running {
    /// What the home's chain last wrote. After a crash it names a process that is gone: only an
    /// answer tells.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File), [`Error::Damaged`](crate::Error::Damaged).
    pub fn read(home: &Home) -> Result<Option<Self>> {
        files::read_json(&home.running())
    }
}

/// The home's chain, open in this process, with its market deployed.
pub struct LocalChain {
    home: Home,
    chain: EmbeddedChain,
    keys: DevelopmentKeys,
    deployment: Deployment,
    server: Option<RpcServer>,
}

impl LocalChain {
    /// Opens the home's chain, or makes one; and deploys the market where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain), for instance if another process has it open;
    /// [`Error::File`](crate::Error::File), [`Error::Damaged`](crate::Error::Damaged).
    pub async fn open(home: &Home) -> Result<Self> {
        Self::open_at(home, Arc::new(Env::system())).await
    }

    /// The same with another clock, for tests.
    ///
    /// # Errors
    ///
    /// As [`LocalChain::open`].
    pub async fn open_at(home: &Home, clock: Arc<dyn Clock>) -> Result<Self> {
        let keys = DevelopmentKeys::open(home)?;
        let path = home.chain();
        let folder = path.parent().unwrap_or(home.path());
        std::fs::create_dir_all(folder)
            .map_err(|source| crate::Error::file("making", folder, source))?;
        let chain = EmbeddedChain::open(&path, Config { clock, ..Config::default() })?;
        let client = client(&chain, &keys, Role::Deployer).await?;
        // A crash between deploying and writing this down leaves contracts that nobody uses, and a
        // new deployment.
        let deployment = match files::read_json::<Deployment>(&home.deployment())? {
            Some(deployment) => {
                assay_chain::check_deployment(&deployment, &client).await?;
                deployment
            }
            None => {
                let terms = DisputeTerms::LOCAL;
                let plan =
                    DeploymentPlan { token: None, governance: None, base_fee_reference: 0, terms };
                let deployment = assay_chain::deploy(&client, &plan).await?;
                files::write_json(&home.deployment(), &deployment)?;
                deployment
            }
        };
        Ok(LocalChain { home: home.clone(), chain, keys, deployment, server: None })
    }

    /// Serves JSON-RPC on loopback (port 0: any that is free), and writes down where, with the
    /// broker's URL.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain) if the port is taken;
    /// [`Error::File`](crate::Error::File).
    pub async fn serve(&mut self, port: u16, broker: Option<String>) -> Result<Running> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let server =
            serve(&self.chain, RpcServerConfig { address, ..RpcServerConfig::default() }).await?;
        let running = Running { rpc: server.url(), broker, pid: std::process::id() };
        files::write_json(&self.home.running(), &running)?;
        self.server = Some(server);
        Ok(running)
    }

    /// The chain.
    pub fn chain(&self) -> &EmbeddedChain {
        &self.chain
    }

    /// Where the market's contracts are.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// A role's key.
    pub(crate) fn key(&self, role: Role) -> alloy_signer_local::PrivateKeySigner {
        self.keys.key(role)
    }

    /// A client that signs as a role.
    ///
    /// # Errors
    ///
    /// [`Error::Chain`](crate::Error::Chain).
    pub async fn client(&self, role: Role) -> Result<Client> {
        client(&self.chain, &self.keys, role).await
    }

    /// Stops serving and closes the chain.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File).
    pub async fn close(mut self) -> Result<()> {
        if let Some(server) = self.server.take() {
            files::remove(&self.home.running())?;
            server.stop().await;
        }
        self.chain.close();
        Ok(())
    }
}

async fn client(chain: &EmbeddedChain, keys: &DevelopmentKeys, role: Role) -> Result<Client> {
    let endpoint = Endpoint::Embedded(chain.clone());
    Ok(connect(endpoint, Some(keys.key(role)), ChainClientConfig::default()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_market_is_there_again_after_closing() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::at(folder.path());
        let mut local = LocalChain::open(&home).await.expect("made");
        let served = local.serve(0, None).await.expect("served");
        let running = Running::read(&home).expect("read").expect("written");
        assert_eq!(running, served);
        assert!(LocalChain::open(&home).await.is_err(), "a second process must not open it");
        let deployment = local.deployment().clone();
        local.close().await.expect("closed");
        assert_eq!(Running::read(&home).expect("read"), None);
        let local = LocalChain::open(&home).await.expect("opened again");
        assert_eq!(*local.deployment(), deployment);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn another_chains_deployment_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::at(folder.path());
        LocalChain::open(&home).await.expect("made").close().await.expect("closed");
        std::fs::remove_file(home.chain()).expect("the chain is lost");
        let refused = LocalChain::open(&home).await.err().expect("refused").to_string();
        assert!(refused.contains("chain"), "{refused}");
    }
}
