//! Every subject of the bus, built and parsed by type here and nowhere else.

use std::{borrow::Cow, fmt};
use tragen_contracts::v1;
use tragen_domain::{
    id::{InstrumentId, MatchId, PoolId},
    market::Timeframe,
    tier::Tier,
};

/// Who proposes on PROPOSALS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// An agent worker.
    Worker,
    /// The router, for what needs no agent: withdrawals and cancels.
    Router,
}

/// How bad what an alert tells is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

/// A subject that a JetStream stream keeps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// `req.trade.<tier>`: trades asked for.
    TradeRequests(Tier),
    /// `prop.<source>`: proposals for the guard.
    Proposals(Source),
    /// `journal`: the guard's decisions.
    Journal,
    /// `exec.<venue>`: outcomes of trades.
    Executions(&'static str),
    /// `exec.<venue>.<shard>`: outcomes that one shard of the ledger hands on to another.
    ExecutionsFor {
        /// Where they come from, as in `exec.<venue>`.
        venue: String,
        /// Who shall book them.
        shard: u16,
    },
    /// `ledger.<shard>`: committed facts.
    LedgerFacts(u16),
    /// `md.quote.<instrument>`: newest quote.
    Quote(InstrumentId),
    /// `md.instrument.<instrument>`: newest definition.
    Instrument(InstrumentId),
    /// `md.match.<match>`: newest score.
    Match(MatchId),
    /// `md.bar.<timeframe>.<instrument>`: the last bars.
    Bar(Timeframe, InstrumentId),
    /// `md.odds.<match>`: the last odds of bookmakers before the kick-off.
    Odds(MatchId),
    /// `usage.<service>`: work done.
    Usage(&'static str),
    /// `pool.<pool>`: how a pool was sized.
    PoolSized(PoolId),
    /// `pool.<pool>.line-up`: who began or ceased to trade in a pool.
    PoolLinedUp(PoolId),
    /// `look.<match>`: what workers saw of a match when agents bet on it, and what came out.
    Look(MatchId),
    /// `news.<match>`: what was written about a match.
    News(MatchId),
    /// `alert.<severity>.<code>`: what a person must look at; the code is closed, in UPPER_SNAKE.
    Alert(Severity, &'static str),
    /// `audit.<shard>`: signed heads of the shard's hash chain.
    ChainHead(u16),
    /// `dead.<stream>`: messages no handler could take.
    Dead(&'static str),
}

/// A subject outside any stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CoreSubject {
    /// `ask.<service>`: question and answer.
    Ask(Ask),
    /// `control.state`: the trading state, to every worker.
    ControlState,
    /// `control.ack.<epoch>.<worker>`: a worker has applied an epoch.
    ControlAck {
        /// The epoch.
        epoch: i64,
        /// The worker's instance.
        worker: String,
    },
    /// `control.ack.>`: all acks.
    ControlAcks,
    /// `cancel.denied`: a cancel that the guard has denied, to the routers.
    CancelDenied,
    /// `ledger.*`: the facts of LEDGER as they are published, before the stream has stored them.
    LedgerFacts,
}

/// Whom a question goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ask {
    /// The ledger: [`tragen_contracts::v1::LedgerQuestion`].
    Ledger,
    /// `ask.ledger.<shard>`: one shard of the ledger, the same questions.
    LedgerShard(u16),
    /// The leading guard: [`tragen_contracts::v1::GuardQuestion`].
    Guard,
    /// The leading guard, for a lease: [`tragen_contracts::v1::LeaseQuestion`].
    Lease,
    /// The leading guard, what it would say: [`tragen_contracts::v1::RiskQuestion`].
    Risk,
    /// Market data: [`tragen_contracts::v1::MarketQuestion`].
    Market,
    /// The cost monitor: [`tragen_contracts::v1::GetCostsRequest`].
    Cost,
    /// The cost monitor, what agents bought before kick-offs: [`tragen_contracts::v1::BetsQuestion`].
    Bets,
    /// Any agent worker: [`tragen_contracts::v1::WorkerQuestion`].
    Worker,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Router => "router",
        }
    }
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl From<Severity> for v1::AlertSeverity {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Critical,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TradeRequests(tier) => write!(f, "req.trade.{}", tier.as_str()),
            Self::Proposals(source) => write!(f, "prop.{}", source.as_str()),
            Self::Journal => f.write_str("journal"),
            Self::Executions(venue) => write!(f, "exec.{venue}"),
            Self::ExecutionsFor { venue, shard } => write!(f, "exec.{venue}.{shard}"),
            Self::LedgerFacts(shard) => write!(f, "ledger.{shard}"),
            Self::Quote(instrument) => write!(f, "md.quote.{instrument}"),
            Self::Instrument(instrument) => write!(f, "md.instrument.{instrument}"),
            Self::Match(match_id) => write!(f, "md.match.{match_id}"),
            Self::Bar(timeframe, instrument) => write!(f, "md.bar.{}.{instrument}", timeframe.as_str()),
            Self::Odds(match_id) => write!(f, "md.odds.{match_id}"),
            Self::Usage(service) => write!(f, "usage.{service}"),
            Self::PoolSized(pool) => write!(f, "pool.{pool}"),
            Self::PoolLinedUp(pool) => write!(f, "pool.{pool}.line-up"),
            Self::Look(match_id) => write!(f, "look.{match_id}"),
            Self::News(match_id) => write!(f, "news.{match_id}"),
            Self::Alert(severity, code) => write!(f, "alert.{}.{code}", severity.as_str()),
            Self::ChainHead(shard) => write!(f, "audit.{shard}"),
            Self::Dead(stream) => write!(f, "dead.{stream}"),
        }
    }
}

