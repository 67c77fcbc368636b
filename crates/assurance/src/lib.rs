//! What makes a claim final: the kinds of assurance that an order can ask for, each with what it
//! accepts, what the parties do about a claim, and what a receipt of it shows.
//!
//! Pure: from what the chain shows to what to do next. Who reads the chain and sends transactions
//! is the node. The contracts are the rule book; nothing here decides what they decide.

mod assurance;
mod run;
mod table;
pub mod window;

pub use assurance::{Assurance, Contest, Finality, Turn};
pub use run::TracedRun;
pub use table::{Assurances, Kind};
