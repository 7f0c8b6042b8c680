//! The process in reading order: what starts, what it waits for, and how it ends.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use kube::{Client, Config};
use tokio::{net::TcpListener, signal::unix::SignalKind, sync::watch};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{
    admin::{self, Health},
    args::{Args, LogFormat},
    certificate::{CERTIFICATE, Keeper},
    controller::{self, Settings, WATCHES},
    hosts::{self, Certificates, Hosts, TokenReviewer, TokenRules},
    leader::{self, Candidate, Leadership},
    metrics::Metrics,
};

/// How long a connection to the API server may take: one that is gone should be found out soon.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the end may take.
const END: Duration = Duration::from_secs(10);

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = log(&args) {
        anstream(&format!("penstock-operator: {error:#}"));
        return ExitCode::from(2);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no threads can be started");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "there is no log yet")]
fn anstream(message: &str) {
    eprintln!("{message}");
}

fn log(args: &Args) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.log).with_context(|| format!("--log {}", args.log))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

async fn run(args: Args) -> anyhow::Result<()> {
    // Two providers are compiled in: TLS has to be told which one to use.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider is installed already");
    }
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt()).context("SIGINT")?;

    let metrics = Metrics::new();
    let health = Health::new(&[WATCHES, CERTIFICATE]);
    let done = CancellationToken::new();
    let admin = admin::serve(args.admin_address, health.clone(), metrics.clone(), done.clone())
        .await
        .with_context(|| format!("--admin-address {}", args.admin_address))?;

    let mut config = Config::infer().await.context("no way to the API server is configured")?;
    config.connect_timeout = Some(CONNECT);
    let client = Client::try_from(config).context("the API server's configuration")?;

    let control = TcpListener::bind(args.control_address)
        .await
        .with_context(|| format!("--control-address {}", args.control_address))?;
    tracing::info!(%admin, control = %args.control_address, version = env!("CARGO_PKG_VERSION"), "penstock-operator");

    let certificates = Certificates::new();
    let keeper = Keeper {
        client: client.clone(),
        namespace: args.namespace.clone(),
        names: names(&args),
        certificates: certificates.clone(),
        metrics: metrics.clone(),
        health: health.clone(),
    };
    let (hosts, events) = Hosts::new();
    let rules = TokenRules {
        audience: args.audience.clone(),
        namespace: args.namespace.clone(),
        service_account: args.host_service_account.clone(),
    };
    let identify = Arc::new(TokenReviewer::new(client.clone(), rules));
    let candidate = Candidate {
        namespace: args.namespace.clone(),
        lease: args.lease.clone(),
        name: args.pod_name.clone(),
        address: args.advertised().to_string(),
        duration: args.lease_duration,
    };
    let (told, leadership) = watch::channel(Leadership::default());

    // The Lease is given back last, when nothing is decided or sent any more.
    let (stop_deciding, stop_leading) = (done.child_token(), CancellationToken::new());
    let kept = tokio::spawn(keeper.run(done.clone()));
    let streams = tokio::spawn(hosts::serve(control, certificates, hosts.clone(), identify, done.clone()));
    let leading = tokio::spawn(leader::run(client.clone(), candidate, told, stop_leading.clone()));
    let deciding = tokio::spawn(controller::run(
        client,
        settings(&args),
        hosts,
        controller::Told { events, leadership },
        metrics,
        health,
        stop_deciding.clone(),
    ));

    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM"),
        _ = interrupt.recv() => tracing::info!("SIGINT"),
    }
    stop_deciding.cancel();
    let end = async {
        for (what, task) in [("controllers", deciding)] {
            if let Err(error) = task.await {
                tracing::error!(%error, "{what}");
            }
        }
        stop_leading.cancel();
        // The next leader can begin: hosts are sent away now, and find it.
        let _ = leading.await;
        done.cancel();
        let _ = kept.await;
        if let Ok(Err(error)) = streams.await {
            tracing::error!(%error, "the control stream");
        }
    };
    if tokio::time::timeout(END, end).await.is_err() {
        tracing::warn!("the end takes too long, the rest is left as it is");
    }
    Ok(())
}

fn settings(args: &Args) -> Settings {
    Settings {
        namespace: args.namespace.clone(),
        pod_name: args.pod_name.clone(),
        watch_namespaces: args.watch_namespaces.clone(),
        listener_ports: args.listener_ports.clone(),
        shared_port: args.shared_port,
        bind: args.listener_address.clone(),
        propagation_delay: args.propagation_delay,
        host_grace: args.host_grace,
        writers: args.writers.into(),
    }
}

/// The names under which hosts reach operators.
fn names(args: &Args) -> Vec<String> {
    let (service, namespace) = (&args.service, &args.namespace);
    let mut names = vec![
        service.clone(),
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
    ];
    names.extend(args.certificate_names.iter().cloned());
    names
}
