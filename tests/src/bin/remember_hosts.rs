//! Adds host keys to the file named by the first argument from many threads at once, as the writer named by the second,
//! once its input has ended. For the test that several processes lose no line.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use fleet_ssh::known_hosts::{HashNames, KnownHostsFiles, KnownName, PublicKey, Verdict};

const HOSTS: usize = 250;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(Ok(writer))) = (arguments.next(), arguments.next().map(|text| text.parse::<usize>())) else {
        return ExitCode::from(2);
    };
    let Ok(known) = KnownHostsFiles::default().open(&[PathBuf::from(file)], &[]) else { return ExitCode::from(1) };
    let remembers = |name: String, key: usize| {
        let key = format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{key:A>43}");
        let Ok(key) = PublicKey::from_openssh(&key) else { return false };
        let verdict = known.remember(&KnownName::of_host(&name, 22), &key, HashNames::Plain);
        matches!(verdict, Ok(Verdict::Trusted(_)))
    };
    if writeln!(std::io::stdout(), "ready").is_err() || std::io::stdin().read_to_end(&mut Vec::new()).is_err() {
        return ExitCode::from(1);
    }
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..HOSTS)
            .map(|number| {
                scope.spawn(move || {
                    remembers(format!("shared{number}"), number)
                        && remembers(format!("own{writer}-{number}"), 1_000 * writer + number)
                })
            })
            .collect();
        threads.into_iter().all(|thread| thread.join().unwrap_or(false))
    });
    if all { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
