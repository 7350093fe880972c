//! The state in one fixed form, for its hash: the part that the journal alone determines,
//! so that whoever replays the same journal has the same bytes.
//!
//! Which fields that are `parts.rs` says. Not in it: what the ledger tells (balances, positions, fills it has not posted), what the
//! market tells (instruments, quotes), the limits of today's configuration with what is
//! counted for them, what breakers and changed limits remember but for losses in a row (a
//! snapshot has that as memories), and proposals that wait for a second person, which no journal has.

use super::{
    Driver, Known, OpenOrder, Order, Purpose, Reduction, Scope, ScopeState, State, TradingState, known::Hashed,
    parts::Journaled, streaks::Streaks,
};
use crate::order::{OrderPrice, Side, TimeInForce};

/// Version of the form below; a hash of another version cannot be compared. Since 4 the known trades stand
/// in it by generations, and those in flight by their numbers; since 5 reductions say what is left out of their portion.
pub const CANONICAL_VERSION: u32 = 5;

/// A hash of all the bytes; the same one wherever states are compared.
pub type Digest = fn(&[u8]) -> [u8; 32];

impl State {
    /// Gives `sink` the bytes, piece by piece. Sorted, every text with its length, numbers
    /// as 8 bytes little endian: two states have the same bytes only if they are equal.
    ///
    /// Of each whole generation of known trades it has the `digest` instead of the trades; see [`Self::seal`].
    pub fn canonical(&self, digest: Digest, sink: impl FnMut(&[u8])) {
        let mut out = Out(sink);
        let (Journaled { epoch, scopes, settled, agent_trades, commands, known, known_max, ended, streaks }, _) =
            self.parts();
        out.number(epoch);
        out.count(scopes.len());
        for state in scopes.values() {
            out.scope_state(state);
        }
        let mut sorted: Vec<_> = settled.iter().collect();
        sorted.sort();
        out.count(sorted.len());
        sorted.into_iter().for_each(|instrument| out.text(instrument.as_str()));
        let mut counted: Vec<_> = agent_trades.iter().collect();
        counted.sort();
        out.count(counted.len());
        for (agent, (day, count)) in counted {
            out.text(agent.as_str());
            out.number(*day);
            out.number(i64::from(*count));
        }
        let mut orders: Vec<&Order> = self.orders().chain(ended.values().map(|(open, _)| open)).map(order_of).collect();
        orders.sort_by(|a, b| a.terms.id.cmp(&b.terms.id));
        out.count(orders.len());
        orders.into_iter().for_each(|order| out.order(order));
        // Ended reductions and the history are kept as long as today's configuration says.
        let open: Vec<&Reduction> = self.open_reductions().collect();
        out.count(open.len());
        open.into_iter().for_each(|reduction| out.reduction(reduction));
        out.number(commands.flattened.0);
        out.number(i64::from(commands.flattened.1));
        out.count(known_max);
        out.streaks(streaks);
        out.known(known, digest);
    }

    /// Keeps the digests of known trades that stay as they are, so that [`Self::canonical`] need not read them all again
    /// while decisions wait. To be called now and then, each time with the same `digest`; what the state says does not change.
    pub fn seal(&mut self, digest: Digest) {
        self.known.seal(digest);
    }
}

/// A text with its length.
pub(super) fn put_text(text: &str, mut sink: impl FnMut(&[u8])) {
    sink(&i64::try_from(text.len()).unwrap_or(i64::MAX).to_le_bytes());
    sink(text.as_bytes());
}

const fn order_of(open: &OpenOrder) -> &Order {
    &open.order
}

struct Out<S>(S);

