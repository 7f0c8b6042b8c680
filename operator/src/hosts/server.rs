//! The control stream as hosts see it: who may come in, and one task for each that is.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use penstock_api::{
    control::{
        self, Down, JSON, MAX_MESSAGE, Redirect, Up,
        control_server::{Control, ControlServer},
        down, up,
    },
    snapshot::Snapshot,
};
use tokio::{net::TcpListener, sync::mpsc, time::MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap, transport::Server};

use super::{
    Certificates, Hello, HostEvent, Hosts, Identify, Identity, Leader, Refusal, Report, TlsError, hub::Place, message,
    tls,
};

/// How long a host may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// How long a last word may take.
const LAST_WORD: Duration = Duration::from_secs(1);
/// A host that is gone without a word is found out within the sum of these.
const PING: Duration = Duration::from_secs(5);
const PONG: Duration = Duration::from_secs(5);
/// How often a host is sent another certificate.
const CERTIFY: Duration = Duration::from_secs(24 * 60 * 60);
/// A host has one stream; a few more are for its next ones.
const STREAMS: u32 = 8;

/// Serves the control stream on `listener` until `shutdown`, then sends all hosts away and returns when they have gone.
///
/// # Errors
/// When TLS cannot be set up.
pub async fn serve(
    listener: TcpListener,
    certificates: Arc<Certificates>,
    hosts: Hosts,
    identify: Arc<dyn Identify>,
    shutdown: CancellationToken,
) -> Result<(), TlsError> {
    let incoming = tls::accept(listener, certificates.clone(), shutdown.clone())?;
    let service = ControlServer::new(Service { hosts: hosts.clone(), identify, certificates })
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let server = Server::builder()
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PONG))
        .max_concurrent_streams(STREAMS)
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, {
            let (shutdown, hosts) = (shutdown.clone(), hosts.clone());
            async move {
                shutdown.cancelled().await;
                hosts.set_leader(Leader::Unknown);
            }
        });
    let mut server = pin!(server);
    let ended = tokio::select! {
        ended = &mut server => ended,
        () = async {
            shutdown.cancelled().await;
            tokio::time::sleep(2 * LAST_WORD).await;
        } => Ok(()),
    };
    if let Err(error) = ended {
        tracing::warn!(%error, "the control stream ended with an error");
    }
    Ok(())
}

struct Service {
    hosts: Hosts,
    identify: Arc<dyn Identify>,
    certificates: Arc<Certificates>,
}

#[tonic::async_trait]
impl Control for Service {
    type FollowStream = ReceiverStream<Result<Down, Status>>;

    async fn follow(&self, request: Request<Streaming<Up>>) -> Result<Response<Self::FollowStream>, Status> {
        // One place: of several snapshots that the host could not take in yet, it gets the last.
        let (sender, receiver) = mpsc::channel(1);
        let downward = Response::new(ReceiverStream::new(receiver));
        let leader = self.hosts.leader();
        if leader != Leader::Me {
            // There is room for one word.
            let _ = sender.try_send(Ok(elsewhere(leader)?));
            return Ok(downward);
        }
        let identity = self.identity(request.metadata()).await?;
        let mut upward = request.into_inner();
        let hello = hello(&mut upward, identity).await?;
        tracing::info!(host = %hello.host, node = hello.node, version = %hello.version, follows = hello.snapshot_version, "a host has come");
        let request = hello.certificate_request.clone();
        match self.hosts.enter(hello).await {
            Ok(place) => {
                let signing = Signing { request, certificates: self.certificates.clone() };
                let (hosts, report) = (self.hosts.clone(), Arc::default());
                tokio::spawn(Stream { hosts, place, upward, downward: sender, signing, report }.run());
            }
            Err(leader) => drop(sender.try_send(Ok(elsewhere(leader)?))),
        }
        Ok(downward)
    }
}

impl Service {
    async fn identity(&self, metadata: &MetadataMap) -> Result<Identity, Status> {
        let header = metadata.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some(token) = header.strip_prefix("Bearer ").map(str::trim).filter(|token| !token.is_empty()) else {
            return Err(Status::unauthenticated("no token: send `authorization: Bearer TOKEN`"));
        };
        self.identify.identify(token).await.map_err(|refusal| {
            tracing::warn!(%refusal, "a host was refused");
            match refusal {
                Refusal::Unauthenticated(why) => Status::unauthenticated(why),
                Refusal::Forbidden(why) => Status::permission_denied(why),
                Refusal::Unavailable(why) => Status::unavailable(why),
            }
        })
    }
}

/// The first message, checked against the token.
async fn hello(upward: &mut Streaming<Up>, identity: Identity) -> Result<Hello, Status> {
    let first = tokio::time::timeout(HELLO, upward.message())
        .await
        .map_err(|_| Status::deadline_exceeded(format!("no hello within {HELLO:?}")))??;
    let Some(Up { message: Some(up::Message::Hello(said)) }) = first else {
        return Err(Status::invalid_argument("the first message must be a hello"));
    };
    if said.host_id != identity.pod.as_str() {
        tracing::warn!(pod = %identity.pod, claimed = said.host_id, "a pod tried to speak for another");
        let (pod, claimed) = (&identity.pod, &said.host_id);
        return Err(Status::permission_denied(format!(
            "the token is that of pod {pod}, which cannot speak for {claimed}"
        )));
    }
    Ok(message::hello(identity, said))
}

