//! From the bytes that a provider printed to what they mean.
//!
//! Must not know how they were come by.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error::Problem;
use super::protocol::{Console, ErrorReply, Record, Uploaded, VERSION};
use super::running::Ended;
use super::validate::{Records, shortened, shown};
use crate::sanitize::sanitized_line;

/// How many warnings of a provider are kept, and how long each may be in bytes.
const WARNING_LIMIT: usize = 100;
/// How long the URL of an object may be, in bytes: it is a line of input to programs on hosts.
const URL_LIMIT: usize = 16 << 10;
/// How much of a text in one line is kept, in characters.
const LINE_LIMIT: usize = 1000;

/// What a provider tells of its hosts, checked, but not filtered.
#[derive(Debug, Default)]
pub struct Told {
    /// Its hosts, each id once.
    pub records: Vec<Record>,
    /// Its own warnings, as harmless lines.
    pub warnings: Vec<String>,
    /// What was left out of the records and why, likewise.
    pub left_out: Vec<String>,
    /// Names of the environment variables that it depends on, with wildcards.
    pub environment: Vec<String>,
}

/// All members that any answer may have; those of other actions are passed over.
#[derive(Default)]
struct Members {
    protocol: Option<Value>,
    hosts: Option<Records>,
    warnings: Option<Value>,
    environment: Option<Value>,
    consoles: Option<Value>,
    ok: Option<Value>,
    uploaded: Option<Value>,
    discarded: Option<Value>,
    error: Option<Value>,
}

/// The output of a program that has ended well. One that has not is listened to only where it says why.
pub(super) fn of(ended: Ended) -> Result<Vec<u8>, Problem> {
    match ended.crash() {
        None => Ok(ended.output),
        Some(crash) => match read(&ended.output) {
            Err(refused @ Problem::Refused { .. }) => Err(refused),
            _ => Err(crash),
        },
    }
}

/// The hosts in an answer to `describe`.
///
/// # Errors
/// When it is an error, or not such an answer.
pub fn hosts(output: &[u8]) -> Result<Told, Problem> {
    let members = read(output)?;
    let records = members.hosts.ok_or_else(|| missing("hosts"))?;
    let (records, left_out) = records.finish();
    let mut warnings: Vec<String> = texts(members.warnings).map(|warning| line(&warning)).collect();
    warnings.truncate(WARNING_LIMIT);
    Ok(Told { records, warnings, left_out, environment: texts(members.environment).collect() })
}

/// The answer to `console`.
///
/// # Errors
/// As [`hosts`].
pub(super) fn consoles(output: &[u8]) -> Result<Vec<Console>, Problem> {
    let consoles = read(output)?.consoles.ok_or_else(|| missing("consoles"))?;
    serde_json::from_value(consoles).map_err(|error| Problem::Shape(format!("consoles: {}", line(&error.to_string()))))
}

/// The answer to `check`: one harmless line.
///
/// # Errors
/// As [`hosts`].
pub(super) fn ok(output: &[u8]) -> Result<String, Problem> {
    match read(output)?.ok {
        Some(Value::String(ok)) => Ok(line(&ok)),
        Some(other) => Err(Problem::Shape(format!("ok is {}; expected a text", shown(&other)))),
        None => Err(missing("ok")),
    }
}

/// The answer to `upload`: one that a program on a host can be told in a line.
///
/// # Errors
/// As [`hosts`].
pub(super) fn uploaded(output: &[u8]) -> Result<Uploaded, Problem> {
    let uploaded = read(output)?.uploaded.ok_or_else(|| missing("uploaded"))?;
    // What the parser says may quote the URL.
    let uploaded = Uploaded::deserialize(uploaded)
        .map_err(|_| Problem::Shape("uploaded is not as expected: url, key and size".to_owned()))?;
    let Uploaded { url, .. } = &uploaded;
    let is_web = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
    let is_plain = url.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'\'' | b'`'));
    match is_web && is_plain && url.len() <= URL_LIMIT {
        true => Ok(uploaded),
        false => Err(Problem::Shape("uploaded has a url that cannot be used; expected http:// or https://".to_owned())),
    }
}

/// The answer to `discard`: the objects that are gone, and warnings as harmless lines.
///
/// # Errors
/// As [`hosts`].
pub(super) fn discarded(output: &[u8]) -> Result<(Vec<String>, Vec<String>), Problem> {
    let members = read(output)?;
    let gone = members.discarded.ok_or_else(|| missing("discarded"))?;
    let warnings = texts(members.warnings).take(WARNING_LIMIT).map(|warning| line(&warning)).collect();
    Ok((texts(Some(gone)).collect(), warnings))
}

