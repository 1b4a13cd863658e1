//! One push to a real `rsync --server` on a pipe, as its sender would do it over a connection.

use std::collections::HashSet;
use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use fleet_rsync::checksum::spoilt;
use fleet_rsync::codec::{Compressor, Tokens};
use fleet_rsync::delta::{Search, Segment, Signature};
use fleet_rsync::filter::{Excluded, Rules};
use fleet_rsync::flist::{FileList, IoErrors};
use fleet_rsync::session::{Deleted, Event, Request, ServerArguments, Session, SessionError, Settings, itemized};
use fleet_rsync::wire::greeting::{Agreed, CompatFlags};
use fleet_rsync::wire::mux::{Demultiplexer, Message};

use crate::several::Several;
use crate::tree::{self, Naming, Source};

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is pushed, and what goes wrong on our side.
pub(crate) struct Push<'a> {
    pub(crate) source: Source<'a>,
    /// Pushed in place of it.
    pub(crate) several: Option<&'a Several>,
    /// Whether what is excluded is deleted.
    pub(crate) excluded: Excluded,
    pub(crate) arguments: ServerArguments,
    /// Further arguments of the server, such as `--protocol=30`.
    pub(crate) server: &'a [&'a str],
    /// Variables of the server, such as `RSYNC_CHECKSUM_LIST`.
    pub(crate) variables: &'a [(&'a str, &'a str)],
    /// What happened while the source was read.
    pub(crate) errors: IoErrors,
    /// Each file is first sent with a wrong digest.
    pub(crate) spoil: bool,
    /// A file that cannot be read any more when it is asked for, and why.
    pub(crate) lost: Option<(&'a str, IoErrors)>,
    /// What is run in place of `rsync`.
    pub(crate) program: &'a [&'a str],
}

/// How it went.
pub(crate) struct Pushed {
    pub(crate) status: ExitStatus,
    pub(crate) standard_error: String,
    pub(crate) agreed: Option<Agreed>,
    pub(crate) messages: Vec<Message>,
    /// The lines of `-i`.
    pub(crate) changes: Vec<String>,
    pub(crate) deleted: Option<Deleted>,
    pub(crate) literal_bytes: u64,
    /// Files that were asked for, as often as they were.
    pub(crate) wanted: Vec<String>,
    /// What the server had of them.
    pub(crate) signatures: Vec<Signature>,
    /// All that was sent.
    pub(crate) sent: Vec<u8>,
    /// All that was received.
    pub(crate) received: Vec<u8>,
    pub(crate) failure: Option<SessionError>,
    pub(crate) ended: bool,
}

impl fmt::Debug for Pushed {
    /// Without contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, standard_error, agreed, messages, changes, failure, .. } = self;
        write!(f, "{status:?} {standard_error} {agreed:?} {messages:?} {changes:?} {failure:?}")
    }
}

impl Pushed {
    /// All that was sent behind the greeting, without the frames: where one ends depends on how the server's words come.
    pub(crate) fn data(&self) -> Vec<u8> {
        let negotiates = self.agreed.unwrap().flags.has(CompatFlags::NEGOTIATES);
        let greeting = if negotiates { 4 + 1 + "xxh128 md5".len() } else { 4 };
        let mut data = Vec::new();
        Demultiplexer::default().feed(&self.sent[greeting..], &mut data).unwrap();
        data
    }
}

impl<'a> Push<'a> {
    /// An `-a` of everything in `source`.
    pub(crate) fn new(source: &'a Path, destination: &Path) -> Self {
        static ALL: LazyLock<Rules> = LazyLock::new(Rules::new);
        let destination = destination.as_os_str().as_encoded_bytes().to_vec();
        Self {
            source: Source { at: source, naming: Naming::Contents, rules: &ALL },
            several: None,
            excluded: Excluded::Kept,
            arguments: ServerArguments::archive(0x1234_5678, destination),
            server: &[],
            variables: &[],
            errors: IoErrors::NONE,
            spoil: false,
            lost: None,
            program: &["rsync"],
        }
    }

    /// What a session is told of it.
    pub(crate) fn settings(&self, signature_budget_bytes: usize) -> Settings {
        Settings {
            compression: self.arguments.compression,
            seed: self.arguments.seed,
            dry_run: self.arguments.dry_run,
            signature_budget_bytes,
        }
    }

