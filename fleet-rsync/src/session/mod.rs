//! The sender's side of one conversation with one `rsync --server`, without input and output of its own.
//!
//! Whoever has the connection does, in any order and as often as there is something to do:
//! * gives what it received to [`Session::feed`], as long as [`Session::wants_input`],
//! * writes what [`Session::take_output`] gives, and
//! * calls [`Session::poll`] until it gives nothing, and does what the [`Event`]s ask for.
//!
//! Reading and writing must not wait for each other: the server does not read on while what it says is not read.
//!
//! # The conversation
//! | what comes | what goes |
//! | --- | --- |
//! | the [greeting](crate::wire::greeting) | the greeting |
//! | | rules of filters, if the server is to delete or to prune: for each an int, its length, and its text; then an int 0 |
//! | | the [file list](crate::flist) |
//! | [requests](Request) | each again, with content if it is wanted |
//! | [`DONE`](crate::wire::ints::DONE) | `DONE`: nothing is missing but what was not understood |
//! | requests for files whose digest was wrong, with longer sums | each again, with content |
//! | `DONE` | `DONE` |
//! | `DONE` | `DONE` |
//! | with version 31: perhaps how many files were deleted, `DONE` | `DONE` |
//! | `DONE` | nothing: the conversation is over |
//!
//! [`DELETE_STATS`](crate::wire::ints::DELETE_STATS) can come wherever a request can. A file that cannot be read any more is answered with a message
//! ([`no_send`]), and the server is told so once more as it would be of an error in the list ([`io_error`]).
//!
//! Must not know files: content, deltas and digests come from outside, so that they can be shared.

mod arguments;
mod asking;
mod itemize;
mod outbox;
mod request;

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

pub use arguments::{Capabilities, Delete, ServerArguments};
pub use asking::Deleted;
use asking::{Answer, Asking};
pub use itemize::itemized;
use outbox::Outbox;
pub use request::{Change, Request};

use crate::checksum::Digest;
use crate::delta::SignatureError;
use crate::flist::{FileList, IoErrors};
use crate::wire::WireError;
use crate::wire::greeting::{Agreed, CompatFlags, Compression, Greeting, GreetingError, Progress, WireClass};
use crate::wire::ints::{Reader, put_int};
use crate::wire::mux::{Demultiplexer, Message, data_head, io_error, no_send};

/// How much may wait unread while an answer is given.
const LONGEST_BACKLOG_BYTES: usize = 256 << 10;

/// How much may wait as messages.
const LONGEST_MESSAGES_BYTES: usize = 256 << 10;

/// How much may wait to be written before nothing more is read that would have to be answered.
const LONGEST_OUTPUT_BYTES: usize = 16 << 20;

/// What a session is told before it begins.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What the server's arguments say about compression.
    pub compression: Compression,
    /// The seed in the server's arguments: positive, and not to be guessed.
    pub seed: i32,
    /// Whether they say `-n`.
    pub dry_run: bool,
    /// The most that the signature of one file may take, in bytes.
    pub signature_budget_bytes: usize,
}

/// Something to be known or to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The server has said what it is. [`Session::send_list`] is next.
    Agreed(Agreed),
    /// The server says something.
    Message(Message),
    /// An entry differs, and the server needs (or with `-n`, would need) nothing more from us than to know that we know.
    Changed(Request),
    /// Content is wanted: [`Session::begin_answer`], or [`Session::cannot_send`].
    Wanted(Request),
    /// The server has deleted.
    Deleted(Deleted),
    /// Nothing more is to be said: the connection's input can be closed, and the server's exit status be awaited.
    Ended,
}

/// Why a conversation cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SessionError {
    /// It did not begin.
    #[error(transparent)]
    Greeting(#[from] GreetingError),
    /// Something that is not rsync's form.
    #[error("in what the host's rsync says")]
    Wire(#[from] WireError),
    /// A signature that no rsync makes, or that is too large.
    #[error("in the host's signature of {}", .path.escape_ascii())]
    Signature {
        /// Of which file.
        path: Vec<u8>,
        /// What is wrong.
        source: SignatureError,
    },
    /// An index that no entry has.
    #[error("expected an index below {count} from the host's rsync, not {index}")]
    Index {
        /// The index.
        index: i32,
        /// How many entries there are.
        count: u32,
    },
    /// The content of what has none is wanted.
    #[error("expected the host's rsync to ask for regular files, not for {}", .0.escape_ascii())]
    NoContent(Vec<u8>),
    /// The server goes on after the end.
    #[error("expected nothing more from the host's rsync, got {0} bytes")]
    BehindTheEnd(usize),
}

#[derive(Debug)]
enum State {
    Greeting(Greeting),
    /// Greeted; the list is to come.
    Agreed(Agreed),
    Asking(Asking),
    Ended,
}

/// A conversation with one server.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    state: State,
    frames: Demultiplexer,
    /// Data that was received; read up to `taken`.
    data: Vec<u8>,
    taken: usize,
    out: Outbox,
    /// What poll gives first.
    pending: Option<Event>,
}

