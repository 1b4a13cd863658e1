//! The part of a conversation behind the list: what is asked, and how often the server is done.
//!
//! Must not know content, nor how bytes are framed.

use std::sync::Arc;

use super::outbox::Outbox;
use super::request::{Form, Refused};
use super::{Event, Request, SessionError, Settings};
use crate::flist::FileList;
use crate::wire::WireError;
use crate::wire::greeting::{Agreed, WireClass};
use crate::wire::ints::{DELETE_STATS, DONE, Indexes, Reader};

/// The part with requests and answers.
#[derive(Debug)]
pub(super) struct Asking {
    agreed: Agreed,
    list: Arc<FileList>,
    /// How often the server was done.
    done: u8,
    read: Indexes,
    pub(super) written: Indexes,
    pub(super) answer: Answer,
}

/// How far the answer to the request for content is.
#[derive(Debug)]
pub(super) enum Answer {
    /// There is no such request.
    None,
    Wanted(Request),
    Begun,
}

/// What a server says behind the list.
enum Said {
    Done,
    Deleted(Deleted),
    Asks(Request),
}

impl Asking {
    /// Behind the list, before the first request.
    pub(super) fn new(agreed: Agreed, list: Arc<FileList>) -> Self {
        let (read, written) = (Indexes::default(), Indexes::default());
        Self { agreed, list, done: 0, read, written, answer: Answer::None }
    }

    /// Reads what is whole. What it leaves in `reader` is read again when more has come.
    pub(super) fn advance(
        &mut self,
        reader: &mut Reader<'_>,
        settings: &Settings,
        out: &mut Outbox,
    ) -> Result<Option<Event>, SessionError> {
        loop {
            let (mut ahead, mut read) = (reader.clone(), self.read.clone());
            let event = match self.next(&mut ahead, &mut read, settings, out) {
                Err(SessionError::Wire(WireError::Incomplete)) => return Ok(None),
                event => event?,
            };
            *reader = ahead;
            self.read = read;
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// Requests for content in `reader`, as far as they are whole and nothing else than requests comes before them.
    pub(super) fn upcoming(&self, mut reader: Reader<'_>, settings: &Settings, most: usize) -> Vec<Request> {
        let (mut read, mut upcoming) = (self.read.clone(), Vec::new());
        while upcoming.len() < most {
            match self.read(&mut reader, &mut read, settings) {
                Ok(Said::Asks(request)) if request.signature.is_some() => upcoming.push(request),
                Ok(Said::Asks(_)) => {}
                Ok(Said::Done | Said::Deleted(_)) | Err(_) => break,
            }
        }
        upcoming
    }

    fn next(
        &mut self,
        reader: &mut Reader<'_>,
        read: &mut Indexes,
        settings: &Settings,
        out: &mut Outbox,
    ) -> Result<Option<Event>, SessionError> {
        let request = match self.read(reader, read, settings)? {
            Said::Done => return Ok(self.done(out)),
            Said::Deleted(deleted) => return Ok(Some(Event::Deleted(deleted))),
            Said::Asks(request) => request,
        };
        if request.signature.is_none() {
            out.data(|out| request.put(&mut self.written, out));
            return Ok(Some(Event::Changed(request)));
        }
        self.answer = Answer::Wanted(request.clone());
        Ok(Some(Event::Wanted(request)))
    }

    fn read(&self, reader: &mut Reader<'_>, read: &mut Indexes, settings: &Settings) -> Result<Said, SessionError> {
        let index = match reader.index(read)? {
            DONE => return Ok(Said::Done),
            DELETE_STATS => return Ok(Said::Deleted(Deleted::read(reader)?)),
            index => index,
        };
        let count = self.list.count();
        let at = u32::try_from(index).ok().filter(|at| *at < count);
        let at = at.ok_or(SessionError::Index { index, count })?;
        let form = Form { signatures: !settings.dry_run, budget_bytes: settings.signature_budget_bytes };
        let request = Request::read(at, reader, form).map_err(|refused| self.explained(at, refused))?;
        let item = request.signature.as_ref().map(|_| self.list.get(at));
        match item {
            Some(Some(item)) if item.is_file() => Ok(Said::Asks(request)),
            None => Ok(Said::Asks(request)),
            Some(item) => Err(SessionError::NoContent(item.map(|item| item.path).unwrap_or_default())),
        }
    }

    /// The server is done once more.
    fn done(&mut self, out: &mut Outbox) -> Option<Event> {
        self.done += 1;
        let last = if self.agreed.class == WireClass::D { 4 } else { 5 };
        if self.done == last {
            return Some(Event::Ended);
        }
        out.data(|out| self.written.put(out, DONE));
        None
    }

    fn explained(&self, index: u32, refused: Refused) -> SessionError {
        match refused {
            Refused::Wire(error) => SessionError::Wire(error),
            Refused::Signature(source) => {
                let path = self.list.get(index).map(|item| item.path).unwrap_or_default();
                SessionError::Signature { path, source }
            }
        }
    }
}

/// How much a server has deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deleted {
    /// Regular files.
    pub files: u32,
    /// Folders.
    pub folders: u32,
    /// Symlinks.
    pub symlinks: u32,
    /// Devices.
    pub devices: u32,
    /// Fifos and sockets.
    pub specials: u32,
}

impl Deleted {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut number = || reader.varint().map(i32::cast_unsigned);
        Ok(Self { files: number()?, folders: number()?, symlinks: number()?, devices: number()?, specials: number()? })
    }
}
