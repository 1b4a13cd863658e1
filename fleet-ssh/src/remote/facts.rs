//! What a host can tell of itself: the command that asks, and its answer.
//!
//! Must not know what the facts are for, nor of SSH. What a host tells is anybody's text: whoever puts it into a command
//! quotes it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{Program, without_comments};

static TELL: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("facts.sh")));

/// Starts the line that tells a fact.
const MARK: &[u8] = b"\x1efleet-fact ";

/// Something that a host knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// The system, `Linux`: `uname -s`.
    Os,
    /// The machine, `x86_64`: `uname -m`.
    Arch,
    /// The system's release, `6.1.0-18-amd64`: `uname -r`.
    Kernel,
    /// The name that the host gives itself: `uname -n`.
    Hostname,
    /// How many processors are online.
    Cpus,
    /// The memory of the machine in MiB, rounded down.
    MemoryMib,
}

impl Fact {
    /// All there are.
    pub const ALL: [Self; 6] = [Self::Os, Self::Arch, Self::Kernel, Self::Hostname, Self::Cpus, Self::MemoryMib];

    /// The name in a template, and of the function of `facts.sh` that tells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Arch => "arch",
            Self::Kernel => "kernel",
            Self::Hostname => "hostname",
            Self::Cpus => "cpus",
            Self::MemoryMib => "memory_mib",
        }
    }

    /// The fact of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fact| fact.name() == name)
    }
}

/// What a host has told of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<Fact, Vec<u8>>);

impl Facts {
    /// The facts in `stdout`, all the output of [`facts_command`]. Of what the host cannot tell there is none.
    #[must_use]
    pub fn find(stdout: &[u8]) -> Self {
        let mut facts = BTreeMap::new();
        for line in stdout.split(|&b| b == b'\n') {
            let Some(at) = line.windows(MARK.len()).position(|window| window == MARK) else { continue };
            let line = line[at + MARK.len()..].trim_ascii_end();
            let Some(blank) = line.iter().position(|&b| b == b' ') else { continue };
            if let Some(fact) = std::str::from_utf8(&line[..blank]).ok().and_then(Fact::named) {
                facts.insert(fact, line[blank + 1..].to_vec());
            }
        }
        Self(facts)
    }

    /// The value of a fact, never empty; `None` when the host has not told it.
    #[must_use]
    pub fn get(&self, fact: Fact) -> Option<&[u8]> {
        self.0.get(&fact).map(Vec::as_slice)
    }
}

/// The command, for any login shell, that prints what [`Facts::find`] reads of these facts.
#[must_use]
pub fn facts_command(facts: &[Fact]) -> Vec<u8> {
    let names: String = facts.iter().flat_map(|fact| [" ", fact.name()]).collect();
    Program(format!("set --{names}\n{}", *TELL).into_bytes()).command_line()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn facts_are_read_among_the_noise_of_a_login_shell() {
        for (stdout, expected) in [
            ("motd\n\x1efleet-fact os Linux\nbye\n", Some("Linux")),
            ("no line end\x1efleet-fact os Linux\r\n", Some("Linux")),
            ("\x1efleet-fact os two words\n", Some("two words")),
            ("\x1efleet-fact os \n", None),
            ("\x1efleet-fact os\n", None),
            ("\x1efleet-fact arch Linux\n", None),
            ("fleet-fact os Linux\n", None),
        ] {
            let facts = Facts::find(stdout.as_bytes());
            assert_eq!(facts.get(Fact::Os), expected.map(str::as_bytes), "{stdout:?}");
        }
    }

    #[test]
    fn a_host_tells_what_it_is_asked_and_nothing_else() {
        let told = |facts: &[Fact]| {
            let line = String::from_utf8(facts_command(facts)).unwrap();
            let output = Command::new("/bin/sh").args(["-c", &line]).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
            Facts::find(&output.stdout)
        };
        let all = told(&Fact::ALL);
        let number = |fact| std::str::from_utf8(all.get(fact).unwrap()).unwrap().parse::<u64>().unwrap();
        assert!(number(Fact::Cpus) > 0 && number(Fact::MemoryMib) > 0, "{all:?}");
        for (fact, flag) in [(Fact::Os, "-s"), (Fact::Arch, "-m"), (Fact::Kernel, "-r"), (Fact::Hostname, "-n")] {
            let expected = Command::new("uname").arg(flag).output().unwrap().stdout;
            assert_eq!(all.get(fact), Some(expected.trim_ascii_end()), "{fact:?}");
        }
        assert_eq!(told(&[Fact::Arch]).0.into_keys().collect::<Vec<_>>(), [Fact::Arch]);
    }
}
