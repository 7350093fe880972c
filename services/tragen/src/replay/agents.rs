//! The decisions of configured agents on bars, made again from BARS: what each order of theirs was called and how it
//! was explained must come out the same. Sizes follow from cash and positions of the moment, which the books compare.

use super::{
    Comparison,
    unmatched::{Held, Said, Unmatched, Watch},
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use tragen_agent_worker::{
    bar_order::{rationale, request_id},
    bars::model_bar,
};
use tragen_contracts::v1::{self, journal_record};
use tragen_domain::{
    agents::{personality::AnalysisStyle, trading::TradingRules},
    id::InstrumentId,
    market::{Bar, Timeframe},
    time::Timestamp,
};
use uuid::Uuid;

/// BARS keeps so many bars of each series; one that has them all may have lost its beginning.
const BARS_KEPT: usize = 500;

type Series = (InstrumentId, Timeframe);

/// The orders of agents, and the bars they were made on.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    orders: Vec<Order>,
    /// Bars that an agent has decided on, with an order or a denied one.
    decided: BTreeMap<Watch, BTreeSet<Timestamp>>,
    held: Held,
    bars: HashMap<Series, BTreeMap<Timestamp, Bar>>,
}

/// An order of a configured agent as the journal has it.
#[derive(Debug)]
struct Order {
    agent: String,
    request_id: String,
    series: Series,
    rationale: String,
}

/// How many orders of agents were made again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MadeAgain {
    /// Compared.
    pub(crate) orders: u64,
    /// Not compared: their bar is not there any more, or those before it are not.
    pub(crate) without_bars: u64,
}

impl Decisions {
    /// Takes the agents' orders of a journal message; reductions are nobody's decision.
    pub(crate) fn journal(&mut self, batch: &v1::JournalBatch) {
        for record in &batch.records {
            self.note(record);
            let Some(journal_record::Kind::Approved(own)) = &record.kind else { continue };
            let (Some(key), Some(terms)) = (&record.key, &own.terms) else { continue };
            let is_reduction = !own.reduction_id.is_empty();
            let Some(timeframe) = Timeframe::parse(&own.timeframe).filter(|_| !is_reduction) else { continue };
            let Ok(instrument) = InstrumentId::new(&terms.instrument_id) else { continue };
            if own.agent_id.is_empty() {
                continue;
            }
            self.orders.push(Order {
                agent: own.agent_id.clone(),
                request_id: key.request_id.clone(),
                series: (instrument, timeframe),
                rationale: own.rationale.clone(),
            });
        }
    }

    /// Notes that an agent has decided on a bar.
    fn note(&mut self, record: &v1::JournalRecord) -> Option<()> {
        let key = record.key.as_ref()?;
        let (agent, timeframe, instrument, rationale) =
            if let journal_record::Kind::Approved(own) = record.kind.as_ref()? {
                let terms = own.terms.as_ref().filter(|_| own.reduction_id.is_empty())?;
                (&own.agent_id, &own.timeframe, &terms.instrument_id, &own.rationale)
            } else if let journal_record::Kind::Refused(own) = record.kind.as_ref()? {
                let (report, proposed) = (own.report.as_ref()?, own.proposed.as_ref()?);
                (&report.agent_id, &proposed.timeframe, &report.terms.as_ref()?.instrument_id, &report.rationale)
            } else {
                return None;
            };
        let watch = Watch {
            agent: Some(agent).filter(|agent| !agent.is_empty())?.clone(),
            account: key.account_id.clone(),
            instrument: InstrumentId::new(instrument).ok()?,
            timeframe: Timeframe::parse(timeframe)?,
            style: style_of(rationale).to_owned(),
        };
        self.decided.entry(watch).or_default().insert(start_of(&key.request_id)?);
        Some(())
    }

    /// Takes what the venue reported: what agents held when a bar came.
    pub(crate) fn executions(&mut self, batch: &v1::ExecutionBatch) {
        self.held.executions(batch);
    }

    /// Takes a bar; the first with its start stands, as for the workers.
    pub(crate) fn bar(&mut self, bar: &v1::Bar) {
        if let Ok(bar) = Bar::try_from(bar) {
            let of_series = self.bars.entry((bar.instrument.clone(), bar.timeframe)).or_default();
            of_series.entry(bar.start).or_insert(bar);
        }
    }

