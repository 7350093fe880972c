//! `tragen ops`: what operators book by hand. It takes two of them: one
//! proposes, another confirms within two minutes.

use super::{
    ClientArgs,
    amount::{nonzero, not_negative},
};
use crate::{Verdict, api::ask, output::moment};
use clap::{Args, Subcommand};
use tragen_contracts::v1::{self, booking::Kind, settlement::Outcome};
use tragen_domain::money::{Money, MoneyUnit, Price, PriceUnit};

/// What to do by hand.
#[derive(Debug, Subcommand)]
pub(crate) enum OpsCommand {
    /// First step: proposes a booking and prints its token; needs the role operator.
    #[command(
        subcommand,
        after_help = "Example:\n  tragen ops book settle --instrument EPL-2026-ARS-MCI-HOME --value 1 --reason \"won 2:1\""
    )]
    Book(BookCommand),
    /// Second step, by another operator within two minutes.
    #[command(after_help = "Example:\n  tragen ops confirm 7f9c2ba4e88f827d7f9c2ba4e88f827d")]
    Confirm {
        /// What `ops book` has printed.
        proposal: String,
    },
}

/// What to book.
#[derive(Debug, Subcommand)]
pub(crate) enum BookCommand {
    /// Puts an account's cash right.
    #[command(
        after_help = "Example:\n  tragen ops book adjust --account alice --amount -12.50 --reason \"fee charged twice\""
    )]
    Adjust {
        #[command(flatten)]
        whose: WhoseArgs,
        /// How much is added, e.g. 10.00; taken away if negative.
        #[arg(long, value_parser = nonzero::<MoneyUnit>, allow_negative_numbers = true)]
        amount: Money,
        #[command(flatten)]
        why: WhyArgs,
    },
    /// Books something backwards that was booked by mistake.
    #[command(
        after_help = "Example:\n  tragen ops book correct --account alice --reference 0d0b2a52-1a53-5f7c-9a30-6a1f0e1f2b3c --reason \"a test deposit\""
    )]
    Correct {
        /// Whose.
        #[arg(long)]
        account: String,
        /// The execution, deposit, withdrawal, sending or adjustment: its execution id, or the reference of its
        /// transfers.
        #[arg(long)]
        reference: String,
        #[command(flatten)]
        why: WhyArgs,
    },
    /// Pays out a decided market: every position in the instrument is closed, and it trades no more.
    #[command(
        after_help = "Example:\n  tragen ops book settle --instrument EPL-2026-ARS-MCI-HOME --value 1 --reason \"won 2:1\"\n  tragen ops book settle --instrument EPL-2026-ARS-MCI-DRAW --void --reason \"abandoned\""
    )]
    Settle {
        /// The instrument.
        #[arg(long)]
        instrument: String,
        #[command(flatten)]
        payout: PayoutArgs,
        #[command(flatten)]
        why: WhyArgs,
    },
    /// Lets a frozen account trade and withdraw again.
    #[command(
        after_help = "Example:\n  tragen ops book unfreeze --account alice --reason \"the books are right again\""
    )]
    Unfreeze {
        #[command(flatten)]
        whose: WhoseArgs,
        #[command(flatten)]
        why: WhyArgs,
    },
}

/// Whose wallet.
#[derive(Debug, Args)]
pub(crate) struct WhoseArgs {
    /// Whose.
    #[arg(long)]
    account: String,
    /// ISO 4217 or token code.
    #[arg(long, default_value = "USD")]
    currency: String,
}

/// Why it is booked.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// Why; at most 200 characters.
    #[arg(long)]
    reason: String,
}

/// What a decided market pays.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct PayoutArgs {
    /// So much per contract; from 0 to 1 for predictions.
    #[arg(long, value_parser = not_negative::<PriceUnit>, allow_negative_numbers = true)]
    value: Option<Price>,
    /// The market is void or postponed: what positions cost is given back.
    #[arg(long)]
    void: bool,
}

impl OpsCommand {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        let mut operations = client.connect().await?.operations();
        match self {
            Self::Book(command) => {
                let question = v1::ProposeBookingRequest { booking: Some(command.booking()) };
                let answer = operations.propose_booking(ask(question)).await?.into_inner();
                let fields = [
                    ("token", answer.token.clone()),
                    ("expires", moment(answer.expires_at.as_ref().map_or(0, |at| at.seconds))),
                    ("next", format!("another operator: tragen ops confirm {}", answer.token)),
                ];
                client.output.record(&answer, &fields)?;
            }
            Self::Confirm { proposal } => {
                let question = v1::ConfirmBookingRequest { token: proposal };
                let answer = operations.confirm_booking(ask(question)).await?.into_inner();
                let (result, why, verdict) = became(&answer);
                let fields = [("booking", answer.booking_id.clone()), ("result", result.to_owned()), ("reason", why)];
                client.output.record(&answer, &fields)?;
                return Ok(verdict);
            }
        }
        Ok(Verdict::Good)
    }
}

