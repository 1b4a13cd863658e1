use proptest::prelude::*;

use super::*;
use crate::checksum::ChecksumKind;
use crate::flist::{Encoder, Entry, Fields, Folder, Kind, Modified, NoNames};

const SETTINGS: Settings =
    Settings { compression: Compression::Off, seed: 7, dry_run: false, signature_budget_bytes: 1000 };

/// `.` and a file.
fn list(class: WireClass, errors: IoErrors) -> Arc<FileList> {
    let mut encoder = Encoder::new(class, Fields::default());
    let modified = Modified::default();
    let root = Kind::Directory(Folder::Source);
    let root = Entry { path: b".", kind: root, permissions: 0o755, modified, owner: 0, group: 0, link: None };
    let file = Entry { path: b"file", kind: Kind::File { size: 5, digest: None }, ..root.clone() };
    encoder.push(&root).unwrap();
    encoder.push(&file).unwrap();
    Arc::new(encoder.finish(&NoNames, errors))
}

/// What a server of 3.1 says first; version 30 is one of 3.0.
fn greeting(version: u8) -> Vec<u8> {
    vec![version, 0, 0, 0, if version == 30 { 0x02 } else { 0x2a }, 7, 0, 0, 0]
}

fn written(session: &mut Session) -> Vec<u8> {
    std::iter::from_fn(|| session.take_output()).collect::<Vec<_>>().concat()
}

/// A session whose list is sent, and all of it written.
fn asking(settings: Settings, version: u8) -> Session {
    let mut session = Session::new(settings);
    session.feed(&greeting(version)).unwrap();
    let Ok(Some(Event::Agreed(agreed))) = session.poll() else { panic!("nothing was agreed on") };
    session.send_list(None, list(agreed.class, IoErrors::NONE));
    written(&mut session);
    session
}

fn data(bytes: &[u8]) -> Vec<u8> {
    [&data_head(bytes.len()), bytes].concat()
}

fn data_in_frames(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(crate::wire::mux::LONGEST_DATA).flat_map(data).collect()
}

fn say(session: &mut Session, bytes: &[u8]) -> Result<Option<Event>, SessionError> {
    session.feed(&data(bytes))?;
    session.poll()
}

/// A request for the file, of which there is one block.
fn request() -> Vec<u8> {
    let head = [1, 700, 2, 5].into_iter().flat_map(i32::to_le_bytes);
    [2, 0x04, 0x80].into_iter().chain(head).chain(*b"weakst").collect()
}

#[test]
fn rules_and_the_list_follow_on_the_greeting() {
    let mut session = Session::new(SETTINGS);
    assert_eq!(written(&mut session), [31, 0, 0, 0]);
    session.feed(&greeting(31)).unwrap();
    let agreed = match session.poll() {
        Ok(Some(Event::Agreed(agreed))) => agreed,
        other => panic!("{other:?}"),
    };
    assert_eq!((agreed.class, agreed.digest), (WireClass::C, ChecksumKind::Md5));
    let list = list(WireClass::C, IoErrors::NONE);
    session.send_list(Some(&[b"- x".to_vec(), b"".to_vec()]), Arc::clone(&list));
    let expected = [b"\x03\0\0\0- x\0\0\0\0".to_vec(), list.stream(agreed.flags).concat()].concat();
    assert_eq!(written(&mut session), data(&expected));
    assert_eq!(session.poll(), Ok(None));
}

#[test]
fn servers_without_a_place_for_errors_in_the_list_are_told_otherwise() {
    let mut session = Session::new(SETTINGS);
    session.feed(&greeting(30)).unwrap();
    session.poll().unwrap();
    written(&mut session);
    session.send_list(None, list(WireClass::D, IoErrors::UNREADABLE));
    assert!(written(&mut session).ends_with(&io_error(1)));
}

#[test]
fn content_is_given_when_it_is_wanted() {
    let mut session = asking(SETTINGS, 31);
    let Ok(Some(Event::Wanted(wanted))) = say(&mut session, &request()) else { panic!("nothing is wanted") };
    assert_eq!((wanted.index, wanted.change), (1, Change::of(0x8004)));
    // What comes meanwhile waits for the end of the answer, but messages do not.
    session.feed(&[data(b"\0"), b"\x02\0\0\x09hi".to_vec()].concat()).unwrap();
    assert!(matches!(session.poll(), Ok(Some(Event::Message(Message::Text { .. })))));
    assert_eq!(session.poll(), Ok(None));
    session.begin_answer();
    session.send(Bytes::from_static(b"tokens"));
    session.end_answer([9; 16]);
    assert_eq!(session.poll(), Ok(None));
    let expected = [&request()[..19], b"tokens", &[9; 16], b"\0"].concat();
    assert_eq!(written(&mut session), data(&expected));
}

