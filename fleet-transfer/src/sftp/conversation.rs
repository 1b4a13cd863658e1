//! The client's side of SFTP without input and output: packets to send, and what came for which of them.
//!
//! Must not know how bytes travel, nor what is asked for.

use std::collections::HashMap;

use bytes::{Buf, Bytes, BytesMut};

use super::answer::{self, Answer, Extensions, Refusal, Violation};
use super::packet::{Expected, Fields, Request};

/// The longest packet that we take, as OpenSSH's own client (`SFTP_MAX_MSG_LENGTH`).
const LONGEST_PACKET: usize = 256 * 1024;
/// The shortest one: a type, and a number.
const SHORTEST_PACKET: usize = 5;

/// What has been asked and is not answered, each with the one who waits for it, and what has come.
#[derive(Debug)]
pub(super) struct Conversation<W> {
    incoming: BytesMut,
    greeted: bool,
    next_id: u32,
    asked: HashMap<u32, (Expected, W)>,
}

/// Something that a server said.
#[derive(Debug)]
pub(super) enum Said<W> {
    /// Which extensions it has. The first thing.
    Hello(Extensions),
    /// An answer for the one who waits for it.
    Answer(W, Result<Answer, Refusal>),
}

impl<W> Default for Conversation<W> {
    fn default() -> Self {
        Self { incoming: BytesMut::new(), greeted: false, next_id: 0, asked: HashMap::new() }
    }
}

impl<W> Conversation<W> {
    /// The bytes to send; `waiting` gets the answer.
    pub(super) fn ask(&mut self, request: Request<'_>, waiting: W) -> Bytes {
        while self.asked.contains_key(&self.next_id) {
            self.next_id = self.next_id.wrapping_add(1);
        }
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.asked.insert(id, (request.expected(), waiting));
        request.to_bytes(id)
    }

