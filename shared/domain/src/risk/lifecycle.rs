//! The life of an order at the venue, as the guard sees it: closed stages and events, one
//! step for every pair of them. A venue may repeat itself, contradict itself, answer late or
//! not at all; a fill is a fact and always booked, once.

use crate::{
    execution::Fill,
    id::ExecutionId,
    money::{Overflow, Quantity},
    order::TradeStatus,
};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Journaled and on its way; the venue has not said anything.
    Sent,
    /// The venue did not answer in time: it may have the order or not.
    Unanswered,
    /// It rests at the venue.
    Working,
    /// It is over: everything was filled.
    Filled,
    /// It is over: a part was filled.
    PartiallyFilled,
    /// It is over: the venue refused it.
    Rejected,
    /// It is over: canceled before any fill.
    Canceled,
    /// It is over: not executed in time.
    Expired,
}

/// What the venue did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// It did not answer in time.
    NoAnswer,
    /// It has the order, and nothing is new.
    Accepted,
    /// A new fill; something is left.
    FilledInPart,
    /// A new fill; nothing is left.
    FilledInFull,
    /// A new fill of more than was asked for.
    Overfilled,
    /// A fill that is known.
    Repeated,
    /// It refuses the order.
    Rejected,
    /// It has taken the order out, or what was left of it.
    Canceled,
    /// The time of the order is over.
    Expired,
}

/// What the guard does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing: it is known.
    Nothing,
    /// Asks the venue until it answers; the hold stays.
    Ask,
    /// Tells that the order rests.
    Tell,
    /// Books the fill and tells it.
    Book,
    /// Ends the order: releases its hold and tells.
    End,
    /// Books the fill and ends the order.
    BookAndEnd,
}

/// What a person should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Anomaly {
    /// A fill came after the end of its order.
    LateFill,
    /// More was filled than was asked for.
    Overfill,
    /// The venue refused an order that it had accepted.
    RejectedAfterAccepted,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 8] = [
        Self::Sent,
        Self::Unanswered,
        Self::Working,
        Self::Filled,
        Self::PartiallyFilled,
        Self::Rejected,
        Self::Canceled,
        Self::Expired,
    ];

    /// Whether the order is over.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Sent | Self::Unanswered | Self::Working => false,
            Self::Filled | Self::PartiallyFilled | Self::Rejected | Self::Canceled | Self::Expired => true,
        }
    }

    /// Of an order whose trade stands at `status`.
    #[must_use]
    pub const fn of(status: TradeStatus) -> Self {
        match status {
            TradeStatus::Pending => Self::Sent,
            TradeStatus::Working => Self::Working,
            TradeStatus::Filled => Self::Filled,
            TradeStatus::PartiallyFilled => Self::PartiallyFilled,
            // Neither of the last two was ever at a venue.
            TradeStatus::Rejected | TradeStatus::Denied | TradeStatus::NoTrade => Self::Rejected,
            TradeStatus::Canceled => Self::Canceled,
            TradeStatus::Expired => Self::Expired,
        }
    }

    /// As it is told.
    #[must_use]
    pub const fn status(self) -> TradeStatus {
        match self {
            Self::Sent | Self::Unanswered => TradeStatus::Pending,
            Self::Working => TradeStatus::Working,
            Self::Filled => TradeStatus::Filled,
            Self::PartiallyFilled => TradeStatus::PartiallyFilled,
            Self::Rejected => TradeStatus::Rejected,
            Self::Canceled => TradeStatus::Canceled,
            Self::Expired => TradeStatus::Expired,
        }
    }
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 9] = [
        Self::NoAnswer,
        Self::Accepted,
        Self::FilledInPart,
        Self::FilledInFull,
        Self::Overfilled,
        Self::Repeated,
        Self::Rejected,
        Self::Canceled,
        Self::Expired,
    ];
}

