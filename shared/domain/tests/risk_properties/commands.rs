//! Reductions in random sequences: ordered, driven in portions, and ended.

use crate::world::{NOW, SCOPES, World, account, id, scope};
use tragen_domain::{
    money::Quantity,
    order::{OrderPrice, OrderTerms, TimeInForce},
    risk::{
        Driver, Order, Proposed, Purpose, Record, Reduce, Reduction, ReductionRefused, Scope, Target, TradingState,
        decide, next_portion, order_reduction,
    },
    tier::Tier,
};

impl World {
    /// The scope reduces whatever becomes of its positions' targets.
    pub(crate) fn reduce(&mut self, number: usize, factor_ppm: i64) {
        let wanted = self.wanted(scope(number), factor_ppm, Driver::Workers);
        let ordered = order_reduction(&self.gate, wanted, NOW);
        let state = self.gate.state_of(&scope(number)).max(TradingState::Reducing);
        self.set_state(number % SCOPES, state);
        match ordered {
            Ok(Some(reduction)) => self.order(Reduction { epoch: reduction.epoch + 1, ..reduction }),
            Ok(None) => panic!("a command of its own is new"),
            Err(refused) => assert!(matches!(refused, ReductionRefused::TooManyReductions { .. }), "{refused}"),
        }
    }

    /// No state changes by it.
    pub(crate) fn flatten(&mut self, own: usize) {
        let wanted = self.wanted(Scope::Account(account(own)), 0, Driver::Operator);
        if let Ok(Some(reduction)) = order_reduction(&self.gate, wanted, NOW) {
            self.order(reduction);
        }
    }

    /// Portions begin, what is through ends, and the next order toward a target is proposed.
    pub(crate) fn slice(&mut self, number: usize) {
        let next = self.gate.open_reductions().filter_map(|own| next_portion(&self.gate, own).expect("fits"));
        for reduction in next.collect::<Vec<_>>() {
            self.order(reduction);
        }
        let through = self.gate.open_reductions().filter(|own| own.is_done(&self.gate).expect("fits"));
        for id in through.map(|own| own.id.clone()).collect::<Vec<_>>() {
            self.apply_journaled(Record::ReductionEnded { id, at: NOW });
        }
        let targets: Vec<(Reduction, Target)> = self
            .gate
            .open_reductions()
            .flat_map(|own| own.targets.iter().map(move |target| (own.clone(), target.clone())))
            .collect();
        let Some((reduction, target)) = number.checked_rem(targets.len()).map(|index| &targets[index]) else { return };
        self.propose_step(reduction, target);
    }

    fn propose_step(&mut self, reduction: &Reduction, target: &Target) {
        let Some(slice) = target.next_slice(&self.gate).expect("fits") else { return };
        self.counter += 1;
        let trade = format!("t{}", self.counter);
        let purpose = match reduction.driver {
            Driver::Workers => Purpose::Reduce(reduction.id.clone()),
            Driver::Operator => Purpose::Flatten(reduction.id.clone()),
        };
        let proposed = Proposed {
            account: target.account.clone(),
            terms: OrderTerms {
                id: id(format!("{trade}-o")),
                instrument: target.instrument.clone(),
                side: slice.side,
                price: OrderPrice::Market,
                quantity: slice.quantity,
                time_in_force: TimeInForce::Ioc,
                is_reduce_only: true,
                is_post_only: false,
            },
            trade: id(trade),
            agent: None,
            pool: None,
            timeframe: None,
            tier: Tier::Standard,
            confidence_ppm: None,
            purpose,
            valid_until: NOW,
            trades_per_day_max: None,
            is_first_on_match: false,
        };
        let Ok(approved) = decide(&self.gate, &proposed, NOW) else { return };
        let order = Order::clone(&approved);
        self.approve(order);
        // With everything pending filled the position is not beyond its target.
        let held = self.gate.account(&target.account).and_then(|own| own.holding(&target.instrument)).expect("held");
        let pending = self.pending(&target.account, &target.instrument, slice.side);
        let left = held.position().quantity.magnitude().and_then(|size| size.minus(pending)).expect("fits");
        assert!(left >= target.target.magnitude().expect("fits"), "{left} would be left of {target:?}");
    }

    fn wanted(&mut self, scope: Scope, factor_ppm: i64, driver: Driver) -> Reduce {
        self.counter += 1;
        Reduce {
            id: id(format!("c{}", self.counter)),
            scope,
            instrument: None,
            is_house_only: false,
            factor_ppm,
            driver,
            ordered_by: "test".to_owned(),
            reason: "test".to_owned(),
        }
    }

    fn order(&mut self, reduction: Reduction) {
        let most = self.gate.limits().commands.reduction_targets_max;
        assert!(reduction.targets.len() <= most, "{reduction:?}");
        let size = |quantity: Quantity| quantity.magnitude().expect("fits");
        let grows = |target: &Target| size(target.target) >= size(target.from);
        assert!(!reduction.targets.iter().any(grows), "{reduction:?}");
        assert!(reduction.targets.iter().all(|target| target.from != Quantity::ZERO), "{reduction:?}");
        self.apply_journaled(Record::ReductionOrdered(Box::new(reduction)));
        self.cancel_forbidden();
    }
}
