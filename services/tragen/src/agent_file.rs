//! Files of configured agents, in TOML so that every mistake has a line: what is read is checked whole before
//! anything is done with it, and what is written reads back as the same agents.
//!
//! ```toml
//! [[agent]]
//! id = "scalper-1"
//! template = "scalping"        # or strategy = "scalper" with everything else spelled out
//! account = "agent-scalper-1"
//! instruments = ["GBPUSD"]
//! risk_tolerance = 7           # overrides the template
//! ```

use anyhow::Context as _;
use std::{collections::BTreeMap, fmt, path::Path};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use tragen_contracts::{
    convert::{agent_fields, strategy_of},
    v1,
};
use tragen_domain::{
    agents::template::Template,
    routing::{AGENTS_MAX, Reason, check_agent},
};

/// Largest file that is read, bytes: 10,000 agents need about 2 MB.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Mistakes that are shown; the rest is counted.
const FAULTS_SHOWN_MAX: usize = 20;

/// What an agent may have, with the field of the API behind it.
const KEYS: [(&str, &str); 10] = [
    ("id", "agent.agent_id"),
    ("template", ""),
    ("strategy", "agent.strategy"),
    ("account", "agent.account_id"),
    ("instruments", "agent.instrument_ids"),
    ("timeframe", "agent.timeframe"),
    ("risk_tolerance", "agent.risk_tolerance"),
    ("max_trades_per_day", "agent.max_trades_per_day"),
    ("pool", "agent.pool"),
    ("enabled", ""),
];

/// The strategies by their names in files and commands.
pub(crate) const STRATEGIES: [(&str, v1::Strategy); 7] = [
    ("scalper", v1::Strategy::Scalper),
    ("swing", v1::Strategy::Swing),
    ("value", v1::Strategy::Value),
    ("conservative", v1::Strategy::Conservative),
    ("market_maker", v1::Strategy::MarketMaker),
    ("live_exit", v1::Strategy::LiveExit),
    ("value_maker", v1::Strategy::ValueMaker),
];

/// What a strategy is called in files and commands; empty for none.
pub(crate) fn strategy_name(strategy: v1::Strategy) -> &'static str {
    STRATEGIES.iter().find(|(_, known)| *known == strategy).map_or("", |(name, _)| name)
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// From 1.
    line: usize,
    /// The key; empty when it is about the whole agent or file.
    field: String,
    message: String,
}

/// Everything that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Faults {
    file: String,
    faults: Vec<Fault>,
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().take(FAULTS_SHOWN_MAX).enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{}: ", self.file, fault.line)?;
            if !fault.field.is_empty() {
                write!(f, "{}: ", fault.field)?;
            }
            f.write_str(&fault.message)?;
        }
        match self.faults.len().saturating_sub(FAULTS_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// An agent as a template makes it; what it is called and whose money it uses is left open.
pub(crate) fn from_template(template: Template) -> v1::Agent {
    let values = template.values();
    v1::Agent {
        strategy: strategy_of(values.style).into(),
        timeframe: values.timeframe.as_str().to_owned(),
        risk_tolerance: i32::from(values.risk_tolerance),
        max_trades_per_day: i32::try_from(values.max_trades_per_day).unwrap_or(i32::MAX),
        is_enabled: true,
        ..v1::Agent::default()
    }
}

/// The agents of a file; see [`read`].
///
/// # Errors
/// When it cannot be read or is too large, and [`Faults`].
pub(crate) fn load(path: &Path) -> anyhow::Result<Vec<v1::Agent>> {
    let name = path.display().to_string();
    let size = std::fs::metadata(path).with_context(|| format!("reading {name}"))?.len();
    anyhow::ensure!(size <= FILE_BYTES_MAX, "{name} has {size} bytes, at most {FILE_BYTES_MAX} are read");
    Ok(decode(&name, &std::fs::read(path).with_context(|| format!("reading {name}"))?)?)
}

fn decode(file: &str, bytes: &[u8]) -> Result<Vec<v1::Agent>, Faults> {
    match std::str::from_utf8(bytes) {
        Ok(text) => read(file, text),
        Err(error) => {
            let line = 1 + bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
            let fault = Fault { line, field: String::new(), message: "is not UTF-8".to_owned() };
            Err(Faults { file: file.to_owned(), faults: vec![fault] })
        }
    }
}

/// The agents of `text`, in the file's order; `file` is what the mistakes are said of.
///
/// # Errors
/// [`Faults`] with every mistake in the order of the lines.
pub(crate) fn read(file: &str, text: &str) -> Result<Vec<v1::Agent>, Faults> {
    let mut reader = Reader { lines: line_starts(text), faults: Vec::new(), ids: BTreeMap::new() };
    let agents = match DeTable::parse(text) {
        Ok(document) => reader.document(document.get_ref()),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            reader.fault(at, "", error.message());
            Vec::new()
        }
    };
    let mut faults = reader.faults;
    if faults.is_empty() {
        return Ok(agents);
    }
    faults.sort_by_key(|fault| fault.line);
    Err(Faults { file: file.to_owned(), faults })
}

