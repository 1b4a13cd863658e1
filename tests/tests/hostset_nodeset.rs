//! Host sets against ClusterShell's `nodeset`, whose syntax they share: expand, fold, count and set algebra.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use fleet_core::hostset::{self, Expression, ExpressionError, Term, Universe};
use fleet_tests::{program, run_to_end};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// How many random expressions are compared.
const EXPRESSIONS: usize = 4_000;

/// What they follow from.
const SEED: u64 = 1;

type Names = BTreeSet<String>;

/// What ClusterShell says of an expression.
#[derive(Debug)]
struct Answer {
    names: Names,
    count: usize,
    folded: String,
}

/// What ClusterShell says of each expression, by one process: its errors are `Err`.
fn nodeset(expressions: &[String]) -> Vec<Result<Answer, String>> {
    let mut input = tempfile::tempfile().expect("a temporary file can be made");
    input.write_all(expressions.join("\n").as_bytes()).and_then(|()| input.rewind()).expect("it can be written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/nodeset_answers.py");
    let output = Command::new(nodeset_python()).arg(script).stdin(input).output().expect("Python starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "nodeset_answers.py failed ({}): {stderr}", output.status);
    let answers: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().map(answer).collect();
    assert_eq!(answers.len(), expressions.len());
    answers
}

/// The interpreter that has ClusterShell: the one of the installed `nodeset`.
fn nodeset_python() -> PathBuf {
    let script = std::fs::read_to_string(program("nodeset")).expect("nodeset is a script");
    PathBuf::from(script.lines().next().and_then(|line| line.strip_prefix("#!")).expect("it names Python").trim())
}

fn answer(line: &str) -> Result<Answer, String> {
    let answer: serde_json::Value = serde_json::from_str(line).expect("an answer is JSON");
    if let Some(error) = answer["error"].as_str() {
        return Err(error.to_owned());
    }
    let names = answer["names"].as_array().expect("an answer has names");
    let name = |name: &serde_json::Value| name.as_str().expect("a name is a string").to_owned();
    let folded = answer["folded"].as_str().expect("an answer is folded").to_owned();
    Ok(Answer { names: names.iter().map(name).collect(), count: names.len(), folded })
}

/// Every name is a known host.
struct AllNames;

impl Universe for AllNames {
    type Item = String;
    type Error = Infallible;

    fn resolve(&mut self, term: &Term) -> Result<Vec<String>, Infallible> {
        match term {
            Term::Names(word) => Ok(word.expand()),
            other => panic!("{other} is no name"),
        }
    }
}

fn evaluated(expression: &str) -> Result<Vec<String>, ExpressionError> {
    let expression = Expression::parse(expression, &mut || panic!("nothing is random"))?;
    let Ok(names) = expression.evaluate(&mut AllNames);
    Ok(names)
}

fn folded(expression: &str) -> Option<String> {
    evaluated(expression).ok().map(|names| hostset::fold(&names))
}

#[test]
fn a_written_table_means_the_same_to_nodeset() {
    let table = [
        ("web[01-20/2,25]", "web[01,03,05,07,09,11,13,15,17,19,25]"),
        ("web[08-11]", "web[08-11]"),
        ("web[098-101]", "web[098-101]"),
        ("web[98-101]", "web[98-101]"),
        ("web[1,01]", "web[1,01]"),
        ("web[01-03,1-3]", "web[1-3,01-03]"),
        ("web10,web09,web9,web11,web008", "web[9,09-11,008]"),
        ("web[99-100],web099", "web[99,099-100]"),
        ("web[1-10/3]", "web[1,4,7,10]"),
        ("web[ 1 , 3 - 4 ]", "web[1,3-4]"),
        ("web[5]", "web5"),
        ("[1-4]", "[1-4]"),
        ("[1-4]a,5a", "[1-5]a"),
        ("3,1,2", "[1-3]"),
        ("web5[1-3]", "web[51-53]"),
        ("web0[1-3]", "web[01-03]"),
        ("web[1-3]5", "web[15,25,35]"),
        ("rack[1-4]-node[01-16/5]", "rack[1-4]-node[01,06,11,16]"),
        ("r1-n[1-2],r2-n[1-2],r3-n1", "r[1-2]-n[1-2],r3-n1"),
        ("10.0.[0-1].[1-3]", "10.0.[0-1].[1-3]"),
        ("r2,r1-n1,db,r3", "db,r[2-3],r1-n1"),
        ("b,a,b", "a,b"),
        ("a,b!b", "a"),
        ("a , b ! b", "a"),
        ("a!a", ""),
        ("a,b&b,c", "b,c"),
        ("a1,a2&a2,a3", "a[2-3]"),
        ("a[1-5]!a[2-3]&a[1-4]^a[4-6]", "a[1,5-6]"),
        ("r[1-4]-n[1-2]!r[1-4]-n1", "r[1-4]-n2"),
        ("web1:22,me@web1", "me@web1,web1:22"),
    ];
    let answers = nodeset(&table.map(|(expression, _)| expression.to_owned()));
    for ((expression, expected), theirs) in table.iter().zip(answers) {
        let theirs = theirs.unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert_eq!(&theirs.folded, expected, "nodeset on {expression}");
        assert_eq!(folded(expression), Some((*expected).to_owned()), "{expression}");
        assert_eq!(evaluated(expression).unwrap().len(), theirs.count, "{expression}");
    }
}

#[test]
fn what_nodeset_refuses_is_refused() {
    let expressions = [
        ",a",
        "a,",
        "a,,b",
        "!a",
        "a!",
        "a!!b",
        "^a",
        "a&",
        "web[1-3",
        "web1-3]",
        "web[]",
        "web[1-3,]",
        "web[1,,2]",
        "web[3-1]",
        "web[1-10/0]",
        "web[5/2]",
        "web[1-05]",
        "web[01-005]",
        "web[08-100]",
        "web[00-2]",
        "web[99-0101]",
        "web[1-]",
    ];
    for (expression, theirs) in expressions.iter().zip(nodeset(&expressions.map(str::to_owned))) {
        assert!(theirs.is_err(), "nodeset takes {expression}: {theirs:?}");
        assert!(evaluated(expression).is_err(), "{expression}");
    }
}

/// `docs/hostset.md` lists these.
#[test]
fn the_known_differences_are_these() {
    let table = [
        ("web1[9-10]", Some("web[19,110]"), Some("web[19-110]")),
        ("web0[9-10]", Some("web[09,010]"), None),
        ("web[1-2][1-2]", Some("web[11-12,21-22]"), None),
        ("web[1-3/2]5", Some("web[15,35]"), None),
        ("web[5/1]", None, Some("web5")),
        ("web[0-00]", None, Some("web0")),
        ("web[-1-1]", None, Some("web[-1-1]")),
        ("web[08,99-100]", Some("web[08,99-100]"), Some("web[08,99,100]")),
        ("a b", Some("a,b"), Some("a b")),
    ];
    let answers = nodeset(&table.map(|(expression, ..)| expression.to_owned()));
    for ((expression, ours, theirs), answer) in table.iter().zip(answers) {
        assert_eq!(answer.ok().map(|answer| answer.folded).as_deref(), *theirs, "nodeset on {expression}");
        assert_eq!(folded(expression).as_deref(), *ours, "{expression}");
    }
}

#[test]
fn the_command_nodeset_expands_folds_and_counts_the_same() {
    for expression in ["web[01-20/2,25],db!web05", "r[1-2]-n[1-3]^r2-n[2-4]"] {
        let said = |option: &str| run_to_end(Command::new(program("nodeset")).args([option, expression]));
        let names = evaluated(expression).unwrap();
        let expanded: Names = said("-e").split_whitespace().map(str::to_owned).collect();
        assert_eq!(expanded, names.iter().cloned().collect(), "{expression}");
        assert_eq!(said("-c").trim(), names.len().to_string(), "{expression}");
        let folded = Names::from_iter(evaluated(said("-f").trim()).unwrap());
        assert_eq!(folded, expanded, "{expression}");
    }
}

#[test]
fn thousands_of_random_expressions_mean_the_same_to_nodeset() {
    let mut rng = StdRng::seed_from_u64(SEED);
    let expressions: Vec<String> = (0..EXPRESSIONS).map(|_| random_expression(&mut rng)).collect();
    let answers = nodeset(&expressions);
    let mut folds = Vec::new();
    for (expression, theirs) in expressions.iter().zip(&answers) {
        let context = || format!("seed {SEED}: {expression}");
        let theirs = theirs.as_ref().unwrap_or_else(|error| panic!("{}: {error}", context()));
        let names = evaluated(expression).unwrap_or_else(|error| panic!("{}: {error}", context()));
        assert_eq!(names.len(), theirs.count, "{}", context());
        assert_eq!(Names::from_iter(names.clone()), theirs.names, "{}", context());
        let ours = hostset::fold(&names);
        assert!(ours == theirs.folded || ours.len() < theirs.folded.len() || has_several_axes(&ours), "{}", context());
        folds.push(ours);
    }
    let longer = folds.iter().zip(&answers).filter(|(ours, theirs)| ours.len() > folded_length(theirs)).count();
    assert!(longer <= EXPRESSIONS / 1_000, "seed {SEED}: nodeset folds {longer} sets shorter");
    assert!(folds.iter().map(String::len).sum::<usize>() <= answers.iter().map(folded_length).sum(), "seed {SEED}");
    for ((ours, read), theirs) in folds.iter().zip(nodeset(&folds)).zip(&answers) {
        let read = read.unwrap_or_else(|error| panic!("seed {SEED}: nodeset cannot read {ours}: {error}"));
        assert_eq!(Some(&read.names), theirs.as_ref().ok().map(|theirs| &theirs.names), "seed {SEED}: {ours}");
    }
}

fn folded_length(answer: &Result<Answer, String>) -> usize {
    answer.as_ref().map_or(0, |answer| answer.folded.len())
}

/// Whether the set has names with several numbers of [`random_operand`], which may be folded in several ways.
fn has_several_axes(folded: &str) -> bool {
    folded.contains('r') || folded.contains("10.0.")
}

fn random_expression(rng: &mut StdRng) -> String {
    let mut text = random_operand(rng);
    for _ in 0..rng.random_range(0..5) {
        let operator = pick(rng, &[",", ",", ", ", "!", " ! ", "&", "^", " ^"]);
        text = text + operator + &random_operand(rng);
    }
    text
}

fn random_operand(rng: &mut StdRng) -> String {
    let shapes = ["db", "web#", "web#", "web#", "#", "web#-a", "r#-n#", "r#-n#", "r#-n#", "r#c#n#x", "10.0.#.#"];
    let mut text = String::new();
    for c in pick(rng, &shapes).chars() {
        match c {
            '#' => text += &random_range(rng),
            c => text.push(c),
        }
    }
    text
}

fn random_range(rng: &mut StdRng) -> String {
    let width = pick(rng, &[0, 0, 0, 2, 3]);
    if rng.random_ratio(1, 4) {
        return format!("{:0width$}", rng.random_range(0..12));
    }
    let mut spans = Vec::new();
    for _ in 0..rng.random_range(1..4) {
        let base = pick(rng, &[0, 0, 5, 95]);
        let first = base + rng.random_range(0..6);
        let last = first + rng.random_range(0..5);
        let width = if last > 99 && width == 2 { 0 } else { width };
        spans.push(match rng.random_range(0..4) {
            0 => format!("{first:0width$}"),
            1 => format!("{first:0width$}-{last:0width$}/{}", rng.random_range(1..4)),
            _ => format!("{first:0width$}-{last:0width$}"),
        });
    }
    format!("[{}]", spans.join(","))
}

fn pick<T: Copy>(rng: &mut StdRng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}
