//! The decisions of configured agents on bars, made again from BARS: what each order of theirs was called and how it
//! was explained must come out the same. Sizes follow from cash and positions of the moment, which the books compare.
//!
//! BARS keeps two days of minutes. Where the beginning of a series is gone, the rules are started at two of the bars that
//! are left, a quarter of a day apart: from where both say the same to the end, it does not matter where the live rules
//! began, and the decisions since then are compared. Those before are named.

use super::{
    Comparison,
    looks::is_bet,
    unmatched::{Held, Said, Unmatched, Watch},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tragen_agent_worker::{
    bar_order::{rationale, request_id},
    bars::model_bar,
};
use tragen_bus::BARS_KEPT;
use tragen_contracts::v1::{self, journal_record};
use tragen_domain::{
    agents::{personality::AnalysisStyle, trading::TradingRules},
    id::InstrumentId,
    market::{Bar, Timeframe},
    time::Timestamp,
};
use uuid::Uuid;

/// The shared agent that trades bars, and quotes on odds; the others of configured agents bet, bid and leave on odds.
const TRADING_AGENT: &str = "tradingAgent";
/// Where the beginning of a series is gone, the second start of the rules: so many bars after the first.
const SECOND_START: usize = 360;
/// Fewer bars than this are below the stream's bound in bytes, at which the oldest of all series go.
const BARS_OF_ALL: usize = 1_000_000;

type Series = (InstrumentId, Timeframe);

/// The orders of agents, and the bars they were made on.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    orders: Vec<Order>,
    on_odds: u64,
    /// Bars that an agent has decided on, with an order or a denied one.
    decided: BTreeMap<Watch, BTreeSet<Timestamp>>,
    held: Held,
    bars: BTreeMap<Series, BTreeMap<Timestamp, Bar>>,
    /// Where the stream begins now; after its first message nobody knows whose bars were before that.
    first_sequence: Option<u64>,
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
    /// Not compared: quotes, bids and exits on matches. Bets are, see [`super::Looks`].
    pub(crate) on_odds: u64,
}

/// What the rules say of a series.
struct Words {
    /// At every bar, by the name of the style.
    styles: HashMap<String, BTreeMap<Timestamp, Said>>,
    /// From where on each style says the same wherever it began; None: from the first bar.
    since: HashMap<String, Option<Timestamp>>,
}

