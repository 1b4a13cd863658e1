//! Hosts with ranges, ours (`web[01-20/2]`) or Ansible's (`web[01:20:2]`, `db-[a:f]`), and the names they stand for.
//!
//! Must not know what else stands on a line.

use crate::hostset::{self, EXPANSION_LIMIT, HostSetError};

/// The letters in the order in which a range of Ansible runs through them.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The names that a host set stands for, where ranges may be Ansible's.
///
/// # Errors
/// As for [`hostset::expand`].
pub(super) fn expand(set: &str) -> Result<Vec<String>, HostSetError> {
    let mut names = Vec::new();
    for item in hostset::items(set)? {
        let expanded = if has_colon_range(item) { expand_item(item)? } else { hostset::expand(item)? };
        if names.len() + expanded.len() > EXPANSION_LIMIT {
            return Err(HostSetError::TooMany { item: item.to_owned() });
        }
        names.extend(expanded);
    }
    Ok(names)
}

/// The insides of the brackets of `item`.
fn insides(item: &str) -> impl Iterator<Item = &str> {
    item.split('[').skip(1).filter_map(|tail| tail.split_once(']')).map(|(inside, _)| inside)
}

fn has_colon_range(item: &str) -> bool {
    insides(item).any(|inside| ColonRange::parse(inside).is_some())
}

/// The names of an item whose brackets match; the last range runs fastest.
fn expand_item(item: &str) -> Result<Vec<String>, HostSetError> {
    let mut names = vec![String::new()];
    let mut rest = item;
    while let Some((text, (inside, tail))) =
        rest.split_once('[').and_then(|(text, tail)| Some((text, tail.split_once(']')?)))
    {
        let values = match ColonRange::parse(inside) {
            Some(range) => range.values(item)?,
            None => hostset::expand(&format!("[{inside}]"))?,
        };
        if names.len().saturating_mul(values.len()) > EXPANSION_LIMIT {
            return Err(HostSetError::TooMany { item: item.to_owned() });
        }
        let with_values = |name: &String| values.iter().map(|value| format!("{name}{text}{value}")).collect::<Vec<_>>();
        names = names.iter().flat_map(with_values).collect();
        rest = tail;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

/// `first:last` or `first:last:step`, of numbers or of letters.
struct ColonRange<'a> {
    written: &'a str,
    first: &'a str,
    last: &'a str,
    step: Option<&'a str>,
}

impl<'a> ColonRange<'a> {
    /// `None` for what is no such range: an IPv6 address, or a range of ours.
    fn parse(inside: &'a str) -> Option<Self> {
        let (first, last, step) = match *inside.split(':').collect::<Vec<_>>().as_slice() {
            [first, last] => (first, last, None),
            [first, last, step] => (first, last, Some(step)),
            _ => return None,
        };
        let range = Self { written: inside, first, last, step };
        let is_of = |kind: fn(&str) -> bool| kind(first) && kind(last);
        let is_stepped = step.is_none_or(is_number);
        ((is_of(is_number) || is_of(is_letter) || first.is_empty() && is_number(last)) && is_stepped).then_some(range)
    }

    fn values(&self, item: &str) -> Result<Vec<String>, HostSetError> {
        if is_number(self.last) {
            let first = if self.first.is_empty() { "0" } else { self.first };
            let step = self.step.map_or_else(String::new, |step| format!("/{step}"));
            return hostset::expand(&format!("[{first}-{}{step}]", self.last));
        }
        let (part, item) = (self.written.to_owned(), item.to_owned());
        let step = self.step.map_or(Ok(1), str::parse).map_err(|_| HostSetError::TooMany { item: item.clone() })?;
        match (LETTERS.find(self.first), LETTERS.find(self.last)) {
            _ if step == 0 => Err(HostSetError::ZeroStep { part, item }),
            (Some(first), Some(last)) if first <= last => {
                Ok(LETTERS[first..=last].chars().step_by(step).map(String::from).collect())
            }
            _ => Err(HostSetError::Backwards { part, item }),
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_letter(text: &str) -> bool {
    text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names are those that `ansible-inventory` makes of the same.
    #[test]
    fn ranges_of_ansible_stand_for_its_names() {
        for (set, names) in [
            ("web[08:10]", "web08 web09 web10"),
            ("web[1:5:2].x", "web1.x web3.x web5.x"),
            ("web[:2]", "web0 web1 web2"),
            ("db-[a:c]", "db-a db-b db-c"),
            ("db-[y:B]", "db-y db-z db-A db-B"),
            ("[a:e:2]", "a c e"),
            ("r[1:2]-[a:b]:22", "r1-a:22 r1-b:22 r2-a:22 r2-b:22"),
            ("r[a:b][1-2,5]", "ra1 ra2 ra5 rb1 rb2 rb5"),
            ("a[1:2],b[3-4] c", "a1 a2 b3 b4 c"),
            ("[::1]", "[::1]"),
            ("[fe80::1:2]:22", "[fe80::1:2]:22"),
        ] {
            assert_eq!(expand(set).unwrap().join(" "), names, "{set}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for (set, message) in [
            ("web[c:a]", "the range \"c:a\" in \"web[c:a]\" goes down"),
            ("web[3:1]", "goes down"),
            ("web[a:c:0]", "the step of \"a:c:0\""),
            ("web[1:3:0]", "the step of"),
            ("web[a:1]", "\"a:1\" in \"web[a:1]\" is no range"),
            ("web[1:]", "is no range"),
            ("web[1:2", "brackets"),
            ("a[0:999999][0:999999]", "makes more than"),
            ("a[0:9],b[0:999999]", "makes more than"),
        ] {
            let error = expand(set).unwrap_err().to_string();
            assert!(error.contains(message), "{set}: {error}");
        }
    }
}
