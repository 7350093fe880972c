//! Trades history with the very same code as live, in one thread and by
//! function calls: market-data's readers, the agents, the gate's rules, the paper
//! venue's books and the ledger's rules. Two runs on the same files are equal to
//! the last bit.
//!
//! | file | what it does |
//! |---|---|
//! | `conditions` | what trading costs, at which prices, asked of whom |
//! | `timeline` | what happens when; refuses data that runs backwards |
//! | `lanes` | agents on bars |
//! | `offers`, `forecasts` | agents on matches, and what they believed |
//! | `models` | Dixon-Coles and Elo, fitted before each match day to what is known then |
//! | `desk` | proposal, decision, fill, books |
//! | `seat`, `figures` | one agent's money, trades and record |
//! | `digest` | everything that was decided, as one number |
//! | `future` | shows that no decision depends on what came later |
//! | `evaluation` | how good the models' forecasts would have been |
//! | `report`, `page`, `chart` | what came of it, as JSON and as a page |

pub(crate) mod chart;
pub(crate) mod conditions;
mod desk;
mod digest;
pub(crate) mod evaluation;
pub(crate) mod figures;
pub(crate) mod forecasts;
pub(crate) mod future;
mod lanes;
pub(crate) mod models;
pub(crate) mod offers;
pub(crate) mod page;
pub(crate) mod report;
pub(crate) mod seat;
#[cfg(test)]
mod tests;
pub(crate) mod timeline;

use conditions::{Conditions, OddsTime};
use desk::{Desk, DeskError};
use digest::Mark;
use figures::Figures;
use lanes::Lane;
use models::{FutureResult, Models};
use offers::Bettor;
use seat::{Agent, Seat};
use std::collections::BTreeMap;
use timeline::{Event, OutOfOrder, Timeline};
use tragen_domain::{
    agents::personality::AnalysisStyle, instrument::SettlementStyle, kpi::Calendar, money::Money, time::Timestamp,
};
use tragen_market_data::file::Intake;

/// How often a run tells how far it is, events.
const EVENTS_BETWEEN_TELLINGS: u64 = 4_096;

/// What a run is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// The files.
    pub(crate) intake: &'a Intake,
    /// Who trades; ids are unique.
    pub(crate) agents: &'a [Agent],
    /// Under which conditions.
    pub(crate) conditions: &'a Conditions,
    /// Whether every decision is remembered, to compare it with that of another run.
    pub(crate) trail: Trail,
}

