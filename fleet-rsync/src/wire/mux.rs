//! Multiplexed frames, which carry everything after the greeting, in both directions.
//!
//! A frame is a head of 4 bytes, little endian, and its payload: the head's low 24 bits are the length of the payload, its
//! high 8 bits are 7 plus the tag. Tag 0 is data: the payloads of these, put together, are the stream of all other
//! modules, and where one ends and the next begins means nothing. All other tags are messages beside that stream.
//!
//! | tag | message | payload |
//! | --- | --- | --- |
//! | 1, 3 | an error; 1 says that a file was not brought over | text |
//! | 2 | information | text |
//! | 4 | a warning | text |
//! | 22 | something could not be read, so perhaps nothing is to be deleted | int of flags |
//! | 33 | how long the other side waits for a sign of life | int, seconds |
//! | 42 | a sign of life (protocol 30; later an empty frame of data) | none |
//! | 86 | the other side ends because of an error | none, or an int: the exit code |
//! | 100 | a file is complete; only with an option that we do not use | int |
//! | 101 | deleted on the other side | name; a NUL at its end says that it was a folder |
//! | 102 | from the sender: a file that was asked for cannot be sent | int: its index |
//!
//! Errors come as messages from servers up to 3.2.0, and on standard error from later ones.
//!
//! Must not know what the data means.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::WireError;

/// The longest payload of one frame that we send. All versions from 3.0.0 on take it.
pub const LONGEST_DATA: usize = 256 << 10;

/// The longest message that is taken: names and lines are far shorter.
pub const LONGEST_MESSAGE: usize = 64 << 10;

/// What the head adds to a tag.
const TAG_BASE: u32 = 7;

const DATA: i16 = 0;
const IO_ERROR: i16 = 22;
const NO_SEND: i16 = 102;

/// The head of a frame of data.
///
/// # Panics
/// If `length` is more than [`LONGEST_DATA`].
#[must_use]
pub fn data_head(length: usize) -> [u8; 4] {
    assert!(length <= LONGEST_DATA, "expected at most {LONGEST_DATA} bytes in a frame, not {length}");
    head(DATA, length)
}

/// Cuts `data` into frames. Nothing is copied but the heads.
pub fn frames(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || (!data.is_empty()).then(|| data.split_to(data.len().min(LONGEST_DATA))))
        .flat_map(|part| [Bytes::copy_from_slice(&data_head(part.len())), part])
}

/// The message that a file which was asked for cannot be sent.
#[must_use]
pub fn no_send(index: i32) -> Bytes {
    int_message(NO_SEND, index)
}

/// The message that something could not be read; `flags` as at the end of the file list.
#[must_use]
pub fn io_error(flags: i32) -> Bytes {
    int_message(IO_ERROR, flags)
}

fn int_message(tag: i16, value: i32) -> Bytes {
    [head(tag, 4), value.to_le_bytes()].concat().into()
}

fn head(tag: i16, length: usize) -> [u8; 4] {
    let length = u32::try_from(length).expect("payloads are shorter than 16 MiB");
    ((TAG_BASE + u32::from(tag.cast_unsigned())) << 24 | length).to_le_bytes()
}

/// How bad the other side thinks that a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// An error that kept a file from being brought over, or another one: tags 1 and 3.
    Error,
    /// Tag 4.
    Warning,
    /// Tag 2.
    Info,
}

/// What the other side says beside the stream of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text for people, mostly a line with its end.
    Text {
        /// How bad it is.
        severity: Severity,
        /// The bytes of a stranger: names in it are in any encoding.
        text: Bytes,
    },
    /// Something was deleted, or would be.
    Deleted {
        /// Its name below the destination.
        path: Bytes,
        /// Whether it was a folder.
        folder: bool,
    },
    /// The other side could not read something; these flags say what.
    IoError(i32),
    /// The other side goes away after this many seconds without a byte from us.
    Timeout(i32),
    /// The other side ends, if it says so with this exit code.
    ErrorExit(Option<i32>),
}

impl Message {
    /// What it takes of memory, in bytes.
    fn memory_bytes(&self) -> usize {
        let bytes = match self {
            Self::Text { text, .. } => text.len(),
            Self::Deleted { path, .. } => path.len(),
            Self::IoError(_) | Self::Timeout(_) | Self::ErrorExit(_) => 0,
        };
        size_of::<Self>() + bytes
    }
}

