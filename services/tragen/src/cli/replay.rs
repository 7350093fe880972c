//! `tragen replay`: runs a recorded day again and shows what comes out otherwise.

use crate::{
    Verdict,
    output::{Format, print},
    replay::{Comparison, Decisions, Looked, Looks, MadeAgain, Pools, Unmatched},
};
use anyhow::Context as _;
use clap::Args;
use prost::Message;
use std::path::{Path, PathBuf};
use tragen_bus::{Bus, StartAt, Stream};
use tragen_host::{Lifecycle, trace::Spans};
use tragen_risk_guard::replay::{JournalReader, JournalWriter, Replay};

/// The recordings in a folder.
const FILES: [(Stream, &str); 6] = [
    (Stream::Journal, "journal"),
    (Stream::Executions, "executions"),
    (Stream::Ledger, "ledger"),
    (Stream::Bars, "bars"),
    (Stream::Pools, "pools"),
    (Stream::Looks, "looks"),
];

/// Which day.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tragen replay --nats nats://127.0.0.1:4222 --save day && tragen replay --journal day\n\nIt replays the guard's state with its hashes, holds every fill against its approval and the fee rule, and books\neverything again by the ledger's rules. What agents\ndecided on bars is decided again where the bars and those before them are still there, what they bet on\nmatches from the looks they were bet at, and how many agents of each pool might trade from what it was decided on.\nQuotes, bids and exits on matches are only counted. Orders that only the bars ask\nfor (missing) or only the journal has (unexpected) are shown as doubts: who was enabled is not in the journal.\nExit code 0: no difference."
)]
pub(crate) struct ReplayArgs {
    /// The bus that keeps the day.
    #[arg(long, env = "TRAGEN_NATS_URL", value_name = "URL", default_value = "nats://127.0.0.1:4222")]
    nats: String,
    /// A folder that `--save` wrote, instead of a bus.
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Writes what is read into this folder, to be replayed elsewhere.
    #[arg(long, value_name = "DIR", conflicts_with = "journal")]
    save: Option<PathBuf>,
}

/// What agents decided, made again.
struct Agents {
    bars: (MadeAgain, Unmatched),
    bets: Looked,
}

impl ReplayArgs {
    pub(super) async fn run(self, format: Format) -> anyhow::Result<Verdict> {
        let mut replay = Replay::default();
        let mut comparison = Comparison::default();
        let (mut decisions, mut pools, mut looks) = (Decisions::default(), Pools::default(), Looks::default());
        let mut state_differs = None;
        for (stream, name) in FILES {
            self.read(stream, name, |sequence, payload| {
                match stream {
                    Stream::Journal => {
                        let batch = decode(payload, sequence)?;
                        comparison.journal(&batch);
                        decisions.journal(&batch);
                        looks.journal(&batch);
                        if state_differs.is_none() {
                            state_differs = replay.take(sequence, payload).err();
                        }
                    }
                    Stream::Executions => {
                        let batch = decode(payload, sequence)?;
                        comparison.executions(&batch);
                        decisions.executions(&batch);
                    }
                    Stream::Ledger => comparison.facts(&decode(payload, sequence)?),
                    Stream::Bars => decisions.bar(sequence, &decode(payload, sequence)?),
                    Stream::Pools => pools.sized(&decode(payload, sequence)?, &mut comparison),
                    Stream::Looks => looks.looked(&decode(payload, sequence)?, &mut comparison),
                    Stream::Requests
                    | Stream::Proposals
                    | Stream::Market
                    | Stream::Odds
                    | Stream::Usage
                    | Stream::News
                    | Stream::Alerts
                    | Stream::Audit
                    | Stream::Dead => {}
                }
                Ok(())
            })
            .await
            .with_context(|| format!("reading {}", stream.as_str()))?;
        }
        comparison.conclude()?;
        let agents = Agents { bars: decisions.conclude(&mut comparison), bets: looks.conclude(&mut comparison) };
        show(format, (&replay, &agents, &pools), &comparison, state_differs.as_ref())?;
        Ok(if comparison.count == 0 && state_differs.is_none() { Verdict::Good } else { Verdict::Bad })
    }

