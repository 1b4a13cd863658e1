//! One rule, and how it is written for the server.
//!
//! Knows neither how rules are read, nor where they are in force.

use super::pattern::Pattern;
use std::sync::Arc;

/// What a rule does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Exclude,
    Include,
}

impl Action {
    pub(super) fn sign(self) -> u8 {
        match self {
            Self::Exclude => b'-',
            Self::Include => b'+',
        }
    }
}

/// Whom a rule is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sides {
    /// For both, since nothing else was said.
    #[default]
    Unsaid,
    Sender,
    Receiver,
    /// For both, and both were named.
    Both,
}

impl Sides {
    pub(super) fn sender(self) -> bool {
        self != Self::Receiver
    }

    pub(super) fn receiver(self) -> bool {
        self != Self::Sender
    }

    /// With the sender named as well.
    pub(super) fn and_sender(self) -> Self {
        if matches!(self, Self::Unsaid | Self::Sender) { Self::Sender } else { Self::Both }
    }

    /// With the receiver named as well.
    pub(super) fn and_receiver(self) -> Self {
        if matches!(self, Self::Unsaid | Self::Receiver) { Self::Receiver } else { Self::Both }
    }
}

/// Which path a pattern is matched against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Against {
    /// The path below the folder that the rule belongs to.
    #[default]
    Name,
    /// The absolute path.
    Absolute,
}

/// How far a rule goes when a folder is deleted over there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Strength {
    #[default]
    Lasting,
    /// Ignored in folders that are being deleted.
    Perishable,
}

/// What names a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Namespace {
    #[default]
    Entries,
    /// Those of extended attributes, which are not sent.
    Attributes,
}

/// What the rules in a merge file take over from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) sides: Sides,
    pub(super) against: Against,
    pub(super) strength: Strength,
    pub(super) namespace: Namespace,
}

impl Traits {
    /// Their letters behind the sign of a rule, but for `/`, which goes first.
    fn letters(self, out: &mut Vec<u8>) {
        if self.namespace == Namespace::Attributes {
            out.push(b'x');
        }
        match self.sides {
            Sides::Unsaid => {}
            Sides::Sender => out.push(b's'),
            Sides::Receiver => out.push(b'r'),
            Sides::Both => out.extend_from_slice(b"sr"),
        }
        if self.strength == Strength::Perishable {
            out.push(b'p');
        }
    }
}

/// Whether a rule is about what its pattern matches, or about all else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sense {
    #[default]
    Matching,
    Others,
}

/// A rule with a pattern.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) action: Action,
    pub(super) traits: Traits,
    pub(super) sense: Sense,
    pub(super) pattern: Pattern,
    /// The pattern as it was given.
    pub(super) text: Box<[u8]>,
}

impl Rule {
    /// A rule about what the pattern `text` matches, in a file of `folder`, as [`Pattern::new`] has it.
    pub(super) fn new(action: Action, traits: Traits, text: &[u8], folder: &[u8]) -> Self {
        let folder = if traits.against == Against::Absolute { b"" } else { folder };
        Self { action, traits, sense: Sense::Matching, pattern: Pattern::new(text, folder), text: text.into() }
    }
}

/// How the lines of a merge file are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// As rules.
    Rules,
    /// As patterns.
    Patterns(Action),
    /// As CVS reads its own.
    Cvs,
}

/// Where rules of a merge file end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    Line,
    /// Any white space.
    Word,
}

/// Whether rules of a folder's file hold in the folders below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Below,
    Folder,
}

/// How a merge file is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct MergeFile {
    pub(super) syntax: Syntax,
    pub(super) separator: Separator,
    pub(super) reach: Reach,
    pub(super) traits: Traits,
}

/// A file that may be in every folder.
#[derive(Debug)]
pub(super) struct DirMerge {
    /// Its name, which has no `/`.
    pub(super) name: Box<[u8]>,
    /// Whether it is also looked for in the folders above the transfer.
    pub(super) above: Above,
    pub(super) file: MergeFile,
}

/// Whether a file is looked for above the transfer as well: a `/` before its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Above {
    Ignored,
    Read,
}

/// What stands in a list of rules.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Rule(Rule),
    DirMerge(Arc<DirMerge>),
}

impl Item {
    /// The rule as it is sent.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Rule(rule) => {
                out.push(rule.action.sign());
                absolute(rule.traits, &mut out);
                if rule.sense == Sense::Others {
                    out.push(b'!');
                }
                rule.traits.letters(&mut out);
                out.push(b' ');
                out.extend_from_slice(&rule.text);
            }
            Self::DirMerge(merge) => merge.text(&mut out),
        }
        out
    }
}

impl DirMerge {
    fn text(&self, out: &mut Vec<u8>) {
        out.push(b':');
        absolute(self.file.traits, out);
        if self.file.syntax == Syntax::Cvs {
            out.push(b'C');
        } else {
            if self.file.reach == Reach::Folder {
                out.push(b'n');
            }
            if self.file.separator == Separator::Word {
                out.push(b'w');
            }
            if let Syntax::Patterns(action) = self.file.syntax {
                out.push(action.sign());
            }
        }
        self.file.traits.letters(out);
        out.push(b' ');
        if self.above == Above::Read {
            out.push(b'/');
        }
        out.extend_from_slice(&self.name);
    }
}

fn absolute(traits: Traits, out: &mut Vec<u8>) {
    if traits.against == Against::Absolute {
        out.push(b'/');
    }
}
