//! What overload does to those who wait, measured on the router's own turnstile. Time is counted in steps: behind
//! the turnstile a trade takes half to one and a half times as many steps as there are places, so one ends a step when
//! all are taken. The figures are counts and the same on every machine.
//!
//! An account cannot have more waiting than its rate lets in: 600, 60 and 10 a minute by tier, of about 2,000 that may
//! wait on two processors under load. Here it is 100, 50 and 10 of 200, so a noisy account has more room than there.
//! Room is shared by tier and not by account: whoever could fill all that its tier may have waiting would have others
//! of it sent away.

use super::*;
use futures::{FutureExt as _, future::BoxFuture};

/// Places behind the turnstile, and steps that a trade takes there on average.
const PLACES: usize = 16;
/// Steps of one run.
const STEPS: usize = 4_000;

/// Somebody who asks.
struct Asking {
    tier: Tier,
    /// Trades in a hundred steps.
    in_hundred_steps: usize,
    /// Accounts that take turns asking.
    accounts: Vec<AccountId>,
}

/// What one account may have waiting by its rate.
const fn of_account_max(tier: Tier) -> usize {
    match tier {
        Tier::Premium => 100,
        Tier::Standard => 50,
        Tier::Free => 10,
    }
}

/// What became of the trades of one [`Asking`].
#[derive(Debug, Default, Clone)]
struct Told {
    /// Steps from asking to the end, of those that ended.
    steps: Vec<usize>,
    /// Sent away at once.
    shed: usize,
}

impl Told {
    fn p99(&self) -> usize {
        let mut steps = self.steps.clone();
        steps.sort_unstable();
        steps[(steps.len() * 99).div_ceil(100) - 1]
    }
}

fn asking(name: &str, tier: Tier, in_hundred_steps: usize, accounts: usize) -> Asking {
    let account = |number| AccountId::new(format!("{name}-{number}")).expect("an account");
    Asking { tier, in_hundred_steps, accounts: (0..accounts).map(account).collect() }
}

/// A trade that waits for its turn.
struct Waiting {
    turn: BoxFuture<'static, Result<OnTheWay, NoTurn>>,
    who: usize,
    since: usize,
}

/// Plays all of them against one turnstile.
fn play(all: &[Asking]) -> Vec<Told> {
    let limits =
        TurnLimits { in_flight_max: PLACES, in_flight_per_account_max: 2, waiting_max: 200, weights: [8, 4, 1] };
    let turnstile = Turnstile::new(limits, tests::fixed(limits));
    let mut told = vec![Told::default(); all.len()];
    let mut waiting: Vec<Waiting> = Vec::new();
    let mut on_the_way: Vec<(OnTheWay, usize, usize, usize)> = Vec::new();
    let (mut asked, mut begun) = (vec![0; all.len()], 0);
    for step in 0..STEPS {
        // What is through gives its place back; that lets the next one go on.
        on_the_way.retain(|(_, who, since, ends)| {
            if *ends == step {
                told[*who].steps.push(step - since);
            }
            *ends != step
        });
        for (who, one) in all.iter().enumerate() {
            let due = (step + 1) * one.in_hundred_steps / 100 - step * one.in_hundred_steps / 100;
            let of_one = waiting.iter().filter(|other| other.who == who).count();
            let room = (of_account_max(one.tier) * one.accounts.len()).saturating_sub(of_one);
            for _ in 0..due.min(room) {
                let account = one.accounts[asked[who] % one.accounts.len()].clone();
                asked[who] += 1;
                let (own, tier) = (turnstile.clone(), one.tier);
                let turn = async move { own.pass(tier, &account).await }.boxed();
                waiting.push(Waiting { turn, who, since: step });
            }
        }
        let mut still = Vec::with_capacity(waiting.len());
        for mut one in waiting {
            match one.turn.as_mut().now_or_never() {
                Some(Ok(place)) => {
                    begun += 5;
                    on_the_way.push((place, one.who, one.since, step + PLACES / 2 + begun % (PLACES + 1)));
                }
                Some(Err(_)) => told[one.who].shed += 1,
                None => still.push(one),
            }
        }
        waiting = still;
    }
    told
}

#[test]
fn premium_is_as_fast_as_twice_alone_and_free_is_shed_first_and_keeps_its_share() {
    // A quarter of what there is room for, then three times as much as there is room for.
    let premium = || asking("premium", Tier::Premium, 25, 50);
    let alone = play(&[premium()]).remove(0);
    let overload =
        play(&[premium(), asking("standard", Tier::Standard, 80, 100), asking("free", Tier::Free, 200, 400)]);
    let [own, standard, free] = overload.as_slice() else { panic!("three of them") };
    println!(
        "premium p99: {} steps alone, {} under overload; shed: premium {}, standard {}, free {}; free served {} of {}",
        alone.p99(),
        own.p99(),
        own.shed,
        standard.shed,
        free.shed,
        free.steps.len(),
        STEPS,
    );
    assert_eq!(alone.p99(), PLACES + PLACES / 2, "alone nobody waits");
    assert!(own.p99() <= 2 * alone.p99(), "{} steps, {} alone", own.p99(), alone.p99());
    assert_eq!(own.shed, 0, "premium is never sent away");
    assert!(free.shed > 0, "somebody must be");
    // In one run free asks 2 and standard 0.8 trades a step; of standard a smaller part is sent away.
    assert!(standard.shed * free.steps.len() < free.shed * standard.steps.len(), "free is sent away first");
    // One turn of thirteen is the least that free has.
    assert!(free.steps.len() >= STEPS / 13 - 2 * PLACES, "free still gets its share: {}", free.steps.len());
    let ended: usize = overload.iter().map(|told| told.steps.len()).sum();
    assert!(ended >= STEPS - 4 * PLACES, "no place is left empty: {ended}");
}

#[test]
fn a_noisy_account_does_not_slow_another_one_down() {
    for tier in Tier::ALL {
        let quiet = || asking("quiet", tier, 2, 1);
        let alone = play(&[quiet()]).remove(0);
        let beside = play(&[quiet(), asking("noisy", tier, 1_000, 1)]).remove(0);
        println!("{}: quiet p99 {} steps alone, {} beside a noisy one", tier.as_str(), alone.p99(), beside.p99());
        assert!(beside.p99() <= 2 * alone.p99(), "{}: {} and {}", tier.as_str(), beside.p99(), alone.p99());
        assert_eq!(beside.shed, 0, "{}: the quiet one is not sent away for the noisy one", tier.as_str());
    }
}

#[test]
fn many_noisy_accounts_of_lower_tiers_do_not_slow_premium_down() {
    let quiet = || asking("quiet", Tier::Premium, 2, 1);
    let alone = play(&[quiet()]).remove(0);
    let beside = play(&[quiet(), asking("noisy", Tier::Free, 1_000, 500), asking("busy", Tier::Standard, 500, 500)]);
    println!("premium: quiet p99 {} steps alone, {} beside a crowd", alone.p99(), beside[0].p99());
    assert!(beside[0].p99() <= 2 * alone.p99(), "{} and {}", beside[0].p99(), alone.p99());
    assert_eq!(beside[0].shed, 0);
}
