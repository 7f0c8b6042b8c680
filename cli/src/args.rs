//! What the command line can say.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use penstock_api::duration::GatewayDuration;

/// Runs WebAssembly components behind Penstock's router, and answers questions about what runs.
#[derive(Debug, Parser)]
#[command(
    name = "penstock",
    version,
    max_term_width = 100,
    after_help = "\
Start here:
  penstock dev examples/quickstart/manifests    # then open http://localhost:8000/

Exit codes: 0 done, 1 failed, 2 arguments that make no sense, or (doctor) a cluster that cannot be looked at."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run components from manifests on this machine, and follow every edit.
    Dev(DevArgs),
    /// List the routes of a running `penstock dev`, or explain where a request goes.
    Routes(RoutesArgs),
    /// Show what a component imports and exports, and what Penstock offers for it.
    Inspect(InspectArgs),
    /// Read manifests without running them; say what is wrong, and where.
    Check(CheckArgs),
    /// Show, await or take back the revisions of a deployment in a cluster.
    Rollout(RolloutArgs),
    /// Say what in a cluster keeps autoscaling from working, and what to do about it.
    Doctor(DoctorArgs),
    /// Write a completion script for a shell.
    #[command(
        after_help = "Example:\n  penstock completions bash > ~/.local/share/bash-completion/completions/penstock"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where manifests are.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Places {
    /// Files and folders with manifests (*.yaml, *.yml, *.json; folders with all below them). The current folder if
    /// nothing else is named.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// One more file or folder, as with kubectl. May be given several times.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

impl Places {
    /// All of them; the current folder if there are none.
    pub(crate) fn all(&self) -> Vec<PathBuf> {
        let named: Vec<PathBuf> = self.paths.iter().chain(&self.files).cloned().collect();
        if named.is_empty() { vec![PathBuf::from(".")] } else { named }
    }
}

/// Reads WorkloadDeployment, Workload, Service, HTTPRoute, ConfigMap and Secret objects, runs the components, routes
/// requests to them, and follows every edit of a manifest or a component file without dropping a request. A broken
/// edit is reported, and what ran before goes on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  penstock dev                             # everything in this folder
  penstock dev manifests -f extra.yaml     # a folder and a file
  penstock dev --listen 0.0.0.0:8000       # for others on the network, too
  penstock dev --json | jq .               # one JSON object a line, for programs

Every Service is at http://<name>.localhost:8000/ (<name>.<namespace>.localhost outside the namespace default) and on
a port of its own from 8100 up. With a single Service, http://localhost:8000/ is that Service.")]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) places: Places,
    /// Where the shared listener is: it serves every Service, by hostname. Port 0: any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub(crate) listen: SocketAddr,
    /// Where the admin pages are, which `penstock routes` asks.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8001")]
    pub(crate) admin: SocketAddr,
    /// The first port for Services' own listeners. 0: any free ones; also if --listen has port 0.
    #[arg(long, value_name = "PORT", default_value_t = 8100)]
    pub(crate) service_ports: u16,
    /// Write one JSON object a line to standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write no line for each request.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) artifacts: ArtifactArgs,
}

/// Where components come from and are kept.
#[derive(Clone, Debug, Args)]
pub(crate) struct ArtifactArgs {
    /// Where images and compiled components are kept [default: penstock in the user's cache folder].
    #[arg(long, value_name = "DIR", env = "PENSTOCK_CACHE_DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// A registry that speaks plain HTTP (host or host:port). Those on this machine always may. May be given several
    /// times.
    #[arg(long, value_name = "HOST")]
    pub(crate) insecure_registry: Vec<String>,
}

