//! Wallets and positions as they are stored, against the sums of what was posted.

use super::{Finding, Known, Limits, Seen, Watch, history::is_of_account};
use crate::{
    store::{
        rows::{PositionRow, WalletRow},
        session::{Arg, Sql},
    },
    verify::{Found, read::Snapshot},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};
use tragen_domain::money::Money;

/// Accounts compared at once.
const AT_ONCE: usize = 500;

const WALLETS: Sql = Sql::new(
    "SELECT * FROM wallet WHERE account_id IN (SELECT value FROM json_each($1))",
    "SELECT * FROM wallet WHERE account_id = ANY($1)",
);
const POSITIONS: Sql = Sql::new(
    "SELECT * FROM position WHERE account_id IN (SELECT value FROM json_each($1))",
    "SELECT * FROM position WHERE account_id = ANY($1)",
);
// A text: the sum may not fit 64 bits.
const SUMS: Sql = Sql::new(
    "SELECT account_id, debit_account, credit_account, CAST(SUM(amount) AS TEXT) AS amount FROM transfer
     WHERE account_id IN (SELECT value FROM json_each($1)) GROUP BY account_id, debit_account, credit_account",
    "SELECT account_id, debit_account, credit_account, CAST(SUM(amount) AS TEXT) AS amount FROM transfer
     WHERE account_id = ANY($1) GROUP BY account_id, debit_account, credit_account",
);
const NEXT: Sql =
    Sql::same("SELECT DISTINCT account_id FROM wallet WHERE account_id > $1 ORDER BY account_id LIMIT $2");

impl Watch {
    /// Compares the accounts that were touched, then some of the others in turn.
    pub(super) fn accounts(
        &mut self,
        snapshot: &mut Snapshot,
        (limits, ends): (Limits, Instant),
        seen: &mut Seen,
    ) -> Result<(), Found> {
        let mut left = limits.accounts_max;
        // What is not reached now is the first thing of the next round.
        while !self.queue.is_empty() && left > 0 && Instant::now() < ends {
            let some: Vec<String> = self.queue.iter().take(AT_ONCE).cloned().collect();
            left = left.saturating_sub(self.compare(snapshot, &some, limits, seen)?);
            some.iter().for_each(|account| {
                self.queue.remove(account);
            });
        }
        let mut rest = limits.accounts_max;
        while rest > 0 && Instant::now() < ends {
            let size = i64::try_from(rest.min(AT_ONCE)).unwrap_or(i64::MAX);
            let some: Vec<(String,)> = snapshot.rows(NEXT, &[Arg::Text(&self.rotation), Arg::Int(size)])?;
            let some: Vec<String> = some.into_iter().map(|(account,)| account).collect();
            let Some(last) = some.last() else {
                // The next round begins with the first account again.
                self.rotation.clear();
                break;
            };
            self.rotation.clone_from(last);
            self.compare(snapshot, &some, limits, seen)?;
            rest = rest.saturating_sub(some.len());
        }
        Ok(())
    }

    /// Compares `accounts`; returns how many had to be summed up from the beginning.
    fn compare(
        &mut self,
        snapshot: &mut Snapshot,
        accounts: &[String],
        limits: Limits,
        seen: &mut Seen,
    ) -> Result<usize, Found> {
        let new: Vec<String> = accounts.iter().filter(|id| !self.known.contains_key(*id)).cloned().collect();
        let mut sums: HashMap<String, Known> = new.iter().map(|id| (id.clone(), Known::default())).collect();
        if !new.is_empty() {
            for (account, debit, credit, amount) in
                snapshot.rows::<(String, String, String, String)>(SUMS, &[Arg::Texts(&new)])?
            {
                let amount: i128 = amount.parse().map_err(anyhow::Error::new)?;
                let Some(known) = sums.get_mut(&account) else { continue };
                for (name, change) in [(debit, -amount), (credit, amount)] {
                    if is_of_account(&name) {
                        *known.balances.entry(name).or_default() += change;
                    }
                }
            }
        }
        let wallets: Vec<WalletRow> = snapshot.rows(WALLETS, &[Arg::Texts(accounts)])?;
        let positions: Vec<PositionRow> = snapshot.rows(POSITIONS, &[Arg::Texts(accounts)])?;
        for (account, known) in &mut sums {
            let own = positions.iter().filter(|row| row.account_id == *account);
            known.positions =
                own.map(|row| (row.instrument_id.clone(), (row.quantity.into(), row.fees.into()))).collect();
        }
        let stored = Stored::new(&wallets, &positions);
        for account in accounts {
            let Some(known) = sums.get(account).or_else(|| self.known.get(account)) else { continue };
            seen.findings.extend(stored.difference(account, known));
        }
        if self.known.len() + sums.len() <= limits.remembered_max {
            self.known.extend(sums);
        }
        seen.accounts += u64::try_from(accounts.len()).unwrap_or(u64::MAX);
        Ok(new.len())
    }
}

