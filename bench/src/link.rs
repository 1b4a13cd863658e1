//! A far host: a delaying line before a real server, and how long each tool takes over it to its first byte of output.
//!
//! Must not know the protocol: a round trip is counted whenever the client sends something after it was silent for half
//! of one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::bench::{conditions, find_tools, load_average, print, write_file};
use crate::cli::{KeyExchange, LinkArgs};
use crate::error::BenchError;
use crate::server::known_hosts;
use crate::site::Site;
use crate::statistics::Spread;
use crate::tools::{InstalledTool, Job, Programs, Tool};
use crate::workload::HostKind;
use crate::world::World;

/// ssh(1) is run by xargs.
const TOOLS: [(Tool, &str); 5] = [
    (Tool::Psh, "psh"),
    (Tool::Bssh, "bssh"),
    (Tool::ParallelSshLibrary, "parallel-ssh (library)"),
    (Tool::Asyncssh, "asyncssh"),
    (Tool::Xargs, "ssh"),
];
const LIMIT: Duration = Duration::from_secs(60);

/// What one run of a tool took.
#[derive(Debug, Clone, Copy)]
struct Trip {
    round_trips: usize,
    /// From the established connection to the first byte of the tool's output.
    first_output: Duration,
}

/// Runs each tool over the line and prints a table.
pub(crate) async fn run(args: &LinkArgs) -> Result<(), BenchError> {
    let programs = Programs::find(&args.programs)?;
    let (tools, missing) = find_tools(&programs)?;
    let mut world = World::new()?;
    world.start_real(1, "").await?;
    let real = world.site(HostKind::Real).expect("just started");
    let line =
        Line::to(SocketAddrV4::new(real.addresses[0], real.port), Duration::from_millis(args.rtt_ms) / 2).await?;
    let site = line.site(real, &world)?;
    let mut rows = String::new();
    for (tool, name) in TOOLS {
        let Some(tool) = tools.iter().find(|found| found.tool == tool) else { continue };
        let mut trips = Vec::new();
        for _ in 0..args.rounds {
            trips.extend(trip(tool, &site, &line, &world).await?);
            world.clear().await;
        }
        rows += &row(name, &trips, args.rtt_ms);
    }
    let text = format!(
        "### First output of a host {} ms away, curve25519 for all\n\nRounds: {}. Load average: {}.\n\n\
         | tool | round trips | first output after, s | in round trips |\n| --- | --- | --- | --- |\n{rows}",
        args.rtt_ms,
        args.rounds,
        load_average(),
    );
    let conditions = conditions(&tools, &missing, &programs.psh);
    print(&format!("{conditions}\n{text}"))?;
    match &args.results {
        Some(folder) => write_file(folder, "link.md", &format!("{text}\n{conditions}")),
        None => Ok(()),
    }
}

fn row(name: &str, trips: &[Trip], rtt_ms: u64) -> String {
    let round_trips = Spread::of(trips.iter().map(|trip| trip.round_trips as f64));
    let (Some(round_trips), Some(secs)) =
        (round_trips, Spread::of(trips.iter().map(|trip| trip.first_output.as_secs_f64())))
    else {
        return format!("| {name} | - | - | - |\n");
    };
    let (Spread { min, median, max }, in_trips) = (secs, secs.median * 1000.0 / rtt_ms as f64);
    // A stall of this machine can only make it look like more.
    format!("| {name} | {} | {median:.2} ({min:.2}-{max:.2}) | {in_trips:.1} |\n", round_trips.min)
}

/// One run; `None` if nothing came.
async fn trip(tool: &InstalledTool, site: &Site, line: &Line, world: &World) -> Result<Option<Trip>, BenchError> {
    let key_exchange = KeyExchange::Curve25519;
    let files = site.write(world.folder(), 1, key_exchange)?;
    let job = Job { site, files: &files, key_exchange, parallel: 1, command: "echo hi", folder: world.folder() };
    let mut command = tokio::process::Command::from(tool.command(&job));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    line.forget();
    let program = tool.tool.name();
    let mut child = command.spawn().map_err(|source| BenchError::Spawn { program: program.to_owned(), source })?;
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let first = tokio::time::timeout(LIMIT, stdout.read_u8()).await;
    let trip = matches!(first, Ok(Ok(_))).then(|| line.trip(Instant::now())).flatten();
    // It may end once nobody keeps it from writing.
    let _ = tokio::time::timeout(LIMIT, tokio::io::copy(&mut stdout, &mut tokio::io::sink())).await;
    let _ = tokio::time::timeout(LIMIT, child.wait()).await;
    Ok(trip)
}

