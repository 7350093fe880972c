//! What the simulated venue believes about a match: goals of both sides are
//! independent Poisson numbers whose rates follow the clock and the red cards.

/// Expected goals of each minute as multiples of an even share, fitted on five
/// Premier League seasons. Minutes 45 and 90 contain their stoppage time.
const RATES: [(u8, f64); 8] =
    [(15, 0.774), (30, 0.886), (44, 0.911), (45, 3.486), (60, 0.973), (75, 1.027), (89, 0.973), (90, 6.486)];

/// A side with a player less scores this much less, and concedes this much more.
const RED_OWN: f64 = 0.527;
const RED_OPPONENT: f64 = 1.755;

/// More goals of one side than this are not worth counting.
const GOALS_MAX: u8 = 15;

/// Rates outside this range are no football.
const LAMBDA_RANGE: (f64, f64) = (0.05, 6.0);

/// Expected goals of a whole match, home and away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lambdas {
    pub(crate) home: f64,
    pub(crate) away: f64,
}

/// Goal rate of `minute` (1 to 90) as a multiple of an even share.
pub(crate) fn rate(minute: u8) -> f64 {
    RATES.iter().find(|(last, _)| minute <= *last).map_or(0.0, |(_, rate)| *rate)
}

/// Share of a match's goals that is expected after `minute` full minutes.
pub(crate) fn remaining(minute: u8) -> f64 {
    let sum = |from: u8| (from..=90).map(rate).sum::<f64>();
    sum(minute + 1) / sum(1)
}

/// Probability of home win, draw and away win, when `share` of the goals are
/// still to come, `lead` is home minus away goals, and `reds` were sent off.
pub(crate) fn outcome(lambdas: Lambdas, share: f64, lead: i16, reds: (u8, u8)) -> [f64; 3] {
    let cards = |own: u8, other: u8| RED_OWN.powi(i32::from(own)) * RED_OPPONENT.powi(i32::from(other));
    let home = poisson(lambdas.home * share * cards(reds.0, reds.1));
    let away = poisson(lambdas.away * share * cards(reds.1, reds.0));
    let mut outcome = [0.0; 3];
    for (h, p_home) in (0_i16..).zip(&home) {
        for (a, p_away) in (0_i16..).zip(&away) {
            let place = match (lead + h - a).cmp(&0) {
                std::cmp::Ordering::Greater => 0,
                std::cmp::Ordering::Equal => 1,
                std::cmp::Ordering::Less => 2,
            };
            outcome[place] += p_home * p_away;
        }
    }
    let total: f64 = outcome.iter().sum();
    outcome.map(|p| p / total)
}

/// The expected goals behind the probabilities of home win, draw and away win
/// before kick-off: Newton's method on the home and away wins.
pub(crate) fn lambdas(fair: &[f64; 3]) -> Lambdas {
    const STEP: f64 = 1e-4;
    let clamp = |lambda: f64| lambda.clamp(LAMBDA_RANGE.0, LAMBDA_RANGE.1);
    let wins = |home: f64, away: f64| {
        let p = outcome(Lambdas { home, away }, 1.0, 0, (0, 0));
        (p[0] - fair[0], p[2] - fair[2])
    };
    let (mut home, mut away) = (0.4 + 2.2 * fair[0], 0.4 + 2.2 * fair[2]);
    for _ in 0..20 {
        let (miss_home, miss_away) = wins(home, away);
        if miss_home.abs() + miss_away.abs() < 1e-9 {
            break;
        }
        let (by_home, by_away) = (wins(home + STEP, away), wins(home, away + STEP));
        let (a, b) = ((by_home.0 - miss_home) / STEP, (by_away.0 - miss_home) / STEP);
        let (c, d) = ((by_home.1 - miss_away) / STEP, (by_away.1 - miss_away) / STEP);
        let determinant = a * d - b * c;
        if determinant.abs() < 1e-12 {
            break;
        }
        home = clamp(home - (d * miss_home - b * miss_away) / determinant);
        away = clamp(away - (a * miss_away - c * miss_home) / determinant);
    }
    Lambdas { home, away }
}

/// Probabilities of 0, 1, 2 ... goals.
fn poisson(mean: f64) -> Vec<f64> {
    let mut p = (-mean).exp();
    let mut all = Vec::with_capacity(usize::from(GOALS_MAX) + 1);
    for goals in 1..=GOALS_MAX + 1 {
        all.push(p);
        p *= mean / f64::from(goals);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_used_up_by_the_end() {
        assert!((remaining(0) - 1.0).abs() < 1e-12);
        assert!((0.50..0.60).contains(&remaining(45)), "{}", remaining(45));
        assert!(remaining(90).abs() < 1e-12);
        assert!((0..90).all(|minute| remaining(minute) > remaining(minute + 1)));
    }

    #[test]
    fn the_rates_behind_the_odds_are_found() {
        for fair in [[0.46, 0.265, 0.275], [0.80, 0.13, 0.07], [0.10, 0.18, 0.72], [0.34, 0.32, 0.34]] {
            let found = lambdas(&fair);
            let again = outcome(found, 1.0, 0, (0, 0));
            for (p, expected) in again.iter().zip(fair) {
                assert!((p - expected).abs() < 1e-6, "{fair:?}: {again:?} from {found:?}");
            }
        }
        let known = lambdas(&outcome(Lambdas { home: 1.5, away: 1.1 }, 1.0, 0, (0, 0)));
        assert!((known.home - 1.5).abs() < 1e-6 && (known.away - 1.1).abs() < 1e-6, "{known:?}");
        // Odds that no football match can have still give rates inside the range.
        let absurd = lambdas(&[0.01, 0.98, 0.01]);
        assert!(absurd.home >= 0.05 && absurd.away >= 0.05, "{absurd:?}");
    }

    #[test]
    fn the_score_and_the_cards_move_the_price() {
        let even = Lambdas { home: 1.5, away: 1.1 };
        let at = |lead, reds| outcome(even, remaining(60), lead, reds);
        assert!(at(1, (0, 0))[0] > 0.70 && at(-1, (0, 0))[2] > 0.60);
        assert!(at(0, (1, 0))[0] < at(0, (0, 0))[0]);
        let ended = outcome(even, 0.0, 0, (0, 0));
        assert!((ended[1] - 1.0).abs() < 1e-12, "{ended:?}");
    }
}
