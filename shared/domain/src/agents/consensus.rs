//! Many opinions into one: the weighted mean of log-odds over bookmakers. That their consensus is a fair price, and what
//! betting against it earns: Kaunitz, Zhong and Kreiner (2017), "Beating the bookies with their own numbers".

/// Weight of a bookmaker or exchange whose closing price is known to be sharp (Pinnacle, Betfair exchange).
pub const SHARP_WEIGHT: f64 = 3.0;
/// Weight of every other bookmaker.
pub const SOFT_WEIGHT: f64 = 1.0;

/// One bookmaker's fair probabilities and how much they count.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// Relative weight, above 0; see [`SHARP_WEIGHT`].
    pub weight: f64,
    /// One probability per outcome, each inside (0, 1).
    pub probabilities: Vec<f64>,
}

/// Why opinions cannot be joined.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ConsensusError {
    /// There is nothing to join.
    #[error("no opinions")]
    NoOpinions,
    /// All opinions must speak about the same outcomes.
    #[error("opinion {opinion} has {outcomes} outcomes, the first one has {expected}")]
    OutcomeMismatch {
        /// Position of the opinion, from 0.
        opinion: usize,
        /// Its number of outcomes.
        outcomes: usize,
        /// The number of outcomes of the first opinion.
        expected: usize,
    },
    /// Log-odds exist only inside (0, 1).
    #[error("opinion {opinion} holds the probability {probability}, outside (0, 1)")]
    InvalidProbability {
        /// Position of the opinion, from 0.
        opinion: usize,
        /// The number as given.
        probability: f64,
    },
    /// A weight is a finite number above 0.
    #[error("opinion {opinion} has the weight {weight}, not a finite number above 0")]
    InvalidWeight {
        /// Position of the opinion, from 0.
        opinion: usize,
        /// The number as given.
        weight: f64,
    },
}

