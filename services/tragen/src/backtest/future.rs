//! Shows that no decision depends on what came later: the run is repeated on
//! histories that end early, and every decision made before the end must be the
//! same, to the last bit. A model that was fitted on all of history, or that peeks
//! at the next result, decides differently once the future is gone.

use super::{BacktestError, Plan, Trail, run};
use tragen_domain::time::Timestamp;

/// A decision that knew the future.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FutureError {
    /// It is another one without the future.
    #[error(
        "look-ahead: a decision made before {cut} (microseconds since the epoch) changes when history ends there: with \
         the future {with:?}, without it {without:?}"
    )]
    Known {
        /// Where history was cut.
        cut: i64,
        /// The decision with all of history.
        with: String,
        /// The decision without what came after the cut.
        without: String,
    },
    /// A run failed.
    #[error(transparent)]
    Run(#[from] BacktestError),
}

/// Compares `times` shorter histories with the whole one; the number of decisions that were compared.
///
/// # Errors
/// [`FutureError`].
pub(crate) fn check(plan: &Plan<'_>, times: u32, seed: u64) -> Result<usize, FutureError> {
    let plan = Plan { trail: Trail::Kept, ..*plan };
    let whole = run(&plan, &mut |_| ())?;
    let Some((first, last)) = whole.span else { return Ok(0) };
    let mut compared = 0;
    for number in 1..=times {
        let cut = cut(first, last, (number, times), seed);
        let known = plan.intake.known_at(cut);
        let shorter = match run(&Plan { intake: &known, ..plan }, &mut |_| ()) {
            Ok(shorter) => shorter,
            // So early that nobody had anything to trade yet.
            Err(BacktestError::NothingToTrade { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let before = |mark: &&super::Mark| mark.at < cut;
        let mut with = whole.trail.iter().filter(before);
        let mut without = shorter.trail.iter().filter(before);
        loop {
            match (with.next(), without.next()) {
                (None, None) => break,
                (a, b) if a == b => compared += 1,
                (a, b) => {
                    let text =
                        |mark: Option<&super::Mark>| mark.map_or_else(|| "none".to_owned(), |m| m.decision.clone());
                    return Err(FutureError::Known { cut: cut.micros(), with: text(a), without: text(b) });
                }
            }
        }
    }
    Ok(compared)
}

/// The `number`th of `times` cuts, evenly spread and moved a little by the seed.
fn cut(first: Timestamp, last: Timestamp, (number, times): (u32, u32), seed: u64) -> Timestamp {
    let span = last.micros().saturating_sub(first.micros());
    let step = span / (i64::from(times) + 1);
    // SplitMix64's mixer: the same seed cuts at the same moments.
    let mut mixed = seed.wrapping_add(u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^= mixed >> 31;
    let moved = i64::try_from(mixed >> 1).unwrap_or_default() % (step / 2).max(1);
    Timestamp::from_micros(first.micros() + step * i64::from(number) + moved)
}
