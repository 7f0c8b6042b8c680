//! `penstock dev`: files stand in for the API server; plan and host are those of a cluster.

mod access;
mod event;
pub(crate) mod expose;
mod failures;
pub(crate) mod files;
pub(crate) mod images;
mod logs;
pub(crate) mod manifests;
mod overview;
mod people;
mod ports;
mod screen;
mod session;
mod told;
mod watch;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use penstock_host::{Host, HostConfig};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    access::AccessLog,
    event::Event,
    screen::Screen,
    session::{Session, Setting},
};
use crate::{args::DevArgs, artifacts};

/// How long requests in flight may take once the end has been asked for.
const GRACE: Duration = Duration::from_secs(5);

/// Runs until it is interrupted.
///
/// # Errors
///
/// When a place is missing, an address is taken, or the host cannot start.
pub(crate) fn run(args: DevArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    files::check(&args.places.all()).map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads to run on")?;
    let code = runtime.block_on(serve(args, started));
    // What a second signal cut short is not waited for.
    runtime.shutdown_background();
    code
}

async fn serve(args: DevArgs, started: Instant) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("signals cannot be received")?;
    // The host binds it again in a moment, and would go on trying where this can say what to do.
    TcpListener::bind(args.listen).map_err(|error| no_port(args.listen, "--listen", &error))?;
    let (screen, writer) = Screen::start(args.json)?;
    logs::start(screen.clone());
    let mut config = HostConfig::new(artifacts::cache_dir(&args.artifacts)?);
    config.store.insecure_registries.clone_from(&args.artifacts.insecure_registry);
    config.drain_timeout = GRACE;
    let observer = Arc::new(AccessLog { screen: screen.clone(), quiet: args.quiet });
    let host = Host::start(config, observer)?;
    let admin = host.serve_admin(args.admin).await.map_err(|error| no_port(args.admin, "--admin", &error))?;
    let setting =
        Setting { places: args.places.all(), listen: args.listen, service_ports: args.service_ports, admin, started };
    tokio::select! {
        () = Session::new(setting, host.clone(), screen.clone()).run() => {}
        () = signals.next() => {}
        () = screen.closed() => {}
    }
    screen.tell(Event::Draining { grace_ms: u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX) });
    let code = tokio::select! {
        () = host.drain(GRACE) => ExitCode::SUCCESS,
        () = signals.next() => ExitCode::FAILURE,
    };
    screen.finish(writer);
    Ok(code)
}

/// What to do about an address that cannot be listened on.
fn no_port(address: SocketAddr, flag: &str, error: &io::Error) -> anyhow::Error {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let other = SocketAddr::new(address.ip(), port.checked_add(10).unwrap_or(0));
            anyhow!(
                "port {port} is in use by another program, perhaps another `penstock dev`: stop that one, or choose \
                 another port with `{flag} {other}`"
            )
        }
        io::ErrorKind::PermissionDenied => anyhow!(
            "this user may not listen on port {port}: choose one from 1024 up, such as `{flag} {}`",
            SocketAddr::new(address.ip(), 8000)
        ),
        io::ErrorKind::AddrNotAvailable => {
            anyhow!("{} is no address of this machine: choose another with `{flag} 127.0.0.1:{port}`", address.ip())
        }
        _ => anyhow!("cannot listen on {address} ({flag}): {error}"),
    }
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
