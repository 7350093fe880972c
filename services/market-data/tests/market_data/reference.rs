//! Real files, when `TRAGEN_REFERENCE_DIR` names a folder that contains `data/`.

use crate::stage::{Stage, eventually};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};
use tragen_contracts::v1;
use tragen_market_data::{
    Config, Feed,
    feed::{PlayRules, Player},
    file::{self, Intake, Limits},
    market::Market,
};

const LIMITS: Limits = Limits { file_mib_max: 256, rows_max: 1_000_000 };

fn reference() -> Option<PathBuf> {
    let folder = std::env::var_os("TRAGEN_REFERENCE_DIR");
    if folder.is_none() {
        println!("TRAGEN_REFERENCE_DIR is not set: no real files to read");
    }
    folder.map(|folder| Path::new(&folder).join("data"))
}

fn read(data: &Path, names: &[&str]) -> Intake {
    let started = Instant::now();
    let paths: Vec<PathBuf> = names.iter().map(|name| data.join(name)).collect();
    let intake = file::read(&paths, LIMITS).expect("readable");
    for report in intake.reports() {
        println!(
            "{}: {} accepted, {} skipped, {} repaired, accuracy {:.4} %",
            report.file,
            report.accepted,
            report.skipped,
            report.repaired,
            100.0 * report.accuracy().expect("rows that are used")
        );
        for fault in report.faults.iter().take(5) {
            println!("  {fault}");
        }
    }
    println!("{names:?} read in {:.2} s", started.elapsed().as_secs_f64());
    intake
}

fn play_all(intake: Intake) -> Market {
    let started = Instant::now();
    let rules = PlayRules { listing_hours: 24, start: None };
    let mut player = Player::new(Arc::new(intake), rules).expect("a player");
    let mut market = Market::default();
    let mut events = 0_u64;
    let mut last = player.next_at();
    while let Some(next) = player.next_at() {
        assert!(last <= Some(next), "market time runs back from {last:?} to {next}");
        last = Some(next);
        player.play_next(&mut market);
        events += 1;
    }
    println!("{:?}: {events} events in {:.2} s", player.progress(), started.elapsed().as_secs_f64());
    market
}

#[test]
fn real_matches_and_events_are_read_and_played() {
    let Some(data) = reference() else { return };
    let intake = read(&data, &["epl_matches.csv", "epl_events.csv"]);
    assert!(intake.reports().iter().all(|report| report.skipped == 0));
    let [matches, events] = intake.reports() else { panic!("two files, {:?}", intake.reports()) };
    assert_eq!((matches.accepted % 380, events.accepted), (0, 32_133), "whole seasons, all events");
    let rows = usize::try_from(matches.accepted).expect("a count");
    assert_eq!(play_all(intake).instrument_counts(), (3 * rows, 0));
}

#[test]
fn real_bars_are_read_and_played() {
    let Some(data) = reference() else { return };
    let names = ["gbpusd_m1_2012-02.csv", "btcperp_m1_2022-01.csv", "eurusd_h4_2012-2022.csv", "fx_d1_2012-2022.csv"];
    let intake = read(&data, &names);
    for (report, rows) in intake.reports().iter().zip([30_117, 45_031, 14_400, 28_800]) {
        // Of a pair with bars of several lengths the shortest are used.
        assert_eq!(report.accepted + report.skipped + report.left_out, rows, "{}", report.file);
        assert!(100 * report.skipped < rows, "{}", report.file);
    }
    play_all(intake);
}

#[test]
fn results_without_odds_are_refused() {
    let Some(data) = reference() else { return };
    let refused = file::read(&[data.join("epl_pddl/season-2425.csv")], LIMITS).expect_err("refused");
    println!("{refused}");
    assert!(refused.to_string().contains("expected odds"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_season_replays_on_the_bus() {
    let Some(data) = reference() else { return };
    let stage = Stage::set().await;
    let mut paths = Vec::new();
    for name in ["epl_matches.csv", "epl_events.csv"] {
        let text = std::fs::read_to_string(data.join(name)).expect("a file");
        let rows = text.lines().enumerate().filter(|(line, row)| *line == 0 || row.starts_with("2024-25,"));
        let season: Vec<&str> = rows.map(|(_, row)| row).collect();
        let path = stage.folder.path().join(name);
        std::fs::write(&path, season.join("\n")).expect("written");
        paths.push(path);
    }
    let started = Instant::now();
    let config = Config {
        feed: Feed::Files(paths),
        speed: 0.0,
        data_dir: stage.folder.path().to_owned(),
        progress_secs: 1,
        ..Config::default()
    };
    stage.run(config).await;
    eventually("1,140 closed instruments", async || {
        let instruments = stage.instruments().await;
        let closed = instruments.iter().filter(|i| i.status() == v1::InstrumentStatus::Closed).count();
        (closed == 1_140).then_some(())
    })
    .await;
    println!("a season of 380 matches replayed in {:.2} s", started.elapsed().as_secs_f64());
    stage.end().await;
}
