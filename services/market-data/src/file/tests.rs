//! Files with planted bad rows, and what is made of them.

use super::*;
use tragen_domain::{market::Timeframe, money::Price};

const LIMITS: Limits = Limits { file_mib_max: 1, rows_max: 1_000 };

const MATCHES: &str =
    "match_id,date,home,away,ko_utc,fthg,ftag,ftr,b365_h,b365_d,b365_a,ps_h,ps_d,ps_a,avg_h,avg_d,avg_a";
const EVENTS: &str = "date,home,away,minute,stoppage,type,side";
const BID_ASK: &str = "ts_utc,bid_o,bid_h,bid_l,bid_c,ask_o,ask_h,ask_l,ask_c";

/// Reads made-up files out of a folder of their own.
fn read_texts(texts: &[(&str, String)]) -> Result<Intake, FileError> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut paths = Vec::new();
    for (name, text) in texts {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        paths.push(path);
    }
    read(&paths, LIMITS)
}

fn read_one(name: &str, header: &str, rows: &[&str]) -> Result<Intake, FileError> {
    read_texts(&[(name, format!("{header}\n{}\n", rows.join("\n")))])
}

/// Reads one good row and each bad one; every bad one must be named as expected.
fn check_bad_rows(name: &str, header: &str, good: &[&str], bad: &[(&str, &str)]) {
    for (row, fault) in bad {
        let rows: Vec<&str> = good.iter().copied().chain([*row]).collect();
        let intake = read_one(name, header, &rows).expect("the good rows are enough");
        let report = &intake.reports()[0];
        let accepted = u64::try_from(good.len()).expect("a count");
        assert_eq!((report.accepted, report.skipped), (accepted, 1), "{row}: {:?}", report.faults);
        let expected = format!("{name}:{}:{fault}", good.len() + 2);
        assert!(report.faults[0].starts_with(&expected), "{row}: {:?} is not {expected}", report.faults);
    }
}

#[test]
fn bad_bars_are_named_and_passed_over() {
    let good = [
        "2030-01-01T10:00:00Z,1.1000,1.1004,1.0998,1.1002,1.1001,1.1005,1.0999,1.1003",
        "2030-01-01T10:01:00Z,1.1002,1.1004,1.1000,1.1001,1.1003,1.1005,1.1001,1.1002",
    ];
    let at = "2030-01-01T10:02:00Z";
    let rest = "1.1002,1.1004,1.1000,1.1001,1.1003,1.1005,1.1001,1.1002";
    let bad = [
        (format!("{at},NaN,1.1004,1.1000,1.1001,1.1003,1.1005,1.1001,1.1002"), "bid_open: \"NaN\" is not a decimal"),
        (format!("{at},-1.1,1.1004,1.1000,1.1001,1.1003,1.1005,1.1001,1.1002"), "bid_open: -1.1 is not above 0"),
        (format!("{at},1.1002,1.0999,1.1000,1.1001,1.1003,1.1005,1.1001,1.1002"), "bid_high: 1.0999 is below"),
        (format!("{at},1.1002,1.1004,1.1000,1.1009,1.1003,1.1005,1.1001,1.1002"), "bid_high: open 1.1002 or close"),
        (format!("{at},1.1002,1.1004,1.1000,1.1001,1.0803,1.0805,1.0801,1.0802"), "ask: is 0.0199 below the bid"),
        (format!("{at},11002,11004,11000,11001,11003,11005,11001,11002"), "price: 11001 is not in line"),
        (format!("{at},1e9,1e9,1e9,1e9,1e9,1e9,1e9,1e9"), "bid_open: \"1e9\" is not a decimal"),
        (format!("{at},99999999999,1,1,1,1,1,1,1"), "bid_open: 99999999999 is too large"),
        (format!("{at},,1.1004,1.1000,1.1001,1.1003,1.1005,1.1001,1.1002"), "bid_open: \"\" is not a decimal"),
        (format!("2030-01-01T10:01:00Z,{rest}"), "time: is a duplicate"),
        (format!("2030-01-01T09:59:00Z,{rest}"), "time: is before"),
        (format!("2030-01-01T10:02:30Z,{rest}"), "time: does not start a bar of 1m"),
        (format!("yesterday,{rest}"), "time: \"yesterday\" is not a time"),
        (format!("{at},1.1"), "row: has 2 fields, the header 9"),
        (format!("{at},\"1.1"), "row: a quote that does not end"),
        (",,,,,,,,".to_owned(), "row: is empty"),
    ];
    let bad: Vec<(&str, &str)> = bad.iter().map(|(row, fault)| (row.as_str(), *fault)).collect();
    check_bad_rows("gbpusd_m1.csv", BID_ASK, &good, &bad);
}

