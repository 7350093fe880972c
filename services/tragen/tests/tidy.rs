//! The house rules that a machine can check: which way the arrows point, how
//! long files are, and that every bus message has a subject, a test and a page.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Longest Rust file, lines.
const FILE_LINES_MAX: usize = 600;
/// Longest `main.rs`, lines.
const MAIN_LINES_MAX: usize = 60;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "data" {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn rust_files() -> Vec<PathBuf> {
    ["shared", "services", "loadtest"].iter().flat_map(|folder| files(&root().join(folder), ".rs")).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn report(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

/// Workspace crates that a manifest names under `[dependencies]`.
fn dependencies(manifest: &Path) -> BTreeSet<String> {
    let text = read(manifest);
    let after = text.split("\n[dependencies]").nth(1).unwrap_or_default();
    let section = after.split("\n[").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.split('.').next())
        .filter(|n| n.starts_with("tragen-"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn arrows_point_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("shared/domain", &[][..]),
        ("shared/contracts", &["tragen-domain"][..]),
        ("shared/host", &[][..]),
        ("shared/bus", &["tragen-contracts", "tragen-domain", "tragen-host"][..]),
        ("shared/cache", &["tragen-domain"][..]),
        ("shared/venue", &["tragen-domain"][..]),
        ("loadtest", &["tragen-contracts"][..]),
    ]);
    let mut offenders = Vec::new();
    for manifest in files(&root(), "Cargo.toml") {
        let folder =
            manifest.parent().expect("a folder").strip_prefix(root()).expect("inside").to_string_lossy().into_owned();
        if folder.is_empty() || folder == "services/tragen" {
            continue;
        }
        for dependency in dependencies(&manifest) {
            let is_service = root().join("services").join(dependency.trim_start_matches("tragen-")).exists();
            let is_allowed = match allowed.get(folder.as_str()) {
                Some(list) => list.contains(&dependency.as_str()),
                None => folder.starts_with("services/") && !is_service,
            };
            if !is_allowed {
                offenders.push(format!("{folder} -> {dependency}"));
            }
        }
    }
    report("a crate depends on one it must not know", &offenders);
}

#[test]
fn domain_siblings_do_not_know_each_other() {
    // `kpi` is made of all others; like a sibling it may be imported by none.
    let siblings = ["routing", "agents", "risk", "ledger", "cost", "kpi"];
    let mut offenders = Vec::new();
    for path in files(&root().join("shared/domain/src"), ".rs") {
        let inside =
            path.strip_prefix(root().join("shared/domain/src")).expect("inside").to_string_lossy().into_owned();
        let own = siblings.iter().find(|s| inside == format!("{s}.rs") || inside.starts_with(&format!("{s}/")));
        let text = read(&path);
        for sibling in siblings.iter().filter(|s| Some(s) != own.as_ref()) {
            let may_import = inside == "lib.rs" || own == Some(&"kpi");
            if !may_import
                && text
                    .lines()
                    .any(|line| !line.trim_start().starts_with("//") && line.contains(&format!("crate::{sibling}")))
            {
                offenders.push(format!("{inside} -> {sibling}"));
            }
        }
    }
    report("a domain module imports a sibling, or the core imports a rule", &offenders);
}

/// Files that are a program, a library or a test by themselves.
fn is_root(path: &Path) -> bool {
    let stem = path.file_stem().expect("a name").to_string_lossy();
    let folder = path.parent().and_then(Path::file_name).expect("a folder").to_string_lossy();
    ["lib", "main", "build"].contains(&stem.as_ref())
        || ["tests", "examples", "benches", "bin"].contains(&folder.as_ref())
}

#[test]
fn every_file_is_part_of_a_program() {
    let mut offenders = Vec::new();
    for path in rust_files().into_iter().filter(|path| !is_root(path)) {
        let is_folder = path.file_stem().is_some_and(|stem| stem == "mod");
        let module = if is_folder { path.parent().expect("a folder").to_path_buf() } else { path.with_extension("") };
        let (name, folder) =
            (module.file_name().expect("a name").to_string_lossy(), module.parent().expect("a folder"));
        // The module that it belongs to: the file that is called like its folder, or one that lies beside it.
        let above = [folder.with_extension("rs")].into_iter().chain(files(folder, ".rs"));
        let is_named = above.filter(|other| *other != path && other.is_file()).any(|other| {
            read(&other).lines().any(|line| line.trim().trim_end_matches(';').ends_with(&format!("mod {name}")))
        });
        if !is_named {
            offenders.push(path.strip_prefix(root()).expect("inside").display().to_string());
        }
    }
    report("a file that nothing names with `mod` is never compiled", &offenders);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut offenders = Vec::new();
    for path in rust_files() {
        let text = read(&path);
        let (name, lines) = (path.strip_prefix(root()).expect("inside").display().to_string(), text.lines().count());
        if !text.starts_with("//!") {
            offenders.push(format!("{name}: does not start with a //! line"));
        }
        if lines > FILE_LINES_MAX {
            offenders.push(format!("{name}: {lines} lines, at most {FILE_LINES_MAX}"));
        }
        if name.ends_with("/main.rs") && lines > MAIN_LINES_MAX {
            offenders.push(format!("{name}: {lines} lines, at most {MAIN_LINES_MAX}"));
        }
    }
    report("a file breaks the shape rules", &offenders);
}

#[test]
fn every_thing_has_a_name() {
    let nameless = ["utils", "util", "helpers", "helper", "common", "misc", "manager", "mod"];
    let stem = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    // The harness of an integration test is the one place where Cargo asks for a mod.rs.
    let is_harness = |path: &PathBuf| path.to_string_lossy().contains("/tests/");
    let offenders: Vec<String> = rust_files()
        .into_iter()
        .filter(|path| nameless.contains(&stem(path).as_str()) && !is_harness(path))
        .map(|path| path.display().to_string())
        .collect();
    report("a file has a name that says nothing", &offenders);
}

#[test]
fn nothing_is_left_to_do_silently() {
    let marker = ["TO", "DO"].concat();
    let offenders: Vec<String> =
        rust_files().into_iter().filter(|p| read(p).contains(&marker)).map(|p| p.display().to_string()).collect();
    report("a note to do something later", &offenders);
}

#[test]
fn every_bus_message_has_a_subject_a_page_and_a_test() {
    let subjects = read(&root().join("shared/bus/src/subject.rs"));
    let page = read(&root().join("docs/messages.md"));
    let protos: String = files(&root().join("proto"), ".proto").iter().map(|p| read(p)).collect();
    let tests: String =
        rust_files().iter().filter(|p| p.to_string_lossy().contains("/tests/")).map(|p| read(p)).collect();

    let mut offenders = Vec::new();
    let templates: Vec<&str> = subjects
        .split("pub const fn template")
        .nth(1)
        .expect("the list of templates")
        .lines()
        .take_while(|line| !line.starts_with("    }"))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert!(templates.len() >= 10, "{templates:?}");
    for template in templates {
        if !page.contains(&format!("### `{template}`")) {
            offenders.push(format!("docs/messages.md has no section for {template}"));
        }
    }
    let first_line = |section: &str| section.lines().nth(1).unwrap_or_default().to_owned();
    for section in page.split("\n### ").skip(1) {
        let messages = first_line(section);
        let named = messages.split('`').skip(1).step_by(2).filter(|w| w.chars().next().is_some_and(char::is_uppercase));
        for message in named.filter(|word| !word.starts_with("Tragen-") && word.chars().all(char::is_alphanumeric)) {
            if !protos.contains(&format!("message {message} {{")) {
                offenders.push(format!("{message} is on the page but in no proto file"));
            }
            if !tests.contains(message) {
                offenders.push(format!("{message} is in no test"));
            }
        }
    }
    report("a bus message without subject, page or test", &offenders);
}

#[test]
fn every_http_route_is_on_the_page() {
    let routes = read(&root().join("services/router/src/http.rs"));
    let page = read(&root().join("docs/api.md"));
    // `{id}` and `{agent_id}` are the same to a reader.
    let shape = |path: &str| {
        path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
    };
    let words = page.split(|c: char| c.is_whitespace() || "`,?".contains(c)).filter(|word| word.starts_with("/v1/"));
    let listed: BTreeSet<String> = words.map(shape).collect();
    let served: Vec<&str> = routes.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(served.len() >= 20, "{served:?}");
    let missing: Vec<String> =
        served.into_iter().filter(|path| !listed.contains(&shape(path))).map(str::to_owned).collect();
    report("a route is not in docs/api.md", &missing);
}

#[test]
fn the_bus_that_is_deployed_has_room_for_the_streams_in_memory() {
    let conf = read(&root().join("deploy/nats/nats.conf"));
    let stated = conf.lines().find_map(|line| line.trim().strip_prefix("max_memory_store: ")?.strip_suffix("MB"));
    let megabytes: i64 = stated.and_then(|text| text.parse().ok()).expect("max_memory_store in MB");
    let needed = tragen_bus::memory_bytes_max() >> 20;
    assert!(
        megabytes >= needed,
        "deploy/nats/nats.conf: max_memory_store is {megabytes}MB, the streams ask for {needed}MB"
    );
}

#[test]
fn every_bus_takes_messages_of_the_same_size() {
    let (size, megabytes) = (tragen_bus::server::PAYLOAD_MAX, tragen_bus::server::PAYLOAD_BYTES_MAX >> 20);
    let conf = read(&root().join("deploy/nats/nats.conf"));
    let serve = read(&root().join("tools/serve"));
    let mut offenders = Vec::new();
    if !conf.lines().any(|line| line == format!("max_payload: {size}")) {
        offenders.push(format!("deploy/nats/nats.conf does not say max_payload: {size}"));
    }
    if !serve.lines().any(|line| line.starts_with(&format!("PAYLOAD_BYTES_MAX = {megabytes} << 20"))) {
        offenders.push(format!("tools/serve does not say {megabytes} << 20"));
    }
    if size != format!("{megabytes}MB") {
        offenders.push(format!("{size} is not {megabytes} MB"));
    }
    report("a bus that takes other messages than tests do", &offenders);
}
