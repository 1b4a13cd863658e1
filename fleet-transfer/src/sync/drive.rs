//! One host's session between a command's output and its input.
//!
//! Reading goes on while anything is computed or sent, as the server does not read while what it says is not read. Must not
//! know how the command is started, nor what its exit status means.

mod answer;

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fleet_rsync::flist::FileList;
use fleet_rsync::session::{Change, Event, Request, Session, Settings, itemized};
use fleet_rsync::wire::greeting::Agreed;
use fleet_rsync::wire::mux::Message;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::content::Described;
use super::line::Line;
use super::{Changed, DriveError, Pass, Said, Sync, SyncEnd};
use crate::push::Uplink;

/// Pieces of the server's output that wait to be looked at.
const WAITING_PIECES: usize = 16;
/// Answers that wait until there is this much of them, or nothing more is asked.
const MUCH_BYTES: usize = 64 << 10;
/// The most that one signature may take: that of a file of some 100 GiB.
const SIGNATURE_BYTES: usize = 32 << 20;
/// What is kept of what the server says.
const SAID_BYTES: usize = 64 << 10;
/// What is kept of what comes when nobody talks any more.
const LATE_BYTES: usize = 1 << 20;
/// How often the server gets a sign of life while something takes long.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// A conversation with the `rsync --server` of one host.
///
/// [`run`](Self::run) is the feed of the command's input; it can be dropped at any time, as it is when the command ends
/// first. [`received`](Self::received) and [`heard`](Self::heard) are for the command's outputs, also after that.
#[derive(Debug)]
pub struct Conversation {
    sync: Arc<Sync>,
    pieces: mpsc::Sender<Bytes>,
    /// Nobody talks any more.
    over: CancellationToken,
    late: Mutex<Vec<Bytes>>,
    heard: Mutex<Vec<u8>>,
    host: tokio::sync::Mutex<Host>,
}

impl Conversation {
    /// With a server that was started with [`Sync::words`].
    #[must_use]
    pub fn new(sync: &Arc<Sync>, pass: Pass) -> Self {
        let (pieces, incoming) = mpsc::channel(WAITING_PIECES);
        let session = Session::new(Settings {
            compression: sync.plan.compression,
            seed: sync.seed,
            dry_run: sync.plan.dry_run || pass == Pass::Rehearsal,
            signature_budget_bytes: SIGNATURE_BYTES,
        });
        let host = Host {
            pass,
            session,
            incoming,
            list: None,
            agreed: None,
            asked: HashSet::new(),
            ahead: VecDeque::new(),
            end: SyncEnd::default(),
        };
        Self {
            sync: Arc::clone(sync),
            pieces,
            over: CancellationToken::new(),
            late: Mutex::default(),
            heard: Mutex::default(),
            host: tokio::sync::Mutex::new(host),
        }
    }

    /// Takes what the server has written to its standard output. Waits while much is to be done; never for longer than
    /// [`run`](Self::run) lives.
    pub async fn received(&self, bytes: Bytes) {
        if !self.over.is_cancelled() {
            tokio::select! {
                biased;
                () = self.over.cancelled() => {}
                room = self.pieces.reserve() => if let Ok(room) = room {
                    return room.send(bytes);
                },
            }
        }
        let mut late = lock(&self.late);
        if late.iter().map(Bytes::len).sum::<usize>() < LATE_BYTES {
            late.push(bytes);
        }
    }

    /// Takes what it has written to standard error.
    pub fn heard(&self, bytes: &[u8]) {
        let mut heard = lock(&self.heard);
        heard.extend_from_slice(bytes);
        let excess = heard.len().saturating_sub(SAID_BYTES);
        heard.drain(..excess);
    }

    /// Talks until all is said, nobody takes any more, or what comes makes no sense. The input is to be closed then,
    /// upon which the server ends.
    pub async fn run(&self, uplink: &impl Uplink) {
        let _over = self.over.clone().drop_guard();
        let mut host = self.host.lock().await;
        let line = Line { uplink, throttle: self.sync.throttle.host() };
        // Boxed: a host that is only connected has no need of the room.
        if let Err(Stop::Failed(error)) = Box::pin(host.talk(&self.sync, line)).await {
            host.end.failure = Some(error);
        }
    }

