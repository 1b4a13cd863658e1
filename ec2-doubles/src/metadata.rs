//! The metadata service of an instance, version 2: a token first, then facts by path.

use std::sync::{Arc, Mutex, PoisonError};

use crate::http::{Request, Response, Server};

/// The metadata of one instance with a role. Stops when dropped.
pub struct FakeMetadata {
    server: Server,
    paths: Arc<Mutex<Vec<String>>>,
}

impl FakeMetadata {
    /// Starts the service for an instance with this id in this region.
    #[must_use]
    pub fn start(id: &str, region: &str) -> Self {
        let paths: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&paths);
        let (id, region) = (id.to_owned(), region.to_owned());
        let server = Server::start(move |request| {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.path.clone());
            answer(request, &id, &region)
        });
        Self { server, paths }
    }

    /// Its address, for `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.server.url()
    }

    /// The paths that were asked for.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The access key of the instance's role.
    pub const ACCESS_KEY: &str = "ASIAROLEROLEROLEROLE";
}

fn answer(request: &Request, id: &str, region: &str) -> Response {
    const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
    let plain = |body: &str| Response::new(200, "text/plain", body);
    if request.method == "PUT" && request.path == "/latest/api/token" {
        let headers = vec![(TTL, "21600".to_owned())];
        return Response::Answer { status: 200, content_type: "text/plain", headers, body: "token".to_owned() };
    }
    if request.headers.get("x-aws-ec2-metadata-token").is_none_or(|token| token != "token") {
        return Response::new(401, "text/plain", "");
    }
    match request.path.as_str() {
        "/latest/meta-data/instance-id" => plain(id),
        "/latest/meta-data/placement/region" => plain(region),
        "/latest/meta-data/iam/security-credentials/" => plain("tester"),
        "/latest/meta-data/iam/security-credentials/tester" => {
            let credentials = serde_json::json!({
                "Code": "Success",
                "Type": "AWS-HMAC",
                "AccessKeyId": FakeMetadata::ACCESS_KEY,
                "SecretAccessKey": "secret",
                "Token": "token",
                "LastUpdated": "2026-01-01T00:00:00Z",
                "Expiration": "2099-01-01T00:00:00Z",
            });
            Response::new(200, "application/json", credentials.to_string())
        }
        _ => Response::new(404, "text/plain", ""),
    }
}