/// Whether every decision is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trail {
    /// Only their hash.
    Hashed,
    /// One by one.
    Kept,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    seats: Vec<Seat>,
    bettors: Vec<Bettor>,
    /// All agents together.
    pub(crate) all: Figures,
    /// Hash of every decision.
    pub(crate) hash: String,
    /// Every decision, if they were to be kept.
    trail: Vec<Mark>,
    /// First and last moment.
    pub(crate) span: Option<(Timestamp, Timestamp)>,
    /// Why orders were denied, and how often.
    pub(crate) denials: BTreeMap<&'static str, u64>,
    /// Value of everything filled.
    pub(crate) turnover: Money,
    /// Orders that filled at least in part.
    pub(crate) filled_orders: u64,
    /// What was left out, as sentences.
    pub(crate) notes: Vec<String>,
}

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BacktestError {
    /// The data runs backwards.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// The gate or the books fail.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// A model was told a result before its time.
    #[error(transparent)]
    Future(#[from] FutureResult),
    /// Nobody trades anything of the files.
    #[error("none of the {agents} agents trades anything that is in the files: {notes}")]
    NothingToTrade {
        /// How many there are.
        agents: usize,
        /// Why not.
        notes: String,
    },
}

impl From<tragen_domain::money::Overflow> for BacktestError {
    fn from(overflow: tragen_domain::money::Overflow) -> Self {
        Self::Desk(DeskError::Overflow(overflow))
    }
}

/// How many events a run over the files has.
pub(crate) fn events(intake: &Intake) -> u64 {
    let bars: usize = intake.series().iter().map(|series| 2 * series.rows.len()).sum();
    u64::try_from(bars + 3 * intake.matches().len()).unwrap_or(u64::MAX)
}

/// Runs a plan from beginning to end; `tell` hears now and then how many events are done.
///
/// # Errors
/// [`BacktestError`].
pub(crate) fn run(plan: &Plan<'_>, tell: &mut dyn FnMut(u64)) -> Result<Outcome, BacktestError> {
    let mut timeline = Timeline::new(plan.intake.series(), plan.intake.matches());
    let first = timeline.first();
    let mut floor = Floor::new(plan, first.unwrap_or_default())?;
    let mut last = first;
    let mut done = 0;
    while let Some((now, event)) = timeline.next()? {
        floor.play(plan.intake, event, now)?;
        last = Some(now);
        done += 1;
        if u64::is_multiple_of(done, EVENTS_BETWEEN_TELLINGS) {
            tell(done);
        }
    }
    floor.end(first.zip(last))
}

/// Everybody who takes part.
struct Floor {
    desk: Desk,
    seats: Vec<Seat>,
    lanes: Vec<Lane>,
    bettors: Vec<Bettor>,
    models: Models,
    /// Matches by the day they are played on.
    days: BTreeMap<Timestamp, Vec<usize>>,
    all: Figures,
    notes: Vec<String>,
}

impl Floor {
    fn new(plan: &Plan<'_>, now: Timestamp) -> Result<Self, BacktestError> {
        let Plan { intake, agents, conditions, trail } = *plan;
        let mut desk = Desk::new(&conditions.limits, &conditions.currency, now)?;
        if trail == Trail::Kept {
            desk.digest.keep_trail();
        }
        let mut notes = Vec::new();
        let mut lanes = Vec::with_capacity(intake.series().len());
        for series in intake.series() {
            let lane = Lane::new(series, &conditions.bars);
            desk.list(lane.instrument())?;
            lanes.push(lane);
        }
        let mut days: BTreeMap<Timestamp, Vec<usize>> = BTreeMap::new();
        for (place, row) in intake.matches().iter().enumerate() {
            days.entry(row.day_start()).or_default().push(place);
        }
        let mut floor = Self {
            desk,
            seats: Vec::new(),
            lanes,
            bettors: Vec::new(),
            models: Models::new(conditions.wanted_models()),
            days,
            all: Figures::new(calendar(intake)),
            notes: Vec::new(),
        };
        for agent in agents {
            floor.admit(agent, plan, now, &mut notes)?;
        }
        if floor.lanes.iter().all(|lane| lane.seats.is_empty()) && floor.bettors.is_empty() {
            return Err(BacktestError::NothingToTrade { agents: agents.len(), notes: notes.join("; ") });
        }
        floor.notes = notes;
        let total = floor.total()?;
        floor.all.begin(total);
        Ok(floor)
    }

    /// Gives an agent its seat, and its money.
    fn admit(
        &mut self,
        agent: &Agent,
        plan: &Plan<'_>,
        now: Timestamp,
        notes: &mut Vec<String>,
    ) -> Result<(), BacktestError> {
        let Plan { intake, conditions, .. } = *plan;
        let place = self.seats.len();
        let is_bettor = match agent.personality.style() {
            AnalysisStyle::Value => true,
            AnalysisStyle::Scalper | AnalysisStyle::Swing | AnalysisStyle::Conservative => false,
            style @ (AnalysisStyle::MarketMaker | AnalysisStyle::LiveExit | AnalysisStyle::ValueMaker) => {
                let strategy = style.as_str();
                notes.push(format!("{}: no history has the books that a {strategy} agent trades by", agent.id));
                return Ok(());
            }
        };
        let mut seat = Seat::new(agent.clone(), calendar_of(agent, intake));
        let mut is_placed = false;
        if is_bettor {
            #[cfg_attr(not(test), expect(unused_mut, reason = "a test plants a leak"))]
            let mut bettor = Bettor::new(place, conditions.matches_of(agent.id.as_str()).clone());
            #[cfg(test)]
            bettor.results.extend(intake.matches().iter().map(|row| (row.id.clone(), offers::result(row))));
            if intake.matches().iter().any(|row| bettor.wants(&seat, row)) {
                self.bettors.push(bettor);
                is_placed = true;
            } else {
                notes.push(format!("{}: no match of the files is one of its own", agent.id));
            }
        } else {
            for wanted in &agent.instruments {
                let Some(lane) = self.lanes.iter_mut().find(|lane| lane.instrument().id.as_str() == wanted) else {
                    notes.push(format!("{}: {wanted} is not in the files", agent.id));
                    continue;
                };
                let currency = &lane.instrument().settlement.currency;
                if *currency != conditions.currency {
                    notes.push(format!(
                        "{}: {wanted} settles in {currency}, the run is in {}",
                        agent.id, conditions.currency
                    ));
                } else if lane.add(place, &seat) {
                    is_placed = true;
                } else {
                    let timeframe = agent.timeframe.as_str();
                    notes.push(format!("{}: the files have no bars of {timeframe} of {wanted}", agent.id));
                }
            }
        }
        if is_placed {
            self.desk.deposit(&mut seat, conditions.starting_cash)?;
            seat.figures.begin(conditions.starting_cash);
            seat.figures.observe(conditions.starting_cash, now)?;
            self.seats.push(seat);
        }
        Ok(())
    }

    fn play(&mut self, intake: &Intake, event: Event, now: Timestamp) -> Result<(), BacktestError> {
        match event {
            Event::Open { series, row } => {
                let row = &intake.series()[series].rows[row];
                self.lanes[series].open(row, now, &mut self.desk, &mut self.seats)?;
                return Ok(());
            }
            Event::Close { series, row } => {
                let row = &intake.series()[series].rows[row];
                self.lanes[series].close(row, now, &mut self.desk, &mut self.seats)?;
                if self.lanes[series].seats.is_empty() {
                    return Ok(());
                }
            }
            Event::Opening(place) => {
                // The first match of a day finds all of them unforecast.
                if let Some(places) = self.days.remove(&now) {
                    self.models.begin_day(places.iter().map(|place| &intake.matches()[*place]));
                }
                self.offer(intake, place, OddsTime::Opening, now)?;
            }
            Event::Closing(place) => self.offer(intake, place, OddsTime::Closing, now)?,
            Event::Result(place) => {
                let row = &intake.matches()[place];
                self.models.learn(row, now)?;
                for bettor in &mut self.bettors {
                    bettor.settle(row, now, &mut self.desk, &mut self.seats[bettor.seat])?;
                }
            }
        }
        let total = self.total()?;
        Ok(self.all.observe(total, now)?)
    }

    fn offer(&mut self, intake: &Intake, place: usize, time: OddsTime, now: Timestamp) -> Result<(), DeskError> {
        let row = &intake.matches()[place];
        let model = self.models.forecast(row);
        for bettor in &mut self.bettors {
            bettor.look(row, (time, now), model, &mut self.desk, &mut self.seats[bettor.seat])?;
        }
        Ok(())
    }

    /// The equity of everybody.
    fn total(&self) -> Result<Money, DeskError> {
        let mut total = Money::ZERO;
        for seat in &self.seats {
            total = total.plus(seat.equity()?)?;
        }
        Ok(total)
    }

    fn end(mut self, span: Option<(Timestamp, Timestamp)>) -> Result<Outcome, BacktestError> {
        for seat in &mut self.seats {
            seat.figures.finish();
            self.all.fees = self.all.fees.plus(seat.figures.fees)?;
        }
        self.all.finish();
        Ok(Outcome {
            hash: self.desk.digest.hash(),
            trail: self.desk.digest.trail().to_vec(),
            seats: self.seats,
            bettors: self.bettors,
            all: self.all,
            span,
            denials: self.desk.denials,
            turnover: self.desk.turnover,
            filled_orders: self.desk.filled_orders,
            notes: self.notes,
        })
    }
}

/// The days on which everything together can earn.
fn calendar(intake: &Intake) -> Calendar {
    let is_never_closed =
        |style: SettlementStyle, id: &str| style == SettlementStyle::Margined && id.ends_with("-PERP");
    let mut series = intake.series().iter().map(|series| &series.listing.instrument);
    let never_closes = series.any(|own| is_never_closed(own.settlement.style, own.id.as_str()));
    if never_closes || !intake.matches().is_empty() { Calendar::EveryDay } else { Calendar::BusinessDays }
}

fn calendar_of(agent: &Agent, intake: &Intake) -> Calendar {
    match agent.personality.style() {
        AnalysisStyle::Value | AnalysisStyle::MarketMaker | AnalysisStyle::LiveExit | AnalysisStyle::ValueMaker => {
            Calendar::EveryDay
        }
        AnalysisStyle::Scalper | AnalysisStyle::Swing | AnalysisStyle::Conservative => {
            let is_perpetual = agent.instruments.iter().any(|id| id.ends_with("-PERP"));
            if is_perpetual { calendar(intake) } else { Calendar::BusinessDays }
        }
    }
}
