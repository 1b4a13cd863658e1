//! Whether a tool printed what the hosts said: all of it, whole lines, under the right host.
//!
//! Must not know the tools: before the host's own text, a line may have any prefix that does not name another host.

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::net::Ipv4Addr;

/// The length of a line of [`Expected::Sequence`] with its newline.
pub(crate) const SEQUENCE_LINE_BYTES: usize = 100;

/// What the hosts print.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// Each host prints one line: `body`, a space, and what sshd sets `SSH_CONNECTION` to, see ssh(1): four words, of
    /// which the third is its own address. So every line says which host it is from.
    LinePerHost { body: Vec<u8>, addresses: Vec<Ipv4Addr> },
    /// One host prints this many lines of [`sequence_line`].
    Sequence { lines: usize },
}

impl Expected {
    /// The number of lines.
    pub(crate) fn lines(&self) -> usize {
        match self {
            Self::LinePerHost { addresses, .. } => addresses.len(),
            Self::Sequence { lines } => *lines,
        }
    }

    /// How many bytes `lines` correct ones have, without those of their `SSH_CONNECTION`.
    pub(crate) fn bytes_of(&self, lines: usize) -> usize {
        match self {
            Self::LinePerHost { body, .. } => lines * (body.len() + 1),
            Self::Sequence { .. } => lines * SEQUENCE_LINE_BYTES,
        }
    }

    /// How many of the lines are there, whole and once. Other lines, such as a tool's own, are passed over.
    pub(crate) fn count(&self, output: impl BufRead) -> io::Result<usize> {
        match self {
            Self::LinePerHost { body, addresses } => count_hosts(body, addresses, output),
            Self::Sequence { lines } => count_sequence(*lines, output),
        }
    }
}

/// Line `number` of a sequence, with its newline.
pub(crate) fn sequence_line(number: usize) -> Vec<u8> {
    let mut line = format!("{number:09} ").into_bytes();
    line.resize(SEQUENCE_LINE_BYTES - 1, b'x');
    line.push(b'\n');
    line
}

fn count_hosts(body: &[u8], addresses: &[Ipv4Addr], output: impl BufRead) -> io::Result<usize> {
    let mut seen: HashMap<String, u32> = addresses.iter().map(|address| (address.to_string(), 0)).collect();
    for_each_line(output, |line| {
        if let Some(count) = host_of(body, line).and_then(|host| seen.get_mut(host)) {
            *count += 1;
        }
    })?;
    Ok(seen.values().filter(|&&count| count == 1).count())
}

/// The host that a line is from, if the line is whole and its prefix does not speak of another host.
fn host_of<'line>(body: &[u8], line: &'line [u8]) -> Option<&'line str> {
    let mut words = line.rsplitn(5, |&byte| byte == b' ');
    let [_server_port, address, _client_port, _client] = [words.next()?, words.next()?, words.next()?, words.next()?];
    let prefix = words.next()?.strip_suffix(body)?;
    let mut words = prefix.split(|byte| !byte.is_ascii_digit() && *byte != b'.');
    let right_host = prefix.is_empty() || words.any(|word| word == address);
    right_host.then(|| std::str::from_utf8(address).ok()).flatten()
}

/// Lines out of order count as lost.
fn count_sequence(lines: usize, output: impl BufRead) -> io::Result<usize> {
    let (mut correct, mut next) = (0, 0);
    for_each_line(output, |line| {
        let Some(number) = sequence_number(line).filter(|number| (next..lines).contains(number)) else { return };
        correct += 1;
        next = number + 1;
    })?;
    Ok(correct)
}

fn sequence_number(line: &[u8]) -> Option<usize> {
    let text = &line[line.len().checked_sub(SEQUENCE_LINE_BYTES - 1)?..];
    let number = std::str::from_utf8(text.get(..9)?).ok()?.parse().ok()?;
    (sequence_line(number).strip_suffix(b"\n") == Some(text)).then_some(number)
}

/// A last line without its newline counts too: the tool may have printed it so.
fn for_each_line(mut output: impl BufRead, mut line: impl FnMut(&[u8])) -> io::Result<()> {
    let mut bytes = Vec::new();
    while output.read_until(b'\n', &mut bytes)? > 0 {
        line(bytes.strip_suffix(b"\n").unwrap_or(&bytes));
        bytes.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting() -> Expected {
        let addresses = vec![Ipv4Addr::new(127, 1, 0, 1), Ipv4Addr::new(127, 1, 0, 11)];
        Expected::LinePerHost { body: b"hi".to_vec(), addresses }
    }

    #[test]
    fn line_of_each_host_counts_once_and_under_its_own_name_only() {
        let one = "hi 127.0.0.1 999 127.1.0.1 22";
        let eleven = "hi 127.0.0.1 998 127.1.0.11 22";
        let cases = [
            (format!("127.1.0.1: {one}\n127.1.0.11: {eleven}\n"), 2),
            (format!("127.1.0.11 | {eleven}\n127.1.0.1  | {one}\n"), 2),
            (format!("{one}\n{eleven}"), 2),
            (format!("{one}\n"), 1),
            ("[1] 01:02:03 [SUCCESS] 127.1.0.1\n".to_owned(), 0),
            (format!("127.1.0.11: {one}\n"), 0),
            (format!("{one}\n{one}\n"), 0),
            (format!("{one}{eleven}\n"), 0),
            ("hi 127.0.0.1 999 127.9.9.9 22\n\n    \n".to_owned(), 0),
            ("hi 127.0.0.1 999\n127.1.0.1 22\n".to_owned(), 0),
        ];
        for (output, correct) in cases {
            assert_eq!(greeting().count(output.as_bytes()).unwrap(), correct, "{output:?}");
        }
    }

    #[test]
    fn sequence_counts_whole_lines_in_order() {
        let line = |number| String::from_utf8(sequence_line(number)).unwrap();
        let cases = [
            (line(0) + &line(1) + &line(2), 3),
            (format!("h: {}h: {}h: {}", line(0), line(1), line(2)), 3),
            (line(0) + &line(2), 2),
            (line(1) + &line(0) + &line(2), 2),
            (line(0) + &line(0), 1),
            (line(0) + &line(1)[..50] + "\n" + &line(1)[50..] + &line(2), 2),
            (line(3), 0),
        ];
        let expected = Expected::Sequence { lines: 3 };
        for (output, correct) in cases {
            assert_eq!(expected.count(output.as_bytes()).unwrap(), correct, "{output:?}");
        }
    }
}
