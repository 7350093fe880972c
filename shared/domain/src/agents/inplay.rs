//! The in-play model: how likely is home, draw and away, given the score, the minute and the red cards?
//!
//! Goals are a birth process (Dixon and Robinson 1998, The Statistician 47:523). In minute `m` a team scores at most
//! once, with probability `1 - exp(-rate)`, where
//! `rate = lambda / 90 x exp(bin(m) + state + own reds x red_own + opponent's reds x red_opponent)`.
//! `lambda` is what the team was expected to score before the match, `state` depends on who leads. Stoppage time is
//! part of minutes 45 and 90. The chances follow exactly, minute by minute, over the difference in goals.
//!
//! This prices matches in play only. Before the kick-off the bookmakers know more: see [`super::scout`].

use super::fair_line::Outcome;

/// Minutes of a match.
pub const FULL_TIME: u8 = 90;
/// Most goals a team may be expected to score; more is a broken estimate.
pub const EXPECTED_GOALS_MAX: f64 = 10.0;
/// Most red cards of one team: with five the match is abandoned.
pub const REDS_MAX: u8 = 4;
/// Most goals of one team that are believed.
pub const GOALS_MAX: u8 = 40;

/// Differences from now on beyond this are as good as decided: the chance to score so often in the rest of a match, even
/// at [`EXPECTED_GOALS_MAX`], is below 1e-8, and to lose the lead again below 1e-20.
const WIDTH: usize = 30;
const STATES: usize = 2 * WIDTH + 1;

/// Goals expected of each team over the whole match, before it begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GoalRates {
    /// Of the home team, above 0 and at most [`EXPECTED_GOALS_MAX`].
    pub home: f64,
    /// Of the away team, above 0 and at most [`EXPECTED_GOALS_MAX`].
    pub away: f64,
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatchState {
    /// Whole minutes played, 0 to [`FULL_TIME`]; stoppage time belongs to minutes 45 and 90, which are not over before
    /// the whistle.
    pub minutes_played: u8,
    /// Share of the minute under way that is left, above 0 and at most 1.
    pub minute_left: f64,
    /// Goals of the home team.
    pub home_goals: u8,
    /// Goals of the away team.
    pub away_goals: u8,
    /// Players of the home team sent off.
    pub home_reds: u8,
    /// Players of the away team sent off.
    pub away_reds: u8,
}

impl MatchState {
    /// The kick-off.
    pub const KICK_OFF: Self =
        Self { minutes_played: 0, minute_left: 1.0, home_goals: 0, away_goals: 0, home_reds: 0, away_reds: 0 };
}

/// The model's numbers, as natural logarithms of what each multiplies the rate of an even match by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// Minutes 1-15, 16-30, 31-44, 46-60, 61-75, 76-89, then 45 and 90 with their stoppage time.
    pub bins: [f64; 8],
    /// The home team's own rate while it leads.
    pub home_leading: f64,
    /// The home team's own rate while it trails.
    pub home_trailing: f64,
    /// The away team's own rate while it leads.
    pub away_leading: f64,
    /// The away team's own rate while it trails.
    pub away_trailing: f64,
    /// A team's own rate for each player it has lost.
    pub red_own: f64,
    /// A team's own rate for each player its opponent has lost.
    pub red_opponent: f64,
}

/// Why the model does not answer.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InPlayError {
    /// A coefficient is not a number between -5 and 5.
    #[error("the coefficient {name} is {value}, outside -5..=5")]
    InvalidCoefficient {
        /// Name of the field.
        name: &'static str,
        /// The value as given.
        value: f64,
    },
    /// Expected goals are above 0 and at most [`EXPECTED_GOALS_MAX`].
    #[error("{goals} expected goals are outside (0, {EXPECTED_GOALS_MAX}]")]
    InvalidRate {
        /// The number as given.
        goals: f64,
    },
    /// A count of the match state is out of range.
    #[error("{name} is {value}, above {limit}")]
    InvalidState {
        /// Name of the field.
        name: &'static str,
        /// The value as given.
        value: u8,
        /// The largest there is.
        limit: u8,
    },
    /// The share of the minute is not above 0 and at most 1.
    #[error("the share {share} of the minute is outside (0, 1]")]
    InvalidShare {
        /// The number as given.
        share: f64,
    },
}

/// The model with its multipliers worked out. Build it once, ask it often.
#[derive(Debug, Clone, PartialEq)]
pub struct InPlayModel {
    /// Minute 1 first.
    minutes: [f64; 90],
    /// Home's and away's multiplier while home trails, nobody leads, home leads.
    by_lead: [[f64; 2]; 3],
    red_own: f64,
    red_opponent: f64,
}

