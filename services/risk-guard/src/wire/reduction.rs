//! Reductions in the journal and in answers.

use super::{parse_scope, scope};
use tragen_contracts::{
    convert::{InvalidField, id},
    v1,
};
use tragen_domain::{
    id::CommandId,
    money::Quantity,
    risk::{Driver, Record, Reduction, Target},
    time::Timestamp,
};

pub(crate) const fn driver(driver: Driver) -> v1::ReductionDriver {
    match driver {
        Driver::Workers => v1::ReductionDriver::Workers,
        Driver::Operator => v1::ReductionDriver::Operator,
    }
}

/// The journal's form of an ordered reduction.
pub(crate) fn ordered_record(reduction: &Reduction) -> v1::JournalRecord {
    let ordered = reduction_entry(reduction);
    // Later portions have the epoch of the first.
    let event_id = match reduction.done_before {
        0 => format!("epoch-{}", reduction.epoch),
        done => format!("epoch-{}-after-{done}", reduction.epoch),
    };
    record(event_id, reduction.ordered_at, v1::journal_record::Kind::ReductionOrdered(ordered))
}

/// A reduction as it is journaled, with its end, which only snapshots have.
pub(super) fn reduction_entry(reduction: &Reduction) -> v1::ReductionOrdered {
    let target = |own: &Target| v1::ReductionTarget {
        account_id: own.account.to_string(),
        instrument_id: own.instrument.to_string(),
        from_micros: own.from.micros(),
        target_micros: own.target.micros(),
    };
    v1::ReductionOrdered {
        command_id: reduction.id.to_string(),
        scope: Some(scope(&reduction.scope)),
        instrument_id: reduction.instrument.as_ref().map(ToString::to_string).unwrap_or_default(),
        factor_ppm: reduction.factor_ppm,
        driver: driver(reduction.driver).into(),
        ordered_by: reduction.ordered_by.clone(),
        reason: reduction.reason.clone(),
        ordered_at_micros: reduction.ordered_at.micros(),
        epoch: reduction.epoch,
        targets: reduction.targets.iter().map(target).collect(),
        ended_at_micros: reduction.ended_at.map_or(0, Timestamp::micros),
        is_house_only: reduction.is_house_only,
        left_out: i32::try_from(reduction.left_out).unwrap_or(i32::MAX),
        done_before: i32::try_from(reduction.done_before).unwrap_or(i32::MAX),
    }
}

/// The journal's form of the end of a reduction; by whom and why is empty where every position
/// is at its target.
pub(crate) fn ended_record(id: &CommandId, at: Timestamp, (ended_by, reason): (&str, &str)) -> v1::JournalRecord {
    let ended = v1::ReductionEnded {
        command_id: id.to_string(),
        ended_at_micros: at.micros(),
        ended_by: ended_by.to_owned(),
        reason: reason.to_owned(),
    };
    record(format!("{id}-ended"), at, v1::journal_record::Kind::ReductionEnded(ended))
}

fn record(event_id: String, at: Timestamp, kind: v1::journal_record::Kind) -> v1::JournalRecord {
    let meta = v1::Meta { event_id, occurred_at_micros: at.micros(), ..v1::Meta::default() };
    v1::JournalRecord { meta: Some(meta), key: None, kind: Some(kind) }
}

/// What a journaled reduction changes.
pub(super) fn reduction_ordered(ordered: &v1::ReductionOrdered) -> Result<Record, InvalidField> {
    read_reduction(ordered).map(|reduction| Record::ReductionOrdered(Box::new(reduction)))
}

pub(super) fn read_reduction(ordered: &v1::ReductionOrdered) -> Result<Reduction, InvalidField> {
    let driver = match ordered.driver() {
        v1::ReductionDriver::Workers => Driver::Workers,
        v1::ReductionDriver::Operator => Driver::Operator,
        v1::ReductionDriver::Unspecified => {
            return Err(InvalidField::new("driver", "ENUM_UNSPECIFIED", "must be set"));
        }
    };
    let instrument = &ordered.instrument_id;
    Ok(Reduction {
        id: id("command_id", &ordered.command_id)?,
        scope: parse_scope(ordered.scope.as_ref())?,
        instrument: (!instrument.is_empty()).then(|| id("instrument_id", instrument)).transpose()?,
        is_house_only: ordered.is_house_only,
        factor_ppm: ordered.factor_ppm,
        driver,
        ordered_by: ordered.ordered_by.clone(),
        reason: ordered.reason.clone(),
        ordered_at: Timestamp::from_micros(ordered.ordered_at_micros),
        epoch: ordered.epoch,
        targets: ordered.targets.iter().map(target).collect::<Result<_, _>>()?,
        left_out: unsigned("left_out", ordered.left_out)?,
        done_before: unsigned("done_before", ordered.done_before)?,
        ended_at: (ordered.ended_at_micros != 0).then(|| Timestamp::from_micros(ordered.ended_at_micros)),
    })
}

fn unsigned(field: &'static str, value: i32) -> Result<u32, InvalidField> {
    u32::try_from(value).map_err(|_| InvalidField::new(field, "NEGATIVE", "must not be below 0"))
}

fn target(target: &v1::ReductionTarget) -> Result<Target, InvalidField> {
    Ok(Target {
        account: id("targets.account_id", &target.account_id)?,
        instrument: id("targets.instrument_id", &target.instrument_id)?,
        from: Quantity::from_micros(target.from_micros),
        target: Quantity::from_micros(target.target_micros),
    })
}

/// What the end of a reduction changes.
pub(super) fn reduction_ended(ended: &v1::ReductionEnded) -> Result<Record, InvalidField> {
    let at = Timestamp::from_micros(ended.ended_at_micros);
    Ok(Record::ReductionEnded { id: id("command_id", &ended.command_id)?, at })
}
