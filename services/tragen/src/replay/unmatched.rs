//! Orders of configured agents that only one side has. *Missing*: the bars want one and the journal has neither an
//! order nor a denial. *Unexpected*: the journal has one on a bar that changes nothing, though the agent had answered
//! the last change or had held what it asks for.
//!
//! They are doubts, not differences: the journal does not say who was enabled, had a place in its pool or had money when
//! a bar came, so an agent that was right to keep still looks the same. Where its position was what the bars wanted,
//! nothing is missing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use tragen_contracts::v1::{self, execution_report};
use tragen_domain::{id::InstrumentId, market::Timeframe, time::Timestamp};

/// Doubts that are named; the rest is counted.
const NAMED_MAX: usize = 1_000;
/// Every personality acts on a signal that is so sure: the most careful one asks for no more.
const CONFIDENT_PPM: u32 = 770_000;

/// What every account held of every instrument, from the fills.
#[derive(Debug, Default)]
pub(super) struct Held {
    fills: HashMap<(String, String), BTreeMap<String, (i64, i64)>>,
}

/// What the rules said at one bar.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    /// When the bar was told live, by the wall clock; 0 for one that was history.
    pub(super) published_at: i64,
    /// Whether the target changed, or a trade was closed.
    pub(super) is_change: bool,
    /// 1 for long, -1 for short, 0 for flat.
    pub(super) direction: i8,
    /// How sure the rule was, parts per million; None for flat.
    pub(super) confidence_ppm: Option<u32>,
    /// How an order would have been explained.
    pub(super) rationale: String,
}

/// An agent, and what its orders of one kind were made on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Watch {
    pub(super) agent: String,
    pub(super) account: String,
    pub(super) instrument: InstrumentId,
    pub(super) timeframe: Timeframe,
    pub(super) style: String,
}

/// What only one side has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unmatched {
    /// Orders that the journal lacks.
    pub(crate) missing: u64,
    /// Orders that the bars do not ask for.
    pub(crate) unexpected: u64,
    /// The first [`NAMED_MAX`] of both.
    pub(crate) named: Vec<String>,
}

impl Held {
    /// Takes the fills of an executions message; one that is told again changes nothing.
    pub(super) fn executions(&mut self, batch: &v1::ExecutionBatch) {
        for report in &batch.reports {
            let Some(execution_report::Kind::Trade(trade)) = &report.kind else { continue };
            let (Some(key), Some(terms)) = (&report.key, &trade.terms) else { continue };
            let at = report.meta.as_ref().map_or(0, |meta| meta.occurred_at_micros);
            let of = self.fills.entry((key.account_id.clone(), terms.instrument_id.clone())).or_default();
            for fill in &trade.fills {
                let signed = match terms.side() {
                    v1::Side::Sell => -fill.quantity_micros,
                    v1::Side::Buy | v1::Side::Unspecified => fill.quantity_micros,
                };
                of.entry(fill.execution_id.clone()).or_insert((at, signed));
            }
        }
    }

    /// 1 for long, -1 for short, 0 for flat: what was held before the moment `at`.
    fn direction(&self, watch: &Watch, at: i64) -> i8 {
        let fills = self.fills.get(&(watch.account.clone(), watch.instrument.to_string()));
        let before = fills.into_iter().flat_map(BTreeMap::values).filter(|(filled_at, _)| *filled_at < at);
        let sum: i128 = before.map(|(_, signed)| i128::from(*signed)).sum();
        i8::try_from(sum.signum()).unwrap_or(0)
    }
}

impl Unmatched {
    /// Holds what the rules said at the bars of a series against the starts of the bars that the agent has decided on.
    /// Only between its first and its last decision: before and after, nobody says that it was there.
    pub(super) fn compare(
        &mut self,
        watch: &Watch,
        said: &BTreeMap<Timestamp, Said>,
        decided: &BTreeSet<Timestamp>,
        held: &Held,
    ) {
        let (Some(first), Some(last)) = (decided.first(), decided.last()) else { return };
        let is_entry = |own: &&Said| own.direction != 0;
        let acted_on = decided.iter().filter_map(|start| said.get(start)).filter(is_entry);
        let least = acted_on.filter_map(|own| own.confidence_ppm).min().unwrap_or(CONFIDENT_PPM).min(CONFIDENT_PPM);
        let mut is_answered = false;
        for (start, own) in said {
            let is_decided = decided.contains(start);
            if !own.is_change {
                if is_decided && is_answered {
                    self.unexpected += 1;
                    self.name(watch, *start, "unexpected: the bar changes nothing");
                }
                continue;
            }
            let position = held.direction(watch, own.published_at);
            let is_held = own.published_at > 0 && position == own.direction;
            is_answered = is_decided || is_held;
            let is_within = first < start && start < last;
            // Whether it was sure enough for the agent nobody says.
            let is_sure = own.confidence_ppm.is_none_or(|confidence| confidence >= least);
            if is_within && is_sure && !is_answered && own.published_at > 0 {
                self.missing += 1;
                self.name(watch, *start, &format!("missing: {} while {}", own.rationale, word(position)));
            }
        }
    }

    fn name(&mut self, watch: &Watch, start: Timestamp, what: &str) {
        if self.named.len() < NAMED_MAX {
            let Watch { agent, instrument, timeframe, .. } = watch;
            let at = start.micros() / 1_000_000;
            self.named.push(format!("{agent} {instrument} {} bar of {at} s: {what}", timeframe.as_str()));
        }
    }
}

