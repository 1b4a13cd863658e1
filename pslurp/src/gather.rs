//! The steps by which the files of one host come: listed, looked for here, sent, looked at again, removed there.
//!
//! Must not know other hosts, flags or terminals.

mod send;
mod settle;
mod sftp;

pub(crate) use settle::Staging;

use std::io;
use std::path::Path;
use std::sync::Arc;

use fleet_core::event::{Event, Stream, Transferred};
use fleet_core::outcome::{HostError, Outcome};
use fleet_core::size;
use fleet_ssh::remote::{
    Links, Packing, Part, RemotePattern, Token, copy_out_digests_command, copy_out_end_mark, copy_out_list_command,
    copy_out_list_mark, copy_out_tails_command,
};
use fleet_transfer::filter::Filter;
use fleet_transfer::pull::{
    Beginning, Compared, Digests, DigestsReader, Fetch, Folding, Item, ListedKind, Listing, ListingReader, Merger,
    Paths, Plan, PlanError, Problem, PullError, Root, TailsReader, Wanted, shown,
};

use crate::program::{OnHost, Progress, Ran, Taker, failed};
use crate::tally::{Tally, incomplete};

/// Problems of one host that are told, each in a line of its own.
const TOLD: usize = 100;

/// What is fetched from every host, and how.
#[derive(Debug)]
pub(crate) struct Gathering {
    pub(crate) remotes: Vec<(Vec<u8>, Part)>,
    pub(crate) links: Links,
    pub(crate) packing: Packing,
    pub(crate) paths: Paths,
    pub(crate) since: Option<i64>,
    pub(crate) tail: Option<u64>,
    pub(crate) max_size: Option<u64>,
    pub(crate) max_total: Option<u64>,
    pub(crate) max_files: usize,
    pub(crate) filter: Option<Arc<Filter>>,
    pub(crate) compared: Compared,
    pub(crate) afterwards: Afterwards,
    pub(crate) doing: Doing,
    /// Where the files of all hosts become one each.
    pub(crate) merger: Option<Merger>,
}

/// What becomes of files on the host that are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    Kept,
    Removed,
}

/// Whether files are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Fetch,
    /// It is only said what would be.
    Say,
}

/// A host's files, on their way.
struct Course<'a> {
    gathering: &'a Gathering,
    on_host: &'a OnHost<'a>,
    plan: Arc<Plan>,
    problems: Vec<Problem>,
    tally: Tally,
    /// Items that are here, as they were listed.
    here: Vec<usize>,
    way: Way<'a>,
}

/// How contents come.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// By programs of ours.
    Programs,
    /// By SFTP.
    Sftp(&'a sftp::Server<'a>),
}

impl Gathering {
    /// Brings the files of a host into `folder`; `name` is what its lines are merged under.
    pub(crate) async fn gather(&self, on_host: &OnHost<'_>, folder: &Path, name: &str) -> Result<(), Outcome> {
        let listed = self.list(on_host).await?;
        let folding = self.folding(folder).await?;
        let mut plan = self.plan(listed, folding).await?;
        if let Some(lines) = self.tail {
            self.cut_to_tails(lines, &mut plan, on_host).await?;
        }
        self.follow(plan, on_host, Way::Programs, (folder, name)).await
    }

    /// Brings what is planned, and says what became of it.
    async fn follow(
        &self,
        mut plan: Plan,
        on_host: &OnHost<'_>,
        way: Way<'_>,
        (folder, name): (&Path, &str),
    ) -> Result<(), Outcome> {
        if let Some(limit) = self.max_total {
            plan.limit_total(limit).map_err(|error| not_planned(&error))?;
        }
        let problems = std::mem::take(&mut plan.problems);
        let (plan, tally) = (Arc::new(plan), Tally::default());
        let mut course = Course { gathering: self, on_host, plan, problems, tally, here: Vec::new(), way };
        let done = course.run(folder, name).await;
        course.conclude().await;
        done?;
        incomplete(&course.problems).map_or(Ok(()), |error| Err(Outcome::Failed(error)))
    }

