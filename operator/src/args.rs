//! The command line. Every flag can be given as a variable of the environment, which is how pods are configured.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use clap::{Parser, ValueEnum};
use penstock_api::GatewayDuration;

/// Follows WorkloadDeployments and Services, tells hosts what to run and route, and keeps EndpointSlices and statuses.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "penstock-operator",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed, 2 arguments that make no sense."
)]
pub struct Args {
    /// The namespace in which the operator and the hosts' pods are.
    #[arg(long, env = "POD_NAMESPACE", default_value = "penstock-system")]
    pub namespace: String,
    /// The name of this operator's pod: who holds the Lease.
    #[arg(long, env = "POD_NAME", default_value = "penstock-operator")]
    pub pod_name: String,
    /// The address of this operator's pod, which other operators send hosts to.
    #[arg(long, env = "POD_IP", default_value = "127.0.0.1")]
    pub pod_ip: std::net::IpAddr,
    /// The namespaces whose workloads and Services are looked after; none: all of them.
    #[arg(long, env = "PENSTOCK_WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE")]
    pub watch_namespaces: Vec<String>,
    /// Where hosts open their streams.
    #[arg(long, env = "PENSTOCK_CONTROL_ADDRESS", default_value = "0.0.0.0:9443", value_name = "ADDRESS")]
    pub control_address: SocketAddr,
    /// Where /livez, /readyz and /metrics are.
    #[arg(long, env = "PENSTOCK_ADMIN_ADDRESS", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub admin_address: SocketAddr,
    /// Where KEDA asks for workloads' load, as an external scaler.
    #[arg(long, env = "PENSTOCK_SCALER_ADDRESS", default_value = "0.0.0.0:9444", value_name = "ADDRESS")]
    pub scaler_address: SocketAddr,
    /// A file with the authorities (PEM) of the certificates that KEDA must show; none: it need not show any.
    #[arg(long, env = "PENSTOCK_SCALER_CLIENT_CA", value_name = "FILE")]
    pub scaler_client_ca: Option<std::path::PathBuf>,
    /// Where the API server asks for workloads' load, as external.metrics.k8s.io.
    #[arg(long, env = "PENSTOCK_EXTERNAL_METRICS_ADDRESS", default_value = "0.0.0.0:9445", value_name = "ADDRESS")]
    pub external_metrics_address: SocketAddr,
    /// The Service through which both find the operator that leads; it has no selector, and the leader writes its EndpointSlice.
    #[arg(long, env = "PENSTOCK_AUTOSCALING_SERVICE", default_value = "penstock-autoscaling", value_name = "NAME")]
    pub autoscaling_service: String,
    /// The Service through which hosts find the operators; the certificate has its names.
    #[arg(long, env = "PENSTOCK_SERVICE", default_value = "penstock-operator", value_name = "NAME")]
    pub service: String,
    /// Further names or addresses for the certificate.
    #[arg(long, env = "PENSTOCK_CERTIFICATE_NAMES", value_delimiter = ',', value_name = "NAME")]
    pub certificate_names: Vec<String>,
    /// The ServiceAccount of the hosts' pods: a token of any other is refused.
    #[arg(long, env = "PENSTOCK_HOST_SERVICE_ACCOUNT", default_value = "penstock-host", value_name = "NAME")]
    pub host_service_account: String,
    /// The audience of the hosts' tokens.
    #[arg(long, env = "PENSTOCK_AUDIENCE", default_value = "penstock-operator", value_name = "AUDIENCE")]
    pub audience: String,
    /// The ports from which every port of every Service gets one, on all hosts.
    #[arg(long, env = "PENSTOCK_LISTENER_PORTS", default_value = "20000-29999", value_parser = ports, value_name = "FROM-TO")]
    pub listener_ports: RangeInclusive<u16>,
    /// The address on which hosts listen; `[::]` for both families.
    #[arg(long, env = "PENSTOCK_LISTENER_ADDRESS", default_value = "0.0.0.0", value_name = "ADDRESS")]
    pub listener_address: String,
    /// The port of the listener that routes by hostname, for gateways outside the cluster; 0: there is none.
    #[arg(long, env = "PENSTOCK_SHARED_PORT", default_value_t = 8000, value_name = "PORT")]
    pub shared_port: u16,
    /// How long a change of an EndpointSlice takes to reach every node: kube-proxy tells nobody when it is done.
    #[arg(long, env = "PENSTOCK_PROPAGATION_DELAY", default_value = "1s", value_parser = duration, value_name = "DURATION")]
    pub propagation_delay: Duration,
    /// How long a host may be away, its pod still ready, before its shares move.
    #[arg(long, env = "PENSTOCK_HOST_GRACE", default_value = "10s", value_parser = duration, value_name = "DURATION")]
    pub host_grace: Duration,
    /// The Lease that says who leads.
    #[arg(long, env = "PENSTOCK_LEASE", default_value = "penstock-operator", value_name = "NAME")]
    pub lease: String,
    /// How long a leader that is not heard of stays leader.
    #[arg(long, env = "PENSTOCK_LEASE_DURATION", default_value = "15s", value_parser = duration, value_name = "DURATION")]
    pub lease_duration: Duration,
    /// Requests to the API server at once.
    #[arg(long, env = "PENSTOCK_WRITERS", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..), value_name = "NUMBER")]
    pub writers: u16,
    /// How log lines look.
    #[arg(long, env = "PENSTOCK_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// What is logged, such as `info` or `penstock_operator=debug,info`.
    #[arg(long, env = "PENSTOCK_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Args {
    /// Where other operators send hosts while this one leads.
    #[must_use]
    pub fn advertised(&self) -> SocketAddr {
        SocketAddr::new(self.pod_ip, self.control_address.port())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<GatewayDuration>().map(Duration::from).map_err(|error| error.to_string())
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let advice = || format!("`{text}` is no range of ports: write the first and the last, such as 20000-29999");
    let (first, last) = text.split_once('-').ok_or_else(advice)?;
    let (first, last) = (first.trim().parse().map_err(|_| advice())?, last.trim().parse().map_err(|_| advice())?);
    if first == 0 || first > last { Err(advice()) } else { Ok(first..=last) }
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
    fn reads_ranges_of_ports() {
        assert_eq!(ports("20000-29999"), Ok(20000..=29999));
        assert_eq!(ports("8 - 8"), Ok(8..=8));
        for text in ["", "1", "0-5", "5-4", "1-70000", "a-b"] {
            assert!(ports(text).unwrap_err().starts_with(&format!("`{text}` is no range of ports")), "{text}");
        }
    }
}