/// Log-odds `ln(p / (1 - p))`.
#[must_use]
pub fn logit(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

/// Inverse of [`logit`].
#[must_use]
pub fn sigmoid(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// Weighted mean of the log-odds per outcome, then normalised so that the exclusive outcomes sum to 1.
///
/// Example: 60 % with weight 3 and 50 % with weight 1 give `sigmoid(3/4 ln 1.5) = 57.5 %`.
///
/// # Errors
/// [`ConsensusError`] when there is no opinion, or one has other outcomes, a bad weight or a bad probability.
///
/// ```
/// use tragen_domain::agents::consensus::{consensus, Opinion, SHARP_WEIGHT, SOFT_WEIGHT};
/// let sharp = Opinion { weight: SHARP_WEIGHT, probabilities: vec![0.6, 0.4] };
/// let soft = Opinion { weight: SOFT_WEIGHT, probabilities: vec![0.5, 0.5] };
/// let joined = consensus(&[sharp, soft])?;
/// assert!((joined[0] - 0.575_4).abs() < 1e-4);
/// # Ok::<(), tragen_domain::agents::consensus::ConsensusError>(())
/// ```
pub fn consensus(opinions: &[Opinion]) -> Result<Vec<f64>, ConsensusError> {
    let outcomes = opinions.first().ok_or(ConsensusError::NoOpinions)?.probabilities.len();
    let mut log_odds = vec![0.0; outcomes];
    let mut total_weight = 0.0;
    for (position, opinion) in opinions.iter().enumerate() {
        validate(position, opinion, outcomes)?;
        total_weight += opinion.weight;
        for (sum, p) in log_odds.iter_mut().zip(&opinion.probabilities) {
            *sum += opinion.weight * logit(*p);
        }
    }
    let joined: Vec<f64> = log_odds.iter().map(|sum| sigmoid(sum / total_weight)).collect();
    let total: f64 = joined.iter().sum();
    Ok(joined.iter().map(|p| p / total).collect())
}

/// A model's probabilities mixed into the consensus of one match: `logit(p) = w logit(model) + (1 - w) logit(consensus)`
/// per outcome, then normalised. Weight 0 is the consensus, weight 1 the model.
///
/// Example: half of 50 / 30 / 20 % and half of 60 / 25 / 15 % give 55.1 / 27.5 / 17.4 %.
///
/// # Errors
/// [`ConsensusError::InvalidProbability`] (opinion 0 is the model, 1 the consensus) and
/// [`ConsensusError::InvalidWeight`] for a weight outside 0..=1.
pub fn logit_pool(model: &[f64; 3], consensus: &[f64; 3], weight: f64) -> Result<[f64; 3], ConsensusError> {
    if !(0.0..=1.0).contains(&weight) {
        return Err(ConsensusError::InvalidWeight { opinion: 0, weight });
    }
    for (opinion, probabilities) in [model, consensus].into_iter().enumerate() {
        if let Some(&probability) = probabilities.iter().find(|p| !(**p > 0.0 && **p < 1.0)) {
            return Err(ConsensusError::InvalidProbability { opinion, probability });
        }
    }
    let mut pooled = [0.0; 3];
    for ((pooled, m), c) in pooled.iter_mut().zip(model).zip(consensus) {
        *pooled = sigmoid(weight * logit(*m) + (1.0 - weight) * logit(*c));
    }
    let total: f64 = pooled.iter().sum();
    Ok(pooled.map(|p| p / total))
}

fn validate(position: usize, opinion: &Opinion, expected: usize) -> Result<(), ConsensusError> {
    let outcomes = opinion.probabilities.len();
    if outcomes != expected {
        return Err(ConsensusError::OutcomeMismatch { opinion: position, outcomes, expected });
    }
    if !(opinion.weight.is_finite() && opinion.weight > 0.0) {
        return Err(ConsensusError::InvalidWeight { opinion: position, weight: opinion.weight });
    }
    match opinion.probabilities.iter().find(|p| !(**p > 0.0 && **p < 1.0)) {
        Some(&probability) => Err(ConsensusError::InvalidProbability { opinion: position, probability }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_lies_between_model_and_consensus() {
        let (model, consensus) = ([0.5, 0.3, 0.2], [0.6, 0.25, 0.15]);
        let check = |weight: f64, expected: [f64; 3]| {
            let pooled = logit_pool(&model, &consensus, weight).expect("valid");
            for (got, expected) in pooled.into_iter().zip(expected) {
                assert!((got - expected).abs() < 5e-5, "{weight}: {pooled:?}");
            }
        };
        check(0.0, consensus);
        check(1.0, model);
        check(0.5, [0.5514, 0.2747, 0.1739]);
        let bad = |weight: f64| logit_pool(&model, &consensus, weight);
        assert!(matches!(bad(1.1), Err(ConsensusError::InvalidWeight { .. })));
        assert!(matches!(bad(f64::NAN), Err(ConsensusError::InvalidWeight { .. })));
        let impossible = logit_pool(&model, &[1.0, 0.0, 0.0], 0.1);
        assert_eq!(impossible, Err(ConsensusError::InvalidProbability { opinion: 1, probability: 1.0 }));
    }

    fn opinion(weight: f64, probabilities: &[f64]) -> Opinion {
        Opinion { weight, probabilities: probabilities.to_vec() }
    }

    fn check(opinions: &[Opinion], expected: &[f64]) {
        let joined = consensus(opinions).expect("valid opinions");
        assert_eq!(joined.len(), expected.len());
        for (p, expected) in joined.iter().zip(expected) {
            assert!((p - expected).abs() < 1e-12, "{p} is not {expected}");
        }
    }

    #[test]
    fn weights_pull_the_mean_toward_the_sharp_book() {
        // ln 1.5 * 3/4 = 0.304099; odds 1.355403.
        let p = 1.355_403_005_4 / 2.355_403_005_4;
        let joined = consensus(&[opinion(3.0, &[0.6, 0.4]), opinion(1.0, &[0.5, 0.5])]).expect("valid");
        assert!((joined[0] - p).abs() < 1e-9, "{}", joined[0]);
        check(&[opinion(1.0, &[0.5, 0.3, 0.2])], &[0.5, 0.3, 0.2]);
        check(&[opinion(3.0, &[0.5, 0.3, 0.2]), opinion(1.0, &[0.5, 0.3, 0.2])], &[0.5, 0.3, 0.2]);
        // Opposite opinions of equal weight cancel; three outcomes are normalised to 1.
        check(&[opinion(1.0, &[0.7, 0.3]), opinion(1.0, &[0.3, 0.7])], &[0.5, 0.5]);
        let three = consensus(&[opinion(1.0, &[0.8, 0.1, 0.1]), opinion(1.0, &[0.1, 0.1, 0.8])]).expect("valid");
        assert!((three.iter().sum::<f64>() - 1.0).abs() < 1e-12 && (three[0] - three[2]).abs() < 1e-12);
    }

    #[test]
    fn bad_opinions_are_named() {
        assert_eq!(consensus(&[]), Err(ConsensusError::NoOpinions));
        assert_eq!(
            consensus(&[opinion(1.0, &[0.5, 0.5]), opinion(1.0, &[1.0])]),
            Err(ConsensusError::OutcomeMismatch { opinion: 1, outcomes: 1, expected: 2 })
        );
        assert_eq!(
            consensus(&[opinion(0.0, &[0.5, 0.5])]),
            Err(ConsensusError::InvalidWeight { opinion: 0, weight: 0.0 })
        );
        assert_eq!(
            consensus(&[opinion(1.0, &[1.0, 0.0])]),
            Err(ConsensusError::InvalidProbability { opinion: 0, probability: 1.0 })
        );
        assert!(matches!(
            consensus(&[opinion(1.0, &[f64::NAN, 0.5])]),
            Err(ConsensusError::InvalidProbability { opinion: 0, .. })
        ));
    }
}
