//! Host keys in what a host printed on its console.
//!
//! cloud-init prints them once in an instance's life, at the end of its first boot: the fingerprints in one frame, and in newer
//! versions the keys in another (`tools/write-ssh-key-fingerprints` of cloud-init, called by its module
//! `keys_to_console`). Other images print the same frames, as EC2 made them usual: FreeBSD's `ec2_loghostkey`, NixOS. As the
//! text goes through logger(1), a line may have `<14>Nov 22 03:04:05 cloud-init: ` or `ec2: ` before it, and what a
//! getty sends to the terminal may be in it anywhere.
//!
//! Only the provider can be believed to hand over the console as it was; what is on it may be anybody's. So a mark counts only
//! as a line of its own, and only the first frame of each kind: the first boot printed it. Who may write to the console
//! later cannot add to it. A first frame that is not whole is no frame, and the next is not taken in its place.
//!
//! Pure. Must not know hosts, nor which keys are known.

use fleet_ssh::known_hosts::{Fingerprint, PublicKey, read_key};

/// How much of a console is looked at, in bytes: EC2 keeps 64 KiB.
const TEXT_LIMIT: usize = 1 << 20;
/// How many lines a frame may have.
const FRAME_LINES: usize = 100;
/// Who prints the frames, as logger(1) names them.
const TAGS: [&str; 3] = ["cloud-init", "ec2", "ci-info"];
/// Month, day, time and host.
const WORDS_BEFORE_TAG: usize = 4;

const FINGERPRINTS: Frame =
    Frame { begin: "-----BEGIN SSH HOST KEY FINGERPRINTS-----", end: "-----END SSH HOST KEY FINGERPRINTS-----" };
const KEYS: Frame = Frame { begin: "-----BEGIN SSH HOST KEY KEYS-----", end: "-----END SSH HOST KEY KEYS-----" };

/// What is said of a host's keys by those who know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Vouched {
    /// These are its keys.
    Keys(Vec<PublicKey>),
    /// Its keys have these fingerprints.
    Fingerprints(Vec<PrintedFingerprint>),
}

/// A fingerprint and the kind of key it belongs to, such as `ED25519`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PrintedFingerprint {
    pub(super) fingerprint: Fingerprint,
    pub(super) kind: String,
}

/// Why a console says nothing of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unprinted {
    /// There is no text at all.
    Empty,
    /// There is text, but no frame.
    Nothing,
    /// The text ends within the first frame.
    Cut,
    /// A frame with something in it that nobody prints there.
    Spoilt,
    /// The keys are not those of the fingerprints.
    Contradiction,
}

/// Two lines, and what is between them.
struct Frame {
    begin: &'static str,
    end: &'static str,
}

/// The host keys that a console tells of: at least one.
pub(super) fn host_keys(text: &str) -> Result<Vouched, Unprinted> {
    if text.trim().is_empty() {
        return Err(Unprinted::Empty);
    }
    let fingerprints: Option<Vec<_>> =
        FINGERPRINTS.of(text)?.map(|lines| lines.iter().filter_map(|line| printed_fingerprint(line)).collect());
    // What is wrong with the keys does not matter where there are fingerprints.
    let keys = match (KEYS.of(text), &fingerprints) {
        (Err(problem), None) => return Err(problem),
        (Err(_), Some(_)) => None,
        (Ok(lines), _) => lines,
    };
    let keys: Vec<PublicKey> = keys.into_iter().flatten().filter_map(|line| read_key(&line).ok()).collect();
    let keys: Vec<PublicKey> = keys.into_iter().filter(|key| key.algorithm().as_str() != "ssh-dss").collect();
    match (keys.is_empty(), fingerprints) {
        (true, None) => Err(Unprinted::Nothing),
        (true, Some(fingerprints)) if fingerprints.is_empty() => Err(Unprinted::Nothing),
        (true, Some(fingerprints)) => Ok(Vouched::Fingerprints(fingerprints)),
        (false, None) => Ok(Vouched::Keys(keys)),
        (false, Some(fingerprints)) => {
            let is_named = |key: &PublicKey| fingerprints.iter().any(|printed| printed.fingerprint.is_of(key));
            let named: Vec<PublicKey> = keys.into_iter().filter(is_named).collect();
            if named.is_empty() { Err(Unprinted::Contradiction) } else { Ok(Vouched::Keys(named)) }
        }
    }
}

