//! What the many may not take from the few: is premium still fast while free users ask for more than there is, are those
//! told when to come again and served in their turn, and does a noisy user slow another one of his tier?
//!
//! Each figure is measured beside its own yardstick: the same load alone on the same platform, moments before.

use crate::{
    Crowd, Issuer, Load, Report, Run, Session, Setup, Tier,
    figures::{Latency, per_second},
    report::millis,
};
use serde::Serialize;
use std::{fmt, sync::Arc, time::Duration};

/// How much slower than alone 99 % of the answers may be.
const SLOWER_MAX: u64 = 2;
/// Turns of free users of all turns while every tier has trades waiting: the router's weights are 8 : 4 : 1.
const FREE_ONE_OF: u64 = 13;

/// Who asks how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowding {
    /// Trades of premium users, and of the quiet user, per second.
    pub per_second: u32,
    /// Free users who ask for more than there is.
    pub free_users: usize,
    /// Trades they keep in flight together.
    pub free_in_flight: usize,
    /// Trades that the noisy user keeps in flight.
    pub noisy_in_flight: usize,
    /// Load before each measurement.
    pub warm_up: Duration,
    /// Length of each measurement.
    pub measured: Duration,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Fairness {
    /// Premium users, alone on the platform.
    pub premium_alone: Report,
    /// The same while free users ask for more than there is.
    pub premium_beside: Report,
    /// Those free users.
    pub free: Report,
    /// A quiet standard user, alone on the platform.
    pub quiet_alone: Report,
    /// The same beside a noisy one.
    pub quiet_beside: Report,
    /// The noisy one.
    pub noisy: Report,
}

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// What.
    pub claim: String,
    /// Whether it does.
    pub holds: bool,
}

/// Measures; `progress` is given a line each second. Every crowd is of accounts of its own, named after `setup`'s prefix.
///
/// # Errors
/// When the load cannot be run.
pub async fn fairness(
    (setup, issuer): (&Setup, &Issuer),
    crowding: Crowding,
    progress: impl Fn(&str),
) -> anyhow::Result<Fairness> {
    let open = async |name: &str, tier: Tier, users: usize| {
        let crowd = Crowd::issued(issuer.clone(), &format!("fair-{name}-"), users).with_tier(tier);
        Session::open(Setup { crowd: Arc::new(crowd), record: None, ..setup.clone() }).await
    };
    let premium = open("premium", Tier::Premium, 10).await?;
    let free = open("free", Tier::Free, crowding.free_users).await?;
    let quiet = open("quiet", Tier::Standard, 1).await?;
    let noisy = open("noisy", Tier::Standard, 1).await?;
    let run = |load: Load| Run::new(load, crowding.warm_up, crowding.measured);
    let steady = run(Load::constant(crowding.per_second, usize::try_from(crowding.per_second).unwrap_or(1) * 60));
    let flood = |in_flight: usize| run(Load::Closed { in_flight });
    let telling = |who: &'static str| {
        let progress = &progress;
        move |line: &str| progress(&format!("{who}: {line}"))
    };
    let premium_alone = premium.run(steady, telling("premium alone")).await?;
    let (premium_beside, of_free) = tokio::join!(
        premium.run(steady, telling("premium beside free")),
        free.run(flood(crowding.free_in_flight), |_| ()),
    );
    let quiet_alone = quiet.run(steady, telling("quiet alone")).await?;
    let (quiet_beside, of_noisy) = tokio::join!(
        quiet.run(steady, telling("quiet beside noisy")),
        noisy.run(flood(crowding.noisy_in_flight), |_| ()),
    );
    Ok(Fairness {
        premium_alone,
        premium_beside: premium_beside?,
        free: of_free?,
        quiet_alone,
        quiet_beside: quiet_beside?,
        noisy: of_noisy?,
    })
}

impl Fairness {
    /// Everything that must hold, with its figures.
    #[must_use]
    pub fn claims(&self) -> Vec<Claim> {
        let shed = self.free.errors_by_class.get("shed").copied().unwrap_or(0);
        let served = self.free.answered() + self.premium_beside.answered();
        let answered = |report: &Report| report.errors == 0 && report.unsent == 0;
        let audits = self.reports();
        vec![
            no_slower("premium beside free users", &self.premium_alone, &self.premium_beside),
            claim(
                format!("premium is always answered: {} failed", self.premium_beside.errors),
                answered(&self.premium_alone) && answered(&self.premium_beside),
            ),
            claim(
                format!("free is shed, and told when to come again: {shed} of {} failures", self.free.errors),
                shed > 0 && shed == self.free.errors,
            ),
            claim(
                format!("free still has its turn of {FREE_ONE_OF}: {} of {served} answers", self.free.answered()),
                self.free.answered() * FREE_ONE_OF >= served && self.free.answered() > 0,
            ),
            no_slower("a quiet user beside a noisy one", &self.quiet_alone, &self.quiet_beside),
            claim(
                format!("the quiet user is always answered: {} failed", self.quiet_beside.errors),
                answered(&self.quiet_alone) && answered(&self.quiet_beside),
            ),
            claim("every answer is true".to_owned(), audits.iter().all(|(_, report)| report.audit.is_passed())),
        ]
    }

