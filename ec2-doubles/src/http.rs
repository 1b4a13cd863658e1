//! As much of an HTTP/1.1 server as an SDK needs: requests with a length, connections that are kept, a thread for each.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// By names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

pub(crate) enum Response {
    Answer {
        status: u16,
        content_type: &'static str,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Nothing, until the peer gives up.
    Hang,
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self::Answer { status, content_type, headers: Vec::new(), body: body.into() }
    }
}

/// A server on a port of its own. Takes no more connections when dropped; those that are open end with their peers.
pub(crate) struct Server {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
        let address = listener.local_addr().expect("a listener has an address");
        let stopped = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let seen = Arc::clone(&stopped);
        let listener = thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                let answer = Arc::clone(&answer);
                // A peer that leaves in the middle is no fault of the server.
                thread::spawn(move || stream.and_then(|stream| serve(&stream, &*answer)).ok());
            }
        });
        Self { address, stopped, listener: Some(listener) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn serve(stream: &TcpStream, answer: &dyn Fn(&Request) -> Response) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader)? {
        match answer(&request) {
            Response::Answer { status, content_type, headers, body } => {
                let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} Status\r\ncontent-type: {content_type}\r\n{headers}content-length: {length}\r\n\r\n"
                );
                let mut stream = stream;
                stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
            }
            Response::Hang => {
                reader.read_to_end(&mut Vec::new())?;
            }
        }
    }
    Ok(())
}

fn read(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() }))
}

/// The pairs of a form, decoded.
pub(crate) fn form(body: &str) -> BTreeMap<String, String> {
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        let (decoded, after) = match (byte, hex) {
            (b'%', Some(decoded)) => (decoded, &after[2..]),
            (b'+', _) => (b' ', after),
            _ => (byte, after),
        };
        bytes.push(decoded);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The time so many seconds from now, as the header `Date` writes it.
pub(crate) fn date(offset_secs: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    http_date(i64::try_from(now.as_secs()).expect("seconds since 1970 fit") + offset_secs)
}

/// RFC 9110 5.6.7; the days are counted from March, so that leap days come last in their year.
fn http_date(unix_secs: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    let (days, secs) = (unix_secs.div_euclid(86_400), unix_secs.rem_euclid(86_400));
    let since_0000_march = days + 719_468;
    let (era, day_of_era) = (since_0000_march.div_euclid(146_097), since_0000_march.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + i64::from(month >= 10);
    let weekday = DAYS[usize::try_from(days.rem_euclid(7)).expect("below 7")];
    let month = MONTHS[usize::try_from(month).expect("below 12")];
    format!("{weekday}, {day:02} {month} {year} {:02}:{:02}:{:02} GMT", secs / 3_600, secs / 60 % 60, secs % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_http_has_them() {
        for (unix_secs, written) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_767_225_599, "Wed, 31 Dec 2025 23:59:59 GMT"),
        ] {
            assert_eq!(http_date(unix_secs), written);
        }
    }

    #[test]
    fn forms_are_decoded() {
        let form = form("Action=DescribeInstances&Filter.1.Value.1=a%20b+c%2C%3D%C3%A9%25&empty=");
        assert_eq!(form["Filter.1.Value.1"], "a b c,=é%");
        assert_eq!(form["empty"], "");
    }
}
