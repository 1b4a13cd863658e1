//! Programs that know hosts: a cloud's, the sandbox's, anybody's; asked in JSON over standard input and output.
//!
//! All of it blocks, and several providers may be asked at once from threads. Must not know any cloud, nor which of the hosts
//! a command is for.

mod answer;
mod cache;
mod entries;
mod error;
mod matches;
mod packed;
mod program;
pub mod protocol;
mod running;
mod settings;
mod store;
mod validate;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;

pub use self::answer::{Told, hosts};
use self::cache::{Cache, Kept, Key};
pub use self::cache::{CacheUse, TTL};
pub use self::entries::Entries;
pub use self::error::{Problem, ProviderError};
pub use self::matches::matches;
pub use self::program::{Program, Surroundings};
use self::protocol::{Action, Console, NativeFilter, Query, Record, Request, VERSION};
pub use self::running::{Ended, Limits, Watch, run};
pub use self::settings::{DEFAULT_TIMEOUT, ProviderSettings};
pub use self::store::{Discarded, Upload};

/// A provider whose program was found.
#[derive(Clone, Debug)]
pub struct Provider {
    settings: ProviderSettings,
    program: Program,
    surroundings: Surroundings,
    cache: Cache,
}

/// Which hosts a provider is to tell of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Those that match any of these; none means all that run.
    pub queries: Vec<Query>,
    /// Filters in the provider's own words.
    pub native_filters: Vec<NativeFilter>,
}

/// The hosts that a provider knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Those that are asked for, checked, in the provider's order. Their texts are as they came: made harmless they are
    /// only where they are shown.
    pub records: Vec<Arc<Record>>,
    /// When the provider was asked.
    pub fetched: SystemTime,
    /// Whether that was in another run.
    pub from_cache: bool,
    /// What is wrong with the answer, although it is one; harmless lines without the provider's name.
    pub warnings: Vec<String>,
}

impl Described {
    /// How long ago the provider was asked.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.fetched).unwrap_or_default()
    }
}

impl Provider {
    /// Finds the provider's program: its `command`, else `fleet-NAME` beside the running tool, else in PATH.
    ///
    /// # Errors
    /// [`Problem::NotFound`], [`Problem::NoCommand`] and [`Problem::Name`].
    pub fn find(settings: ProviderSettings, surroundings: &Surroundings) -> Result<Self, ProviderError> {
        let program = program::find(&settings, surroundings).map_err(|problem| problem.of(&settings.name))?;
        let (surroundings, cache) = (surroundings.clone(), Cache::of(surroundings));
        Ok(Self { settings, program, surroundings, cache })
    }

    /// The same, whose answers are used for so long.
    #[must_use]
    pub fn keeping(mut self, ttl: Duration) -> Self {
        self.cache.ttl = ttl;
        self
    }

