//! The sending side of the rsync protocol, versions 30 and 31, for one sender and many receivers: bytes in, bytes out.
//!
//! The other end is a stock `rsync --server`. What is the same for many receivers is made once and shared by them; what
//! belongs to one of them alone is a [`Session`](session::Session), which neither reads nor writes by itself.
//!
//! | module | what | shared by |
//! | --- | --- | --- |
//! | [`wire`] | numbers, frames, the greeting | |
//! | [`flist`] | the list of files: its order, its bytes, what is at an index | all hosts of a [`WireClass`](wire::greeting::WireClass) |
//! | [`sources`] | how sources are named at the destination, and several made one tree | all hosts |
//! | [`filter`] | which files are in it, and what the server must know of that to delete | all hosts |
//! | [`session`] | one conversation with one server, and the server's arguments | |
//! | [`checksum`] | digests of files, sums of blocks | |
//! | [`delta`] | what an old copy lacks | hosts whose [`Signature`](delta::Signature)s are equal |
//! | [`codec`] | how contents travel: tokens, and compressed segments between them | all hosts of a codec |
//!
//! # A push
//! 1. Sources are read once, several of them as [one tree](sources::union), and [`flist::Encoder`] is given what
//!    [`filter::Scope`] leaves, in the [order](flist::order) of lists. Other classes' lists are made of the first one ([`flist::FileList::recoded`]).
//! 2. On each host `rsync` is started with the words of [`session::ServerArguments`]. All have the same random seed, so
//!    that equal old files have equal signatures.
//! 3. Its [`Session`](session::Session) is given what comes, and gives what goes. On
//!    [`Event::Agreed`](session::Event::Agreed) it gets the list of the host's class.
//! 4. On [`Event::Wanted`](session::Event::Wanted) the file is [searched](delta::Search) for the blocks of the
//!    signature, or the delta of an equal signature is taken; its literals are [compressed](codec::Compressor), or
//!    segments that others had; [`codec::Tokens`] says what stands between them.
//! 5. On [`Event::Ended`](session::Event::Ended) the connection's input is closed, and the exit status is awaited: 0, 23 if
//!    something could not be brought over, 24 if something vanished, 25 if `--max-delete` was reached; others are failures.
//!
//! ```
//! use std::sync::Arc;
//!
//! use fleet_rsync::flist::{Encoder, Entry, Fields, Folder, IoErrors, Kind, Modified, NoNames};
//! use fleet_rsync::session::{Event, Session, Settings};
//! use fleet_rsync::wire::greeting::{Compression, WireClass};
//!
//! let mut encoder = Encoder::new(WireClass::C, Fields::ARCHIVE);
//! encoder.push(&Entry {
//!     path: b".",
//!     kind: Kind::Directory(Folder::Source),
//!     permissions: 0o755,
//!     modified: Modified { secs: 1_600_000_000, nanos: 0 },
//!     owner: 0,
//!     group: 0,
//!     link: None,
//! })?;
//! let list = Arc::new(encoder.finish(&NoNames, IoErrors::NONE));
//!
//! let settings = Settings { compression: Compression::Off, seed: 7, dry_run: false, signature_budget_bytes: 1 << 20 };
//! let mut session = Session::new(settings);
//! // What a server of 3.1 says: version 31, what it knows, the seed.
//! session.feed(&[31, 0, 0, 0, 0x2a, 7, 0, 0, 0])?;
//! while let Some(event) = session.poll()? {
//!     if let Event::Agreed(agreed) = event {
//!         assert_eq!(agreed.class, list.class());
//!         session.send_list(None, Arc::clone(&list));
//!     }
//! }
//! let sent: Vec<u8> = std::iter::from_fn(|| session.take_output()).flatten().collect();
//! assert_eq!(sent[..4], [31, 0, 0, 0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Sources
//! Where a format is described here, it was learnt by recording what rsync sends and by trying what it accepts (3.0.0 to
//! 3.5.0), not from rsync's source. The tests push to the rsync of the machine, which can be made to speak as each class.
//!
//! Must not know SSH, hosts, file systems, clocks, threads or any runtime.

pub mod checksum;
pub mod codec;
pub mod delta;
pub mod filter;
pub mod flist;
pub mod session;
pub mod sources;
pub mod wire;
