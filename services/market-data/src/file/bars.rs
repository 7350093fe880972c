//! Price bars, with bid and ask or with one price, of one symbol (named by the
//! file) or of many (named by a column).

use super::{BadField, Cells, FileError, FileKind, FileReport, Sheet, moment};
use crate::{
    catalog::{self, Listing},
    number,
};
use std::collections::{HashMap, hash_map::Entry};
use tracing::warn;
use tragen_domain::{
    id::InstrumentId,
    market::{Ohlc, Timeframe, crossed_by, is_broken},
    money::Price,
    time::Timestamp,
};

/// Names of the time column. `ts_server` is a broker's clock and is read as UTC.
pub(super) const TIME: [&str; 7] = ["ts_utc", "ts_server", "timestamp", "time", "datetime", "ts", "date"];

/// A price this many times above or below the last one is a typing error, such as a lost decimal point ...
const JUMP_MAX: i64 = 2;
/// ... unless so many rows in a row say the same.
const JUMPS_BELIEVED: u32 = 5;

/// The bars of one instrument, oldest first, all of one length.
#[derive(Debug, Clone)]
pub struct Series {
    /// The instrument, its usual spread and depth.
    pub listing: Listing,
    /// The length of the bars.
    pub timeframe: Timeframe,
    /// The bars, each start once.
    pub rows: Vec<BarRow>,
    /// Whether bid and ask were put around one price, half of the listing's spread to each side.
    pub is_one_price: bool,
}

/// One bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarRow {
    /// Start of the interval.
    pub start: Timestamp,
    /// What was bid.
    pub bid: Ohlc,
    /// What was asked, nowhere below the bid.
    pub ask: Ohlc,
}

/// Columns of a bars file.
struct Columns {
    time: usize,
    symbol: Option<usize>,
    volume: Option<usize>,
    prices: Prices,
}

enum Prices {
    /// Open, high, low, close of the bid, then of the ask.
    BidAsk([usize; 4], [usize; 4]),
    One([usize; 4]),
}

/// A series that is being read.
struct Reading {
    listing: Listing,
    rows: Vec<BarRow>,
    /// Where each row stands in the file.
    lines: Vec<usize>,
    jumps: u32,
}

/// The bars of one instrument in one file.
pub(super) struct InFile {
    series: Series,
    /// The place of the file.
    file: usize,
    /// Where each row stands in it.
    lines: Vec<usize>,
}

/// Reads the file at `place` of all files.
pub(super) fn read(sheet: &mut Sheet<'_>, place: usize, before: &mut Vec<InFile>) -> Result<FileReport, FileError> {
    let columns = columns(sheet)?;
    let file = sheet.file.clone();
    let named = name_of(&file);
    if columns.symbol.is_none() && named.symbol.is_empty() {
        return Err(sheet.refused(1, "a column symbol, or a file name such as gbpusd_m1.csv", "neither"));
    }
    let mut report = FileReport::new(&sheet.file, FileKind::Bars);
    let mut order = Vec::new();
    let mut readings: HashMap<InstrumentId, Reading> = HashMap::new();
    while let Some(cells) = sheet.next(&mut report) {
        let symbol = columns.symbol.map_or(named.symbol, |column| cells.text(column));
        let reading = match reading_of(symbol, &mut readings, &mut order) {
            Ok(reading) => reading,
            Err(bad) => {
                report.refuse(cells.line, &bad);
                continue;
            }
        };
        match bar(&cells, &columns, &reading.listing, &mut report).and_then(|bar| reading.check(bar).map(|()| bar)) {
            Ok(bar) => {
                reading.rows.push(bar);
                reading.lines.push(cells.line);
                report.accepted += 1;
            }
            Err(bad) => report.refuse(cells.line, &bad),
        }
    }
    for id in order {
        let Some(reading) = readings.remove(&id).filter(|reading| !reading.rows.is_empty()) else { continue };
        let timeframe = spacing(sheet, &reading.rows, named.timeframe)?;
        let is_same = |own: &&Series| own.listing.instrument.id == id && own.timeframe == timeframe;
        let earlier: Vec<&Series> = before.iter().map(|own| &own.series).filter(is_same).collect();
        let (mut rows, mut lines) = (Vec::with_capacity(reading.rows.len()), Vec::with_capacity(reading.rows.len()));
        for (row, line) in reading.rows.into_iter().zip(reading.lines) {
            let reason = if row.start.micros().rem_euclid(timeframe.seconds() * 1_000_000) != 0 {
                format!("does not start a bar of {}", timeframe.as_str())
            } else if earlier.iter().any(|own| own.rows.binary_search_by_key(&row.start, |bar| bar.start).is_ok()) {
                format!("is in a file before this one too: that one counts for {id}")
            } else {
                rows.push(row);
                lines.push(line);
                continue;
            };
            report.take_back(line, &BadField::new("time", reason));
        }
        let is_one_price = matches!(columns.prices, Prices::One(_));
        let series = Series { listing: reading.listing, timeframe, rows, is_one_price };
        before.push(InFile { series, file: place, lines });
    }
    Ok(report)
}