fn read(output: &[u8]) -> Result<Members, Problem> {
    if output.trim_ascii().is_empty() {
        return Err(Problem::Empty);
    }
    let spoilt = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(output);
    let read = Answer { spoilt: &spoilt }.deserialize(&mut deserializer);
    let read = read.and_then(|members| deserializer.end().map(|()| members));
    if let Some(problem) = spoilt.into_inner() {
        return Err(problem);
    }
    let members = read.map_err(|error| misread(&error, output))?;
    match (&members.protocol, members.error) {
        (None, _) => Err(Problem::Shape("it has no \"protocol\"".to_owned())),
        (Some(_), Some(error)) => Err(refusal(error)),
        (Some(_), None) => Ok(Members { error: None, ..members }),
    }
}

/// Text that is no JSON, or JSON that is no answer.
fn misread(error: &serde_json::Error, output: &[u8]) -> Problem {
    let reason = line(&error.to_string());
    if error.is_data() {
        return Problem::Shape(reason);
    }
    let beginning = String::from_utf8_lossy(&output[..output.len().min(LINE_LIMIT)]);
    Problem::NotJson { reason, beginning: format!("\"{}\"", shortened(&beginning)) }
}

fn check_version(protocol: Option<&Value>) -> Result<(), Problem> {
    match protocol {
        Some(Value::Number(version)) if version.as_u64() == Some(u64::from(VERSION)) => Ok(()),
        Some(other) => Err(Problem::Version { found: shown(other) }),
        None => Ok(()),
    }
}

/// What a provider says is wrong.
fn refusal(error: Value) -> Problem {
    match ErrorReply::deserialize(&error) {
        Ok(ErrorReply { code, message, hint }) => {
            Problem::Refused { code: shortened(&code), message: line(&message), hint: hint.map(|hint| line(&hint)) }
        }
        Err(reason) => Problem::Shape(format!("error: {}", line(&reason.to_string()))),
    }
}

fn missing(member: &str) -> Problem {
    Problem::Shape(format!("it has neither \"{member}\" nor \"error\""))
}

fn texts(value: Option<Value>) -> impl Iterator<Item = String> {
    let values = value.and_then(|value| Vec::<String>::deserialize(value).ok());
    values.into_iter().flatten()
}

/// Text of a provider as a part of ours: one line, harmless, not endless.
fn line(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(LINE_LIMIT) {
        Some((end, _)) => format!("{}...", sanitized_line(&text[..end])),
        None => sanitized_line(text),
    }
}

/// Reads an answer so that its records are checked one by one and never all in memory as they came. What spoils it is kept
/// in `spoilt`: the parser's own errors hold only text.
struct Answer<'a> {
    spoilt: &'a RefCell<Option<Problem>>,
}

impl<'de> DeserializeSeed<'de> for Answer<'_> {
    type Value = Members;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Members, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Answer<'_> {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members::default();
        while let Some(name) = map.next_key::<String>()? {
            let place = match name.as_str() {
                "hosts" => {
                    members.hosts = Some(map.next_value_seed(HostList { spoilt: self.spoilt })?);
                    continue;
                }
                "protocol" => &mut members.protocol,
                "warnings" => &mut members.warnings,
                "environment" => &mut members.environment,
                "consoles" => &mut members.consoles,
                "ok" => &mut members.ok,
                "uploaded" => &mut members.uploaded,
                "discarded" => &mut members.discarded,
                "error" => &mut members.error,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *place = Some(map.next_value()?).filter(|value: &Value| !value.is_null());
            // At once: what follows in another protocol may be misread.
            check_version(members.protocol.as_ref()).map_err(|problem| self.spoil(problem))?;
        }
        Ok(members)
    }
}

impl Answer<'_> {
    fn spoil<E: serde::de::Error>(&self, problem: Problem) -> E {
        *self.spoilt.borrow_mut() = Some(problem);
        E::custom("the answer is spoilt")
    }
}

struct HostList<'a> {
    spoilt: &'a RefCell<Option<Problem>>,
}

