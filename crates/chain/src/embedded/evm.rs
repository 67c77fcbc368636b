//! Running transactions: revm over a committed state and the changes of the block being built.

use std::collections::{BTreeMap, HashMap};

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{Header, Transaction, TxEnvelope, Typed2718};
use alloy_primitives::{Address, B256, U256};
use revm::bytecode::Bytecode;
use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction};
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::hardfork::SpecId;
use revm::state::{Account, AccountInfo, EvmState};
use revm::{Database, ExecuteEvm, MainBuilder, MainContext};

use super::tables::View;
use crate::{Error, Rejection, Result};

/// The rules that every block follows.
pub(crate) const SPEC: SpecId = SpecId::PRAGUE;

/// How a message is run when it is not a signed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// A transaction: every check.
    Transaction,
    /// `eth_call` and `eth_estimateGas`: no nonce, any sender, fees only where they were given.
    Simulation,
}

/// A committed state with changes on top that only this value sees.
pub(crate) struct Overlay<'a> {
    base: &'a View,
    accounts: HashMap<Address, Option<AccountInfo>>,
    storage: HashMap<Address, Slots>,
    code: HashMap<B256, Bytecode>,
}

#[derive(Default)]
struct Slots {
    /// The account was created or destroyed in this block: nothing below shows through.
    wiped: bool,
    values: BTreeMap<U256, U256>,
}

/// What a block changed, in the order in which it is written.
#[derive(Default)]
pub(crate) struct Changes {
    /// Accounts whose stored slots all go.
    pub(crate) wiped: Vec<Address>,
    /// Slots and their new values; zero removes.
    pub(crate) slots: Vec<(Address, U256, U256)>,
    /// Accounts as they are now; none removes.
    pub(crate) accounts: Vec<(Address, Option<AccountInfo>)>,
    /// New code by hash.
    pub(crate) code: Vec<(B256, Bytecode)>,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a View) -> Self {
        Self { base, accounts: HashMap::new(), storage: HashMap::new(), code: HashMap::new() }
    }

    pub(crate) fn nonce(&mut self, address: Address) -> Result<u64> {
        Ok(self.basic(address)?.map_or(0, |info| info.nonce))
    }

    /// Sets a slot outside any transaction, as a system call would.
    pub(crate) fn set_slot(&mut self, address: Address, slot: U256, value: U256) -> Result<()> {
        if let Some(info) = self.basic(address)? {
            self.accounts.insert(address, Some(info));
        }
        self.storage.entry(address).or_default().values.insert(slot, value);
        Ok(())
    }

    /// Runs one message in a block that begins with `header`, and forgets its effects.
    pub(crate) fn run(
        &mut self,
        header: &Header,
        chain_id: u64,
        message: TxEnv,
        rules: Rules,
    ) -> Result<(ExecutionResult, EvmState), EvmFailure> {
        let outcome = Context::mainnet()
            .with_db(&mut *self)
            .with_cfg(configuration(chain_id, rules, message.gas_price))
            .with_block(block_environment(header))
            .build_mainnet()
            .transact(message);
        match outcome {
            Ok(done) => Ok((done.result, done.state)),
            Err(EVMError::Transaction(invalid)) => Err(EvmFailure::Invalid(invalid)),
            Err(EVMError::Database(error)) => Err(EvmFailure::Stopped(error)),
            Err(other) => Err(EvmFailure::Stopped(Error::corrupt(other.to_string()))),
        }
    }

    /// Keeps what [`Overlay::run`] gave back.
    pub(crate) fn apply(&mut self, state: EvmState) {
        for (address, account) in state {
            if account.is_touched() {
                self.apply_account(address, account);
            }
        }
    }

    fn apply_account(&mut self, address: Address, account: Account) {
        let slots = self.storage.entry(address).or_default();
        if account.is_selfdestructed() || account.is_empty() {
            *slots = Slots { wiped: true, values: BTreeMap::new() };
            self.accounts.insert(address, None);
            return;
        }
        if account.is_created() {
            *slots = Slots { wiped: true, values: BTreeMap::new() };
        }
        for (slot, value) in account.changed_storage_slots() {
            slots.values.insert(*slot, value.present_value());
        }
        let mut info = account.info;
        if let Some(code) = info.code.take().filter(|code| !code.is_empty()) {
            self.code.insert(info.code_hash, code);
        }
        self.accounts.insert(address, Some(info));
    }

    /// Everything that differs from the base, in a fixed order.
    pub(crate) fn into_changes(self) -> Changes {
        let mut changes = Changes::default();
        for (address, slots) in self.storage {
            if slots.wiped {
                changes.wiped.push(address);
            }
            changes
                .slots
                .extend(slots.values.into_iter().map(|(slot, value)| (address, slot, value)));
        }
        changes.accounts = self.accounts.into_iter().collect();
        changes.code = self.code.into_iter().collect();
        changes.wiped.sort_unstable();
        changes.slots.sort_unstable();
        changes.accounts.sort_unstable_by_key(|(address, _)| *address);
        changes.code.sort_unstable_by_key(|(hash, _)| *hash);
        changes
    }
}

