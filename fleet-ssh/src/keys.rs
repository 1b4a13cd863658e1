//! Key files: read once for the whole fleet, checked as ssh(1) checks them, decrypted when a server wants them.
//!
//! Must not know which key is offered to which host (that is `auth`).

use std::collections::HashMap;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::{Certificate, HashAlg, PrivateKey, PublicKey, signature, ssh_encoding::Encode, ssh_key};
use tokio::sync::OnceCell;

use super::prompt::Prompt;

/// How often a wrong passphrase may be answered (`NumberOfPasswordPrompts`' default).
const PASSPHRASE_TRIES: u32 = 3;

/// Why a key file cannot be used. `Display` names the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyFileError {
    #[error("{0}: no such file")]
    Missing(PathBuf),
    #[error("{path}: {reason}")]
    Unreadable { path: PathBuf, reason: String },
    #[error("{path}: mode {mode:04o} lets others read it, so it is ignored (chmod 600 mends it)")]
    LoosePermissions { path: PathBuf, mode: u32 },
    #[error("{path}: {reason}")]
    NoKey { path: PathBuf, reason: String },
}

/// A key file whose public half is known.
pub(super) struct KeyFile {
    path: PathBuf,
    public: PublicKey,
    certificate: Option<Certificate>,
    source: KeySource,
    private: OnceCell<Result<Arc<PrivateKey>, String>>,
}

enum KeySource {
    /// Only the public half is here: the agent must have the rest.
    PublicOnly,
    Open(Arc<PrivateKey>),
    Encrypted(String),
}

/// Whether a person may be asked (`BatchMode` forbids it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Questions {
    Asked,
    Refused,
}

/// Counts as an open question as long as it lives.
struct OpenQuestion(Arc<AtomicUsize>);

impl OpenQuestion {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for OpenQuestion {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// All key files of the run, each read once.
pub(super) struct KeyStore {
    files: Mutex<HashMap<PathBuf, Result<Arc<KeyFile>, KeyFileError>>>,
    prompt: Arc<dyn Prompt>,
    open_questions: Arc<AtomicUsize>,
}

impl KeyStore {
    pub(super) fn new(prompt: Arc<dyn Prompt>) -> Self {
        Self { files: Mutex::default(), prompt, open_questions: Arc::default() }
    }

    /// Whether a person is being asked for a passphrase.
    pub(super) fn is_asking(&self) -> bool {
        self.open_questions.load(Ordering::SeqCst) > 0
    }

    /// The key in `path`; with the certificate of `PATH-cert.pub` if that is there.
    pub(super) fn load(&self, path: &Path) -> Result<Arc<KeyFile>, KeyFileError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.entry(path.to_owned()).or_insert_with(|| KeyFile::read(path).map(Arc::new)).clone()
    }

