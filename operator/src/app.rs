//! The process in reading order: what starts, what it waits for, and how it ends.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use kube::{Client, Config};
use tokio::{net::TcpListener, signal::unix::SignalKind, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing_subscriber::EnvFilter;

use crate::{
    admin::{self, Health},
    args::{Args, LogFormat},
    board::Board,
    certificate::{CERTIFICATE, Keeper},
    controller::{self, Settings, WATCHES},
    external_metrics,
    hosts::{self, Certificates, Hosts, TokenReviewer, TokenRules},
    leader::{self, Candidate, Leadership},
    metrics::Metrics,
    scaler,
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

    let board = Board::default();
    let metrics = Metrics::new(board.clone());
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
    let scaling = answer_scalers(&args, &client, &certificates, &board, &done).await?;
    let streams = tokio::spawn(hosts::serve(control, certificates, hosts.clone(), identify, done.clone()));
    let leading = tokio::spawn(leader::run(client.clone(), candidate, told, stop_leading.clone()));
    let deciding = tokio::spawn(controller::run(
        client,
        settings(&args),
        controller::Told { events, leadership },
        controller::Tells { hosts, board, metrics, health },
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
        scaling.wait().await;
        if let Ok(Err(error)) = streams.await {
            tracing::error!(%error, "the control stream");
        }
    };
    if tokio::time::timeout(END, end).await.is_err() {
        tracing::warn!("the end takes too long, the rest is left as it is");
    }
    Ok(())
}

/// Answers KEDA and HorizontalPodAutoscalers, while this operator leads.
async fn answer_scalers(
    args: &Args,
    client: &Client,
    certificates: &Arc<Certificates>,
    board: &Board,
    done: &CancellationToken,
) -> anyhow::Result<TaskTracker> {
    let bind = async |address: SocketAddr, flag: &str| {
        TcpListener::bind(address).await.with_context(|| format!("{flag} {address}"))
    };
    let clients = match &args.scaler_client_ca {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            Some(scaler::clients_of(&text).with_context(|| file.display().to_string())?)
        }
        None => None,
    };
    let keda = bind(args.scaler_address, "--scaler-address").await?;
    let metrics = bind(args.external_metrics_address, "--external-metrics-address").await?;
    let source: Arc<dyn scaler::Source> = Arc::new(board.clone());
    let (service, namespace) = (args.autoscaling_service.as_str(), args.namespace.as_str());
    let ports = [("scaler", args.scaler_address.port()), ("metrics", args.external_metrics_address.port())];
    let slice = scaler::leader_slice(service, namespace, &args.pod_name, args.pod_ip, &ports);
    let (told, front) = watch::channel(None);
    let authorize = Arc::new(external_metrics::Reviewer::new(client.clone()));

    let tasks = TaskTracker::new();
    let answering = scaler::serve(keda, certificates.clone(), clients, source.clone(), done.clone());
    tasks.spawn(async move {
        if let Err(error) = answering.await {
            tracing::error!(%error, "KEDA cannot be answered");
        }
    });
    tasks.spawn(scaler::point_here(client.clone(), slice, source.clone(), done.clone()));
    tasks.spawn(external_metrics::follow(client.clone(), told, done.clone()));
    let trust = external_metrics::publish_trust(client.clone(), namespace.to_owned(), service.to_owned(), done.clone());
    tasks.spawn(trust);
    tasks.spawn(external_metrics::serve(metrics, certificates.clone(), front, authorize, source, done.clone()));
    tasks.close();
    Ok(tasks)
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

/// The names under which hosts, KEDA and the API server reach operators.
fn names(args: &Args) -> Vec<String> {
    let namespace = &args.namespace;
    let of = |service: &String| {
        [
            service.clone(),
            format!("{service}.{namespace}"),
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
        ]
    };
    let mut names: Vec<String> = [&args.service, &args.autoscaling_service].into_iter().flat_map(of).collect();
    names.extend(args.certificate_names.iter().cloned());
    names
}