/// Lists the routes of a running `penstock dev`, in the order in which requests are held against them.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = false,
    after_help = "\
Examples:
  penstock routes
  penstock routes -o json
  penstock routes explain GET http://quickstart.localhost:8000/api -H 'x-variant: canary'"
)]
pub(crate) struct RoutesArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RoutesCommand>,
    /// The admin pages of the running `penstock dev`.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8001", global = true)]
    pub(crate) admin: String,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t, global = true)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoutesCommand {
    /// Say which route a request goes to, and why each of the others is not it.
    #[command(after_help = "\
Examples:
  penstock routes explain GET http://localhost:8000/api/items
  penstock routes explain POST http://quickstart.localhost:8000/api -H 'x-variant: canary'")]
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The request's method.
    pub(crate) method: String,
    /// The request's URL. Its port chooses the listener; without one it is the shared listener.
    pub(crate) url: String,
    /// A header of the request. May be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// The listener to ask, whatever the URL's port: `shared`, or `namespace/service:port`.
    #[arg(long)]
    pub(crate) listener: Option<String>,
}

/// Shows what a component imports and exports, and what Penstock offers for each import.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  penstock inspect target/wasm32-wasip2/release/hello.wasm
  penstock inspect ghcr.io/example/hello:1.0.0
  penstock inspect hello.wasm -o wit > hello.wit")]
pub(crate) struct InspectArgs {
    /// A path, `file://` and a path, or an OCI reference.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: InspectOutput,
    #[command(flatten)]
    pub(crate) artifacts: ArtifactArgs,
}

/// Reads manifests as `penstock dev` does, without running them. Exits with 1 if there are errors.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  penstock check
  penstock check manifests -o json")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) places: Places,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// What `kubectl rollout` does for Deployments, for WorkloadDeployments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  penstock rollout history wd/hello
  penstock rollout undo wd/hello && penstock rollout status wd/hello")]
pub(crate) struct RolloutArgs {
    #[command(subcommand)]
    pub(crate) command: RolloutCommand,
    /// The deployment's namespace [default: that of the context].
    #[arg(short, long, global = true)]
    pub(crate) namespace: Option<String>,
    /// The context of the kubeconfig [default: the current one].
    #[arg(long, global = true)]
    pub(crate) context: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// List the revisions, the oldest first; the one that is rolled out is green.
    #[command(after_help = "Example:\n  penstock rollout history wd/hello -n shop -o json")]
    History(HistoryArgs),
    /// Wait until the newest generation is rolled out and clients see it; exit with 1 if it fails.
    #[command(after_help = "Example:\n  penstock rollout status wd/hello --timeout 5m")]
    Status(StatusArgs),
    /// Go back to an older revision: its template becomes the deployment's again, and is rolled out as any other.
    #[command(after_help = "Example:\n  penstock rollout undo wd/hello --to-revision 3")]
    Undo(UndoArgs),
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The deployment: `wd/NAME`, or its name alone.
    #[arg(value_name = "wd/NAME")]
    pub(crate) deployment: String,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The deployment: `wd/NAME`, or its name alone.
    #[arg(value_name = "wd/NAME")]
    pub(crate) deployment: String,
    /// How long to wait, such as 90s or 5m; 0s: for ever.
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub(crate) timeout: GatewayDuration,
}

#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// The deployment: `wd/NAME`, or its name alone.
    #[arg(value_name = "wd/NAME")]
    pub(crate) deployment: String,
    /// The number of the revision, as `history` lists it; 0: the one before the newest.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) to_revision: Option<u64>,
}

/// Looks at WorkloadDeployments, at the HorizontalPodAutoscalers and KEDA ScaledObjects that scale them, and at who serves
/// their metrics, and says what keeps autoscaling from working. It changes nothing. Exits with 1 if there are errors, and
/// with 2 if it cannot look.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  penstock doctor
  penstock doctor -A
  penstock doctor -n shop -o json | jq -r '.findings[] | select(.level == \"error\") | .object'")]
pub(crate) struct DoctorArgs {
    /// The namespace to look at [default: that of the context].
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    /// Look at all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// The kubeconfig [default: KUBECONFIG, then ~/.kube/config].
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: the current one].
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// For people or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// The same, or a component's interfaces in their own language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum InspectOutput {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// The component's world as WIT.
    Wit,
}
