//! How often a tool reads the source: counted by strace(1), which slows what it watches, so in a run of its own.
//!
//! Must not know the tools. Reads by mmap(2) are not seen.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;
use std::process::Command;

/// System calls that take bytes out of a file.
const CALLS: &str = "trace=read,pread64,readv,preadv,preadv2,sendfile,copy_file_range,splice";

/// The same command under strace, which writes what is read, and from which file, to `log`.
pub(crate) fn traced(strace: &Path, command: &Command, log: &Path) -> Command {
    let mut traced = Command::new(strace);
    traced.args(["-f", "-qq", "-y", "-s0", "-e", CALLS, "-e", "signal=none", "-o"]).arg(log).arg("--");
    traced.arg(command.get_program()).args(command.get_args());
    traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced
}

/// The bytes that were read from files at or below `source`, as strace's `log` has it.
pub(crate) fn bytes_read(log: impl BufRead, source: &Path) -> std::io::Result<u64> {
    let source = source.to_string_lossy();
    let is_source = |call: &str| call.split(&['<', '>']).any(|path| is_below(path, &source));
    // Calls that others interrupt in the log, by process: whether they read the source.
    let mut unfinished: HashMap<String, bool> = HashMap::new();
    let mut bytes = 0;
    for line in log.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let Some((process, call)) = line.split_once(' ') else { continue };
        if call.ends_with("<unfinished ...>") {
            unfinished.insert(process.to_owned(), is_source(call));
            continue;
        }
        let resumed = call.trim_start().starts_with("<...");
        let counts = if resumed { unfinished.remove(process).unwrap_or(false) } else { is_source(call) };
        // Errors are negative numbers.
        let returned = call.rsplit_once("= ").and_then(|(_, number)| number.split(' ').next()?.parse::<u64>().ok());
        bytes += returned.filter(|_| counts).unwrap_or(0);
    }
    Ok(bytes)
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bytes_of_the_source_are_counted() {
        let cases = [
            ("12 read(3</b/source/file>, \"\"..., 65536) = 65536\n", 65_536),
            ("12 read(3</b/source/file>, \"\", 65536) = 0\n", 0),
            ("12 read(3</b/source/filed>, \"\"..., 9) = 9\n", 0),
            ("12 read(3<socket:[7]>, \"\"..., 9) = 9\n", 0),
            ("12 read(3</b/source/file>, 0x7f, 9) = -1 EIO (Input/output error)\n", 0),
            ("12  pread64(3</b/source/file/0001/2>, \"\"..., 4096, 0) = 4096\n", 4096),
            ("12 sendfile(4<socket:[7]>, 3</b/source/file>, NULL, 9) = 9\n", 9),
            (
                "12 read(3</b/source/file>,  <unfinished ...>\n13 read(5</etc/hosts>,  <unfinished ...>\n\
                 12 <... read resumed>\"\"..., 10) = 10\n13 <... read resumed>\"\"..., 7) = 7\n",
                10,
            ),
        ];
        for (log, bytes) in cases {
            assert_eq!(bytes_read(log.as_bytes(), Path::new("/b/source/file")).unwrap(), bytes, "{log}");
        }
    }
}
