//! Mandates: which agent decides what is bought in a match, and what would it buy?
//!
//! A mandate names its agent or leaves it to eplScoutAgent. Only agents that open positions before the kick-off can
//! serve one; every other agent is refused with its reason, and an unknown name with the nearest. What comes out takes
//! an ask that is there: its size for the user is decided afterwards, see [`super::sizing`].

use super::context_aware::{ContextRefusal, MatchContext, context_aware};
use super::epl_trading::{Entry, EplTradingRefusal, EplTradingRules, TradeIntent, epl_trading};
use super::fair_line::Outcome;
use super::kelly::stake_fraction;
use super::nearest::nearest;
use super::scout::{MatchView, Opportunity, ScoutRefusal, ScoutReport, ScoutRules, SkipReason, judge, scout};
use super::sizing::MAX_WALLET_SHARE;

/// An agent that can serve a mandate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MandateAgent {
    /// eplScoutAgent: the bookmakers' consensus.
    Scout,
    /// eplTradingAgent: the consensus, moved a little towards the model.
    EplTrading,
    /// contextAwareAgent: the consensus, moved a little by rest and missing players.
    ContextAware,
}

/// Why an agent cannot serve a mandate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotForMandates {
    /// It only leaves what is held.
    #[error("liveTradingAgent only leaves what is held of matches in play; it opens nothing")]
    LeavesOnly,
    /// It only reduces.
    #[error("{agent} only reduces what is held; it opens nothing")]
    ReducesOnly {
        /// Its name.
        agent: &'static str,
    },
    /// It never trades.
    #[error("{agent} never trades; ask it with Analyze")]
    NeverTrades {
        /// Its name.
        agent: &'static str,
    },
    /// It trades bars, not matches.
    #[error("tradingAgent trades bars for configured agents, not matches")]
    TradesBars,
    /// Its sets are several orders.
    #[error("scannerAgent finds sets of several orders; a mandate is one")]
    SeveralOrders,
    /// There is no such agent.
    #[error("there is no agent {asked:?}; the nearest are {}", nearest.join(", "))]
    Unknown {
        /// The name as asked, cut to a length that can be shown.
        asked: String,
        /// The nearest names.
        nearest: Vec<&'static str>,
    },
}

/// Every agent, and how it takes a mandate.
const AGENTS: [(&str, Result<MandateAgent, NotForMandates>); 11] = [
    ("eplScoutAgent", Ok(MandateAgent::Scout)),
    ("eplTradingAgent", Ok(MandateAgent::EplTrading)),
    ("contextAwareAgent", Ok(MandateAgent::ContextAware)),
    ("liveTradingAgent", Err(NotForMandates::LeavesOnly)),
    ("eplPortfolioAgent", Err(NotForMandates::ReducesOnly { agent: "eplPortfolioAgent" })),
    ("riskManagerAgent", Err(NotForMandates::NeverTrades { agent: "riskManagerAgent" })),
    ("eplResearchAgent", Err(NotForMandates::NeverTrades { agent: "eplResearchAgent" })),
    ("researchAgent", Err(NotForMandates::NeverTrades { agent: "researchAgent" })),
    ("sentimentAnalystAgent", Err(NotForMandates::NeverTrades { agent: "sentimentAnalystAgent" })),
    ("tradingAgent", Err(NotForMandates::TradesBars)),
    ("scannerAgent", Err(NotForMandates::SeveralOrders)),
];
/// Longest name that is shown again, characters.
const SHOWN_CHARS: usize = 64;

impl MandateAgent {
    /// The agent of a mandate; eplScoutAgent when none is named.
    ///
    /// # Errors
    /// [`NotForMandates`], an unknown name with the nearest ones.
    pub fn named(name: &str) -> Result<Self, NotForMandates> {
        if name.is_empty() {
            return Ok(Self::Scout);
        }
        match AGENTS.iter().find(|(own, _)| *own == name) {
            Some((_, taken)) => taken.clone(),
            None => Err(NotForMandates::Unknown {
                asked: name.chars().take(SHOWN_CHARS).collect(),
                nearest: nearest(name, AGENTS.iter().map(|(own, _)| *own)),
            }),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scout => "eplScoutAgent",
            Self::EplTrading => "eplTradingAgent",
            Self::ContextAware => "contextAwareAgent",
        }
    }
}

