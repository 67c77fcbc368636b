//! `eth_call` and `eth_estimateGas`: running a message and keeping nothing.

use alloy_consensus::Header;
use alloy_primitives::{Address, U64, U256};
use alloy_rpc_types_eth::TransactionRequest;
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, HaltReason};

use super::chain::check_state_of;
use super::error::{INTERNAL, RpcError, SERVER};
use super::params::Params;
use super::{Answer, answer};
use crate::EmbeddedChain;
use crate::embedded::evm::{EvmFailure, Overlay, Rules, rejection_of};
use crate::embedded::tables::View;

/// What a call may pass on to a callee that receives value (EVM's stipend).
const CALL_STIPEND: u64 = 2300;
/// A plain transfer's gas.
const TRANSFER_GAS: u64 = 21_000;
/// An estimate this close to the least that works is good enough: one part in this many.
const ESTIMATE_PRECISION: u64 = 64;

pub(crate) fn call(chain: &EmbeddedChain, view: &View, params: &Params) -> Answer {
    let runner = Runner::new(chain, view, params)?;
    match runner.run(runner.message.gas_limit)? {
        ExecutionResult::Success { output, .. } => answer(output.data()),
        ExecutionResult::Revert { output, .. } => Err(RpcError::reverted(&output)),
        ExecutionResult::Halt { reason, .. } => Err(halted(&reason)),
    }
}

/// The least gas with which the message succeeds, within a part in [`ESTIMATE_PRECISION`].
pub(crate) fn estimate(chain: &EmbeddedChain, view: &View, params: &Params) -> Answer {
    let runner = Runner::new(chain, view, params)?;
    let cap = runner.affordable()?;
    let result = runner.run(cap)?;
    let used = result.gas().total_gas_spent().max(result.tx_gas_used());
    match result {
        ExecutionResult::Success { .. } => {}
        ExecutionResult::Revert { output, .. } => return Err(RpcError::reverted(&output)),
        ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => {
            let message = format!("gas required exceeds allowance ({cap})");
            return Err(RpcError::new(SERVER, message));
        }
        ExecutionResult::Halt { reason, .. } => return Err(halted(&reason)),
    }
    if used == TRANSFER_GAS {
        return answer(&U64::from(used));
    }
    answer(&U64::from(runner.search(used, cap)?))
}

struct Runner<'a> {
    view: &'a View,
    chain_id: u64,
    header: Header,
    message: TxEnv,
}

impl<'a> Runner<'a> {
    fn new(chain: &EmbeddedChain, view: &'a View, params: &Params) -> Result<Self, RpcError> {
        let request: TransactionRequest = params.required(0, "transaction")?;
        check_state_of(view, params.optional(1, "block")?)?;
        params.unsupported(2, "a state override")?;
        params.unsupported(3, "a block override")?;
        let header = chain.next_header(view)?;
        let message = message_of(request, &header, chain.chain_id())?;
        Ok(Self { view, chain_id: chain.chain_id(), header, message })
    }

    fn run(&self, gas_limit: u64) -> Result<ExecutionResult, RpcError> {
        let message = TxEnv { gas_limit, ..self.message.clone() };
        let mut overlay = Overlay::new(self.view);
        let outcome = overlay.run(&self.header, self.chain_id, message.clone(), Rules::Simulation);
        match outcome {
            Ok((result, _)) => Ok(result),
            Err(EvmFailure::Invalid(invalid)) => {
                let rejection = rejection_of(invalid, &message, &self.header);
                Err(RpcError::new(SERVER, rejection.to_string()))
            }
            Err(EvmFailure::Stopped(error)) => Err(RpcError::new(INTERNAL, error.to_string())),
        }
    }

    /// The gas limit to start from: the request's, the block's, or what the sender can pay.
    fn affordable(&self) -> Result<u64, RpcError> {
        let limit = self.message.gas_limit;
        if self.message.gas_price == 0 {
            return Ok(limit);
        }
        let account = self.view.account(self.message.caller)?.unwrap_or_default();
        let funds = account.balance.saturating_sub(self.message.value);
        let gas = funds / U256::from(self.message.gas_price);
        Ok(limit.min(u64::try_from(gas).unwrap_or(u64::MAX)))
    }

    fn succeeds(&self, gas_limit: u64) -> Result<bool, RpcError> {
        match self.run(gas_limit) {
            Ok(result) => Ok(result.is_success()),
            // Below the intrinsic cost.
            Err(error) if error.code == SERVER => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Between what it used, which may be too little, and `enough`.
    fn search(&self, used: u64, mut enough: u64) -> Result<u64, RpcError> {
        let mut too_little = used.saturating_sub(1);
        // Most messages need no more than this: the 63/64 rule and a stipend.
        let likely = (used + CALL_STIPEND).saturating_mul(64) / 63;
        if likely < enough {
            if self.succeeds(likely)? { enough = likely } else { too_little = likely }
        }
        while enough - too_little > 1 && (enough - too_little) > enough / ESTIMATE_PRECISION {
            let middle = too_little + (enough - too_little) / 2;
            if self.succeeds(middle)? { enough = middle } else { too_little = middle }
        }
        Ok(enough)
    }
}

fn message_of(
    request: TransactionRequest,
    header: &Header,
    chain_id: u64,
) -> Result<TxEnv, RpcError> {
    if request.gas_price.is_some() && request.max_fee_per_gas.is_some() {
        return Err(RpcError::params("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas)"));
    }
    let authorizations = request.authorization_list.unwrap_or_default();
    let tip = request.max_priority_fee_per_gas;
    let tx_type = match (authorizations.is_empty(), tip.or(request.max_fee_per_gas)) {
        (false, _) => 4,
        (true, Some(_)) => 2,
        (true, None) => u8::from(request.access_list.is_some()),
    };
    Ok(TxEnv {
        tx_type,
        caller: request.from.unwrap_or(Address::ZERO),
        gas_limit: request.gas.unwrap_or(header.gas_limit).min(header.gas_limit),
        gas_price: request.max_fee_per_gas.or(request.gas_price).or(tip).unwrap_or_default(),
        gas_priority_fee: (tx_type >= 2).then(|| tip.unwrap_or_default()),
        kind: request.to.unwrap_or_default(),
        value: request.value.unwrap_or_default(),
        data: request.input.into_input().unwrap_or_default(),
        chain_id: Some(request.chain_id.unwrap_or(chain_id)),
        access_list: request.access_list.unwrap_or_default(),
        authorization_list: authorizations
            .into_iter()
            .map(revm::context_interface::either::Either::Left)
            .collect(),
        ..TxEnv::default()
    })
}

fn halted(reason: &HaltReason) -> RpcError {
    let message = match reason {
        HaltReason::OutOfGas(_) => "out of gas".to_owned(),
        other => format!("execution halted: {other:?}"),
    };
    RpcError::new(SERVER, message)
}
