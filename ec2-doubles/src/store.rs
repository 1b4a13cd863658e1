//! S3 as moto emulates it, behind a proxy that fails as it is told: moto takes any signature, also one that has expired.
//!
//! Every connection has one request: whoever wants more connects again.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::moto::Moto;

/// How a store fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreFault {
    /// Not at all.
    #[default]
    None,
    /// Who has a URL gets HTTP 403, as when it has expired.
    Expired,
    /// Who has a URL gets an object in which a byte is another.
    Damaged,
    /// Who has a URL gets the first half of the object, and the connection is closed.
    Cut,
    /// Who has a URL gets nothing, and waits.
    FetchHangs,
    /// The second part of an upload is taken and not answered.
    UploadHangs,
    /// The second part of an upload is refused: `AccessDenied`.
    UploadDenied,
    /// Whoever removes an object gets no answer.
    DiscardHangs,
    /// Everything is refused with this code, as S3 writes it.
    Refused(&'static str),
}

/// After what time a request will not come any more, however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where all buckets are.
const REGION: &str = "eu-west-1";

/// What S3 answers to who asks in another region.
const ELSEWHERE: &[u8] = b"HTTP/1.1 301 Moved Permanently\r\nx-amz-bucket-region: eu-west-1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A store on loopback, without buckets.
pub struct FakeStore {
    _moto: Moto,
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    moto: String,
    state: Mutex<State>,
    changed: Condvar,
    stopped: AtomicBool,
}

#[derive(Default)]
struct State {
    fault: StoreFault,
    requests: Vec<String>,
}

struct Request {
    /// `GET /bucket/key?query`
    what: String,
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Request {
    /// Whether it was signed for the region that all buckets are in.
    fn is_for_region(&self) -> bool {
        let head = String::from_utf8_lossy(&self.head);
        head.contains(&format!("/{REGION}/s3/")) || head.contains(&format!("%2F{REGION}%2Fs3%2F"))
    }
}

impl FakeStore {
    /// Starts one, with these buckets.
    ///
    /// # Panics
    /// When moto does not start.
    #[must_use]
    pub fn start(buckets: &[&str]) -> Self {
        let moto = Moto::start("127.7.1.", &[]);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
        let address = listener.local_addr().expect("a listener has an address");
        let endpoint = moto.endpoint().strip_prefix("http://").expect("moto speaks HTTP").to_owned();
        let state = Mutex::default();
        let shared =
            Arc::new(Shared { moto: endpoint, state, changed: Condvar::new(), stopped: AtomicBool::new(false) });
        let seen = Arc::clone(&shared);
        let listener = thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&seen);
                // A peer that leaves in the middle is no fault of the proxy.
                thread::spawn(move || stream.and_then(|stream| shared.serve(&stream)).ok());
            }
        });
        let store = Self { _moto: moto, address, shared, listener: Some(listener) };
        let create = format!(
            "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
        );
        for bucket in buckets {
            store.ask("PUT", &format!("/{bucket}"), create.as_bytes());
        }
        store
    }

    /// Its address, for `AWS_ENDPOINT_URL_S3`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The variables that lead a program there.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let (endpoint, fake) = (self.endpoint(), || "fake".to_owned());
        vec![
            ("AWS_ENDPOINT_URL_S3", endpoint),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", fake()),
            ("AWS_SECRET_ACCESS_KEY", fake()),
        ]
    }

    /// How it fails from now on.
    pub fn fail(&self, fault: StoreFault) {
        self.shared.state().fault = fault;
    }

    /// Every request so far, such as `PUT /bucket/key?partNumber=1&uploadId=x`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared.state().requests.clone()
    }

    /// How many fetched by a URL.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.requests().iter().filter(|what| is_fetch(what)).count()
    }

    /// Waits for a request with this text in it.
    ///
    /// # Panics
    /// When none comes within `PATIENCE`.
    pub fn wait_for(&self, text: &str) {
        let state = self.shared.state();
        let is_missing = |state: &mut State| !state.requests.iter().any(|what| what.contains(text));
        let waited = self.shared.changed.wait_timeout_while(state, PATIENCE, is_missing);
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(state);
        assert!(!waited.timed_out(), "no request has {text}");
    }

    /// The names of the objects in a bucket.
    #[must_use]
    pub fn objects(&self, bucket: &str) -> Vec<String> {
        keys(&self.ask("GET", &format!("/{bucket}"), b""))
    }

    /// The names of the objects whose upload has not ended.
    #[must_use]
    pub fn uploads(&self, bucket: &str) -> Vec<String> {
        keys(&self.ask("GET", &format!("/{bucket}?uploads"), b""))
    }

    /// What is in an object.
    #[must_use]
    pub fn object(&self, bucket: &str, key: &str) -> Vec<u8> {
        self.ask("GET", &format!("/{bucket}/{key}"), b"")
    }

    /// Asks moto itself. Returns the body of the answer.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let host = &self.shared.moto;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=fake/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, \
             Signature=0\r\n\r\n",
            body.len()
        );
        let request = Request { what: String::new(), head: head.into_bytes(), body: body.to_owned() };
        let answer = self.shared.pass_on(&request).expect("moto answers");
        let head_len = head_len(&answer).expect("moto speaks HTTP");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{method} {path}: {}", String::from_utf8_lossy(&answer));
        answer[head_len..].to_owned()
    }
}

