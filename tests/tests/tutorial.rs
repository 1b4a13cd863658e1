//! Every command of `docs/tutorial.md`, in its order, in one shell; and what the page says that they print.

use std::fs;
use std::path::Path;

use fleet_tests::TestEnv;

/// Stands in the output before that of each step.
const STEP: &str = "==== step ";

/// Commands, and lines that they print.
#[derive(Debug, Default)]
struct Step {
    commands: String,
    expected: Vec<String>,
}

/// The steps of a page: each begins with a block of `sh`, behind which blocks of `text` are its output.
fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut language) = (Vec::<Step>::new(), None);
    for line in page.lines() {
        match (line.strip_prefix("```"), language) {
            (Some(_), Some(_)) => language = None,
            (Some(opened), None) => {
                language = Some(opened);
                match opened {
                    "sh" => steps.push(Step::default()),
                    other => assert_eq!(other, "text", "a block of {other:?} is neither commands nor their output"),
                }
            }
            (None, Some("sh")) => steps.last_mut().expect("begun above").commands += &format!("{line}\n"),
            (None, Some(_)) => {
                steps.last_mut().expect("output stands behind commands").expected.push(line.to_owned());
            }
            (None, None) => {}
        }
    }
    steps
}

/// Whether a line of the output is the expected one, in which `...` is anything.
fn is_like(line: &str, expected: &str) -> bool {
    let mut parts = expected.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first).or_else(|| line.split_once(first).map(|(_, rest)| rest)) else {
        return false;
    };
    parts.all(|part| match rest.split_once(part) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}

#[test]
fn each_command_of_the_tutorial_does_what_it_says() {
    let env = TestEnv::new();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("docs/tutorial.md");
    let steps = steps(&fs::read_to_string(page).expect("the tutorial"));
    assert!(steps.len() > 5, "{steps:?}");
    let numbered = steps.iter().enumerate();
    let script: String = numbered.map(|(number, step)| format!("echo '{STEP}{number}'\n{}", step.commands)).collect();
    let stop = "trap '{ fleet svc stop --all -g all; fleet sandbox stop; } >/dev/null 2>&1 || :' EXIT\n";
    let script = env.write("tutorial.sh", format!("set -eu\nexec 2>&1\n{stop}{script}"));
    let path = format!("{}:{}", env.tools().display(), std::env::var("PATH").unwrap_or_default());
    let script = script.display().to_string();
    let run = env.run(Path::new("/bin/sh"), [&script]).env("PATH", path).finish().expect_code(0);
    let output = run.stdout_text();
    for (number, step) in steps.iter().enumerate() {
        let (_, printed) = output.split_once(&format!("{STEP}{number}\n")).expect("the step was reached");
        let printed = printed.split(STEP).next().unwrap_or_default();
        for expected in &step.expected {
            let is_there = printed.lines().any(|line| is_like(line, expected));
            assert!(is_there, "{expected:?} is not what this prints:\n{}\n{printed}", step.commands);
        }
    }
}

#[test]
fn three_points_are_anything() {
    for (line, expected, is) in [
        ("3 hosts: 3 ok in 1.2s", "3 hosts: 3 ok in ...", true),
        ("3 hosts: 2 ok in 1.2s", "3 hosts: 3 ok in ...", false),
        ("a b c", "a ... c", true),
        ("a c b", "a ... b", true),
        ("c a", "a ... c", false),
    ] {
        assert_eq!(is_like(line, expected), is, "{line}");
    }
}
