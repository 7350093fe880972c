//! Reports of every kind of booking, and sums of the books that are taken with
//! SQL alone: by other means than the ledger's own verification.

use super::rig::{Kind, Rig, key, report, with};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, postgres::PgConnectOptions};
use std::{collections::BTreeMap, str::FromStr as _, time::Instant};
use tragen_contracts::v1::{self, Side, TradeStatus, booking, settlement::Outcome};

/// The tables of one shard, read behind the ledger's back.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    pub(crate) url: String,
    pub(crate) shard: u16,
}

impl Tables {
    /// Of a ledger with one shard.
    pub(crate) fn of(rig: &Rig) -> Self {
        Self { url: rig.url.clone(), shard: 0 }
    }

    fn kind(&self) -> Kind {
        if self.url.starts_with("sqlite") { Kind::Sqlite } else { Kind::Postgres }
    }

    async fn postgres(&self) -> sqlx::PgConnection {
        let options = PgConnectOptions::from_str(&self.url).expect("a url");
        let schema = format!("shard_{}", self.shard);
        options.options([("search_path", schema)]).connect().await.expect("a connection")
    }

    /// What `select` gives: a text and a number in each row.
    pub(crate) async fn rows(&self, select: &str) -> Vec<(String, i64)> {
        let text = AssertSqlSafe(select.to_owned());
        match self.kind() {
            Kind::Sqlite => {
                let mut db = sqlx::SqliteConnection::connect(&self.url).await.expect("a connection");
                let rows = sqlx::query(text).fetch_all(&mut db).await.expect("valid SQL");
                rows.iter().map(|row| (row.get(0), row.get(1))).collect()
            }
            Kind::Postgres => {
                let rows = sqlx::query(text).fetch_all(&mut self.postgres().await).await.expect("valid SQL");
                rows.iter().map(|row| (row.get(0), row.get(1))).collect()
            }
        }
    }

    /// The number that `select` gives.
    pub(crate) async fn number(&self, select: &str) -> i64 {
        let rows = self.rows(&format!("SELECT '', CAST(({select}) AS bigint)")).await;
        rows.first().expect("a row").1
    }

    /// Changes the tables.
    pub(crate) async fn change(&self, text: &str) {
        let text = AssertSqlSafe(text.to_owned());
        match self.kind() {
            Kind::Sqlite => {
                let mut db = sqlx::SqliteConnection::connect(&self.url).await.expect("a connection");
                sqlx::raw_sql(text).execute(&mut db).await.expect("valid SQL");
            }
            Kind::Postgres => {
                sqlx::raw_sql(text).execute(&mut self.postgres().await).await.expect("valid SQL");
            }
        }
    }

