//! Reads rules: of options, and of merge files, whose rules take over what was said of the file.
//!
//! Knows nothing of matching, nor of where a file is.

use super::rule::{
    Above, Action, Against, DirMerge, Item, MergeFile, Namespace, Reach, Rule, Sense, Separator, Sides, Strength,
    Syntax, Traits,
};
use super::{FilterError, MAX_MERGE_DEPTH, ReadFile, shown};
use std::sync::Arc;

/// What CVS ignores: the names that the manual page has under `--cvs-exclude`.
const CVS: &str = "RCS SCCS CVS CVS.adm RCSLOG cvslog.* tags TAGS .make.state .nse_depinfo *~ #* .#* ,* _$* *$ *.old \
                   *.bak *.BAK *.orig *.rej .del-* *.a *.olb *.o *.obj *.so *.exe *.Z *.elc *.ln core .svn/ .git/ .hg/ .bzr/";

/// Begins of rules, long and short.
const HEADS: [(&[u8], u8); 9] = [
    (b"exclude", b'-'),
    (b"include", b'+'),
    (b"hide", b'H'),
    (b"show", b'S'),
    (b"protect", b'P'),
    (b"risk", b'R'),
    (b"merge", b'.'),
    (b"dir-merge", b':'),
    (b"clear", b'!'),
];

/// Lines that say something.
pub(super) fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = content.split(|&byte| byte == b'\n' || byte == b'\r');
    lines.filter(|line| !line.is_empty() && !line.starts_with(b"#") && !line.starts_with(b";"))
}

/// Adds a pattern without a sign of its own; a sign and a space before it, or a lone `!`, are those of a rule.
pub(super) fn bare(items: &mut Vec<Item>, action: Action, text: &[u8]) -> Result<(), FilterError> {
    let (action, pattern) = match text {
        b"" => return Ok(()),
        b"!" => {
            items.clear();
            return Ok(());
        }
        [b'-', b' ', pattern @ ..] => (Action::Exclude, pattern),
        [b'+', b' ', pattern @ ..] => (Action::Include, pattern),
        _ => (action, text),
    };
    if pattern.is_empty() {
        return Err(FilterError::Empty { rule: shown(text) });
    }
    items.push(Item::Rule(Rule::new(action, Traits::default(), pattern, b"")));
    Ok(())
}

/// A list that rules are added to.
pub(super) struct Parser<'a> {
    items: &'a mut Vec<Item>,
    read: Files<'a>,
    /// Files of folders that are looked for already: one name is looked for once.
    known: &'a [Arc<DirMerge>],
    /// The folder that patterns are relative to, as [`Pattern::new`](super::pattern::Pattern::new) has it.
    folder: &'a [u8],
    /// Names that the rule `-C` is about as well.
    cvs: &'a [u8],
    /// Whether a rule has forgotten those before.
    cleared: bool,
    depth: usize,
}

enum Files<'a> {
    Read(ReadFile<'a>),
    Refused,
}

/// What a rule is, once its begin is read.
struct Head<'t> {
    sign: u8,
    modifiers: &'t [u8],
    rest: &'t [u8],
    whole: &'t [u8],
}

impl<'a> Parser<'a> {
    /// For rules of the user's own, which may name files.
    pub(super) fn new(items: &'a mut Vec<Item>, read: ReadFile<'a>, cvs: &'a [u8]) -> Self {
        Self { items, read: Files::Read(read), known: &[], folder: b"", cvs, cleared: false, depth: 0 }
    }

    /// Reads the file of a folder: its rules, and whether those of the folders above are forgotten.
    pub(super) fn folder(
        content: &[u8],
        merge: &DirMerge,
        known: &[Arc<DirMerge>],
        folder: &[u8],
        cvs: &[u8],
    ) -> Result<(Vec<Item>, bool), FilterError> {
        let mut items = Vec::new();
        let read = Files::Refused;
        let mut parser = Parser { items: &mut items, read, known, folder, cvs, cleared: false, depth: 0 };
        parser.content(content, &merge.file)?;
        let cleared = parser.cleared;
        Ok((items, cleared))
    }

    /// Adds a rule of `--filter`.
    pub(super) fn filter(&mut self, rule: &[u8]) -> Result<(), FilterError> {
        self.rule(rule, Traits::default())
    }

