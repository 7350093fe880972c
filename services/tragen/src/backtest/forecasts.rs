//! What was believed of matches against what happened.

use serde::Serialize;
use std::collections::HashMap;
use tragen_domain::{
    agents::{
        evaluation::{
            calibration::{Called, calibration_bins},
            forecast::{Judged, forecast_score},
        },
        fair_line::Outcome,
    },
    id::MatchId,
};

/// Beliefs that wait for their results, and those that have one.
#[derive(Debug, Default)]
pub(crate) struct Forecasts {
    waiting: HashMap<MatchId, [f64; 3]>,
    judged: Vec<Judged>,
}

/// How good forecasts were.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ForecastReport {
    /// Matches with a forecast and a result.
    pub(crate) matches: usize,
    /// Mean of `-ln p` of what happened.
    pub(crate) log_loss: Option<f64>,
    /// Mean ranked probability score.
    pub(crate) ranked_score: Option<f64>,
    /// Mean Brier score over the three outcomes.
    pub(crate) brier: Option<f64>,
    /// Outcomes by tenth of the probability that was believed.
    pub(crate) calibration: Vec<CalibrationPoint>,
}

/// Outcomes that were called about as likely.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct CalibrationPoint {
    /// How many.
    pub(crate) outcomes: usize,
    /// Mean probability that was believed.
    pub(crate) believed: f64,
    /// Share that happened.
    pub(crate) happened: f64,
}

impl Forecasts {
    /// Believes `probabilities` of a match; a later belief replaces an earlier one.
    pub(crate) fn expect(&mut self, id: &MatchId, probabilities: [f64; 3]) {
        self.waiting.insert(id.clone(), probabilities);
    }

    /// A match ended.
    pub(crate) fn happened(&mut self, id: &MatchId, result: Outcome) {
        // Who calls something impossible or certain has no finite loss: it is no forecast.
        let judged = self.waiting.remove(id).and_then(|p| Judged::new(p, result).ok());
        self.judged.extend(judged);
    }

    /// All of them.
    pub(crate) fn report(&self) -> ForecastReport {
        let score = forecast_score(&self.judged);
        let called: Vec<Called> = self
            .judged
            .iter()
            .flat_map(|own| {
                let of = |outcome: Outcome| Called {
                    probability: outcome.of(&own.probabilities()),
                    has_happened: outcome == own.outcome(),
                };
                Outcome::ALL.map(of)
            })
            .collect();
        let bins = calibration_bins(&called).unwrap_or_default();
        let point = |bin: &tragen_domain::agents::evaluation::calibration::Bin| CalibrationPoint {
            outcomes: bin.count,
            believed: bin.mean_probability,
            happened: bin.frequency,
        };
        ForecastReport {
            matches: self.judged.len(),
            log_loss: score.map(|own| own.log_loss),
            ranked_score: score.map(|own| own.ranked_probability_score),
            brier: score.map(|own| own.brier_score),
            calibration: bins.iter().map(point).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forecasts_are_judged_by_what_happened() {
        let mut forecasts = Forecasts::default();
        let (one, other) = (MatchId::new("one").expect("an id"), MatchId::new("other").expect("an id"));
        forecasts.expect(&one, [0.55, 0.25, 0.2]);
        forecasts.happened(&other, Outcome::Draw);
        forecasts.happened(&one, Outcome::Home);
        let report = forecasts.report();
        assert_eq!(report.matches, 1, "a result without a forecast counts for nothing");
        assert!((report.log_loss.expect("one match") + 0.55_f64.ln()).abs() < 1e-12);
        let happened: Vec<f64> = report.calibration.iter().map(|point| point.happened).collect();
        assert_eq!((happened.first(), happened.last()), (Some(&0.0), Some(&1.0)));
        assert_eq!(Forecasts::default().report().log_loss, None);
    }
}
