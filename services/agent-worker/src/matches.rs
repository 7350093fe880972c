//! Who acts when a match is told again, because its odds or its score have changed: one worker claims it (`claims.rs`),
//! lets the bettors bet, the market makers quote and those leave who hold some of it, and acknowledges it when all are
//! through.

use crate::{
    analysis,
    autonomous::{Parts, now},
    claims::{Claims, End},
    config::Config,
    control::Permission,
    live_exits::Exits,
    market_making::Quotes,
    match_bets::Bets,
    metrics,
    standings::Sent,
};
use ::metrics::counter;
use futures::{FutureExt as _, future::BoxFuture};
use std::{sync::Arc, time::Duration};
use tracing::debug;
use tragen_bus::{Bus, Consumer};
use tragen_contracts::v1;
use tragen_domain::{
    agents::scout::MatchPhase,
    market::{Match, check_published},
    time::Timestamp,
};
use tragen_host::{Context, retry::Backoff};

/// A match that was told.
pub(crate) struct Told {
    pub(crate) game: Match,
    /// Market time.
    pub(crate) at: Timestamp,
}

impl Told {
    /// None for what makes no sense, is from the future, or says no time.
    fn parse(told: &v1::Match) -> Option<Self> {
        let game = Match::try_from(told).ok().filter(|game| check_published(game.published_at, now()).is_ok());
        let Some(game) = game else {
            counter!(metrics::MALFORMED, "kind" => "match").increment(1);
            return None;
        };
        let at = Timestamp::from_micros(told.event_time_micros);
        (told.event_time_micros != 0).then_some(Self { game, at })
    }

    /// Where the match was when it was told.
    pub(crate) fn phase(&self) -> MatchPhase {
        MatchPhase::of(self.game.status, self.game.kickoff, self.at)
    }

    /// Whether nobody may act on it any more.
    pub(crate) fn is_too_late(&self, config: &Config) -> bool {
        now().millis_since(self.game.published_at) > config.claim_age_ms_max
    }
}

/// What all look at a match with.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) context: Context,
    pub(crate) bus: Bus,
    pub(crate) config: Arc<Config>,
    pub(crate) parts: Parts,
    pub(crate) analysis: Arc<analysis::Desk>,
}

impl Desk {
    /// Attempts until all are through. An attempt gives back those that wait for an end, are not answered, or whose order
    /// is not stored: they are tried again while the match is young enough, each time on what is quoted then.
    pub(crate) async fn until_through<T, F>(&self, told: &Told, mut open: Vec<T>, attempt: impl Fn(Vec<T>) -> F) -> End
    where
        F: Future<Output = Vec<T>>,
    {
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        while !open.is_empty() {
            open = attempt(open).await;
            if open.is_empty() {
                break;
            }
            debug!("{} agents are not through with {} yet", open.len(), told.game.id);
            if told.is_too_late(&self.config) {
                counter!(metrics::TOO_LATE).increment(u64::try_from(open.len()).unwrap_or(u64::MAX));
                break;
            }
            if self.context.is_stopping() || self.parts.control.permission() == Permission::GuardSilent {
                return End::Open;
            }
            backoff.wait().await;
        }
        End::Done
    }
}

/// Starts looking at matches.
pub(crate) fn start(
    context: &Context,
    bus: &Bus,
    config: &Arc<Config>,
    (parts, analysis): (Parts, &Arc<analysis::Desk>),
) {
    let control = parts.control.clone();
    let (context, bus, config) = (context.clone(), bus.clone(), Arc::clone(config));
    let desk = Desk { context, bus, config, parts, analysis: Arc::clone(analysis) };
    let bets = Arc::new(Bets { desk: desk.clone(), sent: Sent::default() });
    let quotes = Arc::new(Quotes { desk: desk.clone(), sent: Sent::default() });
    let exits = Arc::new(Exits { desk: desk.clone(), sent: Sent::default() });
    let act = move |told: v1::Match| -> BoxFuture<'static, End> {
        let (bets, quotes, exits) = (Arc::clone(&bets), Arc::clone(&quotes), Arc::clone(&exits));
        async move {
            let Some(told) = Told::parse(&told) else { return End::Done };
            // Whoever is through does nothing new when another one needs the match again.
            let ends: [End; 3] = tokio::join!(bets.settle(&told), quotes.settle(&told), exits.settle(&told)).into();
            if ends.contains(&End::Open) { End::Open } else { End::Done }
        }
        .boxed()
    };
    Claims::<v1::Match> {
        at_once_max: desk.config.claims_at_once_max,
        context: desk.context,
        bus: desk.bus,
        control,
        consumer: Consumer::WorkerMatches,
        act: Arc::new(act),
    }
    .start();
}
