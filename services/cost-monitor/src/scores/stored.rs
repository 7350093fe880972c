//! A record as it is kept in the bucket `scores`.

use super::{CALENDAR, Scored, Scores, position_after};
use crate::kept::Change;
use prost::Message as _;
use std::collections::BTreeMap;
use tragen_contracts::{
    convert::{self, InvalidField},
    v1,
};
use tragen_domain::{
    id::{AgentId, InstrumentId},
    kpi::{ClosedFigures, HeldFigures, RecordFigures, Track, TrackFigures},
    money::Money,
    portfolio::{BaselineFigures, DrawdownFigures, Loss, Return, Undefined},
    time::Timestamp,
};

impl Scores {
    /// The records that have changed since the last call, ready to be stored.
    pub(super) fn take_changed(&mut self) -> Vec<Change> {
        let changed = std::mem::take(&mut self.changed);
        let records = changed.iter().filter_map(|agent| self.agents.get(agent).map(|scored| told(agent, scored)));
        records.map(|own| Change { value: Some(own.encode_to_vec()), key: own.agent_id }).collect()
    }

    /// These records could not be stored: they count as changed.
    pub(super) fn keep_changed(&mut self, agents: &[String]) {
        self.changed.extend(agents.iter().filter_map(|agent| AgentId::new(agent).ok()));
    }

    /// Takes a record as it was stored.
    ///
    /// # Errors
    /// When it makes no sense: [`prost::DecodeError`] or [`InvalidField`].
    pub(super) fn restore(&mut self, stored: &[u8]) -> anyhow::Result<()> {
        let stored = v1::AgentScore::decode(stored)?;
        let unfit = |error: Undefined| InvalidField::new("score", "OUT_OF_RANGE", error.to_string());
        let track = Track::restored(&figures(&stored)?, CALENDAR).map_err(unfit)?;
        let told = |(shard, sequence): (&u32, &i64)| Some((u16::try_from(*shard).ok()?, *sequence));
        let scored = Scored {
            account: convert::id("account_id", &stored.account_id)?,
            currency: convert::id("currency", &stored.currency)?,
            told: stored.told_up_to.iter().filter_map(told).collect(),
            track,
        };
        self.insert(convert::id("agent_id", &stored.agent_id)?, scored);
        Ok(())
    }
}

fn told(agent: &AgentId, scored: &Scored) -> v1::AgentScore {
    let TrackFigures { record, baselines, realized_equity, held } = scored.track.figures();
    let BaselineFigures { observed_at, start_of_day, start_of_month, drawdown } = baselines;
    v1::AgentScore {
        agent_id: agent.to_string(),
        account_id: scored.account.to_string(),
        currency: scored.currency.to_string(),
        told_up_to: scored.told.iter().map(|(shard, sequence)| (u32::from(*shard), *sequence)).collect(),
        score_ppm: scored.track.record().score_ppm().ok(),
        why_none: scored.why_none().map(|why| why.to_string()).unwrap_or_default(),
        equity_micros: scored.track.equity().micros(),
        realized_equity_micros: realized_equity.micros(),
        wins: record.trades.wins,
        losses: record.trades.losses,
        even: record.trades.even,
        won_micros: record.trades.won.micros(),
        lost_micros: record.trades.lost.micros(),
        day_returns: record.days.iter().map(|day| day.units()).collect(),
        observed_at_micros: observed_at.micros(),
        start_of_day_micros: start_of_day.micros(),
        start_of_month_micros: start_of_month.micros(),
        peak_micros: drawdown.peak.micros(),
        worst_basis_micros: drawdown.worst.basis().micros(),
        worst_amount_micros: drawdown.worst.amount().micros(),
        deepest_micros: drawdown.deepest.micros(),
        positions: held.iter().map(|(instrument, held)| position(instrument, held)).collect(),
    }
}

fn position(instrument: &InstrumentId, held: &HeldFigures) -> v1::ScoredPosition {
    v1::ScoredPosition {
        position: Some(v1::Position {
            instrument_id: instrument.to_string(),
            quantity_micros: held.position.quantity.micros(),
            average_price_micros: held.position.average_price.micros(),
            realized_pnl_micros: held.position.realized_pnl.micros(),
            fee_micros: held.position.fees.micros(),
            margin_micros: 0,
        }),
        trip_net_micros: held.trip_net.micros(),
        unrealized_micros: held.unrealized.micros(),
    }
}

fn figures(stored: &v1::AgentScore) -> Result<TrackFigures, InvalidField> {
    let money = Money::from_micros;
    let overflow = |_| InvalidField::new("worst_amount_micros", "OUT_OF_RANGE", "does not fit its peak");
    let basis = money(stored.worst_basis_micros);
    let bottom = basis.minus(money(stored.worst_amount_micros)).map_err(overflow)?;
    // Days and trades measure one equity, so both know one drawdown.
    let drawdown = DrawdownFigures {
        peak: money(stored.peak_micros),
        equity: money(stored.equity_micros),
        worst: Loss::between(basis, bottom).map_err(overflow)?,
        deepest: money(stored.deepest_micros),
    };
    let trades = ClosedFigures {
        wins: stored.wins,
        losses: stored.losses,
        even: stored.even,
        won: money(stored.won_micros),
        lost: money(stored.lost_micros),
    };
    let bad_day = |error: Undefined| InvalidField::new("day_returns", "OUT_OF_RANGE", error.to_string());
    let days = stored.day_returns.iter().map(|units| Return::from_units(*units)).collect::<Result<_, _>>();
    let mut held = BTreeMap::new();
    for one in &stored.positions {
        let position = convert::required("positions.position", one.position.as_ref())?;
        let figures = HeldFigures {
            position: position_after(position),
            trip_net: money(one.trip_net_micros),
            unrealized: money(one.unrealized_micros),
        };
        held.insert(convert::id("positions.instrument_id", &position.instrument_id)?, figures);
    }
    Ok(TrackFigures {
        record: RecordFigures { trades, days: days.map_err(bad_day)?, drawdown },
        baselines: BaselineFigures {
            observed_at: Timestamp::from_micros(stored.observed_at_micros),
            start_of_day: money(stored.start_of_day_micros),
            start_of_month: money(stored.start_of_month_micros),
            drawdown,
        },
        realized_equity: money(stored.realized_equity_micros),
        held,
    })
}
