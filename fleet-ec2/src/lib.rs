//! The EC2 provider: tells which instances there are and what their consoles say, and keeps objects in S3, in answer to one
//! request.
//!
//! A program of its own (`fleet-ec2`), because the AWS SDK takes more to compile than all the rest of fleet together, and
//! because other clouds can be added in the same way by others. The program reads one JSON object from standard input
//! and writes one to standard output; `protocol` has their shapes. An error is an answer too: the program exits with 0.
//!
//! Credentials, regions, endpoints and retries come from where the AWS command line takes them: `AWS_*` variables,
//! `~/.aws/config` and `~/.aws/credentials`, SSO, web identities, containers, and the instance's own role. Instance
//! metadata is asked only on a machine whose firmware says that it is an EC2 instance, so nothing waits elsewhere.
//!
//! From the bottom up: `protocol`, `failure`, `settings` and `machine` (what this machine is), `access` (credentials,
//! regions, a client for each), `filter` (queries as EC2's filters) and `host` (an instance as a record), which are pure,
//! and one module for each action: `describe`, `console`, `check`; `store` for `upload` and `discard`, with `progress`.
//!
//! Must not know SSH, selections, groups, or which address of a host is taken.

mod access;
mod check;
mod console;
mod describe;
mod failure;
mod filter;
mod host;
mod machine;
mod progress;
mod protocol;
mod settings;
mod store;

use access::Access;
use failure::{Code, Failure};
pub use machine::Machine;
use protocol::{ACTIONS, Body, Envelope};
pub use protocol::{Answer, VERSION};
use serde::de::DeserializeOwned;

/// Answers one request: the bytes of a JSON object as `docs/provider.md` describes it.
pub async fn answer(request: &[u8], machine: Machine) -> Answer {
    act(request, machine).await.unwrap_or_else(|error| Body::Error { error }).into()
}

async fn act(request: &[u8], machine: Machine) -> Result<Body, Failure> {
    let envelope: Envelope = parse(request)?;
    if envelope.protocol != VERSION {
        let message = format!("version {} of the protocol is asked for, and this is {VERSION}", envelope.protocol);
        let hint = "install fleet-ec2 and the tool that runs it from one release";
        return Err(Failure::new(Code::Unsupported, message).with_hint(hint));
    }
    match envelope.action.as_str() {
        "describe" => {
            let request: protocol::Describe = parse(request)?;
            let conjunctions = filter::conjunctions(&request.queries, &request.native_filters)?;
            let access = Access::open(&request.settings, machine).await?;
            describe::describe(&access, &conjunctions).await
        }
        "console" => {
            let request: protocol::Console = parse(request)?;
            let access = Access::open(&request.settings, machine).await?;
            console::console(&access, &request.ids).await
        }
        "check" => {
            let request: protocol::Check = parse(request)?;
            let access = Access::open(&request.settings, machine).await?;
            check::check(&access).await
        }
        "upload" => store::upload(&parse(request)?, machine).await,
        "discard" => store::discard(&parse(request)?, machine).await,
        other => {
            let message = format!("the action {other} is not known; known are {}", ACTIONS.join(", "));
            Err(Failure::new(Code::Unsupported, message))
        }
    }
}

fn parse<T: DeserializeOwned>(request: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(request)
        .map_err(|error| Failure::new(Code::BadRequest, format!("the request cannot be read: {error}")))
}
