//! Where state and keys are.

use std::path::PathBuf;

use assay_node::Home;

use crate::output::failure::Failure;

#[derive(clap::Args)]
pub(crate) struct HomeArgument {
    /// The folder of the chain, keys and all other state [default: assay in the user data folder]
    #[arg(long, value_name = "FOLDER", env = "ASSAY_HOME")]
    home: Option<PathBuf>,
}

impl HomeArgument {
    pub(crate) fn open(&self) -> Result<Home, Failure> {
        let folder = folder(self.home.clone());
        let lost =
            || Failure::new("this system has no user data folder").next("give --home FOLDER");
        folder.map(Home::at).ok_or_else(lost)
    }
}

/// The home's folder: as named, or in the platform's data folder if it has one.
pub(crate) fn folder(named: Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| Some(dirs::data_dir()?.join("assay")))
}
