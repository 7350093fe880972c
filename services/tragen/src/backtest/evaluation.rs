//! How good the forecasts of every model would have been, season by season, next
//! to what bookmakers believed of the same matches.

use super::{
    BacktestError,
    conditions::MODEL_WEIGHT,
    forecasts::{ForecastReport, Forecasts},
    models::{Models, Wanted, season},
    offers::{pooled, result},
    timeline::{Event, Timeline},
};
use serde::Serialize;
use std::collections::BTreeMap;
use tragen_domain::{
    agents::{
        devig::DevigMethod,
        fair_line::{Book, fair_line},
    },
    time::Timestamp,
};
use tragen_market_data::file::{Intake, Lines, MatchRow};

/// Who forecasts, best known last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Forecaster {
    /// How often each outcome happened in the ten seasons before.
    BaseRate,
    /// Elo ratings and an ordered logit of the ten seasons before.
    Elo,
    /// Dixon-Coles, fitted before each match day.
    DixonColes,
    /// The sharp bookmakers' first odds.
    OpeningSharp,
    /// The average first odds.
    OpeningAverage,
    /// A tenth of Dixon-Coles with the last average odds.
    Pool,
    /// The sharp bookmakers' last odds.
    ClosingSharp,
    /// The average last odds.
    ClosingAverage,
}

/// The forecasts of one forecaster in one season.
#[derive(Debug, Serialize)]
pub(crate) struct SeasonScore {
    /// E.g. `2024-25`.
    pub(crate) season: String,
    /// Whose.
    pub(crate) forecaster: Forecaster,
    /// How good.
    #[serde(flatten)]
    pub(crate) score: ForecastReport,
}

impl Forecaster {
    /// As tables write it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::BaseRate => "base rate",
            Self::Elo => "Elo",
            Self::DixonColes => "Dixon-Coles",
            Self::OpeningSharp => "opening, sharp",
            Self::OpeningAverage => "opening, average",
            Self::Pool => "0.1 Dixon-Coles + closing",
            Self::ClosingSharp => "closing, sharp",
            Self::ClosingAverage => "closing, average",
        }
    }
}

/// Walks through the matches of the files; seasons in order, forecasters as in [`Forecaster`]. Seasons that begin
/// before `first_year` are only learned from.
///
/// # Errors
/// [`BacktestError`] when a result is told before its time.
pub(crate) fn evaluate(
    intake: &Intake,
    first_year: u16,
    tell: &mut dyn FnMut(u64),
) -> Result<Vec<SeasonScore>, BacktestError> {
    let mut timeline = Timeline::new(&[], intake.matches());
    let mut models = Models::new(Wanted { dixon_coles: true, elo: true });
    let mut days: BTreeMap<Timestamp, Vec<usize>> = BTreeMap::new();
    for (place, row) in intake.matches().iter().enumerate() {
        days.entry(row.day_start()).or_default().push(place);
    }
    let mut kept: BTreeMap<(u16, Forecaster), Forecasts> = BTreeMap::new();
    let mut done = 0;
    while let Some((now, event)) = timeline.next()? {
        match event {
            Event::Opening(place) if season(&intake.matches()[place]).first_year() >= first_year => {
                if let Some(places) = days.remove(&now) {
                    models.begin_day(places.iter().map(|place| &intake.matches()[*place]));
                }
                let row = &intake.matches()[place];
                for (forecaster, p) in forecasts(row, &models) {
                    kept.entry((season(row).first_year(), forecaster)).or_default().expect(&row.id, p);
                }
            }
            Event::Result(place) => {
                let row = &intake.matches()[place];
                models.learn(row, now)?;
                let own = (season(row).first_year(), Forecaster::BaseRate)
                    ..=(season(row).first_year(), Forecaster::ClosingAverage);
                kept.range_mut(own).for_each(|(_, forecasts)| forecasts.happened(&row.id, result(row)));
                done += 1;
                tell(done);
            }
            Event::Opening(_) | Event::Closing(_) | Event::Open { .. } | Event::Close { .. } => {}
        }
    }
    let scores = kept.into_iter().map(|((year, forecaster), forecasts)| SeasonScore {
        season: tragen_domain::agents::football::Season::beginning(year).to_string(),
        forecaster,
        score: forecasts.report(),
    });
    Ok(scores.collect())
}

/// Everybody who has a forecast of the match.
fn forecasts(row: &MatchRow, models: &Models) -> Vec<(Forecaster, [f64; 3])> {
    let model = models.forecast(row);
    let closing = row.known_closing().and_then(average);
    let pool = closing.and_then(|p| pooled(&[book(p.map(|p| 1.0 / p))], model.dixon_coles, MODEL_WEIGHT));
    let all = [
        (Forecaster::BaseRate, models.base_rates(row)),
        (Forecaster::Elo, model.elo),
        (Forecaster::DixonColes, model.dixon_coles),
        (Forecaster::OpeningSharp, row.known_opening().and_then(sharp)),
        (Forecaster::OpeningAverage, row.known_opening().and_then(average)),
        (Forecaster::Pool, pool.filter(|_| model.dixon_coles.is_some())),
        (Forecaster::ClosingSharp, row.known_closing().and_then(sharp)),
        (Forecaster::ClosingAverage, closing),
    ];
    all.into_iter().filter_map(|(forecaster, p)| Some((forecaster, p?))).collect()
}

fn sharp(lines: &Lines) -> Option<[f64; 3]> {
    let books: Vec<Book> = lines.books.iter().filter(|own| own.is_sharp()).map(|own| own.opinion()).collect();
    fair_line(&books, DevigMethod::Shin).ok().map(|line| line.probabilities)
}

fn average(lines: &Lines) -> Option<[f64; 3]> {
    fair_line(&[book(lines.average?)], DevigMethod::Shin).ok().map(|line| line.probabilities)
}

fn book(odds: [f64; 3]) -> Book {
    Book { bookmaker: "average".to_owned(), weight: 1.0, odds }
}
