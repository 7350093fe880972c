//! The command as somebody types it.

use std::process::{Command, Stdio};

fn loadtest(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tragen-loadtest"));
    command.args(arguments.split(' ')).stdin(Stdio::null());
    command
}

#[test]
fn a_reader_who_has_had_enough_is_no_error() -> anyhow::Result<()> {
    let mut child = loadtest("plan").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    Ok(())
}

#[test]
fn a_sweep_that_begins_above_its_end_is_refused() -> anyhow::Result<()> {
    let output = loadtest("sweep --tokens none --from 100 --to 50").output()?;
    let said = String::from_utf8(output.stderr)?;
    assert!(output.status.code() == Some(1) && said.contains("--from 100 is above --to 50"), "{said}");
    Ok(())
}

#[test]
fn a_plan_says_of_every_figure_where_it_comes_from() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("report.json");
    let processes = serde_json::json!([{ "name": "router", "cpu_micros_per_trade": 123 }]);
    std::fs::write(&file, serde_json::json!([{ "usage": { "processes": processes } }]).to_string())?;
    let output = loadtest(&format!("plan --cores 8 --measured {}", file.display())).output()?;
    let said = String::from_utf8(output.stdout)?;
    for (figure, value, origin) in [
        ("cpu_micros_router", "123", "from the report"),
        ("cores", "8", "as you say"),
        ("shard_per_second_max", "16900", "measured: "),
        ("memory_bytes_idle", "157286400", "ASSUMED: "),
        ("server_cores", "8", "a choice"),
    ] {
        let is_it = |line: &&str| {
            let mut words = line.split_whitespace();
            words.next() == Some(figure) && words.next() == Some(value) && line.contains(origin)
        };
        assert!(said.lines().any(|line| is_it(&line)), "{figure} {value} {origin}: {said}");
    }
    Ok(())
}
