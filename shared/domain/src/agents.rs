//! The deterministic models behind the agents: market state in, decision out.
//!
//! Every function here is pure: the same numbers give the same decision in every worker, so a decision can be
//! cached, replayed and shared by all agents that watch the same market. Estimates (probabilities, indicators,
//! edges) are `f64`; they become integer micros, ticks and contracts where the caller crosses into money, with the
//! rounding named there.
//!
//! | file | what it answers |
//! |---|---|
//! | [`devig`] | what does one bookmaker believe, without his margin? |
//! | [`consensus`], [`fair_line`], [`fair_market`] | what do all bookmakers together believe, without the broken prices? |
//! | [`kelly`] | what is the edge after ask and fee, and which share of the capital is worth it? |
//! | [`scout`], [`steam`], [`odds_history`] | eplScoutAgent: which quote of this match is worth buying? which prices are moving? |
//! | [`epl_research`] | eplResearchAgent: what do past results say about a match? |
//! | [`epl_trading`], [`resting`] | eplTradingAgent: which outcome is bought at the ask, which is bid for? which bid of an agent is in the book? |
//! | [`inplay`], [`inplay_fit`] | how likely is each outcome while the match is played? how is that learned? |
//! | [`implied_goals`] | how many goals did the odds expect? |
//! | [`live_trading`], [`exiting`], [`reducing`] | liveTradingAgent: keep, leave or hedge in play; what does it sell by itself? how is a position reduced on command? |
//! | [`scanner`] | scannerAgent: which contracts together cost less than they pay for certain? |
//! | [`market_maker`], [`quoting`] | tradingAgent: at which two prices is a contract quoted? which of its quotes does an agent take out? |
//! | [`epl_portfolio`] | eplPortfolioAgent: what does a book of matches risk, and what should be reduced? |
//! | [`exclusive_kelly`] | which stakes on outcomes that exclude each other make capital grow fastest? |
//! | [`top_of_book`], [`venue_fee`] | can this book be traded on? what does the venue charge to the last digit? |
//! | [`bar`], [`indicators`], [`wilder`], [`volatility`] | what does the price series say, bar by bar? |
//! | [`signal`], [`scalper`], [`swing`], [`conservative`], [`trading`] | tradingAgent: long, short or flat on the next bar? |
//! | [`advisor`], [`plain_text`] | what may a language model do to a decision, and to which text? |
//! | [`football`] | the models of football results |
//! | [`value_bet`] | which odds are higher than fair, and what would they have earned? |
//! | [`evaluation`] | how good were forecasts and bets? |
//! | [`research`] | researchAgent: were forecasts and bets good, has a model become worse? |
//! | [`nearest`] | which name was meant? |
//! | [`sentiment`] | sentimentAnalystAgent: what do the news say about a team? |
//! | [`context_aware`] | contextAwareAgent: how do rest and missing players move the consensus? |
//! | [`mandate`] | which agent serves a mandate, and what would it buy? |
//! | [`bettor`] | which matches does a configured agent bet on, how often, who of them, and how much? |
//! | [`personality`], [`sizing`] | how bold is this agent, and how much does it buy? |
//! | [`template`] | which numbers does an agent start from? |
//! | [`pool_metrics`] | how lively and how directed is a market, for the pools? |

pub mod advisor;
pub mod bar;
pub mod bettor;
pub mod consensus;
pub mod conservative;
pub mod context_aware;
mod count;
pub mod devig;
pub mod epl_portfolio;
pub mod epl_research;
pub mod epl_trading;
pub mod evaluation;
pub mod exclusive_kelly;
pub mod exiting;
pub mod fair_line;
pub mod fair_market;
pub mod football;
pub mod implied_goals;
pub mod indicators;
pub mod inplay;
pub mod inplay_fit;
pub mod kelly;
pub mod live_trading;
pub mod mandate;
pub mod market_maker;
pub mod nearest;
pub mod news;
mod newton;
pub mod odds_history;
mod outlier;
pub mod personality;
pub mod plain_text;
pub mod pool_metrics;
pub mod quoting;
pub mod rebalance;
pub mod reducing;
pub mod research;
pub mod resting;
pub mod scalper;
pub mod scanner;
pub mod scout;
pub mod sentiment;
pub mod signal;
pub mod sizing;
pub mod steam;
pub mod swing;
pub mod template;
pub mod top_of_book;
mod trade_cycle;
pub mod trading;
pub mod value_bet;
pub mod venue_fee;
pub mod volatility;
pub mod wilder;
