//! Where a journal is read from: a running bus, or a file that `tragen risk replay --save` wrote.

use anyhow::Context as _;
use clap::Args;
use std::path::PathBuf;
use tragen_bus::{Bus, Follower, StartAt, Stream};
use tragen_host::{Lifecycle, trace::Spans};
use tragen_risk_guard::replay::{Explainer, JournalReader};

/// Which journal.
#[derive(Debug, Args)]
pub(super) struct JournalArgs {
    /// The bus that keeps it.
    #[arg(long, env = "TRAGEN_NATS_URL", value_name = "URL", default_value = "nats://127.0.0.1:4222")]
    nats: String,
    /// A file that `tragen risk replay --save` wrote, instead of a bus.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// The last message that is read [default: the newest one].
    #[arg(long, value_name = "SEQUENCE")]
    until: Option<u64>,
}

/// Messages in order, up to the last one that is asked for.
pub(super) struct Messages {
    source: Source,
    until: u64,
    is_over: bool,
}

enum Source {
    File(JournalReader),
    Bus { journal: Follower, _lifecycle: Lifecycle },
    Nothing,
}

impl JournalArgs {
    /// The messages from `first` on.
    ///
    /// # Errors
    /// When the bus or the file cannot be read.
    pub(super) async fn open(&self, first: u64) -> anyhow::Result<Messages> {
        let until = self.until.unwrap_or(u64::MAX);
        if let Some(path) = &self.journal {
            let reader = JournalReader::open(path).with_context(|| format!("reading {}", path.display()))?;
            return Ok(Messages { source: Source::File(reader), until, is_over: false });
        }
        let bus = Bus::connect(&self.nats, "replay").await?;
        let Some(newest) = bus.newest(Stream::Journal).await? else {
            return Ok(Messages { source: Source::Nothing, until, is_over: true });
        };
        let until = until.min(newest);
        let lifecycle = Lifecycle::new(1);
        let context = lifecycle.context("replay", Spans::default());
        let journal = bus.follow(&context, Stream::Journal, "", StartAt::Sequence(first)).await?;
        Ok(Messages { source: Source::Bus { journal, _lifecycle: lifecycle }, until, is_over: first > until })
    }
}

impl JournalArgs {
    /// What else was decided on, if a bus is asked and still has it: reports, facts, instruments.
    ///
    /// # Errors
    /// When the bus cannot be read.
    pub(super) async fn read_others(&self, explainer: &mut Explainer) -> anyhow::Result<()> {
        if self.journal.is_some() {
            return Ok(());
        }
        let bus = Bus::connect(&self.nats, "explain").await?;
        let lifecycle = Lifecycle::new(1);
        let context = lifecycle.context("explain", Spans::default());
        for (stream, start) in [
            (Stream::Market, StartAt::NewestOfEach),
            (Stream::Executions, StartAt::Beginning),
            (Stream::Ledger, StartAt::Beginning),
        ] {
            let Some(newest) = bus.newest(stream).await? else { continue };
            let mut messages = bus.follow(&context, stream, "", start).await?;
            loop {
                let message = messages.next().await.context("the bus is gone")?;
                let (sequence, subject) = (message.sequence, message.subject.as_str());
                if stream == Stream::Executions {
                    explainer.take_executions(sequence, subject, &message.payload)?;
                } else if stream == Stream::Ledger {
                    explainer.take_facts(sequence, &message.payload)?;
                } else if subject.starts_with("md.instrument.") {
                    explainer.take_instrument(&message.payload)?;
                }
                if sequence >= newest || message.pending == 0 {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Messages {
    /// The next message with its sequence; `None` after the last one.
    ///
    /// # Errors
    /// When the bus or the file cannot be read.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<(u64, Vec<u8>)>> {
        if self.is_over {
            return Ok(None);
        }
        let next = match &mut self.source {
            Source::File(reader) => reader.read().context("reading the journal's file")?,
            Source::Bus { journal, .. } => {
                let message = journal.next().await.context("the bus is gone")?;
                Some((message.sequence, message.payload.to_vec()))
            }
            Source::Nothing => None,
        };
        let next = next.filter(|(sequence, _)| *sequence <= self.until);
        self.is_over = next.as_ref().is_none_or(|(sequence, _)| *sequence >= self.until);
        Ok(next)
    }
}
