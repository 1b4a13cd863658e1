//! `fleet sandbox provide`: the running sandbox as a provider of hosts.
//!
//! Must not know who asks.

use std::io::{self, Read as _, Write};
use std::path::Path;

use fleet_core::provider::protocol::{Action, Answer, Console, ErrorReply, Record, Reply, Request, VERSION};
use fleet_sandbox::{FolderError, FolderState, RecordedHost, inspect};
use serde_json::Value;

use super::{Failure, OK, resolve};
use crate::cli::FolderArgs;

/// The user that the hosts' ssh_config names; they let everyone in who has the key.
const USER: &str = "sandbox";

/// Answers the request on stdin.
pub(super) fn run(folder: &FolderArgs, stdout: &mut dyn Write) -> Result<u8, Failure> {
    let mut request = Vec::new();
    io::stdin().read_to_end(&mut request)?;
    let reply = match resolve(folder) {
        Ok(dir) => reply(&request, &dir, || inspect(&dir)),
        Err(failure) => refusal("bad-request", failure.message, failure.hint.as_deref()),
    };
    serde_json::to_writer(&mut *stdout, &Answer::from(reply)).map_err(io::Error::from)?;
    writeln!(stdout)?;
    Ok(OK)
}

fn reply(request: &[u8], dir: &Path, inspect: impl FnOnce() -> Result<FolderState, FolderError>) -> Reply {
    let action = match action(request) {
        Ok(action) => action,
        Err(refusal) => return refusal,
    };
    let hosts = match inspect() {
        Ok(FolderState::Running(record)) => record.hosts,
        Ok(_) => {
            let message = format!("no sandbox is running in {}", dir.display());
            return refusal("unreachable", message, Some("start one with: fleet sandbox start"));
        }
        Err(error) => return refusal("internal", error.to_string(), None),
    };
    match action {
        Action::Describe { native_filters, .. } if !native_filters.is_empty() => {
            refusal("unsupported", "a sandbox has no filters of its own".to_owned(), None)
        }
        Action::Describe { .. } => {
            Reply::Hosts { hosts: hosts.into_iter().map(described).collect(), warnings: vec![], environment: vec![] }
        }
        Action::Console { ids } => {
            let consoles = hosts.into_iter().filter(|host| ids.contains(&host.name)).map(console);
            Reply::Consoles { consoles: consoles.collect() }
        }
        Action::Check => Reply::Ok {
            ok: format!("{} hosts in {}", hosts.len(), dir.display()),
            actions: ["describe", "console", "check"].map(str::to_owned).into(),
        },
        Action::Upload { .. } | Action::Discard { .. } => {
            refusal("unsupported", "a sandbox keeps no objects".to_owned(), None)
        }
    }
}

fn action(request: &[u8]) -> Result<Action, Reply> {
    let broken = |error: serde_json::Error| refusal("bad-request", format!("the request is none: {error}"), None);
    let request: Value = serde_json::from_slice(request).map_err(broken)?;
    let protocol = request.get("protocol");
    if protocol.and_then(Value::as_u64) != Some(u64::from(VERSION)) {
        let found = protocol.map_or("none".to_owned(), Value::to_string);
        return Err(refusal("unsupported", format!("protocol {found} is not known; expected {VERSION}"), None));
    }
    let known = ["describe", "console", "check"];
    match request.get("action").and_then(Value::as_str) {
        Some(action) if !known.contains(&action) => {
            let message = format!("the action {action:?} is not known; expected one of {}", known.join(", "));
            Err(refusal("unsupported", message, None))
        }
        _ => serde_json::from_value(request).map(|request: Request| request.action).map_err(broken),
    }
}

fn described(host: RecordedHost) -> Record {
    let mut record = Record {
        id: host.name.as_str().into(),
        name: Some(host.name.into()),
        state: Some("running".into()),
        port: Some(host.address.port()),
        user: Some(USER.into()),
        groups: vec![host.role.into()],
        host_keys: vec![host.host_key.into()],
        ..Record::default()
    };
    record.addresses.private = Some(host.address.ip().to_string().into());
    record
}

/// What a host in a cloud prints when it has made its keys, in the frame that cloud-init puts around them.
fn console(host: RecordedHost) -> Console {
    let text = format!("-----BEGIN SSH HOST KEY KEYS-----\n{}\n-----END SSH HOST KEY KEYS-----\n", host.host_key);
    Console { id: host.name, text }
}

fn refusal(code: &str, message: String, hint: Option<&str>) -> Reply {
    Reply::Error { error: ErrorReply { code: code.to_owned(), message, hint: hint.map(str::to_owned) } }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn running() -> FolderState {
        let host = RecordedHost {
            name: "web01".to_owned(),
            role: "web".to_owned(),
            address: "127.0.0.1:40000".parse().unwrap(),
            host_key: "ssh-ed25519 AAAA".to_owned(),
        };
        FolderState::Running(fleet_sandbox::Record { pid: 1, started_unix_secs: 0, hosts: vec![host] })
    }

    fn answer(request: &str, state: FolderState) -> Value {
        serde_json::to_value(Answer::from(reply(request.as_bytes(), Path::new("/dir"), || Ok(state)))).unwrap()
    }

    fn request(members: &str) -> String {
        format!(r#"{{"protocol":1,{members},"provider":"sandbox","settings":{{}}}}"#)
    }

    #[test]
    fn hosts_are_told_with_address_port_group_and_key() {
        let told = answer(&request(r#""action":"describe","queries":[]"#), running());
        let host = json!({
            "id": "web01", "name": "web01", "state": "running", "addresses": {"private": "127.0.0.1"}, "port": 40000,
            "user": "sandbox", "groups": ["web"], "host_keys": ["ssh-ed25519 AAAA"],
        });
        assert_eq!(told, json!({"protocol": 1, "hosts": [host]}));
        let told = answer(&request(r#""action":"console","ids":["web01","db01"]"#), running());
        assert_eq!(told["consoles"].as_array().map(Vec::len), Some(1));
        assert!(told["consoles"][0]["text"].as_str().unwrap().contains("\nssh-ed25519 AAAA\n"), "{told}");
        let told = answer(&request(r#""action":"check""#), running());
        assert_eq!(told["ok"], "1 hosts in /dir");
    }

    #[test]
    fn what_cannot_be_answered_is_refused_with_a_code() {
        let describe = request(r#""action":"describe","queries":[]"#);
        let native = request(r#""action":"describe","queries":[],"native_filters":[{"name":"a","values":[]}]"#);
        for (request, state, code) in [
            ("garbage", running(), "bad-request"),
            ("{}", running(), "unsupported"),
            (&describe.replace(":1,", ":2,"), running(), "unsupported"),
            (&request(r#""action":"launch""#), running(), "unsupported"),
            (&request(r#""action":"describe""#), running(), "bad-request"),
            (&native, running(), "unsupported"),
            (&describe, FolderState::Absent, "unreachable"),
            (&describe, FolderState::Stale, "unreachable"),
        ] {
            assert_eq!(answer(request, state)["error"]["code"], code, "{request}");
        }
    }
}
