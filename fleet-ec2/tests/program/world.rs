//! A home folder and an environment of its own for the program, and what it answers there.

use std::fs;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use ec2_doubles::FakeEc2;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The firmware that the program finds.
#[derive(Clone, Copy)]
enum Firmware {
    /// Whatever this machine has, with metadata forbidden.
    Any,
    /// A vendor's name; needs root, since the folder of the kernel is covered with another.
    Vendor(&'static str),
}

pub(crate) struct World {
    home: TempDir,
    variables: Vec<(String, String)>,
    firmware: Firmware,
}

impl World {
    /// Nothing at all: no variables, no files.
    pub(crate) fn empty() -> Self {
        let home = tempfile::tempdir().expect("a folder for temporary files");
        Self { home, variables: Vec::new(), firmware: Firmware::Any }
    }

    /// Variables that lead to the fake.
    pub(crate) fn of(ec2: &FakeEc2) -> Self {
        ec2.environment().into_iter().fold(Self::empty(), |world, (name, value)| world.with(name, &value))
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without the variables whose names begin so.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(known, _)| !known.starts_with(name));
        self
    }

    /// A file in the home folder.
    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        let path = self.home.path().join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("the home can be written");
        fs::write(path, text).expect("the home can be written");
        self
    }

    /// The program believes that it runs on a machine of this vendor, and may ask for metadata.
    pub(crate) fn on_machine_of(mut self, vendor: &'static str) -> Self {
        self.firmware = Firmware::Vendor(vendor);
        self
    }

    /// Asks for the hosts of some queries, each a conjunction of `filter=value|value`.
    pub(crate) fn describe(&self, queries: &[&str]) -> Value {
        self.ask(&json!({"protocol": 1, "action": "describe", "provider": "ec2", "queries": parsed(queries)}))
    }

    /// Asks for all hosts, with settings.
    pub(crate) fn describe_with(&self, settings: &Value) -> Value {
        self.ask(&json!({"protocol": 1, "action": "describe", "provider": "ec2", "settings": settings}))
    }

    /// The answer to a request.
    pub(crate) fn ask(&self, request: &Value) -> Value {
        self.ask_text(&request.to_string())
    }

    /// The answer to what may be no request at all.
    ///
    /// # Panics
    /// When the program exits with anything but 0, says something on stderr, or answers with anything but one line.
    pub(crate) fn ask_text(&self, request: &str) -> Value {
        let output = self.start_with(request).wait_with_output().expect("the program ends");
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        // An upload says how far it is.
        let is_quiet = stderr.lines().all(|line| line.starts_with("progress "));
        assert!(output.status.success() && is_quiet, "{}: {stderr}{stdout}", output.status);
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        let answer: Value = serde_json::from_str(&stdout).expect("the answer is JSON");
        assert_eq!(answer["protocol"], 1);
        answer
    }

    /// The program, which has its request.
    pub(crate) fn start(&self, request: &Value) -> Child {
        self.start_with(&request.to_string())
    }

    fn start_with(&self, request: &str) -> Child {
        let mut command = self.command();
        command.current_dir(self.home.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin.write_all(request.as_bytes()).expect("the program reads its request");
        child
    }

    fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_fleet-ec2");
        // A program that hangs is a failure, not a test that hangs.
        let mut command = Command::new("/usr/bin/timeout");
        command.arg("60");
        match self.firmware {
            Firmware::Any => command.arg(program),
            Firmware::Vendor(vendor) => {
                let cover = "mount -t tmpfs none /sys/class && mkdir -p /sys/class/dmi/id && \
                             echo \"$0\" >/sys/class/dmi/id/sys_vendor && exec \"$1\"";
                command.args(["/usr/bin/unshare", "--mount", "/bin/sh", "-c", cover, vendor, program])
            }
        };
        command.env_clear().env("HOME", self.home.path());
        if matches!(self.firmware, Firmware::Any) {
            command.env("AWS_EC2_METADATA_DISABLED", "true");
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

fn parsed(queries: &[&str]) -> Value {
    let filter = |part: &str| {
        let (name, values) = part.split_once('=').expect("a filter has values");
        json!({"filter": name, "values": values.split('|').collect::<Vec<_>>()})
    };
    queries.iter().map(|query| query.split_whitespace().map(filter).collect::<Value>()).collect()
}

/// The ids of the hosts of an answer.
pub(crate) fn ids(answer: &Value) -> Vec<&str> {
    hosts(answer).iter().map(|host| host["id"].as_str().expect("an id")).collect()
}

/// The hosts of an answer.
///
/// # Panics
/// When it is an error.
pub(crate) fn hosts(answer: &Value) -> &Vec<Value> {
    answer["hosts"].as_array().unwrap_or_else(|| panic!("expected hosts: {answer}"))
}

/// The code, message and hint of an answer.
///
/// # Panics
/// When it is none, or not on one line each.
pub(crate) fn failure(answer: &Value) -> (&str, &str, &str) {
    let text = |key: &str| answer["error"][key].as_str().unwrap_or_default();
    let failure = (text("code"), text("message"), text("hint"));
    assert!(!failure.0.is_empty() && !failure.1.is_empty(), "expected an error: {answer}");
    for line in [failure.1, failure.2] {
        assert!(!line.contains(char::is_control) && line.len() < 500, "expected one line: {line:?}");
    }
    failure
}
