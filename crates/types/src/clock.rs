//! Where the time comes from: handed in, never read here.

/// A source of Unix time in seconds.
pub trait Clock: Send + Sync + 'static {
    /// Seconds since 1970-01-01 UTC.
    fn unix_secs(&self) -> u64;
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn unix_secs(&self) -> u64 {
        (**self).unix_secs()
    }
}
