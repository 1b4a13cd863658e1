//! `--chmod`: what becomes of permissions, as rsync has it.
//!
//! Clauses between commas, each as chmod(1) has it, in letters (`ug+rwX`) or in octal (`644`), perhaps with `D` (folders
//! alone) or `F` (all but folders) before it. Without `u`, `g`, `o` or `a` all are meant, but for what the umask takes.
//! Source: rsync(1), chmod(1). Must not know files.

use thiserror::Error;

/// Changes of permissions, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chmod {
    clauses: Vec<Clause>,
}

/// What is no change of permissions.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected changes of permissions such as Dg+s,ug+w,Fo-w,+X or F644, got '{0}'")]
pub struct ChmodError(pub String);

/// What a clause is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    All,
    Folders,
    Others,
}

/// What a clause does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clause {
    of: Of,
    operator: Operator,
    /// The bits that it is about.
    bits: u32,
    /// Those of `X`, which only counts where something can be executed already, and of folders.
    executable: u32,
    /// What `=` takes away.
    cleared: u32,
}

/// Those of users, groups and others.
const WHO: [(char, u32); 3] = [('u', 0o4700), ('g', 0o2070), ('o', 0o1007)];

impl Chmod {
    /// Reads what is behind `--chmod=`; given more than once, each adds to those before it. Bits of `umask` are not
    /// meant where nobody is named.
    ///
    /// # Errors
    /// If it is none.
    pub fn add(&mut self, text: &str, umask: u32) -> Result<(), ChmodError> {
        for clause in text.split(',') {
            self.clauses.push(Clause::read(clause, umask).ok_or_else(|| ChmodError(text.to_owned()))?);
        }
        Ok(())
    }

    /// What becomes of `permissions`, the lower 12 bits of a mode.
    pub(super) fn applied(&self, permissions: u32, is_folder: bool) -> u32 {
        self.clauses.iter().fold(permissions, |permissions, clause| clause.applied(permissions, is_folder))
    }
}

impl Clause {
    fn read(text: &str, umask: u32) -> Option<Self> {
        let (of, rest) = match text.chars().next()? {
            'D' => (Of::Folders, &text[1..]),
            'F' => (Of::Others, &text[1..]),
            _ => (Of::All, text),
        };
        if rest.starts_with(|first: char| first.is_ascii_digit()) {
            let bits = u32::from_str_radix(rest, 8).ok().filter(|bits| *bits <= 0o7777)?;
            return Some(Self { of, operator: Operator::Set, bits, executable: 0, cleared: 0o7777 });
        }
        let at = rest.find(['+', '-', '='])?;
        let (who, change) = rest.split_at(at);
        let mut whose = 0;
        for letter in who.chars() {
            whose |= if letter == 'a' { 0o7777 } else { WHO.iter().find(|(who, _)| *who == letter)?.1 };
        }
        let (meant, cleared) = if whose == 0 { (0o7777 & !umask, 0o777) } else { (whose, whose & 0o777) };
        let operator = match change.chars().next()? {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            _ => Operator::Set,
        };
        let (mut bits, mut executable) = (0, 0);
        for letter in change[1..].chars() {
            match letter {
                'r' => bits |= 0o444 & meant,
                'w' => bits |= 0o222 & meant,
                'x' => bits |= 0o111 & meant,
                'X' => executable |= 0o111 & meant,
                's' => bits |= if whose == 0 { 0o4000 } else { 0o6000 & whose },
                't' => bits |= 0o1000,
                _ => return None,
            }
        }
        Some(Self { of, operator, bits, executable, cleared })
    }

    fn applied(self, permissions: u32, is_folder: bool) -> u32 {
        if (self.of == Of::Folders && !is_folder) || (self.of == Of::Others && is_folder) {
            return permissions;
        }
        let executable = if is_folder || permissions & 0o111 != 0 { self.executable } else { 0 };
        let bits = self.bits | executable;
        match self.operator {
            Operator::Add => permissions | bits,
            Operator::Remove => permissions & !bits,
            Operator::Set => permissions & !self.cleared | bits,
        }
    }
}
