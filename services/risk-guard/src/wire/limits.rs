//! The limits of a term in the journal, for whoever asks later what was decided on.

use tragen_contracts::{
    convert::{InvalidField, id},
    v1,
};
use tragen_domain::{
    money::{Money, Price},
    risk::{Cluster, CommandLimits, LimitName, Limits, Measured, RepeatedOrders, Rules},
    time::Timestamp,
};

/// As they are journaled at the beginning of a term.
pub(crate) fn gate_limits(limits: &Limits) -> v1::GateLimits {
    let cluster = |own: &Cluster| v1::GateCluster {
        name: own.name.clone(),
        instrument_ids: own.instruments.iter().map(ToString::to_string).collect(),
    };
    v1::GateLimits {
        order_value_max_micros: limits.order_value_max.micros(),
        quote_age_max_ms: limits.quote_age_max_ms,
        prediction_collar_micros: limits.prediction_collar.micros(),
        spot_collar_ppm: limits.spot_collar_ppm,
        margined_collar_ppm: limits.margined_collar_ppm,
        resting_orders_max: u64::try_from(limits.resting_orders_max).unwrap_or(u64::MAX),
        approval_valid_ms: limits.approval_valid_ms,
        rules: limits.rules.list().map(rule).collect(),
        house_accounts: limits.house_accounts.iter().map(ToString::to_string).collect(),
        clusters: limits.clusters.iter().map(cluster).collect(),
        repeated_orders: limits.repeated_orders.as_str().to_owned(),
        repeated_order_ms: limits.repeated_order_ms,
        ramp_ms: limits.ramp_ms,
        equity_age_max_ms: limits.equity_age_max_ms,
        flatten_orders_per_minute_max: limits.commands.flatten_orders_per_minute_max,
    }
}

fn rule((name, id, value): (LimitName, &str, i64)) -> v1::GateRule {
    v1::GateRule { name: name.as_str().to_owned(), id: id.to_owned(), value }
}

/// The limits of a journaled term. What does not decide about orders is as it is by default.
pub(crate) fn read_gate_limits(own: &v1::GateLimits) -> Result<Limits, InvalidField> {
    let mut rules = Rules::default();
    let key =
        |own: &v1::GateRule| if own.id.is_empty() { own.name.clone() } else { format!("{}.{}", own.name, own.id) };
    let values: Vec<(String, i64)> = own.rules.iter().map(|own| (key(own), own.value)).collect();
    let values = values.iter().map(|(key, value)| (key.as_str(), *value));
    rules.restore(values).map_err(|error| InvalidField::new("rules", "LIMIT_UNKNOWN", error.to_string()))?;
    let mut clusters = Vec::new();
    for cluster in &own.clusters {
        let instruments = cluster.instrument_ids.iter().map(|own| id("clusters.instrument_ids", own));
        clusters.push(Cluster { name: cluster.name.clone(), instruments: instruments.collect::<Result<_, _>>()? });
    }
    let unknown = || InvalidField::new("repeated_orders", "ENUM_UNKNOWN", "must be off, warn or deny");
    Ok(Limits {
        order_value_max: Money::from_micros(own.order_value_max_micros),
        quote_age_max_ms: own.quote_age_max_ms,
        prediction_collar: Price::from_micros(own.prediction_collar_micros),
        spot_collar_ppm: own.spot_collar_ppm,
        margined_collar_ppm: own.margined_collar_ppm,
        resting_orders_max: usize::try_from(own.resting_orders_max).unwrap_or(usize::MAX),
        approval_valid_ms: own.approval_valid_ms,
        rules,
        house_accounts: own.house_accounts.iter().map(|own| id("house_accounts", own)).collect::<Result<_, _>>()?,
        clusters,
        repeated_orders: RepeatedOrders::parse(&own.repeated_orders).ok_or_else(unknown)?,
        repeated_order_ms: own.repeated_order_ms,
        ramp_ms: own.ramp_ms,
        equity_age_max_ms: own.equity_age_max_ms,
        commands: CommandLimits {
            flatten_orders_per_minute_max: own.flatten_orders_per_minute_max,
            ..CommandLimits::default()
        },
        ..Limits::default()
    })
}

/// What the house had lost, as it is journaled with what is decided on it.
pub(crate) const fn house_losses(measured: &Measured) -> v1::HouseLosses {
    v1::HouseLosses {
        day_ppm: measured.day_loss_ppm,
        month_ppm: measured.month_loss_ppm,
        peak_ppm: measured.drawdown_ppm,
        measured_at_micros: measured.measured_at.micros(),
    }
}

pub(crate) const fn read_house_losses(losses: &v1::HouseLosses) -> Measured {
    Measured {
        day_loss_ppm: losses.day_ppm,
        month_loss_ppm: losses.month_ppm,
        drawdown_ppm: losses.peak_ppm,
        measured_at: Timestamp::from_micros(losses.measured_at_micros),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_a_term_come_back_as_they_were() {
        let mut limits = Limits {
            order_value_max: Money::from_micros(5),
            quote_age_max_ms: 6,
            prediction_collar: Price::from_micros(7),
            spot_collar_ppm: 8,
            margined_collar_ppm: 9,
            resting_orders_max: 10,
            approval_valid_ms: 11,
            house_accounts: ["h1", "h2"].into_iter().map(|own| id("own", own).expect("an id")).collect(),
            clusters: vec![Cluster { name: "fx".to_owned(), instruments: [id("own", "EU").expect("an id")].into() }],
            repeated_orders: RepeatedOrders::Deny,
            repeated_order_ms: 12,
            ramp_ms: 13,
            equity_age_max_ms: 14,
            commands: CommandLimits { flatten_orders_per_minute_max: 15, ..CommandLimits::default() },
            ..Limits::default()
        };
        limits.rules.set(LimitName::PoolExposureMaxPpm, "scalper", 100_000).expect("in range");
        limits.rules.set(LimitName::DayLossReducePpm, "", 40_000).expect("in range");
        assert_eq!(read_gate_limits(&gate_limits(&limits)), Ok(limits));
    }
}
