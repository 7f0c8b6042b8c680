//! The loop: files change, the host reports, and each leads to one step towards what the files say.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::Arc, time::Instant};

use penstock_api::snapshot::Snapshot;
use penstock_host::{Host, HostStatus, ShareState};
use penstock_operator::plan::carry_over;
use tokio::sync::watch;

use super::{
    event::{Event, Overview},
    expose::{self, Names},
    failures::{self, Failure},
    files,
    images::Images,
    manifests::{Manifests, Settled},
    overview::overview,
    ports::Ports,
    screen::Screen,
    told::Told,
    watch::Watch,
};
use crate::planning;

/// Where things are.
pub(super) struct Setting {
    pub(super) places: Vec<PathBuf>,
    pub(super) listen: SocketAddr,
    pub(super) service_ports: u16,
    pub(super) admin: SocketAddr,
    pub(super) started: Instant,
}

/// Follows files and host.
pub(super) struct Session {
    setting: Setting,
    host: Arc<Host>,
    status: watch::Receiver<HostStatus>,
    screen: Screen,
    watch: Watch,
    manifests: Manifests,
    images: Images,
    ports: Ports,
    /// What the files come to.
    settled: Settled,
    /// The same with listeners' addresses and names for Services.
    desired: Snapshot,
    names: Names,
    /// What the host was given last; it may have old shares beside the desired ones.
    current: Option<Snapshot>,
    pending: Vec<Edit>,
    /// Files whose last edit led to a share that does not start.
    failing: BTreeSet<String>,
    told: Told,
    shown: Option<Overview>,
}

/// Edits that were taken in together and are on their way to the host.
struct Edit {
    files: BTreeSet<String>,
    fixed: BTreeSet<String>,
    seen: Instant,
}

impl Session {
    pub(super) fn new(setting: Setting, host: Arc<Host>, screen: Screen) -> Self {
        Self {
            ports: Ports::new(setting.listen, setting.service_ports),
            status: host.status(),
            watch: Watch::new(),
            setting,
            host,
            screen,
            manifests: Manifests::default(),
            images: Images::default(),
            settled: Settled::default(),
            desired: Snapshot::default(),
            names: Names::new(),
            current: None,
            pending: Vec::new(),
            failing: BTreeSet::new(),
            told: Told::default(),
            shown: None,
        }
    }

    /// Runs until the host is gone, which is for ever.
    pub(super) async fn run(mut self) {
        self.look();
        if let Some(trouble) = self.watch.trouble() {
            let message = format!("files cannot be watched ({trouble}); looking at them every second instead");
            self.screen.tell(Event::Note { message });
        }
        loop {
            tokio::select! {
                () = self.watch.changed() => self.look(),
                changed = self.status.changed() => match changed {
                    Ok(()) => self.step(),
                    Err(_) => return,
                },
            }
        }
    }

    /// Takes in what is in the files.
    fn look(&mut self) {
        let seen = Instant::now();
        let found = files::scan(&self.setting.places, &mut |folder| self.watch.folder(folder));
        let mut files = self.manifests.update(found);
        let mut settled = self.manifests.settle(&mut planning::plan);
        planning::pin_files(&mut settled.planned, &mut |path| {
            self.watch.around(path);
            self.images.digest(path)
        });
        // What cannot be resolved now goes on as it was.
        settled.planned.plan.keep(&self.desired);
        files.extend(self.images.take_changed().iter().map(|path| files::shown(path)));
        self.tell_problems(&settled, files, seen);
        let mut desired = settled.planned.plan.snapshot.clone();
        self.names = expose::expose(&mut desired, self.setting.listen, &mut self.ports);
        (self.settled, self.desired) = (settled, desired);
        self.step();
    }

