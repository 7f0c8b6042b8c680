//! Where KEDA connects.

use std::{pin::pin, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ResolvesServerCert, danger::ClientCertVerifier},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::{
    Source,
    protocol::external_scaler_server::ExternalScalerServer,
    service::{STREAMS, Service},
};
use crate::accept::accept;

/// A client that is gone without a word is found out within the sum of these.
const PING: Duration = Duration::from_secs(20);
const PONG: Duration = Duration::from_secs(10);
/// How long connections have for their last answers.
const END: Duration = Duration::from_secs(2);
/// How long a connection lives where nothing can be answered: long enough to be told so.
const BRIEFLY: Duration = Duration::from_secs(1);
/// How long one lives where all is answered: load balancers like it when connections are made anew now and then.
const LONG: Duration = Duration::from_secs(60 * 60);
/// Bytes of a question: a trigger's metadata.
const LARGEST: usize = 256 << 10;
/// KEDA asks everything over one connection. Streams are bounded by [`STREAMS`], and told so; a connection that is full
/// would only wait, and let no other question through.
const AT_ONCE: u32 = 4 * 4096;
const _: () = assert!(AT_ONCE as usize > 2 * STREAMS);

/// Answers KEDA on `listener` until `done`. With `clients`, only those who show a certificate that it trusts.
///
/// # Errors
/// When TLS cannot be set up.
pub async fn serve(
    listener: TcpListener,
    certificates: Arc<dyn ResolvesServerCert>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    source: Arc<dyn Source>,
    done: CancellationToken,
) -> Result<(), rustls::Error> {
    let config = Arc::new(tls(certificates, clients)?);
    let listener = Arc::new(listener);
    while !done.is_cancelled() {
        // KEDA stays with a connection that answers, be it with UNAVAILABLE, and a Service moves no connection that is open.
        // So all are closed when this operator leads no more, and until it leads again none is kept.
        let (term, ready) = (done.child_token(), source.ready());
        tokio::spawn(end_with(source.clone(), ready, term.clone()));
        let config = config.clone();
        let incoming = accept(listener.clone(), move || Some(config.clone()), "external scaler", term.clone());
        let service = ExternalScalerServer::new(Service::new(source.clone(), STREAMS, term.clone()));
        let server = Server::builder()
            .http2_keepalive_interval(Some(PING))
            .http2_keepalive_timeout(Some(PONG))
            .max_concurrent_streams(AT_ONCE)
            .max_connection_age(if ready { LONG } else { BRIEFLY })
            .add_service(service.max_decoding_message_size(LARGEST))
            .serve_with_incoming_shutdown(incoming, term.cancelled());
        let ended = tokio::select! {
            ended = pin!(server) => ended,
            () = async {
                term.cancelled().await;
                tokio::time::sleep(END).await;
            } => Ok(()),
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the external scaler's connections ended with an error");
        }
    }
    Ok(())
}

fn tls(
    certificates: Arc<dyn ResolvesServerCert>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, rustls::Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    let config = match clients {
        Some(clients) => config.with_client_cert_verifier(clients),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(certificates);
    config.alpn_protocols.push(b"h2".to_vec());
    Ok(config)
}

/// A term ends when this operator becomes ready, or is it no more.
async fn end_with(source: Arc<dyn Source>, ready: bool, term: CancellationToken) {
    let mut changes = source.changes();
    let turn = async { while source.ready() == ready && changes.changed().await.is_ok() {} };
    term.run_until_cancelled(turn).await;
    term.cancel();
}
