//! Reads the reference figures that rules are checked against.
//!
//! They are not part of the project: point `TRAGEN_REFERENCE_DIR` at a folder that holds `vectors/*.json` and
//! `data/*.csv`. Without it tests say so and pass; worked cases of every rule are in the unit tests.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// A file of the reference folder, or None (and a line on stdout) when there is no such folder.
pub(crate) fn reference(path: &str) -> Option<String> {
    let Some(root) = std::env::var_os("TRAGEN_REFERENCE_DIR") else {
        println!("not checked against {path}: set TRAGEN_REFERENCE_DIR to the folder with vectors/ and data/");
        return None;
    };
    let path = PathBuf::from(root).join(path);
    Some(fs::read_to_string(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display())))
}

/// The figures in `vectors/<name>.json`.
pub(crate) fn vectors(name: &str) -> Option<Value> {
    reference(&format!("vectors/{name}.json")).map(|text| serde_json::from_str(&text).expect("valid JSON"))
}

/// A list of figures; none is a fault, because a loop over it would check nothing.
pub(crate) fn list(value: &Value) -> &[Value] {
    let list = list_or_none(value);
    assert!(!list.is_empty(), "a list of the reference is empty");
    list
}

/// A number or decimal string.
pub(crate) fn number(value: &Value) -> f64 {
    let decimal = || value.as_str().and_then(|text| text.parse().ok());
    value.as_f64().or_else(decimal).unwrap_or_else(|| panic!("{value} is not a number"))
}

/// A list that says something where it is empty, too.
pub(crate) fn list_or_none(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is not a list"))
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(number).collect()
}
