//! The `penstock-host` program: a host in a pod, from its start to SIGTERM.

mod args;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Parser;
use penstock_host::{
    Host, HostConfig, Metrics, PeerConfig,
    control::{About, Control, ControlConfig, Store},
    engine::{artifact::CommonOptions, size},
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use self::args::{Args, LogFormat};

fn main() -> ExitCode {
    let args = Args::parse();
    match start(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("penstock-host: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> anyhow::Result<ExitCode> {
    logs(&args)?;
    // Two providers of cryptography may be linked in: without a choice TLS panics at its first use.
    let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads to run on")?;
    let code = runtime.block_on(serve(args));
    // What a second signal cut short is not waited for.
    runtime.shutdown_background();
    code
}

async fn serve(args: Args) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("signals cannot be received")?;
    let metrics = Metrics::new();
    let mut config = HostConfig::new(args.cache_dir.clone());
    let max_instances = args.max_instances.unwrap_or_else(size::instances);
    config.engine.max_instances = max_instances;
    config.default_memory_mib = args.default_memory_mib;
    config.drain_timeout = args.drain_timeout;
    config.store.insecure_registries.clone_from(&args.insecure_registry);
    config.store.common = args
        .shared_code_dir
        .clone()
        .zip(args.shared_code_key.clone())
        .map(|(folder, key_file)| CommonOptions { folder, key_file });
    config.peer = Some(PeerConfig { host_id: args.host_id.clone(), address: args.peer });
    args.fronts.configure(&mut config.listener);
    let host = Host::start(config, metrics.clone())?;
    host.count(metrics.clone());
    let admin =
        host.serve_admin(args.admin).await.with_context(|| format!("cannot listen on {} (--admin)", args.admin))?;
    let store =
        Arc::new(Store::open(args.cache_dir.join("state"), Some(args.secrets_dir.clone())).with_context(|| {
            let (cache, secrets) = (args.cache_dir.display(), args.secrets_dir.display());
            format!("no place for snapshots in {cache} (--cache-dir) or {secrets} (--secrets-dir)")
        })?);
    tracing::info!(host = args.host_id, %admin, version = env!("CARGO_PKG_VERSION"), "started");
    match store.load() {
        Ok(Some(snapshot)) => {
            tracing::info!(
                version = snapshot.version,
                shares = snapshot.shares.len(),
                "following the snapshot on disk"
            );
            host.apply(snapshot);
        }
        Ok(None) => {}
        // The operator brings another.
        Err(error) => tracing::warn!(%error, "the snapshot on disk cannot be read"),
    }
    let control = Control {
        config: ControlConfig::new(
            args.operator.to_string().trim_end_matches('/').to_owned(),
            args.server_name(),
            args.host_id.clone(),
            args.token_file.clone(),
            args.ca_file.clone(),
        ),
        about: About::here(max_instances),
        follower: host.clone(),
        metrics,
        store: Some(store),
    };
    // It ends with the process: until then the operator hears how the drain goes.
    drop(tokio::spawn(control.run()));
    signals.next().await;
    Ok(stop(&host, &args, &mut signals).await)
}

/// Readiness off, serving on while endpoints leave, then the drain. A second signal ends it all at once.
async fn stop(host: &Host, args: &Args, signals: &mut Signals) -> ExitCode {
    tracing::info!(delay = ?args.drain_delay, timeout = ?args.drain_timeout, "stopping: serving on while endpoints leave");
    host.leave();
    let order = async {
        tokio::time::sleep(args.drain_delay).await;
        tracing::info!("stopping: draining");
        host.drain(args.drain_timeout.max(Duration::from_millis(1))).await;
    };
    tokio::select! {
        () = order => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        () = signals.next() => {
            tracing::warn!("a second signal: what is in flight is cut off");
            ExitCode::FAILURE
        }
    }
}

fn logs(args: &Args) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.log).with_context(|| format!("--log {}", args.log))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

/// SIGTERM, as Kubernetes sends it, and Ctrl-C.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
