//! The seams of the workspace, read from its sources: who may use what.

use std::fs;
use std::path::{Path, PathBuf};

/// A thing that only some files may name.
struct Seam {
    /// What must not stand in the code of other files, as it is written there.
    names: &'static [&'static str],
    /// The files and folders (ending in `/`) that may, from the root of the workspace.
    allowed: &'static [&'static str],
    /// Why, for the failure message.
    because: &'static str,
}

const SEAMS: &[Seam] = &[
    Seam {
        names: &["russh"],
        allowed: &["fleet-ssh/src/", "fleet-sandbox/src/"],
        because: "the SSH library is hidden behind fleet_ssh",
    },
    Seam {
        names: &["indicatif"],
        allowed: &["fleet-core/src/render/progress.rs"],
        because: "the progress line is drawn in one place",
    },
    Seam {
        names: &["imara_diff"],
        allowed: &["fleet-core/src/render/difference.rs"],
        because: "outputs are compared in one place",
    },
    Seam {
        names: &["saphyr_parser"],
        allowed: &["fleet-core/src/inventory/clustershell/"],
        because: "YAML is read in one place",
    },
    Seam { names: &["minijinja"], allowed: &["fleet/src/template/"], because: "templates are rendered in one place" },
    Seam {
        names: &["aws_config", "aws_credential_types", "aws_sdk_ec2"],
        allowed: &["fleet-ec2/src/"],
        because: "whoever else compiles the AWS SDK makes everybody wait for it",
    },
    Seam {
        names: &["clap"],
        allowed: &[
            "fleet-tool/src/cli.rs",
            "fleet-tool/src/cli/",
            "psh/src/cli.rs",
            "psh/src/cli/",
            "pcp/src/cli.rs",
            "prsync/src/cli.rs",
            "pcp/src/cli/",
            "prsync/src/cli/",
            "pslurp/src/cli.rs",
            "pslurp/src/cli/",
            "fleet/src/cli.rs",
            "fleet/src/cli/",
            "bench/src/",
        ],
        because: "only cli knows arguments",
    },
    Seam {
        names: &["process::exit", "process::abort"],
        allowed: &[],
        because: "main returns the exit code, and destructors run",
    },
    Seam {
        names: &["io::stdout", "println!", "print!"],
        allowed: &[
            "fleet-core/src/render/",
            "fleet-tool/src/run.rs",
            "fleet-tool/src/cli.rs",
            "fleet-tool/src/cli/",
            "psh/src/lib.rs",
            "pcp/src/lib.rs",
            "prsync/src/lib.rs",
            "fleet/src/",
            "fleet-ec2/src/main.rs",
            "bench/src/",
        ],
        because: "one writer to the terminal",
    },
    Seam {
        names: &["io::stderr", "eprintln!", "eprint!"],
        allowed: &[
            "fleet-core/src/render/",
            "fleet-tool/src/run.rs",
            "fleet-tool/src/cli.rs",
            "fleet-tool/src/cli/",
            "psh/src/lib.rs",
            "pcp/src/lib.rs",
            "prsync/src/lib.rs",
            "pslurp/src/lib.rs",
            "fleet/src/",
            "fleet-ec2/src/progress.rs",
            "bench/src/",
        ],
        because: "one writer to the terminal",
    },
    Seam {
        names: &["env::args", "env::args_os"],
        allowed: &[
            "fleet-tool/src/cli.rs",
            "fleet-tool/src/cli/",
            "psh/src/lib.rs",
            "prsync/src/lib.rs",
            "fleet/src/",
            "bench/src/",
        ],
        because: "arguments are read at the edge",
    },
    Seam {
        names: &["tokio::signal", "signal::unix"],
        allowed: &["fleet-core/src/fanout/signal.rs", "fleet/src/", "bench/src/"],
        because: "there is one source of signals",
    },
    Seam {
        names: &["fleet_core::fanout", "fleet_core::record", "fleet_core::render"],
        allowed: &["fleet-tool/src/", "psh/src/", "pcp/src/", "prsync/src/", "pslurp/src/", "fleet/src/"],
        because: "what works on one host knows nothing of the others and shows nothing",
    },
];

/// Where the engine's modules are.
const ENGINE: &str = "fleet-core/src/";

/// The crates whose sources are read; the harness and its tests stand outside.
const CRATES: [&str; 14] = [
    "psh",
    "pcp",
    "prsync",
    "pslurp",
    "fleet",
    "fleet-core",
    "fleet-rsync",
    "fleet-ssh",
    "fleet-tool",
    "fleet-transfer",
    "fleet-sandbox",
    "fleet-ec2",
    "ec2-doubles",
    "bench",
];