/// What the tables say of some accounts, under the names of the ledger accounts.
struct Stored<'a> {
    balances: BTreeMap<&'a str, BTreeMap<String, i128>>,
    /// Margins of an account's positions by the name of its margin account.
    margins: BTreeMap<&'a str, BTreeMap<String, i128>>,
    positions: BTreeMap<&'a str, BTreeMap<&'a str, (i128, i128)>>,
}

impl<'a> Stored<'a> {
    fn new(wallets: &'a [WalletRow], positions: &'a [PositionRow]) -> Self {
        let mut stored = Self { balances: BTreeMap::new(), margins: BTreeMap::new(), positions: BTreeMap::new() };
        for row in wallets {
            let own = stored.balances.entry(&row.account_id).or_default();
            own.insert(format!("wallet/{}/{}", row.account_id, row.currency), row.cash.into());
            own.insert(format!("margin/{}/{}", row.account_id, row.currency), row.margin.into());
        }
        for row in positions {
            let name = format!("margin/{}/{}", row.account_id, row.currency);
            *stored.margins.entry(&row.account_id).or_default().entry(name).or_default() += i128::from(row.margin);
            let own = stored.positions.entry(&row.account_id).or_default();
            own.insert(&row.instrument_id, (row.quantity.into(), row.fees.into()));
        }
        stored
    }

    /// What of `account` is not what was posted.
    fn difference(&self, account: &str, known: &Known) -> Option<Finding> {
        let none = BTreeMap::new();
        let balances = self.balances.get(account).unwrap_or(&none);
        let names: BTreeSet<&String> = known.balances.keys().chain(balances.keys()).collect();
        for name in names {
            let (stored, posted) = (amount(balances.get(name)), amount(known.balances.get(name)));
            if stored != posted {
                let message = format!("{name} is {}, its transfers make {}", money(stored), money(posted));
                return Some(Finding::of_account(account, name, message));
            }
        }
        let margins = self.margins.get(account).unwrap_or(&none);
        for (name, held) in balances.iter().filter(|(name, _)| name.starts_with("margin/")) {
            let margin = amount(margins.get(name));
            if margin != *held {
                let message = format!("{name} is {}, the account's positions hold {}", money(*held), money(margin));
                return Some(Finding::of_account(account, &format!("positions-{name}"), message));
            }
        }
        let nothing = BTreeMap::new();
        let positions = self.positions.get(account).unwrap_or(&nothing);
        let names: BTreeSet<&str> =
            known.positions.keys().map(String::as_str).chain(positions.keys().copied()).collect();
        for name in names {
            let stored = positions.get(name).copied().unwrap_or_default();
            let posted = known.positions.get(name).copied().unwrap_or_default();
            if stored != posted {
                let (held, made) = (money(stored.0), money(posted.0));
                let message =
                    format!("{account} holds {held} of {name}, what was posted makes {made}, or its fees differ");
                return Some(Finding::of_account(account, name, message));
            }
        }
        None
    }
}

fn amount(found: Option<&i128>) -> i128 {
    found.copied().unwrap_or_default()
}

/// For a person; what does not fit is shown in micros.
fn money(micros: i128) -> String {
    i64::try_from(micros).map_or_else(|_| format!("{micros} micros"), |micros| Money::from_micros(micros).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wallet(cash: i64, margin: i64) -> WalletRow {
        WalletRow { account_id: "alice".to_owned(), currency: "USD".to_owned(), cash, margin, ..WalletRow::default() }
    }

    fn position(quantity: i64, margin: i64) -> PositionRow {
        PositionRow {
            account_id: "alice".to_owned(),
            instrument_id: "BTCUSD".to_owned(),
            currency: "USD".to_owned(),
            quantity,
            margin,
            ..PositionRow::default()
        }
    }

    /// What is wrong with what is stored, when 10 in cash, 4 as margin and 2 of an instrument were posted.
    fn check(wallets: &[WalletRow], positions: &[PositionRow], expected: Option<&str>) {
        let balances = [("wallet/alice/USD".to_owned(), 10), ("margin/alice/USD".to_owned(), 4)];
        let positions_known = [("BTCUSD".to_owned(), (2, 0))];
        let known = Known { balances: balances.into(), positions: positions_known.into() };
        let found = Stored::new(wallets, positions).difference("alice", &known);
        assert_eq!(found.map(|finding| finding.id), expected.map(|what| format!("alice-{what}")));
    }

    #[test]
    fn what_is_stored_is_what_was_posted() {
        check(&[wallet(10, 4)], &[position(2, 4)], None);
        check(&[wallet(11, 4)], &[position(2, 4)], Some("wallet/alice/USD"));
        check(&[wallet(10, 5)], &[position(2, 4)], Some("margin/alice/USD"));
        check(&[], &[position(2, 4)], Some("margin/alice/USD"));
        check(&[wallet(10, 4)], &[position(2, 3)], Some("positions-margin/alice/USD"));
        check(&[wallet(10, 4)], &[position(3, 4)], Some("BTCUSD"));
        let other = PositionRow { instrument_id: "EURUSD".to_owned(), margin: 4, ..position(1, 0) };
        check(&[wallet(10, 4)], &[position(2, 0), other], Some("EURUSD"));
    }
}