/// What is known of the match beside its prices; agents that have no use for it do not look.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MandateInputs {
    /// The model's probabilities of home, draw and away, if there are any.
    pub model: Option<[f64; 3]>,
    /// Rest and missing players.
    pub context: MatchContext,
}

/// The numbers of a mandate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MandateRules {
    /// The venue's taker fee rate.
    pub fee_rate: f64,
    /// Smallest expected return on ask plus fee, basis points.
    pub min_edge_bps: u32,
    /// Share of the full Kelly stake, 0 to 1.
    pub kelly_multiplier: f64,
    /// Smallest confidence, parts per million.
    pub min_confidence_ppm: u32,
}

/// What an agent would buy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wish {
    /// Who wants it.
    pub agent: MandateAgent,
    /// The quote, with the agent's probability as fair.
    pub opportunity: Opportunity,
    /// Share of the capital to stake at most.
    pub max_fraction: f64,
    /// How sure it is: the share of the match's books and quotes that could be used, parts per million.
    pub confidence_ppm: u32,
}

/// Why nothing is bought.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoWish {
    /// eplScoutAgent does not price the match.
    #[error("{0}")]
    Scout(#[from] ScoutRefusal),
    /// eplTradingAgent does not price the match.
    #[error("{0}")]
    EplTrading(#[from] EplTradingRefusal),
    /// contextAwareAgent does not price the match.
    #[error("{0}")]
    ContextAware(#[from] ContextRefusal),
    /// No ask is cheap enough.
    #[error("no outcome is cheap enough: the best edge is {:.1} % of cost", best_edge_ratio * 100.0)]
    TooDear {
        /// The best expected return on ask plus fee.
        best_edge_ratio: f64,
    },
    /// Too few of the books and quotes can be used.
    #[error("the confidence of {:.2} is below {:.2}: too few books and quotes can be used", ratio(*confidence_ppm), ratio(*min_ppm))]
    Unsure {
        /// Of the decision, parts per million.
        confidence_ppm: u32,
        /// The least, parts per million.
        min_ppm: u32,
    },
    /// No ask can be used.
    #[error("no outcome has a usable quote")]
    NoQuote,
}

fn ratio(ppm: u32) -> f64 {
    f64::from(ppm) / 1e6
}

/// What `agent` would buy of the match.
///
/// Example: a home win that is fair at 0.494 and asked at 0.46 with a fee of 0.0075 has an edge of 5.7 %: with a quarter
/// of Kelly the stake is at most 1.2 % of the capital.
///
/// # Errors
/// [`NoWish`]: in play, finished, not priced, too dear, or not sure enough.
pub fn wish(
    agent: MandateAgent,
    view: &MatchView<'_>,
    inputs: &MandateInputs,
    rules: &MandateRules,
) -> Result<Wish, NoWish> {
    let scouting = ScoutRules { fee_rate: rules.fee_rate, min_edge_bps: rules.min_edge_bps, ..ScoutRules::default() };
    let trading = EplTradingRules {
        fee_rate: rules.fee_rate,
        min_edge_bps: rules.min_edge_bps,
        kelly_multiplier: rules.kelly_multiplier,
        ..EplTradingRules::default()
    };
    let report = scout(view, &scouting);
    let confidence_ppm = report.as_ref().map_or(0, ScoutReport::confidence_ppm);
    let opportunity = match agent {
        MandateAgent::Scout => {
            let report = report?;
            report.opportunities.first().copied().ok_or_else(|| too_dear(&report))?
        }
        MandateAgent::EplTrading => {
            let report = epl_trading(view, inputs.model, &trading)?;
            taken(report.intents.iter(), &report.fair, view, &scouting)?
        }
        MandateAgent::ContextAware => {
            let report = context_aware(view, &inputs.context, &trading)?;
            taken(report.intents.iter().map(|own| &own.intent), &report.fair, view, &scouting)?
        }
    };
    if confidence_ppm < rules.min_confidence_ppm {
        return Err(NoWish::Unsure { confidence_ppm, min_ppm: rules.min_confidence_ppm });
    }
    let max_fraction = stake_fraction(opportunity.priced.kelly, rules.kelly_multiplier, MAX_WALLET_SHARE);
    Ok(Wish { agent, opportunity, max_fraction, confidence_ppm })
}

/// The first order that takes an ask. Bids that would rest are no mandate's: it is answered once, and nobody would take
/// the bid out when the probabilities behind it change. They are a configured agent's, see [`super::resting`].
fn taken<'a>(
    mut intents: impl Iterator<Item = &'a TradeIntent>,
    fair: &[f64; 3],
    view: &MatchView<'_>,
    scouting: &ScoutRules,
) -> Result<Opportunity, NoWish> {
    let judged = |outcome: Outcome| judge(outcome, outcome.of(fair), outcome.of(&view.quotes), scouting);
    match intents.find(|intent| intent.entry == Entry::Take) {
        Some(intent) => judged(intent.outcome).map_err(|reason| none_of(std::iter::once(reason))),
        None => Err(none_of(Outcome::ALL.into_iter().filter_map(|outcome| judged(outcome).err()))),
    }
}

fn too_dear(report: &ScoutReport) -> NoWish {
    report.best_edge_ratio().map_or(NoWish::NoQuote, |best_edge_ratio| NoWish::TooDear { best_edge_ratio })
}

fn none_of(reasons: impl Iterator<Item = SkipReason>) -> NoWish {
    let edge = |reason: SkipReason| match reason {
        SkipReason::EdgeBelowMinimum { edge_ratio, .. } | SkipReason::EdgeImplausible { edge_ratio, .. } => {
            Some(edge_ratio)
        }
        SkipReason::NoQuote
        | SkipReason::InvalidSize { .. }
        | SkipReason::Crossed { .. }
        | SkipReason::Stale { .. }
        | SkipReason::Unpriceable(_) => None,
    };
    let best = reasons.filter_map(edge).max_by(f64::total_cmp);
    best.map_or(NoWish::NoQuote, |best_edge_ratio| NoWish::TooDear { best_edge_ratio })
}

#[cfg(test)]
mod tests {
    use super::super::consensus::SHARP_WEIGHT;
    use super::super::context_aware::TeamContext;
    use super::super::fair_line::Book;
    use super::super::scout::{MatchPhase, Quote};
    use super::*;

    const RULES: MandateRules =
        MandateRules { fee_rate: 0.03, min_edge_bps: 500, kelly_multiplier: 0.25, min_confidence_ppm: 650_000 };

    fn ask_in(phase: MatchPhase, agent: MandateAgent, home_ask: f64, inputs: &MandateInputs) -> Result<Wish, NoWish> {
        let books = [Book { bookmaker: "Pinnacle".to_owned(), weight: SHARP_WEIGHT, odds: [2.00, 3.60, 4.20] }];
        let quote = |ask: f64| Some(Quote { ask, ask_size: 500.0, bid: Some(ask - 0.01), age_ms: Some(10) });
        let view = MatchView { phase, books: &books, quotes: [quote(home_ask), quote(0.29), quote(0.26)] };
        wish(agent, &view, inputs, &RULES)
    }

    fn ask(agent: MandateAgent, home_ask: f64, inputs: &MandateInputs) -> Result<Wish, NoWish> {
        ask_in(MatchPhase::PreMatch, agent, home_ask, inputs)
    }

    #[test]
    fn names_are_agents_or_refused_with_a_reason() {
        assert_eq!(MandateAgent::named(""), Ok(MandateAgent::Scout));
        for agent in [MandateAgent::Scout, MandateAgent::EplTrading, MandateAgent::ContextAware] {
            assert_eq!(MandateAgent::named(agent.as_str()), Ok(agent));
        }
        let said = |name: &str| MandateAgent::named(name).expect_err("refused").to_string();
        assert!(said("liveTradingAgent").contains("opens nothing"));
        assert!(said("sentimentAnalystAgent").contains("never trades"));
        assert!(said("eplscoutagent").contains("eplScoutAgent"), "the nearest name is told");
        assert!(said(&"x".repeat(1_000)).len() < 300);
        let mut names: Vec<&str> = AGENTS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), AGENTS.len(), "each agent is there once");
    }

    #[test]
    fn every_agent_buys_the_example_by_its_own_probability() {
        let plain = MandateInputs::default();
        let scout = ask(MandateAgent::Scout, 0.46, &plain).expect("a wish");
        assert_eq!(scout.opportunity.outcome, Outcome::Home);
        assert!((scout.opportunity.priced.edge_ratio - 0.0569).abs() < 1e-3);
        assert!((scout.max_fraction - 0.25 * scout.opportunity.priced.kelly).abs() < 1e-12, "{scout:?}");
        // Without a model and without a context all three see the consensus.
        for agent in [MandateAgent::EplTrading, MandateAgent::ContextAware] {
            let own = ask(agent, 0.46, &plain).expect("a wish");
            assert_eq!((own.agent, own.opportunity), (agent, scout.opportunity));
        }
        let bold = MandateInputs { model: Some([0.60, 0.22, 0.18]), ..plain };
        let moved = ask(MandateAgent::EplTrading, 0.46, &bold).expect("a wish");
        assert!(moved.opportunity.fair_probability > scout.opportunity.fair_probability);
        assert_eq!(ask(MandateAgent::Scout, 0.46, &bold).expect("a wish").opportunity, scout.opportunity);
        let away = TeamContext { key_absences: 2, ..TeamContext::default() };
        let absent = MandateInputs { context: MatchContext { away, ..MatchContext::default() }, ..plain };
        let moved = ask(MandateAgent::ContextAware, 0.46, &absent).expect("a wish");
        assert!(moved.opportunity.fair_probability > scout.opportunity.fair_probability);
    }

    #[test]
    fn who_can_use_too_few_books_and_quotes_buys_nothing() {
        let book = |odds| Book { bookmaker: "Pinnacle".to_owned(), weight: SHARP_WEIGHT, odds };
        let quote = |ask: f64| Some(Quote { ask, ask_size: 500.0, bid: Some(ask - 0.01), age_ms: Some(10) });
        let check = |broken: usize, quotes: [Option<Quote>; 3], confidence_ppm: u32| {
            let books: Vec<Book> =
                std::iter::once(book([2.00, 3.60, 4.20])).chain((0..broken).map(|_| book([0.5, 3.60, 4.20]))).collect();
            let view = MatchView { phase: MatchPhase::PreMatch, books: &books, quotes };
            for agent in [MandateAgent::Scout, MandateAgent::EplTrading, MandateAgent::ContextAware] {
                let said = wish(agent, &view, &MandateInputs::default(), &RULES);
                match said {
                    Ok(wish) => assert_eq!(wish.confidence_ppm, confidence_ppm, "{agent:?}"),
                    Err(refusal) => {
                        assert_eq!(refusal, NoWish::Unsure { confidence_ppm, min_ppm: 650_000 }, "{agent:?}");
                        assert!(confidence_ppm < 650_000, "{agent:?}");
                        assert!(refusal.to_string().contains("is below 0.65"), "{refusal}");
                    }
                }
            }
        };
        let all = [quote(0.46), quote(0.29), quote(0.26)];
        check(0, all, 1_000_000);
        check(2, all, 666_666);
        check(3, all, 571_428);
        check(0, [quote(0.46), None, None], 500_000);
    }

    #[test]
    fn nothing_is_bought_too_dear_or_once_the_ball_rolls() {
        let plain = MandateInputs::default();
        for agent in [MandateAgent::Scout, MandateAgent::EplTrading, MandateAgent::ContextAware] {
            let dear = ask(agent, 0.48, &plain).expect_err("2 % of edge");
            assert!(matches!(dear, NoWish::TooDear { best_edge_ratio } if best_edge_ratio < 0.05), "{dear:?}");
            assert_eq!(ask(agent, f64::NAN, &plain).map(|own| own.opportunity.outcome).ok(), None);
            // A pre-match model "finds" an edge of 300 % in play: it is never asked.
            let in_play = ask_in(MatchPhase::InPlay, agent, 0.12, &plain).expect_err("in play");
            assert!(in_play.to_string().contains("in play"), "{in_play}");
            assert!(ask_in(MatchPhase::Finished, agent, 0.12, &plain).is_err());
        }
        let broken = MandateInputs { model: Some([f64::NAN, 0.5, 0.5]), ..plain };
        assert!(ask(MandateAgent::EplTrading, 0.46, &broken).is_err());
    }
}
