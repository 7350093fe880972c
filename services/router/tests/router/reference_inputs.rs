//! Every case of the reference folder's bad inputs. Those of the public API are sent here as they are written there; all
//! others are named with the test that tries them, or with the reason why there is nothing here that they could reach.
//!
//! Without `TRAGEN_REFERENCE_DIR` each test says so and passes; the cases of our own are in the files beside this one.

mod elsewhere;
mod tokens;
mod trades;
mod wire;

use elsewhere::{ELSEWHERE, NOT_OURS};
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};
use tonic::Code;

/// One case as it is written.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) input: Value,
    /// The code that is asked for, and those that will do.
    pub(crate) codes: Vec<Code>,
    pub(crate) reason: String,
}

/// All of them, or None (and a line on stdout) where there is no reference folder.
fn all() -> Option<Vec<Value>> {
    let Some(root) = std::env::var_os("TRAGEN_REFERENCE_DIR") else {
        println!("not tried: set TRAGEN_REFERENCE_DIR to the folder with vectors/");
        return None;
    };
    let path = PathBuf::from(root).join("vectors/bad_inputs.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()));
    let read: Value = serde_json::from_str(&text).expect("valid JSON");
    Some(read["cases"].as_array().expect("a list").clone())
}

fn id(case: &Value) -> &str {
    case["id"].as_str().expect("an id")
}

fn is_tried_here(id: &str) -> bool {
    !ELSEWHERE.iter().any(|(own, _, _)| *own == id) && !NOT_OURS.iter().any(|(own, _)| *own == id)
}

/// The cases of a category that are tried here.
pub(crate) fn cases(category: &str) -> Option<Vec<Case>> {
    let code = |value: &Value| Code::from_i32(i32::try_from(value["code"].as_i64().expect("a code")).expect("small"));
    let parse = |case: &Value| {
        let expect = &case["expect"];
        let also = expect["accept_also"].as_array().map(|also| also.iter().map(code).collect()).unwrap_or_default();
        Case {
            id: id(case).to_owned(),
            input: case["input"].clone(),
            codes: [vec![code(expect)], also].concat(),
            reason: expect["reason"].as_str().unwrap_or_default().to_owned(),
        }
    };
    let own = |case: &&Value| case["category"] == category && is_tried_here(id(case));
    Some(all()?.iter().filter(own).map(parse).collect())
}

#[test]
fn every_case_is_tried_or_has_a_reason() {
    let Some(all) = all() else { return };
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &all {
        let named = ELSEWHERE.iter().filter(|(own, _, _)| *own == id(case)).count();
        let not_ours = NOT_OURS.iter().filter(|(own, _)| *own == id(case)).count();
        assert!(named + not_ours <= 1, "{} is in two lists", id(case));
        let is_of_the_api = ["trade", "rpc", "token", "wire", "rate"].iter().any(|own| case["category"] == *own);
        assert!(named + not_ours == 1 || is_of_the_api, "{} is tried nowhere", id(case));
        let place = if named == 1 { "elsewhere" } else { "here" };
        *places.entry(if not_ours == 1 { "not ours" } else { place }).or_default() += 1;
    }
    let known = |own: &str| all.iter().any(|case| id(case) == own);
    assert!(ELSEWHERE.iter().all(|(own, _, _)| known(own)) && NOT_OURS.iter().all(|(own, _)| known(own)));
    println!("{places:?}");
    assert_eq!((all.len(), places["here"], places["elsewhere"], places["not ours"]), (113, 77, 28, 8));
}

/// A list of tests is worth something only as long as they are there.
#[test]
fn every_test_that_is_named_exists() {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (case, file, test) in ELSEWHERE {
        let text = std::fs::read_to_string(repository.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(&format!("fn {test}(")), "{case}: {file} has no {test}");
    }
    assert!(NOT_OURS.iter().all(|(_, reason)| reason.len() > 20));
}