#[test]
fn a_spread_that_crosses_a_little_is_put_at_zero() {
    let rows = [
        "2030-01-01T10:00:00Z,1.1000,1.1004,1.0998,1.1002,1.1001,1.1005,1.0999,1.1001",
        "2030-01-01T10:01:00Z,1.1002,1.1004,1.1000,1.1001,1.1003,1.1005,1.1001,1.1002",
    ];
    let intake = read_one("gbpusd_m1.csv", BID_ASK, &rows).expect("readable");
    let report = &intake.reports()[0];
    assert_eq!((report.accepted, report.skipped, report.repaired), (2, 0, 1));
    let bar = intake.series[0].rows[0];
    assert_eq!((bar.ask.close, bar.ask.high), (bar.bid.close, Price::from_micros(1_100_500)));
}

#[test]
fn symbol_and_length_come_from_columns_names_and_spacing() {
    let header = "symbol,date,open,high,low,close,tick_volume";
    let rows = [
        "AUDUSD,2030-01-01,0.70,0.71,0.69,0.70,10",
        "AUDUSD,2030-01-02,0.70,0.71,0.69,0.70,10",
        "USDJPY,2030-01-01,140,141,139,140,10",
        "USDJPY,2030-01-02,140,141,139,140,10",
        "USDJPY,2030-01-03,140,141,139,140,-1",
    ];
    let intake = read_one("fx.csv", header, &rows).expect("readable");
    let found: Vec<(&str, Timeframe, usize)> =
        intake.series.iter().map(|s| (s.listing.instrument.id.as_str(), s.timeframe, s.rows.len())).collect();
    assert_eq!(found, [("AUDUSD", Timeframe::Day1, 2), ("USDJPY", Timeframe::Day1, 2)]);
    assert!(intake.reports()[0].faults[0].starts_with("fx.csv:6:volume: \"-1\""), "{:?}", intake.reports());
    // One price gets a usual spread.
    let bar = intake.series[0].rows[0];
    assert_eq!(bar.ask.close.micros() - bar.bid.close.micros(), 80);

    let plain = "ts_utc,open,high,low,close,volume";
    let hours = ["2030-01-01T10:00:00Z,100,101,99,100,1", "2030-01-01T11:00:00Z,100,101,99,100,1"];
    let intake = read_one("btcperp.csv", plain, &hours).expect("readable");
    assert_eq!(intake.series[0].listing.instrument.id.as_str(), "BTCUSD-PERP");
    assert_eq!(intake.series[0].timeframe, Timeframe::Hour1);
    let refused = read_one("btcperp_m1.csv", plain, &hours).expect_err("refused").to_string();
    assert_eq!(refused, "btcperp_m1.csv:2: expected rows 60 s apart, as the file's name says, found 3600 s");
}

#[test]
fn files_of_one_instrument_are_joined() {
    let text = |times: &[&str]| {
        let rows = times.iter().map(|time| format!("{time}:00Z,1.1,1.1,1.1,1.1,1\n"));
        format!("ts_utc,open,high,low,close,volume\n{}", rows.collect::<String>())
    };
    let intake = read_texts(&[
        ("eurusd_m1_2030-02.csv", text(&["2030-02-01T00:00", "2030-02-01T00:01"])),
        ("eurusd_m1_2030-01.csv", text(&["2030-01-31T23:58", "2030-01-31T23:59", "2030-02-01T00:00"])),
        ("eurusd_d1.csv", text(&["2030-01-01T00:00", "2030-01-02T00:00"])),
    ])
    .expect("readable");
    assert_eq!(intake.series.len(), 1);
    assert_eq!((intake.series[0].timeframe, intake.series[0].rows.len()), (Timeframe::Minute1, 4));
    let again = &intake.reports()[1];
    assert_eq!((again.accepted, again.skipped), (2, 1), "a minute of both files is counted once");
    let fault = "eurusd_m1_2030-01.csv:4:time: is in a file before this one too: that one counts for EURUSD";
    assert_eq!(again.faults, [fault]);
    assert!(intake.series[0].rows.is_sorted_by_key(|row| row.start));
    let longer = &intake.reports()[2];
    assert_eq!((longer.accepted, longer.skipped, longer.left_out), (0, 0, 2), "minutes are used, not days");
}

