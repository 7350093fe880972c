//! Configuration: defaults, then a TOML file, then environment variables.
//! Unknown keys are refused; nothing is applied before all of it is valid.

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use std::path::Path;
use toml::{Table, Value};

/// Loads `T` from `file` (if given) overlaid with variables named
/// `<PREFIX>__<SECTION>__<KEY>`, e.g. `TRAGEN__ROUTER__LISTEN`.
///
/// # Errors
/// When the file cannot be read, a key is unknown or a value has the wrong type;
/// the message names the key.
pub fn load<T: DeserializeOwned>(
    file: Option<&Path>,
    prefix: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<T> {
    let mut table = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            text.parse::<Table>().with_context(|| format!("parsing {}", path.display()))?
        }
        None => Table::new(),
    };
    let start = format!("{prefix}__");
    for (name, text) in variables {
        if let Some(path) = name.strip_prefix(&start) {
            let path: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
            insert(&mut table, &path, scalar(&text)).with_context(|| format!("applying {name}"))?;
        }
    }
    Value::Table(table).try_into().context("reading the configuration")
}

fn insert(table: &mut Table, path: &[String], value: Value) -> anyhow::Result<()> {
    match path {
        [] => Ok(()),
        [key] => {
            table.insert(key.clone(), value);
            Ok(())
        }
        [section, rest @ ..] => {
            let entry = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
            let inner = entry.as_table_mut().with_context(|| format!("{section} is not a section"))?;
            insert(inner, rest, value)
        }
    }
}

/// A variable's text as the TOML value it looks like, else as a string.
fn scalar(text: &str) -> Value {
    format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Example {
        router: Section,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Section {
        listen: String,
        per_minute: u32,
    }
    impl Default for Section {
        fn default() -> Self {
            Self { listen: "127.0.0.1:0".into(), per_minute: 10 }
        }
    }

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn the_environment_wins_and_unknown_keys_are_refused() {
        let loaded: Example = load(None, "T", variables(&[("T__ROUTER__PER_MINUTE", "60")])).expect("valid");
        assert_eq!(loaded.router, Section { listen: "127.0.0.1:0".into(), per_minute: 60 });
        let unknown = load::<Example>(None, "T", variables(&[("T__ROUTER__PER_MINUT", "60")]));
        assert!(format!("{:#}", unknown.expect_err("refused")).contains("per_minut"));
    }
}
