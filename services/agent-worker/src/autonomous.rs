//! Configured agents trading on bars. Every worker follows all bars and evaluates each once for each rule set, so
//! that all hold the same signals; who acts on a bar is settled by a claim (`claims.rs`).

use crate::{
    bars::{Age, BarBook, Due},
    claims::{Claims, End},
    config::Config,
    control::{Control, Permission},
    market_view::MarketView,
    metrics,
    order::TRADING_AGENT,
    proposal::Proposer,
    registry::Registry,
    roster::Series,
};
use ::metrics::counter;
use futures::{FutureExt as _, future::BoxFuture};
use prost::Message as _;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tracing::warn;
use tragen_bus::{
    Bus, BusError, Consumer, Followed, StartAt, Stream,
    usage::{Usage, Work},
};
use tragen_contracts::v1;
use tragen_domain::{
    market::{Bar, check_published},
    time::Timestamp,
};
use tragen_host::{Context, clock};

/// What autonomous trading needs of the rest of the worker.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) control: Control,
    pub(crate) market: MarketView,
    pub(crate) registry: Registry,
    pub(crate) proposer: Proposer,
    pub(crate) usage: Usage,
}

/// Where bars become signals, and signals orders.
pub(crate) struct Desk {
    pub(crate) context: Context,
    pub(crate) bus: Bus,
    pub(crate) config: Arc<Config>,
    pub(crate) parts: Parts,
    book: Mutex<BarBook>,
    /// Changes with every bar.
    seen: watch::Sender<u64>,
}

/// Starts evaluating bars.
pub(crate) async fn start(context: &Context, bus: &Bus, config: &Arc<Config>, parts: Parts) -> Result<(), BusError> {
    let mut facts = bus.follow(context, Stream::Bars, "", StartAt::Beginning).await?;
    let desk = Arc::new(Desk {
        context: context.clone(),
        bus: bus.clone(),
        config: Arc::clone(config),
        parts,
        book: Mutex::new(BarBook::new(config.bars_kept)),
        seen: watch::Sender::new(0),
    });
    let own = Arc::clone(&desk);
    let act = move |bar: v1::Bar| -> BoxFuture<'static, End> {
        let desk = Arc::clone(&own);
        async move { desk.settle(&bar).await }.boxed()
    };
    Claims::<v1::Bar> {
        context: context.clone(),
        bus: bus.clone(),
        control: desk.parts.control.clone(),
        consumer: Consumer::WorkerBars,
        at_once_max: config.claims_at_once_max,
        act: Arc::new(act),
    }
    .start();
    context.spawn("bars", async move {
        while let Some(fact) = facts.next().await {
            desk.follow(&fact);
        }
        Ok(())
    });
    Ok(())
}

impl Desk {
    /// What the bar came to, waiting at most `patience` for it to be evaluated here.
    pub(crate) async fn due(&self, series: &Series, start: Timestamp, patience: Duration) -> Due {
        let mut seen = self.seen.subscribe();
        let known = async {
            loop {
                let due = self.look(series, start);
                if due != Due::NotYet || seen.changed().await.is_err() {
                    return due;
                }
            }
        };
        tokio::time::timeout(patience, known).await.unwrap_or(Due::NotYet)
    }

    fn look(&self, series: &Series, start: Timestamp) -> Due {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).due(series, start)
    }

    fn follow(&self, fact: &Followed) {
        let bar = v1::Bar::decode(fact.payload.clone()).ok().and_then(|bar| Bar::try_from(&bar).ok());
        let Some(bar) = bar else {
            counter!(metrics::MALFORMED, "kind" => "bar").increment(1);
            return;
        };
        if let Err(error) = check_published(bar.published_at, now()) {
            counter!(metrics::MALFORMED, "kind" => "bar_from_the_future").increment(1);
            warn!("a bar of {} is not taken: {error}", bar.instrument);
            return;
        }
        let audiences = self.parts.registry.on_series(&(bar.instrument.clone(), bar.timeframe));
        let is_live =
            age_ms(&bar) <= self.config.bar_age_ms_max && self.parts.control.permission() == Permission::Granted;
        let age = if is_live { Age::Live } else { Age::History };
        let started = Instant::now();
        let taken = {
            let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            book.take(&bar, audiences.iter().map(|audience| audience.style), age)
        };
        self.parts.usage.add(TRADING_AGENT, Work { cpu: started.elapsed(), messages: 1, ..Work::default() });
        match taken {
            Some(_) => counter!(metrics::BARS).increment(1),
            // Prices that no market has.
            None => counter!(metrics::MALFORMED, "kind" => "bar").increment(1),
        }
        self.seen.send_modify(|version| *version = version.wrapping_add(1));
    }
}

/// How long ago the bar was published, milliseconds of the wall clock.
pub(crate) fn age_ms(bar: &Bar) -> i64 {
    now().millis_since(bar.published_at)
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(clock::now_micros())
}