impl Database for Overlay<'_> {
    type Error = Error;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>> {
        match self.accounts.get(&address) {
            Some(info) => Ok(info.clone()),
            None => self.base.account(address),
        }
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode> {
        match self.code.get(&hash) {
            Some(code) => Ok(code.clone()),
            None => self.base.code(hash),
        }
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256> {
        if let Some(slots) = self.storage.get(&address) {
            if let Some(value) = slots.values.get(&slot) {
                return Ok(*value);
            }
            if slots.wiped {
                return Ok(U256::ZERO);
            }
        }
        self.base.slot(address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256> {
        Ok(self.base.header(number)?.map_or(B256::ZERO, |sealed| sealed.hash))
    }
}

/// Why a message could not be run at all.
pub(crate) enum EvmFailure {
    /// The message breaks a rule.
    Invalid(InvalidTransaction),
    /// The state could not be read.
    Stopped(Error),
}

/// A signed transaction as the EVM takes it.
pub(crate) fn message_of(transaction: &Recovered<TxEnvelope>) -> TxEnv {
    TxEnv {
        tx_type: transaction.ty(),
        caller: transaction.signer(),
        gas_limit: transaction.gas_limit(),
        gas_price: transaction.max_fee_per_gas(),
        gas_priority_fee: transaction.max_priority_fee_per_gas(),
        kind: transaction.kind(),
        value: transaction.value(),
        data: transaction.input().clone(),
        nonce: transaction.nonce(),
        chain_id: transaction.chain_id(),
        access_list: transaction.access_list().cloned().unwrap_or_default(),
        authorization_list: transaction
            .authorization_list()
            .unwrap_or_default()
            .iter()
            .cloned()
            .map(revm::context_interface::either::Either::Left)
            .collect(),
        ..TxEnv::default()
    }
}

/// The refusal that geth would answer.
pub(crate) fn rejection_of(
    invalid: InvalidTransaction,
    message: &TxEnv,
    header: &Header,
) -> Rejection {
    match invalid {
        InvalidTransaction::NonceTooLow { tx, state } => {
            Rejection::NonceTooLow { expected: state, found: tx }
        }
        InvalidTransaction::NonceTooHigh { tx, state } => {
            Rejection::NonceTooHigh { expected: state, found: tx }
        }
        InvalidTransaction::LackOfFundForMaxFee { .. } => {
            Rejection::Funds { sender: message.caller }
        }
        InvalidTransaction::CallerGasLimitMoreThanBlock => {
            Rejection::BlockGas { gas: message.gas_limit, limit: header.gas_limit }
        }
        InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas: needed, gas_limit: gas }
        | InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor: needed, gas_limit: gas } => {
            Rejection::IntrinsicGas { gas, needed }
        }
        InvalidTransaction::GasPriceLessThanBasefee => {
            Rejection::FeeCap { base_fee: header.base_fee_per_gas.unwrap_or_default() }
        }
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => Rejection::Tip,
        InvalidTransaction::CreateInitCodeSizeLimit => Rejection::InitCode,
        InvalidTransaction::RejectCallerWithCode => Rejection::SenderHasCode,
        other => Rejection::Other(other.to_string()),
    }
}

fn configuration(chain_id: u64, rules: Rules, gas_price: u128) -> CfgEnv {
    let mut configuration = CfgEnv::new_with_spec(SPEC);
    configuration.chain_id = chain_id;
    if rules == Rules::Simulation {
        configuration.disable_nonce_check = true;
        configuration.disable_eip3607 = true;
        // A caller that names no price runs for nothing, as with geth.
        configuration.disable_base_fee = gas_price == 0;
    }
    configuration
}

fn block_environment(header: &Header) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        difficulty: U256::ZERO,
        prevrandao: Some(header.mix_hash),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(
            0,
            revm::primitives::eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE,
        )),
        slot_num: 0,
    }
}
