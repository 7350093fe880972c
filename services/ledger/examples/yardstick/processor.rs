//! Who used the processor, from Linux's /proc; elsewhere nothing is known.

use serde::Serialize;
use std::{fs, time::Duration};

/// Processor time is counted in these units on every Linux (USER_HZ).
const TICKS_PER_SEC: u64 = 100;

/// Processor time used so far, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    server: u64,
    client: u64,
    machine: u64,
}

/// Processor time of a span, percent of one core.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Share {
    /// The server and all its processes; 0 without a server.
    pub(crate) server_percent: u64,
    /// This process and the programs it ran.
    pub(crate) client_percent: u64,
    /// Everything else on this machine, the kernel's writing to disk included.
    pub(crate) others_percent: u64,
}

impl Usage {
    /// Of this process, of the server with its children, and of the machine.
    pub(crate) fn now(server_pid: Option<u32>) -> Option<Self> {
        let client = times("/proc/self/stat")?;
        let server = server_pid.map_or(Some(0), |pid| {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
            // One that has ended since is counted by its parent.
            let living = children.split_whitespace().filter_map(|child| times(&format!("/proc/{child}/stat")));
            Some(times(&format!("/proc/{pid}/stat"))? + living.sum::<u64>())
        })?;
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let ticks: Vec<u64> = stat.lines().next()?.split_whitespace().skip(1).filter_map(|t| t.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal: all but the two that wait.
        let machine = ticks.iter().take(8).sum::<u64>() - ticks.get(3..5)?.iter().sum::<u64>();
        Some(Self { server, client, machine })
    }

    /// What was used between `before` and now, which are `elapsed` apart.
    pub(crate) fn since(self, before: Self, elapsed: Duration) -> Option<Share> {
        let ticks = u64::try_from(elapsed.as_millis()).ok()? * TICKS_PER_SEC / 1_000;
        let percent = |used: u64| (used * 100).checked_div(ticks);
        let (server, client) = (self.server.saturating_sub(before.server), self.client.saturating_sub(before.client));
        let machine = self.machine.saturating_sub(before.machine);
        Some(Share {
            server_percent: percent(server)?,
            client_percent: percent(client)?,
            others_percent: percent(machine.saturating_sub(server + client))?,
        })
    }
}

/// Ticks of one process and of its children that have ended.
fn times(file: &str) -> Option<u64> {
    let stat = fs::read_to_string(file).ok()?;
    // The name in parentheses may hold spaces; utime is the twelfth field after it.
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().skip(11).take(4).filter_map(|ticks| ticks.parse::<u64>().ok()).sum())
}
