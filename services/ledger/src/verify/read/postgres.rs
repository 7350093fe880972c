//! PostgreSQL: tables come by COPY in binary form, on connections that share an
//! exported snapshot. It needs no more than the right to SELECT.

use super::{PAGE_BYTES, Pages, start};
use anyhow::Context as _;
use futures::TryStreamExt as _;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use tokio::runtime::Builder;

/// What precedes the rows: a signature, flags, and the length of an extension that there is none of.
const HEADER_BYTES: usize = 19;

/// Sends the rows of `select`.
pub(super) fn scan(options: &PgConnectOptions, snapshot: &str, select: &str, mut out: Pages) {
    // A runtime of its own: whoever reads waits for nobody else's work.
    let done = Builder::new_current_thread().enable_all().build().context("starting to read").and_then(|runtime| {
        runtime.block_on(async {
            let mut connection = options.connect().await.context("connecting to the ledger's database")?;
            copy(&mut connection, snapshot, select, &mut out).await
        })
    });
    if let Err(error) = done {
        out.fail(error);
    }
}

async fn copy(connection: &mut PgConnection, snapshot: &str, select: &str, out: &mut Pages) -> anyhow::Result<()> {
    // Rows lie in the order they were written: an index finds them in order faster than a sort puts them in order.
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{snapshot}';
         SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off;
         SET LOCAL statement_timeout = 0"
    );
    sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *connection).await.context("sharing the snapshot")?;
    let statement = format!("COPY ({select}) TO STDOUT (FORMAT binary)");
    let mut rows = connection.copy_out_raw(&statement).await.with_context(|| format!("reading: {select}"))?;
    let (mut is_begun, mut whole) = (false, 0);
    while let Some(bytes) = rows.try_next().await.with_context(|| format!("reading: {select}"))? {
        out.page.extend_from_slice(&bytes);
        if !is_begun {
            if out.page.len() < HEADER_BYTES {
                continue;
            }
            out.page.drain(..HEADER_BYTES);
            is_begun = true;
        }
        // A message is a row today; nothing promises that.
        while let Some(length) = length_of_row(&out.page[whole..]) {
            whole += length;
        }
        if whole >= PAGE_BYTES && !out.send(std::mem::take(&mut whole)) {
            return Ok(());
        }
    }
    out.send(whole);
    Ok(())
}

/// How long the row is that `bytes` begin with; `None` if it is not whole, or no row.
fn length_of_row(bytes: &[u8]) -> Option<usize> {
    let (mut columns, count) = start(bytes).ok()?;
    // The end of all rows is a count of -1.
    let count = usize::try_from(count).ok()?;
    for _ in 0..count {
        columns.next().ok()?;
    }
    Some(bytes.len() - columns.0.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_rows_are_counted() {
        let mut row = 2_i16.to_be_bytes().to_vec();
        row.extend([0, 0, 0, 3, b'a', b'b', b'c', 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(length_of_row(&row), Some(13));
        assert_eq!(length_of_row(&[row.as_slice(), &[0]].concat()), Some(13));
        for length in 0..13 {
            assert_eq!(length_of_row(&row[..length]), None, "{length} bytes");
        }
        assert_eq!(length_of_row(&(-1_i16).to_be_bytes()), None);
    }
}
