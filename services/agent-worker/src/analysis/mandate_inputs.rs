//! What agents know of a match beside its prices, for mandates. What cannot be had is left
//! out: the agents are then as good as the bookmakers' consensus.

use super::{Desk, refused::Refused};
use tragen_contracts::v1;
use tragen_domain::{
    agents::{
        context_aware::{MatchContext, REST_DAYS_MAX, TeamContext},
        epl_research::{ResearchQuestion, research},
        football::{MatchDay, rest_days},
        mandate::{MandateAgent, MandateInputs},
        scout::MatchPhase,
    },
    time::Timestamp,
};
use tragen_host::clock;

impl Desk {
    /// The inputs of `agent`; of the others nothing is asked.
    pub(crate) async fn mandate_inputs(&self, agent: MandateAgent, snapshot: &v1::MatchSnapshot) -> MandateInputs {
        let of = snapshot.r#match.clone().unwrap_or_default();
        match agent {
            MandateAgent::Scout => MandateInputs::default(),
            MandateAgent::EplTrading => MandateInputs { model: self.model(&of).await.ok(), ..MandateInputs::default() },
            MandateAgent::ContextAware => {
                let mut context = self.match_context(&of).await.unwrap_or_default();
                let now = Timestamp::from_micros(clock::now_micros());
                let [home, away] = self.board.absences(&of.match_id, now);
                (context.home.key_absences, context.away.key_absences) = (home, away);
                MandateInputs { context, ..MandateInputs::default() }
            }
        }
    }

    /// What past results make of the match: home, draw, away.
    async fn model(&self, of: &v1::Match) -> Result<[f64; 3], Refused> {
        let known = self.results.now(&self.sources).await?;
        let model = self.models.before(&known.history, day(of)).await?;
        // The agent itself refuses a match that has begun.
        let question = ResearchQuestion { home: &of.home, away: &of.away, phase: MatchPhase::PreMatch };
        Ok(research(&model, &question)?.outcomes.map(|outcome| outcome.probability))
    }

    /// Days of rest; who is missing, the news say.
    async fn match_context(&self, of: &v1::Match) -> Result<MatchContext, Refused> {
        let known = self.results.now(&self.sources).await?;
        let team = |name: &str| {
            let rest = rest_days(&known.history, known.history.team(name)?, day(of)).map(f64::from);
            // A longer one is the summer break.
            let rest_days = rest.filter(|days| (0.0..=REST_DAYS_MAX).contains(days));
            Ok::<_, Refused>(TeamContext { rest_days, key_absences: 0 })
        };
        Ok(MatchContext { home: team(&of.home)?, away: team(&of.away)?, is_derby: false })
    }
}

fn day(of: &v1::Match) -> MatchDay {
    MatchDay::of(Timestamp::from_micros(of.kickoff_micros))
}
