//! Keys that are made known.
//!
//! Must not decide which are to be.

use super::matching::HashedName;
use super::{HashNames, KnownHosts, KnownHostsError, KnownName, PublicKey, Verdict};

impl KnownHosts {
    /// Adds `key` to the first user file as the host's, unless the files have a word on the host by now, and gives the
    /// verdict that holds from now on.
    ///
    /// That is [`Verdict::Trusted`], unless another host of the same name, or another process, was first with another
    /// key. The file is created for the user alone; what is no regular file, as `/dev/null`, keeps nothing on disk, but
    /// the key is known for the rest of the run.
    ///
    /// # Errors
    /// When there is no user file, it cannot be written, or the name cannot stand in it.
    pub fn remember(&self, name: &KnownName, key: &PublicKey, names: HashNames) -> Result<Verdict, KnownHostsError> {
        self.remember_all(name, std::slice::from_ref(key), names)?;
        Ok(self.check_key(name, key))
    }

    /// As [`KnownHosts::remember`] for all `keys` of a host, of which either all are added or none.
    ///
    /// # Errors
    /// As [`KnownHosts::remember`].
    pub fn remember_all(
        &self,
        name: &KnownName,
        keys: &[PublicKey],
        names: HashNames,
    ) -> Result<Vec<Verdict>, KnownHostsError> {
        let file = self.files.first().filter(|_| self.has_user_file).ok_or(KnownHostsError::NoUserFile)?;
        let failed = |source| KnownHostsError::Write { path: file.path().to_owned(), source };
        let lines: Vec<String> = keys.iter().map(|key| line_for(name, key, names)).collect::<Result<_, _>>()?;
        let verdicts = || keys.iter().map(|key| self.check_key(name, key)).collect::<Vec<_>>();
        let mut appender = file.appender().map_err(failed)?;
        let before = verdicts();
        if !before.iter().all(|verdict| matches!(verdict, Verdict::Unknown { .. })) {
            return Ok(before);
        }
        for line in &lines {
            appender.append(line).map_err(failed)?;
        }
        Ok(verdicts())
    }
}

/// The line that makes `key` known as the host's, without its line feed.
fn line_for(name: &KnownName, key: &PublicKey, names: HashNames) -> Result<String, KnownHostsError> {
    if !name.is_writable() {
        return Err(KnownHostsError::Name);
    }
    let names = match names {
        HashNames::Plain => name.written().to_owned(),
        HashNames::Hashed => HashedName::encode(name.written(), &rand::random()),
    };
    let key = PublicKey::from(key.key_data().clone()).to_openssh().expect("a decoded key can be encoded");
    Ok(format!("{names} {key}"))
}
