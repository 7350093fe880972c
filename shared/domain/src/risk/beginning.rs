//! How a gate begins that finds nothing in its journal: either nothing ever happened, or the journal is lost.

use super::{Change, LimitChange, Scope, ScopeState, TradingState};
use crate::time::Timestamp;

/// Why everything is halted after the loss of the journal; also how a later gate knows of it.
pub const JOURNAL_LOST: &str = "the journal is lost: there was trading before it";

/// How long after the loss of the journal an order that is asked for once more may be at the venue already,
/// milliseconds: longer than any caller goes on asking.
pub const REMEMBERED_MS: i64 = 3_600_000;

/// What a gate without a journal finds elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traces {
    /// The highest epoch that anything speaks of: what workers were told, an old snapshot, the process itself. 0 for
    /// none.
    pub epoch: i64,
    /// Whether the books have a trade or a position.
    pub has_traded: bool,
}

/// The first trading state. Without any trace it is a new system: ACTIVE. Otherwise HALTED, and never ACTIVE by default.
///
/// Workers take only newer epochs, so nothing may ever begin at 1 again: the first epoch is above every known one and
/// above the milliseconds of the clock. States change less than a thousand times a second, so it is above those that
/// nothing speaks of any more, too.
///
/// ```
/// use tragen_domain::{risk::{Traces, TradingState, first_state}, time::Timestamp};
/// let now = Timestamp::from_micros(1_700_000_000_000_000);
/// let new = first_state(Traces::default(), now);
/// assert_eq!((new.state, new.epoch), (TradingState::Active, 1_700_000_000_001));
/// let lost = first_state(Traces { epoch: 1_800_000_000_000, has_traded: true }, now);
/// assert_eq!((lost.state, lost.epoch), (TradingState::Halted, 1_800_000_000_001));
/// ```
#[must_use]
pub fn first_state(traces: Traces, now: Timestamp) -> ScopeState {
    let is_lost = traces.epoch > 0 || traces.has_traded;
    let (state, reason) =
        if is_lost { (TradingState::Halted, JOURNAL_LOST) } else { (TradingState::Active, "first start") };
    ScopeState {
        scope: Scope::Global,
        state,
        epoch: traces.epoch.max(now.micros() / 1_000).saturating_add(1),
        changed_by: "risk-guard".to_owned(),
        reason: reason.to_owned(),
        changed_at: now,
        resume_from: now,
    }
}

/// Until when an order that is asked for once more may be at the venue already, by the newest loss of the journal among
/// `changes` (newest first): [`REMEMBERED_MS`] after it, that moment included. None when no journal was lost, or so long
/// ago that nobody asks for such an order any more.
pub fn asked_again_until<'a>(changes: impl Iterator<Item = &'a Change>, now: Timestamp) -> Option<Timestamp> {
    let mut losses = changes.filter(|change| change.reason == JOURNAL_LOST);
    let until = losses.next().map(|change| change.changed_at.plus_millis(REMEMBERED_MS));
    until.filter(|until| is_asked_again(Some(*until), now))
}

/// Whether at `now` an order may still be one of before the loss; `until` is of [`asked_again_until`].
#[must_use]
pub fn is_asked_again(until: Option<Timestamp>, now: Timestamp) -> bool {
    until.is_some_and(|until| now <= until)
}

/// The states that a lost journal had tightened, to be set again after the `first` one: each with an epoch of its own,
/// by the one and for the reason that it was, and not resumed earlier. `known` is what was told last; everything
/// together is the first state's business.
///
/// Nothing is set again in a new system.
#[must_use]
pub fn kept_states(known: &[ScopeState], first: &ScopeState) -> Vec<ScopeState> {
    if first.state == TradingState::Active {
        return Vec::new();
    }
    let tightened = known.iter().filter(|own| own.scope != Scope::Global && own.state > TradingState::Active);
    let again = (1..).zip(tightened).map(|(after, own)| ScopeState {
        epoch: first.epoch.saturating_add(after),
        changed_at: first.changed_at,
        resume_from: own.resume_from.max(first.resume_from),
        ..own.clone()
    });
    again.collect()
}

