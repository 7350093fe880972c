//! The demo: through the public API alone it fills accounts, configures agents
//! and places a trade about every second. Its troubles never stop the services.

use super::pick;
use crate::api::{Api, Bearer, ask};
use anyhow::Context as _;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval};
use tonic::Code;
use tracing::{debug, warn};
use tragen_contracts::v1;
use tragen_domain::{id::AccountId, money::ONE, tier::Tier};
use tragen_host::Context;
use tragen_router::token::{Claims, Keys, Role};

/// The account of the person who watches: it gets money, and nobody else trades with it.
pub(super) const USER: &str = "demo";
/// The account that trades.
const CROWD: &str = "demo-crowd";
/// What an account starts with, units of its currency.
const SEED: i64 = 100_000;
/// How often the crowd asks for a trade.
const EVERY: Duration = Duration::from_secs(1);
/// How often the demo looks for new instruments, in turns.
const LOOK_EVERY: usize = 10;

/// Runs the demo until the process stops; `api` speaks for an operator.
pub(super) async fn run(context: Context, api: Api, keys: Arc<Keys>) -> anyhow::Result<()> {
    let mut demo = Demo { api, keys, seeded: BTreeSet::new(), configured: BTreeSet::new(), instruments: Vec::new() };
    let mut beat = interval(EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stopped = context.stopped();
    let turns = async {
        for turn in 0_usize.. {
            beat.tick().await;
            if let Err(error) = demo.turn(turn).await {
                warn!("the demo skips a turn: {}", crate::explain::sentence(&error));
            }
        }
    };
    tokio::select! { () = stopped => {}, () = turns => {} }
    Ok(())
}

struct Demo {
    api: Api,
    keys: Arc<Keys>,
    /// Accounts with money, as `account/currency`.
    seeded: BTreeSet<String>,
    /// Agents that are there.
    configured: BTreeSet<String>,
    instruments: Vec<v1::Instrument>,
}

impl Demo {
    async fn turn(&mut self, turn: usize) -> anyhow::Result<()> {
        if turn.is_multiple_of(LOOK_EVERY) || self.instruments.is_empty() {
            self.look().await.context("looking at the market")?;
        }
        let Some(intent) = pick::intent(&self.instruments, turn) else { return Ok(()) };
        let request = v1::PlaceTradeRequest { request_id: uuid::Uuid::now_v7().to_string(), intent: Some(intent) };
        let crowd = self.as_account(CROWD)?;
        let answer = crowd.trading().place_trade(ask(request)).await?.into_inner();
        let status = answer.trade.map(|trade| trade.status());
        debug!("the crowd's trade: {status:?}");
        Ok(())
    }

    /// Finds what can be traded, and sees to it that there are accounts and agents for it.
    async fn look(&mut self) -> anyhow::Result<()> {
        let question = v1::ListInstrumentsRequest { page_size: 500, ..v1::ListInstrumentsRequest::default() };
        self.instruments = self.api.markets().list_instruments(ask(question)).await?.into_inner().instruments;
        let currencies: BTreeSet<String> = self.instruments.iter().map(|i| i.currency.clone()).collect();
        for currency in currencies {
            for account in [USER, CROWD] {
                self.seed(account, &currency).await.context("filling the demo accounts")?;
            }
        }
        for agent in pick::agents(&self.instruments) {
            self.configure(agent).await?;
        }
        Ok(())
    }

    async fn configure(&mut self, agent: v1::Agent) -> anyhow::Result<()> {
        if self.configured.contains(&agent.agent_id) {
            return Ok(());
        }
        let named = format!("configuring {}", agent.agent_id);
        let instrument = self.instruments.iter().find(|i| agent.instrument_ids.contains(&i.instrument_id));
        let currency = instrument.map(|i| i.currency.clone()).unwrap_or_default();
        self.seed(&agent.account_id, &currency).await.with_context(|| named.clone())?;
        let known = self.api.agents().get_agent(ask(v1::GetAgentRequest { agent_id: agent.agent_id.clone() })).await;
        let agent_id = agent.agent_id.clone();
        match known {
            // Somebody may have changed it on purpose.
            Ok(_) => {}
            Err(status) if status.code() == Code::NotFound => {
                let question = v1::PutAgentRequest { agent: Some(agent) };
                self.api.agents().put_agent(ask(question)).await.with_context(|| named.clone())?;
            }
            Err(status) => return Err(status).context(named),
        }
        self.configured.insert(agent_id);
        Ok(())
    }

    /// Gives an account money unless it has ever had some in this currency.
    async fn seed(&mut self, account: &str, currency: &str) -> anyhow::Result<()> {
        let key = format!("{account}/{currency}");
        if self.seeded.contains(&key) {
            return Ok(());
        }
        let mut accounts = self.as_account(account)?.accounts();
        let question = v1::GetAccountRequest { currency: currency.to_owned(), ..v1::GetAccountRequest::default() };
        let is_new = match accounts.get_account(ask(question)).await {
            Ok(answer) => answer.into_inner().account.is_none_or(|known| known.version == 0),
            Err(status) if status.code() == Code::NotFound => true,
            Err(status) => return Err(status.into()),
        };
        if is_new {
            let question = v1::DepositRequest {
                request_id: uuid::Uuid::now_v7().to_string(),
                amount_micros: SEED * ONE,
                currency: currency.to_owned(),
            };
            accounts.deposit(ask(question)).await?;
        }
        self.seeded.insert(key);
        Ok(())
    }

    fn as_account(&self, account: &str) -> anyhow::Result<Api> {
        let claims = Claims::new(AccountId::new(account)?, Tier::Premium, Role::Trader);
        Ok(self.api.with_bearer(Bearer::issued(&self.keys, claims)))
    }
}
