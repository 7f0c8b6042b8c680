//! Connections that are through their TLS handshake. It happens beside the accept loop, so that a slow client keeps nobody
//! waiting.

use std::{io, sync::Arc, time::Duration};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// A client that does not get through the handshake in this time has gone, or is up to no good.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once; the next connection waits. Each costs about a millisecond of CPU.
const HANDSHAKES: usize = 256;
/// After an error of the system, such as no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

/// Why authorities of clients cannot be used.
#[derive(Debug, Error)]
pub enum AuthoritiesError {
    /// The text is no PEM.
    #[error("the authorities are no PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// One of them is none.
    #[error("an authority cannot be used: {0}")]
    Authority(#[from] rustls::Error),
    /// There are none.
    #[error("the authorities cannot be used: {0}")]
    Verifier(#[from] VerifierBuilderError),
}

/// Lets those in whose certificate these authorities (PEM) have signed, and nobody else.
///
/// # Errors
/// See [`AuthoritiesError`].
pub fn clients_of(authorities: &str) -> Result<Arc<dyn ClientCertVerifier>, AuthoritiesError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    Ok(WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build()?)
}

/// Takes connections until `done`, each with the configuration that there is then; without one it is closed. `what` is
/// connected to, for the log.
pub(crate) fn accept(
    listener: Arc<TcpListener>,
    config: impl Fn() -> Option<Arc<ServerConfig>> + Send + 'static,
    what: &'static str,
    done: CancellationToken,
) -> ReceiverStream<io::Result<TlsStream<TcpStream>>> {
    let (sender, receiver) = mpsc::channel(HANDSHAKES);
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    tokio::spawn(async move {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = done.cancelled() => return,
            };
            let (stream, client) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(what, %error, "a connection was not accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Some(config) = config() else {
                tracing::debug!(what, %client, "a connection came before it could be served");
                continue;
            };
            let sender = sender.clone();
            tokio::spawn(async move {
                // Messages are written whole.
                let _ = stream.set_nodelay(true);
                match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
                    // The server is gone if nobody takes it.
                    Ok(Ok(stream)) => drop(sender.send(Ok(stream)).await),
                    Ok(Err(error)) => tracing::warn!(what, %client, %error, "a TLS handshake failed"),
                    Err(_) => tracing::warn!(what, %client, "a TLS handshake took more than {HANDSHAKE:?}"),
                }
                drop(place);
            });
        }
    });
    ReceiverStream::new(receiver)
}
