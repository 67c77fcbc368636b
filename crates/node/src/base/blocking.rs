//! Work that blocks, off the threads that wait for chains and brokers.

use std::panic::resume_unwind;

/// Runs work that computes or touches the disk on a thread of its own.
///
/// A panic in it is a bug, not an outcome, so it goes on in whoever waits. (Only where strangers
/// ask over HTTP does a panic become an answer: the broker answers 500.)
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        // Only a runtime that is shutting down cancels it, and that drops whoever waits here too.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_blocking_work_is_raised_in_whoever_waits() {
        assert_eq!(blocking(|| 7).await, 7);
        let waiting = tokio::spawn(blocking(|| panic!("a bug")));
        let error = waiting.await.expect_err("the bug was swallowed");
        assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"a bug"));
    }
}