#[test]
fn bars_that_are_not_used_count_neither_as_sound_nor_as_wrong() {
    let sound = "1.1,1.1,1.1,1.1,1.1,1.1,1.1,1.1";
    // Put right: the ask is a little below the bid.
    let crossed = "1.1,1.1,1.1,1.1,1.0999,1.0999,1.0999,1.0999";
    let days = format!("{BID_ASK}\n2030-01-01T00:00:00Z,{sound}\n2030-01-02T00:00:00Z,{crossed}\n");
    let minutes = format!("{BID_ASK}\n2030-01-01T00:00:00Z,{sound}\n2030-01-01T00:01:00Z,{sound}\n");
    let check = |texts: [(&str, String); 2]| {
        let intake = read_texts(&texts).expect("readable");
        let told = |name: &str| intake.reports().iter().find(|own| own.file == name).expect("read");
        let (longer, shorter) = (told("eurusd_d1.csv"), told("eurusd_m1.csv"));
        assert_eq!((longer.accepted, longer.skipped, longer.left_out), (0, 0, 2));
        assert_eq!((longer.repaired, longer.repaired_rows), (0, 0));
        assert_eq!((longer.sound_of_all(), shorter.sound_of_all()), ((0, 0), (2, 2)));
        assert_eq!((longer.accuracy(), shorter.accuracy()), (None, Some(1.0)));
    };
    // Whichever is read first.
    check([("eurusd_d1.csv", days.clone()), ("eurusd_m1.csv", minutes.clone())]);
    check([("eurusd_m1.csv", minutes), ("eurusd_d1.csv", days)]);
}

#[test]
fn a_row_that_is_taken_back_was_not_repaired() {
    let row = |time: &str, ask: &str| format!("2030-01-01T{time}Z,1.1,1.1,1.1,1.1,{ask},{ask},{ask},{ask}");
    let check = |rows: &[String], expected: (u64, u64, u64, u64)| {
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let intake = read_one("gbpusd_m1.csv", BID_ASK, &rows).expect("readable");
        let report = &intake.reports()[0];
        let told = (report.accepted, report.skipped, report.repaired, report.repaired_rows);
        assert_eq!(told, expected, "{:?}", report.faults);
        assert_eq!(report.sound_of_all(), (expected.0 - expected.3, expected.0 + expected.1));
    };
    let good = [row("10:00:00", "1.1"), row("10:01:00", "1.1")];
    // One of three lies between two bars, and it is not the last one that was put right.
    let more =
        [row("10:02:00", "1.0999"), row("10:02:30", "1.0999"), row("10:03:00", "1.0999"), row("10:04:00", "1.1")];
    check(&[&good[..], &more].concat(), (5, 1, 2, 2));
    // In a file before this one, too.
    let text = |rows: [String; 2]| format!("{BID_ASK}\n{}\n", rows.join("\n"));
    let intake = read_texts(&[
        ("gbpusd_m1_a.csv", text([row("10:00:00", "1.1"), row("10:01:00", "1.1")])),
        ("gbpusd_m1_b.csv", text([row("10:01:00", "1.0999"), row("10:02:00", "1.1")])),
    ]);
    let intake = intake.expect("readable");
    let second = &intake.reports()[1];
    assert_eq!((second.accepted, second.skipped, second.repaired, second.repaired_rows), (1, 1, 0, 0));
    assert_eq!(second.sound_of_all(), (1, 2));
}