impl<'de> DeserializeSeed<'de> for HostList<'_> {
    type Value = Records;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Records, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for HostList<'_> {
    type Value = Records;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of hosts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut hosts: A) -> Result<Records, A::Error> {
        let mut records = Records::default();
        while let Some(host) = hosts.next_element::<Value>()? {
            records.push(host).map_err(|problem| Answer { spoilt: self.spoilt }.spoil(problem))?;
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_have_members_that_nobody_knows_yet() {
        let read =
            hosts(br#" {"later":[1],"hosts":[{"id":"a"}],"protocol":1,"error":null,"warnings":["w"]} "#).unwrap();
        assert_eq!(read.records.len(), 1);
        assert_eq!(read.warnings, ["w"]);
        assert_eq!(hosts(br#"{"protocol":1,"hosts":[]}"#).unwrap().records, []);
        assert_eq!(ok(br#"{"protocol":1,"ok":" fine\n"}"#).unwrap(), "fine");
        let text = consoles(br#"{"protocol":1,"consoles":[{"id":"a","text":"\u001b[2J"}]}"#).unwrap();
        assert_eq!(text, [Console { id: "a".to_owned(), text: "\u{1b}[2J".to_owned() }]);
    }

    #[test]
    fn what_is_no_answer_is_an_error_that_says_what_was_found() {
        for (output, expected) in [
            ("", "printed no answer"),
            (" \n", "printed no answer"),
            ("\u{1b}[31mlogin: ", r#"not JSON: expected value at line 1 column 1; it begins with "\x1b[31mlogin: ""#),
            (r#"{"protocol":1,"hosts":["#, "not JSON: EOF"),
            (r#"{"protocol":1,"hosts":[]}{"protocol":1}"#, "not JSON: trailing characters"),
            ("[]", "cannot be understood: invalid type: sequence, expected a JSON object"),
            (r#"{"protocol":1,"hosts":{}}"#, "expected a list of hosts"),
            (r#"{"hosts":[]}"#, "it has no \"protocol\""),
            (r#"{"protocol":2,"hosts":["another shape"]}"#, "of protocol 2; expected 1"),
            (r#"{"protocol":2,"hosts":[]}"#, "of protocol 2; expected 1"),
            (r#"{"protocol":"1","hosts":[]}"#, "of protocol \"1\"; expected 1"),
            (r#"{"protocol":1}"#, "neither \"hosts\" nor \"error\""),
            (r#"{"protocol":1,"error":"broken"}"#, "cannot be understood: error: "),
            (r#"{"protocol":1,"hosts":[{"name":"x"}]}"#, "record 1 of the answer has nothing as its id"),
        ] {
            let error = hosts(output.as_bytes()).unwrap_err().of("x");
            assert!(error.to_string().contains(expected), "{output}: {error}");
            assert!(error.hint().is_some() && !error.to_string().contains(char::is_control), "{error}");
        }
        assert!(ok(br#"{"protocol":1,"hosts":[]}"#).is_err());
        assert!(consoles(br#"{"protocol":1,"consoles":[{"text":"x"}]}"#).is_err());
    }

    #[test]
    fn an_error_of_the_provider_is_told_in_its_words_and_harmless() {
        let output =
            br#"{"protocol":1,"error":{"code":"expired","message":"the token\nhas \u001bexpired","hint":"log in"}}"#;
        let error = hosts(output).unwrap_err().of("ec2");
        assert_eq!(error.to_string(), r"provider ec2: the token\nhas \x1bexpired (expired)");
        assert_eq!(error.hint().as_deref(), Some("log in"));
    }

    #[test]
    fn a_url_is_a_plain_line_and_no_error_quotes_it() {
        let answer = |url: &str| {
            let uploaded = serde_json::json!({"url": url, "key": "k", "size": 3});
            uploaded_in(&serde_json::json!({"protocol": 1, "uploaded": uploaded}))
        };
        fn uploaded_in(answer: &Value) -> Result<Uploaded, Problem> {
            uploaded(answer.to_string().as_bytes())
        }
        let url = "https://b.s3.eu-west-1.amazonaws.com/k?X-Amz-Signature=0f%2B";
        let expected = Uploaded { url: url.to_owned(), key: "k".to_owned(), size: 3 };
        assert_eq!(answer(url).unwrap(), expected);
        for url in ["", "ftp://h/secret", "https://h/secret\"", "https://h/\nsecret", "https://h/a secret", "-secret"] {
            let error = answer(url).unwrap_err().to_string();
            assert!(error.contains("uploaded") && !error.contains("secret"), "{error}");
        }
        assert!(answer(&format!("https://h/{}", "x".repeat(URL_LIMIT))).is_err());
        let error = uploaded_in(&serde_json::json!({"protocol": 1, "uploaded": "https://secret"})).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(uploaded_in(&serde_json::json!({"protocol": 1, "ok": "fine"})).is_err());
    }

    #[test]
    fn what_was_discarded_is_told_with_what_may_be_left() {
        let told = discarded(br#"{"protocol":1,"discarded":["k"],"warnings":["x\n"]}"#).unwrap();
        assert_eq!(told, (vec!["k".to_owned()], vec!["x".to_owned()]));
        assert!(discarded(br#"{"protocol":1,"ok":"fine"}"#).is_err());
    }

    #[test]
    fn warnings_are_few_short_and_harmless() {
        let warnings: Vec<String> = (0..200).map(|_| format!("\u{1b}{}", "x".repeat(5000))).collect();
        let output = serde_json::json!({"protocol": 1, "hosts": [], "warnings": warnings}).to_string();
        let read = hosts(output.as_bytes()).unwrap();
        assert_eq!(read.warnings.len(), WARNING_LIMIT);
        assert!(read.warnings.iter().all(|warning| warning.starts_with("\\x1bx") && warning.len() < 1100));
    }
}