/// The file of these agents.
pub(crate) fn write(agents: &[v1::Agent]) -> String {
    agents.iter().map(entry).collect::<Vec<_>>().join("\n")
}

fn entry(agent: &v1::Agent) -> String {
    let text = |text: &str| toml::Value::from(text).to_string();
    let instruments: Vec<String> = agent.instrument_ids.iter().map(|id| text(id)).collect();
    let mut lines = vec![
        "[[agent]]".to_owned(),
        format!("id = {}", text(&agent.agent_id)),
        format!("strategy = {}", text(strategy_name(agent.strategy()))),
        format!("account = {}", text(&agent.account_id)),
        format!("instruments = [{}]", instruments.join(", ")),
        format!("timeframe = {}", text(&agent.timeframe)),
        format!("risk_tolerance = {}", agent.risk_tolerance),
        format!("max_trades_per_day = {}", agent.max_trades_per_day),
    ];
    if !agent.pool.is_empty() {
        lines.push(format!("pool = {}", text(&agent.pool)));
    }
    if !agent.is_enabled {
        lines.push("enabled = false".to_owned());
    }
    lines.join("\n") + "\n"
}

/// A value with the place of its key.
type Entries<'a> = BTreeMap<&'a str, (usize, &'a DeValue<'a>)>;

struct Reader {
    /// Where each line begins, bytes.
    lines: Vec<usize>,
    faults: Vec<Fault>,
    /// The line each id was seen on first.
    ids: BTreeMap<String, usize>,
}