impl Default for Coefficients {
    /// Fitted to the minutes of 1,896 Premier League matches (2019-20 to 2023-24), rounded to the two digits that their
    /// standard errors (2 % to 13 %) allow: a third more goals late than early, half as many with a player less.
    fn default() -> Self {
        Self {
            bins: [0.77, 0.89, 0.91, 0.97, 1.03, 0.97, 3.49, 6.49].map(f64::ln),
            home_leading: 0.92_f64.ln(),
            home_trailing: 1.03_f64.ln(),
            away_leading: 0.98_f64.ln(),
            away_trailing: 1.01_f64.ln(),
            red_own: 0.53_f64.ln(),
            red_opponent: 1.75_f64.ln(),
        }
    }
}

impl Default for InPlayModel {
    fn default() -> Self {
        Self::new(&Coefficients::default()).expect("the default coefficients are in range")
    }
}

impl InPlayModel {
    /// Works out the multipliers.
    ///
    /// # Errors
    /// [`InPlayError::InvalidCoefficient`].
    pub fn new(coefficients: &Coefficients) -> Result<Self, InPlayError> {
        let Coefficients { bins, home_leading, home_trailing, away_leading, away_trailing, red_own, red_opponent } =
            *coefficients;
        let named = bins.map(|bin| ("bins", bin)).into_iter().chain([
            ("home_leading", home_leading),
            ("home_trailing", home_trailing),
            ("away_leading", away_leading),
            ("away_trailing", away_trailing),
            ("red_own", red_own),
            ("red_opponent", red_opponent),
        ]);
        for (name, value) in named {
            if !(-5.0..=5.0).contains(&value) {
                return Err(InPlayError::InvalidCoefficient { name, value });
            }
        }
        let mut minutes = [0.0; 90];
        for (minute, multiplier) in (1_u8..).zip(minutes.iter_mut()) {
            *multiplier = bins[bin_of(minute)].exp() / f64::from(FULL_TIME);
        }
        let by_lead =
            [[home_trailing.exp(), away_leading.exp()], [1.0, 1.0], [home_leading.exp(), away_trailing.exp()]];
        Ok(Self { minutes, by_lead, red_own: red_own.exp(), red_opponent: red_opponent.exp() })
    }

    /// Chances of home, draw and away at the final whistle; they sum to 1.
    ///
    /// Example: at 1.5 to 1.1 expected goals and 1-0 after an hour, 78 % home, 18 % draw, 4 % away.
    ///
    /// # Errors
    /// [`InPlayError`] when a rate or the state is out of range.
    pub fn chances(&self, rates: GoalRates, state: &MatchState) -> Result<[f64; 3], InPlayError> {
        check_rates(rates)?;
        check_state(state)?;
        let reds =
            |own: u8, opponent: u8| self.red_own.powi(i32::from(own)) * self.red_opponent.powi(i32::from(opponent));
        let home = rates.home * reds(state.home_reds, state.away_reds);
        let away = rates.away * reds(state.away_reds, state.home_reds);
        let mut table = Table::starting(state);
        let mut share = state.minute_left;
        let (mut multiplier_before, mut steps) = (f64::NAN, [Step::default(); 3]);
        for &multiplier in self.minutes.iter().skip(usize::from(state.minutes_played)) {
            let scaled = multiplier * share;
            share = 1.0;
            // Most minutes have the multiplier of the one before.
            if scaled.to_bits() != multiplier_before.to_bits() {
                multiplier_before = scaled;
                steps = self.by_lead.map(|[h, a]| Step::new(home * scaled * h, away * scaled * a));
            }
            table.advance(&steps);
        }
        Ok(table.chances())
    }
}

/// Chances of one minute: home alone scores, away alone, neither or both.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    up: f64,
    down: f64,
    level: f64,
}

impl Step {
    fn new(home_rate: f64, away_rate: f64) -> Self {
        let (home, away) = (1.0 - (-home_rate).exp(), 1.0 - (-away_rate).exp());
        let (up, down) = (home * (1.0 - away), away * (1.0 - home));
        Self { up, down, level: home * away + (1.0 - home) * (1.0 - away) }
    }
}

/// The chance of each difference in goals, from `now - WIDTH` to `now + WIDTH`; the edges absorb.
struct Table {
    chances: [f64; STATES],
    /// How many places are below a level score: there the home team trails.
    trailing: usize,
    /// How many places are not above it.
    not_leading: usize,
}

