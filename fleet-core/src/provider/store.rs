//! Objects that a provider keeps, for hosts to fetch by a URL.
//!
//! Must not know what is in them, nor who fetches them.

use std::path::Path;
use std::time::Duration;

use super::Provider;
use super::answer;
use super::error::{Problem, ProviderError};
use super::protocol::{Action, Uploaded};
use super::running::Watch;

/// A file to be kept as an object.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    /// Where to keep it.
    pub bucket: &'a str,
    /// The name of the object.
    pub key: &'a str,
    /// The file, on this machine.
    pub path: &'a Path,
    /// Its length in bytes.
    pub size: u64,
    /// The SHA-256 of what is in it, in hexadecimal.
    pub sha256: &'a str,
    /// For how long the URL is to hold.
    pub expires: Duration,
}

/// What became of objects that were to be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discarded {
    /// The names of those that may be there still.
    pub left: Vec<String>,
    /// What may be left of uploads that were ended in the middle; harmless lines.
    pub warnings: Vec<String>,
}

impl Provider {
    /// Has a file kept as an object, and tells `progress` how many of its bytes are sent. There is no limit to how long that
    /// may take but the provider's own, and the user's patience; when it fails or is interrupted, parts of the object may be
    /// there until they are discarded.
    ///
    /// # Errors
    /// When the program does not answer, nothing that can be believed, or with an error.
    pub fn upload(
        &self,
        upload: &Upload<'_>,
        watch: Watch<'_>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Uploaded, ProviderError> {
        let Some(path) = upload.path.to_str() else {
            let shown = upload.path.display();
            return Err(self.has(Problem::Shape(format!("{shown} cannot be named in a request, as it is not UTF-8"))));
        };
        let action = Action::Upload {
            bucket: upload.bucket.to_owned(),
            key: upload.key.to_owned(),
            path: path.to_owned(),
            sha256: upload.sha256.to_owned(),
            expires_seconds: upload.expires.as_secs(),
        };
        let start = format!("{}: progress ", self.program.label);
        let said = |line: &str| match line.strip_prefix(&start).and_then(|bytes| bytes.parse::<u64>().ok()) {
            Some(bytes) => progress(bytes.min(upload.size)),
            None => (watch.said)(line),
        };
        let output = self.ask_within(action, Duration::MAX, Watch { said: &said, ..watch })?;
        let uploaded = answer::uploaded(&output).map_err(|problem| self.has(problem))?;
        if (uploaded.key.as_str(), uploaded.size) == (upload.key, upload.size) {
            return Ok(uploaded);
        }
        let expected = format!("the {} bytes of {}", upload.size, upload.key);
        Err(self.has(Problem::Shape(format!("uploaded is about another object; expected {expected}"))))
    }

    /// Has objects removed, and what there is of them where their upload was ended in the middle. Those that are not there
    /// are no error.
    ///
    /// # Errors
    /// As [`Provider::describe`].
    pub fn discard(&self, bucket: &str, keys: &[String], watch: Watch<'_>) -> Result<Discarded, ProviderError> {
        let output = self.ask(Action::Discard { bucket: bucket.to_owned(), keys: keys.to_vec() }, watch)?;
        let (gone, warnings) = answer::discarded(&output).map_err(|problem| self.has(problem))?;
        let left = keys.iter().filter(|key| !gone.contains(key)).cloned().collect();
        Ok(Discarded { left, warnings })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    use super::super::{ProviderSettings, Surroundings};
    use super::*;

    static GOING_ON: AtomicBool = AtomicBool::new(false);
    const QUIET: Watch<'_> = Watch { said: &|_| (), interrupted: &GOING_ON };

    /// A provider that takes longer than it may, but for uploads, and then answers this.
    fn provider(folder: &Path, answer: &str) -> Provider {
        let path = folder.join("script");
        fs::write(&path, format!("cat >/dev/null; sleep 0.2; echo '{answer}'\n")).unwrap();
        let command = Some(vec!["/bin/sh".to_owned(), path.display().to_string()]);
        let settings = ProviderSettings { command, ..ProviderSettings::named("lab") };
        Provider::find(settings, &Surroundings::new(None, [])).unwrap()
    }

    const FILE: fn() -> Upload<'static> = || Upload {
        bucket: "b",
        key: "k",
        path: Path::new("/f"),
        size: 3,
        sha256: "00",
        expires: Duration::from_secs(60),
    };

    #[test]
    fn an_upload_may_take_its_time_and_has_to_be_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        for (answer, is_fine) in [
            (r#"{"protocol":1,"uploaded":{"url":"https://b/k","key":"k","size":3}}"#, true),
            (r#"{"protocol":1,"uploaded":{"url":"https://b/k","key":"k","size":4}}"#, false),
            (r#"{"protocol":1,"uploaded":{"url":"https://b/k","key":"l","size":3}}"#, false),
            (r#"{"protocol":1,"error":{"code":"unsupported","message":"I keep nothing"}}"#, false),
        ] {
            let provider = provider(folder.path(), answer).within(Duration::from_millis(1));
            assert_eq!(provider.upload(&FILE(), QUIET, &|_| ()).is_ok(), is_fine, "{answer}");
        }
    }

    #[test]
    fn how_far_an_upload_is_are_numbers_and_everything_else_words() {
        let folder = tempfile::tempdir().unwrap();
        let answer = r#"{"protocol":1,"uploaded":{"url":"https://b/k","key":"k","size":3}}"#;
        let lines = r"progress 2\nprogress\nprogress 1 of 3\nprogress 99\nin parts\n";
        let provider = provider(folder.path(), &format!("{answer}'; printf '{lines}' >&2; echo '"));
        let (bytes, words) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let said = |line: &str| words.lock().unwrap().push(line.to_owned());
        let watch = Watch { said: &said, interrupted: &GOING_ON };
        provider.upload(&FILE(), watch, &|so_far| bytes.lock().unwrap().push(so_far)).unwrap();
        assert_eq!(bytes.into_inner().unwrap(), [2, 3], "no more than there are");
        assert_eq!(words.into_inner().unwrap(), ["lab: progress", "lab: progress 1 of 3", "lab: in parts"]);
    }

    #[test]
    fn what_is_not_told_to_be_gone_may_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let provider = provider(folder.path(), r#"{"protocol":1,"discarded":["a"],"warnings":["w"]}"#);
        let discarded = provider.discard("b", &["a".to_owned(), "c".to_owned()], QUIET).unwrap();
        assert_eq!(discarded, Discarded { left: vec!["c".to_owned()], warnings: vec!["w".to_owned()] });
    }
}
