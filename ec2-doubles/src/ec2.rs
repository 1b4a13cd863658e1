//! The fake of EC2: what it holds, how it fails, and what it answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::calls::Call;
use crate::http::{Request, Response, Server, date};
use crate::instance::{Instance, escape, is_filter, items};

/// The account that owns all instances.
pub const ACCOUNT: &str = "123456789012";

/// The credentials that [`FakeEc2::environment`] gives; the fake checks no signature.
const ACCESS_KEY: &str = "AKIAFAKEFAKEFAKEFAKE";

/// A way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Too many calls.
    Throttled,
    /// A policy does not allow the action.
    Unauthorized,
    /// The temporary credentials are too old.
    Expired,
    /// The access key is unknown.
    WrongKey,
    /// A proxy's page in HTML with the status 500.
    Html500,
    /// No answer at all.
    Hang,
}

/// EC2 on a port of loopback, with the regions that were named to it. Stops when dropped.
pub struct FakeEc2 {
    server: Server,
    world: Arc<Mutex<World>>,
}

#[derive(Default)]
struct World {
    regions: BTreeMap<String, Vec<Instance>>,
    faults: Vec<Planned>,
    clock_offset_secs: i64,
    calls: Vec<Call>,
}

struct Planned {
    fault: Fault,
    region: Option<String>,
    left: usize,
}

impl FakeEc2 {
    /// Starts an EC2 with one region, `eu-west-1`, that has no instances.
    #[must_use]
    pub fn start() -> Self {
        let world = Arc::new(Mutex::new(World::default()));
        let answering = Arc::clone(&world);
        let server = Server::start(move |request| lock(&answering).answer(request));
        let fake = Self { server, world };
        fake.enable("eu-west-1");
        fake
    }

    /// Its address, for `AWS_ENDPOINT_URL_EC2`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.server.url()
    }

    /// The variables that lead a program here, with `eu-west-1` as its region.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL_EC2", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "eu-west-1".to_owned()),
        ]
    }

    /// Enables a region for the account; in others the key is unknown, as in EC2.
    pub fn enable(&self, region: &str) {
        lock(&self.world).regions.entry(region.to_owned()).or_default();
    }

    /// Adds instances to `eu-west-1`.
    pub fn add(&self, instances: impl IntoIterator<Item = Instance>) {
        self.add_in("eu-west-1", instances);
    }

    /// Adds instances to a region, and enables it.
    pub fn add_in(&self, region: &str, instances: impl IntoIterator<Item = Instance>) {
        lock(&self.world).regions.entry(region.to_owned()).or_default().extend(instances);
    }

    /// Changes an attribute of an instance, its `instance-state-name` for one.
    pub fn change(&self, id: &str, name: &str, value: &str) {
        let mut world = lock(&self.world);
        for instance in world.regions.values_mut().flatten().filter(|one| one.get("instance-id") == Some(id)) {
            *instance = instance.clone().with(name, value);
        }
    }

    /// Fails every call from now on.
    pub fn fail(&self, fault: Fault) {
        self.plan(Planned { fault, region: None, left: usize::MAX });
    }

    /// Fails the next calls.
    pub fn fail_times(&self, times: usize, fault: Fault) {
        self.plan(Planned { fault, region: None, left: times });
    }

    /// Fails every call to one region from now on.
    pub fn fail_in(&self, region: &str, fault: Fault) {
        self.plan(Planned { fault, region: Some(region.to_owned()), left: usize::MAX });
    }

    /// Sets its clock so many seconds before ours, or behind when negative.
    pub fn set_clock_ahead(&self, secs: i64) {
        lock(&self.world).clock_offset_secs = secs;
    }

    /// All calls so far, failed ones too.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.world).calls.clone()
    }

    fn plan(&self, planned: Planned) {
        lock(&self.world).faults.push(planned);
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn answer(&mut self, request: &Request) -> Response {
        let call = Call::read(request);
        let answer = match self.due(&call.region) {
            Some(Fault::Hang) => Response::Hang,
            Some(Fault::Html500) => {
                Response::new(500, "text/html", "<html><body><h1>Internal Server Error</h1></body></html>")
            }
            Some(fault) => refusal(fault, &call.action),
            None => self.act(&call).unwrap_or_else(|error| error),
        };
        self.calls.push(call);
        match answer {
            Response::Answer { status, content_type, mut headers, body } => {
                headers.push(("date", date(self.clock_offset_secs)));
                Response::Answer { status, content_type, headers, body }
            }
            Response::Hang => Response::Hang,
        }
    }

    /// The fault that this call meets.
    fn due(&mut self, region: &str) -> Option<Fault> {
        let hits =
            |planned: &&mut Planned| planned.left > 0 && planned.region.as_deref().is_none_or(|only| only == region);
        let planned = self.faults.iter_mut().find(hits)?;
        planned.left -= 1;
        Some(planned.fault)
    }

    fn act(&mut self, call: &Call) -> Result<Response, Response> {
        if call.action == "DescribeRegions" {
            return Ok(self.describe_regions());
        }
        let Some(instances) = self.regions.get_mut(&call.region) else {
            return Err(refusal(Fault::WrongKey, &call.action));
        };
        match call.action.as_str() {
            "DescribeInstances" => describe_instances(instances, call),
            "GetConsoleOutput" => get_console_output(instances, call),
            action => {
                Err(error(400, "InvalidAction", &format!("The action {action} is not valid for this web service.")))
            }
        }
    }

    fn describe_regions(&self) -> Response {
        let regions = self.regions.keys().map(|name| format!("<regionName>{name}</regionName>"));
        xml("DescribeRegions", &format!("<regionInfo>{}</regionInfo>", items(regions)))
    }
}

