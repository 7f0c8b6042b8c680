//! One stream, from hello to its end.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use penstock_api::{
    control::{self, Down, JSON, MAX_MESSAGE, Up, control_client::ControlClient, down, up},
    snapshot::Snapshot,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::{Control, backoff::Backoff, connect, load::Loads, report::Told};
use crate::HostStatus;

/// How long the operator may take to answer a hello: it asks the API server, which may have others to serve first.
const ANSWER: Duration = Duration::from_secs(20);
/// How often load is looked at.
const LOAD: Duration = Duration::from_secs(1);
/// Numbers that would follow the last ones sooner wait for the next look.
const HURRY: Duration = Duration::from_millis(200);

/// Why a stream ended.
pub(super) enum End {
    /// The operator that leads is there.
    SentTo(String),
    /// Something else, in a sentence.
    Failed(String),
}

/// Opens a stream and follows it to its end. The back-off starts again with the first snapshot.
pub(super) async fn follow(
    control: &Control,
    address: Option<&str>,
    kept: &watch::Sender<Option<Arc<Snapshot>>>,
    backoff: &mut Backoff,
) -> End {
    match open(control, address).await {
        Ok((downward, upward)) => {
            let told = Outbox::of(control.follower.status());
            Stream { control, kept, backoff, downward, upward, told, refused: String::new() }.run().await
        }
        Err(reason) => End::Failed(reason),
    }
}

async fn open(control: &Control, address: Option<&str>) -> Result<(Streaming<Down>, mpsc::Sender<Up>), String> {
    let config = &control.config;
    let channel = connect::connect(config, address).await?;
    let follows = control.follower.status().borrow().follows;
    let hello = control.about.hello(&config.host_id, follows, control.follower.peers().map(|it| &**it));
    // One place: what has not gone out yet is brought up to date, not queued.
    let (sender, receiver) = mpsc::channel(1);
    // There is room for it.
    let _ = sender.try_send(Up { message: Some(up::Message::Hello(hello)) });
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.metadata_mut().insert("authorization", connect::authorization(config).await?);
    let mut client =
        ControlClient::new(channel).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE);
    let response = timeout(ANSWER, client.follow(request)).await;
    let response = response.map_err(|_| format!("no answer within {ANSWER:?}"))?.map_err(|status| say(&status))?;
    Ok((response.into_inner(), sender))
}

struct Stream<'a> {
    control: &'a Control,
    kept: &'a watch::Sender<Option<Arc<Snapshot>>>,
    backoff: &'a mut Backoff,
    downward: Streaming<Down>,
    upward: mpsc::Sender<Up>,
    told: Outbox,
    /// Why the newest snapshot could not be read.
    refused: String,
}

/// What there is to say to the operator.
struct Outbox {
    status: watch::Receiver<HostStatus>,
    reports: Told,
    loads: Loads,
}

// === impl Outbox ===

impl Outbox {
    fn of(status: watch::Receiver<HostStatus>) -> Self {
        Self { status, reports: Told::default(), loads: Loads::default() }
    }

    /// What has changed. The status counts as seen.
    fn report(&mut self, refused: &str) -> Option<up::Message> {
        self.reports.news(&self.status.borrow_and_update(), refused).map(up::Message::Report)
    }

    /// The numbers. A change that has come in the meantime stays to be noticed.
    fn load(&mut self) -> Option<up::Message> {
        self.loads.look(&self.status.borrow()).map(up::Message::Load)
    }
}

// === impl Stream ===

impl Stream<'_> {
    async fn run(mut self) -> End {
        self.control.metrics.connected.store(true, Relaxed);
        self.control.metrics.trouble.store(None);
        tracing::info!(operator = self.control.config.operator, "connected to the operator");
        let mut clock = tokio::time::interval(LOAD);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut news, mut load) = (true, false);
        let mut told_at = Instant::now();
        // An operator that sends this host elsewhere takes no more reports; its last word may still be on the way.
        let mut listens = true;
        loop {
            tokio::select! {
                said = self.downward.message() => match said {
                    Ok(Some(Down { message: Some(down::Message::Snapshot(snapshot)) })) => {
                        self.backoff.reset();
                        self.refused = take(self.control, self.kept, &snapshot).err().unwrap_or_default();
                        news = true;
                    }
                    Ok(Some(Down { message: Some(down::Message::Redirect(to)) })) => return End::SentTo(to.address),
                    Ok(Some(Down { message: Some(down::Message::Certificate(certificate)) })) => certify(self.control, &certificate),
                    Ok(Some(Down { message: Some(down::Message::Peers(peers)) })) => if let Some(here) = self.control.follower.peers() {
                        here.update(peers);
                    },
                    // What a newer operator may have come to say.
                    Ok(Some(Down { message: None })) => {}
                    Ok(None) => return End::Failed("the operator has ended the stream".to_owned()),
                    Err(status) => return End::Failed(say(&status)),
                },
                changed = self.told.status.changed(), if !news => match changed {
                    // Numbers go out as they are taken: rates are made of the time between two of them, so one that has lain here
                    // for most of a second would count twice.
                    Ok(()) => {
                        news = true;
                        load |= told_at.elapsed() >= HURRY;
                    }
                    Err(_) => return End::Failed("the host is gone".to_owned()),
                },
                _ = clock.tick(), if !load => load = true,
                place = self.upward.reserve(), if listens && (news || load) => {
                    let Ok(place) = place else {
                        listens = false;
                        continue;
                    };
                    // States before numbers: somebody waits for them.
                    let message = if std::mem::take(&mut news) {
                        self.told.report(&self.refused)
                    } else {
                        (load, told_at) = (false, Instant::now());
                        self.told.load()
                    };
                    if let Some(message) = message {
                        place.send(Up { message: Some(message) });
                    }
                }
            }
        }
    }
}

/// Follows a snapshot; if it cannot be read, the one before is followed on, and the error says why.
fn take(
    control: &Control,
    kept: &watch::Sender<Option<Arc<Snapshot>>>,
    message: &control::Snapshot,
) -> Result<(), String> {
    let snapshot = read(message).map_err(|reason| {
        tracing::error!(version = message.version, reason, "a snapshot is refused; the one before is followed on");
        format!("snapshot {}: {reason}", message.version)
    })?;
    tracing::debug!(version = snapshot.version, shares = snapshot.shares.len(), "a snapshot has come");
    let snapshot = Arc::new(snapshot);
    control.follower.apply(snapshot.clone());
    kept.send_replace(Some(snapshot));
    Ok(())
}

fn certify(control: &Control, certificate: &control::Certificate) {
    let Some(peers) = control.follower.peers() else { return };
    match peers.certify(certificate) {
        Ok(()) => tracing::debug!("this host has a new certificate among hosts"),
        Err(error) => tracing::error!(%error, "the certificate among hosts that the operator sent is refused"),
    }
}

fn read(message: &control::Snapshot) -> Result<Snapshot, String> {
    if message.format != JSON {
        return Err(format!("its format is {}, and this host reads {JSON}: update the host", message.format));
    }
    serde_json::from_slice(&message.content).map_err(|error| format!("it cannot be read: {error}"))
}

fn say(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_never_pass_over_a_change() {
        let (sender, status) = watch::channel(HostStatus::default());
        let mut outbox = Outbox::of(status);
        assert!(outbox.report("").is_some());
        sender.send_modify(|status| status.version = 1);
        let _numbers = outbox.load();
        assert!(outbox.status.has_changed().unwrap(), "the stream still learns of it");
        assert!(outbox.report("").is_some());
        assert!(!outbox.status.has_changed().unwrap());
    }
}
