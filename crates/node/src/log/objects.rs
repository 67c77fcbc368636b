//! Logs in an object store, where this is built with it.

use std::sync::Arc;

use assay_tlog::Storage;

use crate::Result;
use crate::base::env::Env;

/// Opens objects to write, with a mark of its own.
#[cfg(feature = "s3")]
pub(crate) fn open_objects(env: &Env, url: &str) -> Result<Arc<dyn Storage>> {
    Ok(Arc::new(assay_storage::LogObjects::open(url, env.random()?)?))
}

/// Opens objects to read, whoever writes to them.
#[cfg(feature = "s3")]
pub(crate) fn read_objects(url: &str) -> Result<Arc<dyn Storage>> {
    Ok(Arc::new(assay_storage::LogObjects::read_only(url)?))
}

#[cfg(not(feature = "s3"))]
pub(crate) fn open_objects(_: &Env, _: &str) -> Result<Arc<dyn Storage>> {
    Err(crate::Error::ObjectsAbsent)
}

#[cfg(not(feature = "s3"))]
pub(crate) fn read_objects(_: &str) -> Result<Arc<dyn Storage>> {
    Err(crate::Error::ObjectsAbsent)
}