#[test]
fn what_is_asked_next_can_be_seen_before_its_turn_and_comes_all_the_same() {
    let mut session = asking(SETTINGS, 31);
    // The same file again (the difference of indexes is 0, which has no short form), and half of another request.
    let again = [&[0xfe, 0, 0][..], &request()[1..]].concat();
    let changed = [0xfe, 0, 0, 0x08, 0];
    let all = [&request()[..], &again, &changed, &again, &again[..9]].concat();
    let Ok(Some(Event::Wanted(first))) = say(&mut session, &all) else { panic!("nothing is wanted") };
    assert_eq!(session.upcoming(1), std::slice::from_ref(&first));
    let upcoming = session.upcoming(9);
    assert_eq!(upcoming, [first.clone(), first]);
    for expected in upcoming {
        session.begin_answer();
        session.end_answer([9; 16]);
        let mut event = session.poll().unwrap();
        while let Some(Event::Changed(_)) = event {
            event = session.poll().unwrap();
        }
        assert_eq!(event, Some(Event::Wanted(expected)));
    }
    assert_eq!(session.upcoming(9), []);
}

#[test]
fn nothing_is_seen_ahead_behind_the_end_of_a_round() {
    let mut session = asking(SETTINGS, 31);
    let again = [&[0xfe, 0, 0][..], &request()[1..]].concat();
    say(&mut session, &[&request()[..], b"\0", &again].concat()).unwrap();
    assert_eq!(session.upcoming(9), []);
}

#[test]
fn a_file_that_is_gone_is_answered_with_a_message() {
    let mut session = asking(SETTINGS, 31);
    say(&mut session, &request()).unwrap();
    session.cannot_send(IoErrors::VANISHED);
    assert_eq!(written(&mut session), [no_send(1), io_error(2)].concat());
    assert!(matches!(say(&mut session, &[0xfe, 0x80, 1, 0, 0, 8, 0]), Ok(Some(Event::Changed(_)))));
}

#[test]
fn what_needs_no_content_is_repeated() {
    for (settings, said) in
        [(SETTINGS, &b"\x01\x08\x00"[..]), (Settings { dry_run: true, ..SETTINGS }, b"\x02\x00\xa0")]
    {
        let mut session = asking(settings, 31);
        assert!(matches!(say(&mut session, said), Ok(Some(Event::Changed(_)))));
        assert_eq!(written(&mut session), data(said));
    }
}

#[test]
fn a_sign_of_life_is_an_empty_frame_even_within_an_answer() {
    let mut session = asking(SETTINGS, 31);
    say(&mut session, &request()).unwrap();
    session.begin_answer();
    session.keep_alive();
    session.end_answer([9; 16]);
    let expected = [data(&request()[..19]), data(b""), data(&[9; 16])].concat();
    assert_eq!(written(&mut session), expected);
}

#[test]
fn indexes_go_on_from_those_before() {
    let mut session = asking(SETTINGS, 31);
    for index in [0, 1] {
        let event = say(&mut session, &[1, 8, 0]);
        assert!(matches!(&event, Ok(Some(Event::Changed(request))) if request.index == index), "{event:?}");
        assert_eq!(written(&mut session), data(&[1, 8, 0]));
    }
}

#[test]
fn the_conversation_ends_when_the_server_is_done_for_the_last_time() {
    for (version, answered) in [(31, 4), (30, 3)] {
        let mut session = asking(SETTINGS, version);
        for _ in 0..answered {
            assert_eq!(say(&mut session, &[0]), Ok(None));
            assert_eq!(written(&mut session), data(&[0]));
        }
        let deleted = Deleted { files: 1, folders: 2, symlinks: 3, devices: 4, specials: 5 };
        assert_eq!(say(&mut session, &[0xff, 2, 1, 2, 3, 4, 5]), Ok(Some(Event::Deleted(deleted))));
        assert_eq!(say(&mut session, &[0]), Ok(Some(Event::Ended)));
        assert_eq!((written(&mut session), session.poll()), (vec![], Ok(None)));
        assert_eq!(say(&mut session, &[0]), Err(SessionError::BehindTheEnd(1)));
    }
}