/// Where an order at `stage` stands after `event`, what is to be done, and what is odd about
/// it. An end is never left for a stage that is none; a fill is booked at every stage.
///
/// ```
/// use tragen_domain::risk::{Anomaly, Event, Stage, Step, step};
/// assert_eq!(step(Stage::Sent, Event::Accepted), (Stage::Working, Step::Tell, None));
/// // The cancel was faster than the fill's report.
/// let late = (Stage::PartiallyFilled, Step::BookAndEnd, Some(Anomaly::LateFill));
/// assert_eq!(step(Stage::Canceled, Event::FilledInPart), late);
/// ```
#[must_use]
pub const fn step(stage: Stage, event: Event) -> (Stage, Step, Option<Anomaly>) {
    let is_over = stage.is_over();
    match event {
        Event::NoAnswer if is_over => (stage, Step::Nothing, None),
        // An order that rests is still there when a question about it has no answer.
        Event::NoAnswer => match stage {
            Stage::Working => (stage, Step::Ask, None),
            Stage::Sent
            | Stage::Unanswered
            | Stage::Filled
            | Stage::PartiallyFilled
            | Stage::Rejected
            | Stage::Canceled
            | Stage::Expired => (Stage::Unanswered, Step::Ask, None),
        },
        Event::Accepted => match stage {
            Stage::Sent | Stage::Unanswered => (Stage::Working, Step::Tell, None),
            Stage::Working
            | Stage::Filled
            | Stage::PartiallyFilled
            | Stage::Rejected
            | Stage::Canceled
            | Stage::Expired => (stage, Step::Nothing, None),
        },
        Event::Repeated => (stage, Step::Nothing, None),
        Event::FilledInPart if is_over => match stage {
            Stage::Filled => (Stage::Filled, Step::BookAndEnd, Some(Anomaly::LateFill)),
            Stage::Sent
            | Stage::Unanswered
            | Stage::Working
            | Stage::PartiallyFilled
            | Stage::Rejected
            | Stage::Canceled
            | Stage::Expired => (Stage::PartiallyFilled, Step::BookAndEnd, Some(Anomaly::LateFill)),
        },
        Event::FilledInPart => (Stage::Working, Step::Book, None),
        Event::FilledInFull if is_over => (Stage::Filled, Step::BookAndEnd, Some(Anomaly::LateFill)),
        Event::FilledInFull => (Stage::Filled, Step::BookAndEnd, None),
        Event::Overfilled => (Stage::Filled, Step::BookAndEnd, Some(Anomaly::Overfill)),
        Event::Rejected | Event::Canceled | Event::Expired if is_over => (stage, Step::Nothing, None),
        Event::Rejected => {
            let is_odd = matches!(stage, Stage::Working);
            let anomaly = if is_odd { Some(Anomaly::RejectedAfterAccepted) } else { None };
            (Stage::Rejected, Step::End, anomaly)
        }
        Event::Canceled => (Stage::Canceled, Step::End, None),
        Event::Expired => (Stage::Expired, Step::End, None),
    }
}

/// What a report of the venue comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Where the order stands now.
    pub stage: Stage,
    /// Fills that are new, in the order of the report.
    pub fills: Vec<Fill>,
    /// Whether anything is to be told.
    pub is_news: bool,
    /// What is odd, each once.
    pub anomalies: Vec<Anomaly>,
}

/// Reads a report: the venue tells where an order stands and every fill so far, and repeats
/// itself. `stage`, `ordered`, `filled` and `known` are what the guard knows of the order.
///
/// # Errors
/// [`Overflow`]: the fills do not fit.
pub fn read_report(
    stage: Stage,
    (ordered, filled): (Quantity, Quantity),
    known: &[ExecutionId],
    (status, fills): (TradeStatus, &[Fill]),
) -> Result<Seen, Overflow> {
    let mut seen = Seen { stage, fills: Vec::new(), is_news: false, anomalies: Vec::new() };
    let mut total = filled;
    for fill in fills {
        let is_known = known.contains(&fill.id) || seen.fills.iter().any(|new| new.id == fill.id);
        let event = if is_known {
            Event::Repeated
        } else {
            total = total.plus(fill.quantity)?;
            seen.fills.push(fill.clone());
            match total.cmp(&ordered) {
                std::cmp::Ordering::Less => Event::FilledInPart,
                std::cmp::Ordering::Equal => Event::FilledInFull,
                std::cmp::Ordering::Greater => Event::Overfilled,
            }
        };
        seen.take(event);
    }
    let end = match status {
        TradeStatus::Pending => None,
        TradeStatus::Working => Some(Event::Accepted),
        // The fills say it too; if one is missing it comes in a later report, and the order is not over.
        TradeStatus::Filled => None,
        TradeStatus::PartiallyFilled | TradeStatus::Canceled => Some(Event::Canceled),
        TradeStatus::Rejected | TradeStatus::Denied | TradeStatus::NoTrade => Some(Event::Rejected),
        TradeStatus::Expired => Some(Event::Expired),
    };
    if let Some(event) = end {
        seen.take(event);
    }
    // Said again to somebody who knows the fills, but not that they were told.
    if status == TradeStatus::Filled && !seen.stage.is_over() && total >= ordered {
        (seen.stage, seen.is_news) = (Stage::Filled, true);
    }
    // A part was filled before the rest was taken out.
    if seen.stage.is_over() && seen.stage != Stage::Filled && !total.is_zero() {
        seen.stage = Stage::PartiallyFilled;
    }
    Ok(seen)
}

impl Seen {
    fn take(&mut self, event: Event) {
        let (stage, step, anomaly) = step(self.stage, event);
        self.stage = stage;
        self.is_news |= !matches!(step, Step::Nothing | Step::Ask);
        if let Some(anomaly) = anomaly.filter(|anomaly| !self.anomalies.contains(anomaly)) {
            self.anomalies.push(anomaly);
        }
    }
}

#[cfg(test)]
mod tests;