    fn content(&mut self, content: &[u8], file: &MergeFile) -> Result<(), FilterError> {
        match file.separator {
            Separator::Line => lines(content).try_for_each(|line| self.piece(line, file)),
            Separator::Word => {
                let words = content.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
                words.into_iter().try_for_each(|word| self.piece(word, file))
            }
        }
    }

    fn piece(&mut self, piece: &[u8], file: &MergeFile) -> Result<(), FilterError> {
        let action = match file.syntax {
            Syntax::Rules => return self.rule(piece, file.traits),
            Syntax::Cvs if piece == b"!" => {
                self.clear();
                return Ok(());
            }
            Syntax::Cvs => Action::Exclude,
            Syntax::Patterns(action) => action,
        };
        self.push(Rule::new(action, file.traits, piece, self.folder));
        Ok(())
    }

    fn push(&mut self, rule: Rule) {
        self.items.push(Item::Rule(rule));
    }

    fn clear(&mut self) {
        self.items.clear();
        self.cleared = true;
    }

    fn rule(&mut self, text: &[u8], of_file: Traits) -> Result<(), FilterError> {
        let head = Head::read(text)?;
        match head.sign {
            b'!' if head.modifiers.is_empty() && head.rest.is_empty() => self.clear(),
            b'!' => return Err(FilterError::Trailing { rule: shown(text) }),
            b'.' | b':' => self.file(&head, of_file)?,
            _ => self.pattern(&head, of_file)?,
        }
        Ok(())
    }

    fn pattern(&mut self, head: &Head<'_>, of_file: Traits) -> Result<(), FilterError> {
        let (action, side) = match head.sign {
            b'-' => (Action::Exclude, Sides::Unsaid),
            b'+' => (Action::Include, Sides::Unsaid),
            b'H' => (Action::Exclude, Sides::Sender),
            b'S' => (Action::Include, Sides::Sender),
            b'P' => (Action::Exclude, Sides::Receiver),
            _ => (Action::Include, Sides::Receiver),
        };
        let mut traits = Traits { sides: side, ..Traits::default() };
        let mut sense = Sense::Matching;
        let mut cvs = false;
        for &modifier in head.modifiers {
            match modifier {
                b'!' => sense = Sense::Others,
                b'C' if side == Sides::Unsaid => cvs = true,
                b's' | b'r' if side != Sides::Unsaid => return Err(head.wrong(modifier)),
                _ => head.add(&mut traits, modifier)?,
            }
        }
        let traits = head.within(traits, of_file)?;
        if cvs {
            let mut names = Vec::new();
            let perishable = Traits { strength: Strength::Perishable, ..traits };
            names.extend(CVS.split_ascii_whitespace().map(|name| (name.as_bytes(), perishable)));
            let words = self.cvs.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            for word in words {
                if word == b"!" { names.clear() } else { names.push((word, traits)) }
            }
            for (name, traits) in names {
                self.push(Rule { sense, ..Rule::new(action, traits, name, self.folder) });
            }
        } else if head.rest.is_empty() {
            return Err(FilterError::Empty { rule: shown(head.whole) });
        } else {
            self.push(Rule { sense, ..Rule::new(action, traits, head.rest, self.folder) });
        }
        Ok(())
    }

    fn file(&mut self, head: &Head<'_>, of_file: Traits) -> Result<(), FilterError> {
        let mut traits = Traits::default();
        let (mut syntax, mut separator, mut reach) = (Syntax::Rules, Separator::Line, Reach::Below);
        let mut hides_itself = false;
        for &modifier in head.modifiers {
            match (modifier, syntax) {
                (b'-', Syntax::Rules) => syntax = Syntax::Patterns(Action::Exclude),
                (b'+', Syntax::Rules) => syntax = Syntax::Patterns(Action::Include),
                (b'C', Syntax::Rules) => (syntax, separator, reach) = (Syntax::Cvs, Separator::Word, Reach::Folder),
                (b'e', _) => hides_itself = true,
                (b'n', _) => reach = Reach::Folder,
                (b'w', _) => separator = Separator::Word,
                _ => head.add(&mut traits, modifier)?,
            }
        }
        let name = match (head.rest, syntax) {
            (b"", Syntax::Cvs) => b".cvsignore",
            (b"", _) => return Err(FilterError::Empty { rule: shown(head.whole) }),
            (name, _) => name,
        };
        let file = MergeFile { syntax, separator, reach, traits: head.within(traits, of_file)? };
        if hides_itself {
            let own = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
            self.push(Rule::new(Action::Exclude, Traits::default(), own, self.folder));
        }
        if head.sign == b':' { self.dir_merge(head, name, file) } else { self.merge(head, name, &file) }
    }

