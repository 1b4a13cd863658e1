//! The action `console`: what instances print to their serial console.

use aws_sdk_ec2::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_ec2::operation::get_console_output::{GetConsoleOutputError, GetConsoleOutputOutput};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt as _, stream};

use crate::access::{Access, Area};
use crate::failure::{Code, Failure};
use crate::protocol::{Body, ConsoleText};

/// How many consoles are asked for at once.
const CALLS_MAX: usize = 20;

/// The consoles of the given instances, in their order; a warning for each that EC2 does not know.
pub(crate) async fn console(access: &Access, ids: &[String]) -> Result<Body, Failure> {
    let answers = stream::iter(ids).map(|id| async move { (id, find(access, id).await) });
    let answers: Vec<_> = answers.buffered(CALLS_MAX).collect().await;
    let mut consoles = Vec::new();
    let mut warnings = Vec::new();
    for (id, answer) in answers {
        match answer? {
            Some(text) => consoles.push(ConsoleText { id: id.clone(), text }),
            None => warnings.push(format!("there is no instance {id:?} in {}", regions(access))),
        }
    }
    Ok(Body::Consoles { consoles, warnings })
}

fn regions(access: &Access) -> String {
    access.regions.iter().map(|area| area.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The console of one instance. An id does not tell its region, so each is asked in turn, and a region that may not be
/// asked counts only when no other knows the instance.
async fn find(access: &Access, id: &str) -> Result<Option<String>, Failure> {
    let mut refusal = None;
    for area in &access.regions {
        match text(area, id).await {
            Ok(Some(text)) => return Ok(Some(text)),
            Ok(None) => {}
            Err(failure) if failure.code == Code::Unauthorized => refusal = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    refusal.map_or(Ok(None), Err)
}

/// What a console says now, where the type of the instance has that; else what it said at boot. None when the region has
/// no such instance.
async fn text(area: &Area, id: &str) -> Result<Option<String>, Failure> {
    let mut answer = area.client.get_console_output().instance_id(id).latest(true).send().await;
    if code(&answer).is_some_and(|code| code.starts_with("Unsupported")) {
        answer = area.client.get_console_output().instance_id(id).send().await;
    }
    if code(&answer).is_some_and(|code| code.starts_with("InvalidInstanceID")) {
        return Ok(None);
    }
    let answer = answer.map_err(|error| area.call("GetConsoleOutput").failure(&error))?;
    decode(answer.output().unwrap_or_default()).map(Some).ok_or_else(|| {
        Failure::new(Code::Internal, format!("the console of {id} is not encoded as EC2 does; expected base64"))
    })
}

fn code(answer: &Result<GetConsoleOutputOutput, SdkError<GetConsoleOutputError>>) -> Option<&str> {
    answer.as_ref().err().and_then(|error| error.code())
}

/// Base64 in lines, of bytes that need not be UTF-8.
fn decode(encoded: &str) -> Option<String> {
    let packed: String = encoded.split_ascii_whitespace().collect();
    Some(String::from_utf8_lossy(&STANDARD.decode(packed).ok()?).into_owned())
}
