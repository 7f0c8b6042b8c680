//! The command line of `penstock-host`. Every flag can be given as a variable of the environment, which is how pods are
//! configured.

mod fronts;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use http::Uri;
use penstock_api::GatewayDuration;

use self::fronts::Fronts;

/// Runs WebAssembly components behind HTTP listeners, as the operator tells it.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "penstock-host",
    version,
    max_term_width = 100,
    after_help = "SIGTERM: no longer ready, but serving on for --drain-delay; then what is in flight may take \
                  --drain-timeout; then exit code 0. Exit codes: 0 stopped, 1 failed, 2 arguments that make no sense."
)]
pub(crate) struct Args {
    /// This host's id: the name of its pod.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub(crate) host_id: String,
    /// The operator's Service.
    #[arg(
        long,
        env = "PENSTOCK_OPERATOR",
        default_value = "https://penstock-operator.penstock-system.svc:9443",
        value_parser = operator,
        value_name = "URL"
    )]
    pub(crate) operator: Uri,
    /// The name that the operator's certificate must be for; the Service's, if not given.
    #[arg(long, env = "PENSTOCK_OPERATOR_NAME", value_name = "NAME")]
    pub(crate) operator_name: Option<String>,
    /// This pod's token for the operator. Read anew for each connection.
    #[arg(long, env = "PENSTOCK_TOKEN_FILE", default_value = "/var/run/penstock/token/token", value_name = "FILE")]
    pub(crate) token_file: PathBuf,
    /// The certificates that the operator's is checked against. Read anew for each connection.
    #[arg(long, env = "PENSTOCK_CA_FILE", default_value = "/var/run/penstock/ca/ca.crt", value_name = "FILE")]
    pub(crate) ca_file: PathBuf,
    /// Where /livez, /readyz, /metrics and /v1/... are.
    #[arg(long, env = "PENSTOCK_ADMIN", default_value = "0.0.0.0:8081", value_name = "ADDRESS")]
    pub(crate) admin: SocketAddr,
    /// Where other hosts pass calls on to, for workloads that spill; always TLS, for hosts of the same operator only.
    #[arg(long, env = "PENSTOCK_PEER", default_value = "0.0.0.0:9444", value_name = "ADDRESS")]
    pub(crate) peer: SocketAddr,
    /// Images, compiled components and the last snapshot. Nothing secret.
    #[arg(long, env = "PENSTOCK_CACHE_DIR", default_value = "/var/cache/penstock", value_name = "FOLDER")]
    pub(crate) cache_dir: PathBuf,
    /// Compiled components that hosts share: a folder that all of them can reach. With --shared-code-key only.
    #[arg(long, env = "PENSTOCK_SHARED_CODE_DIR", requires = "shared_code_key", value_name = "FOLDER")]
    pub(crate) shared_code_dir: Option<PathBuf>,
    /// A file of 32 random bytes or more that only these hosts have: what is not signed with it is not run.
    #[arg(long, env = "PENSTOCK_SHARED_CODE_KEY", requires = "shared_code_dir", value_name = "FILE")]
    pub(crate) shared_code_key: Option<PathBuf>,
    /// What may be secret of the last snapshot: a folder in memory.
    #[arg(long, env = "PENSTOCK_SECRETS_DIR", default_value = "/var/run/penstock/secrets", value_name = "FOLDER")]
    pub(crate) secrets_dir: PathBuf,
    /// How long to serve on after SIGTERM while endpoints are being taken away.
    #[arg(long, env = "PENSTOCK_DRAIN_DELAY", default_value = "5s", value_parser = duration, value_name = "DURATION")]
    pub(crate) drain_delay: Duration,
    /// How long what is in flight may take, of the whole host or of a share that is no longer wanted.
    #[arg(long, env = "PENSTOCK_DRAIN_TIMEOUT", default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub(crate) drain_timeout: Duration,
    /// Component instances at once; calls beyond wait. One for each 2 MiB of the container's or machine's memory, 10000 at
    /// most, if not given. Address space is reserved for all of them.
    #[arg(long, env = "PENSTOCK_MAX_INSTANCES", value_parser = clap::value_parser!(u32).range(1..), value_name = "NUMBER")]
    pub(crate) max_instances: Option<u32>,
    /// Memory for a component that names no limit, in MiB.
    #[arg(long, env = "PENSTOCK_DEFAULT_MEMORY_MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096), value_name = "MIB")]
    pub(crate) default_memory_mib: u32,
    /// Registries that speak plain HTTP.
    #[arg(long, env = "PENSTOCK_INSECURE_REGISTRIES", value_delimiter = ',', value_name = "HOST[:PORT]")]
    pub(crate) insecure_registry: Vec<String>,
    #[command(flatten)]
    pub(crate) fronts: Fronts,
    /// How log lines look.
    #[arg(long, env = "PENSTOCK_LOG_FORMAT", value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// What is logged, such as `info` or `penstock_host=debug,info`.
    #[arg(long, env = "PENSTOCK_LOG", default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Args {
    /// The name that the operator's certificate must be for.
    pub(crate) fn server_name(&self) -> String {
        let of_url = || self.operator.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        self.operator_name.clone().unwrap_or_else(of_url)
    }
}

fn operator(text: &str) -> Result<Uri, String> {
    let advice = |why: &str| {
        format!("{why}: write it as https://HOST:PORT, such as https://penstock-operator.penstock-system.svc:9443")
    };
    let uri: Uri = text.parse().map_err(|error| advice(&format!("`{text}` is no URL ({error})")))?;
    match (uri.scheme_str(), uri.host(), uri.port_u16()) {
        (Some("https"), Some(_), Some(_)) => Ok(uri),
        (Some("http"), ..) => Err(advice("the stream to the operator is TLS always")),
        _ => Err(advice(&format!("`{text}` lacks the scheme, the host or the port"))),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<GatewayDuration>().map(Duration::from).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_operator_is_a_url_with_a_port() {
        assert!(operator("https://[::1]:9443").is_ok());
        for (text, says) in [("http://a:1", "TLS always"), ("https://a", "lacks"), ("a:9443", "lacks"), ("", "no URL")]
        {
            assert!(operator(text).unwrap_err().contains(says), "{text}: {}", operator(text).unwrap_err());
        }
        let args = Args::parse_from(["penstock-host", "--host-id", "a", "--operator", "https://[::1]:9443"]);
        assert_eq!(args.server_name(), "::1");
    }
}
