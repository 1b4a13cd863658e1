//! Servers that say anything: what real ones said, spoilt by chance, and what none would say.
//!
//! `FLEET_RSYNC_SEED` (a number) makes other cases than those of every run, `FLEET_RSYNC_CASES` more of them.

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use fleet_rsync::codec::{Compressor, Tokens};
use fleet_rsync::delta::{Search, Segment};
use fleet_rsync::flist::{Fields, FileList, IoErrors, ItemKind};
use fleet_rsync::session::{Delete, Event, Session, Settings, itemized};
use fleet_rsync::wire::greeting::{Agreed, Compression, WireClass};

use crate::push::Push;
use crate::tree::{Chance, fill};
use crate::{Place, as_class};

/// The most that the signature of a file may take.
const BUDGET_BYTES: usize = 64 << 10;

/// What a session may keep at all: a backlog of 256 KiB, in a vector that may have as much room again, and messages.
const MEMORY_BYTES: usize = 2 * ((256 << 10) + BUDGET_BYTES + LONGEST_PIECE_BYTES) + (512 << 10);

const LONGEST_PIECE_BYTES: usize = 64 << 10;

/// What a server said to a push, and what was pushed.
struct Recording {
    said: Vec<u8>,
    settings: Settings,
    lists: [Arc<FileList>; 4],
}

/// Pushes of every class, with and without their options.
fn recordings() -> Vec<Recording> {
    let options =
        [(Compression::Off, false, false), (Compression::Negotiated, true, false), (Compression::Off, true, true)];
    let pushes = WireClass::ALL.into_iter().flat_map(|class| options.map(|options| (class, options)));
    pushes.enumerate().map(|(number, (class, options))| recording(number as u64, class, options)).collect()
}

fn recording(seed: u64, class: WireClass, (compression, itemize, dry_run): (Compression, bool, bool)) -> Recording {
    let place = Place::new();
    fill(&place.source(), seed, 1);
    fill(&place.destination(), seed, 2);
    fs::create_dir(place.destination().join("surplus")).unwrap();
    let (source, destination) = (place.source(), place.destination());
    let mut push = Push::new(&source, &destination);
    (push.arguments.capabilities, push.server) = as_class(class);
    push.arguments.compression = compression;
    push.arguments.itemize = itemize;
    push.arguments.dry_run = dry_run;
    push.arguments.delete = Some(Delete::During);
    push.arguments.forwarded = vec![b"-I".to_vec()];
    let pushed = push.run();
    assert!(pushed.ended && pushed.failure.is_none(), "{pushed:?}");
    let list = |class| Arc::new(push.source.list(class, Fields::ARCHIVE, IoErrors::NONE));
    Recording { said: pushed.received, settings: push.settings(BUDGET_BYTES), lists: WireClass::ALL.map(list) }
}

/// Makes something else of what was said.
fn spoil(said: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut said = said.to_vec();
    for _ in 0..chance.below(5) {
        let at = chance.below(said.len() as u64 + 1) as usize;
        let end = (at + chance.below(64) as usize).min(said.len());
        match chance.below(8) {
            0 => said.truncate(at),
            1 => drop(said.drain(at..end)),
            2 => _ = said.splice(at..at, noise(chance)),
            3 => _ = said.splice(at..end, noise(chance)),
            4 => said.extend_from_within(at..end),
            5 => {
                let from = chance.below(other.len() as u64) as usize;
                said.splice(at..end, other[from..].iter().copied().take(100));
            }
            6 => said[at..end].fill(chance.one_of(&[0x00, 0x7f, 0x80, 0xff])),
            _ => said[at..end].iter_mut().take(1).for_each(|byte| *byte ^= 1 << chance.below(8)),
        }
    }
    said
}

fn noise(chance: &mut Chance) -> Vec<u8> {
    (0..chance.below(200)).map(|_| chance.below(256) as u8).collect()
}

