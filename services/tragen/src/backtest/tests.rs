//! Whole runs: against reference figures from real prices where there are any,
//! and on small made-up files for everything that must be refused or noticed.

mod bad_input;
mod made_up;
mod reference;

use super::{Outcome, Plan, Trail, conditions::Conditions, run, seat::Agent};
use std::path::PathBuf;
use tragen_domain::{
    agents::personality::{AnalysisStyle, Personality},
    id::{AgentId, PoolId},
    market::Timeframe,
};
use tragen_market_data::file::{self, Intake, Limits};

const LIMITS: Limits = Limits { file_mib_max: 64, rows_max: 1_000_000 };

fn agent(id: &str, style: AnalysisStyle, instrument: &str, timeframe: Timeframe) -> Agent {
    Agent {
        id: AgentId::new(id).expect("an id"),
        pool: PoolId::new(format!("{style:?}").to_lowercase()).expect("an id"),
        personality: Personality::new(5, style, 10_000).expect("valid"),
        instruments: vec![instrument.to_owned()],
        timeframe,
    }
}

fn conditions(text: &str) -> Conditions {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("costs.toml");
    std::fs::write(&path, text).expect("written");
    Conditions::read(&path).expect("valid conditions")
}

/// Reads files that are made of `(name, text)`.
fn intake(files: &[(&str, String)]) -> Intake {
    let folder = tempfile::tempdir().expect("a folder");
    let paths: Vec<PathBuf> = files
        .iter()
        .map(|(name, text)| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        })
        .collect();
    file::read(&paths, LIMITS).expect("readable")
}

fn play(intake: &Intake, agents: &[Agent], conditions: &Conditions) -> Outcome {
    let plan = Plan { intake, agents, conditions, trail: Trail::Hashed };
    run(&plan, &mut |_| ()).expect("a run")
}
