//! Every metric of the worker.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Requests handled, by tier and what came of them.
pub(crate) const REQUESTS: &str = "agent_worker_requests_total";
/// Time from taking a batch to its last proposal stored.
pub(crate) const BATCH_SECONDS: &str = "agent_worker_batch_seconds";
/// Bars evaluated.
pub(crate) const BARS: &str = "agent_worker_bars_total";
/// Texts about matches that count.
pub(crate) const NEWS_HELD: &str = "agent_worker_news_held";
/// Matches that odds are held of.
pub(crate) const ODDS_HELD: &str = "agent_worker_odds_held";
/// Matches whose odds were forgotten, or not taken, because there are too many.
pub(crate) const ODDS_FORGOTTEN: &str = "agent_worker_odds_forgotten_total";
/// Enabled configured agents.
pub(crate) const AGENTS: &str = "agent_worker_agents";
/// Agents evaluated on bars and on the odds of matches: each once over all workers.
pub(crate) const EVALUATIONS: &str = "agent_worker_evaluations_total";
/// Time from a signal to the last order for it stored.
pub(crate) const SIGNAL_SECONDS: &str = "agent_worker_signal_seconds";
/// Agents that could not act on a bar or on odds before they were too old.
pub(crate) const TOO_LATE: &str = "agent_worker_too_late_total";
/// Signals that changed a target, by strategy.
pub(crate) const SIGNALS: &str = "agent_worker_signals_total";
/// Agents that opened nothing, because the decision was less sure than their personality asks for.
pub(crate) const UNSURE: &str = "agent_worker_unsure_total";
/// Looks at matches that are larger than the bus takes, so that nobody bet.
pub(crate) const LOOKS_TOO_LARGE: &str = "agent_worker_looks_too_large_total";
/// Orders proposed by configured agents.
pub(crate) const AGENT_ORDERS: &str = "agent_worker_agent_orders_total";
/// Quotes of market makers that were canceled.
pub(crate) const QUOTES_WITHDRAWN: &str = "agent_worker_quotes_withdrawn_total";
/// Steps of reductions proposed.
pub(crate) const REDUCING_ORDERS: &str = "agent_worker_reducing_orders_total";
/// Questions to agents, by kind and result.
pub(crate) const ANALYSES: &str = "agent_worker_analyses_total";
/// Time from a question to its answer, by kind.
pub(crate) const ANALYSIS_SECONDS: &str = "agent_worker_analysis_seconds";
/// Messages that made no sense, by subject.
pub(crate) const MALFORMED: &str = "agent_worker_malformed_total";
/// Questions about trades, by what came of them.
pub(crate) const ADVICE: &str = "agent_worker_advice_total";
/// Calls of language models, by server and what came of them.
pub(crate) const ADVISOR_CALLS: &str = "agent_worker_advisor_calls_total";
/// Time of a call, by server.
pub(crate) const ADVISOR_CALL_SECONDS: &str = "agent_worker_advisor_call_seconds";
/// What language models charged, or may have charged.
pub(crate) const ADVISOR_COST: &str = "agent_worker_advisor_cost_usd_micros_total";
/// Spent and reserved of today's allowance for language models.
pub(crate) const ADVISOR_BUDGET_USED: &str = "agent_worker_advisor_budget_used_usd";

/// Gives every metric its unit and meaning.
pub(crate) fn describe() {
    describe_counter!(REQUESTS, Unit::Count, "requests handled, by tier and outcome");
    describe_histogram!(BATCH_SECONDS, Unit::Seconds, "from taking a batch to its last proposal stored");
    describe_counter!(BARS, Unit::Count, "bars evaluated");
    describe_gauge!(NEWS_HELD, Unit::Count, "texts about matches that count");
    describe_gauge!(ODDS_HELD, Unit::Count, "matches that odds are held of");
    describe_counter!(ODDS_FORGOTTEN, Unit::Count, "matches whose odds were forgotten or not taken for lack of room");
    describe_gauge!(AGENTS, Unit::Count, "enabled configured agents");
    describe_counter!(EVALUATIONS, Unit::Count, "agents evaluated on bars and odds, each once over all workers");
    describe_histogram!(SIGNAL_SECONDS, Unit::Seconds, "from a signal to the last order for it stored");
    describe_counter!(TOO_LATE, Unit::Count, "agents that could not act on a bar or odds before they were too old");
    describe_counter!(SIGNALS, Unit::Count, "signals that changed a target, by strategy");
    describe_counter!(UNSURE, Unit::Count, "agents that opened nothing because their decision was not sure enough");
    describe_counter!(LOOKS_TOO_LARGE, Unit::Count, "looks at matches too large for the bus, so that nobody bet");
    describe_counter!(AGENT_ORDERS, Unit::Count, "orders proposed by configured agents");
    describe_counter!(
        QUOTES_WITHDRAWN,
        Unit::Count,
        "quotes of market makers that were canceled for new ones or for none"
    );
    describe_counter!(REDUCING_ORDERS, Unit::Count, "steps of reductions proposed");
    describe_counter!(ADVICE, Unit::Count, "questions about trades, by what came of them");
    describe_counter!(ADVISOR_CALLS, Unit::Count, "calls of language models, by server and outcome");
    describe_histogram!(ADVISOR_CALL_SECONDS, Unit::Seconds, "time of a call of a language model, by server");
    describe_counter!(ADVISOR_COST, Unit::Count, "what language models charged or may have charged, 1e-6 USD");
    describe_gauge!(ADVISOR_BUDGET_USED, Unit::Count, "spent and reserved of today's allowance, USD");
    describe_counter!("cache_lookups_total", Unit::Count, "lookups by cache and outcome");
    describe_counter!(ANALYSES, Unit::Count, "questions to agents, by kind and result");
    describe_histogram!(ANALYSIS_SECONDS, Unit::Seconds, "from a question to its answer, by kind");
    describe_counter!(MALFORMED, Unit::Count, "messages that made no sense, by kind");
}