    /// Whether nobody waits.
    pub(super) fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }

    /// Takes bytes that came, split anywhere.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.incoming.extend_from_slice(bytes);
    }

    /// The next thing that was said whole; `None` when more bytes are needed. After an error nothing can be understood.
    ///
    /// # Errors
    /// When it is against the rules.
    pub(super) fn next(&mut self) -> Result<Option<Said<W>>, Violation> {
        let Some((code, mut fields)) = self.packet()? else { return Ok(None) };
        if !self.greeted {
            self.greeted = true;
            return answer::version(code, &mut fields).map(|extensions| Some(Said::Hello(extensions)));
        }
        let id = fields.u32().ok_or(Violation::Cut { code })?;
        let (expected, waiting) = self.asked.remove(&id).ok_or(Violation::Unasked { id })?;
        let answer = answer::answer(code, &mut fields, expected)?;
        Ok(Some(Said::Answer(waiting, answer)))
    }

    /// The type of the next packet, and what is in it.
    fn packet(&mut self) -> Result<Option<(u8, Fields)>, Violation> {
        let Some(len) = self.incoming.first_chunk() else { return Ok(None) };
        let claimed = u32::from_be_bytes(*len);
        let len = usize::try_from(claimed).unwrap_or(usize::MAX);
        if !(SHORTEST_PACKET..=LONGEST_PACKET).contains(&len) {
            return Err(Violation::Length { len: claimed, most: LONGEST_PACKET });
        }
        if self.incoming.len() < 4 + len {
            return Ok(None);
        }
        self.incoming.advance(4);
        let mut fields = Fields(self.incoming.split_to(len).freeze());
        let code = fields.u8().expect("a packet has five bytes at least");
        Ok(Some((code, fields)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::answer::Status;
    use super::super::attributes::{FileAttributes, FileKind};
    use super::super::packet::{Opening, hello};
    use super::*;

    /// A packet of a server: its type, and the rest.
    fn packet(code: u8, rest: &[u8]) -> Vec<u8> {
        let len = u32::try_from(rest.len() + 1).unwrap();
        [&len.to_be_bytes(), &[code][..], rest].concat()
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    const HELLO: &[u8] = b"\0\0\0\x05\x02\0\0\0\x03";
    const ID: [u8; 4] = [0; 4];
    const READ: Request<'_> = Request::Read { handle: b"h", offset: 1 << 40, len: 4 };
    const LSTAT: Request<'_> = Request::Lstat { path: b"x" };
    const CLOSE: Request<'_> = Request::Close { handle: b"h" };
    const LIST: Request<'_> = Request::ReadFolder { handle: b"h" };
    const OPEN: Request<'_> = Request::Open { path: b"x", opening: Opening::New, mode: 0o600 };

    /// What comes of `reply` to `request`.
    fn reply(request: Request<'_>, reply: &[u8]) -> Result<Option<Result<Answer, Refusal>>, Violation> {
        let mut conversation = Conversation::default();
        conversation.receive(HELLO);
        assert!(matches!(conversation.next(), Ok(Some(Said::Hello(_)))));
        conversation.ask(request, ());
        conversation.receive(reply);
        Ok(conversation.next()?.map(|said| match said {
            Said::Answer((), answer) => answer,
            Said::Hello(_) => panic!("greeted twice"),
        }))
    }

    #[test]
    fn requests_are_as_the_draft_has_them() {
        let attributes = FileAttributes { owners: Some((1, 2)), times: Some((3, 4)), ..FileAttributes::of_mode(0o644) };
        for (request, expected) in [
            (
                OPEN,
                "\\x00\\x00\\x00\\x16\\x03\\x00\\x00\\x00\\x07\\x00\\x00\\x00\\x01x\\x00\\x00\\x00*\\x00\\x00\\x00\\x04\\x00\\x00\\x01\\x80",
            ),
            (
                READ,
                "\\x00\\x00\\x00\\x16\\x05\\x00\\x00\\x00\\x07\\x00\\x00\\x00\\x01h\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x04",
            ),
            (
                Request::Setstat { path: b"\xff", attributes },
                "\\x00\\x00\\x00\\\"\\t\\x00\\x00\\x00\\x07\\x00\\x00\\x00\\x01\\xff\\x00\\x00\\x00\\x0e\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x02\\x00\\x00\\x01\\xa4\\x00\\x00\\x00\\x03\\x00\\x00\\x00\\x04",
            ),
            (
                Request::Symlink { path: b"link", target: b"to" },
                "\\x00\\x00\\x00\\x13\\x14\\x00\\x00\\x00\\x07\\x00\\x00\\x00\\x02to\\x00\\x00\\x00\\x04link",
            ),
            (
                Request::StatVfs { path: b"." },
                "\\x00\\x00\\x00!\\xc8\\x00\\x00\\x00\\x07\\x00\\x00\\x00\\x13statvfs@openssh.com\\x00\\x00\\x00\\x01.",
            ),
        ] {
            assert_eq!(request.to_bytes(7).escape_ascii().to_string(), expected, "{request:?}");
        }
        assert_eq!(hello()[..], b"\0\0\0\x05\x01\0\0\0\x03"[..]);
    }

    #[test]
    fn answers_are_read_however_they_are_split() {
        let attributes = [&5u32.to_be_bytes()[..], &9u64.to_be_bytes(), &0o100_644u32.to_be_bytes()].concat();
        let name = [string(b"a\nb"), string(b"-rw-r--r-- a"), attributes.clone()].concat();
        let known = FileAttributes { len: Some(9), ..FileAttributes::of_mode(0o100_644) };
        let refused = |status, words: &str| Err(Refusal { status, words: words.to_owned() });
        for (request, code, rest, expected) in [
            (READ, 103, string(b"data"), Ok(Answer::Data("data".into()))),
            (READ, 101, 1u32.to_be_bytes().to_vec(), refused(Status::End, "")),
            (CLOSE, 101, 0u32.to_be_bytes().to_vec(), Ok(Answer::Done)),
            (CLOSE, 101, [4u32.to_be_bytes().to_vec(), string(b"a\x1b[0m")].concat(), refused(Status::Failure, "a[0m")),
            (OPEN, 102, string(b"\0\x01"), Ok(Answer::Handle("\0\x01".into()))),
            (LSTAT, 105, attributes, Ok(Answer::Attributes(known))),
            (
                LIST,
                104,
                [&1u32.to_be_bytes()[..], &name].concat(),
                Ok(Answer::Names(vec![answer::Name { name: "a\nb".into(), attributes: known }])),
            ),
        ] {
            let bytes = packet(code, &[&ID[..], &rest].concat());
            let mut conversation = Conversation::default();
            conversation.receive(HELLO);
            conversation.next().unwrap();
            conversation.ask(request, ());
            for byte in &bytes[..bytes.len() - 1] {
                conversation.receive(&[*byte]);
                assert!(conversation.next().unwrap().is_none());
            }
            conversation.receive(&bytes[bytes.len() - 1..]);
            let Some(Said::Answer((), answer)) = conversation.next().unwrap() else { panic!("no answer") };
            assert_eq!(answer, expected);
        }
        assert_eq!(known.kind(), FileKind::File);
    }

    #[test]
    fn what_is_against_the_rules_is_refused() {
        let status = |code: u32| [ID, code.to_be_bytes()].concat();
        for (request, bytes, expected) in [
            (READ, b"\xff\xff\xff\xff".to_vec(), Violation::Length { len: u32::MAX, most: LONGEST_PACKET }),
            (READ, b"Wel".to_vec().repeat(2), Violation::Length { len: 0x5765_6c57, most: LONGEST_PACKET }),
            (READ, b"\0\0\0\x04".to_vec(), Violation::Length { len: 4, most: LONGEST_PACKET }),
            (READ, packet(103, &[&ID[..], &string(b"datax")].concat()), Violation::Data { asked: 4, len: 5 }),
            (READ, packet(103, &[&ID[..], &string(b"")].concat()), Violation::Data { asked: 4, len: 0 }),
            (READ, packet(103, &[&ID[..], b"\xff\xff\xff\xffdata"].concat()), Violation::Cut { code: 103 }),
            (READ, packet(101, &status(0)), Violation::Type { code: 101, expected: "data (103)" }),
            (READ, packet(101, b"\0\0\0\x01"), Violation::Unasked { id: 1 }),
            (
                CLOSE,
                packet(102, &[&ID[..], &string(b"h")].concat()),
                Violation::Type { code: 102, expected: "a status (101)" },
            ),
            (OPEN, packet(102, &[&ID[..], &string(&[0; 257])].concat()), Violation::Handle { len: 257 }),
            (LIST, packet(104, &[&ID[..], b"\xff\xff\xff\xff"].concat()), Violation::Cut { code: 104 }),
            (LSTAT, packet(105, &[&ID[..], b"\x80\0\0\0\xff\xff\xff\xff"].concat()), Violation::Cut { code: 105 }),
        ] {
            assert_eq!(reply(request, &bytes).unwrap_err(), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn the_first_packet_is_a_version_of_three_or_more() {
        for (bytes, expected) in [
            (HELLO.to_vec(), Ok(0)),
            (packet(2, &[&4u32.to_be_bytes()[..], &string(b"x"), &string(b"1")].concat()), Ok(1)),
            (packet(2, &2u32.to_be_bytes()), Err(Violation::Version { version: 2 })),
            (packet(2, &[&3u32.to_be_bytes()[..], &string(b"x")].concat()), Err(Violation::Cut { code: 2 })),
            (packet(101, &ID), Err(Violation::Type { code: 101, expected: "a version (2)" })),
        ] {
            let mut conversation = Conversation::<()>::default();
            conversation.receive(&bytes);
            let count = conversation.next().map(|said| match said {
                Some(Said::Hello(extensions)) => extensions.len(),
                said => panic!("{said:?}"),
            });
            assert_eq!(count, expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn an_answer_reaches_the_one_who_asked_also_out_of_order_and_after_ids_went_round() {
        let mut conversation = Conversation { next_id: u32::MAX, ..Conversation::default() };
        conversation.receive(HELLO);
        conversation.next().unwrap();
        let ids: Vec<[u8; 4]> =
            (0..3).map(|number| *conversation.ask(CLOSE, number)[5..].first_chunk().unwrap()).collect();
        assert_eq!(ids, [[0xff; 4], [0; 4], [0, 0, 0, 1]]);
        // The one who still waits keeps its number.
        conversation.next_id = 0;
        assert_eq!(conversation.ask(CLOSE, 3)[5..9], [0, 0, 0, 2]);
        for number in [2, 0, 1] {
            conversation.receive(&packet(101, &[ids[number], [0; 4]].concat()));
            let Some(Said::Answer(waiting, _)) = conversation.next().unwrap() else { panic!("no answer") };
            assert_eq!(waiting, number);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_hold_more_than_came(bytes in prop::collection::vec(any::<u8>(), 0..200), code in 99u8..204, which in 0..5usize) {
            let request = [READ, LSTAT, CLOSE, LIST, OPEN][which];
            let _ = reply(request, &bytes);
            let _ = reply(request, &packet(code, &[&ID[..], &bytes].concat()));
        }
    }
}