    /// The private key of `file`; the passphrase is asked for once, by whichever host needs it first.
    pub(super) async fn private(&self, file: &Arc<KeyFile>, questions: Questions) -> Result<Arc<PrivateKey>, String> {
        match &file.source {
            KeySource::PublicOnly => Err("the private key is not here".to_owned()),
            KeySource::Encrypted(_) if questions == Questions::Refused => {
                Err("it needs a passphrase, and BatchMode forbids to ask".to_owned())
            }
            KeySource::Open(key) => Ok(Arc::clone(key)),
            KeySource::Encrypted(text) => {
                let decrypted = file.private.get_or_init(|| {
                    let (prompt, text, path) = (Arc::clone(&self.prompt), text.clone(), file.path.clone());
                    let open = OpenQuestion::new(&self.open_questions);
                    async move {
                        let decrypting = tokio::task::spawn_blocking(move || {
                            let _open = open;
                            decrypt(&*prompt, &text, &path)
                        });
                        decrypting.await.unwrap_or_else(|error| Err(error.to_string()))
                    }
                });
                decrypted.await.clone()
            }
        }
    }
}

/// Reads an OpenSSH certificate file.
pub(super) fn load_certificate(path: &Path) -> Result<Certificate, KeyFileError> {
    let text = read_text(path)?;
    Certificate::from_openssh(text.trim())
        .map_err(|error| KeyFileError::NoKey { path: path.to_owned(), reason: format!("not a certificate ({error})") })
}

/// `to_sign` followed by the signature as an SSH string, as russh's signers return it.
pub(super) fn sign(key: &PrivateKey, hash: Option<HashAlg>, mut to_sign: Vec<u8>) -> Result<Vec<u8>, String> {
    let describe = |error: &dyn fmt::Display| format!("cannot sign: {error}");
    let signature = match key.key_data() {
        ssh_key::private::KeypairData::Rsa(keypair) => signature::Signer::try_sign(&(keypair, hash), &to_sign),
        keypair => signature::Signer::try_sign(keypair, &to_sign),
    };
    let signature: ssh_key::Signature = signature.map_err(|error| describe(&error))?;
    let mut encoded = Vec::new();
    signature.encode(&mut encoded).map_err(|error| describe(&error))?;
    encoded.encode(&mut to_sign).map_err(|error| describe(&error))?;
    Ok(to_sign)
}

impl KeyFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// Whether the private half can be had from this file.
    pub(super) fn has_private(&self) -> bool {
        !matches!(self.source, KeySource::PublicOnly)
    }

    /// Whether the private half needs a passphrase.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.source, KeySource::Encrypted(_))
    }

    /// Reads the private key; where that is not there, its `.pub` still names the agent's key.
    fn read(path: &Path) -> Result<Self, KeyFileError> {
        Self::read_file(path).or_else(|error| match PublicKey::read_openssh_file(with_suffix(path, ".pub")) {
            Ok(public) if matches!(error, KeyFileError::Missing(_)) => Ok(Self {
                path: path.to_owned(),
                public,
                certificate: load_certificate(&with_suffix(path, "-cert.pub")).ok(),
                source: KeySource::PublicOnly,
                private: OnceCell::new(),
            }),
            _ => Err(error),
        })
    }

    fn read_file(path: &Path) -> Result<Self, KeyFileError> {
        let text = read_text(path)?;
        let certificate = load_certificate(&with_suffix(path, "-cert.pub")).ok();
        let made = |public, source| Self {
            path: path.to_owned(),
            public,
            certificate: certificate.clone(),
            source,
            private: OnceCell::new(),
        };
        if let Ok(public) = PublicKey::from_openssh(text.trim()) {
            return Ok(made(public, KeySource::PublicOnly));
        }
        check_permissions(path)?;
        let no_key = |reason: String| KeyFileError::NoKey { path: path.to_owned(), reason };
        if let Ok(key) = PrivateKey::from_openssh(&text) {
            let public = key.public_key().clone();
            let source = if key.is_encrypted() { KeySource::Encrypted(text) } else { KeySource::Open(Arc::new(key)) };
            return Ok(made(public, source));
        }
        match russh::keys::decode_secret_key(&text, None) {
            Ok(key) => Ok(made(key.public_key().clone(), KeySource::Open(Arc::new(key)))),
            Err(russh::keys::Error::KeyIsEncrypted) => {
                let public = PublicKey::read_openssh_file(with_suffix(path, ".pub"))
                    .map_err(|_| no_key("is encrypted in an old format, and its .pub file is not beside it".into()))?;
                Ok(made(public, KeySource::Encrypted(text)))
            }
            Err(error) => Err(no_key(format!("not a private key that can be read ({error})"))),
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn read_text(path: &Path) -> Result<String, KeyFileError> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
        _ => KeyFileError::Unreadable { path: path.to_owned(), reason: super::error::describe_io(&error) },
    })
}

