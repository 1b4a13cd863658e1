//! Providers as programs: the example, the sandbox and broken ones, looked at by `fleet provider check` and the JSON Schema.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fleet_core::provider::protocol::{Action, Filter, NativeFilter, Request, VERSION};
use fleet_tests::{Finished, Fleet, TestEnv, processes, python};
use rustix::process::Signal;

const DESCRIBE: &str = r#"{"protocol":1,"action":"describe","queries":[],"provider":"lab","settings":{}}"#;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace")
}

fn example() -> String {
    repository().join("examples/provider.sh").display().to_string()
}

/// A file of hosts for the example.
fn hosts_file(env: &TestEnv) -> String {
    env.write("hosts.txt", "lab1 10.0.0.1 web\nlab2 2001:db8::2 web\n\nlab3 lab3.example.com db\n")
        .display()
        .to_string()
}

/// A provider that is this shell script.
fn script(env: &TestEnv, text: &str) -> String {
    let path = env.write("provider.sh", format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a file of the test");
    path.display().to_string()
}

fn check(env: &TestEnv, command: &[&str]) -> Finished {
    env.fleet(["provider", "check"]).args(command).finish()
}

/// What the schema says of these texts, JSON objects one a line: `ok` or the first problem for each. `part` is a `$defs`.
fn judged_by_schema(env: &TestEnv, part: &str, texts: &str) -> Vec<String> {
    let judge = "import json, sys\n\
                 from jsonschema import Draft202012Validator\n\
                 schema = json.load(open(sys.argv[1]))\n\
                 Draft202012Validator.check_schema(schema)\n\
                 schema = {'$defs': schema['$defs'], '$ref': '#/$defs/' + sys.argv[2]}\n\
                 for line in sys.stdin:\n\
                 \x20   problem = next(Draft202012Validator(schema).iter_errors(json.loads(line)), None)\n\
                 \x20   print('ok' if problem is None else 'no: ' + problem.message)\n";
    let schema = repository().join("docs/provider.schema.json").display().to_string();
    let judged = env.run(&python(), ["-c", judge, &schema, part]).stdin(texts).finish().expect_code(0);
    judged.stdout_text().lines().map(str::to_owned).collect()
}

fn assert_fits(env: &TestEnv, part: &str, texts: &str) {
    let judged = judged_by_schema(env, part, texts);
    assert_eq!(judged.len(), texts.lines().count());
    for (line, judgement) in texts.lines().zip(judged) {
        assert_eq!(judgement, "ok", "{line}");
    }
}

#[test]
fn the_example_keeps_to_the_protocol() {
    let env = TestEnv::new();
    let finished = check(&env, &[&example(), &hosts_file(&env)]).expect_code(0);
    let finished = finished.expect_stdout("ok    all hosts: 3 hosts\n").expect_nowhere("FAIL");
    finished.expect_stdout("13 of 13 hold\n").expect_nowhere("left out");
}

#[test]
fn the_sandbox_keeps_to_the_protocol() {
    let fleet = Fleet::start(&["--roles", "web=2,db=1"]);
    let (env, dir) = (fleet.env(), fleet.env().path().join("fleet").display().to_string());
    let finished = check(env, &[&env.fleet_path(), "sandbox", "provide", "--dir", &dir]).expect_code(0);
    finished.expect_stdout("ok    all hosts: 3 hosts\n").expect_stdout("13 of 13 hold\n");
    let provide = || env.fleet(["sandbox", "provide", "--dir", &dir]);
    let answer = provide().stdin(DESCRIBE).finish().expect_code(0);
    assert_fits(env, "answer", &answer.stdout_text());
    let known_hosts = fs::read_to_string(Path::new(&dir).join("known_hosts")).expect("the sandbox's known_hosts");
    let (_, key) = known_hosts.lines().next().and_then(|line| line.split_once(' ')).expect("a key");
    assert!(answer.stdout_text().contains(key), "{answer}");
}

#[test]
fn what_a_provider_does_wrong_is_named() {
    let env = TestEnv::new();
    let hosts = |hosts: &str| format!(r#"cat >/dev/null; echo '{{"protocol":1,"hosts":{hosts}}}'"#);
    for (text, expected) in [
        (hosts(r#"[{"id":"a","port":"22"}]"#), "FAIL  all hosts: a: port is left out: found \"22\"; expected a number"),
        (hosts(r#"[{"id":"a"},{"id":"a"}]"#), "FAIL  all hosts: two records of the answer have the id a"),
        (hosts(r#"[{"id":"-x"}]"#), "FAIL  all hosts: record 1 of the answer has \"-x\" as its id"),
        (hosts("[]"), "FAIL  an action that it does not know is refused: it answered as if all were well"),
        (hosts("[]"), "FAIL  a request that is not JSON is refused: it answered as if"),
        (hosts("[]"), "FAIL  a native filter that it does not know is refused: it answered as if"),
        (hosts("[]"), "FAIL  another protocol is refused: it answered as if"),
        ("cat".to_owned(), "FAIL  all hosts: the answer cannot be understood"),
        ("echo '\x1b[2Jhello'".to_owned(), r#"FAIL  all hosts: the answer is not JSON"#),
        ("exit 3".to_owned(), "FAIL  all hosts: its program ended with exit status: 3; expected exit status 0"),
        ("kill -9 $$".to_owned(), "FAIL  all hosts: its program ended with signal: 9"),
        ("true".to_owned(), "FAIL  all hosts: its program printed no answer"),
        ("echo broken >&2".to_owned(), "FAIL  an empty request is refused: its output is not one JSON object"),
    ] {
        let program = script(&env, &text);
        check(&env, &[&program]).expect_code(1).expect_stdout(expected).expect_nowhere("\x1b");
    }
    let program = script(&env, r"printf 'look\033[31m here\n' >&2");
    check(&env, &[&program]).expect_stderr("checked: look\\x1b[31m here\n");
}

#[test]
fn a_provider_that_cannot_be_run_is_a_failure_with_a_hint() {
    let env = TestEnv::new();
    let file = env.write("plain.txt", "").display().to_string();
    for (program, expected) in [
        ("no-such-provider", "there is no program \"no-such-provider\"; looked in PATH"),
        (&file, "cannot run "),
        ("/nowhere/x", "cannot run /nowhere/x: No such file"),
    ] {
        check(&env, &[program]).expect_code(2).expect_stderr(expected);
    }
    env.fleet(["provider", "check", "--settings", "[1]", "x"]).finish().expect_code(2).expect_stderr("a JSON object");
}

#[test]
fn a_provider_that_hangs_is_killed_with_all_it_started() {
    let env = TestEnv::new();
    let sleep = processes::unique_sleep();
    let program = script(&env, &format!("env -i sleep {sleep} & echo started >&2; wait"));
    let run = env.fleet(["provider", "check", "--timeout", "300ms", &program]).start();
    run.wait_for_stdout("FAIL  all hosts: no answer within 300ms; it was killed");
    run.signal(Signal::INT);
    let _ = run.finish();
    processes::assert_gone(&sleep);
}

#[test]
fn ctrl_c_ends_a_provider_and_what_it_started() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let env = TestEnv::new();
        let sleep = processes::unique_sleep();
        let program = script(&env, &format!("env -i sleep {sleep} & echo started >&2; wait"));
        let run = env.fleet(["provider", "check", &program]).start();
        run.wait_for_stderr("checked: started");
        processes::wait_for(&sleep, 1);
        run.signal(signal);
        run.finish().expect_code(2).expect_stderr("interrupted; it was killed");
        processes::assert_gone(&sleep);
    }
}

/// The objects in the JSON blocks of the document, one a line: requests, then answers.
fn documented() -> (String, String) {
    let text = fs::read_to_string(repository().join("docs/provider.md")).expect("the document");
    let blocks: Vec<&str> =
        text.split("```json\n").skip(1).filter_map(|block| Some(block.split_once("```")?.0)).collect();
    let [requests, answers] = blocks[..] else { panic!("expected two blocks, found {}", blocks.len()) };
    (requests.to_owned(), answers.to_owned())
}

#[test]
fn documented_and_real_requests_and_answers_fit_the_schema() {
    let env = TestEnv::new();
    let (requests, answers) = documented();
    assert_fits(&env, "request", &requests);
    assert_fits(&env, "answer", &answers);
    let texts = vec!["a".to_owned()];
    let filter = |name: &str| Filter { filter: name.to_owned(), values: texts.clone() };
    let native = NativeFilter { name: "n".to_owned(), values: texts.clone() };
    let real = [
        Action::Describe { queries: vec![vec![filter("tag:a b"), filter("cluster")]], native_filters: vec![native] },
        Action::Describe { queries: vec![], native_filters: vec![] },
        Action::Console { ids: texts.clone() },
        Action::Check,
        Action::Upload {
            bucket: "b".to_owned(),
            key: "k".to_owned(),
            path: "/f".to_owned(),
            sha256: "0f".repeat(32),
            expires_seconds: 60,
        },
        Action::Discard { bucket: "b".to_owned(), keys: texts.clone() },
    ]
    .map(|action| Request { protocol: VERSION, action, provider: "ec2".to_owned(), settings: serde_json::Map::new() })
    .map(|request| serde_json::to_string(&request).expect("JSON"));
    assert_fits(&env, "request", &real.join("\n"));
    let example = env.run(&PathBuf::from(example()), [&hosts_file(&env)]).stdin(DESCRIBE).finish().expect_code(0);
    assert_fits(&env, "answer", &example.stdout_text());
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    let env = TestEnv::new();
    let host = |host: &str| format!(r#"{{"protocol":1,"hosts":[{host}]}}"#);
    let answers = [
        r#"{"protocol":2,"hosts":[]}"#.to_owned(),
        r#"{"protocol":1}"#.to_owned(),
        r#"{"protocol":1,"error":{"code":"oops","message":"x"}}"#.to_owned(),
        r#"{"protocol":1,"hosts":[],"error":{"code":"expired","message":"x"}}"#.to_owned(),
        host(r#"{"name":"no id"}"#),
        host(r#"{"id":"-oProxyCommand=x"}"#),
        host(r#"{"id":"a b"}"#),
        host(r#"{"id":"a","port":70000}"#),
        host(r#"{"id":"a","addresses":{"private":"a b"}}"#),
        host(r#"{"id":"a","facts":{"x":1}}"#),
        host(r#"{"id":"a","host_keys":["AAAA"]}"#),
    ];
    let judged = judged_by_schema(&env, "answer", &answers.join("\n"));
    assert_eq!(judged.len(), answers.len());
    for (answer, judgement) in answers.iter().zip(judged) {
        assert!(judgement.starts_with("no: "), "{answer}");
    }
    let request = judged_by_schema(&env, "request", &DESCRIBE.replace("describe", "launch"));
    assert!(request[0].starts_with("no: "), "{request:?}");
}