#[test]
fn outside_things_are_used_only_behind_their_seams() {
    let sources = sources();
    let broken: Vec<String> =
        SEAMS.iter().flat_map(|seam| sources.iter().flat_map(|source| breaches(seam, source))).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_seam_that_allows_a_file_that_is_gone_is_noticed() {
    let sources = sources();
    let gone: Vec<_> = SEAMS
        .iter()
        .flat_map(|seam| seam.allowed)
        .filter(|allowed| !allowed.contains("cli") && !allowed.contains("run"))
        .filter(|allowed| !sources.iter().any(|source| source.path.starts_with(**allowed)))
        .collect();
    assert!(gone.is_empty(), "no such files: {gone:?}");
}

#[test]
fn nobody_compiles_the_aws_sdk_but_who_asks_for_fleet_ec2() {
    let manifest = |folder: &str| {
        let path = root().join(folder).join("Cargo.toml");
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let workspace = manifest("");
    let line = |start: &str| {
        let lines = workspace.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>();
        assert_eq!(lines.len(), 1, "one line {start} in Cargo.toml");
        lines[0]
    };
    let members: Vec<_> = line("members = ").split('"').skip(1).step_by(2).collect();
    let expected = members.iter().filter(|member| **member != "fleet-ec2").map(|member| format!("{member:?}"));
    let expected = format!("default-members = [{}]", expected.collect::<Vec<_>>().join(", "));
    assert_eq!(line("default-members = "), expected);
    for member in members {
        let reaches_aws =
            manifest(member).lines().any(|line| line.starts_with("aws-") || line.starts_with("fleet-ec2."));
        assert_eq!(reaches_aws, member == "fleet-ec2", "{member}");
    }
}

#[test]
fn the_rsync_protocol_depends_on_no_runtime_and_on_no_crate_of_ours() {
    let manifest = fs::read_to_string(root().join("fleet-rsync/Cargo.toml")).unwrap();
    let dependency = |line: &&str| ["fleet", "tokio", "futures", "russh"].iter().any(|name| line.starts_with(name));
    assert_eq!(manifest.lines().find(dependency), None);
}

#[test]
fn names_are_found_in_code_and_not_in_comments_or_longer_words() {
    for (line, found) in [
        ("use russh::client;", true),
        ("let x = ::russh::keys::decode(a);", true),
        ("use russh_sftp::client;", false),
        ("// russh does this", false),
        ("let url = \"x\"; // russh", false),
        ("prussh::go()", false),
        ("fn russh_error() {}", false),
    ] {
        assert_eq!(names(line, "russh"), found, "{line}");
    }
}

#[test]
fn a_module_of_the_engine_uses_only_modules_above_it() {
    let order = module_order(&architecture());
    let sources = sources();
    let engine: Vec<_> = sources.iter().filter(|source| module_path(source).is_some()).collect();
    let broken: Vec<String> = engine.iter().flat_map(|source| upward_uses(source, &order)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let without_files: Vec<_> = order
        .iter()
        .filter(|module| !engine.iter().any(|source| module_path(source).is_some_and(|path| path[0] == **module)))
        .collect();
    assert!(without_files.is_empty(), "in the table of ARCHITECTURE.md and not in fleet-core: {without_files:?}");
}

#[test]
fn uses_of_lower_modules_are_found_however_they_are_written() {
    let order = ["host", "event", "ssh", "run"].map(str::to_owned);
    for (path, line, found) in [
        ("event.rs", "use crate::host::Host;", 0),
        ("event.rs", "use crate::event::Stream;", 0),
        ("event.rs", "use crate::ssh::Session;", 1),
        ("event.rs", "use crate::{host, ssh, run::{self, run}};", 2),
        ("event.rs", "use crate::{", 1),
        ("event.rs", "let session: crate::ssh::Session = open();", 1),
        ("event.rs", "use super::ssh::Session;", 1),
        ("event.rs", "use crate::unlisted::Thing;", 1),
        ("event.rs", "// as crate::ssh does", 0),
        ("ssh/config/parse.rs", "use super::super::super::run::run;", 1),
        ("ssh/config/parse.rs", "use super::super::wire;", 0),
        ("ssh/mod.rs", "use super::run;", 1),
        ("ssh/mod.rs", "use super::host;", 0),
        ("unlisted.rs", "use crate::host::Host;", 1),
    ] {
        let path = format!("{ENGINE}{path}");
        let source = Source { path, code: vec![line.to_owned()], starts_with_docs: true };
        let uses = upward_uses(&source, &order);
        assert_eq!(uses.len(), found, "{}: {line}: {uses:?}", source.path);
    }
}

#[test]
fn files_stay_short_enough_to_be_read() {
    const LIMIT: usize = 400;
    let long: Vec<_> = sources()
        .iter()
        .map(|source| (source.path.clone(), source.code.len()))
        .filter(|(_, lines)| *lines > LIMIT)
        .collect();
    assert!(long.is_empty(), "more than {LIMIT} lines without tests: {long:?}");
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<_> =
        sources().into_iter().filter(|source| !source.starts_with_docs).map(|source| source.path).collect();
    assert!(silent.is_empty(), "no //! at the top: {silent:?}");
}

/// The code of one file before its unit tests, with line numbers from 1.
struct Source {
    path: String,
    code: Vec<String>,
    starts_with_docs: bool,
}

fn breaches(seam: &Seam, source: &Source) -> Vec<String> {
    if seam.allowed.iter().any(|allowed| source.path.starts_with(allowed)) {
        return Vec::new();
    }
    let breaches = source.code.iter().enumerate().filter(|(_, line)| seam.names.iter().any(|name| names(line, name)));
    breaches.map(|(index, line)| format!("{}:{}: {} ({})", source.path, index + 1, line.trim(), seam.because)).collect()
}

/// Whether a line of code, comments aside, names a thing: not as a part of a longer word.
fn names(line: &str, name: &str) -> bool {
    let code = line.split("//").next().unwrap_or("");
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(start, _)| {
        let before = code[..start].chars().next_back();
        let after = code[start + name.len()..].chars().next();
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

/// The modules of the engine as the table of ARCHITECTURE.md lists them: each may use those before it.
fn module_order(architecture: &str) -> Vec<String> {
    let section = architecture.split("## fleet-core, bottom up").nth(1).expect("the section on the engine's modules");
    let table = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let modules: Vec<String> =
        table.filter_map(|row| Some(row.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect();
    assert!(modules.len() > 2, "no table of modules was found");
    modules
}

/// Where a file of the engine stands among its modules, from the outermost; none for other crates and the crate's root.
fn module_path(source: &Source) -> Option<Vec<&str>> {
    let path = source.path.strip_prefix(ENGINE)?.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    (path != "lib").then(|| path.split('/').collect())
}

/// What a file of the engine uses of modules that stand below its own in `order`, or nowhere.
fn upward_uses(source: &Source, order: &[String]) -> Vec<String> {
    let Some(path) = module_path(source) else { return Vec::new() };
    let place = |module: &str| order.iter().position(|listed| listed == module);
    let Some(own) = place(path[0]) else {
        return vec![format!("{}: the module {} is not in the table of ARCHITECTURE.md", source.path, path[0])];
    };
    let root_from_here = "super::".repeat(path.len());
    let mut found = Vec::new();
    for (index, line) in source.code.iter().enumerate() {
        let code = line.split("//").next().unwrap_or("");
        for used in modules_behind(code, "crate::").chain(modules_behind(code, &root_from_here)) {
            if place(used).is_none_or(|used| used > own) {
                let line = index + 1;
                found.push(format!("{}:{line}: {} uses {used}, which is not above it", source.path, path[0]));
            }
        }
    }
    found
}

/// The modules named directly behind `root`: one, or the list in braces. A list that goes on in the next line is given
/// as what it begins with, which is no module.
fn modules_behind<'a>(code: &'a str, root: &str) -> impl Iterator<Item = &'a str> {
    let whole_path = |at: &usize| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    let starts: Vec<_> = code.match_indices(root).map(|(at, _)| at).filter(whole_path).collect();
    let root_len = root.len();
    starts.into_iter().flat_map(move |at| list_items(&code[at + root_len..]))
}

/// The first words of `a::b`, or of each item of `{a::b, c::{d, e}}`.
fn list_items(code: &str) -> Vec<&str> {
    let word = |item: &str| {
        item.trim_start().find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(item.trim_start().len())
    };
    let Some(list) = code.strip_prefix('{') else { return vec![&code[..word(code)]] };
    let mut depth = 1;
    let mut items = Vec::new();
    let mut start = 0;
    for (at, c) in list.char_indices() {
        depth = match c {
            '{' => depth + 1,
            '}' => depth - 1,
            _ => depth,
        };
        if depth == 0 || (depth == 1 && c == ',') {
            let item = list[start..at].trim_start();
            items.push(&item[..word(item)]);
            start = at + 1;
        }
        if depth == 0 {
            return items;
        }
    }
    vec![code]
}

fn architecture() -> String {
    let path = root().join("ARCHITECTURE.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace")
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut paths = Vec::new();
    for name in CRATES {
        collect(&root.join(name).join("src"), &mut paths);
    }
    assert!(paths.len() > CRATES.len(), "the sources were not found");
    paths.iter().map(|path| read(root, path)).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            paths.push(path);
        }
    }
}

/// Unit tests that have a file of their own.
fn is_test(path: &Path) -> bool {
    let test = |name: &str| name == "tests" || name == "testing" || name.ends_with("_tests");
    path.components().any(|part| test(part.as_os_str().to_string_lossy().trim_end_matches(".rs")))
}

fn read(root: &Path, path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines: Vec<_> = text.lines().collect();
    let tests_start = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].ends_with('{'));
    let before_tests = &lines[..tests_start.unwrap_or(lines.len())];
    let path = path.strip_prefix(root).expect("sources are in the workspace").display().to_string();
    Source {
        path,
        code: before_tests.iter().map(|&line| line.to_owned()).collect(),
        starts_with_docs: text.starts_with("//!"),
    }
}
