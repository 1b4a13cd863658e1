//! How sources are named: by the words before the destination, or by a list of names.
//!
//! Reads the list. Must not look at any source.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::Args;
use fleet_rsync::sources::{LineEnd, NameError, Named, listed};
use fleet_tool::cli::Failure;

use super::rules::read;

#[derive(Args, Debug)]
pub(super) struct NamingArgs {
    /// Keep the paths of sources: a/b goes to DEST/a/b, and x/./a/b does so from x on
    #[arg(short = 'R', long)]
    relative: bool,
    #[arg(long, alias = "no-R", hide = true, conflicts_with = "relative")]
    no_relative: bool,
    /// Bring only what FILE names (- is standard input), each on a line, below the one SOURCE; implies -R. Folders come
    /// without what is in them, unless -r is given
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    /// Names in FILE, and patterns of --exclude-from and --include-from, end with NUL, not with a line
    // It would be true of the files that rules name, too.
    #[arg(short = '0', long, conflicts_with = "rules")]
    from0: bool,
}

impl NamingArgs {
    /// Whether sources are those of a list.
    pub(super) fn is_list(&self) -> bool {
        self.files_from.is_some()
    }

    /// Whether sources keep their paths.
    pub(super) fn keeps_paths(&self) -> bool {
        self.relative || (self.is_list() && !self.no_relative)
    }

    pub(super) fn line_end(&self) -> LineEnd {
        if self.from0 { LineEnd::Nul } else { LineEnd::Line }
    }

    /// The sources by their names.
    pub(super) fn sources(&self, words: &[OsString]) -> Result<Vec<Named>, Failure> {
        let wrong = |error: NameError| Failure::usage(&error);
        let Some(file) = &self.files_from else {
            let name = if self.relative { Named::relative } else { Named::plain };
            return words.iter().map(|word| name(word.as_bytes())).collect::<Result<_, _>>().map_err(wrong);
        };
        let [folder] = words else {
            return Err(Failure::usage_text("expected one folder before the destination with --files-from")
                .hint("prsync -g GROUP --files-from=LIST FOLDER /opt; names in LIST are below FOLDER"));
        };
        let content = read(file.as_os_str().as_bytes())
            .map_err(|error| Failure::usage_text(format!("cannot read {}: {error}", file.display())))?;
        let named = |line| match self.keeps_paths() {
            true => Named::listed(folder.as_bytes(), line),
            false => Named::plain(&[folder.as_bytes(), b"/", line].concat()),
        };
        let sources: Vec<Named> =
            listed(&content, self.line_end()).map(named).collect::<Result<_, _>>().map_err(wrong)?;
        if sources.is_empty() {
            return Err(Failure::usage_text(format!("{} names nothing; expected a name on each line", file.display())));
        }
        Ok(sources)
    }
}

/// Where a source is on this machine, as a path.
pub(super) fn path(named: &Named) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&named.base)).join(OsStr::from_bytes(&named.path))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser, Debug)]
    struct Line {
        #[command(flatten)]
        naming: NamingArgs,
        #[arg(long)]
        rules: Option<String>,
        words: Vec<OsString>,
    }

    fn paths(words: &[&str]) -> Result<Vec<String>, String> {
        let line = Line::try_parse_from(words).unwrap();
        let sources = line.naming.sources(&line.words).map_err(|failure| format!("{failure:?}"))?;
        let text = |named: &Named| {
            format!("{} {}", String::from_utf8_lossy(&named.base), String::from_utf8_lossy(&named.path))
        };
        Ok(sources.iter().map(text).collect())
    }

    #[test]
    fn sources_are_called_as_their_flags_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let from = |name: &str, content: &[u8]| {
            let file = folder.path().join(name);
            std::fs::write(&file, content).unwrap();
            format!("--files-from={}", file.display())
        };
        let (lines, names) = (from("lines", b"a/b\n# no\nc\n"), from("names", b"a\nb\0#no\0c"));
        for (words, expected) in [
            (&["x", "a/b", "c/"][..], &["a b", "c "][..]),
            (&["x", "-R", "a/b", "x/./c"], &[" a/b", "x c"]),
            (&["x", &lines, "base"], &["base a/b", "base c"]),
            (&["x", &names, "-0", "base"], &["base a\nb", "base c"]),
            (&["x", &lines, "--no-relative", "base"], &["base/a b", "base c"]),
        ] {
            assert_eq!(paths(words).unwrap(), expected, "{words:?}");
        }
        for (words, expected) in [
            (&["x", &lines, "one", "two"][..], "expected one folder"),
            (&["x", "--files-from=/dev/null", "one"], "names nothing"),
            (&["x", "--files-from=/no/such", "one"], "cannot read"),
            (&["x", &names, "one"], "expected a path as source"),
            (&["x", "-R", "a/../b"], "expected no `..`"),
        ] {
            assert!(paths(words).unwrap_err().contains(expected), "{words:?}");
        }
    }
}
