//! The arguments of `rsync --server`: what the other side has to know to understand what is sent.
//!
//! All short options are in one word right behind `--server`, which ends with `e.` and letters: a restricted shell such as
//! `rrsync` takes no other shape. The letters say what we understand; servers pass over those that they do not know.
//!
//! | letter | meaning |
//! | --- | --- |
//! | `L` | times of symlinks |
//! | `f` | a list can end with an error |
//! | `x` | no shortcut for extended attributes |
//! | `C` | MD5 with its seed first |
//! | `v` | flags of entries as varints, names of digests and codecs |
//! | `u` | a name for id 0 |
//!
//! `i` (lists in parts) is left out, as indexes would then depend on the host; so are `s` (other encodings) and `I` (old data that
//! is overwritten while it is still referred to).
//!
//! Must not know shells: whoever makes a command line of the words quotes them.

use crate::codec::Codec;
use crate::flist::Fields;
use crate::wire::greeting::Compression;

/// What we say that we understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Capabilities(&'static str);

impl Capabilities {
    /// All that we do.
    pub const ALL: Self = Self("LfxCvu");
    /// Without a name for id 0, which makes a new server one of class B.
    pub const WITHOUT_NAME_OF_ROOT: Self = Self("LfxCv");
    /// Without negotiation, which makes a new server one of class C; with `--protocol=30`, of class D.
    pub const WITHOUT_NEGOTIATION: Self = Self("LfxC");
    /// As before, and MD5 with its seed last.
    pub const WITHOUT_SEED_ORDER: Self = Self("Lfx");
}

/// When the server deletes what is not in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delete {
    /// Before all else.
    Before,
    /// In each folder, when it comes to it.
    During,
    /// At the end what was found on the way.
    Delay,
    /// At the end.
    After,
}

/// What a server is told by its arguments.
#[derive(Debug, Clone)]
pub struct ServerArguments {
    /// What is in the list.
    pub fields: Fields,
    /// `-p`
    pub permissions: bool,
    /// `-t`
    pub times: bool,
    /// `-R`: folders above what is named are [`Alone`](crate::flist::Folder::Alone) in the list.
    pub relative: bool,
    /// `-n`
    pub dry_run: bool,
    /// `-c` itself is [`Fields::digest`], which is known only later.
    pub checksum: bool,
    /// `-W`: signatures are empty.
    pub whole_file: bool,
    /// `-m`: the server leaves out empty folders of the list. It wants the rules of filters for that, too.
    pub prune: bool,
    /// `--inplace`: deltas are those of [`Search::in_place`](crate::delta::Search::in_place).
    pub in_place: bool,
    /// Whether entries are told whose attributes alone differ.
    pub itemize: bool,
    /// Whether and when to delete.
    pub delete: Option<Delete>,
    /// As the session is told.
    pub compression: Compression,
    /// `--compress-level`
    pub level: Option<i32>,
    /// As the session is told.
    pub seed: i32,
    /// What we understand.
    pub capabilities: Capabilities,
    /// Options that concern the receiver alone, as they are.
    pub forwarded: Vec<Vec<u8>>,
    /// Letters that concern it alone: a restricted shell takes some in no longer form.
    pub forwarded_letters: String,
    /// Where to.
    pub destination: Vec<u8>,
}

impl ServerArguments {
    /// `-a` and nothing more.
    #[must_use]
    pub fn archive(seed: i32, destination: Vec<u8>) -> Self {
        Self {
            fields: Fields::ARCHIVE,
            permissions: true,
            times: true,
            relative: false,
            dry_run: false,
            checksum: false,
            whole_file: false,
            prune: false,
            in_place: false,
            itemize: false,
            delete: None,
            compression: Compression::Off,
            level: None,
            seed,
            capabilities: Capabilities::ALL,
            forwarded: Vec::new(),
            forwarded_letters: String::new(),
            destination,
        }
    }

    /// The words behind the name of the program.
    #[must_use]
    pub fn words(&self) -> Vec<Vec<u8>> {
        let mut words = vec!["--server".to_owned(), self.letters(), format!("--checksum-seed={}", self.seed)];
        let mut add = |when: bool, word: &str| words.extend(when.then(|| word.to_owned()));
        add(self.fields.numeric_ids, "--numeric-ids");
        add(self.in_place, "--inplace");
        add(self.itemize, "--log-format=%i");
        add(self.delete == Some(Delete::Before), "--delete-before");
        add(self.delete == Some(Delete::During), "--delete-during");
        add(self.delete == Some(Delete::Delay), "--delete-delay");
        add(self.delete == Some(Delete::After), "--delete-after");
        match self.compression {
            Compression::Off | Compression::Negotiated | Compression::Fixed(Codec::Plain) => {}
            Compression::Fixed(Codec::Zlib) => add(true, "--old-compress"),
            Compression::Fixed(Codec::Zlibx) => add(true, "--new-compress"),
            Compression::Fixed(Codec::Zstd) => add(true, "--compress-choice=zstd"),
        }
        if let (Some(level), true) = (self.level, self.compresses()) {
            add(true, &format!("--compress-level={level}"));
        }
        let mut words: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
        words.extend(self.forwarded.iter().cloned());
        words.extend([b".".to_vec(), self.destination.clone()]);
        words
    }

    fn compresses(&self) -> bool {
        !matches!(self.compression, Compression::Off | Compression::Fixed(Codec::Plain))
    }

    fn letters(&self) -> String {
        let letters = [
            (self.dry_run, 'n'),
            (self.whole_file, 'W'),
            (self.relative, 'R'),
            (self.fields.symlinks, 'l'),
            (self.fields.hard_links, 'H'),
            (self.fields.owner, 'o'),
            (self.fields.group, 'g'),
            (self.fields.devices, 'D'),
            (self.times, 't'),
            (self.permissions, 'p'),
            (true, 'r'),
            (self.checksum, 'c'),
            (self.compresses(), 'z'),
            (self.prune, 'm'),
        ];
        let letters: String = letters.into_iter().filter_map(|(is_set, letter)| is_set.then_some(letter)).collect();
        format!("-{letters}{}e.{}", self.forwarded_letters, self.capabilities.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(arguments: &ServerArguments) -> String {
        String::from_utf8(arguments.words().join(&b' ')).unwrap()
    }

    #[test]
    fn the_words_are_those_that_a_restricted_shell_takes() {
        let archive = ServerArguments::archive(7, b"x y".to_vec());
        assert_eq!(line(&archive), "--server -logDtpre.LfxCvu --checksum-seed=7 . x y");
        let much = ServerArguments {
            fields: Fields { hard_links: true, numeric_ids: true, ..Fields::ARCHIVE },
            relative: true,
            dry_run: true,
            checksum: true,
            whole_file: true,
            prune: true,
            in_place: true,
            itemize: true,
            delete: Some(Delete::Delay),
            compression: Compression::Fixed(Codec::Zlibx),
            level: Some(3),
            capabilities: Capabilities::WITHOUT_NEGOTIATION,
            forwarded: vec![b"--partial".to_vec()],
            forwarded_letters: "u".to_owned(),
            ..archive
        };
        let expected = "--server -nWRlHogDtprczmue.LfxC --checksum-seed=7 --numeric-ids --inplace --log-format=%i --delete-delay \
                        --new-compress --compress-level=3 --partial . x y";
        assert_eq!(line(&much), expected);
    }
}
