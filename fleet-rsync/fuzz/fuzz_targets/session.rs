//! All that a server says, from its greeting on: nothing may panic, and what a session keeps has a bound.
//!
//! The first byte of the input chooses the settings, the second the length of the pieces that arrive.

#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use fleet_rsync::flist::{Encoder, Entry, Fields, FileList, Folder, IoErrors, Kind, Modified, NoNames};
use fleet_rsync::session::{Event, Session, Settings};
use fleet_rsync::wire::greeting::{Compression, WireClass};
use libfuzzer_sys::fuzz_target;

const SIGNATURE_BYTES: usize = 64 << 10;

/// The most that a session may keep while its output is taken: a signature, and what may wait unread, as messages, and as
/// a piece that is being looked at.
const BOUND_BYTES: usize = SIGNATURE_BYTES + (1 << 20);

fn list(class: WireClass) -> Arc<FileList> {
    let mut encoder = Encoder::new(class, Fields::default());
    let modified = Modified::default();
    let root = Kind::Directory(Folder::Source);
    let root = Entry { path: b".", kind: root, permissions: 0o755, modified, owner: 0, group: 0, link: None };
    encoder.push(&root).expect("a folder has a place in a list");
    for path in [&b"a"[..], b"b", b"c"] {
        let file = Entry { path, kind: Kind::File { size: 5, digest: None }, ..root.clone() };
        encoder.push(&file).expect("a file has a place in a list");
    }
    Arc::new(encoder.finish(&NoNames, IoErrors::NONE))
}

fuzz_target!(|input: &[u8]| {
    let [choice, piece_len, said @ ..] = input else { return };
    let compression = if choice & 1 == 0 { Compression::Off } else { Compression::Negotiated };
    let settings = Settings { compression, seed: 7, dry_run: choice & 2 != 0, signature_budget_bytes: SIGNATURE_BYTES };
    let mut session = Session::new(settings);
    // A greeting that is right, but for inputs that are about greetings: of version 31, then of version 30.
    let greeting: &[u8] = match choice >> 2 & 3 {
        0 => &[31, 0, 0, 0, 0x2a, 7, 0, 0, 0],
        1 => &[30, 0, 0, 0, 0x02, 7, 0, 0, 0],
        _ => &[],
    };
    for piece in std::iter::once(greeting).chain(said.chunks(usize::from(*piece_len).max(1))) {
        if !session.wants_input() || session.feed(piece).is_err() || !answered(&mut session) {
            return;
        }
        assert!(session.memory_bytes() <= BOUND_BYTES, "{} bytes are kept", session.memory_bytes());
    }
});

/// Does what is asked for; `false` once no more comes of the session.
fn answered(session: &mut Session) -> bool {
    loop {
        match session.poll() {
            Ok(Some(Event::Agreed(agreed))) => session.send_list(Some(&[b"- x".to_vec()]), list(agreed.class)),
            Ok(Some(Event::Wanted(request))) if request.index % 2 == 0 => session.cannot_send(IoErrors::UNREADABLE),
            Ok(Some(Event::Wanted(_))) => {
                let _ = session.upcoming(3);
                session.begin_answer();
                session.send(Bytes::from_static(b"tokens"));
                session.end_answer([0; 16]);
            }
            Ok(Some(Event::Ended)) | Err(_) => return false,
            Ok(Some(_)) => {}
            Ok(None) => break,
        }
    }
    while session.take_output().is_some() {}
    true
}