    /// Whether all of it holds.
    #[must_use]
    pub fn is_fair(&self) -> bool {
        self.claims().iter().all(|claim| claim.holds)
    }

    const fn reports(&self) -> [(&'static str, &Report); 6] {
        [
            ("premium alone", &self.premium_alone),
            ("premium beside free", &self.premium_beside),
            ("free", &self.free),
            ("quiet alone", &self.quiet_alone),
            ("quiet beside noisy", &self.quiet_beside),
            ("noisy", &self.noisy),
        ]
    }
}

fn claim(claim: String, holds: bool) -> Claim {
    Claim { claim, holds }
}

fn no_slower(who: &str, alone: &Report, beside: &Report) -> Claim {
    let [before, after] = [alone, beside].map(|report| report.latency.p99_micros);
    let text = format!("{who}: p99 {} ms alone, {} ms beside, at most {SLOWER_MAX} x", millis(before), millis(after));
    claim(text, alone.ok > 0 && beside.ok > 0 && after <= before.saturating_mul(SLOWER_MAX))
}

impl fmt::Display for Fairness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| who | as meant | /s | denied | shed | other failures | p50 ms | p99 ms |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|"
        )?;
        for (who, report) in self.reports() {
            let Latency { p50_micros, p99_micros, .. } = report.latency;
            let rate = per_second(report.ok, Duration::from_millis(report.measured_ms));
            let shed = report.errors_by_class.get("shed").copied().unwrap_or(0);
            let [p50, p99] = [p50_micros, p99_micros].map(millis);
            let Report { ok, denied, errors, .. } = report;
            writeln!(f, "| {who} | {ok} | {rate} | {denied} | {shed} | {} | {p50} | {p99} |", errors - shed)?;
        }
        for Claim { claim, holds } in self.claims() {
            writeln!(f, "{}: {claim}", if holds { "holds" } else { "FAILED" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ok: u64, p99_micros: u64, shed: u64) -> Report {
        let mut report = Report { ok, errors: shed, ..Report::default() };
        report.latency.p99_micros = p99_micros;
        report.errors_by_class.insert("shed".to_owned(), shed);
        report
    }

    fn fair() -> Fairness {
        Fairness {
            premium_alone: report(100, 10_000, 0),
            premium_beside: report(100, 20_000, 0),
            free: report(900, 900_000, 50),
            quiet_alone: report(100, 10_000, 0),
            quiet_beside: report(100, 20_000, 0),
            noisy: report(5_000, 90_000, 0),
        }
    }

    fn check(change: impl FnOnce(&mut Fairness), failed: &[&str]) {
        let mut own = fair();
        change(&mut own);
        let broken: Vec<String> = own.claims().into_iter().filter(|own| !own.holds).map(|own| own.claim).collect();
        assert_eq!(broken.len(), failed.len(), "{broken:?}");
        assert!(broken.iter().zip(failed).all(|(said, part)| said.contains(part)), "{broken:?}");
        assert_eq!(own.is_fair(), failed.is_empty());
    }

    #[test]
    fn each_claim_fails_by_its_own_figure() {
        check(|_| (), &[]);
        check(|own| own.premium_beside.latency.p99_micros = 20_001, &["p99 10.000 ms alone, 20.001 ms beside"]);
        check(|own| own.premium_beside.errors = 1, &["1 failed"]);
        check(|own| own.free = report(900, 1, 0), &["free is shed"]);
        check(|own| own.free.errors = 51, &["50 of 51 failures"]);
        check(|own| own.free.ok = 8, &["8 of 108 answers"]);
        check(|own| own.free.ok = 9, &[]);
        check(|own| own.quiet_beside.latency.p99_micros = 20_001, &["a quiet user beside a noisy one"]);
        check(|own| own.quiet_alone.unsent = 1, &["the quiet user"]);
        check(|own| own.noisy.audit.findings_count = 1, &["every answer is true"]);
    }
}