impl<S: FnMut(&[u8])> Out<S> {
    fn number(&mut self, number: i64) {
        (self.0)(&number.to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.number(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn text(&mut self, text: &str) {
        put_text(text, &mut self.0);
    }

    fn known(&mut self, known: &Known, digest: Digest) {
        self.number(known.arrived().taken().cast_signed());
        self.count(known.arrived().len());
        for trades in known.hashed(digest) {
            match trades {
                Hashed::Whole(digest) => (self.0)(&digest),
                Hashed::Some(trades) => trades.iter().for_each(|(trade, _)| self.text(trade.as_str())),
            }
        }
        self.count(known.in_flight().len());
        known.in_flight().iter().for_each(|number| self.number(number.cast_signed()));
    }

    fn streaks(&mut self, streaks: &Streaks) {
        self.count(streaks.journaled().count());
        for (agent, losses, [by_fill, by_payout]) in streaks.journaled() {
            self.text(agent.as_str());
            self.number(losses.losses());
            self.number(by_fill.cast_signed());
            self.number(by_payout.cast_signed());
        }
    }

    fn scope(&mut self, scope: &Scope) {
        let (kind, id) = match scope {
            Scope::Global => (0, ""),
            Scope::Pool(id) => (1, id.as_str()),
            Scope::Agent(id) => (2, id.as_str()),
            Scope::Instrument(id) => (3, id.as_str()),
            Scope::Account(id) => (4, id.as_str()),
        };
        self.number(kind);
        self.text(id);
    }

    fn reduction(&mut self, reduction: &Reduction) {
        self.text(reduction.id.as_str());
        self.scope(&reduction.scope);
        self.text(reduction.instrument.as_ref().map_or("", |id| id.as_str()));
        let driver = match reduction.driver {
            Driver::Workers => 0,
            Driver::Operator => 1,
        };
        for number in [reduction.factor_ppm, driver, reduction.epoch, reduction.ordered_at.micros()] {
            self.number(number);
        }
        let (left_out, done_before) = (i64::from(reduction.left_out), i64::from(reduction.done_before));
        for number in [i64::from(reduction.is_house_only), left_out, done_before] {
            self.number(number);
        }
        self.count(reduction.targets.len());
        for target in &reduction.targets {
            self.text(target.account.as_str());
            self.text(target.instrument.as_str());
            self.number(target.from.micros());
            self.number(target.target.micros());
        }
    }

    fn scope_state(&mut self, state: &ScopeState) {
        self.scope(&state.scope);
        self.number(match state.state {
            TradingState::Active => 0,
            TradingState::Reducing => 1,
            TradingState::Halted => 2,
        });
        self.number(state.epoch);
        self.text(&state.changed_by);
        self.text(&state.reason);
        self.number(state.changed_at.micros());
        self.number(state.resume_from.micros());
    }

    fn order(&mut self, order: &Order) {
        let terms = &order.terms;
        for text in [terms.id.as_str(), order.trade.as_str(), order.account.as_str(), terms.instrument.as_str()] {
            self.text(text);
        }
        for text in [order.agent.as_ref().map(|id| id.as_str()), order.pool.as_ref().map(|id| id.as_str())] {
            self.text(text.unwrap_or_default());
        }
        self.number(match &order.purpose {
            Purpose::Trade => 0,
            Purpose::Reduce(_) => 1,
            Purpose::Flatten(_) => 2,
        });
        self.text(order.purpose.reduction().map_or("", |id| id.as_str()));
        let side = match terms.side {
            Side::Buy => 0,
            Side::Sell => 1,
        };
        let price = match terms.price {
            OrderPrice::Limit(_) => 0,
            OrderPrice::Market => 1,
        };
        let (kind, end) = match terms.time_in_force {
            TimeInForce::Ioc => (0, 0),
            TimeInForce::Fok => (1, 0),
            TimeInForce::Gtc => (2, 0),
            TimeInForce::Gtd(end) => (3, end.micros()),
        };
        // One number for both, so that journals without post-only orders keep their hashes.
        let restrictions = i64::from(terms.is_reduce_only) + 2 * i64::from(terms.is_post_only);
        for number in [side, price, kind, end, restrictions] {
            self.number(number);
        }
        let numbers = [
            terms.quantity.micros(),
            order.limit.micros(),
            order.hold.micros(),
            order.taker_fee_ppm,
            order.decided_at.micros(),
            order.valid_until.micros(),
        ];
        numbers.into_iter().for_each(|number| self.number(number));
    }
}
