//! A configured market maker in a whole platform: it quotes both sides of contracts on a match to come, takes old quotes
//! out for new ones while the odds move, leaves none when it is disabled, and is stopped with all of its quotes by a halt.

use crate::rig::{Platform, tragen, wait_until};
use serde_json::Value;
use std::{collections::BTreeMap, fs, future::ready};
use tragen_router::token::Role;

/// The odds move from the opening to the closing ones in the hours before the kick-off.
const MATCHES: &str =
    "match_id,season,date,ko_uk,home,away,ko_utc,fthg,ftag,ftr,ps_h,ps_d,ps_a,bfe_h,bfe_d,bfe_a,psc_h,psc_d,psc_a
EPL-2030-ARS-MCI,2029-30,2030-01-01,14:30,Arsenal,Man City,2030-01-01T14:30:00Z,2,1,H,2,3.6,4,2,3.6,4,1.8,3.8,4.8
";
const CONFIG: &str = "[market_data]
listing_hours = 4
warm_up_hours = 1
";

struct Desk {
    up: Platform,
    maker: String,
    olga: String,
}

impl Desk {
    /// What a command prints.
    fn run(&self, token: &str, line: &str) -> Value {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.extend(["-o", "json", "--endpoint", self.up.endpoint(), "--token", token]);
        let output = tragen(&arguments);
        assert_eq!(output.status.code(), Some(0), "{line}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// The trades of the maker's account, newest first.
    fn trades(&self) -> Vec<Value> {
        self.run(&self.maker, "trade list --limit 500")["trades"].as_array().cloned().unwrap_or_default()
    }

    fn count(&self, status: &str) -> usize {
        self.trades().iter().filter(|trade| trade["status"] == status).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maker_quotes_replaces_its_quotes_leaves_none_and_obeys_a_halt() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (feed, config) = (write("matches.csv", MATCHES), write("tragen.toml", CONFIG));
    let up = Platform::all_in_one(&["--speed", "60", "--feed", &feed, "--config", &config]).await;
    let (maker, olga) = (up.token("maker", Role::Trader), up.token("olga", Role::Operator));
    let mut desk = Desk { up, maker, olga };
    desk.run(&desk.maker, "account deposit --amount 100000");
    let agent = "agents put --id maker-1 --template market_making --instrument EPL-2030 --account maker";
    desk.run(&desk.olga, agent);
    // Both sides of three contracts, and the first ones taken out for others.
    wait_until("quotes are replaced", || {
        ready(desk.count("TRADE_STATUS_WORKING") >= 4 && desk.count("TRADE_STATUS_CANCELED") >= 6)
    })
    .await;
    let trades = desk.trades();
    for trade in &trades {
        assert_eq!((&trade["agent"], &trade["account_id"]), (&"tradingAgent".into(), &"maker".into()), "{trade}");
        let status = trade["status"].as_str().unwrap_or_default();
        assert!(!["TRADE_STATUS_DENIED", "TRADE_STATUS_PENDING"].contains(&status), "{trade}");
        // Nothing of it was ever a taker: whoever rests pays no fee.
        assert!(trade["fee_micros"].is_null() || trade["fee_micros"] == "0", "{trade}");
    }
    let mut in_book: BTreeMap<String, usize> = BTreeMap::new();
    for trade in trades.iter().filter(|trade| trade["status"] == "TRADE_STATUS_WORKING") {
        *in_book.entry(format!("{} {}", trade["instrument_id"], trade["side"])).or_default() += 1;
    }
    assert!(in_book.values().all(|quotes| *quotes == 1), "one a side: {in_book:?}");

    desk.run(&desk.olga, "agents disable maker-1");
    wait_until("who quotes no more leaves nothing", || ready(desk.count("TRADE_STATUS_WORKING") == 0)).await;
    desk.run(&desk.olga, "agents enable maker-1");
    wait_until("it quotes again", || ready(desk.count("TRADE_STATUS_WORKING") >= 2)).await;

    desk.run(&desk.olga, "risk halt --scope agent:maker-1 --reason test");
    wait_until("a halt takes all of them out", || ready(desk.count("TRADE_STATUS_WORKING") == 0)).await;
    let stopped = desk.trades().len();
    // The odds go on to move.
    let ask = || desk.run(&desk.maker, "market quote EPL-2030-ARS-MCI-HOME")["quote"]["ask_price_micros"].clone();
    let before = ask();
    assert!(before.is_string(), "{before}");
    wait_until("the market has moved on", || ready(ask() != before)).await;
    assert_eq!(desk.trades().len(), stopped, "a stopped agent quotes nothing");
    desk.up.stop();
    desk.up.verify();
}
