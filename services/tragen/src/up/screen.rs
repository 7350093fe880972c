//! What a person sees: every trade on a line as it happens, as long as a person can
//! follow, and every few seconds what the agents' accounts are worth. All of it
//! through the public API.

use super::equity::{Marked, equity, mark};
use crate::{
    api::{Api, Bearer, ask},
    cli::trade_line,
    output::print,
};
use anyhow::Context as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval_at};
use tonic::Request;
use tracing::warn;
use tragen_contracts::v1;
use tragen_domain::{
    id::AccountId,
    money::{Money, Price},
    tier::Tier,
};
use tragen_host::{Context, retry::Backoff};
use tragen_router::token::{Claims, Keys, Role};

/// How often the accounts are looked at.
const EQUITY_EVERY: Duration = Duration::from_secs(5);
/// Most agent accounts shown.
const ACCOUNTS_MAX: usize = 20;

/// Most lines about trades within [`PACE_OVER`]: more nobody reads, and each costs the platform.
const LINES_MAX: u64 = 50;
const PACE_OVER: Duration = Duration::from_secs(1);

/// Prints every change of every trade, as far as a person can follow, until the process stops.
pub(super) async fn trades(context: Context, api: Api) -> anyhow::Result<()> {
    let stopped = context.stopped();
    let watching = async {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            // The API ends a stream now and then; what happens meanwhile is not shown.
            if let Err(error) = watch(&api).await {
                if error.is::<std::io::Error>() {
                    return Err(error);
                }
                warn!("trades are not shown for a moment: {}", crate::explain::sentence(&error));
            }
            backoff.wait().await;
        }
    };
    tokio::select! { () = stopped => Ok(()), ended = watching => ended }
}

async fn watch(api: &Api) -> anyhow::Result<()> {
    let question = v1::WatchTradesRequest { is_all_accounts: true };
    let mut changes = api.trading().watch_trades(Request::new(question)).await?.into_inner();
    let mut pace = Pace { since: Instant::now(), lines: 0 };
    while let Some(change) = changes.message().await? {
        let Some(trade) = change.trade else { continue };
        let (is_shown, hidden) = pace.next(Instant::now());
        if hidden > 0 {
            show(format!("... and {hidden} more changes of trades in a second")).await?;
        }
        if is_shown {
            show(trade_line(&trade)).await?;
        }
    }
    Ok(())
}

/// Prints on a thread that may wait for whoever reads: the six services need the others. What a full disk does not
/// take is not shown.
async fn show(text: String) -> anyhow::Result<()> {
    let printed = tokio::task::spawn_blocking(move || print(&text)).await.context("printing")?;
    let is_full = |error: &anyhow::Error| {
        error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
    };
    if printed.as_ref().is_err_and(is_full) { Ok(()) } else { printed }
}

/// How many lines there were since when.
struct Pace {
    since: Instant,
    lines: u64,
}

impl Pace {
    /// Whether the line of `now` is shown, and how many before it were not and are to be spoken of.
    fn next(&mut self, now: Instant) -> (bool, u64) {
        let mut hidden = 0;
        if now.saturating_duration_since(self.since) >= PACE_OVER {
            hidden = self.lines.saturating_sub(LINES_MAX);
            *self = Self { since: now, lines: 0 };
        }
        self.lines += 1;
        (self.lines <= LINES_MAX, hidden)
    }
}

/// Prints what the agents' accounts are worth every few seconds until the process stops.
pub(super) async fn equities(context: Context, api: Api, keys: Arc<Keys>) -> anyhow::Result<()> {
    let mut beat = interval_at(tokio::time::Instant::now() + EQUITY_EVERY, EQUITY_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut board = Board { api, keys, first_seen: BTreeMap::new(), last_shown: BTreeMap::new() };
    let stopped = context.stopped();
    let showing = async {
        loop {
            beat.tick().await;
            match board.lines().await {
                Ok(lines) if lines.is_empty() => {}
                Ok(lines) => show(lines.join("\n")).await?,
                Err(error) => warn!("equities are not shown: {}", crate::explain::sentence(&error)),
            }
        }
    };
    tokio::select! { () = stopped => Ok(()), ended = showing => ended }
}

struct Board {
    api: Api,
    keys: Arc<Keys>,
    first_seen: BTreeMap<String, Money>,
    last_shown: BTreeMap<String, Money>,
}

impl Board {
    /// One line for each agent account whose worth has changed.
    async fn lines(&mut self) -> anyhow::Result<Vec<String>> {
        let question = v1::ListAgentsRequest { page_size: 500, page_token: String::new() };
        let agents = self.api.agents().list_agents(ask(question)).await?.into_inner().agents;
        let accounts: BTreeSet<String> = agents.into_iter().map(|agent| agent.account_id).collect();
        let mut lines = Vec::new();
        for account in accounts.into_iter().take(ACCOUNTS_MAX) {
            let worth = self.worth(&account).await.with_context(|| format!("looking at {account}"))?;
            let first = *self.first_seen.entry(account.clone()).or_insert(worth);
            if self.last_shown.insert(account.clone(), worth) == Some(worth) {
                continue;
            }
            let change = cents(worth.minus(first)?);
            let sign = if change.starts_with('-') { "" } else { "+" };
            lines.push(format!("   equity {account:<30} {:>14}  {sign}{change} since first seen", cents(worth)));
        }
        Ok(lines)
    }

    async fn worth(&self, account: &str) -> anyhow::Result<Money> {
        let claims = Claims::new(AccountId::new(account)?, Tier::Premium, Role::Trader);
        let api = self.api.with_bearer(Bearer::issued(&self.keys, claims));
        let question = v1::ListPositionsRequest { page_size: 500, ..v1::ListPositionsRequest::default() };
        let positions = api.accounts().list_positions(ask(question)).await?.into_inner().positions;
        let mut marked = Vec::with_capacity(positions.len());
        let mut currency = String::new();
        for position in positions {
            let question = v1::GetQuoteRequest { instrument_id: position.instrument_id.clone() };
            let answer = api.markets().get_quote(ask(question)).await?.into_inner();
            let instrument = answer.instrument.context("a quote without its instrument")?;
            let entry = Price::from_micros(position.average_price_micros);
            currency.clone_from(&instrument.currency);
            marked.push(Marked {
                style: instrument.settlement_style(),
                mark: answer.quote.as_ref().and_then(mark).unwrap_or(entry),
                position,
            });
        }
        let question = v1::GetAccountRequest { currency, ..v1::GetAccountRequest::default() };
        let cash = api.accounts().get_account(ask(question)).await?.into_inner().account;
        Ok(equity(&cash.context("an answer without an account")?, &marked)?)
    }
}

/// Rounded down to hundredths, with both decimals.
fn cents(money: Money) -> String {
    let hundredths = money.floor_to(Money::from_micros(10_000)).micros() / 10_000;
    let (sign, size) = (if hundredths < 0 { "-" } else { "" }, hundredths.unsigned_abs());
    format!("{sign}{}.{:02}", size / 100, size % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_lines_than_a_person_reads_are_counted_and_spoken_of_in_the_next_second() {
        let since = Instant::now();
        let mut pace = Pace { since, lines: 0 };
        assert!((0..LINES_MAX).all(|_| pace.next(since) == (true, 0)));
        assert!((0..7).all(|_| pace.next(since) == (false, 0)));
        assert_eq!(pace.next(since + PACE_OVER), (true, 7));
        assert_eq!(pace.next(since + PACE_OVER + PACE_OVER), (true, 0));
    }
}