impl Table {
    fn starting(state: &MatchState) -> Self {
        let mut chances = [0.0; STATES];
        chances[WIDTH] = 1.0;
        let (home, away) = (usize::from(state.home_goals), usize::from(state.away_goals));
        // A level score is `lead` places below the middle, or outside of the table when nobody can level any more.
        let trailing = (WIDTH + away).saturating_sub(home).min(STATES);
        let not_leading = (WIDTH + away + 1).saturating_sub(home).min(STATES);
        Self { chances, trailing, not_leading }
    }

    /// One minute, without branches in the loops: this is where the time goes.
    fn advance(&mut self, [trailing, even, leading]: &[Step; 3]) {
        let (mut up, mut same, mut down) = ([0.0; STATES], [0.0; STATES], [0.0; STATES]);
        let parts = [
            (0, self.trailing, trailing),
            (self.trailing, self.not_leading, even),
            (self.not_leading, STATES, leading),
        ];
        for (from, to, step) in parts {
            for place in from..to {
                up[place] = self.chances[place] * step.up;
                same[place] = self.chances[place] * step.level;
                down[place] = self.chances[place] * step.down;
            }
        }
        for place in 1..STATES - 1 {
            self.chances[place] = up[place - 1] + same[place] + down[place + 1];
        }
        self.chances[0] = down[0] + same[0] + down[1];
        self.chances[STATES - 1] = up[STATES - 2] + same[STATES - 1] + up[STATES - 1];
    }

    fn chances(&self) -> [f64; 3] {
        let sum = |part: &[f64]| part.iter().sum::<f64>();
        let (below, above) = self.chances.split_at(self.trailing);
        let (level, above) = above.split_at(self.not_leading - self.trailing);
        // Rounding may pass 1 by a few units of the last place.
        [sum(above), sum(level), sum(below)].map(|chance| chance.min(1.0))
    }
}

/// The outcome that stands now: what a market pays if nothing happens any more.
#[must_use]
pub fn standing(state: &MatchState) -> Outcome {
    match state.home_goals.cmp(&state.away_goals) {
        std::cmp::Ordering::Greater => Outcome::Home,
        std::cmp::Ordering::Equal => Outcome::Draw,
        std::cmp::Ordering::Less => Outcome::Away,
    }
}

/// The entry of [`Coefficients::bins`] that minute 1 to 90 belongs to.
pub(crate) fn bin_of(minute: u8) -> usize {
    match minute {
        0..=15 => 0,
        16..=30 => 1,
        31..=44 => 2,
        45 => 6,
        46..=60 => 3,
        61..=75 => 4,
        76..=89 => 5,
        90.. => 7,
    }
}

pub(crate) fn check_rates(rates: GoalRates) -> Result<(), InPlayError> {
    match [rates.home, rates.away].into_iter().find(|goals| !(*goals > 0.0 && *goals <= EXPECTED_GOALS_MAX)) {
        Some(goals) => Err(InPlayError::InvalidRate { goals }),
        None => Ok(()),
    }
}