/// The moments of the last connection: first its beginning, then whenever the client sent something.
type Moments = Arc<Mutex<Vec<Instant>>>;

struct Line {
    address: SocketAddrV4,
    one_way: Duration,
    moments: Moments,
}

impl Line {
    /// Takes connections on another port of the host's address, in a task that ends with the runtime.
    async fn to(target: SocketAddrV4, one_way: Duration) -> Result<Self, BenchError> {
        let address = *target.ip();
        let listener = listen(address).await.map_err(|source| BenchError::Port { address, source })?;
        let port = listener.local_addr().map_err(BenchError::Runtime)?.port();
        let moments = Moments::default();
        let seen = Arc::clone(&moments);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                note(&seen);
                tokio::spawn(carry(client, target.into(), one_way, Arc::clone(&seen)));
            }
        });
        Ok(Self { address: SocketAddrV4::new(address, port), one_way, moments })
    }

    /// The same host at this end of the line.
    fn site(&self, real: &Site, world: &World) -> Result<Site, BenchError> {
        let path = world.folder().join("known_hosts_of_line");
        let addresses = vec![*self.address.ip()];
        let key = world.host_key()?;
        std::fs::write(&path, known_hosts(&addresses, self.address.port(), &key)).map_err(BenchError::file(&path))?;
        Ok(Site { addresses, port: self.address.port(), known_hosts: path, ..real.clone() })
    }

    fn forget(&self) {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What it took until `now`; `None` if there was no connection.
    fn trip(&self, now: Instant) -> Option<Trip> {
        let moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let (&opened, sent) = moments.split_first()?;
        // What was sent later cannot have been waited for.
        let answered = sent.iter().take_while(|sent| now.duration_since(**sent) >= self.one_way * 2).count();
        let round_trips = flights(&sent[..answered], self.one_way);
        Some(Trip { round_trips, first_output: now.duration_since(opened) })
    }
}

/// What is sent with shorter pauses than `pause` belongs together.
fn flights(sent: &[Instant], pause: Duration) -> usize {
    sent.len().min(1) + sent.windows(2).filter(|pair| pair[1] - pair[0] >= pause).count()
}

async fn listen(address: Ipv4Addr) -> io::Result<TcpListener> {
    TcpListener::bind((address, 0)).await
}

fn note(moments: &Moments) {
    moments.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
}

/// The host hears of the connection one way later, as the end of TCP's handshake travels too.
async fn carry(client: TcpStream, target: SocketAddr, one_way: Duration, moments: Moments) {
    let (from_client, to_client) = client.into_split();
    let _ = to_client.as_ref().set_nodelay(true);
    let (sent, arriving) = mpsc::unbounded_channel();
    tokio::spawn(take(from_client, sent, one_way, Some(moments)));
    tokio::time::sleep(one_way).await;
    let Ok(host) = TcpStream::connect(target).await else { return };
    let (from_host, to_host) = host.into_split();
    let _ = to_host.as_ref().set_nodelay(true);
    tokio::spawn(hand_over(arriving, to_host));
    let (sent, arriving) = mpsc::unbounded_channel();
    tokio::spawn(take(from_host, sent, one_way, None));
    hand_over(arriving, to_client).await;
}

/// Bytes, and when they arrive.
type OnTheWay = (Instant, Vec<u8>);

async fn take(
    mut from: OwnedReadHalf,
    sent: mpsc::UnboundedSender<OnTheWay>,
    one_way: Duration,
    moments: Option<Moments>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        moments.iter().for_each(note);
        if sent.send((Instant::now() + one_way, buffer[..length].to_vec())).is_err() {
            return;
        }
    }
}

async fn hand_over(mut arriving: mpsc::UnboundedReceiver<OnTheWay>, mut to: OwnedWriteHalf) {
    while let Some((due, bytes)) = arriving.recv().await {
        tokio::time::sleep_until(due.into()).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_together_is_one_round_trip() {
        let start = Instant::now();
        let at = |millis: &[u64]| -> Vec<Instant> {
            millis.iter().map(|&millis| start + Duration::from_millis(millis)).collect()
        };
        let cases: [(&[u64], usize); 4] = [(&[], 0), (&[0], 1), (&[0, 100, 110, 149, 210], 3), (&[0, 50, 99], 2)];
        for (sent, expected) in cases {
            assert_eq!(flights(&at(sent), Duration::from_millis(50)), expected, "{sent:?}");
        }
    }
}