/// Takes the frames apart that the other side sends.
///
/// Data is handed on as it comes; only messages wait until they are whole, and are at most [`LONGEST_MESSAGE`] bytes.
#[derive(Debug, Default)]
pub struct Demultiplexer {
    /// The part of a head that has come.
    head: BytesMut,
    /// The frame whose head has come.
    frame: Option<Frame>,
    messages: VecDeque<Message>,
    /// What the messages take.
    messages_bytes: usize,
}

#[derive(Debug)]
struct Frame {
    tag: i16,
    missing_bytes: usize,
    /// Of a message only.
    payload: BytesMut,
}

impl Demultiplexer {
    /// Takes what was received, and appends the data in it to `data`.
    ///
    /// # Errors
    /// A frame that no server sends. Then the connection is of no use any more.
    pub fn feed(&mut self, mut received: &[u8], data: &mut Vec<u8>) -> Result<(), WireError> {
        loop {
            if let Some(frame) = &mut self.frame {
                let (part, rest) = received.split_at(received.len().min(frame.missing_bytes));
                received = rest;
                frame.missing_bytes -= part.len();
                let whole = frame.missing_bytes == 0;
                if frame.tag == DATA {
                    data.extend_from_slice(part);
                } else {
                    frame.payload.extend_from_slice(part);
                }
                if !whole {
                    return Ok(());
                }
                let frame = self.frame.take().expect("there is a frame in this branch");
                if let Some(message) = message(frame.tag, frame.payload.freeze())? {
                    self.messages_bytes += message.memory_bytes();
                    self.messages.push_back(message);
                }
            }
            let (part, rest) = received.split_at(received.len().min(4 - self.head.len()));
            self.head.extend_from_slice(part);
            received = rest;
            let Ok(head) = <[u8; 4]>::try_from(&self.head[..]) else {
                return Ok(());
            };
            self.head.clear();
            self.frame = Some(begun(u32::from_le_bytes(head))?);
        }
    }

    /// The next message that is whole.
    pub fn next_message(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.messages_bytes -= message.memory_bytes();
        Some(message)
    }

    /// How many messages nobody has taken yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.messages.len()
    }

    /// What it takes of memory, in bytes: at most what nobody has taken yet and one message more.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.messages_bytes + self.frame.as_ref().map_or(0, |frame| frame.payload.len())
    }
}

fn begun(head: u32) -> Result<Frame, WireError> {
    let tag = (head >> 24) as i16 - TAG_BASE as i16;
    let length = (head & 0xff_ffff) as usize;
    match tag {
        DATA => {}
        1..=4 | 22 | 33 | 42 | 86 | 100 | 101 => {
            if length > LONGEST_MESSAGE {
                return Err(WireError::MessageTooLong { tag, length, limit: LONGEST_MESSAGE });
            }
        }
        _ => return Err(WireError::UnknownFrame { tag, length }),
    }
    Ok(Frame { tag, missing_bytes: length, payload: BytesMut::new() })
}