fn check_state(state: &MatchState) -> Result<(), InPlayError> {
    let counts = [
        ("minutes_played", state.minutes_played, FULL_TIME),
        ("home_goals", state.home_goals, GOALS_MAX),
        ("away_goals", state.away_goals, GOALS_MAX),
        ("home_reds", state.home_reds, REDS_MAX),
        ("away_reds", state.away_reds, REDS_MAX),
    ];
    if let Some((name, value, limit)) = counts.into_iter().find(|(_, value, limit)| value > limit) {
        return Err(InPlayError::InvalidState { name, value, limit });
    }
    if !(state.minute_left > 0.0 && state.minute_left <= 1.0) {
        return Err(InPlayError::InvalidShare { share: state.minute_left });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVEN: GoalRates = GoalRates { home: 1.5, away: 1.1 };

    fn after(minutes_played: u8, home_goals: u8, away_goals: u8) -> MatchState {
        MatchState { minutes_played, home_goals, away_goals, ..MatchState::KICK_OFF }
    }

    fn chances(rates: GoalRates, state: MatchState) -> [f64; 3] {
        let p = InPlayModel::default().chances(rates, &state).expect("in range");
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{p:?}");
        p
    }

    #[test]
    fn example_of_the_docstring_holds() {
        let [home, draw, away] = chances(EVEN, after(60, 1, 0)).map(|p| (p * 100.0).round());
        assert_eq!([home, draw, away], [78.0, 18.0, 4.0]);
    }

    /// The last minute by hand: one step of the birth process.
    #[test]
    fn last_minute_is_one_step() {
        let rate = |goals: f64, lead: f64| 1.0 - (-goals / 90.0 * 6.49 * lead).exp();
        let (home, away) = (rate(1.5, 0.92), rate(1.1, 1.01));
        let [win, draw, loss] = chances(EVEN, after(89, 2, 1));
        let level = away * (1.0 - home);
        assert!((draw - level).abs() < 1e-12 && (win - (1.0 - level)).abs() < 1e-12 && loss.abs() < 1e-12);
        // Half of the minute, half of the rate.
        let half = MatchState { minute_left: 0.5, ..after(89, 2, 1) };
        let (home, away) = (1.0 - (1.0 - home).sqrt(), 1.0 - (1.0 - away).sqrt());
        assert!((chances(EVEN, half)[1] - away * (1.0 - home)).abs() < 1e-12);
    }

    #[test]
    fn final_score_is_certain() {
        assert_eq!(chances(EVEN, after(90, 2, 2)), [0.0, 1.0, 0.0]);
        assert_eq!(chances(EVEN, after(90, 3, 2)), [1.0, 0.0, 0.0]);
        assert_eq!(chances(EVEN, after(90, 0, 40)), [0.0, 0.0, 1.0]);
        assert_eq!(chances(EVEN, after(10, 40, 0)), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn goals_cards_and_time_move_the_chances_the_right_way() {
        let win = |state: MatchState| chances(EVEN, state)[0];
        assert!(win(after(30, 1, 0)) < win(after(60, 1, 0)) && win(after(60, 1, 0)) < win(after(85, 1, 0)));
        assert!(win(after(30, 0, 1)) > win(after(60, 0, 1)));
        let with_reds = |home_reds, away_reds| MatchState { home_reds, away_reds, ..after(50, 0, 0) };
        assert!(win(with_reds(1, 0)) < win(with_reds(0, 0)) && win(with_reds(0, 0)) < win(with_reds(0, 1)));
        assert_eq!(standing(&after(3, 1, 1)), Outcome::Draw);
        assert_eq!((standing(&after(3, 2, 1)), standing(&after(3, 1, 2))), (Outcome::Home, Outcome::Away));
    }

    #[test]
    fn swapped_teams_have_swapped_chances_when_the_model_is_even() {
        let even = Coefficients {
            home_leading: -0.1,
            away_leading: -0.1,
            home_trailing: 0.05,
            away_trailing: 0.05,
            ..Coefficients::default()
        };
        let model = InPlayModel::new(&even).expect("in range");
        let state = MatchState { home_reds: 1, ..after(20, 2, 1) };
        let swapped = MatchState { home_goals: 1, away_goals: 2, home_reds: 0, away_reds: 1, ..state };
        let p = model.chances(EVEN, &state).expect("in range");
        let q = model.chances(GoalRates { home: 1.1, away: 1.5 }, &swapped).expect("in range");
        assert!(p.iter().zip(q.iter().rev()).all(|(p, q)| (p - q).abs() < 1e-12), "{p:?} {q:?}");
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let model = InPlayModel::default();
        for goals in [0.0, -1.0, 10.5, f64::NAN, f64::INFINITY] {
            let error = model.chances(GoalRates { home: 1.0, away: goals }, &MatchState::KICK_OFF);
            assert!(matches!(error, Err(InPlayError::InvalidRate { .. })), "{goals}");
        }
        let check = |state: MatchState, field: &str| {
            let error = model.chances(EVEN, &state);
            assert!(matches!(error, Err(InPlayError::InvalidState { name, .. }) if name == field), "{error:?}");
        };
        check(after(91, 0, 0), "minutes_played");
        check(after(9, 41, 0), "home_goals");
        check(MatchState { away_reds: 5, ..after(9, 0, 0) }, "away_reds");
        for minute_left in [0.0, 1.1, f64::NAN] {
            let state = MatchState { minute_left, ..after(9, 0, 0) };
            assert!(matches!(model.chances(EVEN, &state), Err(InPlayError::InvalidShare { .. })));
        }
        let broken = Coefficients { red_own: f64::NAN, ..Coefficients::default() };
        assert!(matches!(InPlayModel::new(&broken), Err(InPlayError::InvalidCoefficient { name: "red_own", .. })));
    }
}