impl Session {
    /// Begins a conversation. The server was started with arguments that say the same as `settings`.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let mut first = Vec::new();
        let greeting = Greeting::begin(settings.compression, settings.seed, &mut first);
        let mut out = Outbox::default();
        out.raw(first.into());
        Self {
            settings,
            state: State::Greeting(greeting),
            frames: Demultiplexer::default(),
            data: Vec::new(),
            taken: 0,
            out,
            pending: None,
        }
    }

    /// Takes what was received.
    ///
    /// # Errors
    /// If it is not what a server says; nothing more comes of the session then.
    pub fn feed(&mut self, received: &[u8]) -> Result<(), SessionError> {
        let State::Greeting(greeting) = &mut self.state else {
            return Ok(self.frames.feed(received, &mut self.data)?);
        };
        let mut answer = Vec::new();
        let progress = greeting.feed(received, &mut answer)?;
        self.out.raw(answer.into());
        if let Progress::Done { agreed, rest } = progress {
            self.state = State::Agreed(agreed);
            self.pending = Some(Event::Agreed(agreed));
            self.frames.feed(&rest, &mut self.data)?;
        }
        Ok(())
    }

    /// Whether more should be read from the connection. It is not while much waits: behind an answer that is given, as
    /// messages, or to be written. Once all events are polled, the answer is given and the output is taken, it is again.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let requests_are_read = matches!(&self.state, State::Asking(asking) if matches!(asking.answer, Answer::None));
        self.frames.memory_bytes() < LONGEST_MESSAGES_BYTES
            && (requests_are_read || self.data.len() - self.taken < LONGEST_BACKLOG_BYTES)
            && self.out.waiting_bytes() < LONGEST_OUTPUT_BYTES
    }

    /// What it keeps, in bytes: of what was received, and of what is to be written. Whoever feeds it only when it
    /// [wants input](Self::wants_input), and takes its output, lets no server make this much more than the greater of one
    /// signature of the most that the settings allow and what may wait behind an answer.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.data.capacity() + self.frames.memory_bytes() + self.out.waiting_bytes()
    }

    /// What the server has said in place of a greeting: the reason, if it has ended so.
    #[must_use]
    pub fn noise(&self) -> &[u8] {
        match &self.state {
            State::Greeting(greeting) => greeting.received(),
            _ => &[],
        }
    }

    /// The next bytes for the connection.
    pub fn take_output(&mut self) -> Option<Bytes> {
        self.out.take()
    }

    /// How many bytes wait to be taken: who has much content to give waits while this is large.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.out.waiting_bytes()
    }

    /// Sends the rules that the server needs to delete or to prune (`None` if it does neither) and the list.
    ///
    /// # Panics
    /// If it is not the time: it follows on [`Event::Agreed`], once; and if the list is for another class.
    pub fn send_list(&mut self, rules: Option<&[Vec<u8>]>, list: Arc<FileList>) {
        let State::Agreed(agreed) = self.state else { panic!("the list is sent behind the greeting") };
        assert_eq!(list.class(), agreed.class, "a list is for one class of servers");
        if let Some(rules) = rules {
            self.out.data(|out| put_rules(rules, out));
        }
        list.stream(agreed.flags).into_iter().for_each(|part| self.out.shared(part));
        if agreed.class == WireClass::D && !agreed.flags.has(CompatFlags::SAFE_FILE_LIST) {
            self.tell(list.errors());
        }
        self.state = State::Asking(Asking::new(agreed, list));
    }

    /// The next event. While content is wanted and not given, only messages come.
    ///
    /// # Errors
    /// If the server says what no server says; nothing more comes of the session then.
    pub fn poll(&mut self) -> Result<Option<Event>, SessionError> {
        if let Some(event) = self.pending.take() {
            return Ok(Some(event));
        }
        if let Some(message) = self.frames.next_message() {
            return Ok(Some(Event::Message(message)));
        }
        let waiting = &self.data[self.taken..];
        let mut reader = Reader::new(waiting);
        let event = match &mut self.state {
            State::Ended if !waiting.is_empty() => return Err(SessionError::BehindTheEnd(waiting.len())),
            State::Asking(asking) if matches!(asking.answer, Answer::None) => {
                asking.advance(&mut reader, &self.settings, &mut self.out)?
            }
            _ => return Ok(None),
        };
        self.taken = self.data.len() - reader.rest().len();
        if self.taken == self.data.len() || self.taken > LONGEST_BACKLOG_BYTES {
            self.data.drain(..self.taken);
            self.data.shrink_to(LONGEST_BACKLOG_BYTES);
            self.taken = 0;
        }
        if event == Some(Event::Ended) {
            self.state = State::Ended;
        }
        Ok(event)
    }

    /// Requests for content that have come behind the one that is to be answered, at most `most`: for who prepares several
    /// answers at once. They come once more as events, each when it is its turn.
    #[must_use]
    pub fn upcoming(&self, most: usize) -> Vec<Request> {
        match &self.state {
            State::Asking(asking) => asking.upcoming(Reader::new(&self.data[self.taken..]), &self.settings, most),
            _ => Vec::new(),
        }
    }

    /// Sends a sign of life: for servers with a `--timeout`, while nothing else is ready.
    ///
    /// # Panics
    /// Before the list is sent: the greeting has no frames.
    pub fn keep_alive(&mut self) {
        assert!(matches!(self.state, State::Asking(_)), "signs of life are frames, which follow on the list");
        self.out.raw(Bytes::copy_from_slice(&data_head(0)));
    }

    /// Begins the answer to the request for content that is open.
    ///
    /// # Panics
    /// If there is none, as all of these.
    pub fn begin_answer(&mut self) {
        let State::Asking(asking) = &mut self.state else { panic!("{NO_REQUEST}") };
        let Answer::Wanted(request) = &asking.answer else { panic!("{NO_REQUEST}") };
        self.out.data(|out| request.put(&mut asking.written, out));
        asking.answer = Answer::Begun;
    }

    /// Goes on with the answer that was begun: with tokens of the codec that was agreed on.
    ///
    /// # Panics
    /// If no answer was begun.
    pub fn send(&mut self, tokens: Bytes) {
        assert!(matches!(&self.state, State::Asking(asking) if matches!(asking.answer, Answer::Begun)), "{NO_REQUEST}");
        self.out.shared(tokens);
    }

    /// Ends the answer. The digest is of all that the receiver then has; a wrong one makes it ask again, or give up.
    ///
    /// # Panics
    /// If no answer was begun.
    pub fn end_answer(&mut self, digest: Digest) {
        let State::Asking(asking) = &mut self.state else { panic!("{NO_REQUEST}") };
        assert!(matches!(asking.answer, Answer::Begun), "{NO_REQUEST}");
        self.out.data(|out| out.extend_from_slice(&digest));
        asking.answer = Answer::None;
    }

    /// Answers that the file cannot be read, and why: with [`IoErrors::UNREADABLE`] the server deletes nothing from then on.
    ///
    /// # Panics
    /// If no content is wanted, or the answer was begun: then it is to be ended with a wrong digest.
    pub fn cannot_send(&mut self, errors: IoErrors) {
        let State::Asking(asking) = &mut self.state else { panic!("{NO_REQUEST}") };
        let Answer::Wanted(request) = &asking.answer else { panic!("{NO_REQUEST}") };
        let message = no_send(request.index.cast_signed());
        asking.answer = Answer::None;
        self.out.raw(message);
        self.tell(errors);
    }

    fn tell(&mut self, errors: IoErrors) {
        if errors != IoErrors::NONE {
            self.out.raw(io_error(errors.number()));
        }
    }
}

const NO_REQUEST: &str = "answers follow on a request for content";

fn put_rules(rules: &[Vec<u8>], out: &mut Vec<u8>) {
    for rule in rules.iter().filter(|rule| !rule.is_empty()) {
        put_int(out, i32::try_from(rule.len()).expect("rules are far shorter than 2 GiB"));
        out.extend_from_slice(rule);
    }
    put_int(out, 0);
}

#[cfg(test)]
mod tests;
