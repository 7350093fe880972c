//! Six processes, as the containers run them, on private NATS, PostgreSQL and Valkey.

use super::{
    client::{Client, Who},
    process::Process,
    server::Server,
};
use futures::future::join_all;
use std::{collections::BTreeMap, path::PathBuf};
use tempfile::TempDir;

/// The services, each in its own process.
pub(crate) const SERVICES: [&str; 6] =
    ["ledger", "market-data", "risk-guard", "agent-worker", "cost-monitor", "router"];

/// Six processes and three servers.
#[derive(Debug)]
pub(crate) struct Cluster {
    services: BTreeMap<&'static str, Process>,
    /// The bus: to kill and to restart.
    pub(crate) nats: Server,
    /// The database: to kill and to restart.
    pub(crate) postgres: Server,
    /// The shared cache: to kill and to restart.
    pub(crate) valkey: Server,
    folder: TempDir,
}

impl Cluster {
    /// Starts `tragen serve <service> <flags>` for each service; a trade can be accepted when it returns.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let start = |kind| {
            let place = folder.path().join(kind);
            tokio::task::spawn_blocking(move || Server::start(kind, &place))
        };
        let (nats, postgres, valkey) =
            tokio::try_join!(start("nats"), start("postgres"), start("valkey")).expect("servers");
        let starts = SERVICES.map(|service| {
            let data_dir = folder.path().join(service);
            let fixed = [
                ["--nats", &nats.url],
                ["--store", &postgres.url],
                ["--cache", &valkey.url],
                ["--listen", "127.0.0.1:0"],
                ["--data-dir", data_dir.to_str().expect("a path")],
            ];
            let arguments = ["serve", service].into_iter().chain(fixed.into_iter().flatten());
            let arguments = arguments.chain(flags.iter().copied()).map(ToOwned::to_owned).collect();
            let folder = folder.path();
            async move { (service, Process::start(service, folder, arguments).await) }
        });
        let services = join_all(starts).await.into_iter().collect();
        Self { services, nats, postgres, valkey, folder }
    }

    /// One service: to kill, to stop, to read its log.
    pub(crate) fn service(&mut self, name: &str) -> &mut Process {
        self.services.get_mut(name).expect("a service")
    }

    /// Starts a killed or stopped service again; clients of a new router must connect anew.
    pub(crate) async fn restart(&mut self, name: &str) {
        self.service(name).restart().await;
    }

    /// The database, for `ledger verify --store`.
    pub(crate) fn store(&self) -> &str {
        &self.postgres.url
    }

    /// Speaks as `who`.
    pub(crate) async fn client(&self, who: Who) -> Client {
        let keys: PathBuf = self.folder.path().join("router");
        Client::connect(&self.services["router"].ready.grpc, &keys, who).await
    }
}
