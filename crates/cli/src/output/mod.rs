//! What people and scripts get to see: amounts, times, files, text, JSON, progress and failures.

pub(crate) mod amounts;
pub(crate) mod events;
pub(crate) mod failure;
pub(crate) mod files;
pub(crate) mod print;
pub(crate) mod progress;
pub(crate) mod reputation;
pub(crate) mod terminal;
pub(crate) mod text;
pub(crate) mod times;
