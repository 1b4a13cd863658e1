//! The demonstration, as a new user runs it.

use std::process::Command;

#[test]
fn the_demonstration_shows_every_step_and_succeeds() {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .arg("demo")
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", std::env::var_os("PATH").unwrap())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    for part in [
        "I am loadgen14, 13 of 14",
        "web03: 2052179976 588895",
        "loadgen[12-14] (3): exit code 1",
        "web[01-05] (5): timed out after 1s, stopped",
        "\"text\":\"hello\\n\"",
    ] {
        assert!(stdout.contains(part), "{part} is not in:\n{stdout}");
    }
}
