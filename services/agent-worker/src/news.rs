//! What was written about matches: held until it ceases to count, told to the agents with every snapshot. Which texts
//! may move a price, and who is missing by them, is decided in [`tragen_domain::agents::news`].

use crate::metrics;
use ::metrics::{counter, gauge};
use prost::Message as _;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tragen_bus::{Bus, BusError, StartAt, Stream};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::news::{ListedSources, News, ToldText, absences},
    time::Timestamp,
};
use tragen_host::{Context, clock};

/// Texts of one match that are held; the oldest makes room.
const OF_MATCH_MAX: usize = 50;
/// Matches that texts are held of; further ones are not heard of.
const MATCHES_MAX: usize = 2_000;

/// The texts; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct NewsBoard {
    matches: Arc<Mutex<BTreeMap<String, Vec<News>>>>,
    sources: Arc<ListedSources>,
}

impl NewsBoard {
    /// A board without texts; the weights of the listed sources are parts per million.
    pub(crate) fn new(weights_ppm: &BTreeMap<String, u32>) -> Self {
        Self { matches: Arc::default(), sources: Arc::new(ListedSources::new(weights_ppm)) }
    }

    /// Follows the texts from the first that is kept.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub(crate) async fn follow(&self, context: &Context, bus: &Bus) -> Result<(), BusError> {
        let mut texts = bus.follow(context, Stream::News, "", StartAt::Beginning).await?;
        let board = self.clone();
        context.spawn("news", async move {
            while let Some(text) = texts.next().await {
                let now = Timestamp::from_micros(clock::now_micros());
                match v1::NewsReported::decode(text.payload) {
                    Ok(report) => board.take(report, now),
                    Err(_) => counter!(metrics::MALFORMED, "kind" => "news").increment(1),
                }
            }
            Ok(())
        });
        Ok(())
    }

    /// Takes a text that still counts; one that is known changes nothing.
    pub(crate) fn take(&self, report: v1::NewsReported, now: Timestamp) {
        let Some(item) = report.item else { return };
        let news = News::of(ToldText {
            id: item.news_id,
            source: item.source,
            text: item.text,
            published_at: Timestamp::from_micros(item.published_at_micros),
            expires_at: Timestamp::from_micros(report.expires_at_micros),
            players: [report.home_players, report.away_players],
        });
        if !news.counts_at(now) {
            return;
        }
        let mut matches = self.lock();
        matches.retain(|_, texts| {
            texts.retain(|text| text.counts_at(now));
            !texts.is_empty()
        });
        if matches.len() >= MATCHES_MAX && !matches.contains_key(&report.match_id) {
            counter!(metrics::MALFORMED, "kind" => "too_much_news").increment(1);
            return;
        }
        let texts = matches.entry(report.match_id).or_default();
        if texts.iter().any(|known| known.told().id == news.told().id) {
            return;
        }
        texts.push(news);
        // Newest first; of the same moment in the order of their ids, so that every worker tells the same.
        texts.sort_by(|a, b| in_order(b).cmp(&in_order(a)));
        texts.truncate(OF_MATCH_MAX);
        let count = matches.values().map(Vec::len).sum::<usize>();
        gauge!(metrics::NEWS_HELD).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }

    /// Adds to a snapshot what counts at `now`, newest first, each with whether it may move a price.
    pub(crate) fn fill(&self, snapshot: &mut v1::MatchSnapshot, now: Timestamp) {
        let Some(match_id) = snapshot.r#match.as_ref().map(|of| of.match_id.clone()) else { return };
        let item = |news: &News| v1::NewsItem {
            news_id: news.told().id.clone(),
            source: news.told().source.clone(),
            is_listed: news.may_move(&self.sources),
            published_at_micros: news.told().published_at.micros(),
            text: news.told().text.clone(),
        };
        let known: Vec<String> = snapshot.news.iter().map(|item| item.news_id.clone()).collect();
        let matches = self.lock();
        let texts = matches.get(&match_id).map_or(&[][..], Vec::as_slice);
        let new = texts.iter().filter(|news| news.counts_at(now) && !known.contains(&news.told().id));
        snapshot.news.extend(new.map(item));
    }

    /// Texts that count at `now`, of one match or (empty) of all: newest first, at most `count_max`, whoever wrote them.
    pub(crate) fn held(
        &self,
        match_id: &str,
        count_max: usize,
        now: Timestamp,
    ) -> Vec<(v1::HeldText, v1::SentimentText)> {
        let matches = self.lock();
        let asked = matches.iter().filter(|(id, _)| match_id.is_empty() || id.as_str() == match_id);
        let mut found: Vec<(&String, &News)> =
            asked.flat_map(|(id, texts)| texts.iter().map(move |news| (id, news))).collect();
        found.retain(|(_, news)| news.counts_at(now));
        found.sort_by(|(a_match, a), (b_match, b)| (in_order(b), b_match).cmp(&(in_order(a), a_match)));
        let told = |(id, news): (&String, &News)| {
            let text = v1::SentimentText {
                source: news.told().source.clone(),
                text: news.told().text.clone(),
                published_at: Some(convert::timestamp(news.told().published_at)),
            };
            (v1::HeldText { match_id: id.clone(), news_id: news.told().id.clone() }, text)
        };
        found.into_iter().take(count_max).map(told).collect()
    }

    /// Key players of home and away who are missing by what counts at `now`.
    pub(crate) fn absences(&self, match_id: &str, now: Timestamp) -> [u32; 2] {
        let texts = self.lock().get(match_id).cloned().unwrap_or_default();
        absences(&texts, &self.sources, now)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<News>>> {
        self.matches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_order(news: &News) -> (i64, &str) {
    (news.told().published_at.micros(), &news.told().id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + hours * HOUR)
    }

    fn board() -> NewsBoard {
        NewsBoard::new(&BTreeMap::from([("bbc".to_owned(), 1_000_000)]))
    }

    fn report(id: &str, source: &str, text: &str, hours: i64) -> v1::NewsReported {
        v1::NewsReported {
            meta: None,
            match_id: "M".into(),
            item: Some(v1::NewsItem {
                news_id: id.into(),
                source: source.into(),
                is_listed: true,
                published_at_micros: at(hours).micros(),
                text: text.into(),
            }),
            home_players: vec!["Saka".into(), "Rice".into()],
            away_players: vec!["Haaland".into()],
            expires_at_micros: at(hours + 24).micros(),
        }
    }

    fn told(board: &NewsBoard, hours: i64) -> Vec<(String, bool)> {
        let of = v1::Match { match_id: "M".into(), ..v1::Match::default() };
        let mut snapshot = v1::MatchSnapshot { r#match: Some(of), ..v1::MatchSnapshot::default() };
        board.fill(&mut snapshot, at(hours));
        snapshot.news.into_iter().map(|item| (item.news_id, item.is_listed)).collect()
    }

    #[test]
    fn texts_are_told_newest_first_until_they_expire_and_each_once() {
        let board = board();
        board.take(report("a", "bbc", "Saka is injured", 0), at(0));
        board.take(report("b", "forum", "Rice is injured", 1), at(1));
        board.take(report("b", "forum", "Rice is injured", 1), at(1));
        assert_eq!(told(&board, 2), [("b".to_owned(), false), ("a".to_owned(), true)]);
        assert_eq!(told(&board, 24), [("b".to_owned(), false)]);
        assert!(told(&board, 25).is_empty());
        board.take(report("late", "bbc", "too late", 0), at(24));
        assert!(told(&board, 24).iter().all(|(id, _)| id != "late"));
    }

    #[test]
    fn who_is_missing_is_read_from_the_texts_of_the_match() {
        let board = board();
        board.take(report("a", "bbc", "Saka is ruled out", 0), at(0));
        board.take(report("b", "forum", "Rice is ruled out", 1), at(1));
        assert_eq!([board.absences("M", at(2)), board.absences("N", at(2))], [[1, 0], [0, 0]]);
    }

    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        let board = board();
        for number in 0..60 {
            board.take(report(&format!("n{number:02}"), "bbc", "Saka is injured", 0), at(0));
        }
        let held = told(&board, 1);
        assert_eq!((held.len(), held[0].0.as_str()), (OF_MATCH_MAX, "n59"));
    }
}