fn message(tag: i16, payload: Bytes) -> Result<Option<Message>, WireError> {
    let text = |severity| Some(Message::Text { severity, text: payload.clone() });
    let int = || match <[u8; 4]>::try_from(&payload[..]) {
        Ok(bytes) => Ok(i32::from_le_bytes(bytes)),
        Err(_) => Err(WireError::MessageLength { tag, expected: 4, length: payload.len() }),
    };
    Ok(match tag {
        1 | 3 => text(Severity::Error),
        2 => text(Severity::Info),
        4 => text(Severity::Warning),
        IO_ERROR => Some(Message::IoError(int()?)),
        33 => Some(Message::Timeout(int()?)),
        86 if payload.is_empty() => Some(Message::ErrorExit(None)),
        86 => Some(Message::ErrorExit(Some(int()?))),
        101 => Some(match payload.strip_suffix(&[0]) {
            Some(path) => Message::Deleted { path: payload.slice_ref(path), folder: true },
            None => Message::Deleted { path: payload, folder: false },
        }),
        // Signs of life, data, and files whose completion nobody waits for.
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as a server sends it.
    fn frame(tag: i16, payload: &[u8]) -> Vec<u8> {
        [&head(tag, payload.len())[..], payload].concat()
    }

    fn fed(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<(Vec<u8>, Vec<Message>), WireError> {
        let (mut demultiplexer, mut data) = (Demultiplexer::default(), Vec::new());
        for piece in pieces {
            demultiplexer.feed(piece.as_ref(), &mut data)?;
        }
        Ok((data, std::iter::from_fn(|| demultiplexer.next_message()).collect()))
    }

    #[test]
    fn messages_are_told_by_their_tags() {
        let text = |severity| Message::Text { severity, text: Bytes::from_static(b"x\n") };
        for (tag, payload, expected) in [
            (1, &b"x\n"[..], Some(text(Severity::Error))),
            (2, b"x\n", Some(text(Severity::Info))),
            (3, b"x\n", Some(text(Severity::Error))),
            (4, b"x\n", Some(text(Severity::Warning))),
            (22, &[1, 0, 0, 0], Some(Message::IoError(1))),
            (33, &[60, 0, 0, 0], Some(Message::Timeout(60))),
            (42, b"", None),
            (0, b"", None),
            (86, b"", Some(Message::ErrorExit(None))),
            (86, &[23, 0, 0, 0], Some(Message::ErrorExit(Some(23)))),
            (100, &[7, 0, 0, 0], None),
            (101, b"a/b", Some(Message::Deleted { path: Bytes::from_static(b"a/b"), folder: false })),
            (101, b"a/b\0", Some(Message::Deleted { path: Bytes::from_static(b"a/b"), folder: true })),
        ] {
            assert_eq!(fed([frame(tag, payload)]).unwrap(), (vec![], Vec::from_iter(expected)), "{tag} {payload:?}");
        }
    }

    #[test]
    fn frames_that_no_server_sends_are_refused() {
        let limit = LONGEST_MESSAGE;
        for (bytes, error) in [
            (frame(5, b"abc"), WireError::UnknownFrame { tag: 5, length: 3 }),
            (vec![1, 0, 0, 0], WireError::UnknownFrame { tag: -7, length: 1 }),
            (frame(102, &[0; 4]), WireError::UnknownFrame { tag: 102, length: 4 }),
            (frame(22, b"abc"), WireError::MessageLength { tag: 22, expected: 4, length: 3 }),
            (frame(86, b"abc"), WireError::MessageLength { tag: 86, expected: 4, length: 3 }),
            (head(3, limit + 1).to_vec(), WireError::MessageTooLong { tag: 3, length: limit + 1, limit }),
        ] {
            assert_eq!(fed([&bytes]), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn data_is_cut_into_frames_that_all_versions_take() {
        let data = Bytes::from(vec![b'x'; 2 * LONGEST_DATA + 1]);
        let parts: Vec<Bytes> = frames(data.clone()).collect();
        assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [4, LONGEST_DATA, 4, LONGEST_DATA, 4, 1]);
        assert_eq!(fed(parts).unwrap(), (data.to_vec(), vec![]));
        assert_eq!(frames(Bytes::new()).count(), 0);
        assert_eq!(data_head(5), [5, 0, 0, 7]);
        assert_eq!(&no_send(258)[..], [4, 0, 0, 109, 2, 1, 0, 0]);
        assert_eq!(&io_error(1)[..], [4, 0, 0, 29, 1, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_makes_no_difference(
            sent in prop::collection::vec((prop::sample::select(vec![0_i16, 2, 42, 101]), any::<Vec<u8>>()), 0..8),
            cut in 1_usize..9,
        ) {
            let whole: Vec<u8> = sent.iter().flat_map(|(tag, payload)| frame(*tag, payload)).collect();
            let data: Vec<u8> = sent.iter().filter(|(tag, _)| *tag == 0).flat_map(|(_, payload)| payload.clone()).collect();
            let once = fed([&whole]).unwrap();
            prop_assert_eq!(&once.0, &data);
            prop_assert_eq!(fed(whole.chunks(cut)).unwrap(), once);
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes: Vec<u8>, cut in 1_usize..9) {
            let _ = fed(bytes.chunks(cut));
        }
    }
}