    /// Runs it to the server's end.
    pub(crate) fn run(&self) -> Pushed {
        let mut child = self.start();
        let received = reading(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let standard_error = thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut conversation = Conversation::new(self);
        conversation.hold(&mut child, &received);
        drop(child.stdin.take());
        conversation.rest(&received);
        let status = child.wait().unwrap();
        Pushed { status, standard_error: standard_error.join().unwrap(), ..conversation.pushed }
    }

    fn start(&self) -> Child {
        let words = self.arguments.words();
        let (cluster, rest) = words.split_at(2);
        Command::new(self.program[0])
            .args(&self.program[1..])
            .args(cluster.iter().map(|word| tree::os(word)))
            .args(self.server)
            .args(rest.iter().map(|word| tree::os(word)))
            .envs(self.variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("rsync is installed and in PATH")
    }
}

fn reading(mut output: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = output.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

struct Conversation<'a> {
    push: &'a Push<'a>,
    session: Session,
    list: Option<Arc<FileList>>,
    spoilt: HashSet<u32>,
    pushed: Pushed,
}

impl<'a> Conversation<'a> {
    fn new(push: &'a Push<'a>) -> Self {
        let session = Session::new(push.settings(16 << 20));
        let pushed = Pushed {
            status: ExitStatus::default(),
            standard_error: String::new(),
            agreed: None,
            messages: Vec::new(),
            changes: Vec::new(),
            deleted: None,
            literal_bytes: 0,
            wanted: Vec::new(),
            signatures: Vec::new(),
            sent: Vec::new(),
            received: Vec::new(),
            failure: None,
            ended: false,
        };
        Self { push, session, list: None, spoilt: HashSet::new(), pushed }
    }

    fn hold(&mut self, child: &mut Child, received: &Receiver<Vec<u8>>) {
        let mut input = child.stdin.take().unwrap();
        loop {
            self.events();
            while let Some(bytes) = self.session.take_output() {
                // A server that has died says why in other ways.
                let _ = input.write_all(&bytes);
                self.pushed.sent.extend_from_slice(&bytes);
            }
            if self.pushed.ended || self.pushed.failure.is_some() {
                return;
            }
            match received.recv_timeout(PATIENCE) {
                Ok(bytes) => {
                    self.pushed.received.extend_from_slice(&bytes);
                    self.pushed.failure = self.session.feed(&bytes).err();
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    child.kill().unwrap();
                    panic!("the server was silent for {PATIENCE:?}: {:?}", self.pushed);
                }
            }
        }
    }

    /// What the server says behind the end.
    fn rest(&mut self, received: &Receiver<Vec<u8>>) {
        while let Ok(bytes) = received.recv_timeout(PATIENCE) {
            self.pushed.received.extend_from_slice(&bytes);
            if self.pushed.failure.is_none() {
                self.pushed.failure = self.session.feed(&bytes).err();
                self.events();
            }
        }
    }

    fn events(&mut self) {
        loop {
            match self.session.poll() {
                Ok(Some(event)) => self.event(event),
                Ok(None) => return,
                Err(error) => {
                    self.pushed.failure = Some(error);
                    return;
                }
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Agreed(agreed) => {
                let mut fields = self.push.arguments.fields;
                fields.digest = self.push.arguments.checksum.then_some(agreed.digest);
                let list = Arc::new(match self.push.several {
                    Some(several) => several.list(agreed.class, fields, self.push.errors),
                    None => self.push.source.list(agreed.class, fields, self.push.errors),
                });
                self.pushed.agreed = Some(agreed);
                let rules = self.push.source.rules.on_the_wire(self.push.excluded);
                let rules = self.push.arguments.delete.map(|_| &rules[..]);
                self.session.send_list(rules, Arc::clone(&list));
                self.list = Some(list);
            }
            Event::Message(message) => self.pushed.messages.push(message),
            Event::Changed(request) => self.itemize(&request),
            Event::Wanted(request) => {
                self.itemize(&request);
                self.answer(&request);
            }
            Event::Deleted(deleted) => self.pushed.deleted = Some(deleted),
            Event::Ended => self.pushed.ended = true,
        }
    }

    fn itemize(&mut self, request: &Request) {
        let item = self.list.as_ref().unwrap().get(request.index).unwrap();
        let letters = String::from_utf8(itemized(request, &item).to_vec()).unwrap();
        self.pushed.changes.push(format!("{letters} {}", String::from_utf8_lossy(&item.path)));
    }

    fn answer(&mut self, request: &Request) {
        let path = self.list.as_ref().unwrap().get(request.index).unwrap().path;
        self.pushed.wanted.push(String::from_utf8_lossy(&path).into_owned());
        if let Some((_, errors)) = self.push.lost.filter(|(lost, _)| lost.as_bytes() == path) {
            return self.session.cannot_send(errors);
        }
        self.pushed.signatures.extend(request.signature.clone());
        self.session.keep_alive();
        let agreed = self.pushed.agreed.unwrap();
        let content = match self.push.several {
            Some(several) => several.read(&path),
            None => self.push.source.read(&path),
        };
        let search = if self.push.arguments.in_place { Search::in_place } else { Search::new };
        let mut search = search(request.signature.as_ref().unwrap(), agreed.block_sum());
        content.chunks(100_000).for_each(|piece| search.push(piece));
        let delta = search.finish();
        self.pushed.literal_bytes += delta.literal_bytes();
        self.session.begin_answer();
        let (mut tokens, mut out) = (Tokens::new(agreed.codec), Vec::new());
        let mut compressor = Compressor::new(agreed.codec, self.push.arguments.level).unwrap();
        for segment in delta.segments {
            match segment {
                Segment::Blocks(run) => tokens.blocks(run, &mut out),
                Segment::Literal(range) => {
                    for part in content[range.start as usize..range.end as usize].chunks(agreed.codec.segment_len()) {
                        out.extend_from_slice(tokens.joint());
                        self.session.send(std::mem::take(&mut out).into());
                        self.session.send(Bytes::from(compressor.segment(part).unwrap()));
                    }
                }
            }
        }
        self.session.keep_alive();
        tokens.end(&mut out);
        self.session.send(out.into());
        let spoil = self.push.spoil && self.spoilt.insert(request.index);
        self.session.end_answer(if spoil { spoilt(delta.digest) } else { delta.digest });
    }
}
