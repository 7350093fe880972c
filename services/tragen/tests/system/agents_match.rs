//! Agents that come in by waiting for their price and leave by themselves: a whole platform, from a bid that rests before
//! the kick-off until what is dear in play is sold.

use crate::rig::{Platform, micros, tragen, wait_for};
use serde_json::Value;
use std::fs;
use tragen_router::token::Role;

const MATCH: &str = "EPL-2030-ARS-MCI";
/// The bookmaker stays at 49 % home, 27 % draw, 23 % away. The exchange begins with nothing cheap in it, an away win at 27
/// cents, and ends at 12, two and a half cents every ten minutes; a home win goes from 47 cents to 58.
const MATCHES: &str = "match_id,season,date,ko_uk,home,away,ko_utc,fthg,ftag,ftr,\
ps_h,ps_d,ps_a,psc_h,psc_d,psc_a,bfe_h,bfe_d,bfe_a,bfec_h,bfec_d,bfec_a,p_o25,p_u25,pc_o25,pc_u25
EPL-2030-ARS-MCI,2029-30,2030-01-01,14:30,Arsenal,Man City,2030-01-01T14:30:00Z,1,0,H,\
2,3.6,4.2,2,3.6,4.2,2.109,3.906,3.703,1.712,3.378,8.33,1.9,1.95,1.9,1.95
";
const AGENTS: &str = "[[agent]]
id = \"maker-1\"
strategy = \"value_maker\"
timeframe = \"5m\"
risk_tolerance = 10
max_trades_per_day = 100
account = \"maker\"
instruments = [\"EPL-2030\"]

[[agent]]
id = \"leaver-1\"
strategy = \"live_exit\"
timeframe = \"1m\"
risk_tolerance = 5
max_trades_per_day = 100
account = \"alice\"
instruments = [\"EPL-2030\"]
";

/// The trade of an account on an outcome that has this status.
fn trade(up: &Platform, token: &str, (side, status): (&str, &str)) -> Option<Value> {
    let is_wanted = |trade: &Value| trade["side"] == side && trade["status"] == status;
    up.trades_of(token).into_iter().find(is_wanted)
}

fn texts(trade: &Value, fields: [&str; 2]) -> [String; 2] {
    fields.map(|field| trade[field].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bid_waits_for_its_price_and_what_is_dear_in_play_is_sold() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (feed, agents) = (write("matches.csv", MATCHES), write("agents.toml", AGENTS));
    // An hour before the kick-off takes a minute.
    let config = write("tragen.toml", "[market_data]\nlisting_hours = 1\nwarm_up_hours = 0\n");
    let up = Platform::all_in_one(&["--speed", "60", "--feed", &feed, "--config", &config]).await;
    let [alice, maker] = ["alice", "maker"].map(|account| up.token(account, Role::Trader));
    for token in [&alice, &maker] {
        up.command(token, "account deposit --amount 10000", &[], 0);
    }
    up.command(&up.token("olga", Role::Operator), &format!("agents import {agents}"), &[], 0);
    up.command(&alice, &format!("trade place --instrument {MATCH}-HOME --side buy --quantity 50"), &[], 0);

    // Three cents below fair: nobody offers it at that when the bid is made.
    let resting = wait_for("the bid", || trade(&up, &maker, ("SIDE_BUY", "TRADE_STATUS_WORKING"))).await;
    assert_eq!(texts(&resting, ["agent", "instrument_id"]), ["eplTradingAgent", &format!("{MATCH}-AWAY")], "{resting}");
    let bought = wait_for("its fill", || trade(&up, &maker, ("SIDE_BUY", "TRADE_STATUS_FILLED"))).await;
    assert_eq!(texts(&bought, ["agent", "instrument_id"]), ["eplTradingAgent", &format!("{MATCH}-AWAY")], "{bought}");
    assert_eq!(micros(&bought["average_price_micros"]), 200_000, "{bought}");
    assert!(bought["fee_micros"].is_null(), "whoever waits pays no fee: {bought}");
    assert!(bought["rationale"].as_str().unwrap_or_default().contains("bids"), "{bought}");

    let sold = wait_for("the exit", || trade(&up, &alice, ("SIDE_SELL", "TRADE_STATUS_FILLED"))).await;
    assert_eq!(texts(&sold, ["agent", "instrument_id"]), ["liveTradingAgent", &format!("{MATCH}-HOME")], "{sold}");
    assert_eq!(micros(&sold["filled_quantity_micros"]), 50_000_000, "{sold}");
    assert!(micros(&sold["average_price_micros"]) >= 550_000, "{sold}");
    assert!(sold["rationale"].as_str().unwrap_or_default().contains("take profit"), "{sold}");
    // What it has bought once it does not buy again, and what is cheap in play it keeps: it is no live exit.
    let filled = up.trades_of(&maker).into_iter().filter(|trade| trade["status"] == "TRADE_STATUS_FILLED").count();
    assert_eq!((filled, up.trades_of(&alice).len()), (1, 2));

    let output = tragen(&["replay", "-o", "json", "--nats", up.nats()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&found["differences"], found["fills"].as_u64()), (&0.into(), Some(3)), "{found}");
}
