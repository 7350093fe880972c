//! Who acts when a match is told again, because its odds or its score have changed: one worker claims it (`claims.rs`),
//! lets the bettors bet and the market makers quote, and acknowledges it when both are through.

use crate::{
    analysis,
    autonomous::{Parts, now},
    claims::{Claims, End},
    config::Config,
    market_making, match_bets, metrics,
    standings::Sent,
};
use ::metrics::counter;
use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use tragen_bus::{Bus, Consumer};
use tragen_contracts::v1;
use tragen_domain::{
    market::{Match, check_published},
    time::Timestamp,
};
use tragen_host::Context;

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

    /// Whether nobody may act on it any more.
    pub(crate) fn is_too_late(&self, config: &Config) -> bool {
        now().millis_since(self.game.published_at) > config.claim_age_ms_max
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
    let bets = Arc::new(match_bets::Desk {
        context: context.clone(),
        bus: bus.clone(),
        config: Arc::clone(config),
        parts: parts.clone(),
        analysis: Arc::clone(analysis),
        sent: Sent::default(),
    });
    let quotes = Arc::new(market_making::Desk {
        context: context.clone(),
        bus: bus.clone(),
        config: Arc::clone(config),
        parts,
        analysis: Arc::clone(analysis),
        sent: Sent::default(),
    });
    let act = move |told: v1::Match| -> BoxFuture<'static, End> {
        let (bets, quotes) = (Arc::clone(&bets), Arc::clone(&quotes));
        async move {
            let Some(told) = Told::parse(&told) else { return End::Done };
            // Whoever is through does nothing new when the other one needs the match again.
            match tokio::join!(bets.settle(&told), quotes.settle(&told)) {
                (End::Done, End::Done) => End::Done,
                (End::Open, _) | (_, End::Open) => End::Open,
            }
        }
        .boxed()
    };
    Claims::<v1::Match> {
        context: context.clone(),
        bus: bus.clone(),
        control,
        consumer: Consumer::WorkerMatches,
        at_once_max: config.claims_at_once_max,
        act: Arc::new(act),
    }
    .start();
}
