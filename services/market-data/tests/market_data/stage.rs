//! A private nats-server with market data running against it.

use std::time::{Duration, Instant};
use tragen_bus::{
    Ask, Bus,
    server::{NatsServer, Sync, find_binary},
};
use tragen_contracts::v1::{self, market_answer::Answer, market_question::Question};
use tragen_host::{Context, Lifecycle, trace::Spans};
use tragen_market_data::Config;

/// Longest wait for anything in a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Everything a test needs; ends with [`Stage::end`].
pub(crate) struct Stage {
    pub(crate) server: NatsServer,
    pub(crate) bus: Bus,
    pub(crate) context: Context,
    pub(crate) folder: tempfile::TempDir,
    lifecycle: Lifecycle,
}

impl Stage {
    /// A server in a folder of its own.
    pub(crate) async fn set() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server =
            NatsServer::start(&find_binary().expect("a nats-server"), &folder.path().join("nats"), Sync::ServerDefault)
                .await
                .expect("a server");
        let bus = Bus::connect(server.url(), "market-data").await.expect("connected");
        let lifecycle = Lifecycle::new(10);
        let context = lifecycle.context("market-data", Spans::default());
        Self { server, bus, context, folder, lifecycle }
    }

    /// Starts market data.
    pub(crate) async fn run(&self, config: Config) {
        tragen_market_data::run(self.context.clone(), self.bus.clone(), config).await.expect("market data runs");
        tokio::time::timeout(PATIENCE, self.context.health.wait_ready("market-data")).await.expect("ready in time");
    }

    /// Asks a question that has an answer.
    pub(crate) async fn ask(&self, question: Question) -> Answer {
        let question = v1::MarketQuestion { question: Some(question), traceparent: String::new() };
        let answer: v1::MarketAnswer = self.bus.ask(Ask::Market, &question, PATIENCE).await.expect("an answer");
        answer.answer.expect("an answer's content")
    }

    /// All instruments, page by page.
    pub(crate) async fn instruments(&self) -> Vec<v1::Instrument> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let asked = v1::ListInstrumentsRequest { match_id: String::new(), page_size: 7, page_token };
            let Answer::Instruments(page) = self.ask(Question::Instruments(asked)).await else { panic!("no page") };
            all.extend(page.instruments);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }

    /// Stops everything, in time and without a failure.
    pub(crate) async fn end(self) {
        self.lifecycle.stop_token().cancel();
        self.lifecycle.run().await.expect("an orderly end");
    }
}

/// Polls until `check` gives something; panics with `what` when it never does.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
