//! Two ways to look at the same checks: a decision ends at the first that fails, an
//! inspection notes what every one of them came to.

use crate::risk::{DenialReason, Denied};

/// What is done with what a check came to.
pub(super) trait Look {
    /// A value was held against its limit; units stand at the reason. Where there is
    /// nothing to compare both are 0.
    ///
    /// # Errors
    /// [`Denied`] when nothing more is to be looked at.
    fn check(&mut self, reason: DenialReason, limit: i64, observed: i64, verdict: Verdict) -> Result<(), Denied>;

    /// Something that the following checks cannot do without.
    fn known<T>(&mut self, found: Option<T>, reason: DenialReason) -> Result<T, Denied> {
        self.check(reason, 0, 0, Verdict::failed_if(found.is_none()))?;
        found.ok_or(Denied::plain(reason))
    }
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The order may pass it.
    Passed,
    /// It denies the order; the first that does is the reason of the decision.
    Failed,
}

/// One check of an order, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// What a failure of it is called; the unit of the numbers stands there.
    pub reason: DenialReason,
    /// The limit; 0 where there is nothing to compare.
    pub limit: i64,
    /// The value that was held against it.
    pub observed: i64,
    /// What it came to.
    pub verdict: Verdict,
}

/// Ends at the first failure and remembers nothing: the way every decision goes.
pub(super) struct FirstFailure;

/// Goes on as long as the inputs allow it.
#[derive(Default)]
pub(super) struct Every {
    pub(super) checks: Vec<Check>,
}

impl Verdict {
    #[inline]
    pub(super) const fn failed_if(is_broken: bool) -> Self {
        if is_broken { Self::Failed } else { Self::Passed }
    }

    /// As written for people and machines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Failed => "FAILED",
        }
    }
}

impl Look for FirstFailure {
    #[inline]
    fn check(&mut self, reason: DenialReason, limit: i64, observed: i64, verdict: Verdict) -> Result<(), Denied> {
        match verdict {
            Verdict::Passed => Ok(()),
            Verdict::Failed => Err(Denied::new(reason, limit, observed)),
        }
    }
}

impl Look for Every {
    fn check(&mut self, reason: DenialReason, limit: i64, observed: i64, verdict: Verdict) -> Result<(), Denied> {
        self.checks.push(Check { reason, limit, observed, verdict });
        Ok(())
    }
}