/// Data in frames, as a server has it, of parts that it could say.
fn made_up(chance: &mut Chance) -> Vec<u8> {
    let head = |fields: [i32; 4]| fields.into_iter().flat_map(i32::to_le_bytes).collect::<Vec<u8>>();
    let numbers = [0, 1, 2, 16, 700, 1 << 17, 1 << 20, i32::MAX, -1];
    (0..chance.below(30))
        .flat_map(|_| {
            let part = match chance.below(9) {
                0 => vec![0],
                1 => vec![0xff, 2, 1, 2, 3, 4, 5],
                2 => vec![1 + chance.below(3) as u8, 8, 0x18, 3, 1, b'x'],
                3 | 4 => [&[1, 0, 0x80][..], &head([(); 4].map(|()| chance.one_of(&numbers)))].concat(),
                5 => [&[1, 0, 0x80][..], &head([3, 700, 2, 5]), b"weakstweakstweakst"].concat(),
                6 => vec![0; 300 << 10],
                _ => noise(chance),
            };
            let any = chance.below(256) as u32;
            let tag = chance.one_of(&[7, 7, 7, 7, 8, 10, 108, 29, 93, any]);
            [&(tag << 24 | part.len() as u32).to_le_bytes()[..], &part].concat()
        })
        .collect()
}

/// What was said up to some frame, and then far more of one thing than may be kept.
fn flood(recording: &Recording, chance: &mut Chance) -> Vec<u8> {
    let mut greeting = 0;
    let mut session = Session::new(recording.settings);
    while session.poll().unwrap().is_none() {
        session.feed(&recording.said[greeting..][..1]).unwrap();
        greeting += 1;
    }
    let mut end = greeting;
    for _ in 0..chance.below(40) {
        let Some(head) = recording.said[end..].first_chunk() else { break };
        end += 4 + (u32::from_le_bytes(*head) & 0xff_ffff) as usize;
    }
    let mut said = recording.said[..end.min(recording.said.len())].to_vec();
    let frame = |tag: u32, part: &[u8]| [&(tag << 24 | part.len() as u32).to_le_bytes()[..], part].concat();
    let large = [1 << 20, 700, 16, 0].into_iter().flat_map(i32::to_le_bytes);
    let large: Vec<u8> = [1 + chance.below(3) as u8, 0, 0x80].into_iter().chain(large).collect();
    let thing = match chance.below(4) {
        0 => frame(7, &[0; 30_000]),
        1 => frame(9, &[b'x'; 5000]),
        2 => frame(108, b"deleted"),
        _ => {
            said.extend(frame(7, &large));
            frame(7, &[0xff; 30_000])
        }
    };
    said.extend(thing.repeat(2 * MEMORY_BYTES / thing.len()));
    said
}

/// A conversation with a server that says `said`. Whether it came to its end, or to none at all.
fn converse(recording: &Recording, said: &[u8], chance: &mut Chance) -> Result<bool, ()> {
    let mut host =
        Host { session: Session::new(recording.settings), recording, agreed: None, wanted: None, ended: false };
    let mut rest = said;
    while !rest.is_empty() {
        let longest = chance.one_of(&[1, 10, 1000, LONGEST_PIECE_BYTES as u64]);
        let (piece, behind) = rest.split_at((1 + chance.below(longest) as usize).min(rest.len()));
        rest = behind;
        host.session.feed(piece).map_err(drop)?;
        // Sometimes much comes before it is looked at.
        if chance.below(2) == 0 {
            host.events(chance)?;
        }
        assert!(host.session.memory_bytes() <= MEMORY_BYTES, "{} bytes are kept", host.session.memory_bytes());
        if !host.session.wants_input() {
            host.answer(chance);
            host.events(chance)?;
            host.answer(chance);
            while host.session.take_output().is_some() {}
            assert!(host.session.wants_input() || host.wanted.is_some(), "nothing is left to do, and nothing is read");
        }
    }
    Ok(host.ended)
}

/// Who has the session.
struct Host<'a> {
    session: Session,
    recording: &'a Recording,
    agreed: Option<Agreed>,
    /// The answer that is not given yet.
    wanted: Option<fleet_rsync::session::Request>,
    ended: bool,
}

