//! What the load trades: one instrument and its newest quote.

use crate::target::Account;
use anyhow::{Context as _, bail};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinHandle};
use tonic::{Code, Status, transport::Channel};
use tragen_contracts::v1::{self, markets_client::MarketsClient};

const DEADLINE: Duration = Duration::from_secs(5);
const PAGE_SIZE: i32 = 500;
/// How often the quote is asked for during the load.
const QUOTE_INTERVAL: Duration = Duration::from_millis(250);
/// How long a market that has just started may take to quote.
const OPENING_WAIT: Duration = Duration::from_secs(15);
/// Instruments that are looked at when none is named.
const CANDIDATES_MAX: usize = 100;

/// One instrument, and where its newest quote is seen.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) instrument: v1::Instrument,
    pub(crate) quotes: watch::Receiver<v1::Quote>,
    /// Who asks.
    client: MarketsClient<Channel>,
    account: Account,
    refresh: JoinHandle<()>,
}

impl Drop for Market {
    fn drop(&mut self) {
        self.refresh.abort();
    }
}

impl Market {
    /// The instrument called `wanted`, or else the first open prediction that is
    /// quoted on both sides. Waits until there is one.
    pub(crate) async fn open(channel: Channel, account: Account, wanted: Option<&str>) -> anyhow::Result<Self> {
        let mut client = MarketsClient::new(channel);
        let started = Instant::now();
        let (instrument, quote) = loop {
            match find(&mut client, &account, wanted).await.context("looking for an instrument")? {
                Some(found) => break found,
                None if started.elapsed() > OPENING_WAIT => bail!(
                    "{} is open with a bid and an offer; name one with --instrument",
                    wanted.unwrap_or("no prediction instrument")
                ),
                None => tokio::time::sleep(QUOTE_INTERVAL).await,
            }
        };
        let (sender, quotes) = watch::channel(quote);
        let instrument_id = instrument.instrument_id.clone();
        let (mut own, own_account) = (client.clone(), account.clone());
        let refresh = tokio::spawn(async move {
            loop {
                tokio::time::sleep(QUOTE_INTERVAL).await;
                // A missed refresh only means an older limit price.
                if let Ok(Some((_, quote))) = quoted(&mut own, &own_account, &instrument_id).await
                    && sender.send(quote).is_err()
                {
                    return;
                }
            }
        });
        Ok(Self { instrument, quotes, client, account, refresh })
    }

    /// The matches that can be traded now.
    pub(crate) async fn matches(&self) -> Result<Vec<String>, Status> {
        let open = open_predictions(&mut self.client.clone(), &self.account).await?;
        let ids: BTreeSet<String> = open.into_iter().map(|instrument| instrument.match_id).collect();
        Ok(ids.into_iter().filter(|id| !id.is_empty()).collect())
    }
}

async fn find(
    client: &mut MarketsClient<Channel>,
    account: &Account,
    wanted: Option<&str>,
) -> Result<Option<(v1::Instrument, v1::Quote)>, Status> {
    if let Some(instrument_id) = wanted {
        return quoted(client, account, instrument_id).await;
    }
    for candidate in open_predictions(client, account).await?.into_iter().take(CANDIDATES_MAX) {
        if let Some(found) = quoted(client, account, &candidate.instrument_id).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Predictions that are open, about the first hundred.
async fn open_predictions(
    client: &mut MarketsClient<Channel>,
    account: &Account,
) -> Result<Vec<v1::Instrument>, Status> {
    let mut request = v1::ListInstrumentsRequest { page_size: PAGE_SIZE, ..v1::ListInstrumentsRequest::default() };
    let mut candidates = Vec::new();
    loop {
        let page = client.list_instruments(account.request(request.clone(), DEADLINE)).await?.into_inner();
        candidates.extend(page.instruments.into_iter().filter(|instrument| {
            instrument.settlement_style() == v1::SettlementStyle::Prediction
                && instrument.status() == v1::InstrumentStatus::Open
        }));
        if page.next_page_token.is_empty() || candidates.len() >= CANDIDATES_MAX {
            return Ok(candidates);
        }
        request.page_token = page.next_page_token;
    }
}

/// The instrument with its quote, if it is open and quoted on both sides.
async fn quoted(
    client: &mut MarketsClient<Channel>,
    account: &Account,
    instrument_id: &str,
) -> Result<Option<(v1::Instrument, v1::Quote)>, Status> {
    let request = v1::GetQuoteRequest { instrument_id: instrument_id.to_owned() };
    let answer = match client.get_quote(account.request(request, DEADLINE)).await {
        Ok(answer) => answer.into_inner(),
        Err(status) if status.code() == Code::NotFound => return Ok(None),
        Err(status) => return Err(status),
    };
    let (Some(instrument), Some(quote)) = (answer.instrument, answer.quote) else { return Ok(None) };
    let is_open = instrument.status() == v1::InstrumentStatus::Open;
    let is_quoted = quote.bid_price_micros > 0 && quote.ask_price_micros > 0;
    Ok((is_open && is_quoted).then_some((instrument, quote)))
}