#[test]
fn bad_matches_are_named_and_passed_over() {
    let good = ["M1,2030-01-05,Reds,Blues,2030-01-05T15:00:00Z,2,1,H,2.1,3.4,3.6,2.15,3.5,3.7,2.1,3.45,3.65"];
    let odds = "2.1,3.4,3.6,2.15,3.5,3.7,2.1,3.45,3.65";
    let bad = [
        (format!("M1,2030-01-05,Reds,Blues,2030-01-05T15:00:00Z,2,1,H,{odds}"), "match: M1 is a duplicate"),
        (format!("M2,2030-01-05,Reds,Blues,,2,1,H,{odds}"), "match: Reds v Blues on 2030-01-05 is a duplicate"),
        (format!("M2,05-01-30x,Reds,Blues,,2,1,H,{odds}"), "date: \"05-01-30x\" is not a date"),
        (format!("M2,2030-01-05,,Blues,,2,1,H,{odds}"), "home: a team is missing"),
        (format!("M2,2030-01-05,Reds,Reds,,2,1,H,{odds}"), "away: Reds cannot play itself"),
        (format!("M2,2030-01-05,Reds,Blues,,-1,1,A,{odds}"), "fthg: \"-1\" is not a whole number"),
        (format!("M2,2030-01-05,Reds,Blues,,2,99,A,{odds}"), "ftag: \"99\" is not a whole number"),
        (format!("M2,2030-01-05,Reds,Blues,,2,1,D,{odds}"), "ftr: \"D\" does not fit 2-1"),
        (format!("M2,2030-01-05,Reds,Blues,noon,2,1,H,{odds}"), "ko_utc: \"noon\" is not a time"),
        (format!("M 2,2030-01-05,Reds,Blues,,2,1,H,{odds}"), "match_id: match id may contain only"),
        ("M2,2030-01-05,Reds,Blues,,2,1,H,,,,,,,,,".to_owned(), "odds: no bookmaker has usable odds"),
    ];
    let bad: Vec<(&str, &str)> = bad.iter().map(|(row, fault)| (row.as_str(), *fault)).collect();
    check_bad_rows("m.csv", MATCHES, &good, &bad);
}

#[test]
fn impossible_odds_are_left_out_and_the_match_is_kept() {
    let check = |b365: &str, fault: &str| {
        let row = format!("M1,2030-01-05,Reds,Blues,2030-01-05T15:00:00Z,2,1,H,{b365},2.15,3.5,3.7,2.1,3.45,3.65");
        let intake = read_one("m.csv", MATCHES, &[&row]).expect("readable");
        let report = &intake.reports()[0];
        assert_eq!((report.accepted, report.skipped, report.repaired), (1, 0, 1), "{b365}: {:?}", report.faults);
        assert_eq!(report.sound_of_all(), (0, 1), "a row with a value that was left out is not accurate");
        assert!(report.faults[0].starts_with(&format!("m.csv:2:opening odds of bet365: {fault}")), "{report:?}");
        let books: Vec<&str> = intake.matches[0].opening.books.iter().map(|book| book.bookmaker).collect();
        assert_eq!(books, ["pinnacle"]);
    };
    check("4.0,3.4,3.6", "4 is more than 1.6 times the average 2.1");
    check("1.0,3.4,3.6", "the odds 1 are not above 1");
    check("2.1,-3.4,3.6", "the odds -3.4 are not above 1");
    check("2.1,,3.6", "\"\" is not a decimal");
    check("2.1,NaN,3.6", "\"NaN\" is not a decimal");
    check("2.1,3.4,5000", "the odds 5000 are too large");
}

#[test]
fn what_is_not_read_or_not_meant_so_is_said() {
    let header = "season,Date,Time,HomeTeam,AwayTeam,FTHG,FTAG,mood,PSH,PSD,PSA,,";
    let row = "2029-31,31/03/30,13:30,Reds,Blues,0,0,grim,2.1,3.4,3.6,,";
    let skipped = "2029-30,31/03/30,01:30,Greens,Whites,0,0,grim,2.1,3.4,3.6,,";
    let intake = read_one("E0.csv", header, &[row, skipped]).expect("readable");
    let report = &intake.reports()[0];
    assert_eq!((report.accepted, report.skipped, report.repaired), (1, 1, 1), "{:?}", report.faults);
    assert!(report.faults[0].starts_with("E0.csv:2:season: \"2029-31\" is not a season"), "{:?}", report.faults);
    assert!(report.faults[1].starts_with("E0.csv:3:time: \"01:30\" does not exist"), "{:?}", report.faults);
    assert_eq!(report.unread, ["mood"]);
    assert_eq!(intake.matches[0].season_first_year, 2029);
}