impl Subject {
    /// The subject as it is grouped in traces: without ids.
    #[must_use]
    pub const fn template(&self) -> &'static str {
        match self {
            Self::TradeRequests(_) => "req.trade.{tier}",
            Self::Proposals(_) => "prop.{source}",
            Self::Journal => "journal",
            Self::Executions(_) => "exec.{venue}",
            Self::ExecutionsFor { .. } => "exec.{venue}.{shard}",
            Self::LedgerFacts(_) => "ledger.{shard}",
            Self::Quote(_) => "md.quote.{instrument}",
            Self::Instrument(_) => "md.instrument.{instrument}",
            Self::Match(_) => "md.match.{match}",
            Self::Bar(..) => "md.bar.{timeframe}.{instrument}",
            Self::Odds(_) => "md.odds.{match}",
            Self::Usage(_) => "usage.{service}",
            Self::PoolSized(_) => "pool.{pool}",
            Self::PoolLinedUp(_) => "pool.{pool}.line-up",
            Self::Look(_) => "look.{match}",
            Self::News(_) => "news.{match}",
            Self::Alert(..) => "alert.{severity}.{code}",
            Self::ChainHead(_) => "audit.{shard}",
            Self::Dead(_) => "dead.{stream}",
        }
    }
}

impl fmt::Display for CoreSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(ask) => write!(f, "ask.{}", ask.name()),
            Self::ControlState => f.write_str("control.state"),
            Self::ControlAck { epoch, worker } => write!(f, "control.ack.{epoch}.{worker}"),
            Self::ControlAcks => f.write_str("control.ack.>"),
            Self::CancelDenied => f.write_str("cancel.denied"),
            Self::LedgerFacts => f.write_str("ledger.*"),
        }
    }
}

impl Ask {
    /// As written in the subject.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::Ledger => "ledger".into(),
            Self::LedgerShard(shard) => format!("ledger.{shard}").into(),
            Self::Guard => "guard".into(),
            Self::Lease => "lease".into(),
            Self::Risk => "risk".into(),
            Self::Market => "market".into(),
            Self::Cost => "cost".into(),
            Self::Bets => "bets".into(),
            Self::Worker => "worker".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(subject: Subject, expected: &str) {
        assert_eq!(subject.to_string(), expected);
    }

    #[test]
    fn subjects_are_spelled_here_only() {
        let instrument = InstrumentId::new("GBPUSD").expect("an id");
        check(Subject::TradeRequests(Tier::Premium), "req.trade.premium");
        check(Subject::Proposals(Source::Worker), "prop.worker");
        check(Subject::Executions("paper"), "exec.paper");
        check(Subject::ExecutionsFor { venue: "paper".into(), shard: 3 }, "exec.paper.3");
        check(Subject::LedgerFacts(0), "ledger.0");
        check(Subject::Alert(Severity::Critical, "LEDGER_BALANCE_MISMATCH"), "alert.critical.LEDGER_BALANCE_MISMATCH");
        check(Subject::ChainHead(7), "audit.7");
        check(Subject::Bar(Timeframe::Minute1, instrument.clone()), "md.bar.1m.GBPUSD");
        check(Subject::Quote(instrument), "md.quote.GBPUSD");
        check(Subject::Look(MatchId::new("EPL-2026-ARS-MCI").expect("an id")), "look.EPL-2026-ARS-MCI");
        assert_eq!(CoreSubject::Ask(Ask::LedgerShard(3)).to_string(), "ask.ledger.3");
    }
}