#[test]
fn what_no_server_says_is_refused() {
    let large = [1000, 700, 2, 5].into_iter().flat_map(i32::to_le_bytes);
    let large: Vec<u8> = [2, 0x00, 0x80].into_iter().chain(large).collect();
    let folder = [&[1, 0x00, 0x80][..], &request()[3..]].concat();
    for (said, message) in [
        (&[3, 0, 0][..], "expected an index below 2 from the host's rsync, not 2"),
        (&[0xff, 1, 0, 0], "expected an index below 2 from the host's rsync, not -2"),
        (&folder, "expected the host's rsync to ask for regular files, not for ."),
        (&large, "in the host's signature of file"),
    ] {
        let mut session = asking(SETTINGS, 31);
        assert_eq!(say(&mut session, said).unwrap_err().to_string(), message);
    }
    let mut session = asking(SETTINGS, 31);
    assert_eq!(session.feed(&[0; 4]).unwrap_err().to_string(), "in what the host's rsync says");
}

#[test]
fn input_waits_while_an_answer_is_given_and_much_is_behind_it() {
    let mut session = asking(SETTINGS, 31);
    session.feed(&data(&request())).unwrap();
    let much = data(&[0; LONGEST_BACKLOG_BYTES]);
    session.feed(&much).unwrap();
    assert!(session.wants_input());
    session.poll().unwrap();
    assert!(!session.wants_input());
    session.cannot_send(IoErrors::VANISHED);
    assert!(session.wants_input());
    let mut session = asking(SETTINGS, 31);
    let message = [&b"\x64\0\0\x09"[..], &[b'x'; 100]].concat();
    session.feed(&message.repeat(LONGEST_MESSAGES_BYTES / 100)).unwrap();
    assert!(!session.wants_input());
    while session.poll().unwrap().is_some() {}
    assert!(session.wants_input());
}

#[test]
fn what_a_large_signature_took_is_given_back() {
    let count = 1 << 20;
    let mut session = asking(Settings { signature_budget_bytes: 6 * count, ..SETTINGS }, 31);
    let head = [count as i32, 700, 2, 5].into_iter().flat_map(i32::to_le_bytes);
    let request: Vec<u8> = [2, 0x04, 0x80].into_iter().chain(head).chain(vec![b'x'; 6 * count]).collect();
    for piece in request.chunks(1 << 20) {
        assert!(session.wants_input());
        session.feed(&data_in_frames(piece)).unwrap();
    }
    assert!(session.memory_bytes() > 6 * count);
    assert!(matches!(session.poll(), Ok(Some(Event::Wanted(_)))));
    assert!(session.memory_bytes() <= LONGEST_BACKLOG_BYTES);
}

#[test]
fn input_waits_while_nothing_is_written() {
    let mut session = asking(SETTINGS, 31);
    // Again and again the same entry, with the longest name.
    let request = [&[0xfe, 0, 1, 0x00, 0x10, 0xff, 0xff][..], &[b'x'; 0x7fff]].concat();
    let again = [&[0xfe, 0, 0][..], &request[3..]].concat();
    assert!(matches!(say(&mut session, &request), Ok(Some(Event::Changed(_)))));
    let mut said = 0;
    while session.wants_input() {
        assert!(matches!(say(&mut session, &again), Ok(Some(Event::Changed(_)))));
        said += again.len();
    }
    assert!((LONGEST_OUTPUT_BYTES - 2 * request.len()..LONGEST_OUTPUT_BYTES).contains(&said), "{said}");
    assert!((LONGEST_OUTPUT_BYTES..LONGEST_OUTPUT_BYTES * 11 / 10).contains(&session.memory_bytes()));
    written(&mut session);
    assert!(session.wants_input() && session.memory_bytes() < 2 * LONGEST_BACKLOG_BYTES);
}

proptest! {
    #[test]
    fn any_bytes_are_taken_without_a_panic(
        said in prop::collection::vec(prop_oneof![
            Just(request()),
            Just(vec![0]),
            Just(vec![1, 8, 0x18, 3, 1, b'x']),
            Just(vec![0xff, 2, 1, 2, 3, 4, 5]),
            any::<Vec<u8>>(),
        ], 0..20),
        cut in 1_usize..50,
        dry_run: bool,
    ) {
        let mut session = asking(Settings { dry_run, ..SETTINGS }, 31);
        let said: Vec<u8> = said.iter().flat_map(|bytes| data(bytes)).collect();
        for part in said.chunks(cut) {
            let mut go_on = session.feed(part).is_ok();
            loop {
                match session.poll() {
                    Ok(Some(Event::Wanted(_))) => session.cannot_send(IoErrors::UNREADABLE),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => {
                        go_on = false;
                        break;
                    }
                }
            }
            if !go_on {
                break;
            }
        }
    }

    #[test]
    fn any_greeting_is_taken_without_a_panic(said: Vec<u8>, cut in 1_usize..9) {
        let mut session = Session::new(Settings { compression: Compression::Negotiated, ..SETTINGS });
        let _ = said.chunks(cut).try_for_each(|part| session.feed(part));
    }
}