#[test]
fn native_columns_make_ids_of_day_and_teams() {
    let header = "Div,Date,Time,HomeTeam,AwayTeam,FTHG,FTAG,FTR,B365H,B365D,B365A,BFEH,BFED,BFEA,PSCH,PSCD,PSCA";
    let row = "E0,06/07/30,12:30,Nott'm Forest,West Ham,0,0,D,2.1,3.4,3.6,2.4,3.5,3.1,2.2,3.5,3.7";
    let intake = read_one("E0.csv", header, &[row]).expect("readable");
    let game = &intake.matches[0];
    assert_eq!(game.id.as_str(), "EPL-20300706-NOTTMFOREST-WESTHAM");
    assert_eq!(game.kickoff.micros(), 1_909_567_800_000_000, "11:30 UTC in summer");
    assert!(game.closing.books[0].is_sharp() && !game.opening.books[0].is_sharp());
    // The venue follows the exchange, not the bookmakers.
    assert!((game.opening.venue[0] - 1.0 / 2.4).abs() < 0.01, "{:?}", game.opening.venue);
}

#[test]
fn bad_events_are_named_and_passed_over() {
    let matches = format!(
        "{MATCHES}\nM1,2030-01-05,Reds,Blues,2030-01-05T15:00:00Z,2,1,H,2.1,3.4,3.6,2.15,3.5,3.7,2.1,3.45,3.65\n"
    );
    let good = "2030-01-05,Reds,Blues,90,3,GOAL,H\n2030-01-05,Reds,Blues,12,0,PENALTY_GOAL,H\n\
                2030-01-05,Reds,Blues,45,1,OWN_GOAL,A\n2030-01-05,Reds,Blues,30,0,YELLOW,A\n\
                2030-01-05,Reds,Blues,60,0,SECOND_YELLOW,A";
    for (row, fault) in [
        ("2030-01-05,Reds,Blues,0,0,GOAL,H", "minute: 0 is not a minute"),
        ("2030-01-05,Reds,Blues,91,0,GOAL,H", "minute: \"91\" is not"),
        ("2030-01-05,Reds,Blues,12,2,GOAL,H", "stoppage: minute 12 has no stoppage"),
        ("2030-01-05,Reds,Blues,12,0,THROW_IN,H", "type: \"THROW_IN\" is not an event"),
        ("2030-01-05,Reds,Blues,12,0,GOAL,X", "side: \"X\" is neither"),
        ("2030-02-31,Reds,Blues,12,0,GOAL,H", "date: "),
    ] {
        let events = format!("{EVENTS}\n{good}\n{row}\n");
        let intake = read_texts(&[("m.csv", matches.clone()), ("e.csv", events)]).expect("readable");
        let report = &intake.reports()[1];
        assert_eq!((report.accepted, report.skipped), (5, 1), "{row}: {:?}", report.faults);
        assert!(report.faults[0].starts_with(&format!("e.csv:7:{fault}")), "{row}: {:?}", report.faults);
        let minutes: Vec<u8> = intake.matches[0].incidents.iter().map(|incident| incident.minute).collect();
        assert_eq!(minutes, [12, 45, 60, 90]);
    }
}

#[test]
fn goals_that_do_not_add_up_are_placed_at_even_minutes() {
    let matches = format!(
        "{MATCHES}\nM1,2030-01-05,Reds,Blues,2030-01-05T15:00:00Z,2,1,H,2.1,3.4,3.6,2.15,3.5,3.7,2.1,3.45,3.65\n"
    );
    let events = format!("{EVENTS}\n2030-01-05,Reds,Blues,12,0,GOAL,H\n");
    let intake = read_texts(&[("m.csv", matches), ("e.csv", events)]).expect("readable");
    let goals: Vec<(u8, bool)> = intake.matches[0].incidents.iter().map(|i| (i.minute, i.is_home)).collect();
    assert_eq!(goals, [(22, true), (45, false), (67, true)]);
}

