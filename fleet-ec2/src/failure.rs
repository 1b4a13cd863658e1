//! Why there is no answer: a code for programs, one line and a hint for people.
//!
//! The SDK's own texts are a page of nested structures, or just "service error". What AWS says of a failure is kept, on
//! one line; what it encodes for administrators is left out.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use serde::Serialize;

/// The kinds of failure that the protocol tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Code {
    NoCredentials,
    NoRegion,
    Expired,
    ClockSkew,
    Unauthorized,
    Throttled,
    Unreachable,
    BadRequest,
    Unsupported,
    Internal,
}

/// An error as it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl AsRef<str>) -> Self {
        Self { code, message: one_line(message.as_ref()), hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl AsRef<str>) -> Self {
        self.hint = Some(one_line(hint.as_ref()));
        self
    }
}

/// A service of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Ec2,
    S3,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "EC2",
            Self::S3 => "S3",
        }
    }

    /// What stands before actions in policies.
    fn prefix(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::S3 => "s3",
        }
    }

    /// The variable that names an endpoint, and what it is.
    pub(crate) fn endpoint(self) -> Option<(&'static str, String)> {
        let own = match self {
            Self::Ec2 => "AWS_ENDPOINT_URL_EC2",
            Self::S3 => "AWS_ENDPOINT_URL_S3",
        };
        let set = |name| Some((name, std::env::var(name).ok().filter(|value| !value.is_empty())?));
        [own, "AWS_ENDPOINT_URL"].into_iter().find_map(set)
    }
}

/// The call that failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) service: Service,
    /// The name of the action, as policies write it behind `ec2:` and `s3:`.
    pub(crate) action: &'static str,
    pub(crate) region: &'a str,
    pub(crate) timeout: Duration,
}

impl Call<'_> {
    /// Says why the call failed.
    pub(crate) fn failure<E>(&self, error: &SdkError<E>) -> Failure
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::TimeoutError(_) => {
                let limit = humantime::format_duration(self.timeout);
                self.unreachable(&format!("{} did not answer within {limit}", self.place()))
            }
            SdkError::DispatchFailure(_) => {
                self.unreachable(&format!("{} cannot be reached: {}", self.place(), innermost(error)))
            }
            SdkError::ServiceError(context) => {
                let refusal = Refusal {
                    code: context.err().code(),
                    message: context.err().message().unwrap_or_default(),
                    status: context.raw().status().as_u16(),
                    skew: context.raw().headers().get("date").and_then(skew),
                };
                self.refusal(&refusal)
            }
            SdkError::ResponseError(context) => self.not_aws(context.raw().status().as_u16()),
            _ => Failure::new(Code::Internal, format!("{} in {}: {}", self.action, self.region, chain(error))),
        }
    }

    /// `EC2 in eu-west-1`
    fn place(&self) -> String {
        format!("{} in {}", self.service.name(), self.region)
    }

    /// There is none of this name, or none that we may see.
    pub(crate) fn no_bucket(&self, name: &str) -> Failure {
        let at = self.service.endpoint().map_or_else(String::new, |(_, endpoint)| format!(" at {endpoint}"));
        Failure::new(Code::BadRequest, format!("there is no bucket {name} in S3{at}"))
            .with_hint("aws s3 ls lists those of the account, aws s3 mb makes one")
    }

    fn refusal(&self, refusal: &Refusal<'_>) -> Failure {
        let Self { action, region, service, .. } = self;
        let (place, prefix) = (self.place(), service.prefix());
        let Some(code) = refusal.code else { return self.not_aws(refusal.status) };
        let said = format!("{place} says {code}: {}", without_encoded(refusal.message));
        if let Some(skew) = refusal.skew.as_ref().filter(|_| OF_WRONG_CLOCKS.contains(&code)) {
            let message = format!("the clock of this machine is {skew} that of {place}, which says {code}");
            return Failure::new(Code::ClockSkew, message)
                .with_hint("set the clock: signatures are valid for 5 minutes");
        }
        match code {
            "RequestExpired" | "ExpiredToken" | "ExpiredTokenException" => {
                Failure::new(Code::Expired, said).with_hint(RENEW)
            }
            "AuthFailure"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "InvalidToken"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
            | "MissingAuthenticationToken" => Failure::new(Code::Unauthorized, said).with_hint(format!(
                "the access key or its secret is wrong, or {region} is not enabled for the account"
            )),
            "OptInRequired" => Failure::new(Code::Unauthorized, said)
                .with_hint(format!("enable {region} for the account, or leave it out of the regions")),
            "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
                let message =
                    format!("no permission for {prefix}:{action} in {region}: {}", without_encoded(refusal.message));
                Failure::new(Code::Unauthorized, message).with_hint(format!(
                    "allow {prefix}:{action} in a policy of this user or role, or choose another --profile"
                ))
            }
            "RequestLimitExceeded"
            | "Throttling"
            | "ThrottlingException"
            | "TooManyRequestsException"
            | "RequestThrottled"
            | "SlowDown" => Failure::new(Code::Throttled, said)
                .with_hint("other programs of the account call too often; wait a little, or raise AWS_MAX_ATTEMPTS"),
            _ if (400..500).contains(&refusal.status) => Failure::new(Code::BadRequest, said),
            _ => Failure::new(Code::Unreachable, said).with_hint("a fault of the service; try again"),
        }
    }

    /// Something answered that does not speak the language of AWS.
    fn not_aws(&self, status: u16) -> Failure {
        let (place, name) = (self.place(), self.service.name());
        self.unreachable(&format!("what answers for {place} sent HTTP {status} and no {name} answer"))
    }

    fn unreachable(&self, message: &str) -> Failure {
        Failure::new(Code::Unreachable, message).with_hint(match self.service.endpoint() {
            Some((name, value)) => format!("the endpoint comes from {name}={value}"),
            None => format!("is {} a region, and do the network and HTTPS_PROXY lead to AWS?", self.region),
        })
    }
}