    /// Makes the orders again and says what differs, and which orders only one side has.
    pub(crate) fn conclude(self, comparison: &mut Comparison) -> (MadeAgain, Unmatched) {
        let mut again = MadeAgain::default();
        let known: HashMap<Series, HashMap<String, BTreeMap<Timestamp, Said>>> =
            self.bars.iter().map(|(series, bars)| (series.clone(), words(bars))).collect();
        let cut: HashSet<&Series> =
            self.bars.iter().filter(|(_, bars)| bars.len() >= BARS_KEPT).map(|(series, _)| series).collect();
        for order in &self.orders {
            let start = start_of(&order.request_id);
            let said = start.and_then(|start| known.get(&order.series)?.get(style_of(&order.rationale))?.get(&start));
            let (Some(start), Some(said), false) = (start, said, cut.contains(&order.series)) else {
                again.without_bars += 1;
                continue;
            };
            again.orders += 1;
            let at = format!("{} {}", order.agent, order.request_id);
            let name = request_id(&order.agent, order.series.1, &order.series.0, start).to_string();
            if name != order.request_id {
                comparison.differ(&at, "name of the order", &name, &order.request_id);
            }
            if said.rationale != order.rationale {
                comparison.differ(&at, "decision", &said.rationale, &order.rationale);
            }
        }
        let mut unmatched = Unmatched::default();
        for (watch, decided) in &self.decided {
            let series = (watch.instrument.clone(), watch.timeframe);
            let said = known.get(&series).and_then(|styles| styles.get(&watch.style));
            if let Some(said) = said.filter(|_| !cut.contains(&series)) {
                unmatched.compare(watch, said, decided, &self.held);
            }
        }
        (again, unmatched)
    }
}

/// The rule set's name out of an order's explanation.
fn style_of(rationale: &str) -> &str {
    rationale.split(':').next().unwrap_or_default()
}

/// What every rule set says at every bar, by the name of its style.
fn words(bars: &BTreeMap<Timestamp, Bar>) -> HashMap<String, BTreeMap<Timestamp, Said>> {
    let mut words: HashMap<String, BTreeMap<Timestamp, Said>> = HashMap::new();
    for style in AnalysisStyle::ALL {
        let Some(mut rules) = TradingRules::for_style(style) else { continue };
        let of_style = words.entry(format!("{style:?}")).or_default();
        // A bar with impossible prices was seen by nobody's rules.
        for (start, bar, model) in bars.iter().filter_map(|(start, bar)| Some((start, bar, model_bar(bar)?))) {
            let signal = rules.on_bar(&model);
            let said = Said {
                published_at: bar.published_at.micros(),
                is_change: signal.changed() || signal.closed.is_some(),
                direction: signal.direction(),
                rationale: rationale(style, &signal),
            };
            of_style.insert(*start, said);
        }
    }
    words
}

