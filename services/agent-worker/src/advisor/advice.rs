//! What is left of a stake, with the words for people.

use tragen_domain::agents::{
    advisor::{Applied, NoOpinion, NoTradeReason, Staked, check::CheckedOpinion},
    plain_text::PlainText,
};

/// What became of a stake.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// Share of the capital to stake: 0 up to what the agent wanted.
    pub stake: f64,
    /// Who had a part in it.
    pub source: AdviceSource,
}

/// Who had a part in a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum AdviceSource {
    /// The agent alone: nobody was asked.
    Model,
    /// The agent and the advisor.
    ModelAndLlm {
        /// What the advisor did to the stake.
        staked: Staked,
        /// Why, if it may be shown.
        text: Option<PlainText>,
    },
    /// A text would have given the advisor orders; it was not asked.
    Screened,
    /// The agent alone: the advisor was asked and gave nothing that can be used.
    Fallback(NoOpinion),
}

impl Advice {
    pub(crate) const fn alone(stake: f64) -> Self {
        Self { stake, source: AdviceSource::Model }
    }

    pub(crate) const fn fallback(stake: f64, why: NoOpinion) -> Self {
        Self { stake, source: AdviceSource::Fallback(why) }
    }

    pub(crate) const fn screened(applied: Applied) -> Self {
        Self { stake: applied.stake, source: AdviceSource::Screened }
    }

    pub(crate) fn given(applied: Applied, opinion: &CheckedOpinion) -> Self {
        let text = opinion.text().ok().cloned();
        Self { stake: applied.stake, source: AdviceSource::ModelAndLlm { staked: applied.staked, text } }
    }

    /// Whether a person must look: somebody may be giving the advisor orders.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        match &self.source {
            AdviceSource::Screened => true,
            AdviceSource::ModelAndLlm { staked, .. } => *staked == Staked::NoTrade(NoTradeReason::InjectionSuspected),
            AdviceSource::Model | AdviceSource::Fallback(_) => false,
        }
    }

    /// Why there is no trade, for people; `None` when there is one.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        match &self.source {
            AdviceSource::Screened => {
                Some("a text about the match tries to give orders; a person must look".to_owned())
            }
            AdviceSource::ModelAndLlm { staked: Staked::NoTrade(reason), text } => {
                Some(format!("the advisor stopped it: {}{}", words(*reason), because(text.as_ref())))
            }
            AdviceSource::ModelAndLlm { .. } | AdviceSource::Model | AdviceSource::Fallback(_) => None,
        }
    }

    /// What the advisor had to do with a trade, to be put after its rationale; empty when it was not asked.
    #[must_use]
    pub fn note(&self) -> String {
        match &self.source {
            AdviceSource::Model | AdviceSource::Screened => String::new(),
            // The word only: what is left of a budget is nobody else's business.
            AdviceSource::Fallback(why) => format!("; the advisor had no part in it ({})", why.as_str()),
            AdviceSource::ModelAndLlm { staked: Staked::Lowered { shift }, text } => {
                format!("; the advisor made it smaller (log-odds {shift:+.3}){}", because(text.as_ref()))
            }
            AdviceSource::ModelAndLlm { text, .. } => {
                format!("; the advisor let it stand{}", because(text.as_ref()))
            }
        }
    }

    /// The word in metrics.
    pub(crate) const fn as_str(&self) -> &'static str {
        match &self.source {
            AdviceSource::Model => "not_asked",
            AdviceSource::Screened => "screened",
            AdviceSource::Fallback(why) => why.as_str(),
            AdviceSource::ModelAndLlm { staked, .. } => match staked {
                Staked::Unchanged => "unchanged",
                Staked::ShiftIgnored(_) => "shift_ignored",
                Staked::Lowered { .. } => "lowered",
                Staked::NoTrade(_) => "no_trade",
            },
        }
    }
}

fn because(text: Option<&PlainText>) -> String {
    text.map_or_else(String::new, |text| format!(": {text}"))
}

const fn words(reason: NoTradeReason) -> &'static str {
    match reason {
        NoTradeReason::Vetoed => "it sees a reason against it",
        NoTradeReason::DirectionConflict => "it would not trade that way",
        NoTradeReason::InjectionSuspected => "it suspects that somebody gives it orders",
        NoTradeReason::NothingLeft => "at the lower probability it is worth nothing",
        NoTradeReason::UnusableDecision => "the decision's own numbers make no sense",
    }
}
