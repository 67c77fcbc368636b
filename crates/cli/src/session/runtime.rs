//! Running what waits, until it is done or told to stop.

use tokio::sync::watch;

use crate::output::failure::Failure;

/// Runs what waits for chains.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new("cannot start the runtime").cause(error))?;
    runtime.block_on(work)
}

pub(crate) async fn until_stopped<F: Future<Output = ()>>(
    work: impl FnOnce(watch::Receiver<bool>) -> F,
) {
    let (stop, told) = watch::channel(false);
    let stopping = async {
        stopped().await;
        let _ = stop.send(true);
    };
    tokio::join!(work(told), stopping);
}

/// Ctrl-C, or what a supervisor sends.
pub(crate) async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => (),
                _ = terminated.recv() => (),
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