fn describe_instances(instances: &mut [Instance], call: &Call) -> Result<Response, Response> {
    let invalid = |message: &str| error(400, "InvalidParameterValue", message);
    let filters = call.filter_lists();
    if let Some((name, _)) = filters.iter().find(|(name, _)| !is_filter(name)) {
        return Err(invalid(&format!("The filter '{name}' is invalid")));
    }
    if filters.iter().map(|(_, values)| values.len()).sum::<usize>() > 200 {
        return Err(error(
            400,
            "FilterLimitExceeded",
            "The maximum number of filter values specified on a single call is 200",
        ));
    }
    let ids = call.list("InstanceId");
    if let Some(unknown) = ids.iter().find(|id| !instances.iter().any(|one| one.get("instance-id") == Some(id))) {
        return Err(unknown_instance(unknown));
    }
    let size = call.parameters.get("MaxResults");
    if size.is_some() && !ids.is_empty() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(error(400, "InvalidParameterCombination", message));
    }
    let size = match size.map(|size| size.parse()) {
        None => usize::MAX,
        Some(Ok(size @ 5..=1000)) => size,
        Some(_) => {
            return Err(invalid("Value for parameter maxResults is invalid. Expecting a value between 5 and 1000"));
        }
    };
    let start: usize = match call.parameters.get("NextToken").map(|token| token.strip_prefix("page-at-")?.parse().ok())
    {
        None => 0,
        Some(Some(start)) => start,
        Some(None) => return Err(invalid("Unable to parse pagination token")),
    };
    let visible = instances.iter_mut().filter_map(|one| {
        let hidden = one.hidden_calls > 0;
        one.hidden_calls = one.hidden_calls.saturating_sub(1);
        (!hidden).then_some(&*one)
    });
    let wanted = |one: &&Instance| ids.is_empty() || ids.iter().any(|id| one.get("instance-id") == Some(id));
    let chosen: Vec<_> =
        visible.filter(wanted).filter(|one| filters.iter().all(|(name, values)| one.fits(name, values))).collect();
    let end = chosen.len().min(start.saturating_add(size));
    let page = &chosen[start.min(end)..end];
    let next = if end < chosen.len() { format!("<nextToken>page-at-{end}</nextToken>") } else { String::new() };
    Ok(xml("DescribeInstances", &format!("<reservationSet>{}</reservationSet>{next}", reservations(page))))
}

/// Instances that were launched together stand in one reservation.
fn reservations(instances: &[&Instance]) -> String {
    let id = |one: &Instance| one.get("reservation-id").or(one.get("instance-id")).unwrap_or_default().to_owned();
    let together = instances.chunk_by(|a, b| id(a) == id(b));
    items(together.map(|instances| {
        let owner = instances[0].get("owner-id").unwrap_or_default();
        let id = id(instances[0]);
        let set: String = instances.iter().map(|one| one.xml()).collect();
        format!("<reservationId>{id}</reservationId><ownerId>{owner}</ownerId><instancesSet>{set}</instancesSet>")
    }))
}

fn get_console_output(instances: &[Instance], call: &Call) -> Result<Response, Response> {
    let id = call.parameters.get("InstanceId").map_or("", String::as_str);
    let instance =
        instances.iter().find(|one| one.get("instance-id") == Some(id)).ok_or_else(|| unknown_instance(id))?;
    let latest = call.parameters.get("Latest").is_some_and(|latest| latest == "true");
    if latest && instance.get("hypervisor") == Some("xen") {
        return Err(error(
            400,
            "UnsupportedOperation",
            "This instance type does not support retrieving the latest console logs.",
        ));
    }
    let output = STANDARD.encode(&instance.console);
    Ok(xml("GetConsoleOutput", &format!("<instanceId>{id}</instanceId><output>{output}</output>")))
}

fn unknown_instance(id: &str) -> Response {
    error(400, "InvalidInstanceID.NotFound", &format!("The instance ID '{id}' does not exist"))
}

fn refusal(fault: Fault, action: &str) -> Response {
    let not_allowed = format!(
        "You are not authorized to perform this operation. User: arn:aws:iam::{ACCOUNT}:user/tester is not authorized to \
         perform: ec2:{action} because no identity-based policy allows the ec2:{action} action. Encoded authorization \
         failure message: 5PErFcHrcLMzIjyTZjpTpUPkzRnvnJqnDuKGtpGpWPkd3oqXLVF5Zn"
    );
    match fault {
        Fault::Throttled => error(503, "RequestLimitExceeded", "Request limit exceeded."),
        Fault::Unauthorized => error(403, "UnauthorizedOperation", &not_allowed),
        Fault::Expired => error(400, "RequestExpired", "Request has expired."),
        _ => error(401, "AuthFailure", "AWS was not able to validate the provided access credentials"),
    }
}

fn xml(action: &str, body: &str) -> Response {
    const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"{NAMESPACE}\">\
         <requestId>00000000-0000-0000-0000-000000000000</requestId>{body}</{action}Response>"
    );
    Response::new(200, "text/xml;charset=UTF-8", body)
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{}</Message>\
         </Error></Errors><RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>",
        escape(message)
    );
    Response::new(status, "text/xml;charset=UTF-8", body)
}