/// Orders of a series that are not compared.
#[derive(Debug, Default)]
struct Uncompared {
    orders: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
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
            if is_bet(own) {
                continue;
            }
            // Bars make no quotes: those are made on odds.
            if own.agent != TRADING_AGENT || terms.is_post_only {
                self.on_odds += 1;
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

    /// Takes a bar with its place in the stream; the first with its start stands, as for the workers.
    pub(crate) fn bar(&mut self, sequence: u64, bar: &v1::Bar) {
        self.first_sequence.get_or_insert(sequence);
        if let Ok(bar) = Bar::try_from(bar) {
            let of_series = self.bars.entry((bar.instrument.clone(), bar.timeframe)).or_default();
            of_series.entry(bar.start).or_insert(bar);
        }
    }

    /// Makes the orders again and says what differs, and which orders only one side has.
    pub(crate) fn conclude(self, comparison: &mut Comparison) -> (MadeAgain, Unmatched) {
        let (mut again, mut unmatched) =
            (MadeAgain { on_odds: self.on_odds, ..MadeAgain::default() }, Unmatched::default());
        let known: BTreeMap<&Series, Words> =
            self.bars.iter().map(|(series, bars)| (series, Words::of(bars, self.is_cut(bars)))).collect();
        let mut uncompared: BTreeMap<&Series, Uncompared> = BTreeMap::new();
        for order in &self.orders {
            let style = style_of(&order.rationale);
            let Some(start) = start_of(&order.request_id) else { continue };
            let Some(said) = known.get(&order.series).and_then(|words| words.at(style, start)) else {
                again.without_bars += 1;
                uncompared.entry(&order.series).or_default().note(start);
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
        for (watch, decided) in &self.decided {
            let series = (watch.instrument.clone(), watch.timeframe);
            if let Some((said, decided)) = known.get(&series).and_then(|words| words.since(&watch.style, decided)) {
                unmatched.compare(watch, &said, &decided, &self.held);
            }
        }
        for (series, own) in uncompared {
            unmatched.named.push(own.told(series, self.bars.get(series)));
        }
        (again, unmatched)
    }

    /// Whether bars before the first one may have been there: the series is full, or the stream begins late and that is
    /// not because another series is full.
    fn is_cut(&self, bars: &BTreeMap<Timestamp, Bar>) -> bool {
        let is_full = |bars: &BTreeMap<Timestamp, Bar>| bars.len() >= usize::from(BARS_KEPT);
        let all: usize = self.bars.values().map(BTreeMap::len).sum();
        let is_explained = all < BARS_OF_ALL && self.bars.values().any(is_full);
        is_full(bars) || (self.first_sequence.is_some_and(|first| first > 1) && !is_explained)
    }
}

impl Words {
    fn of(bars: &BTreeMap<Timestamp, Bar>, is_cut: bool) -> Self {
        let styles = words(bars.values());
        let later = if is_cut { words(bars.values().skip(SECOND_START)) } else { HashMap::new() };
        let since = |(style, said): (&String, &BTreeMap<Timestamp, Said>)| {
            let differs = |(start, own): &(&Timestamp, &Said)| {
                later.get(style).and_then(|later| later.get(*start)).is_none_or(|later| later != *own)
            };
            let last = if is_cut { said.iter().rev().find(differs).map(|(start, _)| *start) } else { None };
            (style.clone(), last)
        };
        let since = styles.iter().map(since).collect();
        Self { styles, since }
    }

    /// What a style said at a bar, if it does not matter where it began.
    fn at(&self, style: &str, start: Timestamp) -> Option<&Said> {
        let is_settled = self.since.get(style)?.is_none_or(|last| start > last);
        self.styles.get(style)?.get(&start).filter(|_| is_settled)
    }

    /// What a style said since then, and which of the bars decided on are since then.
    fn since(
        &self,
        style: &str,
        decided: &BTreeSet<Timestamp>,
    ) -> Option<(BTreeMap<Timestamp, Said>, BTreeSet<Timestamp>)> {
        let since = *self.since.get(style)?;
        let is_since = |start: &Timestamp| since.is_none_or(|last| *start > last);
        let said = self.styles.get(style)?.iter().filter(|(start, _)| is_since(start));
        let said = said.map(|(start, own)| (*start, own.clone())).collect();
        Some((said, decided.iter().copied().filter(is_since).collect()))
    }
}

impl Uncompared {
    fn note(&mut self, start: Timestamp) {
        self.orders += 1;
        self.first = Some(self.first.map_or(start, |first| first.min(start)));
        self.last = Some(self.last.map_or(start, |last| last.max(start)));
    }

    fn told(&self, (instrument, timeframe): &Series, bars: Option<&BTreeMap<Timestamp, Bar>>) -> String {
        let seconds =
            |at: Option<&Timestamp>| at.map_or_else(|| "?".to_owned(), |at| (at.micros() / 1_000_000).to_string());
        let kept = match bars.filter(|bars| !bars.is_empty()) {
            Some(bars) => {
                let (first, last) = (bars.keys().next(), bars.keys().next_back());
                format!("{} bars are there, of {} s to {} s", bars.len(), seconds(first), seconds(last))
            }
            None => "no bar is there".to_owned(),
        };
        format!(
            "{instrument} {}: not compared: {} orders on bars of {} s to {} s: {kept}",
            timeframe.as_str(),
            self.orders,
            seconds(self.first.as_ref()),
            seconds(self.last.as_ref()),
        )
    }
}

/// The rule set's name out of an order's explanation.
fn style_of(rationale: &str) -> &str {
    rationale.split(':').next().unwrap_or_default()
}

/// What every rule set says at every bar, in their order, by the name of its style.
fn words<'a>(bars: impl Iterator<Item = &'a Bar> + Clone) -> HashMap<String, BTreeMap<Timestamp, Said>> {
    let mut words: HashMap<String, BTreeMap<Timestamp, Said>> = HashMap::new();
    for style in AnalysisStyle::ALL {
        let Some(mut rules) = TradingRules::for_style(style) else { continue };
        let of_style = words.entry(format!("{style:?}")).or_default();
        // A bar with impossible prices was seen by nobody's rules.
        for (bar, model) in bars.clone().filter_map(|bar| Some((bar, model_bar(bar)?))) {
            let signal = rules.on_bar(&model);
            let said = Said {
                published_at: bar.published_at.micros(),
                is_change: signal.changed() || signal.closed.is_some(),
                direction: signal.direction(),
                confidence_ppm: signal.confidence_ppm,
                rationale: rationale(style, &signal),
            };
            of_style.insert(bar.start, said);
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
            agent: TRADING_AGENT.into(),
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
        (1..).zip(bars).for_each(|(sequence, bar)| decisions.bar(sequence, &v1::Bar::from(bar)));
        let of = bar(number, 1);
        let name = request_id(agent, of.timeframe, &of.instrument, of.start).to_string();
        decisions.journal(&approved(&name, rationale));
        let mut comparison = Comparison::default();
        let (again, unmatched) = decisions.conclude(&mut comparison);
        let named = usize::from(again.without_bars > 0);
        assert_eq!((unmatched.missing, unmatched.unexpected, unmatched.named.len()), (0, 0, named));
        (again, comparison.differences.iter().map(|own| own.what).collect())
    }

    /// What the scalper says on the fall.
    fn said() -> String {
        words(bars().iter())["Scalper"][&bar(60, 1).start].rationale.clone()
    }

    #[test]
    fn an_order_comes_out_the_same_from_its_bars() {
        let said = said();
        assert!(said.starts_with("Scalper: long at "), "{said}");
        let one = MadeAgain { orders: 1, ..MadeAgain::default() };
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
        let said = words(all.iter()).remove("Scalper").expect("its words");
        let changes: Vec<i64> =
            said.iter().filter(|(_, own)| own.is_change).map(|(start, _)| start.micros() / 60_000_000).collect();
        let [60, closed, .., last] = changes[..] else { panic!("{changes:?}") };
        let mut decisions = Decisions::default();
        (1..).zip(&all).for_each(|(sequence, bar)| decisions.bar(sequence, &v1::Bar::from(bar)));
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
        let none = MadeAgain { without_bars: 1, ..MadeAgain::default() };
        assert_eq!(check(&[], "a1", 60, &said()), (none, vec![]));
        assert_eq!(check(&bars(), "a1", 61, &said()), (none, vec![]));
    }

    /// A lively market; one bar in 29 jumps so far that the scalper fades it.
    fn lively(bars: i64) -> Vec<Bar> {
        let close =
            |number: i64| 1_500_000 + (number * 7_919 % 41 - 20) * 100 + if number % 29 == 0 { 6_000 } else { 0 };
        (0..bars).map(|number| bar(number, close(number))).collect()
    }

    /// What is found when the rules have seen `all`, and the stream has the bars from `kept` on, the first of them at
    /// `sequence`; `changed` explains an order on a bar anew.
    fn replayed(
        all: &[Bar],
        (kept, sequence): (usize, u64),
        changed: impl Fn(i64, &str) -> String,
    ) -> (MadeAgain, Unmatched, Vec<String>) {
        let mut decisions = Decisions::default();
        (sequence..).zip(&all[kept..]).for_each(|(sequence, bar)| decisions.bar(sequence, &v1::Bar::from(bar)));
        for (start, said) in words(all.iter()).remove("Scalper").expect("its words") {
            let (instrument, timeframe) = (&all[0].instrument, all[0].timeframe);
            if said.is_change {
                let name = request_id("a1", timeframe, instrument, start).to_string();
                decisions.journal(&approved(&name, &changed(start.micros() / 60_000_000, &said.rationale)));
            }
        }
        let mut comparison = Comparison::default();
        let (again, unmatched) = decisions.conclude(&mut comparison);
        (again, unmatched, comparison.differences.iter().map(|own| own.at.clone()).collect())
    }

    #[test]
    fn a_day_of_minutes_is_decided_again_whose_beginning_is_gone() {
        let kept = usize::from(BARS_KEPT);
        let all = lively(i64::from(BARS_KEPT) + 1_000);
        let as_said = |_: i64, said: &str| said.to_owned();
        let (whole, unmatched, differences) = replayed(&all[..kept - 1], (0, 1), as_said);
        assert!(whole.orders > 100 && whole.without_bars == 0, "{whole:?}");
        assert_eq!((unmatched, differences), (Unmatched::default(), vec![]));

        // The stream has let the first thousand go. Of the last day every order is compared, and the others are named.
        let (cut, unmatched, differences) = replayed(&all, (1_000, 1_001), as_said);
        let last_day = i64::from(BARS_KEPT) + 1_000 - 1_440;
        let orders: Vec<i64> = words(all.iter())["Scalper"]
            .iter()
            .filter(|(_, own)| own.is_change)
            .map(|(start, _)| start.micros() / 60_000_000)
            .collect();
        let in_last_day = u64::try_from(orders.iter().filter(|number| **number >= last_day).count()).expect("few");
        assert!(in_last_day > 50 && cut.orders >= in_last_day, "{cut:?} of {in_last_day}");
        assert_eq!(differences, Vec::<String>::new());
        assert_eq!((unmatched.missing, unmatched.unexpected), (0, 0), "{unmatched:?}");
        let expected = format!("GBPUSD 1m: not compared: {} orders on bars of {} s", cut.without_bars, orders[0] * 60);
        assert!(unmatched.named.len() == 1 && unmatched.named[0].starts_with(&expected), "{unmatched:?}");
        assert!(unmatched.named[0].ends_with(": 2880 bars are there, of 60000 s to 232740 s"), "{unmatched:?}");

        // What is compared is compared: an order of the last day with another explanation is a difference.
        let other = *orders.iter().rfind(|number| **number < last_day + 700).expect("an order");
        let turned = |number: i64, said: &str| {
            if number == other { format!("{said} otherwise") } else { said.to_owned() }
        };
        assert_eq!(replayed(&all, (1_000, 1_001), turned).2.len(), 1);
    }

    #[test]
    fn a_missing_tail_and_a_stream_that_begins_late_are_named() {
        let all = lively(1_000);
        let mut decisions = Decisions::default();
        (1..).zip(&all[..900]).for_each(|(sequence, bar)| decisions.bar(sequence, &v1::Bar::from(bar)));
        let last = words(all.iter())["Scalper"].iter().rfind(|(_, own)| own.is_change).map(|(start, own)| {
            let name = request_id("a1", Timeframe::Minute1, &all[0].instrument, *start).to_string();
            decisions.journal(&approved(&name, &own.rationale));
            *start
        });
        let (again, unmatched) = decisions.conclude(&mut Comparison::default());
        let seconds = last.expect("an order").micros() / 1_000_000;
        assert!(seconds >= 900 * 60 && again == MadeAgain { without_bars: 1, ..MadeAgain::default() }, "{again:?}");
        let said = format!(
            "GBPUSD 1m: not compared: 1 orders on bars of {seconds} s to {seconds} s: 900 bars are there, of 0 s to 53940 s"
        );
        assert_eq!(unmatched.named, [said]);

        let as_said = |_: i64, said: &str| said.to_owned();
        let short = replayed(&all[..300], (100, 7), as_said);
        assert_eq!((short.0.orders, short.2.len()), (0, 0), "nobody knows whose bars were before: {short:?}");
    }
}