    /// Hands every message of a stream over, from the bus or from its recording.
    async fn read(
        &self,
        stream: Stream,
        name: &str,
        mut take: impl FnMut(u64, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if let Some(folder) = &self.journal {
            // Recordings of earlier versions have neither bars nor pools nor looks.
            if matches!(stream, Stream::Bars | Stream::Pools | Stream::Looks) && !recording(folder, name).exists() {
                return Ok(());
            }
            let mut reader = JournalReader::open(&recording(folder, name))?;
            while let Some((sequence, payload)) = reader.read()? {
                take(sequence, &payload)?;
            }
            return Ok(());
        }
        let mut saved = match &self.save {
            Some(folder) => {
                std::fs::create_dir_all(folder)?;
                Some(JournalWriter::create(&recording(folder, name))?)
            }
            None => None,
        };
        let bus = Bus::connect(&self.nats, "replay").await?;
        if let Some(newest) = bus.newest(stream).await? {
            let lifecycle = Lifecycle::new(1);
            let context = lifecycle.context("replay", Spans::default());
            let mut messages = bus.follow(&context, stream, "", StartAt::Beginning).await?;
            loop {
                let message = messages.next().await.context("the bus is gone")?;
                if is_replayed(stream, &message.subject) {
                    if let Some(saved) = &mut saved {
                        saved.write(message.sequence, &message.payload)?;
                    }
                    take(message.sequence, &message.payload)?;
                }
                if message.sequence >= newest {
                    break;
                }
            }
        }
        Ok(saved.map(JournalWriter::finish).transpose().map(drop)?)
    }
}

/// Of pools only how they were sized (`pool.<pool>`), not who began or ceased to trade in them.
fn is_replayed(stream: Stream, subject: &str) -> bool {
    stream != Stream::Pools || subject.matches('.').count() == 1
}

fn recording(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.bin"))
}

fn decode<T: Message + Default>(payload: &[u8], sequence: u64) -> anyhow::Result<T> {
    T::decode(payload).with_context(|| format!("decoding message {sequence}"))
}

fn show(
    format: Format,
    (replay, Agents { bars: (again, unmatched), bets }, pools): (&Replay, &Agents, &Pools),
    comparison: &Comparison,
    state_differs: Option<&anyhow::Error>,
) -> anyhow::Result<()> {
    let (replayed, compared) = (replay.replayed(), comparison.compared);
    let named: Vec<String> = comparison.differences.iter().map(ToString::to_string).collect();
    let state = state_differs.map(|error| format!("{error:#}"));
    let doubts: Vec<&String> = unmatched.named.iter().chain(&bets.named).collect();
    let message = serde_json::json!({
        "journal_sequence": replayed.journal_sequence,
        "records": replayed.records,
        "hashes_checked": replayed.hashes,
        "state_hash": replayed.hash.to_string(),
        "state_differs": state,
        "approvals": compared.approvals,
        "fills": compared.fills,
        "facts": compared.facts,
        "balances": compared.balances,
        "positions": compared.positions,
        "agent_orders": again.orders,
        "agent_orders_without_bars": again.without_bars,
        "agent_orders_on_odds": again.on_odds,
        "agent_orders_missing": unmatched.missing,
        "pools_sized": pools.sized,
        "agent_orders_unexpected": unmatched.unexpected,
        "agent_bets": bets.bets,
        "agent_bets_without_look": bets.without_look,
        "looks": bets.looks,
        "doubts": doubts,
        "differences": comparison.count,
        "named": named,
    });
    let fields = [
        ("guard", format!("{} records up to message {}", replayed.records, replayed.journal_sequence)),
        ("hashes", state.clone().unwrap_or_else(|| format!("{} in the journal, all as replayed", replayed.hashes))),
        ("orders", format!("{} approved, {} fills", compared.approvals, compared.fills)),
        ("ledger", format!("{} facts", compared.facts)),
        (
            "agents",
            format!(
                "{} orders on bars made again, {} without their bars, {} quotes, bids and exits not compared",
                again.orders, again.without_bars, again.on_odds
            ),
        ),
        (
            "bets",
            format!("{} looks decided again, {} bets of them, {} without", bets.looks, bets.bets, bets.without_look),
        ),
        ("pools", format!("{} decisions made again", pools.sized)),
        ("doubts", format!("{} orders of agents missing, {} unexpected", unmatched.missing, unmatched.unexpected)),
        ("compared", format!("{} balances, {} positions", compared.balances, compared.positions)),
        ("differences", comparison.count.to_string()),
    ];
    format.record(&message, &fields)?;
    if format == Format::Table {
        named.iter().chain(doubts).try_for_each(|line| print(line))?;
    }
    Ok(())
}
