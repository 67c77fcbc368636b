//! From prices to returns.

use alloc::vec::Vec;
use assay_guest::csv::Table;
use assay_guest::fixed::types::U6F26;
use assay_guest::{Decimal, Error, bail};

/// The most returns a history may have, about 4000 years of days.
const MAX_RETURNS: usize = 1 << 20;

/// The ratio of each price to the one before, oldest first; at least one. Errors on a price that is
/// no number above zero.
pub(crate) fn read_returns(history: &[u8], column: &str) -> Result<Vec<U6F26>, Error> {
    let mut table = Table::new(history)?;
    let column = table.column(column)?;
    let mut returns = Vec::new();
    let mut before: Option<i64> = None;
    while let Some(row) = table.next_row()? {
        let price = match Decimal::parse(row.field(column)) {
            Ok(price) if price.nanos() > 0 => price.nanos(),
            Ok(_) => bail!("row {}: a price has to be above zero", row.number),
            Err(error) => bail!("row {}: the price is {error}", row.number),
        };
        if let Some(before) = before.replace(price) {
            if returns.len() == MAX_RETURNS {
                bail!("a history has at most {} prices", MAX_RETURNS + 1);
            }
            match ratio(price, before) {
                Some(ratio) => returns.push(ratio),
                None => bail!("row {}: the price is 64 times the one before, or more", row.number),
            }
        }
    }
    if returns.is_empty() {
        bail!("a history needs at least 2 prices, this one has {}", before.iter().count());
    }
    Ok(returns)
}

/// `price / before`, both above zero, to the nearest. `None` from 64 on.
fn ratio(price: i64, before: i64) -> Option<U6F26> {
    let before = i128::from(before);
    let rounded = ((i128::from(price) << U6F26::FRAC_NBITS) + before / 2) / before;
    u32::try_from(rounded).ok().map(U6F26::from_bits)
}
