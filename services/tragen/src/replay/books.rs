//! The books of a recorded day, made again by the ledger's rules.

use std::collections::{BTreeMap, HashMap};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    execution::Fill,
    id::AccountId,
    instrument::SettlementTerms,
    ledger::{VenueId, Wallet, post_fill, post_refund, post_settlement},
    money::{Money, Price},
    order::OrderTerms,
    position::Position,
};

/// Every replayed wallet begins with so much beside what was paid in, so that the order in which fills and payments
/// reach an account does not matter; it is taken off again at the end.
const HEAD_START: Money = Money::from_micros(1 << 60);

/// Balances and positions, replayed and recorded.
#[derive(Debug, Default)]
pub(super) struct Books {
    wallets: HashMap<(String, String), Wallet>,
    positions: HashMap<(String, String), (Position, SettlementTerms)>,
    balances: BTreeMap<(String, String), Recorded>,
    held: BTreeMap<(String, String), (i64, i64)>,
}

/// A balance as the ledger told it last.
#[derive(Debug, Clone, Copy, Default)]
struct Recorded {
    version: i64,
    total: i64,
    /// Frozen accounts had something drawn from suspense; corrected ones had something booked backwards.
    is_special: bool,
}

/// Cash with margin of an account in one currency, 1e-6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cash {
    pub(super) replayed: i64,
    pub(super) recorded: i64,
    pub(super) is_comparable: bool,
}

impl Books {
    /// Books a fill; an error says why not.
    pub(super) fn fill(
        &mut self,
        account: &str,
        terms: &OrderTerms,
        settlement: &SettlementTerms,
        fill: &Fill,
    ) -> Result<(), String> {
        let wallet = self.wallet(account, settlement.currency.as_str());
        let key = (account.to_owned(), terms.instrument.to_string());
        let position = self.positions.get(&key).map_or_else(Position::default, |(position, _)| *position);
        let (owner, venue) = owner_and_venue(account)?;
        let posting = post_fill(&owner, &venue, (wallet, position), terms.side, fill, settlement)
            .map_err(|error| error.to_string())?;
        self.wallets.insert((account.to_owned(), settlement.currency.to_string()), posting.wallet);
        self.positions.insert(key, (posting.position, settlement.clone()));
        Ok(())
    }

    /// Takes cash that moved outside of trading.
    pub(super) fn cash(&mut self, cash: &v1::CashPosted) {
        let Some(account) = &cash.account else { return };
        let key = (account.account_id.clone(), account.currency.clone());
        let mut wallet = self.wallet(&key.0, &key.1);
        wallet.cash = wallet.cash.plus(Money::from_micros(cash.amount_micros)).unwrap_or(wallet.cash);
        self.wallets.insert(key.clone(), wallet);
        if cash.kind() == v1::CashKind::Correction {
            self.balances.entry(key).or_default().is_special = true;
        }
    }

    /// Pays out a position; the change of the cash, or why not.
    pub(super) fn settle(&mut self, settled: &v1::PositionSettled) -> Result<i64, String> {
        let key = (settled.account_id.clone(), settled.instrument_id.clone());
        let Some((position, terms)) = self.positions.get(&key).cloned() else {
            return Err("nothing is held".to_owned());
        };
        let wallet = self.wallet(&key.0, terms.currency.as_str());
        let (owner, venue) = owner_and_venue(&key.0)?;
        let posting = if settled.is_void {
            post_refund(&owner, &venue, (wallet, position), &terms)
        } else {
            post_settlement(&owner, &venue, (wallet, position), Price::from_micros(settled.value_micros), &terms)
        };
        let posting = posting.map_err(|error| error.to_string())?;
        let change = posting.wallet.cash.minus(wallet.cash).map_err(|error| error.to_string())?;
        self.wallets.insert((key.0.clone(), terms.currency.to_string()), posting.wallet);
        self.positions.insert(key, (posting.position, terms));
        Ok(change.micros())
    }

    /// Remembers the newest balances and positions that the ledger told.
    pub(super) fn note(&mut self, balances: &[v1::BalanceChanged], positions: &[v1::PositionChanged]) {
        for account in balances.iter().filter_map(|own| own.account.as_ref()) {
            let own = self.balances.entry((account.account_id.clone(), account.currency.clone())).or_default();
            own.is_special |= account.is_frozen;
            if account.version >= own.version {
                own.version = account.version;
                own.total = account.cash_micros.saturating_add(account.margin_micros);
            }
        }
        for own in positions {
            let Some(position) = &own.position else { continue };
            let kept = self.held.entry((own.account_id.clone(), position.instrument_id.clone())).or_default();
            if own.account_version >= kept.0 {
                *kept = (own.account_version, position.quantity_micros);
            }
        }
    }

    /// Every balance that the ledger told, sorted.
    pub(super) fn balances(&self) -> impl Iterator<Item = ((String, String), Cash)> {
        self.balances.iter().map(|(key, own)| {
            let wallet = self.wallets.get(key).copied().unwrap_or(Wallet { cash: HEAD_START, ..Wallet::default() });
            let total = wallet.cash.plus(wallet.margin).and_then(|total| total.minus(HEAD_START));
            let replayed = total.map_or(i64::MIN, Money::micros);
            (key.clone(), Cash { replayed, recorded: own.total, is_comparable: !own.is_special })
        })
    }

    /// Every position that the ledger told, sorted: quantities replayed and recorded, 1e-6.
    pub(super) fn positions(&self) -> impl Iterator<Item = ((String, String), (i64, i64))> {
        let is_special = |account: &str| self.balances.iter().any(|((own, _), kept)| own == account && kept.is_special);
        self.held.iter().filter(move |((account, _), _)| !is_special(account)).map(|(key, (_, recorded))| {
            let replayed = self.positions.get(key).map_or(0, |(position, _)| position.quantity.micros());
            (key.clone(), (replayed, *recorded))
        })
    }

    fn wallet(&self, account: &str, currency: &str) -> Wallet {
        let key = (account.to_owned(), currency.to_owned());
        self.wallets.get(&key).copied().unwrap_or(Wallet { cash: HEAD_START, ..Wallet::default() })
    }
}

fn owner_and_venue(account: &str) -> Result<(AccountId, VenueId), String> {
    let owner = convert::id("account_id", account).map_err(|error| error.to_string())?;
    let venue = convert::id("venue", "replay").map_err(|error| error.to_string())?;
    Ok((owner, venue))
}