    /// Tells what is broken and fixed; what is neither waits for the host.
    fn tell_problems(&mut self, settled: &Settled, files: BTreeSet<String>, seen: Instant) {
        let news = self.told.problems(settled, &files);
        let version = self.version();
        for (file, problems) in news.broken {
            let serving = settled.carried.contains(&file);
            self.screen.tell(Event::Rejected { version, files: vec![file], problems, serving });
        }
        if !news.advice.is_empty() {
            self.screen.tell(Event::Advice { problems: news.advice });
        }
        let mut files: BTreeSet<String> = files.into_iter().chain(news.fixed.iter().cloned()).collect();
        files.retain(|it| !settled.broken.contains_key(it));
        // What the first look finds is no edit.
        if self.current.is_some() && !files.is_empty() {
            self.pending.push(Edit { files, fixed: news.fixed, seen });
        }
    }

    fn version(&self) -> u64 {
        self.current.as_ref().map_or(0, |it| it.version)
    }

    /// Gives the host the next snapshot on the way to the desired one; tells what has come to an end.
    fn step(&mut self) {
        let status = self.status.borrow_and_update().clone();
        let version = self.version();
        let nothing = Snapshot::default();
        let ready = |id: &str| status.shares.get(id).is_some_and(|it| it.state == ShareState::Ready);
        let mut next = carry_over(&self.desired, self.current.as_ref().unwrap_or(&nothing), &ready);
        next.version = version;
        if self.current.as_ref() != Some(&next) {
            next.version = version + 1;
            self.host.apply(next.clone());
            self.current = Some(next);
        } else if status.version >= version {
            self.settle(&status);
        }
    }

    /// All that the files say runs, or is known not to.
    fn settle(&mut self, status: &HostStatus) {
        let failures = failures::of(&self.settled.planned, status);
        for edit in std::mem::take(&mut self.pending) {
            self.finish(edit, &failures);
        }
        let overview = overview(&self.settled.planned.plan.snapshot, &self.names, status);
        let routes = |it: &Overview| (it.urls.clone(), it.routes.clone());
        match &self.shown {
            None => {
                self.told.failed(&failures, |_| {});
                self.screen.tell(Event::Ready {
                    admin: self.setting.admin,
                    listeners: status
                        .listeners
                        .iter()
                        .filter_map(|(name, it)| Some((name.clone(), it.address?)))
                        .collect(),
                    ms: elapsed(self.setting.started),
                    files: self.manifests.count(),
                    overview: overview.clone(),
                });
            }
            Some(shown) if routes(shown) != routes(&overview) => {
                self.screen.tell(Event::Routes { overview: overview.clone() });
            }
            Some(_) => {}
        }
        self.shown = Some(overview);
        self.told.failed(&failures, |event| self.screen.tell(event));
        self.told.recovered(status, |event| self.screen.tell(event));
        self.told.listeners(status, |message| self.screen.tell(Event::Note { message }));
    }

    /// An edit is applied, but for the files whose workloads do not start.
    fn finish(&mut self, edit: Edit, failures: &[Failure]) {
        let fails = |file: &String| failures.iter().any(|failure| failure.files.contains(file));
        let (broken, applied): (Vec<String>, Vec<String>) = edit.files.into_iter().partition(fails);
        let version = self.version();
        if !applied.is_empty() {
            let mut mended = |it: &String| edit.fixed.contains(it) || self.failing.remove(it);
            let fixed = applied.iter().filter(|it| mended(it)).cloned().collect();
            self.screen.tell(Event::Applied { version, files: applied, fixed, ms: elapsed(edit.seen) });
        }
        if broken.is_empty() {
            return;
        }
        self.failing.extend(broken.iter().cloned());
        let theirs: Vec<Failure> =
            failures.iter().filter(|it| broken.iter().any(|file| it.files.contains(file))).cloned().collect();
        // Told here, and not once more as a share's failure.
        self.told.failed(&theirs, |_| {});
        let shares = self.current.iter().flat_map(|it| &it.shares);
        let serving = shares
            .into_iter()
            .any(|share| theirs.iter().any(|it| it.workload == share.deployment && it.share != share.id));
        let problems = theirs.into_iter().map(|it| it.problem).collect();
        self.screen.tell(Event::Rejected { version, files: broken, problems, serving });
    }
}

fn elapsed(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