impl Host<'_> {
    fn list(&self) -> &Arc<FileList> {
        let class = self.agreed.expect("there is no list before").class;
        &self.recording.lists[WireClass::ALL.iter().position(|one| *one == class).unwrap()]
    }

    fn events(&mut self, chance: &mut Chance) -> Result<(), ()> {
        while let Some(event) = self.session.poll().map_err(drop)? {
            match event {
                Event::Agreed(agreed) => {
                    self.agreed = Some(agreed);
                    let list = Arc::clone(self.list());
                    self.session.send_list(None, list);
                }
                Event::Changed(request) => {
                    let item = self.list().get(request.index).expect("an index that is passed on is in the list");
                    let _ = itemized(&request, &item);
                }
                Event::Wanted(request) => {
                    let item = self.list().get(request.index).unwrap();
                    assert!(matches!(item.kind, ItemKind::File { .. }));
                    self.wanted = Some(request);
                    // Sometimes the answer takes its time.
                    if chance.below(3) > 0 {
                        self.answer(chance);
                    }
                }
                Event::Message(_) | Event::Deleted(_) => {}
                Event::Ended => self.ended = true,
            }
        }
        if chance.below(2) == 0 {
            while self.session.take_output().is_some() {}
        }
        Ok(())
    }

    fn answer(&mut self, chance: &mut Chance) {
        let Some(request) = self.wanted.take() else { return };
        if chance.below(4) == 0 {
            return self.session.cannot_send(IoErrors::VANISHED);
        }
        let (agreed, content) = (self.agreed.unwrap(), noise(chance).repeat(chance.below(20) as usize));
        let mut search = Search::new(request.signature.as_ref().unwrap(), agreed.block_sum());
        content.chunks(1000).for_each(|piece| search.push(piece));
        let delta = search.finish();
        self.session.begin_answer();
        let (mut tokens, mut out) = (Tokens::new(agreed.codec), Vec::new());
        for segment in delta.segments {
            match segment {
                Segment::Blocks(run) => tokens.blocks(run, &mut out),
                Segment::Literal(range) => {
                    out.extend_from_slice(tokens.joint());
                    let part = &content[range.start as usize..range.end as usize];
                    out.extend(Compressor::new(agreed.codec, Some(1)).unwrap().segment(part).unwrap());
                }
            }
        }
        tokens.end(&mut out);
        self.session.send(Bytes::from(out));
        self.session.end_answer(delta.digest);
    }
}

#[test]
fn nothing_that_a_server_says_makes_a_session_panic_stall_or_grow() {
    let variable = |name, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (seed, cases): (u64, u64) = (variable("FLEET_RSYNC_SEED", 0), variable("FLEET_RSYNC_CASES", 4000));
    let recordings = recordings();
    let (mut ended, mut refused) = (0, 0);
    for case in seed..seed + cases {
        let mut chance = Chance::new(case);
        let recording = &recordings[chance.below(recordings.len() as u64) as usize];
        let other = &recordings[chance.below(recordings.len() as u64) as usize].said;
        let said = match chance.below(8) {
            0 => noise(&mut chance),
            1 => flood(recording, &mut chance),
            2 => {
                // The greeting, and then what was thought of here.
                let mut said = recording.said[..chance.one_of(&[9, 30, 40, 60]).min(recording.said.len())].to_vec();
                said.extend(made_up(&mut chance));
                said
            }
            _ => spoil(&recording.said, other, &mut chance),
        };
        println!("FLEET_RSYNC_SEED={case}");
        match converse(recording, &said, &mut chance) {
            Ok(true) => ended += 1,
            Ok(false) => {}
            Err(()) => refused += 1,
        }
    }
    // Recordings that are not spoilt come to their end, and spoilt ones are seen.
    println!("{ended} ended, {refused} refused");
    assert!(ended > cases / 40 && refused > cases / 4, "{ended} ended, {refused} refused of {cases}");
}
