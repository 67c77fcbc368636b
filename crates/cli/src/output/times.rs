//! Times, for people.

/// Unix seconds as ISO 8601.
pub(crate) fn time(at: u64) -> String {
    let time = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    time.map_or_else(|| at.to_string(), |time| time.to_string())
}