fn reading_of<'a>(
    symbol: &str,
    readings: &'a mut HashMap<InstrumentId, Reading>,
    order: &mut Vec<InstrumentId>,
) -> Result<&'a mut Reading, BadField> {
    let bad = |error: tragen_domain::id::IdError| BadField::new("symbol", error.to_string());
    let id = catalog::instrument_id(symbol).map_err(bad)?;
    match readings.entry(id) {
        Entry::Occupied(known) => Ok(known.into_mut()),
        Entry::Vacant(new) => {
            let listing = catalog::listing(new.key()).map_err(bad)?;
            order.push(new.key().clone());
            Ok(new.insert(Reading { listing, rows: Vec::new(), lines: Vec::new(), jumps: 0 }))
        }
    }
}

/// One series per instrument: files of the same length of bars are joined, longer bars are left out (they are made
/// from the shorter ones), and their files' reports say so.
pub(super) fn join(read: Vec<InFile>, reports: &mut [FileReport]) -> Vec<Series> {
    let mut shortest: HashMap<InstrumentId, Timeframe> = HashMap::new();
    for InFile { series, .. } in &read {
        let known = shortest.entry(series.listing.instrument.id.clone()).or_insert(series.timeframe);
        *known = series.timeframe.min(*known);
    }
    let mut joined: Vec<Series> = Vec::new();
    for InFile { series, file, lines } in read {
        let id = &series.listing.instrument.id;
        if let Some(shorter) = shortest.get(id).filter(|shorter| **shorter < series.timeframe) {
            let (own, shorter) = (series.timeframe.as_str(), shorter.as_str());
            warn!("{id} comes as {shorter} and {own}: the longer bars are left out");
            if let Some(report) = reports.get_mut(file) {
                lines.into_iter().for_each(|line| report.leave_out(line));
            }
            continue;
        }
        match joined.iter_mut().find(|known| known.listing.instrument.id == *id) {
            Some(known) => {
                known.rows.extend(series.rows);
                known.rows.sort_by_key(|row| row.start);
            }
            None => joined.push(series),
        }
    }
    joined
}

fn columns(sheet: &Sheet<'_>) -> Result<Columns, FileError> {
    let all = |names: [&str; 4]| -> Result<[usize; 4], FileError> {
        let [open, high, low, close] = names.map(|name| sheet.needed(&[name]));
        Ok([open?, high?, low?, close?])
    };
    let prices = if sheet.column(&["bid_c"]).is_some() {
        Prices::BidAsk(all(["bid_o", "bid_h", "bid_l", "bid_c"])?, all(["ask_o", "ask_h", "ask_l", "ask_c"])?)
    } else {
        Prices::One(all(["open", "high", "low", "close"])?)
    };
    Ok(Columns {
        time: sheet.needed(&TIME)?,
        symbol: sheet.column(&["symbol"]),
        volume: sheet.column(&["volume", "tick_volume"]),
        prices,
    })
}

fn bar(cells: &Cells<'_>, columns: &Columns, listing: &Listing, report: &mut FileReport) -> Result<BarRow, BadField> {
    let start = cells.parse("time", columns.time, moment::point)?;
    if let Some(column) = columns.volume.filter(|column| !cells.text(*column).is_empty()) {
        cells.parse("volume", column, number::volume)?;
    }
    let (bid, ask) = match &columns.prices {
        Prices::BidAsk(bid, ask) => (ohlc(cells, "bid", bid)?, ohlc(cells, "ask", ask)?),
        Prices::One(one) => around(&ohlc(cells, "price", one)?, listing),
    };
    if bid.low.micros() <= 0 {
        return Err(BadField::new("bid", "the spread is wider than the price"));
    }
    let crossing = crossed_by(&bid, &ask);
    if crossing <= 0 {
        return Ok(BarRow { start, bid, ask });
    }
    let text = Price::from_micros(crossing);
    if is_broken(&bid, &ask) {
        return Err(BadField::new("ask", format!("is {text} below the bid")));
    }
    report.repair(cells.line, &BadField::new("ask", format!("is {text} below the bid: put at the bid")));
    let higher = |a: Price, b: Price| a.max(b);
    let ask = Ohlc {
        open: higher(bid.open, ask.open),
        high: higher(bid.high, ask.high),
        low: higher(bid.low, ask.low),
        close: higher(bid.close, ask.close),
    };
    Ok(BarRow { start, bid, ask })
}

