//! Hosts whose SFTP server answers every command: it runs none, and would wait for ever.

use fleet_tests::{Sshd, TestEnv};

const WORDS: &str = "the host runs no commands, it only offers SFTP";
/// What answers: of the first OpenSSH knows that it is no shell, the second waits for its own protocol.
const FORCED: [&str; 2] = ["internal-sftp", "/usr/lib/openssh/sftp-server"];

#[test]
fn a_host_that_runs_no_commands_is_known_by_its_answer() {
    for forced in FORCED {
        let env = TestEnv::new();
        let _boxes = Sshd::new(&env).hosts("box", 2).option("ForceCommand", forced).start();
        let _web = Sshd::new(&env).hosts("web", 1).start();
        let run = env.psh(["-H", "box[01-02],web01", "echo fine"]).finish().expect_code(4);
        run.expect_stderr(&format!("box[01-02] (2): command: {WORDS}"))
            .expect_stderr("hint: pcp and pslurp work there")
            .expect_stdout("web01: fine");
    }
}

#[test]
fn what_an_sftp_server_makes_of_our_input_is_no_result() {
    for forced in FORCED {
        let env = TestEnv::new();
        let _server = Sshd::new(&env).option("ForceCommand", forced).start();
        for input in ["", "some lines\n"] {
            env.psh(["-H", "server", "-I", "cat"]).stdin(input).finish().expect_code(4).expect_stderr(WORDS);
        }
    }
}

#[test]
fn where_a_connection_has_one_session_the_answer_is_the_same() {
    for forced in FORCED {
        let env = TestEnv::new();
        let _server = Sshd::new(&env).option("ForceCommand", forced).option("MaxSessions", "1").start();
        env.psh(["-H", "server", "true"]).finish().expect_code(4).expect_stderr(WORDS);
        env.psh(["-H", "server", "-I", "cat"]).stdin("x").finish().expect_code(4).expect_stderr(WORDS);
    }
}

#[test]
fn it_is_known_with_sudo_too() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).option("ForceCommand", "internal-sftp").start();
    env.psh(["-H", "server", "--sudo", "id"]).finish().expect_code(4).expect_stderr(WORDS);
}

#[test]
fn what_a_forced_program_says_is_its_own() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).option("ForceCommand", "echo no shell for you; exit 3").start();
    let run = env.psh(["-H", "server", "true"]).finish().expect_code(5);
    run.expect_stdout("no shell for you").expect_stderr("exit code 3").expect_nowhere(WORDS);
}

#[test]
fn a_slow_host_runs_its_command_and_the_question_does_not_reach_it() {
    let env = TestEnv::new();
    let slow = "sleep 2; exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"";
    let _server = Sshd::new(&env).option("ForceCommand", slow).start();
    let run =
        env.psh(["-H", "server", "printf '\\000\\000\\000\\005\\002\\000\\000\\000\\003'; cat; echo end"]).finish();
    let run = run.expect_code(0);
    assert!(run.stdout.ends_with(b"\0\0\0\x05\x02\0\0\0\x03end\n"), "{run}");
}
