//! The commands against a running system: what they print, and their exit codes.

use crate::rig::{Platform, tragen};
use serde_json::Value;
use std::process::Output;
use tragen_router::token::Role;

/// Runs a command with `token`.
fn run(up: &Platform, token: &str, line: &str) -> Output {
    let mut arguments: Vec<&str> = line.split(' ').collect();
    arguments.extend(["--endpoint", up.endpoint(), "--token", token]);
    tragen(&arguments)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn check(output: &Output, code: i32, said: &str) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(said), "{said:?} is not in {text}");
    assert!(!text.contains("panicked") && !text.contains("Status {"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_print_and_end_as_they_say() {
    let mut up = Platform::all_in_one(&[]).await;
    let (alice, olga) = (up.token("alice", Role::Trader), up.token("olga", Role::Operator));

    check(&run(&up, &alice, "trade list"), 0, "No trades yet.");
    check(&run(&up, &alice, "account positions"), 0, "No open positions.");
    check(&run(&up, &alice, "agents ls"), 0, "No agents of yours; an operator sees all.");
    check(&run(&up, &olga, "dlq ls"), 0, "No dead letters.");
    check(&run(&up, &alice, "account deposit --amount 1000.50"), 0, "1000.5 USD");
    let placed = run(&up, &alice, "trade place --instrument GBPUSD --side buy --quantity 1000 -o json");
    let trade = json(&placed);
    assert_eq!(trade["status"], "TRADE_STATUS_FILLED", "{trade}");
    let id = trade["trade_id"].as_str().expect("an id");
    check(&run(&up, &alice, &format!("trade get {id}")), 0, "FILLED");
    let request = trade["request_id"].as_str().expect("an id");
    check(&run(&up, &alice, &format!("trade get {request}")), 0, id);
    assert_eq!(json(&run(&up, &alice, "trade list -o json"))["trades"].as_array().map(Vec::len), Some(1));
    check(&run(&up, &alice, "account positions"), 0, "GBPUSD");
    check(&run(&up, &alice, "account transfers"), 0, "DEPOSIT");
    check(&run(&up, &alice, "account withdraw --amount 5000"), 3, "INSUFFICIENT_FUNDS");
    check(&run(&up, &alice, "trade place --instrument GBPUSD --side buy --quantity 900000"), 3, "DENIED");
    check(
        &run(
            &up,
            &alice,
            "trade place --instrument GBPUSD --side buy --quantity 1 --request-id 5b3f6a9e-0c1d-4e2f-8a3b-4c5d6e7f8091",
        ),
        1,
        "request_id",
    );
    check(&run(&up, &alice, "trade place --instrument GBPUSD --side buy --quantity ten"), 2, "--quantity");
    check(&run(&up, &alice, "market quote GBPUSD"), 0, "ask");
    post_only_orders(&up, &alice);
    check(&run(&up, &alice, "market ls"), 0, "BTCUSD-PERP");
    check(
        &run(&up, &alice, "risk halt --reason no"),
        1,
        "this needs the role operator (ROLE_REQUIRED); see tragen token --role operator",
    );

    check(&run(&up, &olga, "agents put --id s-1 --strategy scalper --instrument GBPUSD --account agent-s-1"), 0, "s-1");
    assert_eq!(json(&run(&up, &olga, "agents ls -o json"))["agents"].as_array().map(Vec::len), Some(1));
    check(&run(&up, &olga, "agents get nobody"), 1, "");
    agents_commands(&up, &olga);
    check(&run(&up, &olga, "status"), 0, "risk-guard");
    check(&run(&up, &olga, "dlq ls -o json"), 0, "\"dead_letters\": []");
    check(&run(&up, &olga, "costs"), 0, "USD since");
    check(&run(&up, &olga, "risk halt --scope instrument:GBPUSD --reason test"), 0, "have confirmed");
    check(&run(&up, &olga, "risk status"), 0, "instrument:GBPUSD");
    risk_commands(&up, &olga);
    check(&run(&up, &alice, "trade place --instrument GBPUSD --side buy --quantity 1000"), 3, "TRADING_HALTED");
    check(&tragen(&["probe", &format!("{}/ready", up.endpoint())]), 0, "");
    check(&tragen(&["probe", &format!("{}/nothing", up.endpoint())]), 1, "404");
    check(&tragen(&["status", "--endpoint", "http://127.0.0.1:1"]), 1, "no API answers at http://127.0.0.1:1");
    check(&tragen(&["status", "--endpoint", up.endpoint()]), 1, "tragen token");

    let data_dir = up.data_dir().to_owned();
    let data_dir = data_dir.to_str().expect("a path");
    check(&tragen(&["up", "--data-dir", data_dir]), 1, "is in use by another `tragen up`");
    let token = tragen(&["token", "--data-dir", data_dir, "--account", "bob", "--role", "risk_admin"]);
    check(&token, 0, "ey");
    let file = up.data_dir().join("tokens.txt");
    let many = ["token", "--data-dir", data_dir, "--count", "3", "--out", file.to_str().expect("a path")];
    check(&tragen(&many), 0, "");
    let lines = std::fs::read_to_string(file).expect("tokens");
    assert_eq!(lines.lines().filter(|line| line.starts_with("load-") && line.contains(" ey")).count(), 3, "{lines}");

    up.stop();
    check(&tragen(&["ledger", "verify", "--data-dir", data_dir]), 0, "Everything is equal");
    books_in_folders_that_are_not_there(data_dir);
}

fn post_only_orders(up: &Platform, alice: &str) {
    let quote = json(&run(up, alice, "market quote GBPUSD -o json"));
    let price = |side: &str, away: i64| {
        let micros: i64 = quote["quote"][side].as_str().and_then(|text| text.parse().ok()).expect("a price");
        format!("{}.{:06}", (micros + away) / 1_000_000, (micros + away) % 1_000_000)
    };
    let place = |limit: &str, more: &str| {
        run(up, alice, &format!("trade place --instrument GBPUSD --side buy --quantity 1000 --limit {limit} {more}"))
    };
    // A percent on either side, further than the sample market moves in a moment.
    let (above, below) = (price("ask_price_micros", 15_000), price("bid_price_micros", -15_000));
    check(&place(&above, "--tif gtc --post-only"), 3, "POST_ONLY_WOULD_TRADE");
    check(&place(&below, "--post-only"), 1, "a post-only order must be able to rest");
    let rests = json(&place(&below, "--tif gtc --post-only -o json"));
    assert_eq!(rests["status"], "TRADE_STATUS_WORKING", "{rests}");
    let id = rests["trade_id"].as_str().expect("an id");
    check(&run(up, alice, &format!("trade cancel {id}")), 0, "CANCELED");
    check(&run(up, alice, "trade place --instrument GBPUSD --side buy --quantity 1 --post-only"), 2, "--limit");
    let asked = "analyze what-if --instrument GBPUSD --side buy --quantity 1000 --post-only --limit";
    check(&run(up, alice, &format!("{asked} {below}")), 0, "");
}

/// The data folder is made where it is missing. A place that an operator has named is not: its disk may be away.
fn books_in_folders_that_are_not_there(data_dir: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).to_str().expect("a path").to_owned();
    let (copy, file) = (place("copy"), place("file"));
    check(&tragen(&["ledger", "backup", "--data-dir", data_dir, "--out", &copy]), 0, "head hash");
    check(&tragen(&["ledger", "export", "--data-dir", data_dir, "--out", &file]), 0, "head hash");
    for (command, flag, from) in [("restore", "--from", &copy), ("import", "--in", &file)] {
        let missing = place(&format!("{command}/nothing"));
        let said = format!("at {missing}");
        check(&tragen(&["ledger", command, "--data-dir", &place("unmade"), flag, &missing]), 1, &said);
        assert!(!folder.path().join("unmade").exists(), "{command} of nothing makes no folder");
        let new = place(&format!("{command}/deep/data"));
        check(&tragen(&["ledger", command, "--data-dir", &new, flag, from]), 0, "head hash");
        check(&tragen(&["ledger", "verify", "--data-dir", &new]), 0, "Everything is equal");
        let away = place(&format!("{command}-away"));
        let said = format!("there is no folder {away} for the books {away}/ledger.db: make it (mkdir -p), mount");
        let store = format!("sqlite://{away}/ledger.db");
        check(&tragen(&["ledger", command, "--store", &store, flag, from]), 1, &said);
    }
    for (command, of_what) in [("backup", "the copy"), ("export", "the file")] {
        let away = place("away");
        let said = format!("there is no folder {away} for {of_what} {away}/out");
        check(&tragen(&["ledger", command, "--data-dir", data_dir, "--out", &format!("{away}/out")]), 1, &said);
    }
}

/// The registry as a file and back: what was imported is exported, and a second import changes nothing.
fn agents_commands(up: &Platform, olga: &str) {
    check(&run(up, olga, "agents disable s-1"), 0, "s-1 is disabled (version 2)");
    check(&run(up, olga, "agents disable s-1"), 0, "s-1 is disabled (version 2)");
    check(&run(up, olga, "agents enable s-1 nobody"), 1, "there is no such agent");
    let put = "agents put --id s-2 --template swing --risk-tolerance 2 --instrument EURUSD --account fund";
    check(&run(up, olga, put), 0, "4h");
    check(&run(up, olga, "agents put --id s-3 --instrument EURUSD --account fund"), 2, "--strategy");

    let file = up.data_dir().join("agents.toml");
    // As many of each kind: no strategy or timeframe has more than its share.
    let kinds = [("scalping", "1m"), ("swing", "4h"), ("conservative", "1d"), ("value_bettor", "1h")];
    let many: String = (0..300)
        .map(|n| {
            let (template, bars) = kinds[n % kinds.len()];
            format!(
                "[[agent]]\nid = \"many-{n}\"\ntemplate = \"{template}\"\ntimeframe = \"{bars}\"\naccount = \"fund\"\ninstruments = [\"GBPUSD\"]\n"
            )
        })
        .collect();
    let path = file.to_str().expect("a path");
    std::fs::write(&file, format!("{many}risk_tolerance = 11\n")).expect("a file");
    check(&run(up, olga, &format!("agents import {path}")), 1, "agents.toml:1801: risk_tolerance: from 1 to 10");
    let count = || json(&run(up, olga, "agents ls -o json"))["agents"].as_array().map(Vec::len);
    assert_eq!(count(), Some(2), "nothing of a bad file is stored");

    std::fs::write(&file, many).expect("a file");
    check(
        &run(up, olga, &format!("agents import --dry-run {path}")),
        0,
        "would be 300 created, 0 changed, 0 unchanged",
    );
    check(&run(up, olga, &format!("agents import {path}")), 0, "300 created, 0 changed, 0 unchanged");
    check(&run(up, olga, &format!("agents import {path}")), 0, "0 created, 0 changed, 300 unchanged");
    assert_eq!(count(), Some(302));
    let exported = run(up, olga, "agents export").stdout;
    std::fs::write(&file, &exported).expect("a file");
    check(&run(up, olga, &format!("agents import {path}")), 0, "0 created, 0 changed, 302 unchanged");
    std::fs::write(&file, String::from_utf8_lossy(&exported).replace("risk_tolerance = 2", "risk_tolerance = 4"))
        .expect("a file");
    check(&run(up, olga, &format!("agents import {path}")), 0, "0 created, 1 changed, 301 unchanged");
    let alice = up.token("alice", Role::Trader);
    check(&run(up, &alice, &format!("agents import {path}")), 1, "this needs the role operator");
}

/// Reductions, the flatten lane, a shut down agent, what is told of all that, and the way back.
fn risk_commands(up: &Platform, olga: &str) {
    check(&run(up, olga, "risk reduce --scope account:bob --factor 0.5 --command-id c-1"), 0, "REDUCING");
    check(&run(up, olga, "risk reduce --scope account:bob --factor 0.5 --command-id c-1"), 0, "known already");
    check(&run(up, olga, "risk reduce --scope account:bob --factor 0.1 --command-id c-1"), 1, "COMMAND_REUSED");
    check(&run(up, olga, "risk reduce --factor 2"), 2, "2 is not a share from 0 (flat) to 1 (unchanged)");
    check(&run(up, olga, "risk flatten --account bob"), 1, "this needs the role risk_admin");
    let rita = up.token("rita", Role::RiskAdmin);
    check(&run(up, &rita, "risk flatten --account bob --command-id f-1"), 0, "0 of 0 are at their target");
    check(&run(up, &rita, "risk flatten --account a.b"), 1, "account_id");
    check(&run(up, olga, "risk shutdown-agent s-1 --reason wild"), 0, "agent:s-1");
    let history = json(&run(up, olga, "risk history -o json"));
    let told: Vec<&str> = history["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|c| &c["reason"])
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(told, ["wild", "UNSPECIFIED", "UNSPECIFIED", "UNSPECIFIED", "test", "first start"], "{history}");
    check(&run(up, olga, "risk history --limit 1"), 0, "wild");
    check(&run(up, &rita, "risk propose-resume --scope agent:s-1 --reason calm"), 0, "agent:s-1 is HALTED since");
    check(&run(up, olga, "risk status"), 0, "calm");
    limits_commands(up, olga, &rita);
    let ghost = run(up, olga, "risk halt --scope account:ghost --reason test");
    check(&ghost, 0, "warning: nothing named account:ghost is known");
    assert!(!String::from_utf8_lossy(&ghost.stdout).contains("agents"), "no agent is stopped by it: {ghost:?}");
    let unknown = run(up, olga, "risk halt --scope pool:scalping --reason test");
    check(
        &unknown,
        0,
        "warning: nothing named pool:scalping is known; known pools: conservative, live_exit, market_maker, scalper, swing, user, value, value_maker",
    );
    let said = String::from_utf8_lossy(&unknown.stdout);
    let words: Vec<&str> = said.split_whitespace().take(4).collect();
    assert_eq!(words, ["scope", "pool:scalping", "state", "HALTED"], "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.ends_with("a risk_admin: tragen risk propose-resume --scope pool:scalping --reason ..."), "{said}");
}

/// Limits that are on say so, those that cannot act say why, and a change for nobody is said.
fn limits_commands(up: &Platform, olga: &str, rita: &str) {
    let limits = json(&run(up, olga, "risk limits show -o json"));
    let of = |name: &str| {
        let all = limits["limits"].as_array().expect("limits");
        all.iter().find(|limit| limit["name"] == name).expect("the limit")["off_because"].clone()
    };
    assert_eq!(of("agent_loss_halt_ppm").as_str().unwrap_or_default(), "");
    assert_eq!(of("day_loss_reduce_ppm"), "no house account is configured", "{limits}");
    assert_eq!(of("memory_scale_down_ppm").as_str().unwrap_or_default(), "", "the machine has a limit");
    check(&run(up, olga, "risk limits show"), 0, "off: no house account is configured");
    let propose = |more: &str| run(up, rita, &format!("risk limits propose {more} --reason test"));
    check(
        &propose("day_loss_reduce_ppm 40000 --id alice"),
        1,
        "day_loss_reduce_ppm has one value for all: it cannot be set for alice (LIMIT_HAS_ONE_VALUE)",
    );
    check(&propose("trade_max_ppm 40000 --id ghost"), 0, "warning: nothing named account:ghost is known");
    check(&propose("agent_loss_halt_ppm 20000 --id nobody"), 0, "warning: nothing named agent:nobody is known");
    check(&propose("day_loss_reduce_ppm 45000"), 0, "warning: day_loss_reduce_ppm is off: no house account");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_answer_from_the_command_line() {
    let mut up = Platform::all_in_one(&[]).await;
    let alice = up.token("alice", Role::Trader);
    check(&run(&up, &alice, "account deposit --amount 1000"), 0, "1000 USD");

    check(&run(&up, &alice, "analyze scout EPL-2026-ARS-MCI"), 0, "eplScoutAgent");
    let scout = json(&run(&up, &alice, "analyze scout EPL-2026-ARS-MCI -o json"));
    let best = &scout["scout"]["opportunities"][0];
    assert!(best["edge_bps"].as_i64().is_some_and(|edge| edge >= 500), "the sample's first match has value: {scout}");
    check(&run(&up, &alice, "analyze scout EPL-2026-ARS-MCY"), 1, "EPL-2026-ARS-MCI");
    check(&run(&up, &alice, "analyze research EPL-2026-ARS-MCI"), 0, "Arsenal wins");
    check(&run(&up, &alice, "analyze research --home Arsenal --away Liverpol"), 1, "Liverpool");
    let season = "analyze calibration --model dixon-coles --from 2025-08-15 --to 2026-05-31";
    check(&run(&up, &alice, season), 0, "that of the closing line");
    check(&run(&up, &alice, "analyze scan"), 0, "scannerAgent");

    let what_if = "analyze what-if --instrument EPL-2026-ARS-MCI-HOME --side buy --quantity";
    check(&run(&up, &alice, &format!("{what_if} 10")), 0, "It would be approved");
    check(&run(&up, &alice, &format!("{what_if} 900000")), 3, "It would be denied");
    let mistyped = "analyze what-if --instrument GBPUSDD --side buy --quantity 10";
    check(&run(&up, &alice, mistyped), 3, "there is no instrument \"GBPUSDD\"; the nearest are GBPUSD");
    check(&run(&up, &alice, "analyze portfolio"), 0, "No contract of a match is held.");
    let buy = "trade place --instrument EPL-2026-ARS-MCI-HOME --side buy --quantity 10";
    check(&run(&up, &alice, buy), 0, "FILLED");
    check(&run(&up, &alice, "analyze portfolio"), 0, "EPL-2026-ARS-MCI ");

    let mandate = "trade mandate --match EPL-2026-ARS-MCI --budget 20 --agent";
    for agent in ["eplTradingAgent", "contextAwareAgent"] {
        check(&run(&up, &alice, &format!("{mandate} {agent}")), 0, agent);
    }
    check(&run(&up, &alice, &format!("{mandate} liveTradingAgent")), 3, "opens nothing");
    up.stop();
}

#[test]
fn what_is_missing_or_wrong_is_said_in_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().to_str().expect("a path");
    check(&tragen(&["ledger", "verify", "--data-dir", data_dir]), 1, "there are no books at");
    let missing = folder.path().join("typo");
    let missing = missing.to_str().expect("a path");
    check(&tragen(&["token", "--data-dir", missing, "--account", "bob"]), 1, "there is no folder");
    assert!(!std::path::Path::new(missing).exists(), "nothing is made where a folder was mistyped");
    let made = tragen(&["token", "--data-dir", data_dir, "--account", "bob"]);
    assert!(String::from_utf8_lossy(&made.stderr).contains("made a new key in"), "{made:?}");
    let again = tragen(&["token", "--data-dir", data_dir, "--account", "bob"]);
    assert!(again.stderr.is_empty(), "{again:?}");
    check(&tragen(&["token", "--data-dir", data_dir, "--account", "a.b"]), 1, "--account: account id may contain only");
    check(&tragen(&["risk", "reduce", "--scope", "account:bob", "--factor", "-1"]), 2, "-1 is not a share from 0");
    check(&tragen(&["risk", "reduce", "--scope", "account:bob", "--factor", "-0.5"]), 2, "is not a share from 0");
    check(&tragen(&["probe", "http://127.0.0.1:1/"]), 1, "connecting to 127.0.0.1:1");
    check(&tragen(&["doctor", "--data-dir", data_dir]), 0, "nats-server");
    let config = folder.path().join("tragen.toml");
    std::fs::write(&config, "[router]\nlisen = 1\n").expect("a file");
    let config = config.to_str().expect("a path");
    check(&tragen(&["up", "--data-dir", data_dir, "--config", config]), 1, "lisen");
    check(&tragen(&["up", "--nonsense"]), 2, "--nonsense");
    check(&tragen(&["ledger", "verify", "--store", "garbage"]), 1, "is neither sqlite nor a postgres:// address");
    check(&tragen(&["up", "--data-dir", data_dir, "--feed", "smaple"]), 1, "is neither sample, none nor a file");
    check(&tragen(&["status", "--endpoint", "https://127.0.0.1:1"]), 1, "this client speaks http only");
    check(&tragen(&["status", "--endpoint", "127.0.0.1:1"]), 1, "is not a URL such as http://127.0.0.1:8080");
    check(&tragen(&["trade", "get", "abc"]), 2, "\"abc\" is not a UUID");
    // It takes connections and never says anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("an address"));
    let place = ["trade", "place", "--instrument", "GBPUSD", "--side", "buy", "--quantity", "1", "--wait", "1"];
    let place = tragen(&[&place[..], &["--endpoint", &endpoint, "--token", "x"]].concat());
    check(&place, 1, "the same command with --request-id 01");
}
