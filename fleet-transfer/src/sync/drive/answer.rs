//! The answer to a server that wants the content of a file.
//!
//! Must not know how the content is described or read.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use fleet_rsync::checksum::{Digest, spoilt};
use fleet_rsync::codec::{Codec, Tokens};
use fleet_rsync::delta::Segment;
use fleet_rsync::flist::IoErrors;
use fleet_rsync::session::Request;

use super::{Host, Stop};
use crate::push::Uplink;
use crate::reason;
use crate::sync::content::{Described, Opened, cut};
use crate::sync::line::Line;
use crate::sync::{Problem, Sync};

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
        let (path, signature) = (sync.source.file(request.index), Arc::new(signature));
        let contents = &sync.contents;
        let prepared = async {
            let opened = contents.open(path.clone()).await?;
            if !is_first {
                contents.forget(opened.id);
            }
            let described = contents.delta(&opened, &signature, &agreed).await?;
            // What cannot be read at all is not begun with.
            described.delta.after(0).await?;
            Ok::<_, io::Error>((opened, described))
        };
        match self.at_length(prepared, line).await? {
            Ok((opened, described)) => {
                self.session.begin_answer();
                let mut sent = self.content(sync, &opened, &described, line).await?;
                if sent.is_ok() {
                    let digest = self.at_length(contents.digest_of(&opened, &described), line).await?;
                    sent = digest.map(|digest| self.session.end_answer(digest));
                }
                self.end.files_sent += 1;
                contents.weigh_again(&opened, &signature, &agreed);
                if let Err(error) = sent {
                    let right = described.delta.end().map_or_else(Digest::default, |end| end.digest);
                    self.session.end_answer(spoilt(right));
                    contents.forget(opened.id);
                    self.unsent(path, &error);
                }
            }
            Err(error) => {
                let errors = self.unsent(path, &error);
                self.session.cannot_send(errors);
            }
        }
        self.flush(line).await?;
        line.uplink.progress(self.end.literal_bytes + self.end.matched_bytes).await;
        Ok(())
    }

    /// Sends the parts of a file. Where one cannot be read any more the rest is left out.
    async fn content<U: Uplink>(
        &mut self,
        sync: &Sync,
        opened: &Opened,
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
                    let segment = sync.contents.segment(opened, described, codec, part);
                    match self.at_length(segment, line).await? {
                        Ok(bytes) => {
                            out.extend_from_slice(tokens.joint());
                            self.session.send(std::mem::take(&mut out).into());
                            self.session.send(bytes);
                            self.flush(line).await?;
                        }
                        Err(error) => break 'parts Err(error),
                    }
                }
            }
            // The host makes its copy as far as it can.
            self.session.send(std::mem::take(&mut out).into());
            self.flush(line).await?;
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
