//! What a broker under test says of its requests: looked at when the test ends.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Once};

use assay_broker::Broker;
use assay_protocol::ProblemKind;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

/// Answers that leave a broker: what was done, and what was refused.
type Answers = Arc<(AtomicU64, AtomicU64)>;

async fn counted(State(answers): State<Answers>, request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    let counter = if answer.status().as_u16() < 400 { &answers.0 } else { &answers.1 };
    counter.fetch_add(1, SeqCst);
    answer
}

thread_local! {
    /// What is logged on this thread: a test's own, where its runtime has no other.
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static WATCHES: Cell<u64> = const { Cell::new(0) };
}

/// Looks at the end of a test whether each answer left its one line in the log, and each refusal
/// its one count.
pub struct Watch {
    broker: Broker,
    answers: Answers,
    /// Not on a runtime with several threads, nor beside another broker: whose the lines are can't
    /// be told.
    pub is_alone: bool,
}

impl Watch {
    pub fn of(broker: &Broker) -> Self {
        static LOG: Once = Once::new();
        LOG.call_once(|| {
            let log = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Lines).finish();
            tracing::subscriber::set_global_default(log).expect("the first");
        });
        WATCHES.set(WATCHES.get() + 1);
        let flavor = tokio::runtime::Handle::current().runtime_flavor();
        let is_alone = flavor == tokio::runtime::RuntimeFlavor::CurrentThread;
        Watch { broker: broker.clone(), answers: Arc::default(), is_alone }
    }

    /// A router whose answers are counted.
    pub fn around(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.answers.clone(), counted))
    }

    /// What the log says so far.
    pub fn log(&self) -> String {
        LINES.with_borrow(|lines| String::from_utf8(lines.clone()).expect("text"))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Of two brokers in one test it is not known whose the lines are.
        if !self.is_alone || WATCHES.get() != 1 || std::thread::panicking() {
            return;
        }
        let log = self.log();
        let count = |what: &str| log.lines().filter(|line| line.contains(what)).count() as u64;
        let (done, refused) = (self.answers.0.load(SeqCst), self.answers.1.load(SeqCst));
        assert_eq!(
            count(" assay_broker::middleware: refused "),
            refused,
            "lines of refusals\n{log}"
        );
        assert_eq!(count(" assay_broker::middleware: request "), done, "lines of answers\n{log}");
        for kind in ProblemKind::ALL {
            let lines = count(&format!(" problem=\"{}\" ", kind.name()));
            assert_eq!(self.broker.refused(*kind), lines, "{kind:?} is counted as it is logged");
        }
        let counted: u64 = ProblemKind::ALL.iter().map(|kind| self.broker.refused(*kind)).sum();
        assert_eq!(counted, refused, "each refusal is counted once");
    }
}

/// Writes into memory.
struct Lines;

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
