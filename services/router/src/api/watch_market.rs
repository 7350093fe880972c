//! Following the market of a match: looked at again and again, told when something is
//! different. The chances are those of everybody, the advice is about what the caller holds.

use super::{Api, Call, watch::AccountPlace};
use crate::{
    metrics as names,
    refusal::{Refusal, malformed_answer},
};
use futures::stream::{self, BoxStream, StreamExt as _};
use metrics::gauge;
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::{sync::OwnedSemaphorePermit, time::Interval};
use tragen_contracts::v1::{
    AnalysisInfo, MarketView, Match, MatchStatus, WatchMarketRequest, WatchMarketResponse, worker_answer::Answer,
    worker_question::Question,
};
use tragen_domain::routing::check_match;

/// How often the market is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Parts of the system may be changing hands; a reader hears of it only when that takes longer.
const GONE_FOR: u32 = 20;

/// What a reader is sent.
pub(crate) type Views = BoxStream<'static, Result<WatchMarketResponse, Refusal>>;

/// One open stream.
struct Watcher {
    api: Arc<Api>,
    call: Call,
    match_id: String,
    look: Interval,
    /// The first view, until it is told.
    first: Option<MarketView>,
    told: Option<MarketView>,
    failures: u32,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    _place: OwnedSemaphorePermit,
    _own_place: AccountPlace,
}

impl Api {
    /// `Trading/WatchMarket`. An unknown match is refused with the nearest ids. The stream ends when the match is over,
    /// with UNAVAILABLE when the router stops or nobody answers for ten seconds.
    pub(crate) async fn watch_market(
        self: &Arc<Self>,
        call: Call,
        request: WatchMarketRequest,
    ) -> Result<Views, Refusal> {
        check_match("match_id", &request.match_id)?;
        let own_place = self.own_watch_place(&call)?;
        let Ok(place) = Arc::clone(&self.watchers).try_acquire_owned() else {
            return Err(Refusal::overloaded("watchers", Duration::from_secs(1)));
        };
        let first = self.market_view(&call, &request.match_id).await?;
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        gauge!(names::WATCHERS).increment(1);
        let watcher = Watcher {
            api: Arc::clone(self),
            call,
            match_id: request.match_id,
            look,
            first: Some(first),
            told: None,
            failures: 0,
            stopped: Box::pin(self.context.stopped()),
            _place: place,
            _own_place: own_place,
        };
        let views = stream::unfold(Some(watcher), |watcher| async move {
            let mut watcher = watcher?;
            if watcher.told.as_ref().is_some_and(is_over) {
                return None;
            }
            match watcher.next().await {
                Ok(view) => Some((Ok(WatchMarketResponse { view: Some(view) }), Some(watcher))),
                // The last item says why; then the stream ends.
                Err(refusal) => Some((Err(refusal), None)),
            }
        });
        Ok(views.boxed())
    }

    async fn market_view(&self, call: &Call, match_id: &str) -> Result<MarketView, Refusal> {
        let asked = WatchMarketRequest { match_id: match_id.to_owned() };
        match self.ask_worker(call, call.caller.account.as_str(), Question::Market(asked)).await? {
            Answer::Market(view) => Ok(view),
            Answer::Analysis(_) | Answer::Error(_) => Err(malformed_answer()),
        }
    }
}

impl Watcher {
    async fn next(&mut self) -> Result<MarketView, Refusal> {
        if let Some(first) = self.first.take() {
            self.told = Some(first.clone());
            return Ok(first);
        }
        loop {
            // Every branch is cancel-safe.
            tokio::select! {
                () = &mut self.stopped => return Err(Refusal::unavailable("SHUTTING_DOWN", "this router is stopping")),
                _ = self.look.tick() => {}
            }
            // Every look has its own patience: the call itself lasts as long as the reader likes.
            let call = Call { deadline: tokio::time::Instant::now() + LOOK_EVERY * 2, ..self.call.clone() };
            match self.api.market_view(&call, &self.match_id).await {
                Ok(view) => {
                    self.failures = 0;
                    if self.told.as_ref().map(content) != Some(content(&view)) {
                        self.told = Some(view.clone());
                        return Ok(view);
                    }
                }
                Err(refusal) if self.failures >= GONE_FOR => return Err(refusal),
                Err(_) => self.failures += 1,
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        gauge!(names::WATCHERS).decrement(1);
    }
}

fn is_over(view: &MarketView) -> bool {
    view.r#match.as_ref().is_some_and(|of| of.status() == MatchStatus::Finished)
}

/// A view without the times that change while nothing else does.
fn content(view: &MarketView) -> MarketView {
    let info = view.info.clone().map(|info| AnalysisInfo { data_asof: None, ..info });
    let of = view.r#match.clone().map(|of| Match { published_at_micros: 0, ..of });
    MarketView { info, r#match: of, ..view.clone() }
}