    /// The same, which may take no longer than so to answer.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.settings.timeout = self.settings.timeout.min(limit);
        self
    }

    /// What is set about it.
    #[must_use]
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Its program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The hosts that are asked for, from the cache or from the program.
    ///
    /// # Errors
    /// When the program does not answer, not in time, nothing that can be believed, or with an error. That the answer cannot
    /// be kept is no error.
    pub fn describe(
        &self,
        wanted: &Description,
        cache_use: CacheUse,
        watch: Watch<'_>,
    ) -> Result<Described, ProviderError> {
        let (key, variables) = (self.key(wanted), self.surroundings.variables());
        if cache_use == CacheUse::Use
            && let Some(Kept { records, warnings, fetched }) = self.cache.get(&key, variables, SystemTime::now())
        {
            return Ok(Described { records, fetched, from_cache: true, warnings });
        }
        let fetched = SystemTime::now();
        let Description { queries, native_filters } = wanted.clone();
        let output = self.ask(Action::Describe { queries, native_filters }, watch)?;
        let Told { records, mut warnings, left_out, environment } =
            hosts(&output).map_err(|problem| self.has(problem))?;
        warnings.extend(left_out);
        let records = records.into_iter().filter(|record| matches(record, &wanted.queries)).map(Arc::new).collect();
        let kept = Kept { records, warnings, fetched };
        if cache_use != CacheUse::Off
            && let Err(error) = self.cache.put(&key, variables, &environment, &kept)
        {
            tracing::info!(provider = self.settings.name, %error, "the answer is not kept");
        }
        let Kept { records, warnings, fetched } = kept;
        Ok(Described { records, fetched, from_cache: false, warnings })
    }

    /// What the hosts of these ids printed on their consoles; of those that printed something. The texts are as they came.
    ///
    /// # Errors
    /// As [`Provider::describe`].
    pub fn console(&self, ids: &[String], watch: Watch<'_>) -> Result<Vec<Console>, ProviderError> {
        let output = self.ask(Action::Console { ids: ids.to_vec() }, watch)?;
        let mut consoles = answer::consoles(&output).map_err(|problem| self.has(problem))?;
        consoles.retain(|console| ids.contains(&console.id));
        Ok(consoles)
    }

    /// Whether it could answer: one harmless line about who and where.
    ///
    /// # Errors
    /// As [`Provider::describe`].
    pub fn check(&self, watch: Watch<'_>) -> Result<String, ProviderError> {
        let output = self.ask(Action::Check, watch)?;
        answer::ok(&output).map_err(|problem| self.has(problem))
    }

    fn ask(&self, action: Action, watch: Watch<'_>) -> Result<Vec<u8>, ProviderError> {
        self.ask_within(action, self.settings.timeout, watch)
    }

    fn ask_within(&self, action: Action, limit: Duration, watch: Watch<'_>) -> Result<Vec<u8>, ProviderError> {
        let (provider, settings) = (self.settings.name.clone(), self.settings.settings.clone());
        let request = Request { protocol: VERSION, action, provider, settings };
        let mut input = serde_json::to_vec(&request).expect("a request is made of texts, numbers, lists and maps");
        input.push(b'\n');
        let ended = run(&self.program, &input, limit.into(), watch).map_err(|problem| self.has(problem))?;
        answer::of(ended).map_err(|problem| self.has(problem))
    }

    fn has(&self, problem: Problem) -> ProviderError {
        problem.of(&self.settings.name)
    }

    fn key(&self, wanted: &Description) -> Key<'_> {
        let ProviderSettings { name, settings, .. } = &self.settings;
        let Program { path, arguments, .. } = &self.program;
        let Description { queries, native_filters } = wanted;
        let key = json!([name, path.to_string_lossy(), arguments, settings, queries, native_filters]);
        Key { provider: name, text: key.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::AtomicBool;

    use super::*;

    static GOING_ON: AtomicBool = AtomicBool::new(false);
    const QUIET: Watch<'_> = Watch { said: &|_| (), interrupted: &GOING_ON };

    /// A provider that is a shell script in `folder`, with its cache there too. Its requests are lines of `folder/requests`.
    fn provider(folder: &Path, script: &str) -> Provider {
        let path = folder.join("script");
        fs::write(&path, format!("cat >> {}/requests\n{script}\n", folder.display())).unwrap();
        let command = Some(vec!["/bin/sh".to_owned(), path.display().to_string()]);
        let surroundings = Surroundings::new(None, [("XDG_CACHE_HOME".into(), folder.join("cache").into())]);
        Provider::find(ProviderSettings { command, ..ProviderSettings::named("lab") }, &surroundings).unwrap()
    }

    fn requests(folder: &Path) -> usize {
        fs::read_to_string(folder.join("requests")).unwrap_or_default().lines().count()
    }

    fn ids(described: &Described) -> Vec<&str> {
        described.records.iter().map(|record| &*record.id).collect()
    }

    const TWO: &str = r#"echo '{"protocol":1,"hosts":[{"id":"b","groups":["web"]},{"id":"a","state":"stopped"}]}'"#;

    #[test]
    fn hosts_are_filtered_here_too() {
        let folder = tempfile::tempdir().unwrap();
        let provider = provider(folder.path(), TWO);
        let filter = |filter: &str, value: &str| {
            vec![protocol::Filter { filter: filter.to_owned(), values: vec![value.to_owned()] }]
        };
        for (queries, expected) in [
            (vec![], &["b"][..]),
            (vec![filter("group", "web"), filter("id", "a")], &["b", "a"]),
            (vec![filter("group", "db")], &[]),
        ] {
            let wanted = Description { queries, ..Description::default() };
            assert_eq!(ids(&provider.describe(&wanted, CacheUse::Use, QUIET).unwrap()), expected, "{wanted:?}");
            assert_eq!(ids(&provider.describe(&wanted, CacheUse::Use, QUIET).unwrap()), expected, "from the cache");
        }
        assert_eq!(requests(folder.path()), 3);
    }

    #[test]
    fn the_cache_is_used_refreshed_or_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let provider = provider(folder.path(), TWO);
        for (cache_use, from_cache, asked) in [
            (CacheUse::Off, false, 1),
            (CacheUse::Use, false, 2),
            (CacheUse::Use, true, 2),
            (CacheUse::Refresh, false, 3),
            (CacheUse::Use, true, 3),
            (CacheUse::Off, false, 4),
        ] {
            let described = provider.describe(&Description::default(), cache_use, QUIET).unwrap();
            assert_eq!((described.from_cache, requests(folder.path())), (from_cache, asked), "{cache_use:?}");
            assert!(described.age(SystemTime::now()) < Duration::from_secs(60));
        }
    }

    #[test]
    fn other_settings_are_another_answer() {
        let folder = tempfile::tempdir().unwrap();
        let mut provider = provider(folder.path(), TWO);
        for (profile, asked) in [("dev", 1), ("prod", 2), ("dev", 2)] {
            provider.settings.settings.insert("profile".to_owned(), profile.into());
            provider.describe(&Description::default(), CacheUse::Use, QUIET).unwrap();
            assert_eq!(requests(folder.path()), asked, "{profile}");
        }
    }

    #[test]
    fn an_error_is_not_kept_and_its_words_count_whatever_the_exit_status() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = r#"echo '{"protocol":1,"error":{"code":"expired","message":"log in"}}'"#;
        for (script, expected) in [
            (refusal.to_owned(), "provider lab: log in (expired)"),
            (format!("{refusal}; exit 1"), "provider lab: log in (expired)"),
            (format!("{TWO}; exit 1"), "provider lab: its program ended with exit status 1 and without an answer"),
            ("kill -9 $$".to_owned(), "provider lab: its program was ended by signal 9"),
        ] {
            let provider = provider(folder.path(), &script);
            let error = provider.describe(&Description::default(), CacheUse::Use, QUIET).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        assert_eq!(requests(folder.path()), 4);
    }

    #[test]
    fn consoles_are_only_of_hosts_that_were_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"echo '{"protocol":1,"consoles":[{"id":"a","text":"x"},{"id":"z","text":"y"}]}'"#;
        let consoles = provider(folder.path(), script).console(&["a".to_owned(), "b".to_owned()], QUIET).unwrap();
        assert_eq!(consoles, [Console { id: "a".to_owned(), text: "x".to_owned() }]);
    }

    #[test]
    fn a_check_tells_who_and_where() {
        let folder = tempfile::tempdir().unwrap();
        let told = provider(folder.path(), r#"echo '{"protocol":1,"ok":"account 1\u001b"}'"#).check(QUIET).unwrap();
        assert_eq!(told, r"account 1\x1b");
    }
}