/// ssh(1) ignores a private key of our own that others may read.
fn check_permissions(path: &Path) -> Result<(), KeyFileError> {
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    let mode = metadata.mode() & 0o7777;
    let ours = metadata.uid() == rustix::process::getuid().as_raw();
    if ours && mode & 0o077 != 0 {
        return Err(KeyFileError::LoosePermissions { path: path.to_owned(), mode });
    }
    Ok(())
}

fn decrypt(prompt: &dyn Prompt, text: &str, path: &Path) -> Result<Arc<PrivateKey>, String> {
    for attempt in 0..PASSPHRASE_TRIES {
        let again = if attempt > 0 { "That was wrong. " } else { "" };
        let question = format!("{again}Passphrase for {}: ", path.display());
        let passphrase = prompt.secret(&question).map_err(|reason| format!("it needs a passphrase: {reason}"))?;
        if passphrase.expose().is_empty() {
            return Err("no passphrase was given".to_owned());
        }
        if let Ok(key) = russh::keys::decode_secret_key(text, Some(passphrase.expose())) {
            return Ok(Arc::new(key));
        }
    }
    Err("the passphrase is wrong".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::AtomicU32;

    use russh::keys::Algorithm;
    use russh::keys::key::safe_rng;
    use russh::keys::ssh_key::LineEnding;

    use super::super::prompt::{NoPrompt, Secret};
    use super::*;

    struct Counting {
        asked: AtomicU32,
        answer: &'static str,
    }

    impl Prompt for Counting {
        fn secret(&self, _: &str) -> Result<Secret, String> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            Ok(Secret::new(self.answer.to_owned()))
        }
    }

    fn key_file(dir: &Path, passphrase: Option<&str>) -> PathBuf {
        let mut key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        if let Some(passphrase) = passphrase {
            key = key.encrypt(&mut safe_rng(), passphrase).unwrap();
        }
        let path = dir.join("id");
        key.write_openssh_file(&path, LineEnding::LF).unwrap();
        path
    }

    #[test]
    fn a_key_that_others_can_read_is_ignored_and_says_how_to_mend_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = key_file(dir.path(), None);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = KeyStore::new(Arc::new(NoPrompt)).load(&path).err().unwrap();
        assert!(error.to_string().contains("mode 0644"), "{error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[tokio::test]
    async fn a_passphrase_is_asked_once_for_all_hosts() {
        let dir = tempfile::tempdir().unwrap();
        let path = key_file(dir.path(), Some("secret"));
        let prompt = Arc::new(Counting { asked: AtomicU32::new(0), answer: "secret" });
        let store = KeyStore::new(Arc::clone(&prompt) as Arc<dyn Prompt>);
        let file = store.load(&path).unwrap();
        assert_eq!(prompt.asked.load(Ordering::SeqCst), 0, "not before a server wants the key");
        let all = futures::future::join_all((0..50).map(|_| store.private(&file, Questions::Asked))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(prompt.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_wrong_passphrase_is_asked_three_times() {
        let dir = tempfile::tempdir().unwrap();
        let path = key_file(dir.path(), Some("secret"));
        let prompt = Arc::new(Counting { asked: AtomicU32::new(0), answer: "wrong" });
        let store = KeyStore::new(Arc::clone(&prompt) as Arc<dyn Prompt>);
        let file = store.load(&path).unwrap();
        assert_eq!(store.private(&file, Questions::Asked).await.unwrap_err(), "the passphrase is wrong");
        assert_eq!(store.private(&file, Questions::Asked).await.unwrap_err(), "the passphrase is wrong");
        assert_eq!(prompt.asked.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn what_is_no_key_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        let store = KeyStore::new(Arc::new(NoPrompt));
        assert!(matches!(store.load(&path), Err(KeyFileError::Missing(_))));
        let other = dir.path().join("other");
        std::fs::write(&other, "hello\n").unwrap();
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(store.load(&other), Err(KeyFileError::NoKey { .. })));
    }
}
