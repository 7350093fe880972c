//! Copies of a schema of PostgreSQL, by the programs that come with the server:
//! in TRAGEN_POSTGRES_BIN, or else on the PATH.

use super::{OPEN_WAIT, claim, open_turns};
use crate::store::{self, postgres::schema_of, rows::ShardRow};
use anyhow::Context as _;
use futures::TryStreamExt as _;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// What an error of one of the programs is cut to, characters.
const COMPLAINT_MAX: usize = 500;

/// Dumps the schema of `shard` to `part`.
pub(super) async fn dump(store_url: &str, shard: u16, part: &Path) -> anyhow::Result<ShardRow> {
    let schema = schema_of(shard);
    // The dump sees the same state as this transaction, so the row is that of the dump.
    let mut session = store::snapshot(store_url, shard, OPEN_WAIT).await?;
    let snapshot = session.rows::<(String,)>(store::session::Sql::same("SELECT pg_export_snapshot()"), &[]).await?;
    let (snapshot,) = snapshot.into_iter().next().context("taking a snapshot")?;
    let row: Option<ShardRow> = session.stream("shard_id").try_next().await?;
    let row = row.with_context(|| format!("there are no books of shard {shard}"))?;
    let mut command = program("pg_dump", store_url)?;
    command.arg("--format=custom").arg("--lock-wait-timeout=10000");
    command.arg(format!("--schema={schema}")).arg(format!("--snapshot={snapshot}"));
    // Who serves a shard ends with the processes.
    for table in ["lease", "process"] {
        command.arg(format!("--exclude-table-data={schema}.{table}"));
    }
    command.arg("--file").arg(part);
    run(command, "pg_dump").await?;
    drop(session);
    check(part, &schema).await?;
    Ok(row)
}

/// Restores the schema of `shard` out of `from`.
pub(super) async fn restore(store_url: &str, shard: u16, from: &Path) -> anyhow::Result<ShardRow> {
    let schema = schema_of(shard);
    check(from, &schema).await?;
    let mut command = program("pg_restore", store_url)?;
    // All or nothing; a schema that is there makes the first statement fail.
    command.args(["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]);
    command.arg(from);
    run(command, "pg_restore").await.with_context(|| {
        format!("the schema {schema} must not be there: rename it first (ALTER SCHEMA {schema} RENAME TO {schema}_old)")
    })?;
    // It may be from before a migration.
    super::update_tables(store_url, shard).await?;
    super::verified(store_url, shard).await?;
    let turns = open_turns(store_url, shard).await?;
    let row = claim(&turns).await;
    turns.close().await;
    row
}

/// Whether the dump can be read to its end, and is of that schema.
async fn check(dump: &Path, schema: &str) -> anyhow::Result<()> {
    let mut command = Command::new(path_of("pg_restore"));
    // Writes the whole script to nowhere: a dump that was cut short is found.
    command.arg("--file=/dev/null").arg(dump);
    run(command, "pg_restore").await.context("the dump is damaged")?;
    let mut command = Command::new(path_of("pg_restore"));
    command.arg("--list").arg(dump);
    let list = run(command, "pg_restore").await.context("the dump is damaged")?;
    let is_there =
        list.lines().any(|line| line.contains(" TABLE DATA ") && line.contains(&format!(" {schema} shard ")));
    anyhow::ensure!(is_there, "the dump has no schema {schema}");
    Ok(())
}

/// One of the programs, on its way to the database; the password goes where no list of processes shows it.
fn program(name: &str, store_url: &str) -> anyhow::Result<Command> {
    let (url, password) = without_password(store_url)?;
    let mut command = Command::new(path_of(name));
    command.arg("--no-password").arg(format!("--dbname={url}"));
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    Ok(command)
}

async fn run(mut command: Command, name: &str) -> anyhow::Result<String> {
    let done = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let done = done.with_context(|| {
        format!("running {name}: install PostgreSQL's client programs, or set TRAGEN_POSTGRES_BIN to their folder")
    })?;
    if !done.status.success() {
        let complaint: String = String::from_utf8_lossy(&done.stderr).chars().take(COMPLAINT_MAX).collect();
        anyhow::bail!("{name}: {}", complaint.trim_end());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

fn path_of(name: &str) -> PathBuf {
    let folder = std::env::var_os("TRAGEN_POSTGRES_BIN").map(PathBuf::from);
    // A folder with a server alone has no such programs: then those on the PATH.
    folder.map(|folder| folder.join(name)).filter(|path| path.is_file()).unwrap_or_else(|| name.into())
}

/// The url without its password, and the password.
fn without_password(url: &str) -> anyhow::Result<(String, Option<String>)> {
    let (scheme, rest) = url.split_once("://").context("the store is no url")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((user, host)) = authority.rsplit_once('@') else { return Ok((url.to_owned(), None)) };
    let Some((user, password)) = user.split_once(':') else { return Ok((url.to_owned(), None)) };
    Ok((format!("{scheme}://{user}@{host}{path}"), Some(decoded(password)?)))
}

/// Percent-encoded text as it was.
fn decoded(text: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let encoded = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match encoded.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).context("the password in the store's url is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_among_the_arguments() {
        for (url, shown, password) in [
            ("postgres://u:p%40ss%2F@h:5/d?x=1", "postgres://u@h:5/d?x=1", Some("p@ss/")),
            ("postgres://u:100%@h/d", "postgres://u@h/d", Some("100%")),
            ("postgres://u@h/d", "postgres://u@h/d", None),
            ("postgres:///d?host=/tmp", "postgres:///d?host=/tmp", None),
        ] {
            let (without, found) = without_password(url).expect("a url");
            assert_eq!((without.as_str(), found.as_deref()), (shown, password));
        }
    }
}