/// The bar's start out of the order's name, milliseconds after the epoch.
fn start_of(request_id: &str) -> Option<Timestamp> {
    let (seconds, nanos) = Uuid::parse_str(request_id).ok()?.get_timestamp()?.to_unix();
    let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?.checked_add(i64::from(nanos) / 1_000)?;
    Some(Timestamp::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tragen_domain::{market::Ohlc, money::Price};

    fn bar(number: i64, close: i64) -> Bar {
        let side = |close: i64| Ohlc {
            open: Price::from_micros(close),
            high: Price::from_micros(close + 50),
            low: Price::from_micros(close - 50),
            close: Price::from_micros(close),
        };
        Bar {
            instrument: InstrumentId::new("GBPUSD").expect("an id"),
            timeframe: Timeframe::Minute1,
            start: Timestamp::from_micros(number * 60_000_000),
            bid: side(close),
            ask: side(close + 10),
            published_at: Timestamp::from_micros(number * 60_000_000),
        }
    }

    /// A market that goes nowhere, then a fall that the scalper fades, in bar 60.
    fn bars() -> Vec<Bar> {
        let flat = (0..60).map(|number| bar(number, 1_500_000 + (number % 2) * 200));
        flat.chain([bar(60, 1_499_500)]).collect()
    }

    fn approved(request_id: &str, rationale: &str) -> v1::JournalBatch {
        let terms = v1::OrderTerms { instrument_id: "GBPUSD".into(), ..v1::OrderTerms::default() };
        let own = v1::OrderApproved {
            terms: Some(terms),
            agent_id: "a1".into(),
            timeframe: "1m".into(),
            rationale: rationale.into(),
            ..v1::OrderApproved::default()
        };
        let key = v1::TradeKey { request_id: request_id.into(), ..v1::TradeKey::default() };
        let kind = Some(journal_record::Kind::Approved(own));
        let record = v1::JournalRecord { key: Some(key), kind, ..v1::JournalRecord::default() };
        v1::JournalBatch { records: vec![record], ..v1::JournalBatch::default() }
    }

    /// What comes out otherwise of an order on the bar `number`.
    fn check(bars: &[Bar], agent: &str, number: i64, rationale: &str) -> (MadeAgain, Vec<&'static str>) {
        let mut decisions = Decisions::default();
        bars.iter().for_each(|bar| decisions.bar(&v1::Bar::from(bar)));
        let of = bar(number, 1);
        let name = request_id(agent, of.timeframe, &of.instrument, of.start).to_string();
        decisions.journal(&approved(&name, rationale));
        let mut comparison = Comparison::default();
        let (again, unmatched) = decisions.conclude(&mut comparison);
        assert_eq!(unmatched, Unmatched::default());
        (again, comparison.differences.iter().map(|own| own.what).collect())
    }

    /// What the scalper says on the fall.
    fn said() -> String {
        let all = bars().into_iter().map(|bar| (bar.start, bar)).collect();
        words(&all)["Scalper"][&bar(60, 1).start].rationale.clone()
    }

    #[test]
    fn an_order_comes_out_the_same_from_its_bars() {
        let said = said();
        assert!(said.starts_with("Scalper: long at "), "{said}");
        let one = MadeAgain { orders: 1, without_bars: 0 };
        assert_eq!(check(&bars(), "a1", 60, &said), (one, vec![]));
        assert_eq!(check(&bars(), "a1", 60, &said.replace("long", "short")), (one, vec!["decision"]));
        assert_eq!(check(&bars(), "a2", 60, &said), (one, vec!["name of the order"]), "another agent's name");
        let mut other = bars();
        other[59] = bar(59, 1_480_000);
        assert_eq!(check(&other, "a1", 60, &said).1, ["decision"], "a bar that was otherwise");
    }

    #[test]
    fn an_order_that_is_nowhere_is_missing() {
        let more = (61..100).map(|number| bar(number, 1_500_100));
        let all: Vec<Bar> = bars().into_iter().chain(more).chain([bar(100, 1_499_400)]).collect();
        let by_start = all.iter().map(|bar| (bar.start, bar.clone())).collect();
        let said = words(&by_start).remove("Scalper").expect("its words");
        let changes: Vec<i64> =
            said.iter().filter(|(_, own)| own.is_change).map(|(start, _)| start.micros() / 60_000_000).collect();
        let [60, closed, .., last] = changes[..] else { panic!("{changes:?}") };
        let mut decisions = Decisions::default();
        all.iter().for_each(|bar| decisions.bar(&v1::Bar::from(bar)));
        for number in [60, last] {
            let of = bar(number, 1);
            let name = request_id("a1", of.timeframe, &of.instrument, of.start).to_string();
            decisions.journal(&approved(&name, &said[&of.start].rationale));
        }
        let terms =
            v1::OrderTerms { instrument_id: "GBPUSD".into(), side: v1::Side::Buy.into(), ..v1::OrderTerms::default() };
        let fill = v1::Fill { execution_id: "x".into(), quantity_micros: 5, ..v1::Fill::default() };
        let report = v1::TradeReport { terms: Some(terms), fills: vec![fill], ..v1::TradeReport::default() };
        decisions.executions(&v1::ExecutionBatch {
            reports: vec![v1::ExecutionReport {
                meta: Some(v1::Meta { occurred_at_micros: bar(60, 1).published_at.micros(), ..v1::Meta::default() }),
                key: Some(v1::TradeKey::default()),
                kind: Some(v1::execution_report::Kind::Trade(report)),
            }],
        });
        let mut comparison = Comparison::default();
        let (again, unmatched) = decisions.conclude(&mut comparison);
        assert_eq!((again.orders, comparison.count, unmatched.unexpected), (2, 0, 0));
        assert!(unmatched.missing >= 1, "{unmatched:?}");
        let expected = format!("a1 GBPUSD 1m bar of {} s: missing: Scalper: flat", closed * 60);
        assert!(unmatched.named[0].starts_with(&expected), "{unmatched:?}");
    }

    #[test]
    fn orders_without_their_bars_are_counted_and_not_compared() {
        let none = MadeAgain { orders: 0, without_bars: 1 };
        assert_eq!(check(&[], "a1", 60, &said()), (none, vec![]));
        assert_eq!(check(&bars(), "a1", 61, &said()), (none, vec![]));
        let long: Vec<Bar> = (0..500).map(|number| bar(number, 1_500_000 + (number % 2) * 200)).collect();
        assert_eq!(check(&long, "a1", 60, &said()), (none, vec![]), "its beginning may be gone");
    }
}
