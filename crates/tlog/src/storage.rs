//! Where a log lies.

use std::sync::Arc;

/// Objects by name. A name is a path of ASCII words with `/` between them, relative, without `..`.
pub trait Storage: Send + Sync + 'static {
    /// An object's bytes; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StorageError`].
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError>;

    /// Whether there is any object whose name begins with `folder` and a `/`.
    ///
    /// # Errors
    ///
    /// [`StorageError`].
    fn has_any(&self, folder: &str) -> Result<bool, StorageError>;

    /// Puts objects in the place of what had their names; durable when it returns. A failure or a
    /// crash may leave any of them written, torn or absent: a log puts nothing here that its
    /// checkpoint speaks of already.
    ///
    /// # Errors
    ///
    /// [`StorageError`].
    fn put_all(&self, objects: &[(String, Vec<u8>)]) -> Result<(), StorageError>;

    /// Puts one object if `old` is what has the name now (`None`: nothing), at once or not at all,
    /// and durable when it returns. False if something else has it. After a failure either may be
    /// there, whole.
    ///
    /// # Errors
    ///
    /// [`StorageError`].
    fn replace(&self, name: &str, old: Option<&[u8]>, new: &[u8]) -> Result<bool, StorageError>;

    /// Removes all objects whose names begin with `folder` and a `/`.
    ///
    /// # Errors
    ///
    /// [`StorageError`].
    fn remove_all(&self, folder: &str) -> Result<(), StorageError>;
}

/// The disk or the object store failed.
#[derive(Debug, thiserror::Error)]
#[error(
    "the log's storage failed: {0}; check that it is there, has space and may be written, then start again"
)]
pub struct StorageError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl<S: Storage + ?Sized> Storage for Arc<S> {
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        (**self).get(name)
    }

    fn has_any(&self, folder: &str) -> Result<bool, StorageError> {
        (**self).has_any(folder)
    }

    fn put_all(&self, objects: &[(String, Vec<u8>)]) -> Result<(), StorageError> {
        (**self).put_all(objects)
    }

    fn replace(&self, name: &str, old: Option<&[u8]>, new: &[u8]) -> Result<bool, StorageError> {
        (**self).replace(name, old, new)
    }

    fn remove_all(&self, folder: &str) -> Result<(), StorageError> {
        (**self).remove_all(folder)
    }
}
