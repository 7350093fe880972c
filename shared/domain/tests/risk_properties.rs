//! What the gate promises whatever is proposed, fills, is posted, halted or reduced, in
//! whatever order, by scopes of every kind.

#[path = "risk_properties/commands.rs"]
mod commands;
#[path = "risk_properties/world.rs"]
mod world;

use proptest::{collection::vec, prelude::*};
use tragen_domain::{
    id::InstrumentId,
    money::Money,
    order::Side,
    risk::{State, TradingState, check_invariants, check_listed, check_touched},
};
use world::{ACCOUNTS, SCOPES, World, limits, usd};

/// One thing that happens; indexes are taken modulo what there is.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A quantity of 0 means the largest that is approved.
    Propose {
        account: usize,
        instrument: usize,
        side: Side,
        price_cents: i64,
        quantity: i64,
        is_reduce_only: bool,
        agent: usize,
        pool: usize,
    },
    Fill {
        order: usize,
        quantity: i64,
        better_cents: i64,
    },
    Close {
        order: usize,
    },
    Post {
        count: usize,
    },
    Withdraw {
        account: usize,
        cents: i64,
    },
    Tighten {
        scope: usize,
        to: TradingState,
    },
    Resume {
        scope: usize,
    },
    /// The scope only reduces, and its positions shrink to so much.
    Reduce {
        scope: usize,
        factor_ppm: i64,
    },
    /// The operator's lane, for one account.
    Flatten {
        account: usize,
    },
    /// The next order toward one of the targets.
    Slice {
        target: usize,
    },
    /// The market moves.
    Quote {
        instrument: usize,
        cents: i64,
    },
    /// The guard journals what agents have closed.
    Journal,
}

fn propose() -> impl Strategy<Value = Step> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let quantity = prop_oneof![Just(0_i64), 1..40_i64];
    let reduce_only = proptest::bool::weighted(0.1);
    let who = (0..2_usize, 0..3_usize, 0..2_usize, 0..2_usize);
    (who, side, 31..70_i64, quantity, reduce_only).prop_map(
        |((account, instrument, agent, pool), side, price_cents, quantity, is_reduce_only)| Step::Propose {
            account,
            instrument,
            side,
            price_cents,
            quantity,
            is_reduce_only,
            agent,
            pool,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let better = prop_oneof![3 => Just(0_i64), 1 => 0..20_i64];
    let state = prop_oneof![2 => Just(TradingState::Reducing), 1 => Just(TradingState::Halted)];
    let factor = prop_oneof![Just(0_i64), Just(500_000_i64), 0..1_000_001_i64];
    let scope = || 0..SCOPES;
    prop_oneof![
        16 => propose(),
        16 => (0..8_usize, 1..60_i64, better)
            .prop_map(|(order, quantity, better_cents)| Step::Fill { order, quantity, better_cents }),
        4 => (0..8_usize).prop_map(|order| Step::Close { order }),
        6 => (1..4_usize).prop_map(|count| Step::Post { count }),
        2 => (0..2_usize, 1..2_000_i64).prop_map(|(account, cents)| Step::Withdraw { account, cents }),
        2 => (scope(), state).prop_map(|(scope, to)| Step::Tighten { scope, to }),
        4 => scope().prop_map(|scope| Step::Resume { scope }),
        2 => (scope(), factor).prop_map(|(scope, factor_ppm)| Step::Reduce { scope, factor_ppm }),
        1 => (0..2_usize).prop_map(|account| Step::Flatten { account }),
        6 => (0..8_usize).prop_map(|target| Step::Slice { target }),
        4 => (0..3_usize, 20..80_i64).prop_map(|(instrument, cents)| Step::Quote { instrument, cents }),
        2 => Just(Step::Journal),
    ]
}

fn canonical(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Fewer trades than a generation has: nothing is digested.
    state.canonical(|_| [0; 32], |part| bytes.extend_from_slice(part));
    bytes
}

/// As many as `PROPTEST_CASES` says, for long runs.
fn cases(usual: u32) -> u32 {
    if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { usual }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(512), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_overspends_reducing_reduces_and_replay_gives_the_same(steps in vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
            prop_assert_eq!(check_invariants(&world.gate), Ok(()), "after {:?}", step);
            // As a guard does it now and then; what it has looked at a snapshot must not leave out.
            prop_assert_eq!(check_touched(&mut world.gate, 1).and(check_invariants(&world.gate)), Ok(()));
        }

        // The journal, then the executions, then the ledger: as a guard reads them at its start.
        let mut replayed = State::new(limits());
        let sources = [world.market.clone(), world.journal.clone(), world.executions.clone(), world.posted.clone()];
        for record in sources.into_iter().flatten() {
            replayed.apply(record).expect("fits");
        }
        prop_assert_eq!(check_touched(&mut replayed, usize::MAX), Ok(()));
        prop_assert_eq!(check_touched(&mut world.gate, usize::MAX), Ok(()));
        prop_assert_eq!(&replayed, &world.gate);
        // What is hashed comes from the journal alone, and a snapshot keeps all of it.
        let mut journaled = State::new(limits());
        for record in world.journal.clone() {
            journaled.apply(record).expect("fits");
        }
        prop_assert_eq!(canonical(&journaled), canonical(&world.gate));
        let mut restored = State::restore(limits(), world.gate.stored()).expect("fits");
        prop_assert_eq!(canonical(&restored), canonical(&world.gate));
        prop_assert_eq!(check_touched(&mut restored, usize::MAX).and(check_listed(&restored)), Ok(()));
        prop_assert_eq!(restored.unposted(), world.gate.unposted());
        let balance = |state: &State| {
            let unposted = |own: &usize| {
                let account = state.account(&world::account(*own));
                account.map_or(Money::ZERO, |own| own.balance(&usd()).unposted)
            };
            [0, 1].iter().map(unposted).collect::<Vec<_>>()
        };
        let positions = world.posted.clone();
        for record in positions {
            restored.apply(record).expect("fits");
        }
        prop_assert_eq!(balance(&restored), balance(&world.gate));
        prop_assert_eq!(check_touched(&mut world.gate, usize::MAX).and(check_listed(&world.gate)), Ok(()));

        // Once all is closed and posted nothing is held and the gate knows what is there.
        while !world.open.is_empty() {
            world.close(0);
        }
        while !world.facts.is_empty() {
            world.post();
        }
        prop_assert_eq!(check_invariants(&world.gate), Ok(()));
        prop_assert_eq!(world.gate.held(), Money::ZERO);
        prop_assert_eq!(world.gate.open_orders(), 0);
        prop_assert!(world.gate.unposted().is_empty());
        for own in 0..ACCOUNTS.len() {
            let account = world.gate.account(&world::account(own)).expect("known");
            prop_assert_eq!(account.balance(&usd()).available(), Ok(Some(world.accounts[own].cash)));
            for (name, position) in &world.accounts[own].positions {
                let id = InstrumentId::new(name).expect("an id");
                let holding = account.holding(&id).expect("held");
                prop_assert_eq!(holding.position().quantity, position.quantity);
            }
        }
    }
}
