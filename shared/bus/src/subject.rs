//! Every subject of the bus, built and parsed by type here and nowhere else.

use std::fmt;
use tragen_domain::{
    id::{InstrumentId, MatchId},
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
    /// `usage.<service>`: work done.
    Usage(&'static str),
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
    /// `control.ack.<epoch>.*`: all acks of an epoch.
    ControlAcks {
        /// The epoch.
        epoch: i64,
    },
}

/// Whom a question goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ask {
    /// The ledger: [`tragen_contracts::v1::LedgerQuestion`].
    Ledger,
    /// The leading guard: [`tragen_contracts::v1::GuardQuestion`].
    Guard,
    /// The leading guard, for a lease: [`tragen_contracts::v1::LeaseQuestion`].
    Lease,
    /// Market data: [`tragen_contracts::v1::MarketQuestion`].
    Market,
    /// The cost monitor: [`tragen_contracts::v1::GetCostsRequest`].
    Cost,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Router => "router",
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
            Self::LedgerFacts(shard) => write!(f, "ledger.{shard}"),
            Self::Quote(instrument) => write!(f, "md.quote.{instrument}"),
            Self::Instrument(instrument) => write!(f, "md.instrument.{instrument}"),
            Self::Match(match_id) => write!(f, "md.match.{match_id}"),
            Self::Bar(timeframe, instrument) => write!(f, "md.bar.{}.{instrument}", timeframe.as_str()),
            Self::Usage(service) => write!(f, "usage.{service}"),
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
            Self::LedgerFacts(_) => "ledger.{shard}",
            Self::Quote(_) => "md.quote.{instrument}",
            Self::Instrument(_) => "md.instrument.{instrument}",
            Self::Match(_) => "md.match.{match}",
            Self::Bar(..) => "md.bar.{timeframe}.{instrument}",
            Self::Usage(_) => "usage.{service}",
            Self::Dead(_) => "dead.{stream}",
        }
    }
}

impl fmt::Display for CoreSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(ask) => write!(f, "ask.{}", ask.as_str()),
            Self::ControlState => f.write_str("control.state"),
            Self::ControlAck { epoch, worker } => write!(f, "control.ack.{epoch}.{worker}"),
            Self::ControlAcks { epoch } => write!(f, "control.ack.{epoch}.*"),
        }
    }
}

impl Ask {
    /// As written in the subject.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Guard => "guard",
            Self::Lease => "lease",
            Self::Market => "market",
            Self::Cost => "cost",
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
        check(Subject::LedgerFacts(0), "ledger.0");
        check(Subject::Bar(Timeframe::Minute1, instrument.clone()), "md.bar.1m.GBPUSD");
        check(Subject::Quote(instrument), "md.quote.GBPUSD");
    }
}
