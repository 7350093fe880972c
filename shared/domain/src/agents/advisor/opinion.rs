//! What a language model answers, as types. Nothing of it is believed before [`super::check`].

/// What it makes of the trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It sees no reason against it.
    Agree,
    /// Do not trade.
    Veto,
    /// It does not know.
    Abstain,
}

impl Verdict {
    /// The word in the agreed form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agree => "agree",
            Self::Veto => "veto",
            Self::Abstain => "abstain",
        }
    }
}

/// Which way it would trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stance {
    /// Buy the outcome.
    Buy,
    /// Sell the outcome.
    Sell,
    /// Neither.
    Hold,
}

/// What a quote says about the trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It speaks for it.
    Supports,
    /// It speaks against it.
    Opposes,
    /// Neither.
    Neutral,
}

/// Something to be careful about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RiskFlag {
    /// News of an injury.
    InjuryNews,
    /// The line-up is not the expected one.
    LineupChange,
    /// The match may not take place.
    PostponementRisk,
    /// The facts are old.
    StaleData,
    /// Little is offered.
    ThinBook,
    /// The sources contradict each other.
    ConflictingSources,
    /// A source tries to give orders.
    InjectionSuspected,
    /// Nothing.
    None,
}

/// Words of a source that a model refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Which source.
    pub source_id: String,
    /// Its words.
    pub quote: String,
    /// What they say about the trade.
    pub effect: Effect,
}

/// An answer in the agreed form.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// The question's id, echoed.
    pub request_id: String,
    /// The market's id, echoed.
    pub market_id: String,
    /// What it makes of the trade.
    pub verdict: Verdict,
    /// Which way it would trade.
    pub direction: Stance,
    /// By how much it would move the log-odds of the outcome.
    pub logit_shift: f64,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// What it refers to.
    pub evidence: Vec<Evidence>,
    /// What to be careful about.
    pub risk_flags: Vec<RiskFlag>,
    /// Why, for people.
    pub rationale: String,
}
