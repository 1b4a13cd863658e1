//! An embedded fleet in a process of its own, with the tools set up to use it.
//!
//! Must not know what is tested on it.

use crate::env::TestEnv;
use crate::finished::Finished;
use crate::run::Run;
use crate::tools::program;

/// A running `fleet sandbox`, stopped with this value.
pub struct Fleet {
    env: TestEnv,
    dir: String,
}

impl Fleet {
    /// Starts one with these flags of `fleet sandbox start`.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(flags: &[&str]) -> Self {
        let env = TestEnv::new();
        let dir = env.path().join("fleet").display().to_string();
        env.fleet(["sandbox", "start", "--dir", &dir]).args(flags).finish().expect_code(0);
        Self { env, dir }
    }

    /// The world in which it runs.
    #[must_use]
    pub fn env(&self) -> &TestEnv {
        &self.env
    }

    /// Stops it, if it still runs.
    pub fn stop(&self) -> Finished {
        self.env.fleet(["sandbox", "stop", "--dir", &self.dir]).finish()
    }

    /// `psh` with these arguments, on the hosts of the fleet.
    #[must_use]
    pub fn psh(&self, arguments: &[&str]) -> Run {
        self.psh_under(&[], arguments)
    }

    /// `fleet` with these arguments, on the hosts of the fleet.
    #[must_use]
    pub fn fleet(&self, arguments: &[&str]) -> Run {
        self.env.fleet(arguments).env("FLEET_CONFIG", format!("{}/fleet.toml", self.dir))
    }

    /// `psh` as the last part of the command line `runner`, such as `prlimit --nofile=256`.
    #[must_use]
    pub fn psh_under(&self, runner: &[&str], arguments: &[&str]) -> Run {
        let psh = self.env.psh_path();
        let run = match runner {
            [] => self.env.psh(arguments),
            [first, rest @ ..] => self.env.run(&program(first), rest).arg(psh).args(arguments),
        };
        run.env("FLEET_CONFIG", format!("{}/fleet.toml", self.dir))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// A `runner` that says on stderr how many KiB the program behind it held at most.
pub const MEASURED: [&str; 3] = [
    "python3",
    "-c",
    "import resource, subprocess, sys\n\
     code = subprocess.run(sys.argv[1:]).returncode\n\
     print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)\n\
     sys.exit(code)",
];

/// What a program run under [`MEASURED`] held at most, in KiB: its code and all its memory that was touched.
///
/// # Panics
/// When it was not.
#[must_use]
pub fn peak_kib(run: &Finished) -> usize {
    let text = run.stderr_text();
    let line = text.lines().find_map(|line| line.strip_prefix("peak ")).expect("the line of MEASURED");
    line.parse().expect("a number")
}
