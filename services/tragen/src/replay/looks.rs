//! Bets of configured agents, decided again from the looks they were made at (LOOKS): who bets at a look and with which
//! order must come out the same, and the journal's order must be one that a look has.

use super::Comparison;
use std::collections::{HashMap, HashSet};
use tragen_agent_worker::match_look::{Bet, Wishes, bets, eye, wishes};
use tragen_contracts::v1::{self, journal_record};
use tragen_domain::{money::Price, order::OrderTerms};

/// Bets without a look that are named; the rest is counted.
const NAMED_MAX: usize = 1_000;

/// The looks, and the bets of the journal.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// Ids of looks; one that is told again changes nothing.
    seen: HashSet<String>,
    /// When the first one was, microseconds since the epoch.
    first: Option<i64>,
    /// Orders that came out of looks, by trade: later odds of a slot may make another order of it.
    ordered: HashMap<String, Vec<v1::OrderTerms>>,
    journaled: Vec<Journaled>,
}

/// A bet as the journal has it.
#[derive(Debug)]
struct Journaled {
    at: String,
    trade_id: String,
    created_at_micros: i64,
    terms: v1::OrderTerms,
}

/// How many bets were made again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Looks.
    pub(crate) looks: u64,
    /// Bets of the journal that were held against a look.
    pub(crate) bets: u64,
    /// Bets of the journal before the first look that is kept.
    pub(crate) without_look: u64,
    /// The first [`NAMED_MAX`] of them.
    pub(crate) named: Vec<String>,
}

impl Looks {
    /// Takes the approved bets of a journal message.
    pub(crate) fn journal(&mut self, batch: &v1::JournalBatch) {
        for record in &batch.records {
            let Some(journal_record::Kind::Approved(own)) = &record.kind else { continue };
            let (Some(key), Some(terms)) = (&record.key, &own.terms) else { continue };
            if is_bet(own) {
                self.journaled.push(Journaled {
                    at: format!("{} {}", own.agent_id, key.request_id),
                    trade_id: key.trade_id.clone(),
                    created_at_micros: key.created_at_micros,
                    terms: terms.clone(),
                });
            }
        }
    }

    /// Takes a look and decides it again.
    pub(crate) fn looked(&mut self, look: &v1::MatchLooked, comparison: &mut Comparison) {
        let event_id = look.meta.as_ref().map(|meta| meta.event_id.clone()).unwrap_or_default();
        if !self.seen.insert(event_id) {
            return;
        }
        self.first = Some(self.first.map_or(look.looked_at_micros, |first| first.min(look.looked_at_micros)));
        let wishes = wishes(look);
        let again: HashMap<usize, Bet> = bets(look, &wishes).into_iter().map(|bet| (bet.bettor, bet)).collect();
        for (place, bettor) in look.bettors.iter().enumerate() {
            let (own, recorded) = (again.get(&place), bettor.bet.as_ref());
            if let Some(v1::BetDecided { trade_id, terms: Some(terms) }) = recorded {
                self.ordered.entry(trade_id.clone()).or_default().push(terms.clone());
            }
            let decided = own.map(|bet| v1::BetDecided {
                trade_id: bet.trade_id.clone(),
                terms: Some(v1::OrderTerms::from(&bet.terms)),
            });
            if decided.as_ref() == recorded {
                continue;
            }
            let at = format!("{} on {} at {} us", bettor.agent_id, look.match_id, look.looked_at_micros);
            let replayed = decided.as_ref().map_or_else(|| why_none(bettor, &wishes), bet_text);
            comparison.differ(&at, "bet", &replayed, &recorded.map_or_else(|| "none".to_owned(), bet_text));
        }
    }

    /// Holds the bets of the journal against the looks.
    pub(crate) fn conclude(self, comparison: &mut Comparison) -> Looked {
        let mut looked = Looked { looks: u64::try_from(self.seen.len()).unwrap_or(u64::MAX), ..Looked::default() };
        for own in &self.journaled {
            let Some(ordered) = self.ordered.get(&own.trade_id) else {
                // It is proposed after its look, by the clock of the same worker.
                if self.first.is_some_and(|first| first <= own.created_at_micros) {
                    comparison.differ(&own.at, "look", "none that it came of", &terms_text(&own.terms));
                    continue;
                }
                looked.without_look += 1;
                if looked.named.len() < NAMED_MAX {
                    looked.named.push(format!("{}: not compared: a bet before the first look that is there", own.at));
                }
                continue;
            };
            looked.bets += 1;
            if !ordered.contains(&own.terms) {
                let last = ordered.last().map(terms_text).unwrap_or_default();
                comparison.differ(&own.at, "order", &last, &terms_text(&own.terms));
            }
        }
        looked
    }
}

