//! What of an entry differs, in the letters of `rsync -i`. Source: rsync(1).
//!
//! Must not know what is done about it.

/// What of an entry differs, in the order of rsync's letters.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a letter")]
pub(super) struct Letters {
    pub(super) content: bool,
    pub(super) size: bool,
    pub(super) time: bool,
    pub(super) permissions: bool,
    pub(super) owner: bool,
    pub(super) group: bool,
}

impl Letters {
    pub(super) fn any(self) -> bool {
        self.content || self.size || self.time || self.permissions || self.owner || self.group
    }

    pub(super) fn line(self, done: u8, kind: u8) -> [u8; 11] {
        let letter = |differs, letter| if differs { letter } else { b'.' };
        let (content, size, time) = (letter(self.content, b'c'), letter(self.size, b's'), letter(self.time, b't'));
        let permissions = letter(self.permissions, b'p');
        let (owner, group) = (letter(self.owner, b'o'), letter(self.group, b'g'));
        [done, kind, content, size, time, permissions, owner, group, b'.', b'.', b'.']
    }
}