/// What a clock that is wrong makes EC2 say, among other reasons.
const OF_WRONG_CLOCKS: [&str; 5] =
    ["AuthFailure", "RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed", "SignatureDoesNotMatch"];

const RENEW: &str =
    "get new temporary credentials: `aws sso login`, `aws sts assume-role`, or whatever gave you the old";

/// What the service said instead of doing its work.
struct Refusal<'a> {
    /// None when the answer was not one of EC2.
    code: Option<&'a str>,
    message: &'a str,
    status: u16,
    /// By how much this machine's clock differs, in words, where that is too much.
    skew: Option<String>,
}

/// Says why there are no credentials to sign with; `renewal` is what renews those of the profile.
pub(crate) fn credentials(error: &CredentialsError, profile: &str, renewal: String) -> Failure {
    if let CredentialsError::CredentialsNotLoaded(_) = error {
        let message = format!("there are no AWS credentials in the environment and in the profile {profile}");
        let hint = "run `aws configure` or `aws sso login`, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or choose \
                    a --profile";
        return Failure::new(Code::NoCredentials, message).with_hint(hint);
    }
    // The outermost says no more than that there was an error.
    let reason = error.source().map_or_else(|| error.to_string(), chain);
    let (code, what) = if reason.to_lowercase().contains("expired") {
        (Code::Expired, "have expired")
    } else {
        (Code::NoCredentials, "cannot be had")
    };
    Failure::new(code, format!("the credentials of the profile {profile} {what}: {reason}")).with_hint(renewal)
}

/// The clocks' difference in words, where signatures suffer from it.
fn skew(date: &str) -> Option<String> {
    let theirs = SystemTime::try_from(DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?).ok()?;
    skew_between(SystemTime::now(), theirs)
}

fn skew_between(ours: SystemTime, theirs: SystemTime) -> Option<String> {
    let (difference, word) = match ours.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let minutes = difference.as_secs() / 60;
    (minutes >= 5).then(|| format!("{} {word}", humantime::format_duration(Duration::from_secs(minutes * 60))))
}

/// AWS adds a long text that only an administrator can decode.
fn without_encoded(message: &str) -> &str {
    message.split("Encoded authorization failure message").next().unwrap_or(message).trim_end()
}

/// All that an error and its sources say, each once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut words = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        if !words.iter().any(|said| said.contains(&text)) {
            words.push(text);
        }
        next = source.source();
    }
    words.join(": ")
}

fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Text from outside as one line of bounded length, without control characters.
pub(crate) fn one_line(text: &str) -> String {
    const LIMIT_CHARS: usize = 400;
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LIMIT_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
