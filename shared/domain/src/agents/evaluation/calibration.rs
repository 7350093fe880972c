//! Did what was called 30 % happen in 30 % of the cases?

use crate::agents::consensus::{logit, sigmoid};
use crate::agents::count::count_to_f64;
use crate::agents::newton::{Curvature, Hill, climb};

/// Bins of the calibration table, equally wide.
pub const BINS: usize = 10;
/// Fewest forecasts from which calibration is fitted.
pub const RECALIBRATION_MIN: usize = 30;
/// A slope known no better than this means that forecasts and results are separated: there is no best slope.
const SLOPE_ERROR_MAX: f64 = 50.0;

/// A probability inside (0, 1), and whether it happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Called {
    /// The probability.
    pub probability: f64,
    /// What happened.
    pub has_happened: bool,
}

/// The forecasts whose probability lies in one bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Lower end, included.
    pub low: f64,
    /// Upper end, not included but for the last bin.
    pub high: f64,
    /// How many.
    pub count: usize,
    /// Their mean probability.
    pub mean_probability: f64,
    /// The share that happened.
    pub frequency: f64,
}

/// What probabilities should have been: `logit(true) = intercept + slope * logit(called)`.
///
/// A slope below 1 says that forecasts were too bold, an intercept above 0 that things happened more often than called.
/// Cox 1958, Biometrika 45:562.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recalibration {
    /// 0 for a perfect forecaster.
    pub intercept: f64,
    /// 1 for a perfect forecaster.
    pub slope: f64,
    /// Standard error of the intercept.
    pub intercept_error: f64,
    /// Standard error of the slope.
    pub slope_error: f64,
}

/// Why calibration cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// Log-odds exist only inside (0, 1).
    #[error("forecast {position} is {probability}, not inside (0, 1)")]
    InvalidProbability {
        /// Position, from 0.
        position: usize,
        /// The number as given.
        probability: f64,
    },
    /// Too little to learn from.
    #[error("{count} forecasts, calibration needs {RECALIBRATION_MIN}")]
    TooFewForecasts {
        /// How many there are.
        count: usize,
    },
    /// The results have no best line, such as when everything happened.
    #[error("the results fix no line")]
    NoLine,
}

/// The filled bins, from low to high.
///
/// # Errors
/// [`CalibrationError::InvalidProbability`].
pub fn calibration_bins(called: &[Called]) -> Result<Vec<Bin>, CalibrationError> {
    check(called)?;
    let width = 1.0 / count_to_f64(BINS);
    let bin = |place: usize| {
        let (low, high) = (count_to_f64(place) * width, count_to_f64(place + 1) * width);
        let is_inside = |c: &&Called| c.probability >= low && (c.probability < high || place + 1 == BINS);
        let inside: Vec<&Called> = called.iter().filter(is_inside).collect();
        let count = count_to_f64(inside.len());
        (!inside.is_empty()).then(|| Bin {
            low,
            high,
            count: inside.len(),
            mean_probability: inside.iter().map(|c| c.probability).sum::<f64>() / count,
            frequency: inside.iter().map(|c| f64::from(c.has_happened)).sum::<f64>() / count,
        })
    };
    Ok((0..BINS).filter_map(bin).collect())
}

/// Logistic regression of what happened on the log-odds of what was called.
///
/// # Errors
/// [`CalibrationError`].
pub fn recalibrate(called: &[Called]) -> Result<Recalibration, CalibrationError> {
    check(called)?;
    if called.len() < RECALIBRATION_MIN {
        return Err(CalibrationError::TooFewForecasts { count: called.len() });
    }
    let top = climb(&Line(called), vec![0.0, 1.0]).map_err(|_| CalibrationError::NoLine)?;
    let [intercept, slope] = [top.at[0], top.at[1]];
    let error = |place: usize| {
        let mut direction = [0.0; 2];
        direction[place] = 1.0;
        top.information.half_solve(&direction).iter().map(|x| x * x).sum::<f64>().sqrt()
    };
    let line = Recalibration { intercept, slope, intercept_error: error(0), slope_error: error(1) };
    let is_known = line.slope_error < SLOPE_ERROR_MAX;
    is_known.then_some(line).ok_or(CalibrationError::NoLine)
}