    /// How the file system here compares names. A dry run makes nothing, and so does not find out.
    async fn folding(&self, folder: &Path) -> Result<Folding, Outcome> {
        if self.doing == Doing::Say {
            return Ok(Folding::None);
        }
        let path = folder.to_owned();
        let folding = blocking(move || Root::open(&path).map(|root| root.folding())).await;
        folding.map_err(|error| not_opened(folder, &error))
    }

    async fn plan(&self, listed: Listing, folding: Folding) -> Result<Plan, Outcome> {
        let (paths, since, max_size, filter) = (self.paths, self.since, self.max_size, self.filter.clone());
        let planned =
            blocking(move || Plan::of(&listed, &Wanted { paths, since, max_size, filter: filter.as_deref(), folding }));
        planned.await.map_err(|error| not_planned(&error))
    }

    async fn list(&self, on_host: &OnHost<'_>) -> Result<Listing, Outcome> {
        let mark = Token::random();
        let patterns: Vec<RemotePattern<'_>> =
            self.remotes.iter().map(|(pattern, part)| RemotePattern { pattern, part: *part }).collect();
        let command = copy_out_list_command(&patterns, self.links, &mark)
            .map_err(|error| Outcome::Failed(HostError::local(error.to_string())))?;
        let reader = ListingReader::new(copy_out_list_mark(&mark), copy_out_end_mark(&mark), self.max_files);
        let Ran { taker, ended } = on_host.run(command, None, &mark, (Listed(reader), Progress::default())).await;
        // A host without a shell may have another way to tell what it has: here it would be tried.
        ended?;
        taker.0.finish().ok_or_else(|| Outcome::Failed(failed("the host has not said to the end what there is")))
    }

    async fn cut_to_tails(&self, lines: u64, plan: &mut Plan, on_host: &OnHost<'_>) -> Result<(), Outcome> {
        let mark = Token::random();
        let names =
            names(plan.items.iter().filter(|item| item.seen.kind == ListedKind::File).map(|item| item.remote.clone()));
        let mut reader = TailsReader::new(copy_out_list_mark(&mark), copy_out_end_mark(&mark));
        if !names.is_empty() {
            let command = copy_out_tails_command(lines, self.links, &mark);
            let ran = on_host.run(command, Some(names), &mark, (Tails(reader), Progress::default())).await;
            ran.ended?;
            reader = ran.taker.0;
        }
        plan.cut_to_tails(&reader.finish());
        Ok(())
    }
}