fn ohlc(cells: &Cells<'_>, side: &str, columns: &[usize; 4]) -> Result<Ohlc, BadField> {
    let price = |part: &str, column: usize| cells.parse(&format!("{side}_{part}"), column, number::price);
    let [open, high, low, close] = *columns;
    let bar = Ohlc {
        open: price("open", open)?,
        high: price("high", high)?,
        low: price("low", low)?,
        close: price("close", close)?,
    };
    if bar.high < bar.low {
        return Err(BadField::new(format!("{side}_high"), format!("{} is below the low {}", bar.high, bar.low)));
    }
    if bar.low > bar.open.min(bar.close) || bar.high < bar.open.max(bar.close) {
        let reason = format!("open {} or close {} is outside {}..{}", bar.open, bar.close, bar.low, bar.high);
        return Err(BadField::new(format!("{side}_high"), reason));
    }
    Ok(bar)
}

/// Bid and ask around one price: half a usual spread to each side.
fn around(price: &Ohlc, listing: &Listing) -> (Ohlc, Ohlc) {
    let half = listing.half_spread.micros();
    let moved = |by: i64| {
        let shift = |price: Price| Price::from_micros(price.micros() + by);
        Ohlc { open: shift(price.open), high: shift(price.high), low: shift(price.low), close: shift(price.close) }
    };
    (moved(-half), moved(half))
}

impl Reading {
    /// Whether the bar follows the ones before it.
    fn check(&mut self, bar: BarRow) -> Result<(), BadField> {
        let Some(last) = self.rows.last() else { return Ok(()) };
        if bar.start == last.start {
            return Err(BadField::new("time", "is a duplicate of the row before"));
        }
        if bar.start < last.start {
            return Err(BadField::new("time", "is before the row before"));
        }
        let (low, high) = (bar.bid.low.min(last.bid.close).micros(), bar.ask.high.max(last.bid.close).micros());
        if high / JUMP_MAX < low {
            self.jumps = 0;
            return Ok(());
        }
        self.jumps += 1;
        if self.jumps > JUMPS_BELIEVED {
            self.jumps = 0;
            return Ok(());
        }
        Err(BadField::new("price", format!("{} is not in line with the last {}", bar.bid.close, last.bid.close)))
    }
}

/// What a file name such as `gbpusd_m1_2012-02.csv` says.
struct Named<'a> {
    symbol: &'a str,
    timeframe: Option<Timeframe>,
}

/// The instrument whose bars are in a file of this name, if the name tells it.
pub(super) fn named_instrument(file: &str) -> Option<InstrumentId> {
    let Named { symbol, timeframe } = name_of(file);
    timeframe?;
    catalog::instrument_id(symbol).ok()
}

fn name_of(file: &str) -> Named<'_> {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let timeframe = stem.split('_').find_map(|part| match part.to_ascii_lowercase().as_str() {
        "m1" | "1m" => Some(Timeframe::Minute1),
        "m5" | "5m" => Some(Timeframe::Minute5),
        "h1" | "1h" => Some(Timeframe::Hour1),
        "h4" | "4h" => Some(Timeframe::Hour4),
        "d1" | "1d" => Some(Timeframe::Day1),
        _ => None,
    });
    Named { symbol: stem.split('_').next().unwrap_or(""), timeframe }
}

/// The length of the bars: their usual spacing, which must agree with the name.
fn spacing(sheet: &Sheet<'_>, rows: &[BarRow], named: Option<Timeframe>) -> Result<Timeframe, FileError> {
    let mut counts: HashMap<i64, usize> = HashMap::new();
    for pair in rows.windows(2) {
        *counts.entry((pair[1].start.micros() - pair[0].start.micros()) / 1_000_000).or_default() += 1;
    }
    let usual = counts.into_iter().max_by_key(|(seconds, count)| (*count, -seconds)).map(|(seconds, _)| seconds);
    let measured = usual.and_then(|usual| Timeframe::ALL.into_iter().find(|t| t.seconds() == usual));
    match (named, measured, usual) {
        (Some(named), Some(measured), _) if named == measured => Ok(named),
        (None, Some(measured), _) => Ok(measured),
        (Some(named), _, None) => Ok(named),
        (Some(named), _, Some(usual)) => Err(sheet.refused(
            2,
            &format!("rows {} s apart, as the file's name says", named.seconds()),
            format!("{usual} s"),
        )),
        (None, None, Some(usual)) => {
            Err(sheet.refused(2, "rows 1m, 5m, 1h, 4h or 1d apart", format!("rows {usual} s apart")))
        }
        (None, _, None) => Err(sheet.refused(2, "at least two rows, or a name such as gbpusd_m1.csv", "one row")),
    }
}
