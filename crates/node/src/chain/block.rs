//! Blocks, as statements name them.

use alloy_rpc_types_eth::Log;
use assay_receipt::BlockRef;

/// The block of an event.
pub(crate) fn block(log: &Log) -> BlockRef {
    BlockRef {
        number: log.block_number.unwrap_or_default(),
        hash: log.block_hash.unwrap_or_default(),
    }
}