/// What became of a booking that was confirmed, and why.
fn became(answer: &v1::ConfirmBookingResponse) -> (&'static str, String, Verdict) {
    match answer.status() {
        v1::BookingStatus::Posted => ("booked", String::new(), Verdict::Good),
        v1::BookingStatus::Refused => {
            let why = answer.denial.as_ref().map_or_else(String::new, |denial| denial.message.clone());
            ("refused by the ledger: nothing was booked", why, Verdict::Refused)
        }
        v1::BookingStatus::Pending | v1::BookingStatus::Unspecified => {
            ("on its way to the ledger", String::new(), Verdict::Good)
        }
    }
}

impl BookCommand {
    fn booking(self) -> v1::Booking {
        let (kind, why) = match self {
            Self::Adjust { whose: WhoseArgs { account: account_id, currency }, amount, why } => {
                (Kind::Adjustment(v1::Adjustment { account_id, currency, amount_micros: amount.micros() }), why)
            }
            Self::Correct { account: account_id, reference: reference_id, why } => {
                (Kind::Correction(v1::Correction { account_id, reference_id }), why)
            }
            Self::Settle { instrument: instrument_id, payout, why } => {
                let outcome = payout.value.map_or(Outcome::IsVoid(payout.void), |v| Outcome::ValueMicros(v.micros()));
                (Kind::Settlement(v1::Settlement { instrument_id, outcome: Some(outcome) }), why)
            }
            Self::Unfreeze { whose: WhoseArgs { account: account_id, currency }, why } => {
                (Kind::Unfreezing(v1::Unfreezing { account_id, currency }), why)
            }
        };
        v1::Booking { kind: Some(kind), reason: why.reason, ..v1::Booking::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: BookCommand,
    }

    fn booked(line: &str) -> Result<v1::Booking, String> {
        let words = ["book"].into_iter().chain(line.split(' '));
        Line::try_parse_from(words).map(|line| line.command.booking()).map_err(|error| error.to_string())
    }

    fn check(line: &str, kind: Kind) {
        let booking = v1::Booking { kind: Some(kind), reason: "why".to_owned(), ..v1::Booking::default() };
        assert_eq!(booked(&format!("{line} --reason why")), Ok(booking));
    }

    #[test]
    fn bookings_are_read_as_they_are_typed() {
        let (account_id, currency) = ("alice".to_owned(), "USD".to_owned());
        let adjustment =
            v1::Adjustment { account_id: account_id.clone(), currency: currency.clone(), amount_micros: -12_500_000 };
        check("adjust --account alice --amount -12.50", Kind::Adjustment(adjustment.clone()));
        let euros = v1::Adjustment { currency: "EUR".to_owned(), amount_micros: 1, ..adjustment };
        check("adjust --account alice --amount 0.000001 --currency EUR", Kind::Adjustment(euros));
        let correction = v1::Correction { account_id: account_id.clone(), reference_id: "t-1-o-x1".to_owned() };
        check("correct --account alice --reference t-1-o-x1", Kind::Correction(correction));
        let settled =
            |outcome| Kind::Settlement(v1::Settlement { instrument_id: "P".to_owned(), outcome: Some(outcome) });
        check("settle --instrument P --value 0", settled(Outcome::ValueMicros(0)));
        check("settle --instrument P --value 1", settled(Outcome::ValueMicros(1_000_000)));
        check("settle --instrument P --void", settled(Outcome::IsVoid(true)));
        check("unfreeze --account alice", Kind::Unfreezing(v1::Unfreezing { account_id, currency }));
    }

    #[test]
    fn a_refusal_of_the_ledger_is_shown_and_ends_with_3() {
        let denial = Some(v1::Denial { message: "NOT_FOUND: no".to_owned(), ..v1::Denial::default() });
        let status = v1::BookingStatus::Refused.into();
        let refused = v1::ConfirmBookingResponse { status, denial, ..v1::ConfirmBookingResponse::default() };
        let (result, why, verdict) = became(&refused);
        assert!(result.starts_with("refused by the ledger") && why == "NOT_FOUND: no", "{result}: {why}");
        assert!(matches!(verdict, Verdict::Refused));
        let posted = v1::ConfirmBookingResponse { status: v1::BookingStatus::Posted.into(), ..refused };
        assert!(matches!(became(&posted), ("booked", _, Verdict::Good)));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let refused = |line: &str, said: &str| {
            let text = booked(line).expect_err(line);
            assert!(text.contains(said), "{line}: {text}");
        };
        refused("adjust --account alice --amount 0 --reason why", "--amount");
        refused("adjust --account alice --amount 1e3 --reason why", "--amount");
        refused("adjust --account alice --amount 1", "--reason");
        refused("correct --account alice --reason why", "--reference");
        refused("settle --instrument P --reason why", "--value");
        refused("settle --instrument P --value 1 --void --reason why", "--void");
        refused("settle --instrument P --value -0.1 --reason why", "--value");
    }
}