impl Reader {
    fn document(&mut self, document: &DeTable<'_>) -> Vec<v1::Agent> {
        let mut agents = Vec::new();
        for (key, value) in document {
            let at = key.span().start;
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("agent", DeValue::Array(entries)) => {
                    for entry in entries {
                        agents.extend(self.agent(entry));
                    }
                }
                ("agent", _) => self.fault(at, "agent", "agents are written as [[agent]]"),
                (unknown, _) => self.fault(at, unknown, "there is no such key; agents are written as [[agent]]"),
            }
        }
        if agents.is_empty() && self.faults.is_empty() {
            self.fault(0, "", "there is no [[agent]] in the file");
        }
        if agents.len() > AGENTS_MAX {
            self.fault(0, "", &format!("{} agents, at most {AGENTS_MAX} are allowed", agents.len()));
        }
        agents
    }

    /// One agent; `None` when something is wrong with it.
    fn agent(&mut self, entry: &Spanned<DeValue<'_>>) -> Option<v1::Agent> {
        let (before, at) = (self.faults.len(), entry.span().start);
        let DeValue::Table(table) = entry.get_ref() else {
            self.fault(at, "agent", "agents are written as [[agent]]");
            return None;
        };
        let entries: Entries<'_> =
            table.iter().map(|(key, value)| (key.get_ref().as_ref(), (key.span().start, value.get_ref()))).collect();
        for (key, (place, _)) in &entries {
            if !KEYS.iter().any(|(known, _)| known == key) {
                self.fault(
                    *place,
                    key,
                    &format!("there is no such key; known are {}", names(KEYS.map(|(key, _)| key))),
                );
            }
        }
        let agent = self.fields(&entries);
        if self.faults.len() == before {
            self.check(&agent, at, &entries);
        }
        (self.faults.len() == before).then_some(agent)
    }

    /// What the keys say, over what the template says.
    fn fields(&mut self, entries: &Entries<'_>) -> v1::Agent {
        let template = self.text(entries, "template").and_then(|name| {
            let template = Template::parse(&name);
            if template.is_none() {
                let known = names(Template::ALL.map(Template::as_str));
                self.fault_of(entries, "template", &format!("there is no template {name:?}; known are {known}"));
            }
            template
        });
        let mut agent = template.map_or_else(|| v1::Agent { is_enabled: true, ..v1::Agent::default() }, from_template);
        if let Some(name) = self.text(entries, "strategy") {
            match STRATEGIES.iter().find(|(known, _)| *known == name) {
                Some((_, strategy)) => agent.strategy = (*strategy).into(),
                None => {
                    let known = names(STRATEGIES.map(|(name, _)| name));
                    self.fault_of(entries, "strategy", &format!("there is no strategy {name:?}; known are {known}"));
                }
            }
        }
        agent.agent_id = self.text(entries, "id").unwrap_or_default();
        agent.account_id = self.text(entries, "account").unwrap_or_default();
        agent.pool = self.text(entries, "pool").unwrap_or_default();
        agent.timeframe = self.text(entries, "timeframe").unwrap_or(agent.timeframe);
        agent.risk_tolerance = self.number(entries, "risk_tolerance").unwrap_or(agent.risk_tolerance);
        agent.max_trades_per_day = self.number(entries, "max_trades_per_day").unwrap_or(agent.max_trades_per_day);
        agent.instrument_ids = self.texts(entries, "instruments");
        match entries.get("enabled") {
            Some((_, DeValue::Boolean(is_enabled))) => agent.is_enabled = *is_enabled,
            Some(_) => self.fault_of(entries, "enabled", "true or false"),
            None => {}
        }
        agent
    }

    /// The rules that the API has for an agent, and that no id comes twice.
    fn check(&mut self, agent: &v1::Agent, at: usize, entries: &Entries<'_>) {
        for violation in check_agent(&agent_fields(agent)).err().unwrap_or_default() {
            let key = KEYS.iter().find(|(_, field)| *field == violation.field).map_or("", |(key, _)| *key);
            let place = entries.get(key).map_or(at, |(place, _)| *place);
            let is_open = violation.reason == Reason::StrategyMissing;
            self.fault(place, key, if is_open { "a strategy or a template is needed" } else { &violation.message });
        }
        let place = entries.get("id").map_or(at, |(place, _)| *place);
        let line = self.line_of(place);
        if let Some(first) = self.ids.get(&agent.agent_id) {
            let message = format!("{:?} is the agent of line {first} already", agent.agent_id);
            self.fault(place, "id", &message);
        } else {
            self.ids.insert(agent.agent_id.clone(), line);
        }
    }

    fn text(&mut self, entries: &Entries<'_>, key: &str) -> Option<String> {
        let text = entries.get(key)?.1.as_str().map(str::to_owned);
        if text.is_none() {
            self.fault_of(entries, key, "a text in quotes");
        }
        text
    }

    fn texts(&mut self, entries: &Entries<'_>, key: &str) -> Vec<String> {
        let Some((_, value)) = entries.get(key) else { return Vec::new() };
        let items = value.as_array().and_then(|items| {
            items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
        });
        items.unwrap_or_else(|| {
            self.fault_of(entries, key, "a list of texts in quotes");
            Vec::new()
        })
    }

    fn number(&mut self, entries: &Entries<'_>, key: &str) -> Option<i32> {
        let digits = entries.get(key)?.1.as_integer();
        let value = digits.and_then(|digits| i32::from_str_radix(digits.as_str(), digits.radix()).ok());
        if value.is_none() {
            self.fault_of(entries, key, "a whole number up to 2147483647");
        }
        value
    }

    fn fault_of(&mut self, entries: &Entries<'_>, key: &str, message: &str) {
        self.fault(entries.get(key).map_or(0, |(place, _)| *place), key, message);
    }

    fn fault(&mut self, at: usize, field: &str, message: &str) {
        let line = self.line_of(at);
        self.faults.push(Fault { line, field: field.to_owned(), message: message.to_owned() });
    }

    fn line_of(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

fn names<const N: usize>(names: [&str; N]) -> String {
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[[agent]]
id = \"a\"
template = \"scalping\"
account = \"fund\"
instruments = [\"GBPUSD\"]
";

    /// What is said about the good agent with `line` added as its sixth line.
    fn said(line: &str) -> String {
        read("f.toml", &format!("{GOOD}{line}\n")).expect_err("refused").to_string()
    }

    #[test]
    fn a_template_fills_in_what_is_not_said() {
        let agents = read("f.toml", &format!("{GOOD}risk_tolerance = 0x9\nenabled = false")).expect("agents");
        let [agent] = agents.as_slice() else { panic!("{agents:?}") };
        assert_eq!((agent.strategy(), agent.timeframe.as_str()), (v1::Strategy::Scalper, "1m"));
        assert_eq!((agent.risk_tolerance, agent.max_trades_per_day, agent.is_enabled), (9, 200, false));
    }

    #[test]
    fn every_mistake_has_its_line_and_its_field() {
        assert_eq!(said("risk_tolerance = 11"), "f.toml:6: risk_tolerance: from 1 to 10");
        assert_eq!(said("risk_tolerance = 7.5"), "f.toml:6: risk_tolerance: a whole number up to 2147483647");
        assert_eq!(said("max_trades_per_day = 0"), "f.toml:6: max_trades_per_day: from 1 to 10000");
        assert_eq!(said("max_trades_per_day = 10001"), "f.toml:6: max_trades_per_day: from 1 to 10000");
        assert_eq!(said("timeframe = \"3m\""), "f.toml:6: timeframe: one of 1m, 5m, 1h, 4h, 1d");
        assert!(said("colour = 1").starts_with("f.toml:6: colour: there is no such key; known are id, template"));
        assert!(said("strategy = \"luck\"").starts_with("f.toml:6: strategy: there is no strategy \"luck\""));
        let latin = [GOOD.as_bytes(), b"pool = \"caf\xe9\"\n"].concat();
        assert_eq!(decode("f.toml", &latin).expect_err("refused").to_string(), "f.toml:6: is not UTF-8");
        assert_eq!(said("enabled = 1"), "f.toml:6: enabled: true or false");
        assert_eq!(said("pool = \"a b\""), "f.toml:6: pool: at most 64 letters, digits, '-' and '_'");
        assert_eq!(said(GOOD), "f.toml:7: id: \"a\" is the agent of line 2 already");
        assert!(said("id = \"b\"").starts_with("f.toml:6: "), "a key that comes twice: {}", said("id = \"b\""));
        assert!(said("id = ").starts_with("f.toml:6: "), "{}", said("id = "));
        let several = said("[[agent]]\nid = \"b\"\n[[agent]]\nid = 7");
        let lines: Vec<&str> = several.lines().map(|line| line.split(": ").next().unwrap_or_default()).collect();
        assert_eq!(lines[0], "f.toml:6", "{several}");
        assert!(several.contains("f.toml:6: strategy: a strategy or a template is needed"), "{several}");
        assert!(several.contains("f.toml:9: id: a text in quotes"), "{several}");
    }

    #[test]
    fn a_file_without_agents_is_no_mistake_that_passes() {
        assert_eq!(read("f", "").expect_err("refused").to_string(), "f:1: there is no [[agent]] in the file");
        let other = read("f", "\nagents = 1").expect_err("refused").to_string();
        assert_eq!(other, "f:2: agents: there is no such key; agents are written as [[agent]]");
        let many = format!("{GOOD}bad = 1\n").repeat(25);
        assert!(read("f", &many).expect_err("refused").to_string().ends_with("\nand 5 more"));
    }

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        let agent = |number: usize| v1::Agent {
            agent_id: format!("agent-{number}"),
            account_id: "fund".to_owned(),
            instrument_ids: vec!["GBPUSD".to_owned(), "EURUSD".to_owned()],
            pool: if number.is_multiple_of(2) { String::new() } else { "testing".to_owned() },
            is_enabled: !number.is_multiple_of(3),
            ..from_template(Template::ALL[number % Template::ALL.len()])
        };
        let agents: Vec<v1::Agent> = (0..AGENTS_MAX).map(agent).collect();
        assert_eq!(read("f", &write(&agents)), Ok(agents.clone()));
        let too_many = write(&(0..=AGENTS_MAX).map(agent).collect::<Vec<_>>());
        assert!(read("f", &too_many).expect_err("refused").to_string().contains("at most 10000"));
    }
}
