//! What a tool left as output, in whatever shape, made into lines that name their host.
//!
//! Must not know what the lines should be.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

/// The folder for files of output, below the tool's working folder.
const FILES: &str = "out";

/// How the output of a tool looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Lines on stdout, with or without the host's name.
    Lines,
    /// A file named after each host, in the folder `out`.
    Files,
    /// One JSON object per line on stdout, as `docs/json.md` describes.
    Json,
}

#[derive(Debug, Deserialize)]
struct Event {
    event: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    text: String,
}

impl Shape {
    /// The lines in `folder`, as the tool left them: those of files and objects with the host's name before them.
    pub(crate) fn lines(self, folder: &Path) -> io::Result<Box<dyn BufRead>> {
        let stdout = || File::open(folder.join("stdout")).map(BufReader::new);
        Ok(match self {
            Self::Lines => Box::new(stdout()?),
            Self::Files => Box::new(io::Cursor::new(from_files(&folder.join(FILES))?)),
            Self::Json => Box::new(io::Cursor::new(from_json(stdout()?)?)),
        })
    }

    /// Removes what an earlier run left that the next would add to.
    pub(crate) fn clear(folder: &Path) {
        // Not there unless some tool has made it.
        let _ = fs::remove_dir_all(folder.join(FILES));
    }
}

fn from_files(folder: &Path) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    // A tool that failed made no folder: nothing arrived.
    let Ok(entries) = fs::read_dir(folder) else { return Ok(lines) };
    for entry in entries {
        let entry = entry?;
        let host = entry.file_name();
        add(&mut lines, host.as_encoded_bytes(), &fs::read(entry.path())?);
    }
    Ok(lines)
}

fn from_json(objects: impl BufRead) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for object in objects.split(b'\n') {
        let Ok(event) = serde_json::from_slice::<Event>(&object?) else { continue };
        if event.event == "output" {
            add(&mut lines, event.host.as_bytes(), event.text.as_bytes());
        }
    }
    Ok(lines)
}

fn add(lines: &mut Vec<u8>, host: &[u8], text: &[u8]) {
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        lines.extend_from_slice(host);
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_becomes_lines_that_name_their_host() {
        let folder = tempfile::tempdir().unwrap();
        let object = r#"{"v":1,"event":"output","host":"a","index":0,"stream":"stdout","text":"x\ny\n"}"#;
        fs::write(folder.path().join("stdout"), format!("{{\"event\":\"run\"}}\n{object}\nnoise\n")).unwrap();
        fs::create_dir(folder.path().join(FILES)).unwrap();
        fs::write(folder.path().join(FILES).join("b"), "x\ny\n").unwrap();
        for (shape, first) in [(Shape::Json, "a: x"), (Shape::Files, "b: x"), (Shape::Lines, "{\"event\":\"run\"}")] {
            let lines: Vec<String> = shape.lines(folder.path()).unwrap().lines().map(Result::unwrap).collect();
            assert_eq!(lines[0], first);
            if shape != Shape::Lines {
                assert_eq!(lines.len(), 2, "{shape:?}");
            }
        }
    }

    #[test]
    fn files_of_an_earlier_run_do_not_count_again() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FILES)).unwrap();
        fs::write(folder.path().join(FILES).join("b"), "x\n").unwrap();
        Shape::clear(folder.path());
        assert_eq!(Shape::Files.lines(folder.path()).unwrap().lines().count(), 0);
    }
}
