//! The platform in processes of its own: three servers, six services, and wires between them.

use super::{
    Chaos, Fault,
    bus::Bus,
    clock::Clocks,
    fault::{Part, Server, Trouble},
    limits::RESTING_MAX_TEXT,
    process::{Process, Recipe, argument, free_port},
    wire::{Traffic, Wire},
};
use anyhow::Context as _;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tokio::time::sleep;

/// Limits on how often a user may ask are another test's promise; so many orders of an account may rest.
const LIMITS: [(&str, &str); 6] = [
    ("TRAGEN__RISK_GUARD__LIMITS__RESTING_ORDERS_MAX", RESTING_MAX_TEXT),
    ("TRAGEN__ROUTER__FREE_TRADES_PER_MINUTE", "100000"),
    ("TRAGEN__ROUTER__STANDARD_TRADES_PER_MINUTE", "100000"),
    ("TRAGEN__ROUTER__PREMIUM_TRADES_PER_MINUTE", "100000"),
    ("TRAGEN__ROUTER__READS_PER_MINUTE", "1000000"),
    ("TRAGEN__ROUTER__CANCELS_PER_MINUTE", "100000"),
];

/// The running platform.
#[derive(Debug)]
pub(super) struct World {
    services: BTreeMap<Part, Process>,
    servers: BTreeMap<Server, Process>,
    bus_wires: BTreeMap<Part, Wire>,
    database_wire: Wire,
    clocks: Clocks,
    program: PathBuf,
    folder: PathBuf,
    endpoint: String,
    database_url: String,
    bus_port: u16,
    /// Processes that had ended without having been killed.
    restarts: BTreeMap<String, u64>,
}

impl World {
    /// Starts everything and waits until it is ready.
    pub(super) async fn start(chaos: &Chaos, clocks: Clocks) -> anyhow::Result<Self> {
        let folder = std::path::absolute(&chaos.folder).context("finding the folder")?;
        fs::create_dir_all(folder.join("data")).with_context(|| format!("making {}", folder.display()))?;
        let mut servers = BTreeMap::new();
        let mut ports = BTreeMap::new();
        for server in [Server::Nats, Server::Postgres, Server::Valkey] {
            let port = free_port()?;
            let mut process = Process::start(serve(chaos, &folder, server, port), &[])?;
            process.ready().await?;
            servers.insert(server, process);
            ports.insert(server, port);
        }
        let url = |server: Server| servers.get(&server).map(|own| own.ready.url.clone()).unwrap_or_default();
        let (database_url, cache_url) = (url(Server::Postgres), url(Server::Valkey));
        let port = |server: Server| ports.get(&server).copied().unwrap_or(0);
        let database_wire = Wire::to(port(Server::Postgres)).await?;
        let (old, new) = (format!(":{}/", port(Server::Postgres)), format!(":{}/", database_wire.port()));
        let wired_database = database_url.replace(&old, &new);
        let api = free_port()?;
        let mut world = Self {
            services: BTreeMap::new(),
            servers,
            bus_wires: BTreeMap::new(),
            database_wire,
            clocks,
            program: chaos.program.clone(),
            endpoint: format!("http://127.0.0.1:{api}"),
            database_url,
            bus_port: port(Server::Nats),
            folder,
            restarts: BTreeMap::new(),
        };
        for part in Part::ALL {
            let wire = Wire::to(world.bus_port).await?;
            let urls = (wire.port(), wired_database.as_str(), cache_url.as_str());
            let process = Process::start(world.service(part, api, urls), &[])?;
            world.services.insert(part, process);
            world.bus_wires.insert(part, wire);
        }
        for process in world.services.values_mut() {
            process.ready().await?;
        }
        Ok(world)
    }

    /// How a service is started.
    fn service(&self, part: Part, api: u16, (bus, database, cache): (u16, &str, &str)) -> Recipe {
        let name = part.name();
        let ready_file = self.folder.join(format!("{name}.json"));
        let mut arguments = vec!["serve".to_owned(), name.to_owned()];
        for (flag, value) in [
            ("--nats", format!("nats://127.0.0.1:{bus}")),
            ("--store", database.to_owned()),
            ("--cache", cache.to_owned()),
            ("--data-dir", argument(&self.folder.join("data"))),
            ("--feed", "sample".to_owned()),
            ("--speed", "1".to_owned()),
            ("--listen", format!("127.0.0.1:{api}")),
            ("--ready-file", argument(&ready_file)),
        ] {
            arguments.extend([flag.to_owned(), value]);
        }
        let limits = LIMITS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = limits.into_iter().chain([self.clocks.variable(part)]).collect();
        let log = self.folder.join(format!("{name}.log"));
        Recipe { program: self.program.clone(), arguments, environment, ready_file, log }
    }