    /// How it ended, when the command has.
    #[must_use]
    pub fn finish(self) -> SyncEnd {
        let mut host = self.host.into_inner();
        let late = self.late.into_inner().unwrap_or_else(PoisonError::into_inner);
        host.hear_the_rest(&self.sync, late);
        host.end.standard_error = self.heard.into_inner().unwrap_or_else(PoisonError::into_inner);
        host.end
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why no more is said.
enum Stop {
    /// Nobody takes any more, or nothing more can come.
    Refused,
    Failed(DriveError),
}

impl<E: Into<DriveError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

#[derive(Debug)]
struct Host {
    pass: Pass,
    session: Session,
    incoming: mpsc::Receiver<Bytes>,
    list: Option<Arc<FileList>>,
    agreed: Option<Agreed>,
    /// Files whose content was sent: one that is asked for again has arrived wrong.
    asked: HashSet<u32>,
    /// Files that are asked for next, in this order: what it lacks of each.
    ahead: VecDeque<(u32, io::Result<Described>)>,
    end: SyncEnd,
}

impl Host {
    async fn talk<U: Uplink>(&mut self, sync: &Sync, mut line: Line<'_, U>) -> Result<(), Stop> {
        loop {
            while let Some(event) = self.session.poll()? {
                match event {
                    Event::Agreed(agreed) => self.send_list(sync, agreed).await?,
                    Event::Wanted(request) => self.answer(sync, request, &mut line).await?,
                    event => self.note(sync, event),
                }
            }
            let taken_bytes = self.end.received_bytes;
            self.flush(&mut line).await?;
            if self.end.complete {
                return Ok(());
            }
            // What came while that was sent may be all that the server says before it is answered.
            if self.end.received_bytes == taken_bytes {
                let bytes = self.incoming.recv().await.ok_or(Stop::Refused)?;
                self.take(&bytes)?;
            }
        }
    }

    /// Feeds the session.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.end.received_bytes += bytes.len() as u64;
        Ok(self.session.feed(bytes)?)
    }

    /// Waits for `work`, and takes meanwhile what comes.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                bytes = self.incoming.recv(), if self.session.wants_input() => {
                    self.take(&bytes.ok_or(Stop::Refused)?)?;
                }
            }
        }
    }

    /// The same for work that may take longer than a server with `--timeout` waits.
    async fn at_length<T, U: Uplink>(
        &mut self,
        work: impl Future<Output = T>,
        line: &mut Line<'_, U>,
    ) -> Result<T, Stop> {
        let mut work = pin!(work);
        loop {
            if let Ok(done) = self.beside(tokio::time::timeout(SIGN_OF_LIFE, &mut work)).await? {
                return Ok(done);
            }
            self.session.keep_alive();
            self.flush(line).await?;
        }
    }

    /// Sends what waits, once it is worth a packet or two: small answers go together.
    async fn flush_much<U: Uplink>(&mut self, line: &mut Line<'_, U>) -> Result<(), Stop> {
        if self.session.waiting_bytes() < MUCH_BYTES { Ok(()) } else { self.flush(line).await }
    }

    /// Sends all that waits.
    async fn flush<U: Uplink>(&mut self, line: &mut Line<'_, U>) -> Result<(), Stop> {
        while let Some(bytes) = self.session.take_output() {
            let len = bytes.len() as u64;
            if !self.beside(line.send(bytes)).await? {
                return Err(Stop::Refused);
            }
            self.end.sent_bytes += len;
        }
        Ok(())
    }

    async fn send_list(&mut self, sync: &Sync, agreed: Agreed) -> Result<(), Stop> {
        let list = self.beside(sync.list(agreed)).await?.map_err(|error| DriveError::Local(error.to_string()))?;
        let plan = &sync.plan;
        let rules = (plan.delete.is_some() || plan.prune).then(|| plan.rules.on_the_wire(plan.excluded));
        self.session.send_list(rules.as_deref(), Arc::clone(&list));
        (self.list, self.agreed, self.end.agreed) = (Some(list), Some(agreed), Some(agreed));
        Ok(())
    }

    /// Keeps what needs no answer.
    fn note(&mut self, sync: &Sync, event: Event) {
        match event {
            Event::Message(Message::Text { severity, text }) => {
                let kept: usize = self.end.said.iter().map(|said| said.text.len()).sum();
                if kept < SAID_BYTES {
                    self.end.said.push(Said { severity, text });
                }
            }
            Event::Message(Message::Deleted { path, folder }) => {
                self.end.deleted += 1;
                if self.keeps_lines(sync) {
                    self.end.changes.push(Changed::Deleted { path, folder });
                }
            }
            Event::Message(Message::ErrorExit(code)) => self.end.error_exit = code,
            Event::Message(Message::IoError(_) | Message::Timeout(_)) | Event::Agreed(_) => {}
            Event::Changed(request) | Event::Wanted(request) => self.note_change(sync, &request),
            Event::Deleted(deleted) => self.end.deleted_kinds = Some(deleted),
            Event::Ended => self.end.complete = true,
        }
    }

    fn keeps_lines(&self, sync: &Sync) -> bool {
        sync.plan.itemize && self.pass == Pass::Plan
    }

    fn note_change(&mut self, sync: &Sync, request: &Request) {
        let Some(item) = self.list.as_ref().and_then(|list| list.get(request.index)) else { return };
        let letters = itemized(request, &item);
        // Blanks: nothing differs, which servers tell of hard links and folders.
        if letters.ends_with(b"         ") {
            return;
        }
        self.end.changed += 1;
        self.end.created += u64::from(request.change.has(Change::NEW));
        if self.keeps_lines(sync) {
            self.end.changes.push(Changed::Entry { index: request.index, letters, link: request.name.clone() });
        }
    }

    /// Takes what has come since nobody talks any more.
    fn hear_the_rest(&mut self, sync: &Sync, late: Vec<Bytes>) {
        self.incoming.close();
        let early: Vec<Bytes> = std::iter::from_fn(|| self.incoming.try_recv().ok()).collect();
        for bytes in early.into_iter().chain(late) {
            if self.end.failure.is_some() {
                return;
            }
            let taken = self.take(&bytes);
            if let Err(Stop::Failed(error)) = taken.and_then(|()| self.hear_events(sync)) {
                self.end.failure = Some(error);
            }
        }
    }

    fn hear_events(&mut self, sync: &Sync) -> Result<(), Stop> {
        while let Some(event) = self.session.poll()? {
            self.note(sync, event);
        }
        Ok(())
    }
}