impl Frame {
    /// The lines of the first such frame, without what logger puts before them. `None` where there is none.
    fn of(&self, text: &str) -> Result<Option<Vec<String>>, Unprinted> {
        let looked_at = (0..=TEXT_LIMIT.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
        let text = &text[..looked_at.unwrap_or_default()];
        let mut lines = text.split('\n').map(|line| message(&without_escapes(line)).to_owned());
        if !lines.any(|line| line == self.begin) {
            return Ok(None);
        }
        let mut framed = Vec::new();
        for line in lines {
            if line == self.end {
                return Ok(Some(framed));
            }
            if line == self.begin || framed.len() == FRAME_LINES {
                return Err(Unprinted::Spoilt);
            }
            framed.push(line);
        }
        Err(Unprinted::Cut)
    }
}

/// `256 SHA256:... root@host (ED25519)`, as ssh-keygen(1) prints it.
fn printed_fingerprint(line: &str) -> Option<PrintedFingerprint> {
    let mut words = line.split_ascii_whitespace();
    let _bits: u32 = words.next()?.parse().ok()?;
    let fingerprint = words.next()?.parse().ok()?;
    let kind = words.next_back()?.strip_prefix('(')?.strip_suffix(')')?.to_owned();
    (kind != "DSA").then_some(PrintedFingerprint { fingerprint, kind })
}

/// The line without what moves the cursor and colours the text (ECMA-48): a getty resets the terminal at any time.
fn without_escapes(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            kept.push(c);
            continue;
        }
        if chars.next() == Some('[') {
            // Parameters, then one final character.
            let _ = chars.find(|c| ('\u{40}'..='\u{7e}').contains(c));
        }
    }
    kept
}

/// What was printed, without the prefixes of kernel and logger, and without blanks around it.
fn message(line: &str) -> &str {
    let line = line.trim();
    let line = after_priority(line).unwrap_or(line).trim_start();
    let line = after_uptime(line).unwrap_or(line).trim_start();
    after_tag(line).unwrap_or(line).trim_start()
}

/// Behind `<14>`.
fn after_priority(line: &str) -> Option<&str> {
    let (number, rest) = line.strip_prefix('<')?.split_once('>')?;
    (number.len() <= 3 && is_number(number)).then_some(rest)
}

/// Behind `[   12.345678]`.
fn after_uptime(line: &str) -> Option<&str> {
    let (time, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (seconds, fraction) = time.trim_start().split_once('.')?;
    (is_number(seconds) && is_number(fraction)).then_some(rest)
}

/// Behind `Nov 22 03:04:05 host cloud-init[123]:`, of which only the last word has to be there.
fn after_tag(line: &str) -> Option<&str> {
    let (mut before, mut rest) = (Vec::new(), line);
    while before.len() <= WORDS_BEFORE_TAG {
        rest = rest.trim_start();
        let (word, behind) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
        if let Some(tag) = word.strip_suffix(':') {
            return (is_tag(tag) && is_origin(&before)).then_some(behind);
        }
        before.push(word);
        rest = behind;
    }
    None
}

/// `cloud-init`, `ec2[123]`.
fn is_tag(word: &str) -> bool {
    let (name, process) = word.split_once('[').unwrap_or((word, "0]"));
    TAGS.contains(&name) && process.strip_suffix(']').is_some_and(is_number)
}

/// A time, a host, both or nothing: what syslog puts before a tag.
fn is_origin(words: &[&str]) -> bool {
    let is_host = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    match words {
        [] => true,
        [word] => is_time(word) || is_host(word),
        [time, host] => is_time(time) && is_host(host),
        [month, day, time] => is_date(month, day) && is_time(time),
        [month, day, time, host] => is_date(month, day) && is_time(time) && is_host(host),
        _ => false,
    }
}

fn is_date(month: &str, day: &str) -> bool {
    month.len() == 3 && month.chars().all(|c| c.is_ascii_alphabetic()) && is_number(day)
}

/// `03:04:05`, or as in RFC 3339.
fn is_time(word: &str) -> bool {
    word.contains(':') && word.chars().all(|c| c.is_ascii_digit() || "-:.+TZ".contains(c))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
