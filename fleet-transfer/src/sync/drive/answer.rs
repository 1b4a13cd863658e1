//! The answer to a server that wants the content of a file.
//!
//! Must not know how the content is described or read.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use fleet_rsync::checksum::{Digest, spoilt};
use fleet_rsync::codec::{Codec, Tokens};
use fleet_rsync::delta::Segment;
use fleet_rsync::flist::{IoErrors, ItemKind};
use fleet_rsync::session::Request;
use fleet_rsync::wire::greeting::Agreed;

use super::{Host, Stop};
use crate::push::Uplink;
use crate::reason;
use crate::sync::content::{Described, Wanted, cut};
use crate::sync::line::Line;
use crate::sync::{Problem, Sync};

/// Small files that are looked at before it is their turn.
const MOST_AHEAD: usize = 31;
/// How much they may have together.
const AHEAD_BYTES: u64 = 1 << 20;

/// Files that could not be sent are named up to this many.
const MOST_UNSENT: usize = 1000;

impl Host {
    /// Sends what the host lacks of a file, or that it cannot be read.
    pub(super) async fn answer<U: Uplink>(
        &mut self,
        sync: &Sync,
        request: Request,
        line: &mut Line<'_, U>,
    ) -> Result<(), Stop> {
        let is_first = self.asked.insert(request.index);
        if is_first {
            self.note_change(sync, &request);
        }
        let (Some(agreed), Some(signature)) = (self.agreed, request.signature) else {
            unreachable!("content is wanted behind the list, with a signature");
        };
        let signature = Arc::new(signature);
        let wanted =
            Wanted { path: sync.source.file(request.index), signature: Arc::clone(&signature), is_again: !is_first };
        let path = wanted.path.clone();
        let contents = &sync.contents;
        match self.described(sync, request.index, wanted, agreed, line).await? {
            Ok(described) => {
                self.session.begin_answer();
                let mut sent = self.content(sync, &described, line).await?;
                if sent.is_ok() {
                    let digest = self.at_length(contents.digest_of(&described), line).await?;
                    sent = digest.map(|digest| self.session.end_answer(digest));
                }
                self.end.files_sent += 1;
                contents.weigh_again(&described, &signature, &agreed);
                if let Err(error) = sent {
                    let right = described.delta.end().map_or_else(Digest::default, |end| end.digest);
                    self.session.end_answer(spoilt(right));
                    contents.forget(described.file);
                    self.unsent(path, &error);
                }
            }
            Err(error) => {
                let errors = self.unsent(path, &error);
                self.session.cannot_send(errors);
            }
        }
        self.flush_much(line).await?;
        line.uplink.progress(self.end.literal_bytes + self.end.matched_bytes).await;
        Ok(())
    }

    /// What the host lacks of a file. Small ones that it asks for next are looked at on the way.
    async fn described<U: Uplink>(
        &mut self,
        sync: &Sync,
        index: u32,
        wanted: Wanted,
        agreed: Agreed,
        line: &mut Line<'_, U>,
    ) -> Result<io::Result<Described>, Stop> {
        if let Some((_, described)) = self.ahead.pop_front_if(|(ahead, _)| *ahead == index && !wanted.is_again) {
            return Ok(described);
        }
        let (mut indices, mut files) = (Vec::new(), vec![wanted]);
        if !files[0].is_again {
            for request in self.upcoming_small() {
                let Some(signature) = request.signature.map(Arc::new) else { continue };
                files.push(Wanted { path: sync.source.file(request.index), signature, is_again: false });
                indices.push(request.index);
            }
        }
        let described = async {
            let mut described = sync.contents.describe(files, agreed).await?.into_iter();
            let first = described.next().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
            if let Ok(first) = &first {
                // What cannot be read at all is not begun with.
                first.delta.after(0).await?;
            }
            Ok::<_, io::Error>((first, described))
        };
        match self.at_length(described, line).await? {
            Ok((first, others)) => {
                self.ahead = indices.into_iter().zip(others).collect();
                Ok(first)
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Requests for files that are small, as they were listed, and have not been asked for.
    fn upcoming_small(&self) -> Vec<Request> {
        let Some(list) = &self.list else { return Vec::new() };
        let mut bytes = 0;
        let is_next = |request: &Request| {
            if let Some(ItemKind::File { size, .. }) = list.get(request.index).map(|item| item.kind) {
                bytes += size;
            }
            bytes <= AHEAD_BYTES && !self.asked.contains(&request.index)
        };
        self.session.upcoming(MOST_AHEAD).into_iter().take_while(is_next).collect()
    }

    /// Sends the parts of a file. Where one cannot be read any more the rest is left out.
    async fn content<U: Uplink>(
        &mut self,
        sync: &Sync,
        described: &Described,
        line: &mut Line<'_, U>,
    ) -> Result<io::Result<()>, Stop> {
        let codec = self.end.agreed.map_or(Codec::Plain, |agreed| agreed.codec);
        let (mut tokens, mut out, mut literal_bytes) = (Tokens::new(codec), Vec::new(), 0);
        let mut sent = 0;
        let read = 'parts: loop {
            let segments = match self.at_length(described.delta.after(sent), line).await? {
                Ok(segments) if segments.is_empty() => break Ok(()),
                Ok(segments) => segments,
                Err(error) => break Err(error),
            };
            sent += segments.len();
            for segment in segments {
                let range = match segment {
                    Segment::Blocks(run) => {
                        tokens.blocks(run, &mut out);
                        continue;
                    }
                    Segment::Literal(range) => range,
                };
                literal_bytes += range.end - range.start;
                for part in cut(&range, codec) {
                    let segment = sync.contents.segment(described, codec, part);
                    match self.at_length(segment, line).await? {
                        Ok(bytes) => {
                            out.extend_from_slice(tokens.joint());
                            self.session.send(std::mem::take(&mut out).into());
                            self.session.send(bytes);
                            self.flush_much(line).await?;
                        }
                        Err(error) => break 'parts Err(error),
                    }
                }
            }
            self.session.send(std::mem::take(&mut out).into());
            if described.delta.end().is_none() {
                // The host makes its copy as far as it can.
                self.flush(line).await?;
            }
        };
        tokens.end(&mut out);
        self.session.send(out.into());
        self.end.literal_bytes += literal_bytes;
        let len = described.delta.end().map_or(literal_bytes, |end| end.len);
        self.end.matched_bytes += len.saturating_sub(literal_bytes);
        Ok(read)
    }

    /// Keeps that a file could not be sent, and says what the server is told of it.
    fn unsent(&mut self, path: PathBuf, error: &io::Error) -> IoErrors {
        let errors = match error.kind() {
            io::ErrorKind::NotFound => IoErrors::VANISHED,
            _ => IoErrors::UNREADABLE,
        };
        if self.end.unsent.len() < MOST_UNSENT {
            self.end.unsent.push(Problem { path, reason: reason(error), errors });
        }
        errors
    }
}