/// Where to go instead.
fn elsewhere(leader: Leader) -> Result<Down, Status> {
    match leader {
        Leader::At(address) => Ok(Down { message: Some(down::Message::Redirect(Redirect { address })) }),
        Leader::Unknown | Leader::Me => {
            Err(Status::unavailable("this operator does not lead (any more), and does not know who does: come again"))
        }
    }
}

/// One host's stream.
struct Stream {
    hosts: Hosts,
    place: Place,
    upward: Streaming<Up>,
    downward: mpsc::Sender<Result<Down, Status>>,
    signing: Signing,
    /// All that it has reported.
    report: Arc<Report>,
}

/// A host's certificate among hosts.
struct Signing {
    /// Empty: it wants none.
    request: Bytes,
    certificates: Arc<Certificates>,
}

/// Why a stream ends.
enum End {
    /// The host has gone.
    Theirs(Option<Status>),
    /// It is to go.
    Ours,
}

// === impl Stream ===

impl Stream {
    async fn run(mut self) {
        let end = self.follow().await;
        let replaced = self.hosts.replaced(&self.place);
        self.hosts.leave(&self.place).await;
        let host = &self.place.host;
        match end {
            End::Theirs(why) => tracing::info!(%host, why = why.map(|it| it.to_string()), "a host has gone"),
            End::Ours => {
                tracing::info!(%host, replaced, "a host is sent away");
                let word = if replaced {
                    Err(Status::aborted("a newer stream of this host has taken its place"))
                } else {
                    elsewhere(self.hosts.leader())
                };
                // It may be gone, or not listen: then it finds out by itself.
                let _ = tokio::time::timeout(LAST_WORD, self.downward.send(word)).await;
            }
        }
    }

    async fn follow(&mut self) -> End {
        let mut due = Due::default();
        let mut certificates = tokio::time::interval(CERTIFY);
        certificates.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                said = self.upward.message() => match said {
                    Ok(Some(Up { message: Some(message) })) => if !heard(&self.hosts, &self.place, &mut self.report, message).await {
                        return End::Ours;
                    },
                    // What a newer host may have come to say.
                    Ok(Some(Up { message: None })) => {}
                    Ok(None) => return End::Theirs(None),
                    Err(status) => return End::Theirs(Some(status)),
                },
                changed = self.place.snapshot.changed() => match changed {
                    Ok(()) => due.snapshot = true,
                    Err(_) => return End::Ours,
                },
                changed = self.place.peers.changed() => match changed {
                    Ok(()) => due.peers = true,
                    Err(_) => return End::Ours,
                },
                _ = certificates.tick(), if !self.signing.request.is_empty() => due.certificate = true,
                place = self.downward.reserve(), if due.any() => {
                    let Ok(place) = place else { return End::Theirs(None) };
                    if let Some(message) = next_word(&mut self.place, &self.signing, &mut due) {
                        place.send(Ok(Down { message: Some(message) }));
                    }
                }
            }
        }
    }
}

/// What a host is to be told.
#[derive(Default)]
struct Due {
    snapshot: bool,
    certificate: bool,
    peers: bool,
}

// === impl Due ===

impl Due {
    const fn any(&self) -> bool {
        self.snapshot || self.certificate || self.peers
    }
}

/// The first of what is due: what a host should run before what makes it faster.
fn next_word(place: &mut Place, signing: &Signing, due: &mut Due) -> Option<down::Message> {
    let host = &place.host;
    if std::mem::take(&mut due.snapshot) {
        let newest = place.snapshot.borrow_and_update().clone()?;
        return told(&newest).map_err(|error| tracing::error!(%host, %error, "a snapshot cannot be written")).ok();
    }
    if std::mem::take(&mut due.certificate) {
        let signed = signing.certificates.sign(&signing.request, host.as_str());
        let signed = signed.map_err(|error| tracing::warn!(%host, %error, "a host gets no certificate"));
        return signed.ok().map(down::Message::Certificate);
    }
    due.peers = false;
    Some(down::Message::Peers(place.peers.borrow_and_update().as_ref().clone()))
}

/// Passes on what a host says; waits while the controllers are behind. `false`: nobody listens to this stream.
async fn heard(hosts: &Hosts, place: &Place, report: &mut Arc<Report>, message: up::Message) -> bool {
    let host = place.host.clone();
    match message {
        // Said once; a second one changes nothing.
        up::Message::Hello(_) => true,
        up::Message::Report(change) => {
            let changed = message::fold(report, change);
            hosts.tell(place, HostEvent::Report { host, report: report.clone(), changed }).await
        }
        up::Message::Load(load) => {
            let (machine, signals) = message::signals(load);
            hosts.mention(place, HostEvent::Signals { host, machine, signals });
            true
        }
    }
}

fn told(snapshot: &Snapshot) -> Result<down::Message, serde_json::Error> {
    let content = serde_json::to_vec(snapshot)?.into();
    let message = control::Snapshot { format: JSON, version: snapshot.version, content };
    Ok(down::Message::Snapshot(message))
}