    fn dir_merge(&mut self, head: &Head<'_>, name: &[u8], file: MergeFile) -> Result<(), FilterError> {
        let (name, above) = match name.strip_prefix(b"/") {
            Some(name) => (name, Above::Read),
            None => (name, Above::Ignored),
        };
        if name.contains(&b'/') || name.is_empty() {
            return Err(head.unsupported("a path as the name of a dir-merge file"));
        }
        let is_known = |item: &Item| matches!(item, Item::DirMerge(merge) if *merge.name == *name);
        if !self.items.iter().any(is_known) && !self.known.iter().any(|merge| *merge.name == *name) {
            self.items.push(Item::DirMerge(Arc::new(DirMerge { name: name.into(), above, file })));
        }
        Ok(())
    }

    fn merge(&mut self, head: &Head<'_>, name: &[u8], file: &MergeFile) -> Result<(), FilterError> {
        let Files::Read(read) = &mut self.read else {
            return Err(head.unsupported("a merge file within the file of a folder"));
        };
        if self.depth == MAX_MERGE_DEPTH {
            return Err(head.unsupported("a merge file within so many others"));
        }
        let content = read(name).map_err(|source| FilterError::File { file: shown(name), source })?;
        self.depth += 1;
        let read = self.content(&content, file);
        self.depth -= 1;
        read.map_err(|source| FilterError::Within { file: shown(name), source: Box::new(source) })
    }
}

impl<'t> Head<'t> {
    fn read(whole: &'t [u8]) -> Result<Self, FilterError> {
        let unknown = || FilterError::Unknown { rule: shown(whole) };
        let long = HEADS.iter().find_map(|&(name, sign)| {
            let behind = whole.strip_prefix(name)?;
            matches!(behind.first(), None | Some(b',' | b' ' | b'_')).then_some((sign, behind, false))
        });
        let short = || {
            let (&first, behind) = whole.split_first()?;
            HEADS.iter().any(|&(_, sign)| sign == first).then_some((first, behind, true))
        };
        let (sign, behind, is_short) = long.or_else(short).ok_or_else(unknown)?;
        let (behind, has_modifiers) = match behind.strip_prefix(b",") {
            Some(behind) => (behind, true),
            None => (behind, is_short),
        };
        let end = behind.iter().position(|byte| b" _".contains(byte));
        let (modifiers, rest) = match end {
            // `! ` has something behind it, too.
            Some(end) if sign != b'!' => (&behind[..end], &behind[end + 1..]),
            _ => (behind, &[][..]),
        };
        debug_assert!(has_modifiers || modifiers.is_empty() || sign == b'!', "a long name is followed by its end");
        Ok(Self { sign, modifiers, rest, whole })
    }

    /// Adds what patterns and files have in common.
    fn add(&self, traits: &mut Traits, modifier: u8) -> Result<(), FilterError> {
        match modifier {
            b'/' => traits.against = Against::Absolute,
            b's' => traits.sides = traits.sides.and_sender(),
            b'r' => traits.sides = traits.sides.and_receiver(),
            b'p' => traits.strength = Strength::Perishable,
            b'x' => traits.namespace = Namespace::Attributes,
            _ => return Err(self.wrong(modifier)),
        }
        Ok(())
    }

    /// What the rule is, standing in a file that is `of_file`.
    fn within(&self, own: Traits, of_file: Traits) -> Result<Traits, FilterError> {
        if own.sides != Sides::Unsaid && of_file.sides != Sides::Unsaid {
            return Err(FilterError::Side { rule: shown(self.whole) });
        }
        Ok(Traits {
            sides: if own.sides == Sides::Unsaid { of_file.sides } else { own.sides },
            against: if own.against == Against::Name { of_file.against } else { own.against },
            strength: if own.strength == Strength::Lasting { of_file.strength } else { own.strength },
            namespace: if own.namespace == Namespace::Entries { of_file.namespace } else { own.namespace },
        })
    }

    fn wrong(&self, modifier: u8) -> FilterError {
        FilterError::Modifier { modifier: char::from(modifier), rule: shown(self.whole) }
    }

    fn unsupported(&self, what: &'static str) -> FilterError {
        FilterError::Unsupported { what, rule: shown(self.whole) }
    }
}
