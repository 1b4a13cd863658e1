//! What changes at the destination, in the eleven letters of `rsync -i`: `<f.st......`.
//!
//! Must not know how it is shown.

use super::{Change, Request};
use crate::flist::{Item, ItemKind};

/// The letters of a request for `item`, as `rsync` on the sending side has them for `%i`.
///
/// The first is what is done: `<` content is sent, `c` something is made there, `h` a hard link is made, `.` attributes
/// alone are set. The second is what it is: `f`, `d`, `L` (symlink), `D` (device), `S` (fifo or socket). Then one letter each
/// for what differs, `.` for what does not, `+` for all of them if it is new, and blanks if nothing differs: content (`c`), size, time, permissions, owner,
/// group, access time (`u`), access control list, extended attributes.
#[must_use]
pub fn itemized(request: &Request, item: &Item) -> [u8; 11] {
    let has = |bits| request.change.has(bits);
    let done = match () {
        () if has(Change::LOCAL) && request.name.is_some() => b'h',
        () if has(Change::LOCAL) => b'c',
        () if has(Change::TRANSFER) => b'<',
        () => b'.',
    };
    let kind = match item.kind {
        ItemKind::File { .. } => b'f',
        ItemKind::Directory => b'd',
        ItemKind::Symlink { .. } => b'L',
        ItemKind::Device => b'D',
        ItemKind::Special => b'S',
    };
    if has(Change::NEW) {
        let mut letters = [b'+'; 11];
        letters[..2].copy_from_slice(&[done, kind]);
        return letters;
    }
    let letter = |bits, letter| if has(bits) { letter } else { b'.' };
    let letters = [
        done,
        kind,
        letter(Change::CONTENT, b'c'),
        letter(Change::SIZE, b's'),
        letter(Change::TIME, b't'),
        letter(Change::PERMISSIONS, b'p'),
        letter(Change::OWNER, b'o'),
        letter(Change::GROUP, b'g'),
        letter(Change::ACCESS, b'u'),
        letter(Change::ACL, b'a'),
        letter(Change::XATTR, b'x'),
    ];
    if matches!(done, b'h' | b'c' | b'.') && letters[2..].iter().all(|letter| *letter == b'.') {
        let mut blank = [b' '; 11];
        blank[..2].copy_from_slice(&[done, kind]);
        return blank;
    }
    letters
}
