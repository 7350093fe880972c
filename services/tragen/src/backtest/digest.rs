//! What a run decided, as one number: two runs on the same files with the same
//! conditions have the same, on every machine.

use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use tragen_domain::{
    instrument::Instrument,
    money::{Money, Price},
    order::Side,
    risk::Proposed,
    time::Timestamp,
};
use tragen_venue::VenueReport;

/// The running hash, and the hash after each decision where somebody wants to compare them.
#[derive(Debug, Default)]
pub(super) struct Digest {
    hasher: Sha256,
    line: String,
    trail: Option<Vec<Mark>>,
}

/// One decision in a trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// When.
    pub(super) at: Timestamp,
    /// What.
    pub(super) decision: String,
}

impl Digest {
    /// Remembers every decision from now on: for comparing runs, not for long ones.
    pub(super) fn keep_trail(&mut self) {
        self.trail = Some(Vec::new());
    }

    /// The decisions so far, oldest first.
    pub(super) fn trail(&self) -> &[Mark] {
        self.trail.as_deref().unwrap_or_default()
    }

    pub(super) fn denied(&mut self, at: Timestamp, proposed: &Proposed, reason: &str) {
        self.begin(at, proposed);
        let _ = write!(self.line, " denied {reason}");
        self.end(at);
    }

    pub(super) fn executed(&mut self, at: Timestamp, proposed: &Proposed, report: &VenueReport) {
        self.begin(at, proposed);
        for fill in &report.fills {
            let (price, quantity, fee) = (fill.price.micros(), fill.quantity.micros(), fill.fee.micros());
            let _ = write!(self.line, " filled {price} {quantity} {fee}");
        }
        self.end(at);
    }

    pub(super) fn settled(&mut self, at: Timestamp, instrument: &Instrument, value: Price, cash: Money) {
        self.line.clear();
        let _ = write!(self.line, "{} {} settled {} {}", at.micros(), instrument.id, value.micros(), cash.micros());
        // A settlement follows from the result, it is nobody's decision.
        self.hasher.update(self.line.as_bytes());
        self.hasher.update([b'\n']);
    }

    /// A forecast that was made, whether anything was bought on it or not.
    pub(super) fn forecast(&mut self, at: Timestamp, of: &str, probabilities: &[f64; 3]) {
        self.line.clear();
        let [home, draw, away] = probabilities.map(f64::to_bits);
        let _ = write!(self.line, "{} {of} forecast {home:x} {draw:x} {away:x}", at.micros());
        self.end(at);
    }

    /// The hash of everything so far.
    pub(super) fn hash(&self) -> String {
        let bytes = self.hasher.clone().finalize();
        bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn begin(&mut self, at: Timestamp, proposed: &Proposed) {
        let terms = &proposed.terms;
        let side = match terms.side {
            Side::Buy => "buy",
            Side::Sell => "sell",
        };
        self.line.clear();
        let (account, instrument, quantity) = (&proposed.account, &terms.instrument, terms.quantity.micros());
        let _ = write!(self.line, "{} {account} {side} {quantity} {instrument}", at.micros());
    }

    fn end(&mut self, at: Timestamp) {
        self.hasher.update(self.line.as_bytes());
        self.hasher.update([b'\n']);
        if let Some(trail) = &mut self.trail {
            trail.push(Mark { at, decision: self.line.clone() });
        }
    }
}