#[test]
fn files_that_are_not_what_they_say_are_refused() {
    let check = |name: &str, text: &str, expected: &str| {
        let refused = read_texts(&[(name, text.to_owned())]).expect_err("refused").to_string();
        assert!(refused.starts_with(expected), "{refused}");
    };
    check("x.csv", "a,b\n1,2\n", "x.csv:1: expected a header of matches");
    check("x.csv", "", "x.csv:1: expected a header of matches");
    check("r.csv", "Date,HomeTeam,AwayTeam,FTHG,FTAG\n2030-01-05,A,B,1,0\n", "r.csv:1: expected odds such as B365H");
    check("gbpusd_m1.csv", &format!("{BID_ASK}\n"), "gbpusd_m1.csv: none of 0 rows is usable; the first: it has no");
    check("gbpusd_m1.csv", &format!("{BID_ASK}\nx,1\n"), "gbpusd_m1.csv: none of 1 rows is usable; the first: gbp");
    check("gbpusd.csv", "ts_utc,bid_c,ask_c\n", "gbpusd.csv:1: expected a column bid_o, found none");
    check(
        "gbpusd.csv",
        &format!("{BID_ASK},bid_c\n"),
        "gbpusd.csv:1: expected one column bid_c, found it again as column",
    );
    check("x.csv", "\u{1b}[2J,b\n1,2\n", "x.csv:1: expected a header of matches");
    let raw = read_texts(&[("x.csv", "\u{1b}[2J,b\n".to_owned())]).expect_err("refused").to_string();
    assert!(!raw.contains('\u{1b}') && raw.contains("u{1b}"), "{raw}");
    check("e.csv", &format!("{EVENTS}\n2030-01-05,A,B,1,0,GOAL,H\n"), "none of the 1 files holds bars");
    let missing = read(&["/no/such/file.csv".into()], LIMITS).expect_err("refused").to_string();
    assert_eq!(missing, "reading /no/such/file.csv");
}

#[test]
fn limits_are_kept() {
    let rows: Vec<String> = (0..1_001).map(|n| format!("2030-01-{:02},{n}", n % 28 + 1)).collect();
    let text = format!("date,open,high,low,close\n{}\n", rows.join("\n"));
    let refused = read_texts(&[("gbpusd_d1.csv", text)]).expect_err("refused").to_string();
    assert!(refused.contains("none of 1001 rows"), "{refused}");
    let large = "x".repeat(3 << 20);
    let refused = read_texts(&[("gbpusd_d1.csv", large)]).expect_err("refused").to_string();
    assert!(refused.contains("has 3 MiB, at most 1 are read (market_data.file_mib_max)"), "{refused}");
}

#[test]
fn in_a_folder_unknown_files_are_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("a.csv", "some,thing\n1,2\n");
    write("notes.txt", "not read");
    write("gbpusd_d1.csv", "date,open,high,low,close\n2030-01-01,1.1,1.1,1.1,1.1\n");
    let intake = read(&[folder.path().to_owned()], LIMITS).expect("readable");
    assert_eq!(intake.reports().len(), 1);
}

#[test]
fn names_of_files_tell_whose_bars_they_hold() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["gbpusd_m1.csv", "btcperp_m1_2022-01.csv", "epl_matches.csv", "prices.csv", "gbpusd_h4.csv"] {
        std::fs::write(folder.path().join(name), "").expect("written");
    }
    let other = tempfile::tempdir().expect("a folder");
    let by_itself = other.path().join("eurusd_d1.csv");
    std::fs::write(&by_itself, "").expect("written");
    let named = named_instruments(&[folder.path().to_owned(), by_itself]).expect("readable");
    let named: Vec<&str> = named.iter().map(|id| id.as_str()).collect();
    assert_eq!(named, ["BTCUSD-PERP", "EURUSD", "GBPUSD"]);
}