/// Whether an order of the journal is a bet of a configured agent: it had to be the first on its match, and took what was
/// offered.
pub(super) fn is_bet(own: &v1::OrderApproved) -> bool {
    let is_post_only = own.terms.as_ref().is_some_and(|terms| terms.is_post_only);
    !own.agent_id.is_empty() && own.is_first_on_match && !is_post_only && own.reduction_id.is_empty()
}

fn why_none(bettor: &v1::MatchBettor, wishes: &Wishes) -> String {
    match eye(bettor).and_then(|eye| wishes.get(&eye)) {
        Some(Err(refusal)) => format!("none ({refusal})"),
        Some(Ok(_)) | None => "none".to_owned(),
    }
}

fn bet_text(bet: &v1::BetDecided) -> String {
    let terms = bet.terms.as_ref().map(terms_text).unwrap_or_default();
    format!("{terms} as trade {}", bet.trade_id)
}

fn terms_text(terms: &v1::OrderTerms) -> String {
    match OrderTerms::try_from(terms) {
        Ok(own) => {
            let side = format!("{:?}", own.side).to_lowercase();
            let limit = Price::from_micros(terms.limit_price_micros);
            format!("{side} {} {} at {limit}", own.quantity, own.instrument)
        }
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tragen_domain::money::ONE;

    const GAME: &str = "EPL-2030-ARS-MCI";
    const NOON: i64 = 1_893_499_200_000_000;

    fn bettor(agent_id: &str, account_id: &str) -> v1::MatchBettor {
        let standing = v1::BettorStanding {
            cash_micros: 1_000 * ONE,
            available_micros: 1_000 * ONE,
            ..v1::BettorStanding::default()
        };
        v1::MatchBettor {
            agent_id: agent_id.into(),
            account_id: account_id.into(),
            strategy: v1::Strategy::Value.into(),
            risk_tolerance: 5,
            timeframe: "1d".into(),
            standing: Some(standing),
            bet: None,
        }
    }

    /// Two bettors at a home win that is worth 0.49 and offered at 0.45, with what comes out.
    fn look() -> v1::MatchLooked {
        let book = v1::BookOdds {
            bookmaker: "pinnacle".into(),
            home_odds_micros: 2_000_000,
            draw_odds_micros: 3_600_000,
            away_odds_micros: 4_200_000,
            is_sharp: true,
        };
        let instrument = |outcome: &str| v1::Instrument {
            instrument_id: format!("{GAME}-{outcome}"),
            taker_fee_ppm: 30_000,
            status: v1::InstrumentStatus::Open.into(),
            outcome: outcome.into(),
            ..v1::Instrument::default()
        };
        let quote = |(outcome, ask): (&str, i64)| v1::Quote {
            instrument_id: format!("{GAME}-{outcome}"),
            bid_price_micros: ask - 10_000,
            bid_quantity_micros: 500 * ONE,
            ask_price_micros: ask,
            ask_quantity_micros: 500 * ONE,
            published_at_micros: NOON,
            ..v1::Quote::default()
        };
        let game = v1::Match {
            match_id: GAME.into(),
            status: v1::MatchStatus::Scheduled.into(),
            kickoff_micros: NOON + 3_600 * ONE,
            ..v1::Match::default()
        };
        let mut look = v1::MatchLooked {
            meta: Some(v1::Meta { event_id: "first".into(), ..v1::Meta::default() }),
            match_id: GAME.into(),
            told_at_micros: NOON,
            snapshot: Some(v1::MatchSnapshot {
                r#match: Some(game),
                books: vec![book],
                instruments: ["HOME", "DRAW", "AWAY"].map(instrument).into(),
                quotes: [("HOME", 450_000), ("DRAW", 290_000), ("AWAY", 260_000)].map(quote).into(),
                event_time_micros: NOON,
                ..v1::MatchSnapshot::default()
            }),
            looked_at_micros: NOON,
            decided_at_micros: NOON,
            bettors: vec![bettor("b1", "one"), bettor("b2", "one"), bettor("b3", "two")],
            ..v1::MatchLooked::default()
        };
        for bet in bets(&look, &wishes(&look)) {
            let terms = Some(v1::OrderTerms::from(&bet.terms));
            look.bettors[bet.bettor].bet = Some(v1::BetDecided { trade_id: bet.trade_id, terms });
        }
        look
    }

    /// The journal of the bets of a look, approved a millisecond later.
    fn journal(look: &v1::MatchLooked) -> v1::JournalBatch {
        let record = |bettor: &v1::MatchBettor| {
            let bet = bettor.bet.as_ref()?;
            let approved = v1::OrderApproved {
                terms: bet.terms.clone(),
                agent: "eplScoutAgent".into(),
                agent_id: bettor.agent_id.clone(),
                is_first_on_match: true,
                ..v1::OrderApproved::default()
            };
            let key = v1::TradeKey {
                trade_id: bet.trade_id.clone(),
                request_id: "r".into(),
                created_at_micros: look.decided_at_micros + 1_000,
                ..v1::TradeKey::default()
            };
            let kind = Some(journal_record::Kind::Approved(approved));
            Some(v1::JournalRecord { key: Some(key), kind, ..v1::JournalRecord::default() })
        };
        v1::JournalBatch { records: look.bettors.iter().filter_map(record).collect(), ..v1::JournalBatch::default() }
    }

    /// What comes of a journal and looks, and what differs: where and what.
    fn replayed(journal: &v1::JournalBatch, told: &[v1::MatchLooked]) -> (Looked, Vec<(String, &'static str)>) {
        let (mut looks, mut comparison) = (Looks::default(), Comparison::default());
        looks.journal(journal);
        told.iter().for_each(|look| looks.looked(look, &mut comparison));
        let looked = looks.conclude(&mut comparison);
        (looked, comparison.differences.iter().map(|own| (own.at.clone(), own.what)).collect())
    }

    #[test]
    fn a_look_comes_out_the_same_and_a_repeated_one_counts_once() {
        let look = look();
        let (looked, differences) = replayed(&journal(&look), &[look.clone(), look.clone()]);
        assert_eq!(differences, []);
        assert_eq!(looked, Looked { looks: 1, bets: 2, ..Looked::default() });
    }

    fn standing(look: &mut v1::MatchLooked, place: usize) -> &mut v1::BettorStanding {
        look.bettors[place].standing.as_mut().expect("one")
    }

    #[test]
    fn whatever_was_seen_otherwise_is_named_by_agent_and_match() {
        let check = |change: &dyn Fn(&mut v1::MatchLooked), expected: &[&str]| {
            let recorded = look();
            let mut changed = recorded.clone();
            change(&mut changed);
            let (_, differences) = replayed(&journal(&recorded), &[changed]);
            let named: Vec<&str> = differences.iter().map(|(at, _)| at.split(' ').next().unwrap_or_default()).collect();
            assert_eq!(named, expected, "{differences:?}");
            assert!(differences.iter().all(|(at, what)| at.contains(GAME) && *what == "bet"), "{differences:?}");
        };
        check(&|look| standing(look, 2).cash_micros /= 2, &["b3"]);
        check(&|look| standing(look, 2).held_micros = vec![ONE], &["b3"]);
        check(&|look| look.bettors[2].risk_tolerance = 4, &["b3"]);
        // The first agent of the account cannot any more, so the second one does.
        check(&|look| standing(look, 0).available_micros = 0, &["b1", "b2"]);
        check(&|look| look.snapshot.as_mut().expect("one").quotes[0].ask_price_micros = 490_000, &["b1", "b3"]);
        check(&|look| look.looked_at_micros += 3_600 * ONE, &["b1", "b3"]);
        check(&|look| look.told_at_micros += 86_400 * ONE, &["b1", "b3"]);
    }

    #[test]
    fn a_bet_without_a_look_and_another_order_than_the_looks_are_named() {
        let (first, mut other) = (look(), look());
        let day = 86_400 * ONE;
        other.meta = Some(v1::Meta { event_id: "second".into(), ..v1::Meta::default() });
        (other.match_id, other.looked_at_micros) = ("EPL-2030-LIV-CHE".into(), NOON - 1);
        other.bettors.clear();
        let (looked, differences) = replayed(&journal(&first), std::slice::from_ref(&other));
        assert_eq!((looked.looks, looked.bets, looked.without_look), (1, 0, 0));
        assert_eq!(differences, [("b1 r".to_owned(), "look"), ("b3 r".to_owned(), "look")]);
        // Nobody knows any more what came before the first look that is kept.
        other.looked_at_micros = NOON + day;
        for told in [&[other][..], &[]] {
            let (looked, differences) = replayed(&journal(&first), told);
            assert!(looked.without_look == 2 && differences.is_empty(), "{looked:?} {differences:?}");
            assert_eq!(looked.named[0], "b1 r: not compared: a bet before the first look that is there");
        }

        let mut journal = journal(&first);
        if let Some(journal_record::Kind::Approved(own)) = &mut journal.records[1].kind {
            own.terms.as_mut().expect("terms").quantity_micros += ONE;
        }
        let (looked, differences) = replayed(&journal, &[first]);
        assert_eq!((looked.bets, differences), (2, vec![("b3 r".to_owned(), "order")]));
    }
}