    /// Makes a fault and ends it after its time.
    pub(super) async fn play(&mut self, fault: &Fault, bus: &Bus) -> anyhow::Result<()> {
        let lasts = fault.lasts;
        match fault.trouble {
            Trouble::Kill(part) => {
                self.part(part)?.kill();
                sleep(lasts).await;
                self.part(part)?.restart(&[])
            }
            Trouble::Freeze(part) => {
                self.part(part)?.freeze();
                sleep(lasts).await;
                self.part(part)?.wake();
                Ok(())
            }
            Trouble::BusWire(part, traffic) => {
                let wire = self.bus_wires.get(&part).context("no such wire")?;
                strain(wire, traffic, lasts).await;
                Ok(())
            }
            Trouble::DatabaseWire(traffic) => {
                strain(&self.database_wire, traffic, lasts).await;
                Ok(())
            }
            Trouble::KillServer(server) => {
                self.server(server)?.kill();
                sleep(lasts).await;
                self.begin(server).await
            }
            Trouble::FreezeServer(server) => {
                self.server(server)?.freeze();
                sleep(lasts).await;
                self.server(server)?.wake();
                Ok(())
            }
            Trouble::WipeBus => {
                self.server(Server::Nats)?.kill();
                fs::remove_dir_all(self.folder.join("nats/jetstream")).context("wiping the bus")?;
                sleep(lasts).await;
                self.begin(Server::Nats).await
            }
            Trouble::DeliverAgain => bus.deliver_again().await,
            Trouble::FillDisk(server) => {
                self.server(server)?.limit_files(Some(0));
                sleep(lasts).await;
                self.server(server)?.limit_files(None);
                match server {
                    // It takes nothing more into a stream that it could not write once.
                    Server::Nats => {
                        self.server(server)?.kill();
                        self.begin(server).await
                    }
                    // Either it goes on by itself, or it has ended and is started like anything that has.
                    Server::Postgres | Server::Valkey => Ok(()),
                }
            }
            Trouble::ClockJump(part, jump) => {
                self.clocks.set(part, Some(jump))?;
                sleep(lasts).await;
                self.clocks.set(part, None)
            }
        }
    }

    /// Starts what has ended by itself, as whoever runs the containers would.
    pub(super) async fn revive(&mut self) -> anyhow::Result<()> {
        for (part, process) in &mut self.services {
            if process.is_gone() {
                *self.restarts.entry(part.name().to_owned()).or_default() += 1;
                process.restart(&[])?;
            }
        }
        for server in [Server::Nats, Server::Postgres, Server::Valkey] {
            if self.server(server)?.is_gone() {
                *self.restarts.entry(server.name().to_owned()).or_default() += 1;
                self.begin(server).await?;
            }
        }
        Ok(())
    }

    /// `tragen ledger verify`; what it says when it finds something.
    pub(super) fn verify(&self) -> Result<(), String> {
        let output = Command::new(&self.program)
            .args(["ledger", "verify", "--store", &self.database_url, "--data-dir"])
            .arg(self.folder.join("data"))
            .output()
            .map_err(|error| error.to_string())?;
        let said = [output.stdout, output.stderr].concat();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&said).into_owned()) }
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn database_url(&self) -> String {
        self.database_url.clone()
    }

    pub(super) fn bus_address(&self) -> String {
        format!("nats://127.0.0.1:{}", self.bus_port)
    }

    pub(super) fn signing_key(&self) -> PathBuf {
        self.folder.join("data/keys/token.pkcs8")
    }

    pub(super) fn restarts(&self) -> BTreeMap<String, u64> {
        self.restarts.clone()
    }

    async fn begin(&mut self, server: Server) -> anyhow::Result<()> {
        let process = self.server(server)?;
        process.restart(&[])?;
        process.ready().await
    }

    fn part(&mut self, part: Part) -> anyhow::Result<&mut Process> {
        self.services.get_mut(&part).context("no such service")
    }

    fn server(&mut self, server: Server) -> anyhow::Result<&mut Process> {
        self.servers.get_mut(&server).context("no such server")
    }
}

async fn strain(wire: &Wire, traffic: Traffic, lasts: Duration) {
    wire.set(traffic);
    sleep(lasts).await;
    wire.set(Traffic::Flows);
}

/// How a server is started, on a port that stays.
fn serve(chaos: &Chaos, folder: &Path, server: Server, port: u16) -> Recipe {
    let home = folder.join(server.name());
    let sync = if server == Server::Valkey { "default" } else { "always" };
    let arguments = [server.name(), &argument(&home), "--sync", sync, "--port", &port.to_string()];
    Recipe {
        program: chaos.tools.join("serve"),
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: Vec::new(),
        ready_file: home.join("ready.json"),
        log: folder.join(format!("{}.log", server.name())),
    }
}