fn check(called: &[Called]) -> Result<(), CalibrationError> {
    let bad = called.iter().position(|c| !(c.probability > 0.0 && c.probability < 1.0));
    bad.map_or(Ok(()), |position| {
        Err(CalibrationError::InvalidProbability { position, probability: called[position].probability })
    })
}

struct Line<'a>(&'a [Called]);

impl Hill for Line<'_> {
    fn value(&self, at: &[f64]) -> f64 {
        let height = |c: &Called| {
            let p = sigmoid(at[0] + at[1] * logit(c.probability));
            if c.has_happened { p.ln() } else { (1.0 - p).ln() }
        };
        self.0.iter().map(height).sum()
    }

    fn curvature(&self, at: &[f64]) -> Curvature {
        let (mut slope, mut information) = (vec![0.0; 2], vec![0.0; 4]);
        for c in self.0 {
            let x = [1.0, logit(c.probability)];
            let p = sigmoid(at[0] + at[1] * x[1]);
            for i in 0..2 {
                slope[i] += (f64::from(c.has_happened) - p) * x[i];
                for j in 0..2 {
                    information[2 * i + j] += p * (1.0 - p) * x[i] * x[j];
                }
            }
        }
        Curvature { value: self.value(at), slope, information }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `happened` of `count` forecasts of one probability.
    fn called(probability: f64, happened: usize, count: usize) -> impl Iterator<Item = Called> {
        (0..count).map(move |n| Called { probability, has_happened: n < happened })
    }

    #[test]
    fn bins_hold_what_was_called() {
        let forecasts: Vec<Called> = called(0.25, 1, 4).chain(called(0.95, 19, 20)).chain(called(0.2, 0, 1)).collect();
        let bins = calibration_bins(&forecasts).expect("valid");
        assert_eq!(bins.iter().map(|bin| bin.count).collect::<Vec<_>>(), [5, 20]);
        assert!((bins[0].mean_probability - 0.24).abs() < 1e-12 && (bins[0].frequency - 0.2).abs() < 1e-12);
        assert!((bins[1].low - 0.9).abs() < 1e-12 && (bins[1].frequency - 0.95).abs() < 1e-12);
    }

    #[test]
    fn the_line_tells_bold_from_exact() {
        let exact: Vec<Called> = called(0.2, 20, 100).chain(called(0.8, 80, 100)).collect();
        let line = recalibrate(&exact).expect("a line");
        assert!(line.intercept.abs() < 1e-9 && (line.slope - 1.0).abs() < 1e-9, "{line:?}");
        // Two points fix the line: logit(0.35) and logit(0.65) where 0.2 and 0.8 were called.
        let bold: Vec<Called> = called(0.2, 35, 100).chain(called(0.8, 65, 100)).collect();
        let line = recalibrate(&bold).expect("a line");
        assert!((line.slope - logit(0.65) / logit(0.8)).abs() < 1e-9, "{line:?}");
        assert!(line.slope_error > 0.05 && line.slope_error < 0.3 && line.intercept_error > 0.0);
    }

    #[test]
    fn impossible_calibrations_are_named() {
        let few: Vec<Called> = called(0.5, 3, 29).collect();
        assert_eq!(recalibrate(&few), Err(CalibrationError::TooFewForecasts { count: 29 }));
        let all: Vec<Called> = called(0.5, 40, 40).collect();
        assert_eq!(recalibrate(&all), Err(CalibrationError::NoLine));
        let split: Vec<Called> = called(0.2, 0, 50).chain(called(0.8, 50, 50)).collect();
        assert_eq!(recalibrate(&split), Err(CalibrationError::NoLine));
        let bad = [Called { probability: 1.0, has_happened: true }];
        let expected = CalibrationError::InvalidProbability { position: 0, probability: 1.0 };
        assert_eq!(calibration_bins(&bad), Err(expected));
        assert_eq!(recalibrate(&bad), Err(expected));
    }
}
