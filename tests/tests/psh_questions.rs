//! Questions at the terminal: whatever happens while one is open, the terminal is as it was before.

use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc;

use fleet_tests::{Running, Server, Sshd, TestEnv, Welcome, processes, program, run_to_end};

const PASSPHRASE: &str = "open sesame!";

/// A world whose user's key is protected by a passphrase.
fn world() -> (TestEnv, Server) {
    let env = TestEnv::new();
    let server = Sshd::new(&env).hosts("web", 3).start();
    protect_key(&env);
    (env, server)
}

fn protect_key(env: &TestEnv) {
    let mut keygen = Command::new(program("ssh-keygen"));
    run_to_end(keygen.args(["-q", "-p", "-P", "", "-N", PASSPHRASE, "-f"]).arg(env.user_key()));
}

/// A `psh` that is asking, and the shell it was started from, which keeps the terminal as `psh` leaves it. (With the
/// first process of a session the terminal's settings end too.)
struct Asking {
    run: Running,
    pid: i32,
}

impl Asking {
    fn start(env: &TestEnv, options: &[&str]) -> Self {
        let pid_file = env.path().join("pid");
        let script = r#"trap : INT QUIT TSTP; sh -c 'echo $$ >"$0"; exec "$@"' "$@"; echo "ended: $?"; read -r line"#;
        let run = env.run(&program("sh"), ["-c", script, "sh"]).arg(&pid_file).arg(env.psh_path());
        let run = run.args(options).args(["-H", "web[01-03]", "echo fine"]).on_terminal().start();
        run.wait_for_stdout("ass");
        run.wait_for_silence();
        let pid = fs::read_to_string(pid_file).expect("the shell's file").trim().parse().expect("a process id");
        Self { run, pid }
    }

    fn signal(&self, name: &str) {
        run_to_end(Command::new(program("kill")).args(["-s", name, &self.pid.to_string()]));
    }

    /// Asserts that `psh` has ended with `code` and that the terminal shows what is typed.
    fn expect_end(mut self, code: i32) -> fleet_tests::Finished {
        self.run.wait_for_stdout(&format!("ended: {code}\r\n"));
        assert!(self.run.echoes(), "the terminal hides what is typed");
        self.run.write(b"\n");
        self.run.finish()
    }
}

#[test]
fn ctrl_z_gives_the_terminal_back_and_the_question_is_asked_again() {
    let (env, _server) = world();
    let mut asking = Asking::start(&env, &[]);
    asking.run.write(b"\x1a");
    processes::wait_for_stop(asking.pid);
    assert!(asking.run.echoes(), "the terminal hides what is typed");
    asking.signal("CONT");
    asking.run.type_secret(PASSPHRASE);
    let run = asking.expect_end(0).expect_nowhere(PASSPHRASE);
    assert_eq!(run.stdout_text().matches("Passphrase for ").count(), 2, "{run}");
    assert_eq!(run.stdout_text().matches(": fine").count(), 3, "{run}");
}

/// Asserts that what comes behind the question is on a line of its own.
fn expect_abandoned_line(run: &fleet_tests::Finished) {
    let shown = run.stdout_text();
    let question = shown.find("Pass").expect("a question");
    let (line, _) = shown[question..].split_once('\n').expect("a line behind it");
    assert!(line.ends_with(": \r"), "something stands behind the question: {run}");
}

#[test]
fn whatever_ends_psh_at_a_question_gives_the_terminal_back() {
    for options in [&[][..], &["-A"]] {
        let (env, _server) = world();
        let interrupted = if options.is_empty() { 3 } else { 2 };
        for (signal, code) in [("TERM", interrupted), ("HUP", interrupted), ("INT", interrupted), ("QUIT", 131)] {
            let asking = Asking::start(&env, options);
            asking.signal(signal);
            expect_abandoned_line(&asking.expect_end(code));
        }
        for (key, code) in [(b"\x03", interrupted), (b"\x1c", 131)] {
            let mut asking = Asking::start(&env, options);
            asking.run.write(key);
            expect_abandoned_line(&asking.expect_end(code));
        }
    }
}

#[test]
fn ctrl_z_at_the_question_for_the_password_gives_the_terminal_back() {
    let (env, _server) = world();
    let mut asking = Asking::start(&env, &["-A"]);
    asking.run.write(b"\x1a");
    processes::wait_for_stop(asking.pid);
    assert!(asking.run.echoes(), "the terminal hides what is typed");
    asking.signal("CONT");
    asking.run.wait_for_silence();
    asking.signal("TERM");
    let _ = asking.expect_end(2);
}

#[test]
fn the_progress_line_and_the_question_do_not_meet() {
    let env = TestEnv::new();
    let (go, waits) = mpsc::channel::<()>();
    let waits = Mutex::new(waits);
    let welcome = move |_| {
        // An error means that the test has ended.
        let _ = waits.lock().unwrap().recv();
        Welcome::Serve
    };
    let _server = Sshd::new(&env).hosts("web", 3).welcome(welcome).start();
    protect_key(&env);
    let mut run = env.psh(["-H", "web[01-03]", "echo fine"]).on_terminal().start();
    run.wait_for_stdout("0/3 done");
    (0..3).for_each(|_| go.send(()).unwrap());
    run.wait_for_stdout("assphrase");
    run.type_secret(PASSPHRASE);
    let run = run.finish().expect_code(0);
    let shown = run.stdout_text();
    let (before, after) = shown.split_once("Passphrase for ").unwrap();
    let cleared = before.rfind("\x1b[2K").unwrap();
    assert!(cleared > before.rfind("done").unwrap(), "the progress line is still there: {run}");
    let (question, _) = after.split_once('\n').unwrap();
    assert!(question.ends_with(": \r"), "something came before the answer: {run}");
}