    /// Waits until `select` gives `expected`.
    pub(crate) async fn wait_for(&self, select: &str, expected: i64) {
        let started = Instant::now();
        loop {
            let actual = self.number(select).await;
            if actual == expected {
                return;
            }
            assert!(started.elapsed() < super::rig::PATIENCE, "{select} is {actual}, not {expected}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// What every ledger account holds by the transfers alone; those that hold nothing are left out.
    pub(crate) async fn balances(&self) -> BTreeMap<String, i64> {
        let select = "SELECT account, CAST(SUM(amount) AS bigint) FROM
            (SELECT credit_account AS account, amount FROM transfer
             UNION ALL SELECT debit_account, -amount FROM transfer) AS sides
            GROUP BY account HAVING SUM(amount) <> 0";
        self.rows(select).await.into_iter().collect()
    }

    /// What the table of wallets says, under the names of the ledger accounts.
    pub(crate) async fn wallets(&self) -> BTreeMap<String, i64> {
        let select = "SELECT 'wallet/' || account_id || '/' || currency, cash FROM wallet WHERE cash <> 0
            UNION ALL SELECT 'margin/' || account_id || '/' || currency, margin FROM wallet WHERE margin <> 0";
        self.rows(select).await.into_iter().collect()
    }

    /// Everything that must follow from everything else, summed up without the ledger's rules.
    pub(crate) async fn check_sums(&self) {
        let balances = self.balances().await;
        let total: i128 = balances.values().map(|balance| i128::from(*balance)).sum();
        assert_eq!(total, 0, "{balances:?}");
        let is_own = |name: &&String| name.starts_with("wallet/") || name.starts_with("margin/");
        let own: BTreeMap<_, _> = balances.iter().filter(|(name, _)| is_own(name)).collect();
        let wallets = self.wallets().await;
        assert_eq!(own, wallets.iter().collect(), "the wallets are not what the transfers make");
        let held = "SELECT 'margin/' || account_id || '/' || currency, CAST(SUM(margin) AS bigint) FROM position
            GROUP BY account_id, currency HAVING SUM(margin) <> 0";
        let held: BTreeMap<_, _> = self.rows(held).await.into_iter().collect();
        let margins = wallets.into_iter().filter(|(name, _)| name.starts_with("margin/"));
        assert_eq!(held, margins.collect(), "the margins are not those of the positions");
        for (name, balance) in &balances {
            let route = name.strip_prefix("between/").and_then(|rest| rest.split('/').next());
            let is_inside = route.and_then(|route| route.split_once('-')).is_some_and(|(from, to)| from == to);
            assert!(!is_inside, "{balance} lie in {name}");
        }
        let postings = "SELECT posting_sequence FROM execution WHERE posting_sequence IS NOT NULL
            UNION ALL SELECT posting_sequence FROM cash_movement WHERE posting_sequence IS NOT NULL
            UNION ALL SELECT posting_sequence FROM payout UNION ALL SELECT posting_sequence FROM moved_wallet";
        let facts = "SELECT fact_sequence FROM trade WHERE fact_sequence > 0
            UNION ALL SELECT fact_sequence FROM cash_movement WHERE fact_sequence > 0
            UNION ALL SELECT fact_sequence FROM payout WHERE fact_sequence > 0";
        for (name, sequences) in [("posting_sequence", postings), ("fact_sequence", facts)] {
            let select = |what: &str| format!("SELECT {what} FROM ({sequences}) AS numbers");
            let count = self.number(&select("COUNT(*)")).await;
            assert_eq!(self.number(&select(&format!("COUNT(DISTINCT {name})"))).await, count, "{name} repeats");
            let newest = self.number(&select(&format!("COALESCE(MAX({name}), 0)"))).await;
            assert_eq!(self.number(&format!("SELECT {name} FROM shard")).await, newest, "{name} of the shard");
            if name == "posting_sequence" {
                assert_eq!(count, newest, "{name} has gaps");
            }
        }
        let transfers = self.number("SELECT COUNT(*) FROM transfer").await;
        assert_eq!(self.number("SELECT COALESCE(MAX(sequence), 0) FROM transfer").await, transfers);
        assert_eq!(self.number("SELECT transfer_sequence FROM shard").await, transfers);
        assert_eq!(self.number("SELECT COUNT(*) FROM wallet WHERE cash < 0 OR margin < 0").await, 0);
    }

    /// Every number that a repeat must not change.
    pub(crate) async fn numbers(&self) -> Vec<(String, i64)> {
        let mut numbers = Vec::new();
        for table in ["trade", "execution", "transfer", "cash_movement", "payout", "settlement", "batch"] {
            numbers.push((table.to_owned(), self.number(&format!("SELECT COUNT(*) FROM {table}")).await));
        }
        numbers.push(("fact".to_owned(), self.number("SELECT fact_sequence FROM shard").await));
        numbers.extend(self.wallets().await);
        let positions = "SELECT account_id || '/' || instrument_id, quantity + entry_notional * 3 + realized_pnl * 7
            FROM position ORDER BY account_id, instrument_id";
        numbers.extend(self.rows(positions).await);
        let versions = "SELECT account_id || '/' || currency, version FROM wallet ORDER BY account_id, currency";
        numbers.extend(self.rows(versions).await);
        numbers
    }
}

/// Checks the sums with SQL, then lets the ledger verify itself.
pub(crate) async fn balanced(rig: &Rig) {
    Tables::of(rig).check_sums().await;
    rig.verified().await;
}

/// Balances as `name amount`, amounts in micros.
pub(crate) fn amounts(expected: &[(&str, i64)]) -> BTreeMap<String, i64> {
    expected.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect()
}

/// Waits for a fact that `is_it` takes.
pub(crate) async fn heard(rig: &mut Rig, is_it: impl Fn(&v1::LedgerFact) -> bool) -> v1::LedgerFact {
    loop {
        if let Some(fact) = rig.facts().await.into_iter().find(|fact| is_it(fact)) {
            return fact;
        }
    }
}

/// Waits for the cash movement that was asked for as `request_id`.
pub(crate) async fn heard_cash(rig: &mut Rig, account: &str, request_id: &str) -> v1::CashPosted {
    let is_it = |fact: &v1::LedgerFact| {
        matches!(&fact.kind, Some(v1::ledger_fact::Kind::Cash(cash)) if cash.request_id == request_id
            && cash.account.as_ref().is_some_and(|own| own.account_id == account))
    };
    super::rig::cash_of(&heard(rig, is_it).await)
}

/// The code of a denial and what its message begins with.
pub(crate) fn denial(cash: &v1::CashPosted) -> Option<(v1::DenialCode, &str)> {
    let denial = cash.denial.as_ref()?;
    Some((denial.code(), denial.message.split(':').next().unwrap_or_default()))
}

fn cash_report(account: &str, request_id: &str, kind: v1::execution_report::Kind) -> v1::ExecutionReport {
    v1::ExecutionReport {
        meta: Some(v1::Meta { event_id: uuid::Uuid::now_v7().to_string(), ..v1::Meta::default() }),
        key: Some(key(account, request_id)),
        kind: Some(kind),
    }
}

/// A withdrawal that the guard has approved, in any currency.
pub(crate) fn taken_out(account: &str, request_id: &str, amount_micros: i64, currency: &str) -> v1::ExecutionReport {
    let withdrawal =
        v1::WithdrawalReport { amount_micros, currency: currency.to_owned(), ..v1::WithdrawalReport::default() };
    cash_report(account, request_id, v1::execution_report::Kind::Withdrawal(withdrawal))
}

/// Money sent to another account, as the guard has decided.
pub(crate) fn sending(
    account: &str,
    request_id: &str,
    (to, amount_micros): (&str, i64),
    denial: Option<v1::Denial>,
) -> v1::ExecutionReport {
    let sending =
        v1::WithdrawalReport { amount_micros, currency: "USD".to_owned(), denial, to_account_id: to.to_owned() };
    cash_report(account, request_id, v1::execution_report::Kind::Withdrawal(sending))
}

/// A booking that two people stand behind; `account` is empty for a settlement.
pub(crate) fn booking(account: &str, name: &str, kind: booking::Kind) -> v1::ExecutionReport {
    let booking = v1::Booking {
        kind: Some(kind),
        reason: "because".to_owned(),
        proposed_by: "ann".to_owned(),
        confirmed_by: "ben".to_owned(),
    };
    cash_report(account, name, v1::execution_report::Kind::Booking(booking))
}

/// Cash put right.
pub(crate) fn adjustment(account: &str, name: &str, amount_micros: i64) -> v1::ExecutionReport {
    let kind = v1::Adjustment { account_id: account.to_owned(), currency: "USD".to_owned(), amount_micros };
    booking(account, name, booking::Kind::Adjustment(kind))
}

/// Something booked backwards.
pub(crate) fn correction(account: &str, name: &str, reference_id: &str) -> v1::ExecutionReport {
    let kind = v1::Correction { account_id: account.to_owned(), reference_id: reference_id.to_owned() };
    booking(account, name, booking::Kind::Correction(kind))
}

/// An account unfrozen.
pub(crate) fn unfreezing(account: &str, name: &str) -> v1::ExecutionReport {
    let kind = v1::Unfreezing { account_id: account.to_owned(), currency: "USD".to_owned() };
    booking(account, name, booking::Kind::Unfreezing(kind))
}

/// A market decided; void without a value.
pub(crate) fn settlement(name: &str, instrument: &str, value_micros: Option<i64>) -> v1::ExecutionReport {
    let outcome = value_micros.map_or(Outcome::IsVoid(true), Outcome::ValueMicros);
    let kind = v1::Settlement { instrument_id: instrument.to_owned(), outcome: Some(outcome) };
    booking("", name, booking::Kind::Settlement(kind))
}

/// The booking changed before it is reported.
pub(crate) fn but(mut report: v1::ExecutionReport, change: impl Fn(&mut v1::Booking)) -> v1::ExecutionReport {
    if let Some(v1::execution_report::Kind::Booking(booking)) = &mut report.kind {
        change(booking);
    }
    report
}

/// What an order is about, and how it is paid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Market<'a> {
    pub(crate) instrument: &'a str,
    pub(crate) style: v1::SettlementStyle,
    pub(crate) currency: &'a str,
    pub(crate) margin_ppm: i64,
}

impl<'a> Market<'a> {
    pub(crate) const fn prediction(instrument: &'a str) -> Self {
        Self { instrument, style: v1::SettlementStyle::Prediction, currency: "USD", margin_ppm: 0 }
    }

    pub(crate) const fn margined(instrument: &'a str) -> Self {
        Self { instrument, style: v1::SettlementStyle::Margined, currency: "USD", margin_ppm: 100_000 }
    }

    pub(crate) const fn spot(instrument: &'a str) -> Self {
        Self { instrument, style: v1::SettlementStyle::Spot, currency: "USD", margin_ppm: 0 }
    }
}

/// A filled order on `market`.
pub(crate) fn traded(
    market: Market<'_>,
    (account, request_id): (&str, &str),
    side: Side,
    fills: Vec<v1::Fill>,
) -> v1::ExecutionReport {
    with(report(account, request_id, side, TradeStatus::Filled, fills), |trade| {
        if let (Some(terms), Some(settlement)) = (&mut trade.terms, &mut trade.settlement) {
            terms.instrument_id = market.instrument.to_owned();
            terms.limit_price_micros =
                if market.style == v1::SettlementStyle::Prediction { 600_000 } else { 1_000_000 };
            settlement.style = market.style.into();
            settlement.currency = market.currency.to_owned();
            settlement.initial_margin_ppm = market.margin_ppm;
        }
    })
}