const fn word(direction: i8) -> &'static str {
    match direction {
        0 => "flat",
        1.. => "long",
        ..0 => "short",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch {
            agent: "a1".into(),
            account: "alice".into(),
            instrument: InstrumentId::new("GBPUSD").expect("an id"),
            timeframe: Timeframe::Minute1,
            style: "Scalper".into(),
        }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_micros(minute * 60_000_000)
    }

    /// Long from bar 1, flat from bar 3, short from bar 5, flat from bar 7; each told when it closes.
    fn said() -> BTreeMap<Timestamp, Said> {
        let direction = |minute: i64| [0, 1, 1, 0, 0, -1, -1, 0, 0][usize::try_from(minute).expect("small")];
        let own = |minute: i64| Said {
            published_at: at(minute + 1).micros(),
            is_change: minute % 2 == 1,
            direction: direction(minute),
            confidence_ppm: None,
            rationale: format!("bar {minute}"),
        };
        (0..9).map(|minute| (at(minute), own(minute))).collect()
    }

    /// Filled a second after the bar of `minute` was told.
    fn filled(minute: i64, signed: i64) -> v1::ExecutionBatch {
        let side = if signed > 0 { v1::Side::Buy } else { v1::Side::Sell };
        let terms = v1::OrderTerms { instrument_id: "GBPUSD".into(), side: side.into(), ..v1::OrderTerms::default() };
        let fill = v1::Fill { execution_id: minute.to_string(), quantity_micros: signed.abs(), ..v1::Fill::default() };
        let kind = v1::TradeReport { terms: Some(terms), fills: vec![fill], ..v1::TradeReport::default() };
        let report = v1::ExecutionReport {
            meta: Some(v1::Meta { occurred_at_micros: at(minute + 1).micros() + 1_000_000, ..v1::Meta::default() }),
            key: Some(v1::TradeKey { account_id: "alice".into(), ..v1::TradeKey::default() }),
            kind: Some(execution_report::Kind::Trade(kind)),
        };
        v1::ExecutionBatch { reports: vec![report.clone(), report] }
    }

    fn check(decided: &[i64], fills: &[(i64, i64)], expected: &[&str]) {
        let mut held = Held::default();
        fills.iter().for_each(|(minute, signed)| held.executions(&filled(*minute, *signed)));
        let starts: BTreeSet<Timestamp> = decided.iter().map(|minute| at(*minute)).collect();
        let mut found = Unmatched::default();
        found.compare(&watch(), &said(), &starts, &held);
        let doubts: Vec<&str> = found.named.iter().filter_map(|line| line.split(" s: ").nth(1)).collect();
        assert_eq!(doubts, expected, "{decided:?} {fills:?}");
        let count = |kind: &str| u64::try_from(doubts.iter().filter(|own| own.starts_with(kind)).count()).expect("few");
        assert_eq!((found.missing, found.unexpected), (count("missing"), count("unexpected")));
    }

    #[test]
    fn an_order_that_the_journal_lacks_is_missing_where_the_position_is_another() {
        check(&[1, 3, 5, 7], &[(1, 5), (3, -5), (5, -5), (7, 5)], &[]);
        check(&[1, 5, 7], &[(1, 5), (5, -10), (7, 5)], &["missing: bar 3 while long"]);
        check(&[1, 3, 7], &[(1, 5), (3, -5)], &["missing: bar 5 while flat"]);
        // Denied at bar 1, so flat: at bar 3 there is nothing to do.
        check(&[1, 5, 7], &[(5, -5), (7, 5)], &[]);
        // Nobody says that the agent was there before its first order and after its last one.
        check(&[3, 5], &[(5, -5)], &[]);
        check(&[], &[], &[]);
    }

    #[test]
    fn an_entry_that_may_not_have_been_sure_enough_for_the_agent_is_not_missing() {
        let missing = |confidences: [u32; 2]| {
            let mut said = said();
            // The agent has entered at bar 1; the entry of bar 5 is not in the journal.
            for (minute, confidence) in [1, 5].into_iter().zip(confidences) {
                said.get_mut(&at(minute)).expect("a bar").confidence_ppm = Some(confidence);
            }
            let mut held = Held::default();
            [(1, 5), (3, -5)].iter().for_each(|(minute, signed)| held.executions(&filled(*minute, *signed)));
            let mut found = Unmatched::default();
            found.compare(&watch(), &said, &[1, 3, 7].into_iter().map(at).collect(), &held);
            found.missing
        };
        assert_eq!(missing([700_000, 700_000]), 1);
        assert_eq!(missing([700_000, 699_999]), 0);
        assert_eq!(missing([900_000, CONFIDENT_PPM]), 1, "sure enough for everybody");
        assert_eq!(missing([900_000, CONFIDENT_PPM - 1]), 0);
    }

    #[test]
    fn an_order_that_the_bars_do_not_ask_for_is_unexpected() {
        check(&[1, 2, 3], &[(1, 5), (2, 5), (3, -10)], &["unexpected: the bar changes nothing"]);
        // Bar 3 asks for nothing: it was flat already.
        check(&[1, 4, 5], &[(1, 5), (2, -5), (4, 5), (5, -10)], &["unexpected: the bar changes nothing"]);
        // The change of bar 1 came while the agent could not act: bar 2 makes up for it.
        check(&[2, 3], &[(2, 5), (3, -5)], &[]);
    }
}
