//! The same agents and bars without a bus.

use crate::{Load, rate, world};
use std::time::{Duration, Instant};
use tragen_agent_worker::{
    bars::{Age, BarBook, Due},
    roster::Roster,
};
use tragen_contracts::v1;
use tragen_domain::{
    agents::{rebalance::rebalance, signal::Signal},
    instrument::Instrument,
    market::Bar,
    money::Quantity,
};

/// How long each loop runs.
const PLAYED_FOR: Duration = Duration::from_secs(3);
/// What every agent's account has, units.
const CASH: f64 = 10_000.0;

/// Whether every agent is sized on every bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sized {
    OnSignals,
    Always,
}

pub(crate) fn play(load: Load) -> anyhow::Result<()> {
    let instruments: Vec<String> = (0..load.instruments).map(|number| format!("I{number}")).collect();
    let mut roster = Roster::default();
    for agent in world::agents(load.agents, &instruments, crate::EVERYBODYS) {
        roster.take(&agent.agent_id, Some(&agent))?;
    }
    for (what, sized) in [("in the loop", Sized::OnSignals), ("each sized", Sized::Always)] {
        let (evaluated, orders, seconds) = loop_over(&roster, &instruments, sized)?;
        let per_minute = rate(evaluated, seconds) * 60.0;
        println!("{what}: {evaluated} evaluated in {seconds:.1} s: {per_minute:.0} /min, {orders} orders");
    }
    Ok(())
}

fn loop_over(roster: &Roster, instruments: &[String], sized: Sized) -> anyhow::Result<(u64, u64, f64)> {
    let definition = Instrument::try_from(&world::definition("I0"))?;
    let flat = Signal {
        target: None,
        reason: None,
        reference_price: 1.5,
        stop_price: None,
        exposure: None,
        confidence_ppm: None,
        closed: None,
    };
    let mut book = BarBook::new(400);
    let (mut evaluated, mut orders, mut number) = (0_u64, 0_u64, 0);
    let started = Instant::now();
    while started.elapsed() < PLAYED_FOR {
        for (place, instrument) in instruments.iter().enumerate() {
            let message: v1::Bar = world::bar(instrument, number, world::walk(place, number));
            let bar = Bar::try_from(&message)?;
            let series = (bar.instrument.clone(), bar.timeframe);
            let audiences = roster.on_series(&series);
            book.take(&bar, audiences.iter().map(|audience| audience.style), Age::Live);
            let Due::Signals(signals) = book.due(&series, bar.start) else { continue };
            for audience in audiences.iter() {
                evaluated += u64::try_from(audience.agents.len())?;
                let due = signals.iter().find(|(style, _)| *style == audience.style).map(|(_, signal)| signal);
                let Some(signal) = due.or((sized == Sized::Always).then_some(&flat)) else { continue };
                for agent in audience.agents.iter() {
                    let position = Quantity::from_micros(1_000_000_000);
                    let order = rebalance(&agent.personality, &definition, signal, CASH, position);
                    orders += u64::from(std::hint::black_box(order).is_some());
                }
            }
        }
        number += 1;
    }
    Ok((evaluated, orders, started.elapsed().as_secs_f64()))
}