impl Course<'_> {
    async fn run(&mut self, folder: &Path, name: &str) -> Result<(), Outcome> {
        if self.gathering.doing == Doing::Say {
            self.say().await;
            return Ok(());
        }
        self.fetch(folder).await?;
        self.merge(folder, name).await?;
        match self.gathering.afterwards {
            Afterwards::Removed => self.remove(folder).await,
            Afterwards::Kept => Ok(()),
        }
    }

    /// Says what would be fetched.
    async fn say(&mut self) {
        for item in &self.plan.items {
            match item.seen.kind {
                ListedKind::File => {
                    self.tally.files += 1;
                    self.tally.bytes += item.seen.len;
                }
                ListedKind::Symlink => self.tally.symlinks += 1,
                _ => {}
            }
            if item.seen.kind != ListedKind::Folder {
                let line = format!("{}\n", shown(&item.remote));
                self.on_host.host.emit(Event::Output { stream: Stream::Stdout, bytes: line.into() }).await;
            }
        }
    }

    async fn fetch(&mut self, folder: &Path) -> Result<(), Outcome> {
        let (plan, compared, path) = (Arc::clone(&self.plan), self.gathering.compared, folder.to_owned());
        let looked = blocking(move || {
            let mut root = Root::open(&path)?;
            let fetch = Fetch::of(&plan, &mut root, compared);
            Ok::<_, io::Error>((root, fetch))
        });
        let (mut root, mut fetch) = looked.await.map_err(|error| not_opened(folder, &error))?;
        if !fetch.perhaps.is_empty() {
            let digests = self.digests(&fetch).await?;
            let plan = Arc::clone(&self.plan);
            (root, fetch) = blocking(move || {
                fetch.settle(&plan, &mut root, &digests);
                (root, fetch)
            })
            .await;
        }
        self.problems.append(&mut fetch.problems);
        self.check_room(&root, &fetch)?;
        self.tally.same = fetch.same.len() as u64;
        self.here.append(&mut fetch.same);
        let of = self.bytes_of(&fetch);
        self.on_host.host.emit(Event::Progress(Transferred { bytes: 0, of: Some(of) })).await;
        let progress = Progress { done: 0, of: Some(of) };
        let done = match self.way {
            Way::Programs => {
                let (done, root) = self.fetch_whole(fetch.whole, root, progress).await?;
                self.fetch_parts(fetch.parts, root, Progress { done, ..progress }).await?
            }
            Way::Sftp(server) => self.fetch_by_sftp(server, fetch, root, of).await?,
        };
        self.on_host.host.emit(Event::Progress(Transferred { bytes: done, of: Some(of) })).await;
        Ok(())
    }

    async fn digests(&self, fetch: &Fetch) -> Result<Digests, Outcome> {
        if let Way::Sftp(_) = self.way {
            return Ok(Digests::default());
        }
        let mark = Token::random();
        let asked = |beginning: &Beginning| {
            [format!("{} ", beginning.len).as_bytes(), &self.plan.items[beginning.item].remote].concat()
        };
        let names = names(fetch.perhaps.iter().map(asked));
        let reader = DigestsReader::new(copy_out_list_mark(&mark), copy_out_end_mark(&mark));
        let command = copy_out_digests_command(&mark);
        let ran = self.on_host.run(command, Some(names), &mark, (Told(reader), Progress::default())).await;
        ran.ended?;
        Ok(ran.taker.0.finish())
    }

    fn bytes_of(&self, fetch: &Fetch) -> u64 {
        let whole = fetch.whole.iter().map(|&item| &self.plan.items[item]);
        let whole = whole.filter(|item| item.seen.kind == ListedKind::File).map(|item| item.seen.len);
        whole.chain(fetch.parts.iter().map(|part| part.len)).fold(0, u64::saturating_add)
    }

    /// There is room for all of them, or nothing is fetched.
    fn check_room(&self, root: &Root, fetch: &Fetch) -> Result<(), Outcome> {
        let taken = |item: &Item| item.seen.len.min(item.seen.disk_bytes);
        let whole = fetch.whole.iter().map(|&item| taken(&self.plan.items[item]));
        let needed = whole.chain(fetch.parts.iter().map(|part| part.len)).fold(0, u64::saturating_add);
        match root.free_bytes() {
            Some(free) if needed > free => {
                let [needed, free, missing] = [needed, free, needed - free].map(size::shown);
                let message = format!("not enough room here: {needed} needed, {free} free, {missing} missing");
                Err(Outcome::Failed(HostError::local(message)))
            }
            _ => Ok(()),
        }
    }

    /// Says what became of all.
    async fn conclude(&self) {
        let host = self.on_host.host;
        for problem in self.problems.iter().take(TOLD) {
            host.emit(Event::Note(problem.to_string())).await;
        }
        if let Some(more) = self.problems.len().checked_sub(TOLD).filter(|more| *more > 0) {
            host.emit(Event::Note(format!("... and {more} more"))).await;
        }
        host.emit(Event::Result(self.tally.words())).await;
    }
}

/// Names as programs read them.
fn names(names: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut all = Vec::new();
    for name in names {
        all.extend(name);
        all.push(0);
    }
    all
}

/// Does what may wait for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn not_planned(error: &PlanError) -> Outcome {
    Outcome::Failed(failed(error.to_string()).with_hint(error.hint()))
}

fn not_opened(folder: &Path, error: &io::Error) -> Outcome {
    Outcome::Failed(HostError::local(format!("cannot write into {}: {error}", folder.display())))
}

struct Listed(ListingReader);
struct Tails(TailsReader);
struct Told(DigestsReader);

impl Taker for Listed {
    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        Ok(self.0.push(bytes)?)
    }
}

impl Taker for Tails {
    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        Ok(self.0.push(bytes)?)
    }
}

impl Taker for Told {
    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        Ok(self.0.push(bytes)?)
    }
}