/// The changes of limits that a lost journal had, to be journaled again as they were; `known` is what a file has kept.
///
/// Nothing is changed again in a new system.
#[must_use]
pub fn kept_limits(known: Vec<LimitChange>, first: &ScopeState) -> Vec<LimitChange> {
    match first.state {
        TradingState::Active => Vec::new(),
        TradingState::Reducing | TradingState::Halted => known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{AgentId, InstrumentId, PoolId},
        risk::LimitName,
    };

    fn change(reason: &str, millis: i64) -> Change {
        Change {
            epoch: 1,
            scope: Scope::Global,
            state: Some(TradingState::Halted),
            reduction: None,
            changed_by: "risk-guard".to_owned(),
            reason: reason.to_owned(),
            changed_at: Timestamp::from_micros(millis * 1_000),
        }
    }

    #[test]
    fn changed_limits_are_kept_but_in_a_new_system() {
        let change = LimitChange {
            name: LimitName::DayLossReducePpm,
            id: String::new(),
            value: 40_000,
            changed_by: "ann".to_owned(),
            reason: "careful".to_owned(),
            changed_at: Timestamp::from_micros(1),
        };
        let now = Timestamp::from_micros(100_000);
        let lost = first_state(Traces { epoch: 1, has_traded: false }, now);
        let changes = vec![change];
        assert_eq!(kept_limits(changes.clone(), &lost), changes);
        assert_eq!(kept_limits(changes, &first_state(Traces::default(), now)), []);
    }

    #[test]
    fn an_order_may_be_of_before_the_loss_for_an_hour() {
        let check = |changes: &[Change], now_millis: i64, expected: Option<i64>| {
            let now = Timestamp::from_micros(now_millis * 1_000);
            let until = asked_again_until(changes.iter(), now);
            assert_eq!(until.map(|until| until.micros() / 1_000), expected, "{now_millis}");
            assert_eq!(is_asked_again(until, now), expected.is_some());
        };
        let lost = change(JOURNAL_LOST, 1_000);
        let once = std::slice::from_ref(&lost);
        check(&[], 0, None);
        check(&[change("an operator", 1_000)], 1_000, None);
        check(once, 1_000, Some(1_000 + REMEMBERED_MS));
        check(once, 1_000 + REMEMBERED_MS, Some(1_000 + REMEMBERED_MS));
        check(once, 1_001 + REMEMBERED_MS, None);
        // A clock that was set back: still within the hour.
        check(once, 0, Some(1_000 + REMEMBERED_MS));
        // The newest loss counts, whatever came after it.
        let again = change(JOURNAL_LOST, 9_000);
        check(&[change("resumed", 9_500), again, lost.clone()], 10_000, Some(9_000 + REMEMBERED_MS));
        let later = asked_again_until([change(JOURNAL_LOST, 0)].iter(), Timestamp::from_micros(0));
        assert!(!is_asked_again(later, Timestamp::from_micros((REMEMBERED_MS + 1) * 1_000)));
    }

    #[test]
    fn a_lost_journal_begins_halted_and_above_every_epoch() {
        let check = |epoch, has_traded, now, expected: (TradingState, i64)| {
            let first = first_state(Traces { epoch, has_traded }, Timestamp::from_micros(now));
            assert_eq!((first.state, first.epoch), expected, "{epoch} {has_traded} {now}");
            assert_eq!(first.reason == JOURNAL_LOST, first.state == TradingState::Halted);
        };
        check(0, false, 5_000_000, (TradingState::Active, 5_001));
        check(0, true, 5_000_000, (TradingState::Halted, 5_001));
        check(7, false, 5_000_000, (TradingState::Halted, 5_001));
        // A clock that was set back, or that somebody else had ahead.
        check(5_001, true, 4_000_000, (TradingState::Halted, 5_002));
        check(i64::MAX, true, 0, (TradingState::Halted, i64::MAX));
        check(0, false, 0, (TradingState::Active, 1));
    }

    #[test]
    fn an_epoch_that_nothing_speaks_of_is_passed_all_the_same() {
        // Changed every hundredth of a second for a minute, and lost without a trace of that.
        let first = first_state(Traces::default(), Timestamp::from_micros(1_000_000_000));
        let changed = first.epoch + 6_000;
        let again = first_state(Traces::default(), Timestamp::from_micros(1_060_000_000));
        assert!(again.epoch > changed);
    }

    #[test]
    fn what_was_tightened_is_tightened_again_unless_nothing_was_lost() {
        let at = |secs: i64| Timestamp::from_micros(secs * 1_000_000);
        let agent = Scope::Agent(AgentId::new("scalper-1").expect("an id"));
        let market = Scope::Instrument(InstrumentId::new("GBPUSD").expect("an id"));
        let pool = Scope::Pool(PoolId::new("swing").expect("an id"));
        let own = |scope: &Scope, state, resume_from| ScopeState {
            scope: scope.clone(),
            state,
            epoch: 9,
            changed_by: "olga".to_owned(),
            reason: "a loss".to_owned(),
            changed_at: at(10),
            resume_from,
        };
        let known = [
            own(&Scope::Global, TradingState::Reducing, at(10)),
            own(&agent, TradingState::Halted, at(3_600)),
            own(&pool, TradingState::Active, at(10)),
            own(&market, TradingState::Reducing, at(20)),
        ];
        let lost = first_state(Traces { epoch: 9, has_traded: false }, at(100));
        let expected = [
            ScopeState { epoch: 100_002, changed_at: at(100), ..own(&agent, TradingState::Halted, at(3_600)) },
            ScopeState { epoch: 100_003, changed_at: at(100), ..own(&market, TradingState::Reducing, at(100)) },
        ];
        assert_eq!((lost.epoch, kept_states(&known, &lost)), (100_001, expected.to_vec()));
        assert_eq!(kept_states(&known, &first_state(Traces::default(), at(100))), []);
    }
}
