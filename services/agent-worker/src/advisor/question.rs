//! From a decision to a question: what is told of it, and whether it may be asked at all.

use super::answer::one_form;
use sha2::{Digest as _, Sha256};
use tragen_domain::{
    agents::{
        advisor::{
            applied::Decided,
            consult::{Occasion, Pace},
            facts::{Facts, SOURCES_MAX, Source, Trust, told},
            injection::suspicions,
        },
        plain_text::PlainText,
    },
    time::Timestamp,
};

/// A trade that an agent wants to make. Nothing of a user is in it but the deadline, which is not told.
#[derive(Debug, Clone)]
pub struct Question {
    /// Which agent.
    pub agent: &'static str,
    /// In which market.
    pub market_id: String,
    /// Whether the match is played.
    pub pace: Pace,
    /// What it has decided.
    pub decided: Decided,
    /// Expected return on the money spent.
    pub edge_ratio: f64,
    /// The smallest one that it trades on.
    pub min_edge_ratio: f64,
    /// Names of the teams and players it is about.
    pub entities: Vec<String>,
    /// What was written about it, newest first.
    pub news: Vec<News>,
    /// When the caller stops waiting, microseconds since the epoch; 0 for none.
    pub deadline_micros: i64,
}

/// A text as somebody wrote it.
#[derive(Debug, Clone)]
pub struct News {
    /// Whether its source may move a probability.
    pub trust: Trust,
    /// When it appeared.
    pub published_at: Timestamp,
    /// Its words, unchecked.
    pub text: String,
}

impl Question {
    /// What decides whether it is worth asking.
    pub(crate) fn occasion(&self, large_stake: f64) -> Occasion {
        Occasion {
            edge_ratio: self.edge_ratio,
            min_edge_ratio: self.min_edge_ratio,
            stake: self.decided.stake,
            large_stake,
            newest_news: self.news.iter().map(|news| news.published_at).max(),
        }
    }

    /// Whether a text that would be sent tries to give the model orders.
    pub(crate) fn is_suspicious(&self) -> bool {
        let news = self.news.iter().take(SOURCES_MAX).map(|news| news.text.as_str());
        let mut texts = self.entities.iter().map(String::as_str).chain(news);
        texts.any(|text| !suspicions(&one_form(text)).is_empty())
    }

    /// What is told. It is named by agent, market, side and time step, so all users who want the same ask the same.
    pub(crate) fn facts(&self, now: Timestamp) -> Facts {
        let step = self.pace.step(now);
        let name = format!("{}|{}|{}|{step}", self.agent, self.market_id, self.decided.direction.as_str());
        let source = |(at, news): (usize, &News)| Source {
            id: format!("s{}", at + 1),
            trust: news.trust,
            text: plain(&news.text),
        };
        Facts {
            request_id: format!("q-{}", &hex(&Sha256::digest(name))[..16]),
            market_id: self.market_id.clone(),
            agent: self.agent.to_owned(),
            direction: self.decided.direction,
            p_model: told(self.decided.p_model),
            price: told(self.decided.price),
            fee_rate: self.decided.fee_rate,
            entities: self.entities.iter().map(|entity| plain(entity)).collect(),
            sources: self.news.iter().take(SOURCES_MAX).enumerate().map(source).collect(),
        }
    }
}

fn plain(text: &str) -> PlainText {
    PlainText::new(&one_form(text))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