impl Drop for FakeStore {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let Some(request) = read(stream)? else { return Ok(()) };
        let fault = {
            let mut state = self.state();
            state.requests.push(request.what.clone());
            self.changed.notify_all();
            state.fault
        };
        let (is_fetch, is_second) = (is_fetch(&request.what), request.what.contains("partNumber=2&"));
        let mut to = stream;
        match fault {
            StoreFault::Expired if is_fetch => return to.write_all(&refusal("403 Forbidden", "AccessDenied")),
            StoreFault::UploadDenied if is_second => return to.write_all(&refusal("403 Forbidden", "AccessDenied")),
            StoreFault::Refused(code) => {
                let status = if code == "NoSuchBucket" { "404 Not Found" } else { "403 Forbidden" };
                return to.write_all(&refusal(status, code));
            }
            StoreFault::FetchHangs if is_fetch => return wait(to),
            StoreFault::UploadHangs if is_second => return wait(to),
            StoreFault::DiscardHangs if request.what.starts_with("DELETE ") => return wait(to),
            _ if !request.is_for_region() => return to.write_all(ELSEWHERE),
            _ => {}
        }
        let mut answer = self.pass_on(&request)?;
        match (fault, answer.len()) {
            (StoreFault::Damaged, len @ 1..) if is_fetch => answer[len / 2] ^= 1,
            (StoreFault::Cut, len) if is_fetch => answer.truncate(len / 2),
            _ => {}
        }
        to.write_all(&answer)?;
        to.shutdown(Shutdown::Write)
    }

    /// The whole answer of moto, head and body.
    fn pass_on(&self, request: &Request) -> io::Result<Vec<u8>> {
        let mut moto = TcpStream::connect(&self.moto)?;
        moto.write_all(&request.head)?;
        moto.write_all(&request.body)?;
        let mut answer = Vec::new();
        moto.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// Until the peer gives up.
fn wait(mut stream: &TcpStream) -> io::Result<()> {
    stream.read_to_end(&mut Vec::new()).map(drop)
}

fn is_fetch(what: &str) -> bool {
    what.starts_with("GET ") && what.contains("X-Amz-Signature=")
}

fn refusal(status: &str, code: &str) -> Vec<u8> {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as it was told</Message></Error>");
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A request with a length, which is passed on as the only one of its connection.
fn read(stream: &TcpStream) -> io::Result<Option<Request>> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let what = first.rsplit_once(" HTTP/").map_or(first.trim(), |(what, _)| what).to_owned();
    let (mut head, mut length, mut continues) = (first, 0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        continues |= lower.starts_with("expect:");
        if !lower.starts_with("connection:") && !lower.starts_with("expect:") {
            head.push_str(&line);
        }
    }
    head.push_str("Connection: close\r\n\r\n");
    if continues {
        let mut to = stream;
        to.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { what, head: head.into_bytes(), body }))
}

fn head_len(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// The names in a list of S3.
fn keys(list: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(list).into_owned();
    text.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned())).collect()
}
